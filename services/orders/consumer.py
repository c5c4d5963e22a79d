"""Kafka in: facts about marketplace orders, judged in batches and appended in one call.

No rule lives here. A batch is prepared (decoded, loaded, judged) without an effect, then appended with
the positions it consumed; when the append finds that something moved, it is prepared anew.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import structlog

from libs.events.envelope import FACT_BYTES_MAX
from libs.runtime.consumption import Outcomes, reason_of
from libs.runtime.errors import Fenced, Malformed, Transient
from libs.runtime.metrics import PARKED
from libs.runtime.parking import fingerprint
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.records import Record, frame_headers, unframe_headers
from services.orders.metrics import APPEND_CONFLICTS, FACTS, WAITING_ADDED
from services.orders.order.channel_facts import Fact, FactInvalid, NotPlacedYet, judge
from services.orders.order.state import Order
from services.orders.recorder import (
    AppendRequest,
    NewEvent,
    Position,
    RecordRow,
    append,
    texts,
)
from services.orders.store import encode, load, order_id_of, order_number

log = structlog.get_logger(__name__)

# Orders whose state is kept between batches; the version check of the append makes a stale one harmless.
STATES_KEPT = 4_000
# Facts that may wait for one order's placement (MK-2: bounded by count); the next one parks.
WAITING_PER_ORDER_MAX = 200
# How often a batch is prepared anew because a stream or a row moved, before it counts as a fault.
PREPARATIONS_MAX = 5
# What is said of a record that is parked for no fault of its own.
BEHIND = "An earlier record of this key is parked."
# Parked records that nothing but their own fault holds back; beyond it consumption stops on purpose (P5).
PARKED_MAX = 1_000

_FACT = msgspec.json.Decoder(Fact)
_PREFIX = "jejak.channels."


class Incoming(msgspec.Struct, frozen=True):
    """A decoded fact with what its record's headers say."""

    record: Record
    order_id: UUID
    fact: Fact
    correlation_id: str
    causation_id: str
    traceparent: str | None


class Skipped(Exception):
    """The record's type is not one that orders knows; it is counted and passed over."""


KNOWN_TYPES = frozenset(
    f"{_PREFIX}{name}.v1"
    for name in (
        "OrderPlaced",
        "PaymentAwaited",
        "PaymentProcessingStarted",
        "PaymentSucceeded",
        "PaymentFailed",
        "OrderConfirmed",
        "PackagePrepared",
        "ShipmentBooked",
        "ShipmentCancelled",
        "PackagePickedUp",
        "DeliveryProblemReported",
        "DeliveryProblemSolved",
        "PackageDelivered",
        "PackageLostOrDamaged",
        "ReturnStarted",
        "ReturnReceived",
        "OrderCancelled",
        "OrderCompleted",
        "CancellationRequested",
        "CancellationRequestClosed",
        "ReturnCaseOpened",
        "ReturnCaseClosed",
        "RefundPaid",
        "UnknownStatusReported",
        "ChannelNote",
        "ExpectedFeesFrozen",
    )
)


def read_fact(record: Record) -> Incoming:
    """The fact of a record.

    Raises Skipped for a type of no concern, Malformed (reason TOO_LARGE, NULL_VALUE, HEADER_INVALID,
    MALFORMED) for anything that breaks the contract; the sentence names the part, never its content.
    """
    headers: dict[str, bytes | None] = dict(record.headers)
    ce_type = _header(headers, "ce_type")
    if ce_type not in KNOWN_TYPES:
        raise Skipped(ce_type)
    ce_id = _header(headers, "ce_id")
    if record.value is None:
        raise Malformed("The record has no value; a fact is never a tombstone.", reason="NULL_VALUE")
    if len(record.value) > FACT_BYTES_MAX:
        raise Malformed(
            f"The record has {len(record.value)} bytes; a fact is at most {FACT_BYTES_MAX}.",
            reason="TOO_LARGE",
        )
    try:
        fact = _FACT.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Malformed(f"The body is not a fact: {fault}") from None
    if ce_type != f"{_PREFIX}{fact.type}.v1":
        raise Malformed("The header ce_type and the body's type differ.", field="type")
    if record.key != f"{fact.connection}:{fact.order}":
        raise Malformed("The key is not <connection>:<order> of the body.", field="order")
    return Incoming(
        record,
        order_id_of(fact.connection, fact.order),
        msgspec.structs.replace(fact, id=ce_id),
        _header(headers, "ce_correlationid", ce_id),
        ce_id,
        _header(headers, "traceparent", "") or None,
    )


