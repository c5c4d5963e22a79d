"""Commands to orders, whichever door they come by: loaded, decided, appended with others, answered.

Nothing is answered before it is durable. When an order moved between its loading and the append, the command
is decided again on what the order is then, a bounded number of times.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Protocol
from uuid import UUID

from msgspec.structs import replace

from libs.runtime.errors import Transient
from libs.runtime.postgres import AsyncPool, transient_faults
from services.orders.answers import Answer, kept_answer
from services.orders.concluding import Asked, Concluded, Decider, Standing, key_reused
from services.orders.metrics import APPEND_CONFLICTS, COMMANDS
from services.orders.order.headline import view
from services.orders.recorder import Appended, AppendRequest, CommandKey, PlacedDraft
from services.orders.series import Proposed, Series, last_number
from services.orders.store import load_standing, position_of
from services.orders.viewing import viewed
from services.orders.writer import GroupWriter

# How often a command is decided anew because its order moved, before it is answered to try again.
DECISIONS_MAX: Final = 8
# Orders whose state is kept between commands; the version check of the append makes a stale one harmless.
STATES_KEPT: Final = 2_000


class DraftGone(LookupError):
    """There is no draft of this id, and this key has placed none."""


class Placing(Protocol):
    """Makes the placement of a draft."""

    async def placement(self, asked: Asked, *, settled: bool) -> Asked | None:
        """What is asked, with what the draft says now; None when there is no such draft."""


class Dispatcher:
    """Answers commands one order at a time in this process; other processes are fenced by the append."""

    def __init__(self, pool: AsyncPool, writer: GroupWriter, decider: Decider) -> None:
        self._pool = pool
        self._writer = writer
        self._decider = decider
        self._orders = _Orders(pool)
        self._turns = _Turns()

    async def answer(self, asked: Asked, drafts: Placing | None = None) -> tuple[Answer, int | None]:
        """The answer, and the position of the order's last event where it was accepted.

        With `drafts` it places the draft that has the order's id; raises DraftGone when there is none.
        Raises Transient when the database does not answer or the order never stood still: then it is not
        known whether the command had its effect, and the same key tells.
        """
        async with self._turns.of(asked.order_id):
            answer, position = await self._answer(asked, drafts)
        COMMANDS.labels(asked.command, answer.code or "accepted").inc()
        if asked.command == "ViewOrder" and not answer.refused:
            viewed(asked.order_id, asked.caller.id)
        return answer, position

    async def preview(self, asked: Asked) -> Answer:
        """What the command would be answered now, and the money then, without any effect (ED-3)."""
        standing = await self._orders.of(asked.order_id, fresh=True)
        async with self._numbering() as numbers:
            concluded = await self._decider.conclude(asked, standing, numbers)
        answer = concluded.answer
        if answer.refused or concluded.order is None:
            return answer
        return replace(answer, body={**answer.body, "money": view(concluded.order)["money"]})

    async def begin(self, asked: Asked, refusal: Answer | None) -> Answer | None:
        """Take the key of a bulk command before its first part; what refuses the whole, if anything does.

        None also when the key was taken by the same request: its parts have keys of their own.
        """
        whole = refusal or Answer(200, {})
        request = AppendRequest(keys=[key_of(asked, whole.kept())])
        appended = await self._writer.append(request)
        if appended.outcome == "OK":
            return refusal
        found, _ = await self._answered_before(asked)
        return found if found.refused else None

    async def _answer(self, asked: Asked, drafts: Placing | None) -> tuple[Answer, int | None]:
        for attempt in range(DECISIONS_MAX):
            # Whose key it is and what its body was stay as they came.
            whole: Asked | None = asked
            if drafts is not None:
                whole = await drafts.placement(asked, settled=attempt > 0)
            if whole is None:
                return await self._placed_before(asked)
            standing = await self._standing(asked, fresh=attempt > 0)
            async with self._numbering() as numbers:
                concluded = await self._decider.conclude(whole, standing, numbers)
                if not concluded.is_kept:
                    return concluded.answer, None
                appended = await self._writer.append(_request(asked, concluded, whole))
            if appended.outcome == "OK":
                return concluded.answer, self._keep(concluded, appended)
            if appended.outcome == "KEY_TAKEN":
                return await self._answered_before(asked, standing)
            APPEND_CONFLICTS.inc()
            self._orders.forget(asked.order_id)
        raise Transient("The order moved each time the command was decided.")

    async def _standing(self, asked: Asked, *, fresh: bool) -> Standing | None:
        # Where this service has just made the id, there is nothing to look for.
        new = asked.places and not asked.names_order
        return None if new else await self._orders.of(asked.order_id, fresh=fresh)

    @asynccontextmanager
    async def _numbering(self) -> AsyncIterator["_Numbers"]:
        """Numbers of series for one decision; who takes one has the series to itself until the append."""
        async with AsyncExitStack() as turns:
            yield _Numbers(self._pool, self._turns, turns)

    def _keep(self, concluded: Concluded, appended: Appended) -> int | None:
        """Decide what comes next on this; gives the position of the order's last event."""
        order, position = concluded.order, concluded.position
        if order is None:
            return None
        if concluded.events:
            assert appended.first_position is not None, "OK carries the first position."
            position = appended.first_position + len(concluded.events) - 1
        self._orders.keep(concluded.order_id, Standing(order.sequence, order, position, concluded.placed_by))
        return position

    async def _placed_before(self, asked: Asked) -> tuple[Answer, int | None]:
        """What this key was answered while the draft was there; raises DraftGone when it was not asked."""
        found = await self._kept(asked)
        if found is None:
            raise DraftGone
        return found

    async def _answered_before(
        self, asked: Asked, standing: Standing | None = None
    ) -> tuple[Answer, int | None]:
        """The first answer to this key again, or that it was used for something else (GR-4)."""
        found = await self._kept(asked, standing)
        if found is None:
            raise Transient("The answer of this key is not there yet.")
        return found

    async def _kept(self, asked: Asked, standing: Standing | None = None) -> tuple[Answer, int | None] | None:
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT body_sha256, answer FROM orders.command_keys WHERE id = %s",
                [key_of(asked, "").id],
                prepare=True,
                binary=True,
            )
            found = await cursor.fetchone()
            if found is None:
                return None
            if found[0] != asked.sha256:
                return key_reused(asked, standing), None
            answer = kept_answer(found[1])
            if answer.refused or answer.order is None:
                return answer, None
            return answer, await position_of(connection, answer.order, answer.sequence)


