"""Watermarks, payment, requests and implied steps: MK-4 to MK-8, each rule by its name."""

import pytest

from services.orders.order import money
from services.orders.order.channel_facts import (
    Disposition,
    Fact,
)
from services.orders.order.headline import flags, headline, view
from services.orders.order.model import Coverage, Transaction
from services.orders.tests.facts import PAID, PRICE, Played, at, cod, fact, placement, prepaid, values


def test_mk_4_each_part_has_its_own_watermark() -> None:
    played = prepaid(
        fact("PackageDelivered", 9, "L1"), fact("PackagePrepared", 4, "L2"), lines=(("L1", 1), ("L2", 1))
    )
    assert played.last.disposition is Disposition.APPLIED
    assert values(played.state) == {"L1": ["1 DELIVERED"], "L2": ["1 READY"]}


def test_mk_4_implied_steps_move_the_watermark_of_payment() -> None:
    played = Played(placement(), fact("PackagePrepared", 5), fact("PaymentAwaited", 3))
    assert played.last.disposition is Disposition.LATE
    assert played.state.payment_mark is not None
    assert played.state.payment_mark.at == at(5)


def test_mk_5_late_news_keeps_its_true_time() -> None:
    played = prepaid(fact("PackagePickedUp", 5), fact("PackagePrepared", 2))
    recorded = played.told[0]
    assert (recorded.disposition, recorded.at) == (Disposition.LATE, at(2))


@pytest.mark.parametrize(
    ("first_read", "second_read", "disposition"),
    [(20, 30, "APPLIED"), (30, 20, "LATE"), (20, 20, "LATE"), (None, 20, "LATE"), (20, None, "LATE")],
)
def test_mk_5_at_an_equal_time_the_later_reading_counts_as_newer(
    first_read: int | None, second_read: int | None, disposition: str
) -> None:
    """Lower in the news chain, so that only the reading can make it newer."""
    played = prepaid(
        fact("ShipmentBooked", 3, read=first_read), fact("ShipmentCancelled", 3, read=second_read)
    )
    assert played.last.disposition == disposition


def test_mk_5_the_news_chain_puts_problem_after_transit_and_return_after_delivery() -> None:
    played = prepaid(
        fact("PackagePickedUp", 3),
        fact("DeliveryProblemReported", 3),
        fact("PackageDelivered", 3),
        fact("ReturnStarted", 3),
        fact("ReturnReceived", 3),
    )
    assert set(played.dispositions) == {Disposition.APPLIED}


def test_mk_6_the_newest_of_awaited_processing_and_failed_wins() -> None:
    played = Played(
        placement(),
        fact("PaymentProcessingStarted", 3),
        fact("PaymentAwaited", 2),
        fact("PaymentFailed", 4),
        fact("PaymentAwaited", 5),
    )
    assert played.state.transaction is Transaction.AWAITING
    assert played.dispositions == [
        Disposition.APPLIED,
        Disposition.LATE,
        Disposition.APPLIED,
        Disposition.APPLIED,
    ]
    assert headline(played.state) == "AWAITING_PAYMENT"


@pytest.mark.parametrize("end", [[PAID], [fact("OrderCancelled", 2)]])
def test_mk_6_a_running_payment_is_late_once_paid_or_closed(end: list[Fact]) -> None:
    played = Played(placement(), *end, fact("PaymentAwaited", 9))
    assert played.last.disposition is Disposition.LATE
    assert played.state.transaction is Transaction.NONE


def test_mk_6_a_request_opens_and_closes() -> None:
    played = prepaid(
        fact("CancellationRequested", 4, status=None, by="BUYER", deadline="2026-03-06T00:00:00Z")
    )
    assert headline(played.state) == "CANCELLATION_REQUESTED"
    assert view(played.state)["request"]["by"] == "BUYER"
    played.then(fact("CancellationRequestClosed", 5, by="BUYER"))
    assert played.told[0].outcome == "WITHDRAWN"
    assert headline(played.state) == "PAID"


def test_mk_6_a_request_older_than_the_pick_up_is_late_and_a_newer_one_a_conflict() -> None:
    late = prepaid(fact("PackagePickedUp", 5), fact("CancellationRequested", 4))
    assert late.last.disposition is Disposition.LATE
    conflict = prepaid(fact("PackagePickedUp", 5), fact("CancellationRequested", 6))
    assert conflict.last.disposition is Disposition.CONFLICT
    assert "CHANNEL_CONFLICT" in flags(conflict.state)


def test_mk_6_a_request_from_before_the_cancellation_is_late() -> None:
    played = prepaid(fact("OrderCancelled", 5), fact("CancellationRequested", 4))
    assert played.last.disposition is Disposition.LATE


def test_mk_6_closing_without_a_request_is_reaffirmed_and_makes_an_older_request_late() -> None:
    played = prepaid(fact("CancellationRequestClosed", 5), fact("CancellationRequested", 4))
    assert played.dispositions[1:] == [Disposition.REAFFIRMED, Disposition.LATE]


