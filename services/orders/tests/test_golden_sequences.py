"""The golden sequences of 11.5: arrival, end, and what became of each fact."""

from services.orders.order import money
from services.orders.order.channel_facts import Disposition, Fact
from services.orders.order.headline import flags, headline
from services.orders.order.model import Coverage, Fulfilment
from services.orders.tests.facts import PRICE, Played, fact, placement

APPLIED = Disposition.APPLIED
LATE = Disposition.LATE
DUPLICATE = Disposition.DUPLICATE
REAFFIRMED = Disposition.REAFFIRMED
CONFLICT = Disposition.CONFLICT

PAID_1 = fact("PaymentSucceeded", 1)


def _gs_1() -> list[Fact]:
    return [placement(), fact("PaymentAwaited", 1), fact("PackagePickedUp", 5)]


def test_gs_1_a_pick_up_implies_every_step_before_it() -> None:
    played = Played(*_gs_1())
    assert headline(played.state) == "IN_TRANSIT"
    assert money.coverage(played.state) is Coverage.PAID
    assert played.dispositions == [APPLIED, APPLIED]
    assert played.names == [
        "PaymentSucceeded",
        "PaymentAllocated",
        "OrderConfirmed",
        "PackagePrepared",
        "ShipmentBooked",
        "AwbIssued",
        "PackagePickedUp",
    ]
    assert [event.implied for event in played.told] == [True] * 6 + [False]
    assert "AWB_UNKNOWN" in flags(played.state)


def test_gs_2_later_news_of_implied_steps_changes_nothing() -> None:
    before = Played(*_gs_1())
    played = Played(
        *_gs_1(), fact("PackagePrepared", 3), fact("PackagePickedUp", 5), fact("PaymentSucceeded", 2)
    )
    assert played.dispositions[2:] == [LATE, DUPLICATE, REAFFIRMED]
    assert headline(played.state) == headline(before.state)
    assert flags(played.state) == flags(before.state)
    late, dated = played.event_of(3), played.event_of(5)
    assert type(played.events[late.dates - 1]).__name__ == "PackagePrepared"
    assert type(played.events[dated.dates - 1]).__name__ == "PaymentSucceeded"


def test_gs_3_an_undone_booking_leaves_the_order_ready_without_awb() -> None:
    played = Played(
        placement(),
        PAID_1,
        fact("PackagePrepared", 2),
        fact("ShipmentBooked", 3, awb="AWB-1"),
        fact("PackagePrepared", 4),
        fact("ShipmentBooked", 3, awb="AWB-1"),
        fact("ShipmentCancelled", 4),
    )
    assert headline(played.state) == "READY_TO_SHIP"
    assert [package.awb for package in played.state.packages] == [""]
    assert played.state.void_awbs == ("AWB-1",)
    assert played.dispositions == [APPLIED, APPLIED, APPLIED, APPLIED, DUPLICATE, LATE]


def test_gs_4_money_that_arrives_after_the_cancellation_is_refund_due() -> None:
    played = Played(
        placement(), fact("PaymentAwaited", 1), fact("OrderCancelled", 5), fact("PaymentSucceeded", 2)
    )
    assert headline(played.state) == "CANCELLED"
    assert money.coverage(played.state) is Coverage.PAID
    assert money.refund_due(played.state) == PRICE
    assert played.dispositions == [APPLIED] * 3


def test_gs_5_a_cancellation_after_the_pick_up_is_a_conflict() -> None:
    played = Played(placement(), PAID_1, fact("PackagePickedUp", 4), fact("OrderCancelled", 5))
    assert headline(played.state) == "IN_TRANSIT"
    assert "CHANNEL_CONFLICT" in flags(played.state)
    assert played.dispositions == [APPLIED, APPLIED, CONFLICT]
    assert played.last.read_wanted


def test_gs_6_completion_of_a_cod_order_implies_the_cash() -> None:
    played = Played(placement(method="COD"), fact("OrderCompleted", 9), fact("PackageDelivered", 8))
    assert headline(played.state) == "COMPLETED"
    assert money.coverage(played.state) is Coverage.PAID
    assert played.dispositions == [APPLIED, LATE]
    assert [type(event).__name__ for event in played.judgements[1].events] == [
        "OrderConfirmed",
        "PackagePrepared",
        "ShipmentBooked",
        "AwbIssued",
        "PackagePickedUp",
        "PackageDelivered",
        "CodCollected",
        "OrderCompleted",
    ]


def test_gs_7_lines_go_their_own_ways() -> None:
    played = Played(
        placement(("L1", 1), ("L2", 1), ("L3", 1)),
        PAID_1,
        fact("PackageDelivered", 6, "L1"),
        fact("OrderCancelled", 4, "L2"),
        fact("ReturnReceived", 8, "L3"),
    )
    assert headline(played.state) == "DELIVERED"
    assert {"HAS_RETURN", "PARTLY_CANCELLED"} <= flags(played.state).keys()
    assert played.dispositions == [APPLIED] * 4


def test_gs_8_one_booked_line_of_two_is_partly_shipped() -> None:
    played = Played(placement(("L1", 1), ("L2", 1)), PAID_1, fact("ShipmentBooked", 3, "L1"))
    assert headline(played.state) == "PAID"
    assert "PARTLY_SHIPPED" in flags(played.state)
    assert played.dispositions == [APPLIED, APPLIED]


def test_gs_9_at_an_equal_time_the_news_chain_decides() -> None:
    played = Played(
        placement(), PAID_1, fact("PackagePrepared", 2), fact("ShipmentBooked", 2), fact("PackagePrepared", 2)
    )
    assert headline(played.state) == "AWAITING_PICKUP"
    assert played.dispositions == [APPLIED, APPLIED, APPLIED, DUPLICATE]


def test_gs_10_the_pick_up_closes_a_request_as_too_late() -> None:
    played = Played(
        placement(),
        PAID_1,
        fact("ShipmentBooked", 3),
        fact("CancellationRequested", 4),
        fact("PackagePickedUp", 6),
        fact("CancellationRequestClosed", 5),
    )
    assert headline(played.state) == "IN_TRANSIT"
    assert played.dispositions == [APPLIED, APPLIED, APPLIED, APPLIED, REAFFIRMED]
    closed = next(event for event in played.events if type(event).__name__ == "CancellationRequestClosed")
    assert closed.outcome == "TOO_LATE"


def test_gs_11_a_return_after_completion_is_a_case() -> None:
    played = Played(
        placement(),
        PAID_1,
        fact("PackageDelivered", 6),
        fact("OrderCompleted", 7),
        fact("ReturnStarted", 9),
    )
    assert headline(played.state) == "COMPLETED"
    assert [case.step for case in played.state.cases] == ["ON_THE_WAY"]
    assert played.dispositions == [APPLIED, APPLIED, APPLIED, Disposition.CASE]


def test_gs_12_in_transit_again_solves_a_problem() -> None:
    played = Played(
        placement(),
        PAID_1,
        fact("DeliveryProblemReported", 6),
        fact("PackagePickedUp", 7),
        fact("DeliveryProblemReported", 5),
    )
    assert headline(played.state) == "IN_TRANSIT"
    assert played.dispositions == [APPLIED, APPLIED, APPLIED, LATE]
    assert [type(event).__name__ for event in played.judgements[3].events] == ["DeliveryProblemSolved"]
    assert played.state.parts[0].value is Fulfilment.IN_TRANSIT
