"""The PostgreSQL recorder of orders: one server-side call appends a batch, whole or not at all.

`AppendRequest` is the contract (what a batch carries), `Appended` its answer. The same call serves the
asynchronous consumers and, as `PostgresRecorder`, the `eventsourcing` library's synchronous interface.
"""

import base64
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg
from eventsourcing.persistence import (
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    OperationalError,
    ProcessRecorder,
    StoredEvent,
    Subscription,
    Tracking,
)
from psycopg.adapt import Dumper, PyFormat
from psycopg.pq import Format
from psycopg_pool import ConnectionPool

SCHEMA = "orders"
EVENTS_CHANNEL = "orders_events"

# Array type oids of PostgreSQL's catalogue (pg_type.dat), and those of their elements.
_UUID, _TEXT, _INT8, _INT4, _BYTEA = (2951, 2950), (1009, 25), (1016, 20), (1007, 23), (1001, 17)
_JSON = (199, 114)
_FIXED = {_UUID, _INT8, _INT4}

APPEND_SQL = (
    "SELECT outcome, first_position, concerned FROM orders.append("
    "%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %s::json, %s::json)"
)
# The same, with `p_remove -> 'drafts'`.
APPEND_DRAFTS_SQL = APPEND_SQL.replace("orders.append(", "orders.append_drafts(")

KEEP_HASHES_SQL = "SELECT orders.keep_search_hashes(%b, %b, %b, %b)"


class BinaryArray:
    """A one-dimensional array already in PostgreSQL's binary form (psycopg's own dumpers cost twice)."""

    __slots__ = ("oid", "packed")

    def __init__(self, types: tuple[int, int], items: Sequence[bytes | None]) -> None:
        self.oid, element = types
        if not items:
            self.packed = struct.pack("!iii", 0, 0, element)
            return
        nulls = None in items
        head = struct.pack("!iiiii", 1, int(nulls), element, len(items), 1)
        pack = _LENGTH.pack
        if types in _FIXED and not nulls:
            # All have one length, so that one join writes it before each.
            length = pack(len(items[0] or b""))
            self.packed = head + length + length.join(cast("Sequence[bytes]", items))
        else:
            self.packed = head + b"".join(
                [_NULL if item is None else pack(len(item)) + item for item in items]
            )


_LENGTH = struct.Struct("!i")
_INT8_PACK = struct.Struct("!q").pack
_NULL = _LENGTH.pack(-1)


class _BinaryArrayDumper(Dumper):
    format = Format.BINARY

    def get_key(self, obj: Any, format: PyFormat) -> Any:  # noqa: A002, ARG002  # psycopg's own name.
        return (type(obj), obj.oid)

    def upgrade(self, obj: Any, format: PyFormat) -> "Dumper":  # noqa: A002, ARG002  # psycopg's own name.
        dumper = _BinaryArrayDumper(type(obj))
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Any) -> bytes:
        packed: bytes = obj.packed
        return packed


psycopg.adapters.register_dumper(BinaryArray, _BinaryArrayDumper)


def uuids(items: Sequence[UUID]) -> BinaryArray:
    return BinaryArray(_UUID, [item.bytes for item in items])


def texts(items: Sequence[str | bytes | None]) -> BinaryArray:
    return BinaryArray(_TEXT, [item.encode() if isinstance(item, str) else item for item in items])


def int8s(items: Sequence[int | None]) -> BinaryArray:
    return BinaryArray(_INT8, [None if item is None else _INT8_PACK(item) for item in items])


def int4s(items: Sequence[int]) -> BinaryArray:
    return BinaryArray(_INT4, [_LENGTH.pack(item) for item in items])


def byteas(items: Sequence[bytes]) -> BinaryArray:
    return BinaryArray(_BYTEA, items)


class Position(msgspec.Struct, frozen=True):
    """Where a consumer stands in one partition of one source (group and topic).

    `went_from` is the stored position the caller decided on: -1 when none was stored, None to accept
    any lower one. `went_to` is the offset of the last record whose effect this append carries.
    """

    source: str
    partition: int
    went_from: int | None
    went_to: int


class NewEvent(msgspec.Struct, frozen=True):
    """One event to store; `state` is its JSON as bytes."""

    stream_id: UUID
    version: int
    name: str
    state: bytes
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