def _header(headers: Mapping[str, bytes | None], name: str, default: str | None = None) -> str:
    value = headers.get(name)
    if value is None:
        if default is None:
            raise Malformed(f"Header {name} is missing.", field=name, reason="HEADER_INVALID")
        return default
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed(f"Header {name} is not UTF-8.", field=name, reason="HEADER_INVALID") from None


class _Batch:
    """One batch being prepared: what it would append, and the states that hold if it is appended."""

    def __init__(self, states: dict[UUID, tuple[int, Order]]) -> None:
        self.request = AppendRequest()
        self.states = states
        self.outcomes = Outcomes()
        self.parked_keys: set[str] = set()
        # Facts of orders not placed yet, by key: rows of earlier batches (with their id) and new ones.
        self.waiting: dict[str, list[tuple[int | None, Incoming]]] = {}
        self.dispositions: Counter[tuple[str, str]] = Counter()

    def version(self, order_id: UUID) -> int:
        known = self.states.get(order_id)
        return 0 if known is None else known[0]


async def stored_positions(pool: AsyncPool, source: str) -> dict[int, int]:
    """The last offset of each partition whose effect is durable."""
    async with transient_faults(), pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT partition, position FROM orders.consumed_positions WHERE source = %s", [source]
        )
        return dict(await cursor.fetchall())


