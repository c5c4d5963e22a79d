"""Binds the order model to its event store: frozen names, JSON states, loading and appending in batches.

Stored names are frozen: a name written once is read for ever. A changed class gets a new version and an
upcast here; nothing is renamed or removed from the table.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import psycopg
from eventsourcing.application import Application
from eventsourcing.persistence import ApplicationRecorder, Mapper, StoredEvent

from libs.runtime.errors import Permanent
from libs.runtime.postgres import AsyncPool
from services.orders.order.events import EVENTS, Event
from services.orders.order.state import Order, evolve
from services.orders.recorder import PostgresRecorder, uuids

# The namespace of channel order ids (OM-2); it never changes, or every order would get a new id.
ORDER_NAMESPACE: Final = UUID("6b1f5f0e-7a53-5d0c-9d27-5f1f3c2f8a10")

_NAMESPACE_BYTES: Final = ORDER_NAMESPACE.bytes
# Version 5 and the variant of RFC 9562.
_UUID5_MASK: Final = ~(0xF << 76 | 0x3 << 62)
_UUID5_BITS: Final = 5 << 76 | 2 << 62

# An event larger than its topic takes is refused here, never met by the relay (decision 0003).
STATE_BYTES_MAX: Final = 900_000

# Stored names of series streams (numbers of bills and the like, IV-1), which are no orders.
NUMBER_GIVEN: Final = "NumberGiven.v1"
SERIES_EVENTS: Final[frozenset[str]] = frozenset({NUMBER_GIVEN})
# Base 32 without the letters that are easily mistaken, two digits at a time: a fifth of the library's time.
_DIGIT: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TWO: Final = tuple(high + low for high in _DIGIT for low in _DIGIT)
_NAMES: Final[dict[type, str]] = {event_type: name for name, event_type in EVENTS.items()}
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(event_type) for name, event_type in EVENTS.items()
}
_ENCODER: Final = msgspec.json.Encoder()


def order_id_of(connection: str, external_order_id: str) -> UUID:
    """The id of a channel order: UUIDv5 of `<connection>:<external order id>` (OM-2, IN-06)."""
    # What uuid.uuid5 does, without the checks of UUID's constructor: a third of its time.
    digest = hashlib.sha1(
        _NAMESPACE_BYTES + f"{connection}:{external_order_id}".encode(), usedforsecurity=False
    )
    value = int.from_bytes(digest.digest()[:16], "big")
    return UUID(int=(value & _UUID5_MASK) | _UUID5_BITS)


def order_number(channel: str, order_id: UUID) -> str:
    """The order number of a channel order: the channel's letter and 13 characters of its id (OM-2).

    It carries 65 bits of the id, no personal data, and no letter that is easily mistaken for another.
    """
    bits = order_id.int >> 63
    return (
        f"{channel[:1].upper()}{_DIGIT[bits >> 60]}{_TWO[bits >> 50 & 1023]}{_TWO[bits >> 40 & 1023]}"
        f"{_TWO[bits >> 30 & 1023]}{_TWO[bits >> 20 & 1023]}{_TWO[bits >> 10 & 1023]}{_TWO[bits & 1023]}"
    )


def seller_order_number(order_id: UUID) -> str:
    """The order number of a seller's own order: 13 characters of its id's hash (OM-2).

    A UUIDv7 is mostly time, so that two of one millisecond would differ in a few bits only: hence the hash.
    """
    hashed = int.from_bytes(hashlib.sha256(order_id.bytes).digest()[:16], "big")
    return order_number("P", UUID(int=hashed))


def encode(event: Event) -> tuple[str, bytes]:
    """The stored name and the JSON of an event.

    Raises Permanent (EVENT_TOO_LARGE) when the JSON would not fit the public topic.
    """
    state = _ENCODER.encode(event)
    if len(state) > STATE_BYTES_MAX:
        raise Permanent("EVENT_TOO_LARGE", f"An event of {len(state)} bytes does not fit the topic.")
    return _NAMES[type(event)], state


def decode(name: str, state: bytes | str) -> Event:
    """The event of a stored name and JSON; unknown fields of a later version are ignored."""
    return cast("Event", _DECODERS[name].decode(state))


class UnknownEvent(RuntimeError):
    """A stored name that this version does not know: a later version wrote it, and must read it too."""


def is_order_event(name: str) -> bool:
    """Whether a stored name belongs to an order's stream (series streams are no orders).

    Raises UnknownEvent for a name of neither: passing over it would lose the event for good.
    """
    if name in _DECODERS:
        return True
    if name in SERIES_EVENTS:
        return False
    raise UnknownEvent(f"The stored event {name} is not known to this version; run the one that wrote it.")


async def load(
    connection: psycopg.AsyncConnection, order_ids: Sequence[UUID]
) -> dict[UUID, tuple[int, Order]]:
    """The version and state of each order that has events, folded from its whole stream, in one query."""
    cursor = await connection.execute(
        "SELECT stream_id, version, name, state::text FROM orders.events"
        " WHERE stream_id = ANY(%b) ORDER BY stream_id, version",
        [uuids(order_ids)],
        prepare=True,
        binary=True,
    )
    loaded: dict[UUID, tuple[int, Order]] = {}
    for stream_id, version, name, state in await cursor.fetchall():
        before = loaded.get(stream_id)
        loaded[stream_id] = (version, evolve(None if before is None else before[1], decode(name, state)))
    return loaded


async def load_standing(
    connection: psycopg.AsyncConnection, order_ids: Sequence[UUID]
) -> dict[UUID, tuple[int, Order, int, str]]:
    """As `load`, and the position of each order's last event and the caller that placed it."""
    cursor = await connection.execute(
        "SELECT stream_id, version, name, state::text, position FROM orders.events"
        " WHERE stream_id = ANY(%b) ORDER BY stream_id, version",
        [uuids(order_ids)],
        prepare=True,
        binary=True,
    )
    loaded: dict[UUID, tuple[int, Order, int, str]] = {}
    for stream_id, version, name, state, position in await cursor.fetchall():
        # A series stream is no order (IV-1).
        if not is_order_event(name):
            continue
        before = loaded.get(stream_id)
        event = decode(name, state)
        placed_by = event.caller if before is None else before[3]
        order = evolve(None if before is None else before[1], event)
        loaded[stream_id] = (version, order, position, placed_by)
    return loaded


