"""Reading raw JSON: exact money, times to UTC, ids as text, and Malformed for all else."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from services.channels.marketplace import (
    STATED_ZONE,
    Fields,
    Malformed,
    instant,
    minor_units,
    parse,
    scalar_text,
    site_code,
    wire_time,
)
from services.channels.tokopedia.payloads import ZONE


@pytest.mark.parametrize(
    ("raw", "currency", "expected"),
    [
        (b"87.70", "SGD", 8770),
        (b'"87.70"', "SGD", 8770),
        (b'"1,234.50"', "MYR", 123450),
        (b"66000.00", "VND", 66000),
        (b"68000", "IDR", 68000),
        (b"0.00", "THB", 0),
        (b"-0.00", "THB", 0),
        (b"1e3", "IDR", 1000),
        (b"0.29", "PHP", 29),  # As a float it would be 28.999999999999996.
        (b"2.675", "SGD", 268),  # Half up (CN-01); banker's rounding of a float gives 267.
        (b"66000.5", "VND", 66001),
        (b"null", "SGD", None),
        (b'" "', "SGD", None),
    ],
)
def test_money_is_read_exactly_from_the_raw_text(raw: bytes, currency: str, expected: int | None) -> None:
    assert minor_units(parse(raw), currency, "price") == expected


@pytest.mark.parametrize(
    "raw", [b"-1", b'"Rp 10"', b"true", b"[]", b"1e400", b"1e-400", b'"1e3"', b"9" * 5000]
)
def test_what_is_no_amount_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        minor_units(parse(raw), "SGD", "data.price")
    assert (refused.value.code, refused.value.field) == ("UNREADABLE_AMOUNT", "data.price")


def test_an_amount_that_was_parsed_as_float_is_malformed() -> None:
    with pytest.raises(Malformed):
        minor_units(87.70, "SGD", "price")


def test_an_amount_of_a_currency_without_known_exponent_is_malformed() -> None:
    with pytest.raises(Malformed) as refused:
        minor_units(Decimal(1), "USD", "price")
    assert refused.value.code == "UNKNOWN_CURRENCY"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2018-10-31 10:18:27 +0700", "2018-10-31T03:18:27Z"),
        ("2026-03-07T23:59:59+08:00", "2026-03-07T15:59:59Z"),
        ("2026-03-05T07:59:26.999Z", "2026-03-05T07:59:26Z"),
        (1772697566, "2026-03-05T07:59:26Z"),
        ("1772697566", "2026-03-05T07:59:26Z"),
        (1772697566999, "2026-03-05T07:59:26Z"),
        ("1772697566999", "2026-03-05T07:59:26Z"),
        (Decimal("1772697566.9"), "2026-03-05T07:59:26Z"),
        ("", None),
        (None, None),
        (0, None),
        (-62135596800, None),
        ("0001-01-01T00:00:00Z", None),
        ("0000-00-00 00:00:00", None),
    ],
)
def test_a_time_is_utc_in_whole_seconds_whatever_its_format(value: object, expected: str | None) -> None:
    assert wire_time(instant(value, STATED_ZONE, "at")) == expected


@pytest.mark.parametrize(
    "value", ["2023-06-14T10:46:05Z", "2023-06-14 10:46:05", "2023-06-14T10:46:05.061156Z"]
)
def test_a_text_of_tokopedia_without_a_true_zone_is_jakarta(value: str) -> None:
    assert wire_time(instant(value, ZONE, "at")) == "2023-06-14T03:46:05Z"


def test_a_text_of_tokopedia_with_a_true_offset_keeps_it() -> None:
    assert instant("2023-06-14T10:46:05+09:00", ZONE, "at") == datetime(2023, 6, 14, 1, 46, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "2026-03-05 07:59:26",
        "2026-02-30T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
        True,
        [],
        10**17,
        1.5,
    ],
)
def test_a_time_that_cannot_be_read_is_malformed_and_never_now(value: object) -> None:
    with pytest.raises(Malformed) as refused:
        instant(value, STATED_ZONE, "at")
    assert refused.value.code == "UNREADABLE_TIME"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"<html>blocked</html>", "NOT_JSON"),
        (b"", "NOT_JSON"),
        (b'{"a": NaN}', "NOT_JSON"),
        (b'{"a": -Infinity}', "NOT_JSON"),
        (b'{"a": 1e99999999999999999999}', "NOT_JSON"),
        (b'"\xff"', "NOT_JSON"),
        (b'{"a": 1', "NOT_JSON"),
        (b"[" * 100_000, "TOO_DEEP"),
        (b"[" * 100 + b"]" * 100, "TOO_DEEP"),
        (b'{"a":' * 100_000, "TOO_DEEP"),
    ],
)
def test_a_body_that_is_no_json_of_sane_depth_is_malformed(raw: bytes, code: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(raw)
    assert refused.value.code == code


def test_duplicate_keys_are_no_error_and_the_last_one_counts() -> None:
    assert parse(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"712345678901001", "712345678901001"),
        (b'"712345678901001"', "712345678901001"),
        (b"712345678901001.0", "712345678901001"),
        (b"18446744073709551617", "18446744073709551617"),
        (b"9" * 101, "9" * 101),
    ],
)
def test_an_id_is_text_whatever_type_it_arrives_in(raw: bytes, expected: str) -> None:
    assert Fields({"id": parse(raw)}, "").id("id") == expected


@pytest.mark.parametrize("raw", [b"null", b'""', b'" "', b"0", b'"null"', b"true", b"[]", b"9" * 5000])
def test_an_id_that_is_none_is_malformed_and_never_made_up(raw: bytes) -> None:
    with pytest.raises(Malformed):
        Fields({"id": parse(raw)}, "").id("id")


def test_what_no_database_can_store_is_replaced() -> None:
    assert scalar_text(parse(rb'"Budi \ud83d\u0000"'), "name") == "Budi \ufffd\ufffd"


def test_keys_that_differ_in_case_only_are_read_alike_in_any_order() -> None:
    one = Fields({"Name": "A", "name": "B"}, "", fold=True)
    other = Fields({"name": "B", "Name": "A"}, "", fold=True)
    assert one.text("name") == other.text("name") == "B"


@pytest.mark.parametrize("text", ["sg", "lazada_sg", "LAZADA_SG", "lazada-sg"])
def test_a_site_is_two_letters_however_it_is_spelt(text: str) -> None:
    assert site_code(text, "site") == "sg"