class CommandKey(msgspec.Struct, frozen=True):
    """A caller's idempotency key with the SHA-256 of its body and the answer to repeat."""

    caller: str
    key: str
    body_sha256: bytes
    answer: str

    @property
    def id(self) -> UUID:
        """The row's id: the first 16 bytes of the SHA-256 of caller and key."""
        return UUID(bytes=hashlib.sha256(f"{self.caller}\x1f{self.key}".encode()).digest()[:16])


class RecordRow(msgspec.Struct, frozen=True):
    """A consumed record that waits or is parked; `headers` is framed by libs.runtime.parking."""

    source: str
    partition: int
    position: int
    key: str
    headers: bytes
    record_key: bytes | None
    value: bytes | None
    produced_at: datetime
    reason: str = ""
    fingerprint: str = ""
    detail: str = ""
    attempts: int = 1

    def as_json(self) -> dict[str, Any]:
        """The row as the append's JSON names it; bytes as base64."""
        row = msgspec.to_builtins(self)
        assert isinstance(row, dict)
        return row


class OutboxRow(msgspec.Struct, frozen=True):
    """A record to publish that the append itself writes, so that it goes out exactly when its cause stands.

    `value` is a JSON object. With `stream_id` and `version` it gets the member `position`: that of the event,
    which nobody knows before the append. `headers` is framed by libs.runtime.records.
    """

    topic: str
    key: str
    headers: bytes
    value: str
    stream_id: UUID | None = None
    version: int = 0


class SearchHashes(msgspec.Struct, frozen=True):
    """What an order is found by, of the fields sealed under one buyer's key (PD-5); it may be nothing."""

    order_id: UUID
    buyer_key: UUID
    seller: str
    hashes: tuple[int, ...]


class PlacedDraft(msgspec.Struct, frozen=True):
    """A draft that goes with the append of its order, if it still stands at this revision."""

    id: UUID
    revision: int


@dataclass(slots=True)
class AppendRequest:
    """What one append writes together.

    `streams` names every stream of the batch with the version its decision was made at (0: no event
    yet), also where nothing is written to it. `handled` are the keys of the consumed records that have
    their effect here: none of them may have a parked record in the source.
    """

    positions: list[Position] = field(default_factory=list)
    handled: set[str] = field(default_factory=set)
    streams: dict[UUID, int] = field(default_factory=dict)
    events: list[NewEvent] = field(default_factory=list)
    keys: list[CommandKey] = field(default_factory=list)
    waiting: list[RecordRow] = field(default_factory=list)
    parked: list[RecordRow] = field(default_factory=list)
    timers: list[dict[str, Any]] = field(default_factory=list)
    read_requests: list[dict[str, Any]] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    search_hashes: list[SearchHashes] = field(default_factory=list)
    remove_waiting: list[int] = field(default_factory=list)
    remove_parked: list[int] = field(default_factory=list)
    remove_timers: list[int] = field(default_factory=list)
    remove_read_requests: list[dict[str, Any]] = field(default_factory=list)
    remove_drafts: list[PlacedDraft] = field(default_factory=list)

    @property
    def statement(self) -> str:
        """The call; only who places drafts pays for looking at them."""
        return APPEND_DRAFTS_SQL if self.remove_drafts else APPEND_SQL

    def parameters(self) -> tuple[object, ...]:
        """The call's parameters in order; arrays binary, rarely used rows as one JSON text."""
        events = self.events
        return (
            texts([p.source for p in self.positions]),
            int4s([p.partition for p in self.positions]),
            int8s([p.went_from for p in self.positions]),
            int8s([p.went_to for p in self.positions]),
            texts(list(self.handled)),
            uuids(list(self.streams)),
            int8s(list(self.streams.values())),
            uuids([e.stream_id for e in events]),
            int8s([e.version for e in events]),
            texts([e.name for e in events]),
            BinaryArray(_JSON, [e.state for e in events]),
            texts([e.correlation_id for e in events]),
            texts([e.causation_id for e in events]),
            texts([e.traceparent for e in events]),
            uuids([k.id for k in self.keys]),
            texts([k.caller for k in self.keys]),
            texts([k.key for k in self.keys]),
            BinaryArray(_BYTEA, [k.body_sha256 for k in self.keys]),
            texts([k.answer for k in self.keys]),
            self._rows_to_add(),
            self._rows_to_remove(),
        )

    def _rows_to_add(self) -> str | None:
        if not (self.waiting or self.parked or self.timers or self.read_requests or self.outbox):
            return None
        rows = {
            "waiting": [row.as_json() for row in self.waiting],
            "parked": [row.as_json() for row in self.parked],
            "timers": self.timers,
            "read_requests": self.read_requests,
            "outbox": self.outbox,
        }
        return msgspec.json.encode(rows).decode()

    def _rows_to_remove(self) -> str | None:
        rows = {
            "waiting": self.remove_waiting,
            "parked": self.remove_parked,
            "timers": self.remove_timers,
            "read_requests": self.remove_read_requests,
            "drafts": self.remove_drafts,
        }
        return msgspec.json.encode(rows).decode() if any(rows.values()) else None


