"""Placement and repeats: MK-1 to MK-3, each rule by its name."""

from typing import Any

import msgspec
import pytest

from services.orders.order import money
from services.orders.order.channel_facts import (
    Disposition,
    FactInvalid,
    NotPlacedYet,
    decode_fact,
    judge,
)
from services.orders.order.headline import flags, headline
from services.orders.tests.facts import PAID, PRICE, Played, at, fact, placement, prepaid, values


def test_mk_1_a_record_decodes_to_a_fact_and_unknown_fields_are_passed_over() -> None:
    body = msgspec.json.encode(
        {
            "type": "ShipmentBooked",
            "channel": "lazada",
            "site": "sg",
            "shop": "1000999001",
            "order": "712345678901001",
            "scope": {"line": "L1"},
            "occurred_at": "2026-03-05T08:00:03Z",
            "approximate": False,
            "source_status": "ready_to_ship",
            "occurrence": 1,
            "translator_version": 1,
            "data": {"awb": "A1", "buyer": "sealed"},
            "seller": "s",
            "connection": "c",
            "read_at": None,
            "raw": ["r1"],
            "later": True,
        }
    )
    played = prepaid(decode_fact(body, "id-1"))
    assert values(played.state) == {"L1": ["1 BOOKED"]}
    assert played.told[-1].at == at(3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("scope", {"line": ""}), ("occurred_at", "2026-03-05T08:00:03"), ("occurrence", 0), ("shop", None)],
)
def test_mk_1_a_wrong_shape_is_invalid(field: str, value: object) -> None:
    body = {
        "type": "ShipmentBooked",
        "channel": "lazada",
        "shop": "1",
        "order": "2",
        "seller": "s",
        "connection": "c",
        field: value,
    }
    with pytest.raises(FactInvalid) as caught:
        decode_fact(msgspec.json.encode(body), "id-1")
    assert caught.value.field == "body"


@pytest.mark.parametrize(
    "changed",
    [
        {"lines": []},
        {"lines": [{"line": "L1", "quantity": 0}]},
        {"lines": [{"line": "L1", "quantity": 1}, {"line": "L1", "quantity": 2}]},
        {"payment_method": "CASH"},
        {"total": -1},
        {"currency": "rupiah"},
    ],
)
def test_om_5_a_placement_that_cannot_be_is_invalid(changed: dict[str, Any]) -> None:
    with pytest.raises(FactInvalid):
        judge(None, placement(**changed), number="n")


def test_mk_1_a_type_that_is_no_fact_is_invalid() -> None:
    with pytest.raises(FactInvalid) as caught:
        prepaid(fact("OrderHeld", 2))
    assert caught.value.field == "type"


def test_mk_2_news_of_an_order_not_placed_waits() -> None:
    with pytest.raises(NotPlacedYet):
        judge(None, PAID, number="n")


def test_mk_2_a_placement_is_one_event_with_what_was_sold() -> None:
    played = Played(placement(("L1", 2), ("L2", 1)))
    assert played.names == ["OrderPlaced"]
    order = played.state
    assert (order.number, order.marketplace_number) == ("L0000000000001", "712345678901001")
    assert headline(order) == "NEW"
    assert values(order) == {"L1": ["2 NOT_STARTED"], "L2": ["1 NOT_STARTED"]}
    assert money.total(order) == 3 * PRICE


def test_mk_2_an_equal_placement_is_nothing_again() -> None:
    played = Played(placement(), placement(time=0))
    assert played.dispositions == [Disposition.DUPLICATE]
    assert not played.told


def test_mk_2_a_second_placement_fills_what_was_empty_or_masked() -> None:
    sold = [{"line": "L1", "quantity": 1, "unit_price": PRICE, "name": "Bar***"}]
    told = [{"line": "L1", "quantity": 1, "unit_price": PRICE, "name": "Barang", "sku": "S1"}]
    played = Played(placement(city="", lines=sold), placement(city="Bandung", province="Jambi", lines=told))
    assert played.names == ["OrderDetailsCompleted"]
    order = played.state
    assert (order.city, order.province) == ("Bandung", "Jawa Barat")
    assert (order.lines[0].name, order.lines[0].sku, order.parts[0].sku) == ("Barang", "S1", "S1")


def test_mk_2_a_masked_text_replaces_nothing() -> None:
    played = Played(placement(), placement(city="Ban***"))
    assert not played.told


def test_mk_2_other_amounts_raise_totals_differ_once() -> None:
    other = placement(total=PRICE + 1)
    played = Played(placement(), other, other)
    assert "TOTALS_DIFFER" in flags(played.state)
    assert [len(each.events) for each in played.judgements] == [1, 1, 0]
    assert money.total(played.state) == PRICE


def test_mk_3_the_occurrence_counts_only_without_a_time() -> None:
    timed = prepaid(fact("PackagePrepared", 2), fact("PackagePrepared", 2, occurrence=2))
    assert timed.last.disposition is Disposition.DUPLICATE
    first, second = (fact("CancellationRequested", None, status=None, occurrence=each) for each in (1, 2))
    untimed = prepaid(first, fact("CancellationRequestClosed", 4), first, second)
    assert untimed.dispositions[1:] == [
        Disposition.APPLIED,
        Disposition.APPLIED,
        Disposition.DUPLICATE,
        Disposition.APPLIED,
    ]


def test_mk_3_another_scope_or_source_status_is_another_fact() -> None:
    played = prepaid(fact("PackagePrepared", 2, "L1"), fact("PackagePrepared", 2, status="packed"))
    assert played.last.disposition is Disposition.LATE


def test_mk_3_recorded_news_is_a_duplicate_as_well() -> None:
    late = fact("PackagePrepared", 2)
    played = prepaid(fact("PackagePickedUp", 5), late, late)
    assert played.last.disposition is Disposition.DUPLICATE
    assert not played.told


def test_mk_3_a_repeat_fills_an_awb_that_was_unknown() -> None:
    played = prepaid(fact("PackagePickedUp", 5), fact("PackagePickedUp", 5, awb="AWB-1"))
    assert played.names == ["AwbIssued"]
    assert "AWB_UNKNOWN" not in flags(played.state)
    again = played.then(fact("PackagePickedUp", 5, awb="AWB-2"))
    assert not again.told


def test_mk_3_a_repeat_fills_an_amount_or_reference_that_was_unknown() -> None:
    played = prepaid(fact("PaymentSucceeded", 1, amount=PRICE, reference="R1"))
    assert played.names == ["OrderDetailsCompleted"]
    (receipt,) = played.state.receipts
    assert (receipt.amount, receipt.reference, receipt.assumed) == (PRICE, "R1", False)
