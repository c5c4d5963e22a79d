"""Timers, by the rules alone: what an order's events set, and what is given when one is due (section 19)."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from services.orders.order import commands as c
from services.orders.order.timers import COMPLETION, LAPSE, REMINDER, Timer, given_by, reminds, started
from services.orders.tests.seller import Story, at, confirmed, fact, order_of, paid, shipped

FREE = c.Policies(hold_on_placement=False, hold_on_raise=False, hold_on_reopening=False)
LAPSING = replace(FREE, unpaid_lapse_days=3)


def set_by(story: Story, *commands: c.Command, policies: c.Policies = FREE) -> list[Timer]:
    """What the last of the commands sets."""
    before = None
    for command in commands:
        before = story.state
        story.do(command)
    return list(started(before, story.state, policies))


def delivered(**changed: object) -> Story:
    return shipped(**changed).tell(fact("PackagePickedUp", 50), fact("PackageDelivered", 60))


def test_wf_3_the_delivery_of_a_paid_order_sets_its_completion_after_the_policys_days() -> None:
    story = shipped().tell(fact("PackagePickedUp", 50))
    before = story.state
    story.tell(fact("PackageDelivered", 60))
    (timer,) = started(before, story.state, FREE)
    assert (timer.kind, timer.due_at) == (COMPLETION, at(60) + timedelta(days=7))
    assert given_by(story.state, timer) == c.CompleteOrder()
    # The same timer again is no difference, so nothing is set by what does not matter.
    assert set_by(story, c.TagOrder(add=("penting",))) == []


def test_wf_3_the_timer_never_completes_a_cod_order() -> None:
    story = confirmed(method="COD").do(c.ShipOrder()).tell(fact("AwbIssued", awb="JNE001"))
    story.tell(fact("PackagePickedUp", 50))
    before = story.state
    story.tell(fact("PackageDelivered", 60))
    assert started(before, story.state, FREE) == ()


def test_ti_5_an_obstacle_ends_it_and_its_end_sets_it_again_with_its_old_instant() -> None:
    story = delivered()
    (timer,) = started(None, story.state, FREE)
    story.do(c.HoldOrder(reason="To be looked at."))
    assert given_by(story.state, timer) is None
    assert set_by(story, c.ReleaseOrder()) == [timer]
    story.do(c.OpenReturnCase())
    assert given_by(story.state, timer) is None
    assert set_by(story, c.CloseReturnCase()) == [timer]


def test_ti_4_a_timer_whose_order_has_moved_on_gives_nothing() -> None:
    story = delivered()
    (timer,) = started(None, story.state, FREE)
    assert given_by(story.do(c.CompleteOrder()).state, timer) is None
    assert given_by(delivered().state, replace(timer, delivered_at=at(1))) is None
    assert given_by(delivered().state, replace(timer, episode=2)) is None


def test_wf_5_an_unpaid_order_lapses_only_where_the_policy_says_so() -> None:
    story = Story()
    assert started(None, story.state, FREE) == ()
    (timer,) = started(None, story.state, LAPSING)
    assert story.state.placed_at is not None
    assert (timer.kind, timer.due_at) == (LAPSE, story.state.placed_at + timedelta(days=3))
    command = given_by(story.state, timer)
    assert command == c.CancelOrder(reason="UNPAID", by="SYSTEM")
    assert started(None, Story(order_of(method="COD")).state, LAPSING) == ()
    assert started(None, Story(order_of(method="INVOICE")).state, LAPSING) == ()


def test_ti_7_a_policy_that_is_switched_off_moves_no_timer_already_set() -> None:
    story = Story()
    (timer,) = started(None, story.state, LAPSING)
    assert started(story.state, story.state, FREE) == ()
    assert given_by(story.state, timer) is not None


def test_wf_5_money_and_requests_stand_against_the_lapse() -> None:
    (timer,) = started(None, Story().state, LAPSING)
    assert given_by(paid().state, timer) is None
    asked = Story().do(c.RequestCancellation(reason="OTHER", note="By telephone."))
    assert given_by(asked.state, timer) is None
    assert LAPSE in {each.kind for each in set_by(asked, c.ReopenOrder(), policies=LAPSING)}
    assert LAPSE in {each.kind for each in set_by(paid(), c.ReversePayment(), policies=LAPSING)}


def test_wf_5_a_reopened_order_lapses_from_its_reopening_in_its_new_episode() -> None:
    story = Story().do(c.CancelOrder(reason="OTHER"))
    (timer,) = set_by(story, c.ReopenOrder(allow_backorder=True), policies=LAPSING)
    assert (timer.episode, timer.due_at) == (2, at(story.minutes) + timedelta(days=3))


def test_cr_5_an_open_request_is_reminded_of_after_a_day() -> None:
    story = confirmed()
    (timer,) = set_by(story, c.RequestCancellation(reason="OTHER", note="By telephone."))
    assert (timer.kind, timer.due_at) == (REMINDER, at(story.minutes) + timedelta(hours=24))
    assert reminds(story.state, timer)
    assert given_by(story.state, timer) is None
    story.do(c.ReopenOrder())
    assert not reminds(story.state, timer)
    # A later request is another one, with a reminder of its own.
    story.do(c.RequestCancellation(reason="OTHER", note="Again."))
    assert not reminds(story.state, timer)


@pytest.mark.parametrize("kind", [COMPLETION, LAPSE])
def test_a_reminder_is_no_command_and_a_command_no_reminder(kind: str) -> None:
    assert not reminds(confirmed().state, Timer(kind, at(0), 1))
