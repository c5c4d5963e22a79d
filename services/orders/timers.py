"""What is due: a timer's command is decided, and its row removed in the append of the effect (TI-3).

One process leads. A timer fires at or after its due instant, never before; after a stop, late. Where the
order no longer stands where the timer was set, its row ends without an event (TI-4).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from libs.runtime.clock import monotonic, now, uuid7
from libs.runtime.errors import Transient
from libs.runtime.postgres import AsyncPool, lead, transient_faults
from services.orders.metrics import TIMERS
from services.orders.order.commands import Given
from services.orders.order.decide import decide
from services.orders.order.deciding import Decided, Refusal
from services.orders.order.events import Actor, Event, ReminderDue
from services.orders.order.state import Order, evolve
from services.orders.order.timers import CALLER, Timer, given_by, reminds, started
from services.orders.recorder import AppendRequest, NewEvent, append
from services.orders.store import encode, load
from services.orders.surroundings import SellerTermsReader
from services.orders.timer_rows import COLUMNS, DueTimer, due_timer, timer_rows

log = structlog.get_logger(__name__)

DUE_AT_ONCE: Final = 200
# A timer set meanwhile for an earlier instant is seen at the next look.
LOOK_EVERY_SECONDS: Final = 1.0
# How often one timer is decided anew because its order moved, before it is left to the next look.
DECISIONS_MAX: Final = 5
FAILED_SECONDS: Final = 60.0


class TimersRunner:
    """Fires what is due for as long as it leads."""

    def __init__(self, pool: AsyncPool, dsn: str, terms: SellerTermsReader) -> None:
        self._pool = pool
        self._dsn = dsn
        self._terms = terms
        # Timers that failed by a fault of ours, and when they are tried again; they hold no others up.
        self._failed: dict[int, float] = {}
        self.last_fault = ""

    async def run(self) -> None:
        """Look again and again; cancel to stop. What was not fired is fired by the next run."""
        await lead(self._dsn, "orders timers", self._work)

    async def _work(self) -> None:
        while True:
            try:
                fired = await self.fire(now())
                self.last_fault = ""
            except Transient as fault:
                fired, self.last_fault = 0, str(fault)
                log.warning("timers_retried", fault=str(fault))
            if fired < DUE_AT_ONCE:
                await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def fire(self, at: datetime) -> int:
        """Fire what is due at an instant, each timer by itself; how many rows ended."""
        ended = 0
        for due in await self._due(at):
            try:
                ended += await self._fire(due, at)
            except Transient:
                raise
            except Exception:
                # One order's fault stops no other's timers (P5); its row stays and is tried again.
                log.exception("timer_failed", order=str(due.order_id), kind=due.timer.kind)
                self._failed[due.id] = monotonic() + FAILED_SECONDS
        return ended

    async def _due(self, at: datetime) -> list[DueTimer]:
        self._failed = {row: until for row, until in self._failed.items() if until > monotonic()}
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                f"SELECT {COLUMNS} FROM orders.timers WHERE due_at <= %s AND id <> ALL(%s)"
                " ORDER BY due_at LIMIT %s",
                [at, list(self._failed), DUE_AT_ONCE],
            )
            return [due_timer(row) for row in await cursor.fetchall()]

    async def _fire(self, due: DueTimer, at: datetime) -> bool:
        for _ in range(DECISIONS_MAX):
            async with transient_faults(), self._pool.connection() as connection:
                cursor = await connection.execute("SELECT FROM orders.timers WHERE id = %s", [due.id])
                if await cursor.fetchone() is None:
                    # Who led before has fired it.
                    return True
                found = (await load(connection, [due.order_id])).get(due.order_id)
            request = AppendRequest(remove_timers=[due.id])
            outcome = "ended"
            if found is not None:
                version, order = found
                request.streams[due.order_id] = version
                events, timers = await self._brought(order, due.timer, at)
                request.events = _stored(due.order_id, version, events)
                request.timers = list(timer_rows(due.order_id, timers))
                outcome = "fired" if events else "ended"
            async with transient_faults(), self._pool.connection() as connection:
                appended = await append(connection, request)
            if appended.outcome == "OK":
                TIMERS.labels(due.timer.kind, outcome).inc()
                return True
        return False

    async def _brought(
        self, order: Order, timer: Timer, at: datetime
    ) -> tuple[Sequence[Event], Sequence[Timer]]:
        """The events that the timer brings now, none where the order has moved on; the timers they set."""
        command = given_by(order, timer)
        if command is None and not reminds(order, timer):
            return (), ()
        given = Given(at=at, actor=Actor.SYSTEM, caller=CALLER)
        given = await self._terms.given(command, order.seller, given, order)
        if command is None:
            event = ReminderDue(
                at=at, actor=Actor.SYSTEM, caller=CALLER, about="CANCELLATION_REQUEST", event=timer.event
            )
            decided: Decided | Refusal = Decided((event,), evolve(order, event))
        else:
            decided = decide(order, command, given)
        if isinstance(decided, Refusal):
            # What refuses it is an obstacle that no condition of the timer names: it is never shown (TI-4).
            return (), ()
        return decided.events, started(order, decided.order, given.policies_of)


def _stored(order_id: UUID, version: int, events: Sequence[Event]) -> list[NewEvent]:
    cause = str(uuid7())
    return [
        NewEvent(order_id, number, *encode(event), cause, cause)
        for number, event in enumerate(events, version + 1)
    ]
