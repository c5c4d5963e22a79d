"""Kafka in: facts about marketplace orders, judged in batches and appended in one call each.

No rule lives here. A batch is prepared without an effect, then appended with the positions it consumed;
when the append finds that something moved, it is prepared anew.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from libs.runtime.clock import monotonic
from libs.runtime.consumption import Outcomes
from libs.runtime.errors import Fenced, Malformed, Transient
from libs.runtime.metrics import PARKED
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.records import Record
from libs.runtime.tracing import store_for_each
from services.orders.batch import (
    Batch,
    Incoming,
    Skipped,
    judge_incoming,
    judge_released,
    keep_waiting,
    park,
    park_behind,
    read_fact,
    record_of_row,
)
from services.orders.buyer_facts import mentions_buyer, seal_buyers
from services.orders.buyers import Buyers
from services.orders.metrics import APPEND_CONFLICTS, FACTS, WAITING_ADDED
from services.orders.order.state import Order
from services.orders.recorder import Position, append, texts
from services.orders.store import load

log = structlog.get_logger(__name__)

# Records fetched at once, and how many of them are decided and appended together: while one chunk is being
# appended the next is decided, so that neither this process nor the database waits for the other.
BATCH_RECORDS_MAX = 6_000
CHUNK_RECORDS = 500
# Orders whose state is kept between batches; the version check of the append makes a stale one harmless.
# Those of two chunks stay in the processor's cache; 4,000 of them cost the pipeline a twentieth.
STATES_KEPT = 1_000
# How often a batch is prepared anew because a stream or a row moved, before it counts as a fault.
PREPARATIONS_MAX = 5
# Parked records that nothing but their own fault holds back; beyond it consumption stops on purpose (P5).
PARKED_MAX = 1_000
COUNT_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Reading:
    """A decoded chunk (what could not be decoded stands with its fault), and what is loaded for it."""

    incoming: Sequence[Incoming | tuple[Record, Malformed | Skipped]]
    loading: asyncio.Task[Batch]


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A chunk whose append is under way; the next one is decided on what it will leave."""

    records: Sequence[Record]
    batch: Batch
    task: asyncio.Task[bool]


async def keys_parked(pool: AsyncPool, records: Sequence[Record]) -> set[str]:
    """The keys of these records of one source that have something parked; the append tells of later ones."""
    async with transient_faults(), pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT DISTINCT key FROM orders.parked WHERE source = %s AND key = ANY(%b)",
            [records[0].source, texts(list({record.key for record in records}))],
        )
        return {row[0] for row in await cursor.fetchall()}


async def stored_positions(pool: AsyncPool, source: str) -> dict[int, int]:
    """The last offset of each partition whose effect is durable."""
    async with transient_faults(), pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT partition, position FROM orders.consumed_positions WHERE source = %s", [source]
        )
        return dict(await cursor.fetchall())


