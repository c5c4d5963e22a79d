"""Kafka in: commands and facts from other systems, decided in batches, answered on a topic of their own.

Events, consumed positions, keys and the answers on their way out are one append, so that a record that comes
again has its first answer and no second effect. No rule lives here.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import structlog

from libs.runtime.auth import Principal, Principals, bearer_token
from libs.runtime.clock import monotonic, now
from libs.runtime.consumption import Outcomes
from libs.runtime.errors import Fenced, Malformed, Transient
from libs.runtime.metrics import PARKED
from libs.runtime.parking import open_faults
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.problems import Problem
from libs.runtime.records import Record
from libs.runtime.tracing import store
from services.orders.answers import Answer, kept_answer, refused
from services.orders.commands_batch import CommandBatch, Incoming, Skipped, positions_of, read_record
from services.orders.concluding import Asked, Decider, Standing, key_reused
from services.orders.consumer import keys_parked, stored_positions
from services.orders.dispatch import key_of
from services.orders.metrics import APPEND_CONFLICTS, COMMANDS
from services.orders.recorder import append, uuids
from services.orders.series import Proposed, Series, last_number
from services.orders.store import load_standing
from services.orders.viewing import viewed

log = structlog.get_logger(__name__)

SCHEMA: Final = "orders"
# Commands that are decided and appended together.
CHUNK_RECORDS: Final = 250
# How often a batch is prepared anew because a stream, a key or a row moved, before it counts as a fault.
PREPARATIONS_MAX: Final = 8
COUNT_EVERY_SECONDS: Final = 5.0


class CommandsHandler:
    """Decides commands of the topic and appends what they bring (design: P1 to P5)."""

    def __init__(
        self, pool: AsyncPool, decider: Decider, principals: Principals, *, parked_max: int = 1_000
    ) -> None:
        self._pool = pool
        self._decider = decider
        self._principals = principals
        self._parked_max = parked_max
        self._faults_parked = 0
        self._count_again_at = 0.0

    async def load_positions(self, source: str) -> dict[int, int]:
        return await stored_positions(self._pool, source)

    async def parked_too_much(self, source: str) -> bool:
        # Counted anew now and then: redrives and other processes change it too.
        if monotonic() > self._count_again_at:
            self._faults_parked = await open_faults(self._pool, SCHEMA, source)
            self._count_again_at = monotonic() + COUNT_EVERY_SECONDS
        return self._faults_parked >= self._parked_max

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        """Append chunk by chunk, in order."""
        reached, total = dict(stored), Outcomes()
        for at in range(0, len(records), CHUNK_RECORDS):
            chunk = records[at : at + CHUNK_RECORDS]
            batch = await self._handle_chunk(chunk, reached)
            for position in batch.request.positions:
                reached[position.partition] = position.went_to
            for outcome, count in batch.outcomes.items():
                total.count(outcome, count)
        return total

    async def _handle_chunk(self, records: Sequence[Record], reached: Mapping[int, int]) -> CommandBatch:
        for _ in range(PREPARATIONS_MAX):
            batch = await self._prepare(records)
            batch.request.positions = positions_of(records, reached)
            if await self._append(batch):
                return batch
        raise Transient("The orders of this batch moved each time it was prepared.")

    async def park(self, record: Record, stored: Mapping[int, int], fault: Exception) -> None:
        batch = CommandBatch({}, {})
        batch.park(record, fault)
        batch.request.positions = positions_of([record], stored)
        if not await self._append(batch):
            raise Transient("The parked records of this key moved.")

    async def release(self, record: Record, row_id: int) -> str:
        """Decide a parked record afresh and remove its row in the same append; how it ended.

        `gone` when the row had been removed already and nothing was written. Raises what the record fails
        with, Transient when nothing is known.
        """
        for _ in range(PREPARATIONS_MAX):
            try:
                incoming = read_record(record)
            except Skipped:
                batch, outcome = CommandBatch({}, {}), "skipped"
            else:
                caller = await self._caller(incoming)
                batch = await self._loaded([(incoming, caller)])
                await self._conclude(batch, incoming, caller)
                batch.request.handled.clear()
                outcome = next(iter(batch.outcomes))
            batch.request.remove_parked.append(row_id)
            if await self._append(batch):
                return outcome
            async with transient_faults(), self._pool.connection() as connection:
                cursor = await connection.execute("SELECT FROM orders.parked WHERE id = %s", [row_id])
                if await cursor.fetchone() is None:
                    return "gone"
        raise Transient("The order moved each time its parked record was decided.")

    async def _prepare(self, records: Sequence[Record]) -> CommandBatch:
        """Decide the records in order without any effect."""
        read: list[tuple[Incoming, Principal | None] | tuple[Record, Malformed | Skipped]] = []
        for record in records:
            try:
                incoming = read_record(record)
            except (Malformed, Skipped) as fault:
                read.append((record, fault))
            else:
                read.append((incoming, await self._caller(incoming)))
        commands = [each for each in read if isinstance(each[0], Incoming)]
        batch = await self._loaded(commands)
        batch.parked_keys = await self._parked_keys(records)
        for one, other in read:
            record = one.record if isinstance(one, Incoming) else one
            if isinstance(other, Skipped):
                batch.outcomes.count("skipped")
            elif record.key in batch.parked_keys:
                batch.park_behind(record)
            elif isinstance(other, Malformed):
                batch.park(record, other)
            else:
                assert isinstance(one, Incoming), "Only what could be read has no fault."
                await self._conclude_or_park(batch, one, other)
        return batch

    async def _conclude_or_park(
        self, batch: CommandBatch, incoming: Incoming, caller: Principal | None
    ) -> None:
        try:
            await self._conclude(batch, incoming, caller)
        except (Transient, Fenced):
            raise
        except Exception as fault:  # noqa: BLE001  # Any failure of one command parks that command alone (P5).
            batch.park(incoming.record, fault)

    async def _conclude(self, batch: CommandBatch, incoming: Incoming, caller: Principal | None) -> None:
        if caller is None:
            batch.answer(incoming, incoming.command, refused("NOT_PERMITTED"))
            return
        asked = _asked(incoming, caller)
        standing = batch.states.get(incoming.order_id)
        known = batch.keys.get(key_of(asked, "").id)
        if known is not None:
            # A placement's order may be another seller's, of which nothing is told.
            seen = None if asked.places else standing
            before = known[1] if known[0] == asked.sha256 else key_reused(asked, seen)
            batch.answer(incoming, asked.command, self._decider.barred(asked, standing) or before)
            return
        numbers = _Numbers(self._pool, batch)
        concluded = await self._decider.conclude(asked, standing, numbers)
        batch.take(incoming, asked, concluded)
        if asked.command == "ViewOrder" and not concluded.answer.refused:
            viewed(asked.order_id, asked.caller.id)

    async def _caller(self, incoming: Incoming) -> Principal | None:
        """Who the record's token speaks for at the record's time; None without a good one."""
        try:
            # The header carries a token; the scheme before it, which HTTP needs, may be left out.
            stated = incoming.authorization.strip()
            token = bearer_token(stated if " " in stated else f"Bearer {stated}")
            found = await self._principals.of(token, at=incoming.record.produced_at)
        except Problem:
            return None
        # A key would be good for long, in every reader's hands; a token is not.
        return found if found.by_token else None

    async def _loaded(self, commands: Sequence[tuple[Incoming, Principal | None]]) -> CommandBatch:
        """The batch with the orders as they stand and the answers that keys were given before."""
        if not commands:
            return CommandBatch({}, {})
        order_ids = list({incoming.order_id for incoming, _ in commands})
        keys = [
            key_of(_asked(incoming, caller), "").id for incoming, caller in commands if caller is not None
        ]
        async with transient_faults(), self._pool.connection() as connection:
            standing = await load_standing(connection, order_ids)
            cursor = await connection.execute(
                "SELECT id, body_sha256, answer FROM orders.command_keys WHERE id = ANY(%b)",
                [uuids(keys)],
                prepare=True,
                binary=True,
            )
            known: dict[UUID, tuple[bytes, Answer]] = {
                row[0]: (row[1], kept_answer(row[2])) for row in await cursor.fetchall()
            }
        return CommandBatch({order_id: Standing(*row) for order_id, row in standing.items()}, known)

    async def _parked_keys(self, records: Sequence[Record]) -> set[str]:
        if not self._faults_parked:
            # A key that another process has parked meanwhile is told of by the append.
            return set()
        return await keys_parked(self._pool, records)

    async def _append(self, batch: CommandBatch) -> bool:
        """Append the batch; False when it must be prepared anew. Raises Fenced and Transient."""
        with store("EXECUTE", "orders.append"):
            async with transient_faults(), self._pool.connection() as connection:
                appended = await append(connection, batch.request)
        if appended.outcome == "POSITION_MOVED":
            raise Fenced(f"Another consumer owns {', '.join(appended.concerned)}.")
        if appended.outcome != "OK":
            APPEND_CONFLICTS.inc()
            self._faults_parked += any(name.startswith("parked-key/") for name in appended.concerned)
            log.info("append_conflict", concerned=len(appended.concerned))
            return False
        for row in batch.request.parked:
            PARKED.labels("orders", row.reason).inc()
            self._faults_parked += 1
        for command, outcome in batch.answered:
            COMMANDS.labels(command, outcome).inc()
        return True


class _Numbers:
    """Proposes numbers after those that the batch has given already; the append checks the series."""

    def __init__(self, pool: AsyncPool, batch: CommandBatch) -> None:
        self._pool = pool
        self._batch = batch

    async def propose(self, series: Series) -> Proposed:
        async with transient_faults(), self._pool.connection() as connection:
            stored = await last_number(connection, series.stream_id)
        return self._batch.proposed(series, stored)


def _asked(incoming: Incoming, caller: Principal) -> Asked:
    return Asked(
        command=incoming.command,
        order_id=incoming.order_id,
        caller=caller,
        key=incoming.id,
        body=incoming.body,
        at=now(),
        expected=incoming.expected,
        correlation_id=incoming.correlation_id,
        causation_id=incoming.id,
        traceparent=incoming.traceparent,
        on_topic=True,
    )
