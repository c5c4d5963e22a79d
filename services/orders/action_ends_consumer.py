"""Kafka in: what became of the actions that marketplaces were asked for (`channels.actions.v1`, MA-4).

Each end is recorded on its order once, in the append of the consumed position; with it goes the action that
waited behind it, and after a success the order is to be read at once (MA-3). No rule lives here.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import structlog
from faststream.kafka import KafkaBroker
from msgspec import Struct

from libs.events.actions import OrderActionEnded
from libs.events.envelope import EnvelopeInvalid, from_headers
from libs.events.topics import CHANNELS_ACTIONS
from libs.events.upcasts import read
from libs.runtime.consumption import BatchConsumer, Outcomes
from libs.runtime.errors import Fenced, Malformed, Transient
from libs.runtime.kafka import KafkaSettings
from libs.runtime.kafka_tracing import traceparent_for_effects
from libs.runtime.lag import TopicLag
from libs.runtime.metrics import PARKED
from libs.runtime.parking import open_faults
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.records import Record
from libs.runtime.tracing import store
from services.orders.action_requests import rows_going_out
from services.orders.batch import row_to_park
from services.orders.commands_batch import positions_of
from services.orders.consumer import keys_parked, stored_positions
from services.orders.metrics import ACTION_ENDS, APPEND_CONFLICTS
from services.orders.order.decide_actions import ActionEnd, end_action
from services.orders.order.model import Order
from services.orders.recorder import AppendRequest, NewEvent, append
from services.orders.store import encode, load

log = structlog.get_logger(__name__)

SCHEMA: Final = "orders"
TOPIC: Final = CHANNELS_ACTIONS.name
# An end has two ids, a code and 500 characters of text.
BODY_BYTES_MAX: Final = 65_536
# Records that are decided and appended together.
CHUNK_RECORDS: Final = 250
# How often a batch is prepared anew because an order or a parked row moved, before it counts as a fault.
PREPARATIONS_MAX: Final = 8
# Why an order is read after an action (MA-3).
ACTION_SUCCEEDED: Final = "ACTION_SUCCEEDED"
# The order has not asked for this action, or has forgotten that it did: nobody could do anything about it.
UNKNOWN: Final = "ACTION_UNKNOWN"


class Incoming(Struct, frozen=True):
    """The end of an action, with what its record's headers say."""

    record: Record
    order_id: UUID
    end: ActionEnd
    id: str
    correlation_id: str
    traceparent: str | None


def read_end(record: Record) -> Incoming | None:
    """What a record says; None for an event of another type.

    Raises Malformed (HEADER_INVALID, NULL_VALUE, TOO_LARGE, MALFORMED) without the record's content.
    """
    try:
        envelope = from_headers(record.headers)
    except EnvelopeInvalid as fault:
        raise Malformed(str(fault), field=fault.field, reason="HEADER_INVALID") from None
    except ValueError:
        # A number of more than 4,300 digits is refused by Python itself.
        raise Malformed("A header is too long a number.", reason="HEADER_INVALID") from None
    if envelope.type != OrderActionEnded.ce_type():
        return None
    if record.value is None:
        raise Malformed("The record has no value; an end is never a tombstone.", reason="NULL_VALUE")
    if len(record.value) > BODY_BYTES_MAX:
        raise Malformed(
            f"The record has {len(record.value)} bytes; an end is at most {BODY_BYTES_MAX}.",
            reason="TOO_LARGE",
        )
    try:
        told = read(envelope.type, record.value)
    except (ValueError, RecursionError) as fault:
        # The fault's own text may quote the body.
        raise Malformed(f"The body is not what its type says: {type(fault).__name__}.") from None
    assert isinstance(told, OrderActionEnded), "The type was asked above."
    try:
        order_id = UUID(record.key)
    except ValueError:
        raise Malformed("The record's key is not the id of an order.", field="key") from None
    order, _, action = told.action_id.partition("/")
    if order != str(order_id) or not action:
        raise Malformed("The action is not one of the order that the key names.", field="action_id")
    for field, text in (("action_id", action), ("code", told.code), ("text", told.text)):
        if text is not None and "\x00" in text:
            raise Malformed(f"The field {field} holds U+0000.", field=field)
    end = ActionEnd(
        id=action,
        outcome=told.outcome,
        at=told.ended_at,
        already=told.already,
        code=told.code or "",
        text=told.text or "",
    )
    return Incoming(
        record,
        order_id,
        end,
        envelope.id,
        envelope.correlationid or envelope.id,
        traceparent_for_effects(record),
    )


