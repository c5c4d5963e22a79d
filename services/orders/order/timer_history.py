"""Which rows of timers must stand, and which may, by what has happened to an order (TI-9). Pure; no clock.

A timer that ends without an effect leaves no event, so between what must stand and what must not lies what
may: a row that came due where the order did not stand is gone or about to go; both are right (TI-4, TI-6).
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from msgspec import Struct

from services.orders.order.events import Event, Instant, OrderCancelled, OrderCompleted, ReminderDue
from services.orders.order.state import Order, evolve
from services.orders.order.timers import (
    CALLER,
    COMPLETION,
    LAPSE,
    REMINDER,
    PoliciesOf,
    Timer,
    is_given,
    is_hindered,
    is_pointless,
    timers_of,
)

# Whoever fires has another clock than the store: an instant that is this near counts as past.
CLOCKS_APART: Final = timedelta(minutes=1)


class TimersExpected(Struct, frozen=True):
    """Rows that must stand, and all rows that may."""

    must: frozenset[Timer]
    may: frozenset[Timer]


def expected(
    history: Iterable[tuple[Event, Instant]], at: Instant, policies_of: PoliciesOf
) -> TimersExpected:
    """What an order's events, each with the instant of its record, say of its timers at an instant.

    What must stand: what is not due yet and not pointless; and what is due and not hindered, unless the order
    came to stand there again when the timer may have ended already.
    """
    order: Order | None = None
    sure: dict[Timer, bool] = {}
    fired: set[Timer] = set()
    for event, recorded_at in history:
        before, order = order, evolve(order, event)
        if before is not None:
            fired |= _fired(before, event, policies_of)
            for timer, was in sure.items():
                sure[timer] = _still_sure(timer, was, before, order, recorded_at)
        for timer in timers_of(order, policies_of):
            sure.setdefault(timer, True)
    may = frozenset(sure) - fired
    if order is None:
        return TimersExpected(frozenset(), may)
    must = [
        timer
        for timer in may
        if not is_pointless(order, timer)
        and (timer.due_at > at + CLOCKS_APART or (sure[timer] and is_given(order, timer)))
    ]
    return TimersExpected(frozenset(must), may)


def _still_sure(timer: Timer, was: bool, before: Order, after: Order, recorded_at: Instant) -> bool:
    """Whether a due row must stand after an event, if the timer is given then."""
    if not is_given(after, timer) or is_given(before, timer):
        return was
    if is_hindered(before, timer):
        # TI-5: this event sets it again.
        return True
    return was and recorded_at < timer.due_at - CLOCKS_APART


def _fired(before: Order, event: Event, policies_of: PoliciesOf) -> set[Timer]:
    """The timers whose effect the event is; their rows went in its append (TI-3)."""
    if event.caller != CALLER:
        return set()
    kinds = {ReminderDue: REMINDER, OrderCompleted: COMPLETION, OrderCancelled: LAPSE}
    kind = kinds.get(type(event))
    return {timer for timer in timers_of(before, policies_of) if timer.kind == kind}
