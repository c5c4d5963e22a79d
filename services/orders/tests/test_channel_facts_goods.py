"""Undoing, cancelling, completing, doubts, notes and packages: MK-10 to MK-20, each rule by its name."""

from services.orders.order import money
from services.orders.order.channel_facts import (
    Disposition,
)
from services.orders.order.headline import flags, headline, view
from services.orders.order.model import Fulfilment, Status
from services.orders.tests.facts import PRICE, Played, fact, placement, prepaid, values


def test_mk_10_news_without_a_time_moves_no_watermark() -> None:
    played = prepaid(
        fact("PackagePrepared", 2), fact("PackagePickedUp", None), fact("DeliveryProblemReported", 3)
    )
    assert played.dispositions[1:] == [Disposition.APPLIED] * 3


def test_mk_10_a_failed_payment_without_a_time_is_no_step_forward() -> None:
    played = Played(placement(), fact("PaymentAwaited", 1), fact("PaymentFailed", None))
    assert played.last.disposition is Disposition.LATE
    assert played.last.read_wanted


def test_mk_11_an_undone_booking_voids_its_awb_for_good() -> None:
    played = prepaid(
        fact("ShipmentBooked", 3, awb="AWB-1"),
        fact("ShipmentCancelled", 4),
        fact("ShipmentBooked", 5, awb="AWB-1"),
    )
    assert played.state.void_awbs == ("AWB-1",)
    assert view(played.state)["packages"][0]["awb"] is None


def test_mk_12_cancellation_undoes_the_booking_and_opens_the_refund() -> None:
    played = prepaid(fact("ShipmentBooked", 3, awb="AWB-1"), fact("OrderCancelled", 4, by="BUYER"))
    assert played.names == ["ShipmentCancelled", "OrderCancelled", "RefundDueChanged"]
    assert played.told[1].by == "BUYER"
    assert played.state.void_awbs == ("AWB-1",)
    assert played.state.packages == ()


def test_mk_12_lines_are_cancelled_one_by_one_and_with_the_last_the_order() -> None:
    lines = (("L1", 1), ("L2", 2))
    played = prepaid(fact("OrderCancelled", 4, "L1"), lines=lines)
    assert played.names == ["LinesCancelled", "RefundDueChanged"]
    assert "PARTLY_CANCELLED" in flags(played.state)
    assert (money.total(played.state), money.refund_due(played.state)) == (2 * PRICE, PRICE)
    played.then(fact("OrderCancelled", 5, "L2"))
    assert played.names[0] == "OrderCancelled"
    assert played.state.status is Status.CANCELLED


def test_mk_12_a_cancellation_takes_what_is_not_picked_up_and_conflicts_with_the_rest() -> None:
    played = prepaid(
        fact("PackagePickedUp", 4, "L1"), fact("OrderCancelled", 5), lines=(("L1", 1), ("L2", 1))
    )
    assert values(played.state) == {"L1": ["1 IN_TRANSIT"], "L2": ["1 CANCELLED"]}
    assert "CHANNEL_CONFLICT" in flags(played.state)
    assert played.last.read_wanted


def test_mk_12_the_request_that_was_accepted_is_closed_without_a_watermark() -> None:
    played = prepaid(fact("CancellationRequested", 4), fact("OrderCancelled", 6))
    assert played.told[0].accepted
    assert played.state.request is None
    assert played.then(fact("CancellationRequestClosed", 5)).last.disposition is Disposition.REAFFIRMED


def test_mk_13_the_order_is_completed_with_its_last_line() -> None:
    lines = (("L1", 1), ("L2", 1), ("L3", 1))
    played = prepaid(fact("OrderCompleted", 7, "L1"), fact("PackageLostOrDamaged", 6, "L2"), lines=lines)
    assert played.state.status is Status.CONFIRMED
    assert [type(event).__name__ for event in played.judgements[2].events][-1] == "LinesAccepted"
    played.then(fact("OrderCancelled", 3, "L3"))
    assert played.names[:2] == ["LinesCancelled", "OrderCompleted"]
    assert headline(played.state) == "COMPLETED"


def test_mk_13_a_return_of_an_accepted_line_is_a_case() -> None:
    played = prepaid(
        fact("OrderCompleted", 7, "L1"),
        fact("ReturnStarted", 8, "L1"),
        fact("ReturnReceived", 9, "L1"),
        lines=(("L1", 1), ("L2", 1)),
    )
    assert played.dispositions[2:] == [Disposition.CASE, Disposition.CASE]
    assert [case.step for case in played.state.cases] == ["RECEIVED"]
    assert played.state.parts[0].value is Fulfilment.DELIVERED


def test_mk_13_a_return_case_opens_and_closes_in_any_order() -> None:
    opened, closed = (
        fact("ReturnCaseOpened", 5, "L1", case="C1"),
        fact("ReturnCaseClosed", 6, "L1", case="C1"),
    )
    for arrival in ([opened, closed], [closed, opened]):
        played = prepaid(fact("PackageDelivered", 4), *arrival)
        assert [(case.id, case.step) for case in played.state.cases] == [("C1", "CLOSED")]
        assert values(played.state) == {"L1": ["1 DELIVERED"]}


