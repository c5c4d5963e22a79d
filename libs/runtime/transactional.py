"""Consumes public events into ordinary tables: effect, sequences, parked records and positions in one commit.

For the services that are not event-sourced. Each keeps `<schema>.order_sequences`, the last sequence applied
of every order, so that it sees each order's events once and in order (P2, P3). No rule of a service lives here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
import psycopg
import structlog
from psycopg import sql

from libs.events.envelope import Envelope, EnvelopeInvalid, from_headers
from libs.runtime import parking
from libs.runtime.consumption import Outcomes, reason_of
from libs.runtime.errors import Fenced, Malformed, Permanent
from libs.runtime.metrics import PARKED
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.records import Record

log = structlog.get_logger(__name__)

# What the producers' requests hold (libs.runtime.kafka); nothing of ours is larger.
BODY_BYTES_MAX = 1_000_000
# Ids of other sources have 1 to 128 characters (IN-16); an order's id is shorter, an event's adds a number.
SUBJECT_CHARACTERS_MAX = 128
EVENT_ID_CHARACTERS_MAX = 256
SEQUENCE_MAX = 2**63 - 1
# Parked records that nothing but their own fault holds back; beyond it consumption stops on purpose (P5).
PARKED_MAX = 1_000

GAP = "SEQUENCE_GAP"
BEHIND = "BEHIND"

Decode = Callable[[bytes], Any]


class Received(msgspec.Struct, frozen=True, gc=False):
    """One event that is to be applied: its envelope, whose `sequence` is set, and its decoded body."""

    envelope: Envelope
    body: Any

    @property
    def order_id(self) -> str:
        return self.envelope.subject

    @property
    def sequence(self) -> int:
        assert self.envelope.sequence is not None
        return self.envelope.sequence


class Apply(Protocol):
    """What a service does with events: all its writes go through the connection, which commits them."""

    async def __call__(self, connection: psycopg.AsyncConnection, events: Sequence[Received]) -> None: ...


class Numbered(msgspec.Struct, frozen=True, gc=False):
    """A record of the orders' history; `received` is None when its type is of no concern here."""

    record: Record
    subject: str
    sequence: int
    received: Received | None


class Foreign(msgspec.Struct, frozen=True, gc=False):
    """A record that is no part of any order's history; it is passed over and counts for nothing."""

    record: Record


class Broken(msgspec.Struct, frozen=True, gc=False):
    """A record that breaks the contract; `fault` says how, without its content."""

    record: Record
    fault: Malformed


Reading = Numbered | Foreign | Broken


def read(
    record: Record,
    types: Mapping[str, Decode],
    *,
    prefix: str = "jejak.orders.",
    body_bytes_max: int = BODY_BYTES_MAX,
) -> Reading:
    """What a record is, never raising: one bad record costs the batch nothing.

    Reasons of what is broken: HEADER_INVALID, NULL_VALUE, TOO_LARGE, MALFORMED. A type that starts with the
    prefix and is not in `types` is numbered all the same, since it takes a place in its order's sequence.
    """
    ce_type = next((value for name, value in record.headers if name == "ce_type"), None)
    if ce_type is not None and not ce_type.startswith(prefix.encode()):
        return Foreign(record)
    try:
        envelope = _envelope_of(record)
        decode = types.get(envelope.type)
        received = None if decode is None else Received(envelope, _body_of(record, decode, body_bytes_max))
        return Numbered(record, envelope.subject, envelope.sequence or 0, received)
    except Malformed as fault:
        return Broken(record, fault)


def _envelope_of(record: Record) -> Envelope:
    try:
        envelope = from_headers(record.headers)
    except EnvelopeInvalid as fault:
        raise _header_invalid(fault.field, str(fault)) from None
    except ValueError:
        # A number of more than 4,300 digits is refused by Python itself.
        raise _header_invalid("ce_sequence", "Header ce_sequence is too long a number.") from None
    if envelope.sequence is None or not 1 <= envelope.sequence <= SEQUENCE_MAX:
        raise _header_invalid("ce_sequence", "Header ce_sequence is not a number that counts from 1.")
    if envelope.subject != record.key or len(envelope.subject) > SUBJECT_CHARACTERS_MAX:
        raise _header_invalid("ce_subject", "Header ce_subject is not the record's key, an order's id.")
    if "\x00" in envelope.id or len(envelope.id) > EVENT_ID_CHARACTERS_MAX:
        raise _header_invalid("ce_id", "Header ce_id is no usable id.")
    return envelope


def _header_invalid(field: str, message: str) -> Malformed:
    return Malformed(message, field=field, reason="HEADER_INVALID")


def _body_of(record: Record, decode: Decode, bytes_max: int) -> Any:
    if record.value is None:
        raise Malformed("The record has no value; an event is never a tombstone.", reason="NULL_VALUE")
    if len(record.value) > bytes_max:
        raise Malformed(
            f"The record has {len(record.value)} bytes; an event is at most {bytes_max}.", reason="TOO_LARGE"
        )
    try:
        return decode(record.value)
    except (ValueError, msgspec.MsgspecError, RecursionError) as fault:
        # The decoder's own text may quote the body.
        raise Malformed(f"The body is not what its type says: {type(fault).__name__}.") from None


class _Batch:
    """How the records of one transaction end; nothing here has had an effect."""

    def __init__(self, last: dict[str, int], heads: dict[str, str]) -> None:
        self.last = last
        self.heads = heads
        self.moved: set[str] = set()
        self.events: list[Received] = []
        self.to_park: list[tuple[Record, str, Exception | None]] = []
        self.outcomes = Outcomes()

    def take(self, reading: Reading) -> None:
        record = reading.record
        if isinstance(reading, Foreign):
            self.outcomes.count("skipped")
            return
        head = self.heads.get(record.key)
        if isinstance(reading, Broken):
            self._park(record, reading.fault if head is None else None)
            return
        last = self.last.get(reading.subject, 0)
        if reading.sequence <= last:
            self.outcomes.count("duplicate")
        elif head is not None and not (head == GAP and reading.sequence == last + 1):
            # Only what fills the hole goes on; everything else of a parked key waits behind (P5).
            self._park(record, None)
        elif reading.sequence > last + 1:
            self._park(record, _gap(reading.sequence, last))
        else:
            self._advance(reading)

    def _advance(self, reading: Numbered) -> None:
        self.last[reading.subject] = reading.sequence
        self.moved.add(reading.subject)
        if reading.received is None:
            self.outcomes.count("skipped")
        else:
            self.events.append(reading.received)
            self.outcomes.count("handled")

    def _park(self, record: Record, fault: Permanent | None) -> None:
        reason = BEHIND if fault is None else fault.reason
        self.heads.setdefault(record.key, reason)
        self.to_park.append((record, reason, fault))
        self.outcomes.count("parked")


def _gap(sequence: int, last: int) -> Permanent:
    return Permanent(GAP, f"Sequence {sequence} came after {last}; what is between them is missing.")
