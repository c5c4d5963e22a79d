"""What orders asks channels to read: kept by the append of what asks, sent on `orders.actions.v1` (AC-13).

At most one waits per order. News that needs a reading while one waits gives it a new number, so that the end
of the older request never takes the newer one with it.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from libs.events.actions import OrderReadRequested
from libs.events.envelope import Envelope, rfc3339, to_headers
from libs.events.topics import ORDERS_ACTIONS
from libs.runtime.kafka import Outgoing
from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.relay import Chunk
from services.orders.store import order_id_of

READS_CHANNEL: Final = "orders_reads"
CHUNK_REQUESTS: Final = 200
_ENCODER = msgspec.json.Encoder()
_TYPE: Final = OrderReadRequested.ce_type()
_TOPIC = ORDERS_ACTIONS.name


class ReadRequests:
    """The requests as a relay's source; a mark is the number of the last one."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool

    async def fetch(self, after: Sequence[Any]) -> Chunk | None:
        """The next requests by number. They are given under the writer's lock, so none appears behind it."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT id, connection, external_id, reason, requested_at, traceparent"
                " FROM orders.read_requests WHERE id > %s ORDER BY id LIMIT %s",
                [after[-1] if after else 0, CHUNK_REQUESTS],
            )
            rows = await cursor.fetchall()
        if not rows:
            return None
        return Chunk([_outgoing(row) for row in rows], rows[-1][0], rows[0][4], len(rows) == CHUNK_REQUESTS)

    async def done(self, marks: Sequence[Any]) -> None:
        """Remove what is acknowledged; a request made anew meanwhile has a higher number and stays."""
        async with transient_faults(), self._pool.connection() as connection:
            await connection.execute("DELETE FROM orders.read_requests WHERE id <= %s", [marks[-1]])


def _outgoing(row: tuple[Any, ...]) -> Outgoing:
    number, connection, order, reason, requested_at, traceparent = row
    order_id = str(order_id_of(connection, order))
    envelope = Envelope(
        id=f"{order_id}/read/{number}",
        type=_TYPE,
        source="/jejak/orders",
        subject=order_id,
        time=rfc3339(requested_at),
        traceparent=traceparent,
    )
    body = {
        "action": "read_order",
        "connection": connection,
        "order": order,
        "reason": reason,
        "requested_at": rfc3339(requested_at),
    }
    return Outgoing(_TOPIC, order_id.encode(), _ENCODER.encode(body), to_headers(envelope))


async def unsent(pool: AsyncPool) -> int:
    """Requests that Kafka has not acknowledged."""
    async with transient_faults(), pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM orders.read_requests")
        row = await cursor.fetchone()
    assert row is not None, "count(*) answers one row."
    return int(row[0])
