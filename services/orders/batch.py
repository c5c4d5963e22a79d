"""A batch of facts being prepared: decoded, judged, and what it would append; nothing here has an effect."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import structlog
from opentelemetry.trace import Span, SpanContext

from libs.events.envelope import FACT_BYTES_MAX
from libs.events.topics import ORDERS_ORDERS
from libs.runtime.consumption import Outcomes, reason_of
from libs.runtime.errors import Malformed, Permanent
from libs.runtime.jwe import EnvelopeRefused
from libs.runtime.parking import detail_of, fingerprint
from libs.runtime.records import Record, frame_headers, unframe_headers
from libs.runtime.tracing import (
    checked_traceparent,
    context_of,
    create,
    current_batch,
    is_on,
    is_sampled,
    traceparent_of,
)
from services.orders.buyers import SealedBuyer
from services.orders.order.channel_facts import Disposition, Fact, FactInvalid, NotPlacedYet, judge
from services.orders.order.state import Order
from services.orders.order.words import Sealed
from services.orders.recorder import AppendRequest, NewEvent, RecordRow
from services.orders.store import encode, order_id_of, order_number

log = structlog.get_logger(__name__)

# Facts that may wait for one order's placement (MK-2: bounded by count); the next one parks.
WAITING_PER_ORDER_MAX = 200
# What is said of a record that is parked for no fault of its own.
BEHIND = "An earlier record of this key is parked."
# Why an order is read: its placement is missing (MK-2), or by what news ended as (MK-9, MK-10, MK-14, MK-15).
NOT_PLACED = "NOT_PLACED"
READ_REASONS = {
    Disposition.LATE: "NO_TIME",
    Disposition.CONFLICT: "CONFLICT",
    Disposition.UNRECOGNISED: "UNRECOGNISED",
    Disposition.NOTE: "AMOUNT_UNSTATED",
}
_FACT = msgspec.json.Decoder(Fact)
_PREFIX = "jejak.channels."
# As JSON writes it; a raw one is no JSON.
_NUL = rb"\u0000"


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
    _require_utf8(record)
    if record.value is None:
        raise Malformed("The record has no value; a fact is never a tombstone.", reason="NULL_VALUE")
    if len(record.value) > FACT_BYTES_MAX:
        raise Malformed(
            f"The record has {len(record.value)} bytes; a fact is at most {FACT_BYTES_MAX}.",
            reason="TOO_LARGE",
        )
    if _NUL in record.value:
        raise Malformed("The body holds the character U+0000, which PostgreSQL's text cannot keep.")
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
        msgspec.structs.replace(fact, id=ce_id, buyer=None),
        _header(headers, "ce_correlationid", ce_id),
        ce_id,
        checked_traceparent(headers.get("traceparent")),
    )


def _require_utf8(record: Record) -> None:
    """Headers that nobody here reads are checked too: a broken record is parked, not read in part."""
    for name, value in record.headers:
        if value is not None and not value.isascii():
            try:
                value.decode()
            except UnicodeDecodeError:
                raise Malformed(f"Header {name} is not UTF-8.", field=name, reason="HEADER_INVALID") from None


def _header(headers: Mapping[str, bytes | None], name: str, default: str | None = None) -> str:
    value = headers.get(name)
    if value is None:
        if default is None:
            raise Malformed(f"Header {name} is missing.", field=name, reason="HEADER_INVALID")
        return default
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Malformed(f"Header {name} is not UTF-8.", field=name, reason="HEADER_INVALID") from None
    if "\x00" in text:
        raise Malformed(f"Header {name} holds U+0000.", field=name, reason="HEADER_INVALID")
    return text


# Where a record stands: source, partition, offset.
Place = tuple[str, int, int]


def place_of(record: Record) -> Place:
    return record.source, record.partition, record.offset


class Batch:
    """One batch being prepared: what it would append, and the states that hold if it is appended."""

    def __init__(self, states: dict[UUID, tuple[int, Order]]) -> None:
        self.request = AppendRequest()
        self.states = states
        self.outcomes = Outcomes()
        self.parked_keys: set[str] = set()
        # Facts of orders not placed yet, by key: rows of earlier batches (with their id) and new ones.
        self.waiting: dict[str, list[tuple[int | None, Incoming]]] = {}
        self.dispositions: Counter[tuple[str, str]] = Counter()
        # The orders that are to be read at their marketplace, by connection and external id.
        self.reads: set[tuple[str, str]] = set()
        # What the facts say of buyers, sealed under their keys, or why that could not be opened.
        self.buyers: Mapping[Place, SealedBuyer | Permanent] = {}
        # Of the facts whose traces are recorded: in whose spans the events are created, and the events'.
        self.traces: list[SpanContext] = []
        self.created: list[Span] = []

    @property
    def must_be_durable_first(self) -> bool:
        """Whether the next batch's loading must see what this one keeps or removes beside its events."""
        request = self.request
        return bool(request.waiting or request.parked or request.remove_waiting or request.remove_parked)


