"""A batch of commands from the topic being prepared: what it would append; nothing here has an effect."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from libs.events.envelope import Envelope, rfc3339, to_headers, type_name
from libs.events.topics import ORDERS_ANSWERS
from libs.runtime.clock import now, uuid7
from libs.runtime.consumption import Outcomes, reason_of
from libs.runtime.errors import Malformed
from libs.runtime.kafka_tracing import traceparent_for_effects
from libs.runtime.parking import fingerprint
from libs.runtime.records import Record, frame_headers
from services.orders.answers import Answer
from services.orders.batch import BEHIND, row_of_record
from services.orders.concluding import FACT, Asked, Concluded, Standing
from services.orders.dispatch import key_of
from services.orders.order.commands import COMMANDS
from services.orders.order.table import FACTS
from services.orders.recorder import AppendRequest, OutboxRow, Position
from services.orders.series import Proposed, Series

log = structlog.get_logger(__name__)

COMMAND_BYTES_MAX: Final = 262_144
_PREFIX: Final = "jejak.orders."
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_SEQUENCE = re.compile(r'"?(\d{1,18})"?')
_ANSWERED: Final = type_name("orders", "CommandAnswered")
_ENCODER = msgspec.json.Encoder()
# By the record's type: the command, or that it is a fact.
KNOWN_TYPES: Final[Mapping[str, str]] = {
    **{type_name("orders", name): FACT for name in FACTS},
    **{type_name("orders", name): name for name in COMMANDS},
}


class Skipped(Exception):
    """The record's type is no command or fact that orders knows; it is counted and passed over."""


class Incoming(Struct, frozen=True):
    """A record that can be answered: it names its key and its order. Its body is not read yet."""

    record: Record
    id: str
    command: str
    order_id: UUID
    body: bytes
    authorization: str
    expected: int | None
    correlation_id: str
    traceparent: str | None


def read_record(record: Record) -> Incoming:
    """What a record asks. Raises Skipped, or Malformed for what cannot even be answered."""
    headers = dict(record.headers)
    ce_type = _text(headers, "ce_type")
    command = KNOWN_TYPES.get(ce_type)
    if command is None:
        raise Skipped(ce_type)
    ce_id = _text(headers, "ce_id")
    if not _KEY.fullmatch(ce_id):
        raise Malformed(
            "The header ce_id is no key of 1 to 200 visible ASCII characters.",
            field="ce_id",
            reason="HEADER_INVALID",
        )
    try:
        order_id = UUID(record.key)
    except ValueError:
        raise Malformed("The record's key is not the id of an order.", field="key") from None
    if record.value is None:
        raise Malformed("The record has no value; a command is never a tombstone.", reason="NULL_VALUE")
    if len(record.value) > COMMAND_BYTES_MAX:
        raise Malformed(
            f"The record has {len(record.value)} bytes; a command has at most {COMMAND_BYTES_MAX}.",
            reason="TOO_LARGE",
        )
    sequence = _SEQUENCE.fullmatch(_text(headers, "if-match", ""))
    correlation = _text(headers, "ce_correlationid", ce_id)
    return Incoming(
        record,
        ce_id,
        command,
        order_id,
        _typed(record.value, ce_type) if command == FACT else record.value,
        _text(headers, "authorization", ""),
        None if sequence is None else int(sequence[1]),
        correlation,
        traceparent_for_effects(record),
    )


def _typed(body: bytes, ce_type: str) -> bytes:
    """The body of a fact with its type in it, where only the header names it."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if not isinstance(fields, dict):
        return body
    return _ENCODER.encode({"type": ce_type.split(".")[2], **fields})


def _text(headers: Mapping[str, bytes | None], name: str, default: str | None = None) -> str:
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


class CommandBatch:
    """What a batch would append, and the orders, keys and series that hold if it is appended."""

    def __init__(self, states: dict[UUID, Standing], keys: dict[UUID, tuple[bytes, Answer]]) -> None:
        self.request = AppendRequest()
        self.states = states
        self.keys = keys
        self.outcomes = Outcomes()
        self.parked_keys: set[str] = set()
        self.answered: list[tuple[str, str]] = []
        self._series: dict[UUID, int] = {}

    def take(self, incoming: Incoming, asked: Asked, concluded: Concluded) -> None:
        """Take the conclusion in: its events, its key, its answer."""
        if concluded.is_kept:
            for stream_id, version in concluded.streams.items():
                # The version before the batch is the one that the append checks.
                self.request.streams.setdefault(stream_id, version)
            self.request.events += concluded.events
            self.request.timers += concluded.timers
            self.request.remove_timers += concluded.remove_timers
            self.request.search_hashes += concluded.search_hashes
            self.request.outbox += concluded.outbox
            key = key_of(asked, concluded.answer.kept())
            self.request.keys.append(key)
            self.keys[key.id] = (asked.sha256, concluded.answer)
            if concluded.order is not None:
                order = concluded.order
                # No position yet: the answer's is found in the append.
                self.states[asked.order_id] = Standing(order.sequence, order, 0, concluded.placed_by)
        self.answer(incoming, asked.command, concluded.answer)

    def answer(self, incoming: Incoming, command: str, answer: Answer) -> None:
        """Have the answer published with the append (decision 0016)."""
        self.request.handled.add(incoming.record.key)
        self.request.outbox.append(_outbox_row(incoming, answer))
        self.outcomes.count("refused" if answer.refused else "handled")
        self.answered.append((command, answer.code or "accepted"))

    def park(self, record: Record, fault: Exception) -> None:
        reason = reason_of(fault)
        if isinstance(fault, Malformed):
            detail = str(fault)
        else:
            detail = type(fault).__name__
            log.error("command_failed", reason=reason, fault=detail, exc_info=fault)
        self.request.parked.append(
            row_of_record(record, reason=reason, fingerprint=fingerprint(reason, fault), detail=detail[:500])
        )
        self.parked_keys.add(record.key)
        self.outcomes.count("parked")

    def park_behind(self, record: Record) -> None:
        row = row_of_record(record, reason="BEHIND", fingerprint="BEHIND", detail=BEHIND)
        self.request.parked.append(row)
        self.outcomes.count("parked")

    def proposed(self, series: Series, stored: int) -> Proposed:
        """The next number of a series, after those that this batch has given already."""
        given = [event for event in self.request.events if event.stream_id == series.stream_id]
        return series.proposed(max([stored, *(event.version for event in given)]))


def _outbox_row(incoming: Incoming, answer: Answer) -> OutboxRow:
    order_id = str(incoming.order_id)
    envelope = Envelope(
        id=str(uuid7()),
        type=_ANSWERED,
        source="/jejak/orders",
        subject=order_id,
        time=rfc3339(now()),
        correlationid=incoming.correlation_id,
        causationid=incoming.id,
        traceparent=incoming.traceparent,
    )
    body = {"status": answer.status, **answer.body}
    event = None if answer.refused else answer.order
    return OutboxRow(
        ORDERS_ANSWERS.name,
        order_id,
        frame_headers(to_headers(envelope)),
        _ENCODER.encode(body).decode(),
        event,
        answer.sequence,
    )


def positions_of(records: Sequence[Record], stored: Mapping[int, int]) -> list[Position]:
    """Where the consumer goes from and to in each partition of these records of one source."""
    last: dict[int, int] = {}
    for record in records:
        last[record.partition] = max(last.get(record.partition, -1), record.offset)
    source = records[0].source
    return [
        Position(source, partition, stored.get(partition, -1), offset) for partition, offset in last.items()
    ]
