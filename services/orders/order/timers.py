"""Timers: what is set by an order's events, and what one gives when it is due (section 19). Pure; no clock.

A timer carries what it was set for. When it is due it gives its command only if the order still stands there
and nothing is in the way; otherwise it ends (TI-4, TI-5). What removes the obstacle sets it again with its
old instant, also when the policy that gave it has changed: events keep the version of the policies that they
were decided by (CV-6, TI-7), and the order that of each event which a timer of its counts from.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta

from msgspec import Struct

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.commands import Policies
from services.orders.order.decide_closing import UNPAID
from services.orders.order.events import CaseStep, Instant, Method
from services.orders.order.model import Coverage, Order, Status, Transaction
from services.orders.order.parts import active, in_shipping, last_arrival

COMPLETION = "AUTOMATIC_COMPLETION"
LAPSE = "UNPAID_LAPSE"
REMINDER = "OPEN_REQUEST_REMINDER"
# CR-5: the seller is reminded daily.
REMIND_AFTER = timedelta(hours=24)
# The caller that events of a timer name (SR-5).
CALLER = "timers"

PoliciesOf = Callable[[int], Policies]
"""The seller's policies by the number of their version."""

_LIVE = frozenset({Status.NEW, Status.CONFIRMED})


class Timer(Struct, frozen=True):
    """Something to be done at an instant, and what it is guarded by."""

    kind: str
    due_at: Instant
    episode: int
    # The delivery that completion counts from, or the number of the event that opened the request.
    delivered_at: Instant | None = None
    event: int = 0


def versions(order: Order) -> frozenset[int]:
    """The versions of the policies that the order's timers were set by."""
    return frozenset({order.began_under, order.arrived_under})


def timers_of(order: Order, policies_of: PoliciesOf) -> Iterator[Timer]:
    """What was set for the order where it stands now, whatever is in its way; nothing of a marketplace's."""
    if order.source == "CHANNEL":
        return
    delivered = last_arrival(order)
    if delivered is not None and order.method is not Method.COD:
        days = policies_of(order.arrived_under).completion_days
        yield Timer(COMPLETION, delivered + timedelta(days=days), order.episode, delivered_at=delivered)
    since = order.reopened_at or order.placed_at
    lapse_days = policies_of(order.began_under).unpaid_lapse_days
    if lapse_days is not None and since is not None:
        yield Timer(LAPSE, since + timedelta(days=lapse_days), order.episode)
    request = order.request
    if request is not None and request.at is not None:
        last = request.reminded_at or request.at
        yield Timer(REMINDER, last + REMIND_AFTER, order.episode, event=request.event)


def started(before: Order | None, after: Order, policies_of: PoliciesOf) -> tuple[Timer, ...]:
    """The timers that a decision sets, to be written in its append (TI-2).

    They are those that the order did not have, and those whose last obstacle the decision removes (TI-5).
    """
    known = frozenset() if before is None else frozenset(timers_of(before, policies_of))
    return tuple(
        timer
        for timer in timers_of(after, policies_of)
        if timer not in known
        or (before is not None and is_hindered(before, timer) and is_given(after, timer))
    )


def is_given(order: Order, timer: Timer) -> bool:
    """Whether the timer would have its effect on the order as it stands."""
    return _concerns(order, timer) and not _obstacle(order, timer)


def is_hindered(order: Order, timer: Timer) -> bool:
    """Whether only an obstacle of TI-5 stands against the timer, so that its removal sets the timer again."""
    return _concerns(order, timer) and _obstacle(order, timer)


def is_pointless(order: Order, timer: Timer) -> bool:
    """Whether nothing can happen to the order by which the timer has its effect (TI-6)."""
    if order.status not in _LIVE or timer.episode != order.episode:
        return True
    if timer.kind == COMPLETION:
        return last_arrival(order) != timer.delivered_at
    return timer.kind == REMINDER and not reminds(order, timer)


def _concerns(order: Order, timer: Timer) -> bool:
    """Whether the order stands where the timer was set, but for what TI-5 calls an obstacle."""
    if is_pointless(order, timer):
        return False
    if timer.kind == COMPLETION:
        # WF-3: the timer never completes a COD order.
        return order.status is Status.CONFIRMED and order.method is not Method.COD
    if timer.kind == LAPSE:
        return _is_unpaid(order)
    return True


def _is_unpaid(order: Order) -> bool:
    """WF-5: nothing is paid of it, and it may still be cancelled (T8)."""
    return (
        order.method in {Method.TRANSFER, Method.GATEWAY}
        and money.coverage(order) is Coverage.UNPAID
        and not any(in_shipping(part) for part in active(order))
    )


def _obstacle(order: Order, timer: Timer) -> bool:
    """TI-5: what stands against WF-3 or WF-5 and may go away again. Nothing stands against a reminder."""
    if timer.kind == COMPLETION:
        return (
            money.coverage(order) is not Coverage.PAID
            or order.on_hold
            or order.request is not None
            or any(case.step is not CaseStep.CLOSED for case in order.cases)
        )
    if timer.kind == LAPSE:
        running = {Transaction.PROCESSING, Transaction.SUCCEEDED}
        return order.request is not None or order.transaction in running
    return False


def given_by(order: Order, timer: Timer) -> c.Command | None:
    """The command that a due timer gives, or None when the order no longer stands where it was set (TI-4)."""
    if not is_given(order, timer):
        return None
    if timer.kind == COMPLETION:
        return c.CompleteOrder()
    return c.CancelOrder(reason=UNPAID, by="SYSTEM") if timer.kind == LAPSE else None


def reminds(order: Order, timer: Timer) -> bool:
    """Whether a due reminder still has something to remind of (CR-5), and has not done so (TI-3)."""
    request = order.request
    return (
        timer.kind == REMINDER
        and timer.episode == order.episode
        and request is not None
        and request.at is not None
        and request.event == timer.event
        and (request.reminded_at or request.at) + REMIND_AFTER == timer.due_at
    )
