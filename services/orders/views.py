"""The read model of orders: the list as a projection, one order folded from its own stream."""

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from libs.runtime.postgres import AsyncPool, transient_faults
from services.orders.order.headline import flags, headline, view
from services.orders.order.state import Order
from services.orders.relay import SELECT_EVENTS, PublicEvent, publish_form
from services.orders.store import is_order_event, load

# The name of the read model and its version; a rebuild fills the next version beside it.
FOLLOWER: Final = "order_views.v1"
# How many positions of the log one call for a seller's events looks at: 20,000 look-ups of whose each is.
EVENTS_WINDOW: Final = 20_000
_STATE = msgspec.json.Decoder(Order)


class Mark(NamedTuple):
    """Where a page of the list ends: the placement time and the id of its last order."""

    placed_at: datetime
    order_id: UUID


class Row(msgspec.Struct, frozen=True):
    """One row of the list, with the folded order that it shows."""

    order_id: UUID
    seller: str
    number: str
    channel: str
    shop: str
    marketplace_number: str
    headline: str
    flags: tuple[str, ...]
    placed_at: datetime
    sequence: int
    position: int
    order: Order


def row_of(order_id: UUID, order: Order, sequence: int, position: int, recorded_at: datetime) -> Row:
    """The row that the order is in the list; placed without a time, it stands under its record's."""
    return Row(
        order_id,
        order.seller,
        order.number,
        order.channel,
        order.shop,
        order.marketplace_number,
        headline(order),
        tuple(sorted(flags(order))),
        order.placed_at or recorded_at,
        sequence,
        position,
        order,
    )


def order_object(order_id: UUID, order: Order, position: int) -> dict[str, Any]:
    """The order as the API answers it; `position` is an opaque token (LS-5)."""
    return {
        "id": str(order_id),
        **view(order),
        "sequence": order.sequence,
        "position": str(position),
        # Commands come with the whole lifecycle; until then nobody may give one here.
        "allowed": [],
    }


class OrderViews:
    """The queries of the API; every one is bounded to one seller."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool

    async def order(self, seller: str, order_id: UUID) -> dict[str, Any] | None:
        """The order as its stream says now; None when this seller has no such order."""
        async with transient_faults(), self._pool.connection() as connection:
            loaded = (await load(connection, [order_id])).get(order_id)
            if loaded is None or loaded[1].seller != seller:
                return None
            cursor = await connection.execute(
                "SELECT max(position) FROM orders.events WHERE stream_id = %s AND version <= %s",
                [order_id, loaded[0]],
            )
            found = await cursor.fetchone()
        assert found is not None, "An aggregate answers one row."
        return order_object(order_id, loaded[1], found[0])

    async def orders(
        self,
        seller: str,
        *,
        limit: int,
        after: Mark | None,
        headline_is: str | None,
        channel: str | None,
        shop: str | None,
        marketplace_number: str | None,
    ) -> list[tuple[Mark, dict[str, Any]]]:
        """Up to `limit` orders, the latest placed first; the mark of each is what a cursor stands for."""
        conditions = ["seller = %(seller)s"]
        values: dict[str, object] = {"seller": seller, "limit": limit}
        for name, value in (
            ("headline", headline_is),
            ("channel", channel),
            ("shop", shop),
            ("marketplace_number", marketplace_number),
        ):
            if value is not None:
                conditions.append(f"{name} = %({name})s")
                values[name] = value
        if after is not None:
            conditions.append("(placed_at, order_id) < (%(at)s::timestamptz, %(id)s::uuid)")
            values |= {"at": after.placed_at, "id": after.order_id}
        statement = (
            "SELECT order_id, placed_at, position, state FROM orders.order_views_v1 WHERE "
            + " AND ".join(conditions)
            + " ORDER BY placed_at DESC, order_id DESC LIMIT %(limit)s"
        )
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(statement.encode(), values)
            rows = await cursor.fetchall()
        return [
            (
                Mark(placed_at, order_id),
                order_object(order_id, _STATE.decode(state), position),
            )
            for order_id, placed_at, position, state in rows
        ]

    async def order_events(
        self, seller: str, order_id: UUID, *, limit: int, after: int
    ) -> list[PublicEvent] | None:
        """The order's public events after a sequence, oldest first; None when there is no such order."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                SELECT_EVENTS + " WHERE stream_id = %s AND (version > %s OR version = 1)"
                " ORDER BY version LIMIT %s",
                [order_id, after, limit + 1],
            )
            rows = await cursor.fetchall()
        if not rows or not is_order_event(rows[0][3]) or _seller_of(rows[0]) != seller:
            return None
        return [publish_form(row) for row in rows if row[2] > after][:limit]

    async def events(self, seller: str, *, limit: int, after: int) -> tuple[list[PublicEvent], int]:
        """The seller's public events after a position, oldest first, and the position to go on from.

        Whose an event is stands in the read model, so the answer never goes beyond what is projected: an
        event is late here by the projection's lag, and never left out. One call looks at a window of the log,
        so a page may be empty before the end: the position goes on until it stays where it was.
        """
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT coalesce((SELECT position FROM orders.followers WHERE name = %s), 0)", [FOLLOWER]
            )
            found = await cursor.fetchone()
            projected = found[0] if found is not None else 0
            end = max(after, min(projected, after + EVENTS_WINDOW))
            cursor = await connection.execute(
                "SELECT position, e.stream_id, version, name, e.state::text, recorded_at, correlation_id,"
                " causation_id, traceparent FROM orders.events e"
                " WHERE position > %s AND position <= %s AND EXISTS (SELECT FROM orders.order_views_v1 v"
                " WHERE v.order_id = e.stream_id AND v.seller = %s) ORDER BY position LIMIT %s",
                [after, end, seller, limit],
            )
            rows = await cursor.fetchall()
        events = [publish_form(row) for row in rows if is_order_event(row[3])]
        full = len(rows) == limit
        return events, rows[-1][0] if full else end

    async def parked(self, *, limit: int, after: int) -> list[dict[str, Any]]:
        """What is parked, without any content, oldest first."""
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT id, source, partition, position, key, reason, fingerprint, detail, attempts,"
                " parked_at FROM orders.parked WHERE id > %s ORDER BY id LIMIT %s",
                [after, limit],
            )
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


def _seller_of(row: tuple[Any, ...]) -> str:
    seller: str = msgspec.json.decode(row[4])["seller"]
    return seller


async def waiting_and_parked(pool: AsyncPool) -> tuple[int, int]:
    """Facts that wait for their order's placement, and records that are parked."""
    async with transient_faults(), pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT (SELECT count(*) FROM orders.waiting), (SELECT count(*) FROM orders.parked)"
        )
        found = await cursor.fetchone()
    assert found is not None, "A scalar query answers one row."
    return int(found[0]), int(found[1])
