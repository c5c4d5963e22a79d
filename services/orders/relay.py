"""Event store to Kafka: the notification log is followed and each order event published in public form.

Exactly one public event for each stored event of an order, with the same sequence, and the id
`<order id>/<sequence>` (OM-12, P2). Stored events never leave the service.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from libs.events.envelope import SCHEMA_BASE, rfc3339, type_name
from libs.events.topics import ORDERS_ORDERS
from libs.runtime.kafka import Outgoing
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.relay import Chunk
from services.orders.public_events import to_public
from services.orders.store import decode, is_order_event

CHUNK_EVENTS = 500
FOLLOWER = "relay"

_ENCODER = msgspec.json.Encoder()
_TOPIC = ORDERS_ORDERS.name

SELECT_EVENTS = (
    "SELECT position, stream_id, version, name, state::text, recorded_at,"
    " correlation_id, causation_id, traceparent FROM orders.events"
)


class PublicEvent(msgspec.Struct, frozen=True, gc=False):
    """One public event: CloudEvents attributes and data, whichever way it leaves the service."""

    position: int
    id: str
    type: str
    subject: str
    time: str
    sequence: int
    correlationid: str | None
    causationid: str | None
    traceparent: str | None
    data: bytes


def publish_form(row: tuple[Any, ...]) -> PublicEvent:
    """The public event of a row of SELECT_EVENTS; its time is when it happened, else when it was recorded."""
    position, stream_id, version, name, state, recorded_at, correlation, causation, traceparent = row
    event = decode(name, state)
    public_name, data = to_public(name, event)
    happened: datetime | None = event.at
    order_id = str(stream_id)
    return PublicEvent(
        position=position,
        id=f"{order_id}/{version}",
        type=type_name("orders", public_name),
        subject=order_id,
        time=rfc3339(happened or recorded_at),
        sequence=version,
        correlationid=correlation,
        causationid=causation,
        traceparent=traceparent,
        data=_ENCODER.encode(data),
    )


def outgoing(event: PublicEvent) -> Outgoing:
    """The Kafka record of a public event, keyed by its order."""
    subject = event.subject.encode()
    wire_type = event.type.encode()
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_type", wire_type),
        ("ce_source", b"/jejak/orders"),
        ("ce_subject", subject),
        ("ce_time", event.time.encode()),
        ("ce_dataschema", _SCHEMA_BASE + wire_type),
        ("ce_sequence", str(event.sequence).encode()),
        ("ce_partitionkey", subject),
        ("content-type", b"application/json"),
    ]
    if event.correlationid is not None:
        headers.append(("ce_correlationid", event.correlationid.encode()))
    if event.causationid is not None:
        headers.append(("ce_causationid", event.causationid.encode()))
    if event.traceparent is not None:
        headers.append(("traceparent", event.traceparent.encode()))
    return Outgoing(_TOPIC, subject, event.data, headers)


_SCHEMA_BASE = SCHEMA_BASE.encode()


def cloud_event(event: PublicEvent) -> dict[str, Any]:
    """The public event as CloudEvents JSON, with its position as an opaque token (LS-5)."""
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "type": event.type,
        "source": "/jejak/orders",
        "subject": event.subject,
        "time": event.time,
        "dataschema": SCHEMA_BASE + event.type,
        "sequence": str(event.sequence),
        "partitionkey": event.subject,
        "datacontenttype": "application/json",
        "correlationid": event.correlationid,
        "causationid": event.causationid,
        "traceparent": event.traceparent,
        "data": msgspec.Raw(event.data),
        "position": str(event.position),
    }
    return {name: value for name, value in attributes.items() if value is not None}


class StoreSource:
    """The event store as the relay's source; a mark is the position of the last event."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool

    async def fetch(self, after: Sequence[Any]) -> Chunk | None:
        """The next events by position. Commit order is position order, so none can appear behind it."""
        async with transient_faults(), self._pool.connection() as connection:
            if after:
                start = after[-1]
            else:
                cursor = await connection.execute(
                    "SELECT position FROM orders.followers WHERE name = %s", [FOLLOWER]
                )
                saved = await cursor.fetchone()
                start = 0 if saved is None else saved[0]
            cursor = await connection.execute(
                SELECT_EVENTS + " WHERE position > %s ORDER BY position LIMIT %s",
                [start, CHUNK_EVENTS],
                prepare=True,
                binary=True,
            )
            rows = await cursor.fetchall()
        if not rows:
            return None
        return Chunk(_records(rows), rows[-1][0], rows[0][5], more=len(rows) == CHUNK_EVENTS)

    async def done(self, marks: Sequence[Any]) -> None:
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO orders.followers (name, position) VALUES (%s, %s) ON CONFLICT (name)"
                # A leader that did not notice its replacement sets nothing back.
                " DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()"
                " WHERE followers.position < excluded.position",
                [FOLLOWER, marks[-1]],
                prepare=True,
            )


def _records(rows: Iterable[tuple[Any, ...]]) -> list[Outgoing]:
    return [outgoing(publish_form(row)) for row in rows if is_order_event(row[3])]


async def unpublished(pool: AsyncPool) -> int:
    """Stored events that Kafka has not acknowledged."""
    async with transient_faults(), pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT coalesce((SELECT max(position) FROM orders.events), 0)"
            " - coalesce((SELECT position FROM orders.followers WHERE name = %s), 0)",
            [FOLLOWER],
        )
        row = await cursor.fetchone()
    assert row is not None, "A scalar query answers one row."
    return int(row[0])