def test_mk_14_news_of_a_line_that_is_not_in_the_order_is_a_conflict() -> None:
    played = prepaid(fact("PackagePrepared", 3, "L9"))
    assert played.last.disposition is Disposition.CONFLICT
    assert played.last.read_wanted


def test_mk_15_later_known_news_of_the_line_clears_what_was_not_recognised() -> None:
    lines = (("L1", 1), ("L2", 1))
    played = prepaid(fact("UnknownStatusReported", 5, "L2", status="teleported"), lines=lines)
    assert flags(played.state)["UNRECOGNISED"] == [{"line": "L2", "quantity": 1}]
    before = headline(played.state)
    played.then(fact("PackagePickedUp", 6, "L1"))
    assert "UNRECOGNISED" in flags(played.state)
    played.then(fact("PackagePickedUp", 6, "L2"))
    assert "UNRECOGNISED" not in flags(played.state)
    assert before == "PAID"


def test_mk_15_an_unknown_status_that_known_news_has_overtaken_raises_nothing() -> None:
    played = prepaid(fact("PackagePickedUp", 6), fact("UnknownStatusReported", 5))
    assert played.last.disposition is Disposition.UNRECOGNISED
    assert "UNRECOGNISED" not in flags(played.state)


def test_mk_15_a_newer_translation_is_judged_with_its_original_time() -> None:
    played = prepaid(
        fact("UnknownStatusReported", 5, status="teleported"), fact("PackagePickedUp", 5, status="teleported")
    )
    assert played.last.disposition is Disposition.APPLIED
    assert "UNRECOGNISED" not in flags(played.state)


def test_mk_16_the_newest_note_on_a_hold_counts() -> None:
    played = prepaid(fact("ChannelNote", 5, on_hold=False), fact("ChannelNote", 4, on_hold=True))
    assert "ON_HOLD" not in flags(played.state)
    played.then(fact("ChannelNote", 6, on_hold=True))
    assert "ON_HOLD" in flags(played.state)


def test_mk_18_a_part_splits_when_a_smaller_quantity_is_named() -> None:
    played = prepaid(fact("PackagePickedUp", 4, "L1", quantity=2), lines=(("L1", 3),))
    assert values(played.state) == {"L1": ["1 NOT_STARTED", "2 IN_TRANSIT"]}
    played.then(fact("ShipmentBooked", 3, "L1", quantity=2))
    assert played.last.disposition is Disposition.LATE
    played.then(fact("OrderCancelled", 5, "L1", quantity=1))
    assert values(played.state) == {"L1": ["1 CANCELLED", "2 IN_TRANSIT"]}


def test_mk_18_lines_of_one_package_move_together() -> None:
    lines = (("L1", 1), ("L2", 1), ("L3", 1))
    played = prepaid(
        fact("PackagePrepared", 2, "L1", package="PK1"),
        fact("PackagePrepared", 2, "L2", package="PK1"),
        fact("PackagePickedUp", 5, of_package="PK1"),
        lines=lines,
    )
    assert values(played.state) == {"L1": ["1 IN_TRANSIT"], "L2": ["1 IN_TRANSIT"], "L3": ["1 NOT_STARTED"]}


def test_mk_18_news_of_a_package_reaches_lines_that_are_named_in_it_later() -> None:
    lines = (("L1", 1), ("L2", 1))
    played = prepaid(fact("PackagePickedUp", 5, of_package="PK1"), lines=lines)
    assert played.last.disposition is Disposition.NOTE
    assert played.last.read_wanted
    played.then(fact("PackagePrepared", 2, "L1", package="PK1"))
    assert values(played.state) == {"L1": ["1 IN_TRANSIT"], "L2": ["1 NOT_STARTED"]}


def test_mk_19_a_return_restocks_nothing() -> None:
    """CR-14: the public event names the goods; what becomes of them is a decision of its own."""
    played = prepaid(fact("ReturnReceived", 5))
    assert played.names[-1] == "ReturnReceived"
    assert played.state.parts[0].value is Fulfilment.RETURNED


def test_mk_20_expected_fees_are_stored_once_and_change_nothing() -> None:
    fees = fact("ExpectedFeesFrozen", 2, schedule=1)
    played = prepaid(fees)
    before = view(played.state) | {"sequence": 0}
    assert played.names == ["ExpectedFeesFrozen"]
    assert not played.then(fees).told
    assert view(played.state) | {"sequence": 0} == before


def test_inv_9_a_line_left_behind_in_a_package_waits_for_an_awb_of_its_own() -> None:
    played = prepaid(
        fact("PackagePrepared", 2),
        fact("PackagePickedUp", 3, "L1", awb="AWB-1"),
        fact("PackageDelivered", 4, "L1", package="PK1"),
        lines=(("L1", 1), ("L2", 1)),
    )
    shown = {each["package"]: each["awb"] for each in view(played.state)["packages"]}
    assert shown == {"#1": None, "PK1": "AWB-1"}