class FactsHandler:
    """Judges channel facts and appends what they bring (design: P1 to P5)."""

    def __init__(self, pool: AsyncPool, *, parked_max: int = PARKED_MAX) -> None:
        self._pool = pool
        self._parked_max = parked_max
        self._states: dict[UUID, tuple[int, Order]] = {}
        self._faults_parked = 0
        # Keys that may have parked records. A hint that saves asking: the append itself tells of a key
        # that a sweep, or another process, has parked meanwhile.
        self._parked_keys: set[str] = set()

    async def load_positions(self, source: str) -> dict[int, int]:
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM orders.parked WHERE source = %s AND reason <> 'BEHIND'", [source]
            )
            found = await cursor.fetchone()
        assert found is not None, "count(*) answers one row."
        self._faults_parked = found[0]
        self._states.clear()
        return await stored_positions(self._pool, source)

    async def parked_too_much(self, source: str) -> bool:
        if self._faults_parked < self._parked_max:
            return False
        await self.load_positions(source)
        return self._faults_parked >= self._parked_max

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        for _ in range(PREPARATIONS_MAX):
            batch = await self.prepare(records)
            batch.request.positions = _positions(records, stored)
            if await self._append(batch):
                self._remember(batch)
                return batch.outcomes
        raise Transient("The streams of this batch moved each time it was prepared.")

    async def park(self, record: Record, stored: Mapping[int, int], fault: Exception) -> None:
        batch = _Batch({})
        _park(batch, record, fault)
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
                batch, outcome = _Batch({}), "skipped"
            else:
                batch = await self._load(record.source, [incoming], set())
                outcome = _judge_released(batch, incoming)
            batch.request.remove_parked.append(row_id)
            if await self._append(batch):
                self._remember(batch)
                return outcome
            async with transient_faults(), self._pool.connection() as connection:
                cursor = await connection.execute("SELECT FROM orders.parked WHERE id = %s", [row_id])
                if await cursor.fetchone() is None:
                    return "gone"
        raise Transient("The order moved each time its parked record was judged.")

    async def prepare(self, records: Sequence[Record]) -> _Batch:
        """Judge the records in order without any effect."""
        incoming: list[Incoming | Record] = []
        faults: dict[int, Exception] = {}
        for record in records:
            try:
                incoming.append(read_fact(record))
            except (Malformed, Skipped) as fault:
                faults[len(incoming)] = fault
                incoming.append(record)
        facts = [each for each in incoming if isinstance(each, Incoming)]
        batch = await self._load(records[0].source, facts, {record.key for record in records})
        for index, each in enumerate(incoming):
            record = each.record if isinstance(each, Incoming) else each
            known = faults.get(index)
            if isinstance(known, Skipped):
                batch.outcomes.count("skipped")
            elif record.key in batch.parked_keys:
                _park_behind(batch, record)
            elif known is not None:
                _park(batch, record, known)
            elif isinstance(each, Incoming):
                judge_incoming(batch, each)
        _keep_waiting(batch)
        batch.request.handled = {record.key for record in records if record.key not in batch.parked_keys}
        return batch

    async def _load(self, source: str, facts: Sequence[Incoming], keys: set[str]) -> _Batch:
        """Load what the batch's orders are, and what waits or is parked under its keys."""
        needed = {each.order_id for each in facts}
        states = {order_id: self._states[order_id] for order_id in needed if order_id in self._states}
        placements = [each.record.key for each in facts if each.fact.type == "OrderPlaced"]
        missing = [order_id for order_id in needed if order_id not in states]
        waiting_rows: list[Any] = []
        parked: set[str] = set()
        if not (missing or placements or keys & self._parked_keys):
            return _Batch(states)
        async with transient_faults(), self._pool.connection() as connection:
            if missing:
                states |= await load(connection, missing)
            if placements:
                cursor = await connection.execute(
                    "SELECT id, source, partition, position, key, headers, record_key, value, produced_at"
                    " FROM orders.waiting WHERE key = ANY(%b) ORDER BY id",
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
        batch = _Batch(states)
        batch.parked_keys = parked
        for row in waiting_rows:
            record = record_of_row(row)
            batch.waiting.setdefault(record.key, []).append((row[0], read_fact(record)))
        return batch

    async def _append(self, batch: _Batch) -> bool:
        """Append the batch; False when it must be prepared anew. Raises Fenced and Transient."""
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

    def _remember(self, batch: _Batch) -> None:
        """Keep the states that hold now; only called once the append is durable."""
        if len(self._states) + len(batch.states) > STATES_KEPT:
            # Forgetting all now and then costs less than keeping count of which was used last.
            self._states.clear()
        self._states |= batch.states
        for row in batch.request.parked:
            PARKED.labels("orders", row.reason).inc()
            self._faults_parked += row.reason != "BEHIND"
            self._parked_keys.add(row.key)
        for (fact_type, disposition), count in batch.dispositions.items():
            FACTS.labels(fact_type, disposition).inc(count)
        WAITING_ADDED.inc(len(batch.request.waiting))


def judge_incoming(batch: _Batch, incoming: Incoming) -> None:
    """Judge one fact, then, when it placed the order, those that waited for it, in their order."""
    key = incoming.record.key
    placed_before = incoming.order_id in batch.states
    try:
        judged = _judge(batch, incoming)
    except NotPlacedYet:
        batch.waiting.setdefault(key, []).append((None, incoming))
        return
    except Exception as fault:  # noqa: BLE001  # Any failure of one fact parks that fact alone (P5).
        _park(batch, incoming.record, fault)
        return
    batch.outcomes.count("handled")
    if judged and not placed_before:
        _judge_waiting(batch, key)


def _judge_released(batch: _Batch, incoming: Incoming) -> str:
    """Judge a record that was parked; unlike a fresh one, it raises when it fails again."""
    placed_before = incoming.order_id in batch.states
    try:
        judged = _judge(batch, incoming)
    except NotPlacedYet:
        batch.request.waiting.append(row_of_record(incoming.record))
        return "waiting"
    if judged and not placed_before:
        _judge_waiting(batch, incoming.record.key)
    return "handled"


def _judge(batch: _Batch, incoming: Incoming) -> bool:
    """Judge one fact on the state that the batch has reached; whether it brought events.

    Whatever it raises, the batch is as before: a fact's events are stored all together or not at all.
    """
    order_id = incoming.order_id
    version, order = batch.states.get(order_id, (0, None))
    fact = incoming.fact
    number = order_number(fact.channel, order_id) if order is None else order.number
    judgement = judge(order, fact, number=number)
    events = []
    for after, event in enumerate(judgement.events, version + 1):
        name, state = encode(event)
        events.append(
            NewEvent(
                order_id,
                after,
                name,
                state,
                incoming.correlation_id,
                incoming.causation_id,
                incoming.traceparent,
            )
        )
    batch.request.streams.setdefault(order_id, version)
    batch.request.events += events
    if judgement.order is not None:
        batch.states[order_id] = (version + len(events), judgement.order)
    batch.dispositions[fact.type, judgement.disposition.value] += 1
    return bool(events)


def _judge_waiting(batch: _Batch, key: str) -> None:
    rows = batch.waiting.pop(key, [])
    for position, (row_id, incoming) in enumerate(rows):
        try:
            _judge(batch, incoming)
        except Exception as fault:  # noqa: BLE001  # As above.
            # What waited behind the one that fails parks behind it; order within the key is kept.
            _park(batch, incoming.record, fault)
            if row_id is not None:
                batch.request.remove_waiting.append(row_id)
            for later_id, later in rows[position + 1 :]:
                _park_behind(batch, later.record)
                if later_id is not None:
                    batch.request.remove_waiting.append(later_id)
            return
        batch.outcomes.count("handled")
        if row_id is not None:
            batch.request.remove_waiting.append(row_id)


def _keep_waiting(batch: _Batch) -> None:
    """Turn the facts whose order did not come in this batch into waiting rows."""
    for key, rows in batch.waiting.items():
        for row_id, incoming in rows:
            if row_id is None:
                batch.request.waiting.append(row_of_record(incoming.record, key=key))
                batch.outcomes.count("waiting")


def _park(batch: _Batch, record: Record, fault: Exception) -> None:
    reason = "MALFORMED" if isinstance(fault, FactInvalid) else reason_of(fault)
    detail = str(fault) if isinstance(fault, Malformed | FactInvalid) else type(fault).__name__
    if not isinstance(fault, Malformed | FactInvalid):
        log.error("fact_failed", reason=reason, fault=type(fault).__name__, exc_info=fault)
    batch.request.parked.append(
        row_of_record(record, reason=reason, fingerprint=fingerprint(reason, fault), detail=detail[:500])
    )
    batch.parked_keys.add(record.key)
    batch.outcomes.count("parked")


def _park_behind(batch: _Batch, record: Record) -> None:
    batch.request.parked.append(row_of_record(record, reason="BEHIND", fingerprint="BEHIND", detail=BEHIND))
    batch.outcomes.count("parked")


def row_of_record(
    record: Record, *, key: str = "", reason: str = "", fingerprint: str = "", detail: str = ""
) -> RecordRow:
    return RecordRow(
        record.source,
        record.partition,
        record.offset,
        key or record.key,
        frame_headers(record.headers),
        record.raw_key,
        record.value,
        record.produced_at,
        reason,
        fingerprint,
        detail,
    )


def record_of_row(row: Sequence[Any]) -> Record:
    """The record of a waiting or parked row, whose columns come in the table's order from `id` on."""
    source: str = row[1]
    return Record(
        source=source,
        topic=source.partition(":")[2],
        partition=row[2],
        offset=row[3],
        key=row[4],
        headers=unframe_headers(row[5]),
        raw_key=row[6],
        value=row[7],
        produced_at=row[8],
    )


def _positions(records: Sequence[Record], stored: Mapping[int, int]) -> list[Position]:
    last: dict[int, int] = {}
    for record in records:
        last[record.partition] = max(last.get(record.partition, -1), record.offset)
    source = records[0].source
    return [
        Position(source, partition, stored.get(partition, -1), offset) for partition, offset in last.items()
    ]
