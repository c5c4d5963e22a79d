"""Timers, by the rules alone: what an order's events set, and what is given when one is due (section 19)."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from services.orders.order import commands as c
from services.orders.order.events import Actor
from services.orders.order.state import Order
from services.orders.order.timers import (
    COMPLETION,
    LAPSE,
    REMINDER,
    Timer,
    given_by,
    reminds,
    started,
    timers_of,
)
from services.orders.tests.seller import Story, at, confirmed, fact, order_of, paid, shipped

FREE = c.Policies()
LAPSING = replace(FREE, version=1, unpaid_lapse_days=3)
SLOWER = replace(FREE, version=2, unpaid_lapse_days=9, completion_days=30)
VERSIONS = (FREE, LAPSING, SLOWER)
LONG = timedelta(days=365)


def started_by(before: Order | None, after: Order) -> list[Timer]:
    return list(started(before, after, VERSIONS.__getitem__))


def timer_of(story: Story, kind: str) -> Timer:
    (found,) = [each for each in timers_of(story.state, VERSIONS.__getitem__) if each.kind == kind]
    return found


def set_by(story: Story, *commands: c.Command, policies: c.Policies = FREE) -> list[Timer]:
    """What the last of the commands sets."""
    before = None
    for command in commands:
        before = story.state
        story.do(command, policies=policies)
    return started_by(before, story.state)


def told(story: Story, *facts: object, actor: Actor = Actor.GATEWAY) -> list[Timer]:
    """What the last of the facts sets."""
    before = None
    for each in facts:
        before = story.state
        story.tell(each, actor=actor)  # type: ignore[arg-type]  # Facts of the one builder.
    return started_by(before, story.state)


def lapsing(**changed: object) -> Story:
    return Story(order_of(**changed), policies=LAPSING)  # type: ignore[arg-type]  # As the builder takes.


def delivered(**changed: object) -> Story:
    return shipped(**changed).tell(fact("PackagePickedUp", 50), fact("PackageDelivered", 60))


def test_wf_3_the_delivery_of_a_paid_order_sets_its_completion_after_the_policys_days() -> None:
    story = shipped().tell(fact("PackagePickedUp", 50))
    (timer,) = told(story, fact("PackageDelivered", 60), actor=Actor.COURIER)
    assert (timer.kind, timer.due_at) == (COMPLETION, at(60) + timedelta(days=7))
    assert given_by(story.state, timer) == c.CompleteOrder()
    # The same timer again is no difference, so nothing is set by what does not matter.
    assert set_by(story, c.TagOrder(add=("penting",))) == []


def test_wf_3_the_timer_never_completes_a_cod_order() -> None:
    story = confirmed(method="COD").do(c.ShipOrder()).tell(fact("AwbIssued", awb="JNE001"))
    story.tell(fact("PackagePickedUp", 50))
    assert told(story, fact("PackageDelivered", 60), actor=Actor.COURIER) == []


def test_wf_3_completion_counts_from_the_latest_delivery_even_where_a_cancelled_line_brings_it() -> None:
    lines = (c.NewLine(quantity=1, unit_price=9, sku=sku, name=sku) for sku in "AB")
    story = paid(*lines).do(c.ShipOrder(parts=(c.ScopedPart(line="1"),)))
    story.tell(fact("AwbIssued", awb="JNE001"), fact("PackagePickedUp", 50))
    assert told(story, fact("PackageDelivered", 60), actor=Actor.COURIER) == []
    cancel = c.CancelLines(parts=(c.ScopedPart(line="2"),), reason="OTHER")
    (timer,) = set_by(story, cancel, policies=SLOWER)
    assert (timer.delivered_at, timer.due_at) == (at(60), at(60) + timedelta(days=30))


OBSTACLES: dict[str, tuple[c.Command, c.Command]] = {
    "hold": (c.HoldOrder(reason="To be looked at."), c.ReleaseOrder()),
    "return case": (c.OpenReturnCase(), c.CloseReturnCase()),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_ti_5_what_removes_an_obstacle_sets_completion_with_its_old_instant(obstacle: str) -> None:
    begin, end = OBSTACLES[obstacle]
    story = delivered()
    timer = timer_of(story, COMPLETION)
    assert set_by(story, begin) == []
    assert given_by(story.state, timer) is None
    # TI-7: the policy of today moves no timer that is set already.
    assert set_by(story, end, policies=SLOWER) == [timer]
    assert given_by(story.state, timer) == c.CompleteOrder()


def test_ti_5_the_payment_of_a_delivered_bill_sets_completion_with_its_old_instant() -> None:
    story = confirmed(method="INVOICE").do(c.CreateBill(), c.IssueBill(), c.ShipOrder())
    story.tell(fact("AwbIssued", awb="JNE001"), fact("PackagePickedUp", 50))
    (timer,) = told(story, fact("PackageDelivered", 60), actor=Actor.COURIER)
    assert given_by(story.state, timer) is None
    assert set_by(story, c.ConfirmPayment(), policies=SLOWER) == [timer]
    assert given_by(story.state, timer) == c.CompleteOrder()


def test_ti_5_the_last_of_two_obstacles_sets_it_again() -> None:
    story = delivered().do(c.HoldOrder(reason="First."), c.OpenReturnCase())
    timer = timer_of(story, COMPLETION)
    assert set_by(story, c.ReleaseOrder()) == []
    assert set_by(story, c.CloseReturnCase()) == [timer]


def test_ti_5_a_request_that_is_closed_sets_the_lapse_with_its_old_instant() -> None:
    story = lapsing()
    timer = timer_of(story, LAPSE)
    asked = set_by(story, c.RequestCancellation(reason="OTHER", note="By telephone."), policies=SLOWER)
    assert [each.kind for each in asked] == [REMINDER]
    assert given_by(story.state, timer) is None
    assert set_by(story, c.ReopenOrder(), policies=SLOWER) == [timer]


@pytest.mark.parametrize("policies", [LAPSING, SLOWER, FREE])
def test_ti_5_a_payment_in_process_that_fails_sets_the_lapse_with_its_old_instant(
    policies: c.Policies,
) -> None:
    story = lapsing(method="GATEWAY")
    timer = timer_of(story, LAPSE)
    story.told["policies"] = policies
    started_facts = (fact("PaymentAwaited", 4, reference="G-1"), fact("PaymentProcessingStarted", 5))
    assert told(story, *started_facts) == []
    assert given_by(story.state, timer) is None
    assert told(story, fact("PaymentFailed", 6, reference="G-1")) == [timer]


def test_ti_5_a_lapse_that_money_ended_is_not_set_again_when_the_money_is_reversed() -> None:
    story = lapsing().do(c.ConfirmOrder(), c.ConfirmPayment())
    assert given_by(story.state, timer_of(story, LAPSE)) is None
    # Coverage is no obstacle that TI-5 names for WF-5: if the row is there still it counts, else it is over.
    assert set_by(story, c.ReversePayment(), policies=LAPSING) == []
    assert given_by(story.state, timer_of(story, LAPSE)) is not None


def test_ti_4_a_timer_whose_order_has_moved_on_gives_nothing() -> None:
    timer = timer_of(delivered(), COMPLETION)
    assert given_by(delivered().do(c.CompleteOrder()).state, timer) is None
    assert given_by(delivered().state, replace(timer, delivered_at=at(1))) is None
    assert given_by(delivered().state, replace(timer, episode=2)) is None


def test_wf_5_an_unpaid_order_lapses_only_where_the_policy_says_so() -> None:
    assert started_by(None, Story().state) == []
    story = lapsing()
    (timer,) = started_by(None, story.state)
    assert story.state.placed_at is not None
    assert (timer.kind, timer.due_at) == (LAPSE, story.state.placed_at + timedelta(days=3))
    assert given_by(story.state, timer) == c.CancelOrder(reason="UNPAID", by="SYSTEM")


@pytest.mark.parametrize("method", ["COD", "INVOICE"])
def test_wf_5_only_orders_by_transfer_or_gateway_lapse(method: str) -> None:
    # The row is set by the placement whatever the method, which an edit may change before it is due.
    assert given_by(lapsing(method=method).state, timer_of(lapsing(method=method), LAPSE)) is None


def test_wf_5_an_edit_to_transfer_brings_no_lapse_anew() -> None:
    story = lapsing(method="COD")
    timer = timer_of(story, LAPSE)
    assert set_by(story, c.EditOrder(payment_method="TRANSFER"), policies=LAPSING) == []
    assert given_by(story.state, timer) is not None


def test_ti_7_a_changed_policy_moves_no_timer_already_set() -> None:
    story = lapsing()
    timer = timer_of(story, LAPSE)
    for policies in (FREE, SLOWER):
        assert set_by(story, c.TagOrder(add=(f"v{policies.version}",)), policies=policies) == []
        assert timer_of(story, LAPSE) == timer
        assert given_by(story.state, timer) is not None


def test_sr_9_a_policy_that_comes_later_lapses_no_order_placed_before() -> None:
    assert set_by(Story(), c.TagOrder(add=("penting",)), policies=LAPSING) == []


def test_wf_5_money_stands_against_the_lapse() -> None:
    timer = timer_of(lapsing(), LAPSE)
    assert given_by(paid().state, timer) is None


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
