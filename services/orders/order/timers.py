"""Timers: what is set by an order's events, and what one gives when it is due (section 19). Pure; no clock.

A timer carries what it was set for. When it is due it gives its command only if the order still stands there
and nothing is in the way; otherwise it ends (TI-4, TI-5). What removes the obstacle sets it again: timers are
the difference between what an order wanted before an event and what it wants after it.
"""

from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.commands import Policies
from services.orders.order.decide_closing import UNPAID
from services.orders.order.events import CaseStep, Instant, Method
from services.orders.order.model import Coverage, Fulfilment, Order, Status, Transaction
from services.orders.order.parts import active, aggregate
from services.orders.order.situations import arrived_at

COMPLETION = "AUTOMATIC_COMPLETION"
LAPSE = "UNPAID_LAPSE"
REMINDER = "OPEN_REQUEST_REMINDER"
# CR-5: the seller is reminded daily.
REMIND_AFTER = timedelta(hours=24)

_LIVE = frozenset({Status.NEW, Status.CONFIRMED})


class Timer(Struct, frozen=True):
    """Something to be done at an instant, and what it is guarded by."""

    kind: str
    due_at: Instant
    episode: int
    # The delivery that completion counts from, or the number of the event that opened the request.
    delivered_at: Instant | None = None
    event: int = 0


def started(before: Order | None, after: Order, policies: Policies) -> tuple[Timer, ...]:
    """The timers that a decision sets, to be written in its append (TI-2)."""
    known = set() if before is None else set(_wanted(before, policies))
    return tuple(timer for timer in _wanted(after, policies) if timer not in known)


def _wanted(order: Order, policies: Policies) -> Iterator[Timer]:
    """What is to happen to the order as it stands when time passes; nothing of a marketplace's order."""
    delivered = _delivered(order)
    if delivered is not None and may_complete(order):
        due = delivered + timedelta(days=policies.completion_days)
        yield Timer(COMPLETION, due, order.episode, delivered_at=delivered)
    since = order.reopened_at or order.placed_at
    if policies.unpaid_lapse_days is not None and since is not None and may_lapse(order):
        yield Timer(LAPSE, since + timedelta(days=policies.unpaid_lapse_days), order.episode)
    request = order.request
    if order.source != "CHANNEL" and request is not None and request.at is not None:
        yield Timer(REMINDER, request.at + REMIND_AFTER, order.episode, event=request.event)


def _delivered(order: Order) -> Instant | None:
    """The latest delivery among the active parts, once the aggregate is DELIVERED (WF-3)."""
    if aggregate(order) is not Fulfilment.DELIVERED:
        return None
    times = [arrived_at(part) for part in active(order) if part.value is Fulfilment.DELIVERED]
    return max((time for time in times if time is not None), default=None)


def may_complete(order: Order) -> bool:
    """WF-3: by the timer never a COD order, and only if coverage is PAID and nothing stands against it."""
    return (
        order.source != "CHANNEL"
        and order.method is not Method.COD
        and order.status is Status.CONFIRMED
        and money.coverage(order) is Coverage.PAID
        and not order.on_hold
        and order.request is None
        and all(case.step is CaseStep.CLOSED for case in order.cases)
    )


def may_lapse(order: Order) -> bool:
    """WF-5: unpaid, no money on its way, no request open."""
    return (
        order.source != "CHANNEL"
        and order.method in {Method.TRANSFER, Method.GATEWAY}
        and order.status in _LIVE
        and money.coverage(order) is Coverage.UNPAID
        and order.transaction in {Transaction.NONE, Transaction.AWAITING}
        and order.request is None
    )


def given_by(order: Order, timer: Timer) -> c.Command | None:
    """The command that a due timer gives, or None when the order no longer stands where it was set (TI-4)."""
    if timer.episode != order.episode:
        return None
    if timer.kind == COMPLETION and may_complete(order) and _delivered(order) == timer.delivered_at:
        return c.CompleteOrder()
    if timer.kind == LAPSE and may_lapse(order):
        return c.CancelOrder(reason=UNPAID, by="SYSTEM")
    return None


def reminds(order: Order, timer: Timer) -> bool:
    """Whether a due reminder still has something to remind of (CR-5)."""
    return (
        timer.kind == REMINDER
        and timer.episode == order.episode
        and order.request is not None
        and order.request.event == timer.event
    )
