"""What a draft may say, how it is changed, and what it still lacks; without a database (MN-1 to MN-4, MN-6)."""

from typing import Any

import pytest

from services.orders.order.commands import Given, Policies
from services.orders.order.deciding import Decided, Refusal
from services.orders.order.draft import Draft, changed, missing, whole, with_faults
from services.orders.order.input import FieldFault
from services.orders.order.words import Method
from services.orders.tests.seller import given

COMPLETE: dict[str, Any] = {
    "payment_method": "TRANSFER",
    "lines": [{"sku": "KOPI", "name": "Kopi 250 g", "quantity": 2, "unit_price": 45_000, "warehouse": "G1"}],
    "recipient": {"name": "Sari", "phone": "0812 3456 789", "address": "Jl. Mawar 1", "city": "Bandung"},
    "courier": "JNE",
    "service": "REG",
    "shipping_fee": 18_000,
    "insured": True,
    "insurance_fee": 500,
}


def draft(**said: Any) -> Draft:
    found = changed(Draft(), said)
    assert isinstance(found, Draft), found
    return found


def lacks(said: Draft, around: Given | None = None) -> dict[str, str]:
    faults, total = missing(said, around or given())
    assert (total is None) == bool(faults)
    assert all(fault.sentence for fault in faults)
    return {fault.field: fault.code for fault in faults}


def test_mn_1_an_empty_draft_names_all_that_it_lacks() -> None:
    assert lacks(Draft()) == {
        "lines": "NO_LINES",
        "recipient.name": "CUSTOMER_INCOMPLETE",
        "recipient.phone": "CUSTOMER_INCOMPLETE",
        "recipient.address": "CUSTOMER_INCOMPLETE",
        "recipient.city": "SHIPPING_INCOMPLETE",
        "courier": "SHIPPING_INCOMPLETE",
        "service": "SHIPPING_INCOMPLETE",
        "shipping_fee": "SHIPPING_INCOMPLETE",
        "insured": "SHIPPING_INCOMPLETE",
        "payment_method": "METHOD_UNKNOWN",
    }


def test_mn_3_a_whole_draft_lacks_nothing_and_tells_its_total() -> None:
    """A hold is asked for at Buat, so that none is missing before (MN-2)."""
    assert missing(draft(**COMPLETE), given()) == ((), 108_500)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"insured": None}, {"insured": "SHIPPING_INCOMPLETE"}),
        ({"insurance_fee": None}, {"insurance_fee": "SHIPPING_INCOMPLETE"}),
        ({"insured": False}, {"insurance_fee": "PRICE_INVALID"}),
        ({"insured": False, "insurance_fee": None}, {}),
        ({"insured": True, "insurance_fee": 0}, {}),
        ({"payment_method": "COD"}, {"payment_method": "METHOD_UNKNOWN"}),
        ({"agent": "gone"}, {"agent": "FIELD_INVALID"}),
        ({"lines": [{}]}, {
            "lines[0].quantity": "QUANTITY_INVALID", "lines[0].unit_price": "PRICE_INVALID",
            "lines[0].sku": "FIELD_INVALID", "lines[0].name": "FIELD_INVALID", "lines[0]": "NO_LINKED_PRODUCT",
        }),
        ({"lines": [{"sku": "KOPI", "name": "Kopi", "discount": 9}]}, {
            "lines[0].quantity": "QUANTITY_INVALID", "lines[0].unit_price": "PRICE_INVALID",
        }),
        ({"lines": [{**COMPLETE["lines"][0], "warehouse": "G2"}]}, {"lines[0]": "NO_LINKED_PRODUCT"}),
        ({"lines": [{**COMPLETE["lines"][0], "discount": 90_001}]}, {"lines[0].discount": "PRICE_INVALID"}),
        ({"lines": [{**COMPLETE["lines"][0], "unit_price": 0}], "shipping_fee": 0, "insurance_fee": 0},
         {"total": "TOTAL_NOT_POSITIVE"}),
    ],
)  # fmt: skip
def test_mn_3_what_buat_would_refuse_is_missing(said: dict[str, Any], expected: dict[str, str]) -> None:
    around = given(
        policies=Policies(methods=(Method.TRANSFER,)),
        links={"KOPI": frozenset({"G1"})},
        agents=frozenset({"a1"}),
    )
    found = changed(draft(**COMPLETE), said)
    assert isinstance(found, Draft)
    assert lacks(found, around) == expected