def key_of(asked: Asked, answer: str) -> CommandKey:
    """The idempotency key of a command with the answer to repeat."""
    return CommandKey(asked.caller_name, asked.key, asked.sha256, answer)


def _request(asked: Asked, concluded: Concluded, whole: Asked) -> AppendRequest:
    placed = []
    if whole.draft is not None and concluded.events:
        placed.append(PlacedDraft(asked.order_id, whole.draft.revision))
    return AppendRequest(
        streams=dict(concluded.streams),
        events=list(concluded.events),
        keys=[key_of(asked, concluded.answer.kept())],
        outbox=list(concluded.outbox),
        search_hashes=list(concluded.search_hashes),
        timers=list(concluded.timers),
        remove_timers=list(concluded.remove_timers),
        remove_drafts=placed,
    )


class _Numbers:
    """Proposes numbers, and keeps others of this process from the series meanwhile."""

    def __init__(self, pool: AsyncPool, turns: "_Turns", held: AsyncExitStack) -> None:
        self._pool = pool
        self._turns = turns
        self._held = held

    async def propose(self, series: Series) -> Proposed:
        await self._held.enter_async_context(self._turns.of(series.stream_id))
        async with transient_faults(), self._pool.connection() as connection:
            return series.proposed(await last_number(connection, series.stream_id))


class _Orders:
    """Orders as they stand: kept ones, else loaded together with whatever else is asked for meanwhile."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool
        self._kept: dict[UUID, Standing] = {}
        self._wanted: dict[UUID, asyncio.Future[Standing | None]] = {}
        self._loading: asyncio.Task[None] | None = None

    def keep(self, order_id: UUID, standing: Standing) -> None:
        if len(self._kept) >= STATES_KEPT:
            # Forgetting all now and then costs less than keeping count of which was used last.
            self._kept.clear()
        self._kept[order_id] = standing

    def forget(self, order_id: UUID) -> None:
        self._kept.pop(order_id, None)

    async def of(self, order_id: UUID, *, fresh: bool) -> Standing | None:
        """The order, None when there is none; `fresh`: as its stream says now."""
        kept = None if fresh else self._kept.get(order_id)
        if kept is not None:
            return kept
        wanted = self._wanted.get(order_id)
        if wanted is None:
            wanted = self._wanted[order_id] = asyncio.get_running_loop().create_future()
            if self._loading is None or self._loading.done():
                self._loading = asyncio.create_task(self._load(), name="load orders")
        # One caller that goes away must not take the others' answer with it.
        standing = await asyncio.shield(wanted)
        if standing is not None:
            self.keep(order_id, standing)
        return standing

    async def _load(self) -> None:
        """Load what is wanted, in one query each time; what comes meanwhile is in the next."""
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            try:
                async with transient_faults(), self._pool.connection() as connection:
                    found = await load_standing(connection, list(wanted))
            except BaseException as fault:
                for future in wanted.values():
                    if not future.done():
                        future.set_exception(fault if isinstance(fault, Exception) else Transient("Stopped."))
                        # Whoever asked may be gone.
                        future.exception()
                if not isinstance(fault, Exception):
                    raise
                continue
            for order_id, future in wanted.items():
                if not future.done():
                    row = found.get(order_id)
                    future.set_result(None if row is None else Standing(*row))


class _Turns:
    """One command at a time per order, in the order in which they came; none of another order waits."""

    def __init__(self) -> None:
        self._locks: dict[UUID, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, order_id: UUID) -> AsyncIterator[None]:
        lock, users = self._locks.get(order_id, (None, 0))
        lock = lock or asyncio.Lock()
        self._locks[order_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            _, users = self._locks[order_id]
            if users == 1:
                del self._locks[order_id]
            else:
                self._locks[order_id] = (lock, users - 1)