def judge_incoming(batch: Batch, incoming: Incoming) -> None:
    """Judge one fact, then, when it placed the order, those that waited for it, in their order."""
    key = incoming.record.key
    placed_before = incoming.order_id in batch.states
    try:
        judged = _judge(batch, incoming)
    except NotPlacedYet:
        # Checked by the append, though nothing is written to it: a redrive may place the order meanwhile.
        batch.request.streams.setdefault(incoming.order_id, 0)
        batch.request.handled.add(key)
        batch.waiting.setdefault(key, []).append((None, incoming))
        return
    except Exception as fault:  # noqa: BLE001  # Any failure of one fact parks that fact alone (P5).
        park(batch, incoming.record, fault)
        return
    batch.request.handled.add(key)
    batch.outcomes.count("handled")
    if judged and not placed_before:
        _judge_waiting(batch, key)


def judge_released(batch: Batch, incoming: Incoming) -> str:
    """Judge a record that was parked; unlike a fresh one, it raises when it fails again."""
    placed_before = incoming.order_id in batch.states
    try:
        judged = _judge(batch, incoming)
    except NotPlacedYet:
        batch.request.streams.setdefault(incoming.order_id, 0)
        batch.request.waiting.append(row_of_record(incoming.record))
        want_read(batch, incoming, NOT_PLACED)
        return "waiting"
    if judged and not placed_before:
        _judge_waiting(batch, incoming.record.key)
    return "handled"


def _judge(batch: Batch, incoming: Incoming) -> bool:
    """Judge one fact on the state that the batch has reached; whether it brought events.

    Whatever it raises, the batch is as before: a fact's events are stored all together or not at all.
    """
    order_id = incoming.order_id
    version, order = batch.states.get(order_id, (0, None))
    fact = incoming.fact
    told = batch.buyers.get(place_of(incoming.record)) if batch.buyers else None
    if isinstance(told, Permanent):
        raise told
    if told is not None:
        fact = msgspec.structs.replace(fact, buyer=told.sealed)
    number = order_number(fact.channel, order_id) if order is None else order.number
    judgement = judge(order, fact, number=number)
    events = []
    created: list[Span] = []
    trace = _recorded_trace(incoming)
    for after, event in enumerate(judgement.events, version + 1):
        name, state = encode(event)
        traceparent = incoming.traceparent
        if trace is not None:
            created.append(_creation(trace, incoming, name, after))
            traceparent = traceparent_of(created[-1])
        events.append(
            NewEvent(
                order_id,
                after,
                name,
                state,
                incoming.correlation_id,
                incoming.causation_id,
                traceparent,
            )
        )
    batch.request.streams.setdefault(order_id, version)
    batch.request.events += events
    if told is not None:
        for event in judgement.events:
            kept: Sealed | None = getattr(event, "buyer", None)
            if kept is not None:
                batch.request.search_hashes.append(told.search_hashes(order_id, kept))
    if trace is not None:
        batch.traces.append(trace)
        batch.created += created
    if judgement.read_wanted:
        want_read(batch, incoming, READ_REASONS.get(judgement.disposition, "CONFLICT"))
    if judgement.order is not None:
        batch.states[order_id] = (version + len(events), judgement.order)
    batch.dispositions[fact.type, judgement.disposition.value] += 1
    return bool(events)