class FactsHandler:
    """Judges channel facts and appends what they bring (design: P1 to P5)."""

    def __init__(
        self, pool: AsyncPool, buyers: Buyers | None = None, *, parked_max: int = PARKED_MAX
    ) -> None:
        """Take the keys of buyers; without them facts that say something of a buyer are parked."""
        self._pool = pool
        self._buyers = buyers
        self._parked_max = parked_max
        self._states: dict[UUID, tuple[int, Order]] = {}
        self._faults_parked = 0
        self._count_again_at = 0.0
        # Keys that may have parked records. A hint that saves asking: the append itself tells of a key
        # that a sweep, or another process, has parked meanwhile.
        self._parked_keys: set[str] = set()

    async def load_positions(self, source: str) -> dict[int, int]:
        self._states.clear()
        return await stored_positions(self._pool, source)

    async def parked_too_much(self, source: str) -> bool:
        # Counted anew now and then: sweeps, redrives and other processes change it too.
        if monotonic() > self._count_again_at:
            self._faults_parked = await self._count_faults(source)
            self._count_again_at = monotonic() + COUNT_EVERY_SECONDS
        return self._faults_parked >= self._parked_max

    async def _count_faults(self, source: str) -> int:
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM (SELECT FROM orders.parked WHERE source = %s AND reason <> 'BEHIND'"
                " LIMIT %s) AS faults",
                [source, self._parked_max],
            )
            found = await cursor.fetchone()
        assert found is not None, "count(*) answers one row."
        return int(found[0])

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        """Append chunk by chunk, in order; each is decided while the one before it is being appended.

        What the next one needs is loaded meanwhile. What was decided on a chunk whose append fails is thrown
        away and decided anew.
        """
        reached, total = dict(stored), Outcomes()
        in_flight: _InFlight | None = None
        ahead: _Reading | None = None
        chunks = [records[at : at + CHUNK_RECORDS] for at in range(0, len(records), CHUNK_RECORDS)]
        try:
            for number, chunk in enumerate(chunks, 1):
                reading = ahead or self._read(chunk)
                ahead = self._read(chunks[number]) if number < len(chunks) else None
                # A task begins when this one waits: without this the database would idle while we decide.
                await asyncio.sleep(0)
                batch: Batch | None = await self._decide(reading)
                if in_flight is not None:
                    settling, in_flight = in_flight, None
                    if not await self._settle(settling, reached, total):
                        batch = None
                if batch is None or batch.must_be_durable_first or len(chunks) == 1:
                    if ahead is not None:
                        await _drop(ahead)
                        ahead = None
                    await self._handle_chunk(chunk, reached, total, batch)
                else:
                    in_flight = self._start(chunk, batch, reached)
                    await asyncio.sleep(0)
            if in_flight is not None:
                settling, in_flight = in_flight, None
                await self._settle(settling, reached, total)
        finally:
            if ahead is not None:
                await _drop(ahead)
            if in_flight is not None:
                # What decides further has failed; whether this one is durable is seen when it is asked again.
                await asyncio.wait({in_flight.task})
                self._states.clear()
        return total

    def _start(self, records: Sequence[Record], batch: Batch, reached: Mapping[int, int]) -> _InFlight:
        batch.request.positions = _positions(records, reached)
        self._keep_states(batch)
        return _InFlight(records, batch, asyncio.create_task(self._append(batch)))

    async def _settle(self, started: _InFlight, reached: dict[int, int], total: Outcomes) -> bool:
        """Wait for the append; when it found that something moved, handle its chunk anew.

        False when what was decided on top of it is worth nothing.
        """
        try:
            appended = await started.task
        except BaseException:
            self._states.clear()
            raise
        if appended:
            self._appended(started.batch, reached, total)
            return True
        await self._handle_chunk(started.records, reached, total, None)
        return False

    async def _handle_chunk(
        self, records: Sequence[Record], reached: dict[int, int], total: Outcomes, batch: Batch | None
    ) -> None:
        """Prepare, unless it is prepared, and append, until nothing has moved in between."""
        for _ in range(PREPARATIONS_MAX):
            batch = batch or await self.prepare(records)
            batch.request.positions = _positions(records, reached)
            if await self._append(batch):
                self._keep_states(batch)
                self._appended(batch, reached, total)
                return
            batch = None
        raise Transient("The streams of this batch moved each time it was prepared.")

    def _appended(self, batch: Batch, reached: dict[int, int], total: Outcomes) -> None:
        self._remember(batch)
        for position in batch.request.positions:
            reached[position.partition] = position.went_to
        for outcome, count in batch.outcomes.items():
            total.count(outcome, count)

    async def park(self, record: Record, stored: Mapping[int, int], fault: Exception) -> None:
        batch = Batch({})
        park(batch, record, fault)
        batch.request.positions = _positions([record], stored)
        if not await self._append(batch):
            raise Transient("The parked records of this key moved.")
        self._remember(batch)

    async def release(self, record: Record, row_id: int) -> str:
        """Judge a parked record afresh and remove its row in the same append; how it ended.

        `gone` when the row had been removed already and nothing was written. Raises what the record
        fails with, Transient when nothing is known.
        """
        for _ in range(PREPARATIONS_MAX):
            try:
                incoming = read_fact(record)
            except Skipped:
                batch, outcome = Batch({}), "skipped"
            else:
                batch = await self._load(record.source, [incoming], set())
                outcome = judge_released(batch, incoming)
            batch.request.remove_parked.append(row_id)
            if await self._append(batch):
                self._keep_states(batch)
                self._remember(batch)
                return outcome
            async with transient_faults(), self._pool.connection() as connection:
                cursor = await connection.execute("SELECT FROM orders.parked WHERE id = %s", [row_id])
                if await cursor.fetchone() is None:
                    return "gone"
        raise Transient("The order moved each time its parked record was judged.")

    async def prepare(self, records: Sequence[Record]) -> Batch:
        """Judge the records in order without any effect."""
        return await self._decide(self._read(records))

    def _read(self, records: Sequence[Record]) -> _Reading:
        """Decode the records and begin to load what judging them needs."""
        incoming: list[Incoming | tuple[Record, Malformed | Skipped]] = []
        for record in records:
            try:
                incoming.append(read_fact(record))
            except (Malformed, Skipped) as fault:
                incoming.append((record, fault))
        facts = [each for each in incoming if isinstance(each, Incoming)]
        loading = self._load(records[0].source, facts, {record.key for record in records})
        return _Reading(incoming, asyncio.create_task(loading))

    async def _decide(self, reading: _Reading) -> Batch:
        batch = await reading.loading
        known = self._states
        for each in reading.incoming:
            if isinstance(each, Incoming):
                # What was decided since the loading began is newer; a stale one is found out at the append.
                newer, loaded = known.get(each.order_id), batch.states.get(each.order_id)
                if newer is not None and (loaded is None or loaded[0] < newer[0]):
                    batch.states[each.order_id] = newer
        for each in reading.incoming:
            if isinstance(each, Incoming):
                if each.record.key in batch.parked_keys:
                    park_behind(batch, each.record)
                else:
                    judge_incoming(batch, each)
                continue
            record, fault = each
            if isinstance(fault, Skipped):
                batch.outcomes.count("skipped")
            elif record.key in batch.parked_keys:
                park_behind(batch, record)
            else:
                park(batch, record, fault)
        keep_waiting(batch)
        return batch

    async def _load(self, source: str, facts: Sequence[Incoming], keys: set[str]) -> Batch:
        """Load what the batch's orders are, and what waits or is parked under its keys."""
        needed = {each.order_id for each in facts}
        states = {order_id: self._states[order_id] for order_id in needed if order_id in self._states}
        placements = [each.record.key for each in facts if each.fact.type == "OrderPlaced"]
        missing = [order_id for order_id in needed if order_id not in states]
        waiting_rows: list[Any] = []
        parked: set[str] = set()
        if not (missing or placements or keys & self._parked_keys):
            return await self._with_buyers(Batch(states), facts)
        async with transient_faults(), self._pool.connection() as connection:
            if missing:
                states |= await load(connection, missing)
            if placements:
                cursor = await connection.execute(
                    "SELECT id, source, partition, position, key, headers, record_key, value, produced_at"
                    " FROM orders.waiting WHERE key = ANY(%b) ORDER BY partition, position",
                    [texts(placements)],
                    prepare=True,
                )
                waiting_rows = await cursor.fetchall()
            suspects = keys & self._parked_keys
            if suspects:
                cursor = await connection.execute(
                    "SELECT DISTINCT key FROM orders.parked WHERE source = %s AND key = ANY(%b)",
                    [source, texts(list(suspects))],
                )
                parked = {row[0] for row in await cursor.fetchall()}
                self._parked_keys -= suspects - parked
        batch = Batch(states)
        batch.parked_keys = parked
        for row in waiting_rows:
            record = record_of_row(row)
            batch.waiting.setdefault(record.key, []).append((row[0], read_fact(record)))
        return await self._with_buyers(batch, facts)

    async def _with_buyers(self, batch: Batch, facts: Sequence[Incoming]) -> Batch:
        """The batch with what its facts say of buyers, and those that waited."""
        waiting = [each for rows in batch.waiting.values() for _, each in rows]
        telling = [each for each in (*waiting, *facts) if mentions_buyer(each)]
        if telling:
            batch.buyers = await seal_buyers(self._buyers, telling, batch.states)
        return batch

    async def _append(self, batch: Batch) -> bool:
        """Append the batch; False when it must be prepared anew. Raises Fenced and Transient."""
        with store_for_each("EXECUTE", "orders.append", batch.traces):
            async with transient_faults(), self._pool.connection() as connection:
                appended = await append(connection, batch.request)
        if appended.outcome == "OK":
            return True
        self._states.clear()
        if appended.outcome == "POSITION_MOVED":
            raise Fenced(f"Another consumer owns {', '.join(appended.concerned)}.")
        APPEND_CONFLICTS.inc()
        self._parked_keys |= {
            name.removeprefix("parked-key/") for name in appended.concerned if name.startswith("parked-key/")
        }
        log.info("append_conflict", concerned=len(appended.concerned))
        return False

    def _keep_states(self, batch: Batch) -> None:
        """Decide what comes next on these; whoever sees the append fail clears them."""
        if len(self._states) + len(batch.states) > STATES_KEPT:
            # Forgetting all now and then costs less than keeping count of which was used last.
            self._states.clear()
        self._states |= batch.states

    def _remember(self, batch: Batch) -> None:
        """Count what the batch brought, and end the spans of it; only called once its append is durable."""
        for span in batch.created:
            span.end()
        for row in batch.request.parked:
            PARKED.labels("orders", row.reason).inc()
            self._faults_parked += row.reason != "BEHIND"
            self._parked_keys.add(row.key)
        for (fact_type, disposition), count in batch.dispositions.items():
            FACTS.labels(fact_type, disposition).inc(count)
        WAITING_ADDED.inc(len(batch.request.waiting))


async def _drop(reading: _Reading) -> None:
    """End what is being loaded: it may lack what the chunk before it writes."""
    reading.loading.cancel()
    await asyncio.wait({reading.loading})
    if not reading.loading.cancelled():
        # Whatever it failed with, it is asked again.
        reading.loading.exception()


def _positions(records: Sequence[Record], stored: Mapping[int, int]) -> list[Position]:
    last: dict[int, int] = {}
    for record in records:
        last[record.partition] = max(last.get(record.partition, -1), record.offset)
    source = records[0].source
    return [
        Position(source, partition, stored.get(partition, -1), offset) for partition, offset in last.items()
    ]