class Appended(msgspec.Struct, frozen=True):
    """`outcome` is OK, POSITION_MOVED, KEY_TAKEN or CONFLICT; only OK has written anything.

    With OK, `first_position` is that of the batch's first event, the others follow it in the order given.
    Otherwise `concerned` names the sources, keys, stream ids or rows that stand against it.
    """

    outcome: str
    first_position: int | None
    concerned: tuple[str, ...] = ()


async def append(connection: psycopg.AsyncConnection, request: AppendRequest) -> Appended:
    """Append the batch in one statement, hence one transaction; psycopg's errors mean nothing is known.

    Search hashes are kept first, in the same transaction: where nothing is appended they may stay, and find
    an order that no list has.
    """
    if not request.search_hashes:
        cursor = await connection.execute(request.statement, request.parameters(), prepare=True, binary=True)
        return _answer(await cursor.fetchone())
    # In a pipeline both are one round trip and, without a BEGIN, one transaction up to its end. The writer
    # lock is taken by the second, so that the index of hashes is not written under it.
    async with connection.pipeline():
        await connection.execute(KEEP_HASHES_SQL, _hash_columns(request.search_hashes), prepare=True)
        cursor = await connection.execute(request.statement, request.parameters(), prepare=True, binary=True)
    return _answer(await cursor.fetchone())


def _hash_columns(kept: Sequence[SearchHashes]) -> list[object]:
    merged: dict[tuple[UUID, UUID], SearchHashes] = {}
    for each in kept:
        # An order that is placed and completed in one batch stands twice.
        before = merged.get((each.order_id, each.buyer_key))
        if before is not None:
            each = msgspec.structs.replace(each, hashes=tuple({*before.hashes, *each.hashes}))  # noqa: PLW2901
        merged[each.order_id, each.buyer_key] = each
    rows = merged.values()
    return [
        uuids([each.order_id for each in rows]),
        uuids([each.buyer_key for each in rows]),
        texts([each.seller for each in rows]),
        texts([f"{{{','.join(map(str, each.hashes))}}}" for each in rows]),
    ]


def _answer(row: tuple[Any, ...] | None) -> Appended:
    assert row is not None, "A function that returns a composite answers one row."
    return Appended(row[0], row[1], tuple(row[2] or ()))


# Bytes that are not JSON are wrapped, since the column is json (the library stores any bytes).
_WRAPPED = b'{"$bytes":"'


def wrap(state: bytes) -> bytes:
    """JSON as it is; any other bytes as a JSON object that `unwrap` opens again."""
    try:
        msgspec.json.decode(state)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _WRAPPED + base64.b64encode(state) + b'"}'
    return state


def unwrap(state: bytes) -> bytes:
    """The bytes that `wrap` was given."""
    if state.startswith(_WRAPPED) and state.endswith(b'"}'):
        return base64.b64decode(state[len(_WRAPPED) : -2])
    return state


