"""What buyers are found by, and who is the same buyer (PD-2, PD-5, MN-6)."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, format_number, parse

from services.orders.buyer_search import KINDS, hashes_of_fields, hashes_of_search, identity, tokens
from services.orders.order.phone import international

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
ORDER, LATER = UUID(int=1), UUID(int=2)
SHOP = "0190a000-0000-7000-8000-0000000000aa"


def hashes_of_field(key: bytes, field: str, value: str) -> list[int]:
    return hashes_of_fields(key, {field: value}).get(field, [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Siti Nurhaliza", ["siti", "nurhaliza"]),
        ("  SITI   siti ", ["siti"]),
        ("José Müller-Łukasz", ["jose", "muller", "łukasz"]),
        ("Jl. Merdeka No.17/B, RT 03", ["jl", "merdeka", "no", "17", "rt", "03"]),
        ("Ａｇｕｓ ﬁ", ["agus", "fi"]),
        ("O'Neil A B", ["neil"]),
        ("김철수", ["김철수"]),
        ("😀 --", []),
    ],
)
def test_pd_5_tokens(text: str, found: list[str]) -> None:
    assert tokens(text) == found


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_pd_5_the_short_way_for_plain_texts_finds_the_same(text: str) -> None:
    # A sign that parts words and is not ASCII leads the long way.
    assert tokens(f"{text}\u2026") == tokens(text)


@given(st.text(max_size=80))
def test_pd_5_tokens_of_tokens_are_the_same(text: str) -> None:
    once = tokens(text)
    assert tokens(" ".join(once)) == once


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("081200004321", "ID", "+6281200004321"),
        ("+62 812-0000-4321", "ID", "+6281200004321"),
        ("6281200004321", "ID", "+6281200004321"),
        ("006281200004321", "ID", "+6281200004321"),
        ("(021) 5551234", "ID", "+62215551234"),
        ("91234567", "SG", "+6591234567"),
        ("6281200004321", "SG", "+6281200004321"),
        ("62******21", "ID", None),
        ("0800-FLOWERS", "ID", None),
        ("0812", "ID", None),
        ("", "ID", None),
        ("1" * 60, "ID", None),
    ],
)
def test_mn_6_international_form(text: str, region: str, number: str | None) -> None:
    assert international(text, region) == number
    if number is not None:
        assert international(number, region) == number


@given(st.sampled_from(["0", "62", "+62"]), st.from_regex(r"8[1-9][0-9]{7,9}", fullmatch=True))
def test_mn_6_the_short_way_for_mobile_numbers_finds_what_the_library_finds(prefix: str, rest: str) -> None:
    by_the_library = format_number(parse(f"+62{rest}"), PhoneNumberFormat.E164)
    assert (
        international(f"{prefix}{rest}")
        == international(f" {prefix} {rest[:4]}-{rest[4:]}")
        == by_the_library
    )


@given(st.text(max_size=50))
def test_mn_6_any_text_is_a_number_in_international_form_or_none(text: str) -> None:
    number = international(text)
    assert number is None or (number.startswith("+") and international(number) == number)


def test_pd_5_a_search_finds_what_a_field_holds_word_by_word() -> None:
    held = set(hashes_of_field(KEY, "recipient", "Siti Nurhaliza binti Tarudin"))
    assert set(hashes_of_search(KEY, "name", "nurhaliza SITI")) <= held
    assert not set(hashes_of_search(KEY, "name", "siti aminah")) <= held
    assert not set(hashes_of_search(KEY, "name", "nurhal")) <= held, "No prefix of a token finds."


def test_pd_5_a_number_is_found_whole_in_whatever_form_it_is_written() -> None:
    held = hashes_of_field(KEY, "recipient_phone", "+6281200004321")
    assert held == hashes_of_search(KEY, "phone", "0812-0000-4321")
    assert hashes_of_search(KEY, "phone", "0812-0000") != held
    assert hashes_of_search(KEY, "phone", "Siti") == []


def test_pd_5_masked_values_and_other_fields_are_not_hashed() -> None:
    assert hashes_of_field(KEY, "phone", "62******21") == []
    assert hashes_of_field(KEY, "recipient", "S*** N***") == []
    for field in ("id", "email", "note", "reason", "line_notes/7"):
        assert hashes_of_field(KEY, field, "0812-0000-4321 Siti") == []


def test_pd_5_hashes_are_the_sellers_own_and_of_one_kind() -> None:
    assert hashes_of_search(KEY, "name", "merdeka") != hashes_of_search(OTHER, "name", "merdeka")
    assert len({hashes_of_search(KEY, kind, "0812345678")[0] for kind in KINDS}) == len(KINDS)


def who(order: UUID = ORDER, connection: str = SHOP, key: bytes = KEY, **fields: str) -> bytes:
    return identity(key, connection, order, fields)


def test_pd_2_the_marketplaces_id_comes_first_within_its_connection() -> None:
    assert who(id="7", phone="+6281200004321") == who(LATER, id="7", phone="+6281299999999")
    assert who(id="7") != who(id="8")
    assert who(id="7") != who(connection="another", id="7")
    assert who(id="7") != who(key=OTHER, id="7")


def test_pd_2_else_the_number_whoever_connects() -> None:
    assert who(phone="081200004321") == who(LATER, "", phone="+62 812-0000-4321")
    assert who(recipient_phone="081200004321") == who(LATER, phone="081200004321")
    assert who(phone="081200004321") != who(phone="081200004322")


def test_pd_2_else_the_order_itself() -> None:
    assert who(recipient="Siti") == who(recipient="Budi")
    assert who(recipient="Siti") != who(LATER, recipient="Siti")
    assert who(phone="62******21") == who(), "A masked number names nobody."
    assert who(id="7***") == who()