def test_mn_1_a_change_names_what_changes_and_null_takes_a_value_away() -> None:
    before = draft(**COMPLETE)
    after = changed(
        before, {"recipient": {"name": None, "district": "Coblong"}, "courier": None, "lines": []}
    )
    assert isinstance(after, Draft)
    assert (after.recipient.name, after.recipient.district) == ("", "Coblong")
    assert (after.recipient.city, after.courier, after.service, after.lines) == ("Bandung", "", "REG", ())
    assert changed(after, {}) == after
    gone = changed(after, {"recipient": None, "insured": None})
    assert isinstance(gone, Draft)
    assert (gone.recipient, gone.insured) == (Draft().recipient, None)


@pytest.mark.parametrize(
    ("patch", "fields"),
    [
        ({"number": "P-1"}, ["number"]),
        ({"source": "LANDING_PAGE", "page": None}, ["source", "page"]),
        ({"lines": 7, "insured": "yes"}, ["lines", "insured"]),
        ({"lines": [{"quantity": 1.5, "weight": 1}]}, ["lines[0].weight", "lines[0].quantity"]),
        ({"recipient": {"phone": "call me"}}, ["recipient.phone"]),
        ({"payment_method": "call me"}, ["payment_method"]),
        ({"recipient": {"name": "x" * 501, "nick": "y"}}, ["recipient.nick", "recipient.name"]),
        ({"lines": [{}] * 201}, ["lines"]),
        (
            {"shipping_fee": -1, "discount": 10**12 + 1, "other_fees": 10**30},
            ["shipping_fee", "discount", "other_fees"],
        ),
        ({"lines": [{"quantity": 0, "unit_price": -1}]}, ["lines[0].quantity", "lines[0].unit_price"]),
        ({"recipient": []}, ["recipient"]),
    ],
)
def test_what_can_never_be_kept_is_told_by_field(patch: dict[str, Any], fields: list[str]) -> None:
    """MN-6: a number that cannot be read as one is FIELD_INVALID before it is kept."""
    found = changed(draft(**COMPLETE), patch)
    assert isinstance(found, tuple)
    assert sorted(fault.field for fault in found) == sorted(fields)
    assert "call me" not in str(found)


def test_mn_5_the_placement_is_manual_and_of_no_page() -> None:
    command, faults = whole(draft(**COMPLETE, agent="a1"))
    assert faults == ()
    assert (command.source, command.page, command.agent, command.insurance_fee) == ("MANUAL", "", "a1", 500)


def test_the_first_code_of_t1_answers_for_all_that_is_lacking() -> None:
    insured = (FieldFault("insured", "SHIPPING_INCOMPLETE", "Say it."),)
    refused = with_faults(Refusal("NO_LINES", (FieldFault("lines", "NO_LINES", "Name one."),)), insured)
    assert isinstance(refused, Refusal)
    assert (refused.code, [fault.field for fault in refused.fields]) == ("NO_LINES", ["lines", "insured"])
    late = with_faults(Refusal("STOCK_NOT_AVAILABLE"), insured)
    assert isinstance(late, Refusal)
    assert late.code == "SHIPPING_INCOMPLETE"
    unknown = with_faults(Refusal("STOCK_NOT_AVAILABLE"), (FieldFault("x", "FIELD_INVALID", "No."), *insured))
    assert isinstance(unknown, Refusal)
    assert unknown.code == "FIELD_INVALID"
    assert not isinstance(with_faults(refused, ()), Decided)