class _Batch:
    """What one append would write, and the orders as they stand if it does; nothing here has an effect."""

    def __init__(self, states: dict[UUID, tuple[int, Order]], held_back: set[str]) -> None:
        self.request = AppendRequest()
        self.states = states
        self.held_back = held_back
        self.outcomes = Outcomes()
        # What became of them, by outcome of the action: to be counted when it is durable.
        self.ended: list[str] = []

    def take(self, incoming: Incoming) -> str:
        """Record the end; handled (also when it is recorded already), or refused for an unknown action."""
        order_id = incoming.order_id
        self.request.handled.add(incoming.record.key)
        version, order = self.states.get(order_id, (0, None))
        # Checked by the append, though nothing is written to it: the action may be asked for meanwhile.
        self.request.streams.setdefault(order_id, version)
        decided = None if order is None else end_action(order, incoming.end)
        if decided is None:
            self.ended.append(UNKNOWN)
            return self._counted("refused")
        if not decided.events:
            return self._counted("handled")
        for number, event in enumerate(decided.events, version + 1):
            name, state = encode(event)
            self.request.events.append(
                NewEvent(
                    order_id,
                    number,
                    name,
                    state,
                    incoming.correlation_id,
                    incoming.id,
                    incoming.traceparent,
                )
            )
        after = decided.order
        self.states[order_id] = (after.sequence, after)
        self.request.outbox += rows_going_out(
            order_id,
            order,
            after,
            correlation=incoming.correlation_id,
            causation=incoming.id,
            traceparent=incoming.traceparent,
        )
        if incoming.end.outcome == "SUCCEEDED":
            self._have_read(after, incoming.traceparent)
        self.ended.append(incoming.end.outcome)
        return self._counted("handled")

    def _counted(self, outcome: str) -> str:
        self.outcomes.count(outcome)
        return outcome

    def _have_read(self, order: Order, traceparent: str | None) -> None:
        """MA-3; the append keeps one request per order (AC-13)."""
        self.request.read_requests.append(
            {
                "connection": order.connection,
                "external_id": order.marketplace_number,
                "reason": ACTION_SUCCEEDED,
                "traceparent": traceparent,
            }
        )

    def park(self, record: Record, fault: Exception | None) -> None:
        """Park the record for its own fault, or behind another of its key when it has none."""
        self.request.parked.append(row_to_park(record, fault))
        self.held_back.add(record.key)
        self.outcomes.count("parked")


