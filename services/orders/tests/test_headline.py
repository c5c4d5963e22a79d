"""Headline, flags, totals and the object of the API: AG, HL and MO rules by their names."""

import pytest

from services.orders.order import money
from services.orders.order.headline import explain, flags, headline, view
from services.orders.order.model import Coverage, Status
from services.orders.tests.facts import PRICE, START, Played, fact, placement, prepaid


def test_hl_3_the_headline_is_explained_by_the_events_that_set_it() -> None:
    played = prepaid(fact("PackagePickedUp", 5))
    why = explain(played.state)
    assert (why["dimension"], why["part"]) == ("fulfilment", {"line": "L1", "quantity": 1})
    assert [type(played.events[number - 1]).__name__ for number in why["events"]] == ["PackagePickedUp"]


@pytest.mark.parametrize(
    ("first", "second", "expected", "flag"),
    [
        ("PackageDelivered", "PackagePickedUp", "IN_TRANSIT", None),
        ("PackagePickedUp", None, "PAID", "PARTLY_SHIPPED"),
        ("DeliveryProblemReported", "PackageDelivered", "DELIVERY_PROBLEM", "HAS_PROBLEM"),
        ("ReturnStarted", "PackageDelivered", "RETURNING", "HAS_RETURN"),
        ("PackageDelivered", "ReturnReceived", "DELIVERED", "HAS_RETURN"),
        ("PackageLostOrDamaged", "ReturnReceived", "LOST_OR_DAMAGED", "HAS_LOSS"),
        ("OrderCancelled", "ShipmentBooked", "AWAITING_PICKUP", "PARTLY_CANCELLED"),
    ],
)
def test_ag_2_the_least_advanced_part_speaks_for_the_order(
    first: str, second: str | None, expected: str, flag: str | None
) -> None:
    played = prepaid(fact(first, 5, "L1"), lines=(("L1", 1), ("L2", 1)))
    if second is not None:
        played.then(fact(second, 5, "L2"))
    assert headline(played.state) == expected
    if flag is not None:
        assert flag in flags(played.state)


def test_ag_5_lost_goods_never_cancel_the_order() -> None:
    played = prepaid(
        fact("PackageLostOrDamaged", 5, "L1"), fact("OrderCancelled", 5, "L2"), lines=(("L1", 1), ("L2", 1))
    )
    assert played.state.status is Status.CONFIRMED


def test_mo_6_the_total_of_the_channel_counts_and_what_it_leaves_open_is_flagged() -> None:
    order = Played(placement(total=PRICE + 7)).state
    assert money.total(order) == PRICE + 7
    assert "TOTALS_DIFFER" in flags(order)


def test_mo_6_a_total_of_nothing_is_paid_at_placement() -> None:
    free = [{"line": "L1", "quantity": 1, "unit_price": 0}]
    order = Played(placement(total=0, lines=free)).state
    assert money.coverage(order) is Coverage.PAID


def test_mo_1_partial_cancellations_do_not_drift() -> None:
    sold = [{"line": "L1", "quantity": 3, "unit_price": 33_333, "discount": 10_000}]
    played = Played(placement(lines=sold, total=89_999))
    assert money.total(played.state) == 89_999
    played.then(fact("OrderCancelled", 2, "L1", quantity=1))
    assert money.total(played.state) == 59_999
    played.then(fact("OrderCancelled", 3, "L1", quantity=1))
    assert money.total(played.state) == 30_000


def test_the_view_has_what_the_api_promises() -> None:
    shown = view(prepaid(fact("PackagePickedUp", 5, package="PK1", awb="AWB-1")).state)
    assert shown["order"] == {"status": "CONFIRMED", "request": False}
    assert shown["payment"] == {"method": "GATEWAY", "coverage": "PAID", "transaction": "NONE"}
    assert (shown["fulfilment"], shown["billing"], shown["headline"]) == ("IN_TRANSIT", "NONE", "IN_TRANSIT")
    assert shown["packages"][0] | {"parts": None} == {
        "package": "PK1",
        "awb": "AWB-1",
        "announced_awb": None,
        "courier": "",
        "service": "",
        "parts": None,
    }
    assert shown["money"]["total"] == shown["money"]["net_paid"] == PRICE
    assert shown["placed_at"] == START