class PostgresRecorder(ProcessRecorder):
    """The library's recorder interface over the one append; positions are contiguous in commit order."""

    def __init__(self, pool: ConnectionPool, dsn: str) -> None:
        self.pool = pool
        self.dsn = dsn

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append the events; IntegrityError when a version is taken or the tracking has been passed."""
        tracking: Tracking | None = kwargs.get("tracking")
        request = AppendRequest()
        for event in stored_events:
            stream_id = UUID(str(event.originator_id))
            request.streams.setdefault(stream_id, event.originator_version - 1)
            request.events.append(
                NewEvent(stream_id, event.originator_version, event.topic, wrap(event.state))
            )
        if tracking is not None:
            request.positions.append(Position(tracking.application_name, 0, None, tracking.notification_id))
        appended = self._append(request)
        if appended.outcome != "OK":
            raise IntegrityError(f"{appended.outcome}: {', '.join(appended.concerned)}")
        if not stored_events or appended.first_position is None:
            return []
        return list(range(appended.first_position, appended.first_position + len(stored_events)))

    def insert_tracking(self, tracking: Tracking) -> None:
        """Record the position alone; IntegrityError when it, or a later one, is recorded already."""
        self.insert_events([], tracking=tracking)

    def _append(self, request: AppendRequest) -> Appended:
        try:
            with self.pool.connection() as connection:
                return _answer(connection.execute(APPEND_SQL, request.parameters(), binary=True).fetchone())
        except psycopg.IntegrityError as error:
            raise IntegrityError(str(error)) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise OperationalError(str(error)) from error

    def _rows(self, statement: str, parameters: dict[str, object]) -> list[tuple[Any, ...]]:
        with self.pool.connection() as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The stream's events with gt < version <= lte, in the order asked."""
        rows = self._rows(
            "SELECT stream_id, version, name, state::text FROM orders.events WHERE stream_id = %(id)s"
            " AND (%(gt)s::bigint IS NULL OR version > %(gt)s)"
            " AND (%(lte)s::bigint IS NULL OR version <= %(lte)s)"
            f" ORDER BY version {'DESC' if desc else 'ASC'} LIMIT %(limit)s",
            {"id": originator_id, "gt": gt, "lte": lte, "limit": limit},
        )
        return [StoredEvent(row[0], row[1], row[2], unwrap(row[3].encode())) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Up to `limit` notifications from `start` on; a plain index range, since there are no gaps."""
        first = (start or 0) + (0 if inclusive_of_start else 1)
        rows = self._rows(
            "SELECT stream_id, version, name, state::text, position FROM orders.events"
            " WHERE position >= %(first)s AND (%(stop)s::bigint IS NULL OR position <= %(stop)s)"
            " AND (cardinality(%(topics)s::text[]) = 0 OR name = ANY(%(topics)s))"
            " ORDER BY position LIMIT %(limit)s",
            {"first": first, "stop": stop, "topics": list(topics), "limit": limit},
        )
        return [Notification(row[0], row[1], row[2], unwrap(row[3].encode()), row[4]) for row in rows]

    def max_notification_id(self) -> int | None:
        """The last position; None when nothing is stored."""
        last: int | None = self._rows("SELECT max(position) FROM orders.events", {})[0][0]
        return last

    def max_tracking_id(self, application_name: str) -> int | None:
        """The recorded position of an upstream application; None when there is none."""
        last: int | None = self._rows(
            "SELECT max(position) FROM orders.consumed_positions WHERE source = %(source)s",
            {"source": application_name},
        )[0][0]
        return last

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription["PostgresRecorder"]:
        """An endless iterator of notifications after `gt`, woken by NOTIFY, with a fallback poll."""
        return _NotifiedSubscription(self, gt, topics)


class _NotifiedSubscription(ListenNotifySubscription[PostgresRecorder]):
    def __init__(self, recorder: PostgresRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        import threading

        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        super().__exit__(*args, **kwargs)
        self._listener.join()

    def _listen(self) -> None:
        while not self._has_been_stopped:
            try:
                with psycopg.connect(self._recorder.dsn, autocommit=True) as connection:
                    connection.execute(f"LISTEN {EVENTS_CHANNEL}")
                    self._has_been_notified.set()
                    while not self._has_been_stopped:
                        for _ in connection.notifies(timeout=0.1, stop_after=1):
                            pass
                        # Every time-out pulls too, so a lost notification costs a tenth of a second.
                        self._has_been_notified.set()
            except psycopg.OperationalError:
                self._has_been_notified.set()
