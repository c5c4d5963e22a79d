"""Consumes public events into ordinary tables: effect, sequences, parked records and positions in one commit.

For the services that are not event-sourced. Each keeps `<schema>.order_sequences`, the last sequence
applied of every order, so that it sees each order's events once and in order (P2, P3). No rule lives here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
import psycopg
import structlog

from libs.events.envelope import Envelope, EnvelopeInvalid, from_headers
from libs.runtime import parking
from libs.runtime.consumed import PARKED_MAX, ConsumedPositions
from libs.runtime.consumption import Outcomes, reason_of
from libs.runtime.errors import Malformed, Permanent
from libs.runtime.parking import BEHIND, Parked, ParkedRow
from libs.runtime.postgres import AsyncPool
from libs.runtime.records import Record
from libs.runtime.redrive import GONE

log = structlog.get_logger(__name__)

# What the producers' requests hold (libs.runtime.kafka); nothing of ours is larger.
BODY_BYTES_MAX = 1_000_000
# Ids of other sources have 1 to 128 characters (IN-16); an order's id is shorter, an event's adds a number.
SUBJECT_CHARACTERS_MAX = 128
EVENT_ID_CHARACTERS_MAX = 256
SEQUENCE_MAX = 2**63 - 1

GAP = "SEQUENCE_GAP"

Decode = Callable[[bytes], Any]


class Received(msgspec.Struct, frozen=True, gc=False):
    """One event that is to be applied: its envelope, its decoded body, and when it happened.

    The envelope's `sequence` is set; `at` is `ce_time`, else the time that the record was produced.
    """

    envelope: Envelope
    body: Any
    at: datetime

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
        received = None
        if decode is not None:
            body = _body_of(record, decode, body_bytes_max)
            received = Received(envelope, body, _instant_of(envelope, record))
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


def _instant_of(envelope: Envelope, record: Record) -> datetime:
    if not envelope.time:
        return record.produced_at
    try:
        instant = datetime.fromisoformat(envelope.time)
    except ValueError:
        instant = datetime.min  # noqa: DTZ901  # Naive, so that it is refused as any naive time is.
    if instant.tzinfo is None:
        raise _header_invalid("ce_time", "Header ce_time is not an RFC 3339 time.")
    return instant


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
        self.rows: list[ParkedRow] = []
        self.outcomes = Outcomes()

    def take(self, reading: Reading) -> None:
        record = reading.record
        if isinstance(reading, Foreign):
            self.outcomes.count("skipped")
            return
        head = self.heads.get(record.key)
        if isinstance(reading, Broken):
            self.park(record, reading.fault if head is None else None)
            return
        last = self.last.get(reading.subject, 0)
        if reading.sequence <= last:
            self.outcomes.count("duplicate")
        elif head is not None and not (head == GAP and reading.sequence == last + 1):
            # Only what fills the hole goes on; everything else of a parked key waits behind (P5).
            self.park(record, None)
        elif reading.sequence > last + 1:
            self.park(record, _gap(reading.sequence, last))
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

    def park(self, record: Record, fault: Exception | None) -> None:
        """Park the record for its own fault, or behind another of its key when it has none."""
        reason = BEHIND if fault is None else reason_of(fault)
        self.heads.setdefault(record.key, reason)
        self.to_park.append((record, reason, fault))
        self.outcomes.count("parked")


def _gap(sequence: int, last: int) -> Permanent:
    return Permanent(GAP, f"Sequence {sequence} came after {last}; what is between them is missing.")


class TransactionalHandler(ConsumedPositions):
    """Applies the records of one topic's orders to a service's tables: a BatchHandler and a Releaser.

    One transaction per batch: it locks the partitions' positions and checks that nobody has moved them
    (Fenced otherwise), drops what was applied before, parks what cannot be applied and what is behind it,
    calls the service's `apply` with the rest in order, keeps the sequences and moves the positions. All of it
    is durable, or nothing. A fault of the connection is Transient; any other of `apply` goes to the caller.
    """

    def __init__(
        self,
        pool: AsyncPool,
        *,
        schema: str,
        types: Mapping[str, Decode],
        apply: Apply,
        prefix: str = "jejak.orders.",
        body_bytes_max: int = BODY_BYTES_MAX,
        parked_max: int = PARKED_MAX,
    ) -> None:
        super().__init__(pool, schema=schema, parked_max=parked_max)
        self._types = types
        self._apply = apply
        self._prefix = prefix
        self._body_bytes_max = body_bytes_max

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        readings = [self._read(record) for record in records]
        async with self._transaction() as connection:
            await self._take_positions(connection, records, stored)
            batch = await self._sort(connection, records[0].source, readings)
            await self._have_effect(connection, batch)
        self._tell_parked(batch)
        return batch.outcomes

    async def park(self, record: Record, stored: Mapping[int, int], fault: Exception) -> None:
        async with self._transaction() as connection:
            await self._take_positions(connection, [record], stored)
            batch = _Batch({}, await self._heads(connection, record.source, {record.key}))
            batch.park(record, fault if record.key not in batch.heads else None)
            await self._have_effect(connection, batch)
        self._tell_parked(batch)

    async def release(self, row: Parked) -> str:
        """Apply one parked record and remove its row, in one transaction; the caller holds the key's lock.

        Gives handled, skipped, duplicate, or GONE when the row was gone. Raises what keeps the record from
        being applied (Malformed, SEQUENCE_GAP, any fault of `apply`); then nothing has changed.
        """
        async with self._transaction() as connection:
            if not await parking.remove(connection, self.schema, row.id):
                return GONE
            batch = _Batch(await self._sequences(connection, {row.key}), {})
            batch.take(self._read(row.record()))
            for _, reason, fault in batch.to_park:
                raise fault or Permanent(reason, "The record is behind another.")
            await self._have_effect(connection, batch)
        return next(iter(batch.outcomes))

    def _read(self, record: Record) -> Reading:
        return read(record, self._types, prefix=self._prefix, body_bytes_max=self._body_bytes_max)

    async def _sort(
        self, connection: psycopg.AsyncConnection, source: str, readings: Sequence[Reading]
    ) -> _Batch:
        keys = {each.record.key for each in readings if not isinstance(each, Foreign)}
        heads = await self._heads(connection, source, keys)
        batch = _Batch(await self._sequences(connection, keys), heads)
        for reading in readings:
            batch.take(reading)
        return batch

    async def _heads(
        self, connection: psycopg.AsyncConnection, source: str, keys: set[str]
    ) -> dict[str, str]:
        """Why the first parked record of each key is parked; keys of which none is are left out."""
        parked = await parking.parked_keys(connection, self.schema, source, keys)
        if not parked:
            return {}
        cursor = await connection.execute(
            self._sql(
                "SELECT DISTINCT ON (key) key, reason FROM {}.parked WHERE source = %s AND key = ANY(%s)"
                " ORDER BY key, partition, position"
            ),
            [source, sorted(parked)],
        )
        return dict(await cursor.fetchall())

    async def _sequences(self, connection: psycopg.AsyncConnection, keys: set[str]) -> dict[str, int]:
        cursor = await connection.execute(
            self._sql("SELECT order_id, sequence FROM {}.order_sequences WHERE order_id = ANY(%s)"),
            [sorted(keys)],
        )
        return dict(await cursor.fetchall())

    async def _have_effect(self, connection: psycopg.AsyncConnection, batch: _Batch) -> None:
        batch.rows = [parking.parked_row(record, reason, fault) for record, reason, fault in batch.to_park]
        await parking.park_rows(connection, self.schema, batch.rows)
        if batch.moved:
            moved = sorted(batch.moved)
            await connection.execute(
                self._sql(
                    "INSERT INTO {}.order_sequences (order_id, sequence)"
                    " SELECT * FROM unnest(%s::text[], %s::bigint[]) ON CONFLICT (order_id) DO UPDATE"
                    " SET sequence = excluded.sequence, updated_at = clock_timestamp()"
                ),
                [moved, [batch.last[subject] for subject in moved]],
            )
        if batch.events:
            await self._apply(connection, batch.events)

    def _tell_parked(self, batch: _Batch) -> None:
        parking.count_parked(batch.rows)
        for row in batch.rows:
            if row.reason != BEHIND:
                log.warning(
                    "event_parked",
                    source=row.source,
                    partition=row.partition,
                    offset=row.position,
                    reason=row.reason,
                    detail=row.detail,
                )
