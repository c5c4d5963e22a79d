"""Which rows of timers must and may stand, by the events alone (TI-9)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order.events import Actor
from services.orders.order.timer_history import TimersExpected, expected
from services.orders.order.timers import CALLER, COMPLETION, LAPSE, REMINDER, Timer
from services.orders.tests.seller import Story, at, fact, line, paid
from services.orders.tests.test_order_timers import LAPSING, SLOWER, VERSIONS, delivered, lapsing, timer_of

DAY = timedelta(days=1)
LATER = at(0) + 60 * DAY


def told(story: Story, now: datetime, recorded: dict[int, datetime] | None = None) -> TimersExpected:
    """What must and may stand of a story; events are recorded when they happen unless said otherwise."""
    history: list[tuple[Any, datetime]] = []
    for number, event in enumerate(story.events, start=1):
        at_least = history[-1][1] if history else at(0)
        history.append((event, max(at_least, (recorded or {}).get(number, event.at))))
    return expected(history, now, VERSIONS.__getitem__)


def test_a_timer_that_is_not_due_must_stand_whatever_is_in_its_way() -> None:
    story = lapsing()
    timer = timer_of(story, LAPSE)
    assert told(story, at(2)) == TimersExpected(frozenset({timer}), frozenset({timer}))
    story.do(c.ConfirmOrder(), c.ConfirmPayment())
    assert told(story, at(5)).must == {timer}


def test_a_due_timer_must_stand_only_where_nothing_is_in_its_way() -> None:
    story = delivered()
    timer = timer_of(story, COMPLETION)
    assert told(story, LATER).must == {timer}
    story.do(c.HoldOrder(reason="To be looked at."))
    assert told(story, LATER) == TimersExpected(frozenset(), frozenset({timer}))
    story.do(c.ReleaseOrder())
    assert told(story, LATER).must == {timer}


def test_ti_6_a_timer_that_has_become_pointless_may_stand_and_need_not() -> None:
    story = delivered()
    timer = timer_of(story, COMPLETION)
    story.do(c.CompleteOrder())
    assert told(story, at(100)) == TimersExpected(frozenset(), frozenset({timer}))


def test_ti_5_a_lapse_that_may_have_ended_while_there_was_money_need_not_stand() -> None:
    story = lapsing().do(c.ConfirmOrder(), c.ConfirmPayment(), c.ReversePayment())
    timer = timer_of(story, LAPSE)
    # Reversed before it was due: the row has stood all the time.
    assert told(story, LATER).must == {timer}
    # Reversed after: it ended when it came due, unless no one was there to fire it.
    late = {len(story.events): timer.due_at + DAY}
    assert told(story, LATER, late) == TimersExpected(frozenset(), frozenset({timer}))


def test_ti_3_a_timer_that_has_fired_must_not_stand() -> None:
    story = delivered()
    timer = timer_of(story, COMPLETION)
    story.do(c.CompleteOrder(), caller=CALLER, actor=Actor.SYSTEM)
    assert told(story, LATER) == TimersExpected(frozenset(), frozenset())
    by_hand = delivered().do(c.CompleteOrder(), actor=Actor.OWNER)
    assert told(by_hand, LATER).may == {timer}


def test_cr_5_a_reminder_goes_with_its_firing_and_the_next_one_stands() -> None:
    story = Story().do(c.RequestCancellation(reason="OTHER", note="By telephone."))
    timer = timer_of(story, REMINDER)
    assert told(story, at(5)).must == {timer}
    fired_at = timer.due_at + timedelta(minutes=7)
    reminded = e.ReminderDue(
        at=fired_at, actor=Actor.SYSTEM, caller=CALLER, about="CANCELLATION_REQUEST", event=timer.event
    )
    story.events.append(reminded)
    following = replace(timer, due_at=fired_at + DAY)
    assert told(story, LATER) == TimersExpected(frozenset({following}), frozenset({following}))


@pytest.mark.parametrize("changed", [{"due_at": at(1)}, {"episode": 2}, {"delivered_at": at(1)}])
def test_a_row_that_no_event_has_set_may_not_stand(changed: dict[str, Any]) -> None:
    story = delivered()
    planted = replace(timer_of(story, COMPLETION), **changed)
    assert planted not in told(story, at(100)).may


def test_ti_7_the_policy_of_the_event_that_set_it_gives_the_instant() -> None:
    story = lapsing().do(c.TagOrder(add=("penting",)), policies=SLOWER)
    assert {timer.due_at for timer in told(story, at(5)).must} == {
        at(1) + DAY * (LAPSING.unpaid_lapse_days or 0)
    }


def test_a_later_delivery_has_a_timer_of_its_own() -> None:
    story = paid(line(sku="A", warehouse="WH-1"), line(sku="B", warehouse="WH-2")).do(c.ShipOrder())
    packages = [package.id for package in story.state.packages]
    for number, package in enumerate(packages):
        story.tell(fact("AwbIssued", package=package, awb=f"JNE00{number}"))
        story.tell(fact("PackagePickedUp", 50, package))
        story.tell(fact("PackageDelivered", 60 + number, package))
    assert {(timer.kind, timer.delivered_at) for timer in told(story, at(70)).may} == {(COMPLETION, at(61))}


def test_an_order_without_events_has_no_timers() -> None:
    assert expected([], LATER, VERSIONS.__getitem__) == TimersExpected(frozenset(), frozenset())
    assert Timer(LAPSE, at(0), 1) not in expected([], LATER, VERSIONS.__getitem__).may