class ActionEndsHandler:
    """Records how actions ended: a BatchHandler, and what a redrive releases with."""

    def __init__(self, pool: AsyncPool, *, parked_max: int = 1_000) -> None:
        self._pool = pool
        self._parked_max = parked_max

    async def load_positions(self, source: str) -> dict[int, int]:
        return await stored_positions(self._pool, source)

    async def parked_too_much(self, source: str) -> bool:
        return await open_faults(self._pool, SCHEMA, source) >= self._parked_max

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        """Append chunk by chunk, in order."""
        reached, total = dict(stored), Outcomes()
        for at in range(0, len(records), CHUNK_RECORDS):
            batch = await self._handle_chunk(records[at : at + CHUNK_RECORDS], reached)
            for position in batch.request.positions:
                reached[position.partition] = position.went_to
            for outcome, count in batch.outcomes.items():
                total.count(outcome, count)
        return total

    async def _handle_chunk(self, records: Sequence[Record], reached: Mapping[int, int]) -> _Batch:
        for _ in range(PREPARATIONS_MAX):
            batch = await self._prepared(records)
            batch.request.positions = positions_of(records, reached)
            if await self._append(batch):
                return batch
        raise Transient("The orders of this batch moved each time it was prepared.")

    async def park(self, record: Record, stored: Mapping[int, int], fault: Exception) -> None:
        for _ in range(PREPARATIONS_MAX):
            held_back = await keys_parked(self._pool, [record])
            batch = _Batch({}, held_back)
            batch.park(record, None if record.key in held_back else fault)
            batch.request.positions = positions_of([record], stored)
            if await self._append(batch):
                return
        raise Transient("What is parked of this order moved each time the record was to be parked.")

    async def release(self, record: Record, row_id: int) -> str:
        """Record the end that a parked record tells, and remove its row, in one append; how it ended.

        Gives handled, refused, skipped, or `gone` when the row was gone and nothing was written. Raises
        Malformed when it still cannot be read, Transient when nothing is known.
        """
        for _ in range(PREPARATIONS_MAX):
            incoming = read_end(record)
            if incoming is None:
                batch, outcome = _Batch({}, set()), "skipped"
            else:
                batch = _Batch(await self._states([incoming]), set())
                outcome = batch.take(incoming)
                batch.request.handled.clear()
            batch.request.remove_parked.append(row_id)
            if await self._append(batch):
                return outcome
            async with transient_faults(), self._pool.connection() as connection:
                cursor = await connection.execute("SELECT FROM orders.parked WHERE id = %s", [row_id])
                if await cursor.fetchone() is None:
                    return "gone"
        raise Transient("The order moved each time its parked record was decided.")

    async def _prepared(self, records: Sequence[Record]) -> _Batch:
        """Decide the records in order without any effect."""
        read_records: list[tuple[Record, Incoming | Malformed | None]] = []
        for record in records:
            try:
                read_records.append((record, read_end(record)))
            except Malformed as fault:
                read_records.append((record, fault))
        ends = [each for _, each in read_records if isinstance(each, Incoming)]
        batch = _Batch(await self._states(ends), await keys_parked(self._pool, records))
        for record, each in read_records:
            if record.key in batch.held_back:
                batch.park(record, None)
            elif isinstance(each, Malformed):
                batch.park(record, each)
            elif each is None:
                batch.outcomes.count("skipped")
            else:
                batch.take(each)
        return batch

    async def _states(self, ends: Sequence[Incoming]) -> dict[UUID, tuple[int, Order]]:
        if not ends:
            return {}
        async with transient_faults(), self._pool.connection() as connection:
            return await load(connection, list({each.order_id for each in ends}))

    async def _append(self, batch: _Batch) -> bool:
        """Append the batch; False when it must be prepared anew. Raises Fenced and Transient."""
        with store("EXECUTE", "orders.append"):
            async with transient_faults(), self._pool.connection() as connection:
                appended = await append(connection, batch.request)
        if appended.outcome == "POSITION_MOVED":
            raise Fenced(f"Another consumer owns {', '.join(appended.concerned)}.")
        if appended.outcome != "OK":
            APPEND_CONFLICTS.inc()
            return False
        for outcome in batch.ended:
            ACTION_ENDS.labels(outcome).inc()
        if UNKNOWN in batch.ended:
            log.warning("action_end_refused", reason=UNKNOWN, records=batch.ended.count(UNKNOWN))
        for row in batch.request.parked:
            PARKED.labels(SCHEMA, row.reason).inc()
            if row.reason != "BEHIND":
                log.warning(
                    "action_end_parked",
                    source=row.source,
                    partition=row.partition,
                    offset=row.position,
                    reason=row.reason,
                    detail=row.detail,
                )
        return True


def action_ends_lag(pool: AsyncPool, kafka: KafkaSettings) -> TopicLag:
    """How far the topic of ends is read."""
    return TopicLag(kafka, topic=TOPIC, source=f"{SCHEMA}:{TOPIC}", positions=partial(stored_positions, pool))


def action_ends_consumer(
    broker: KafkaBroker, kafka: KafkaSettings, pool: AsyncPool, *, parked_max: int
) -> BatchConsumer:
    """The consumer of ends, in a group of its own: facts and commands never wait for its rebalances."""
    return BatchConsumer(
        broker,
        kafka,
        topic=TOPIC,
        group=SCHEMA,
        group_id=f"{SCHEMA}.actions",
        handler=ActionEndsHandler(pool, parked_max=parked_max),
    )