def _recorded_trace(incoming: Incoming) -> SpanContext | None:
    """What the events of a fact are created in, if its trace is recorded.

    That is the span of its record, or for one that has waited or was parked what created the fact.
    """
    if not is_on() or not is_sampled(incoming.traceparent):
        return None
    span = current_batch().span((incoming.record.partition, incoming.record.offset))
    return context_of(incoming.traceparent) if span is None else span.get_span_context()


def _creation(trace: SpanContext, incoming: Incoming, name: str, sequence: int) -> Span:
    attributes: dict[str, str | int] = {
        "event.type": name,
        "order.id": str(incoming.order_id),
        "order.sequence": sequence,
        "order.channel": incoming.fact.channel,
    }
    return create(trace, ORDERS_ORDERS.name, attributes)


def _judge_waiting(batch: Batch, key: str) -> None:
    rows = batch.waiting.pop(key, [])
    for position, (row_id, incoming) in enumerate(rows):
        try:
            _judge(batch, incoming)
        except Exception as fault:  # noqa: BLE001  # As above.
            # What waited behind the one that fails parks behind it; order within the key is kept.
            park(batch, incoming.record, fault)
            if row_id is not None:
                batch.request.remove_waiting.append(row_id)
            for later_id, later in rows[position + 1 :]:
                park_behind(batch, later.record)
                if later_id is not None:
                    batch.request.remove_waiting.append(later_id)
            return
        batch.outcomes.count("handled")
        if row_id is not None:
            batch.request.remove_waiting.append(row_id)


def want_read(batch: Batch, incoming: Incoming, reason: str) -> None:
    """Have the order read at its marketplace: once for all that asks for it in this batch (AC-13)."""
    fact = incoming.fact
    if (fact.connection, fact.order) in batch.reads:
        return
    batch.reads.add((fact.connection, fact.order))
    batch.request.read_requests.append(
        {
            "connection": fact.connection,
            "external_id": fact.order,
            "reason": reason,
            "traceparent": incoming.traceparent,
        }
    )


def keep_waiting(batch: Batch) -> None:
    """Turn the facts whose order did not come in this batch into waiting rows, and ask for it (MK-2)."""
    for key, rows in batch.waiting.items():
        for row_id, incoming in rows:
            if row_id is None:
                batch.request.waiting.append(row_of_record(incoming.record, key=key))
                want_read(batch, incoming, NOT_PLACED)
                batch.outcomes.count("waiting")


def park(batch: Batch, record: Record, fault: Exception) -> None:
    reason = "MALFORMED" if isinstance(fault, FactInvalid) else reason_of(fault)
    # The sentences of these name what is wrong and never quote it; any other may.
    told = isinstance(fault, Malformed | FactInvalid | EnvelopeRefused)
    detail = str(fault) if told else type(fault).__name__
    if not told:
        log.error("fact_failed", reason=reason, fault=type(fault).__name__, exc_info=fault)
    batch.request.parked.append(
        row_of_record(record, reason=reason, fingerprint=fingerprint(reason, fault), detail=detail[:500])
    )
    batch.parked_keys.add(record.key)
    batch.outcomes.count("parked")


def park_behind(batch: Batch, record: Record) -> None:
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


def row_to_park(record: Record, fault: Exception | None) -> RecordRow:
    """The record as it is parked for its own fault, or behind another of its key when it has none."""
    if fault is None:
        return row_of_record(record, reason="BEHIND", fingerprint="BEHIND", detail=BEHIND)
    reason = reason_of(fault)
    return row_of_record(
        record, reason=reason, fingerprint=fingerprint(reason, fault), detail=detail_of(fault)
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