async def position_of(connection: psycopg.AsyncConnection, order_id: UUID, version: int) -> int | None:
    """The position of one event of an order; None when there is none."""
    cursor = await connection.execute(
        "SELECT position FROM orders.events WHERE stream_id = %s AND version = %s",
        [order_id, version],
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def last_position(pool: AsyncPool) -> int:
    """The position of the last stored event; 0 when there is none."""
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT coalesce(max(position), 0) FROM orders.events")
        row = await cursor.fetchone()
    assert row is not None, "An aggregate answers one row."
    return int(row[0])


class RecordedEvent(msgspec.Struct, frozen=True):
    """An event of the model as the library knows it: with its stream and version."""

    originator_id: UUID
    originator_version: int
    event: Event


class FrozenNames(Mapper[UUID]):
    """Writes frozen names and readable JSON in place of class paths and opaque bytes."""

    def __init__(self) -> None:
        """The library's transcoder, compressor and cipher play no part: states are plain JSON."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        name, state = encode(domain_event.event)
        return StoredEvent(domain_event.originator_id, domain_event.originator_version, name, state)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return RecordedEvent(
            UUID(str(stored_event.originator_id)),
            stored_event.originator_version,
            decode(stored_event.topic, stored_event.state),
        )


class OrderStore(Application[UUID]):
    """The library's application over our recorder: event store, notification log and subscriptions.

    The services append in batches through `recorder.append`; this is the door for everything that reads
    with the library's own tools, and for tests.
    """

    name = "orders"

    def __init__(self, recorder: PostgresRecorder) -> None:
        self._given_recorder = recorder
        super().__init__()

    def construct_mapper(self) -> Mapper[UUID]:
        return FrozenNames()

    def construct_recorder(self) -> ApplicationRecorder:
        return self._given_recorder

    def history(self, order_id: UUID) -> list[Event]:
        """Every event of an order, oldest first."""
        return [cast("RecordedEvent", recorded).event for recorded in self.events.get(order_id)]