def test_mk_6_a_request_for_one_line_leaves_the_others_alone() -> None:
    lines = (("L1", 1), ("L2", 1))
    played = prepaid(fact("CancellationRequested", 4, "L2"), fact("PackagePickedUp", 5, "L1"), lines=lines)
    assert played.state.request is not None
    played.then(fact("OrderCancelled", 6, "L2"))
    assert played.state.request is None
    assert played.told[-2].accepted


def test_mk_6_lines_asked_for_at_one_time_are_one_request() -> None:
    lines = (("L1", 1), ("L2", 1))
    played = prepaid(
        fact("CancellationRequested", 4, "L1"),
        fact("CancellationRequested", 4, "L2"),
        fact("PackagePickedUp", 5, "L1"),
        lines=lines,
    )
    assert played.state.request is not None
    assert played.state.request.lines == ("L2",)


def test_mk_6_confirmation_is_applied_then_reaffirmed_then_late() -> None:
    played = prepaid(
        fact("OrderConfirmed", 2),
        fact("OrderConfirmed", 3),
        fact("OrderCancelled", 4),
        fact("OrderConfirmed", 5),
    )
    assert played.dispositions[1:] == [
        Disposition.APPLIED,
        Disposition.REAFFIRMED,
        Disposition.APPLIED,
        Disposition.LATE,
    ]


def test_mk_7_a_confirmation_alone_implies_payment_in_full() -> None:
    played = Played(placement(), fact("OrderConfirmed", 2))
    assert played.names == ["PaymentSucceeded", "PaymentAllocated", "OrderConfirmed"]
    assert money.coverage(played.state) is Coverage.PAID
    assert cod(fact("OrderConfirmed", 2)).names == ["OrderConfirmed"]


@pytest.mark.parametrize(
    ("news", "steps"),
    [
        ("ReturnReceived", ["PackagePickedUp", "ReturnStarted", "ReturnReceived"]),
        ("PackageDelivered", ["PackagePickedUp", "PackageDelivered"]),
        ("PackageLostOrDamaged", ["PackagePickedUp", "PackageLostOrDamaged"]),
        ("DeliveryProblemReported", ["PackagePickedUp", "DeliveryProblemReported"]),
        ("OrderCompleted", ["PackagePickedUp", "PackageDelivered", "OrderCompleted"]),
    ],
)
def test_mk_7_implied_steps_stand_before_the_news_with_its_time_and_id(news: str, steps: list[str]) -> None:
    played = prepaid(fact(news, 9))
    assert played.names == ["OrderConfirmed", "PackagePrepared", "ShipmentBooked", "AwbIssued", *steps]
    assert {event.at for event in played.told} == {at(9)}
    assert len({event.fact.id for event in played.told}) == 1
    assert [event.implied for event in played.told] == [True] * (len(played.names) - 1) + [False]


def test_mk_7_lost_after_delivery_implies_a_return() -> None:
    played = prepaid(fact("PackageDelivered", 5), fact("PackageLostOrDamaged", 6))
    assert played.names == ["ReturnStarted", "PackageLostOrDamaged"]


def test_mk_7_an_announced_awb_becomes_live_with_the_booking() -> None:
    """INV-9."""
    played = prepaid(fact("PackagePrepared", 2, package="PK1", awb="AWB-1"))
    assert view(played.state)["packages"][0]["announced_awb"] == "AWB-1"
    played.then(fact("ShipmentBooked", 3, package="PK1"))
    assert played.names == ["ShipmentBooked", "AwbIssued"]
    assert view(played.state)["packages"][0]["awb"] == "AWB-1"


def test_mk_7_late_news_of_an_implied_step_brings_its_awb() -> None:
    played = prepaid(fact("PackagePickedUp", 5), fact("ShipmentBooked", 3, awb="AWB-1"))
    assert played.last.disposition is Disposition.LATE
    assert played.names == ["FactRecorded", "AwbIssued"]
    assert type(played.events[played.told[0].dates - 1]).__name__ == "ShipmentBooked"


def test_mk_8_a_cod_order_is_unpaid_until_completed() -> None:
    played = cod(fact("PackageDelivered", 5))
    assert money.coverage(played.state) is Coverage.UNPAID
    played.then(fact("OrderCompleted", 6))
    assert played.names == ["CodCollected", "OrderCompleted"]
    assert money.net_paid(played.state) == PRICE


@pytest.mark.parametrize("news", ["PaymentAwaited", "PaymentSucceeded"])
def test_mk_8_payment_news_of_a_cod_order_changes_nothing(news: str) -> None:
    played = cod(fact(news, 2))
    assert played.names == ["FactRecorded"]
    assert money.coverage(played.state) is Coverage.UNPAID


def test_mo_14_lost_cod_goods_are_not_collected() -> None:
    played = cod(
        fact("PackageLostOrDamaged", 5, "L1"), fact("OrderCompleted", 6, "L2"), lines=(("L1", 1), ("L2", 2))
    )
    assert headline(played.state) == "COMPLETED"
    assert money.net_paid(played.state) == 2 * PRICE
    assert money.outstanding(played.state) == 0
