"""The read model of orders: the list as a projection, one order folded from its own stream."""

from collections.abc import Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import psycopg

from libs.runtime.postgres import AsyncPool, transient_faults
from services.orders.buyer_search import KINDS, Kind
from services.orders.columns import NOBODY, Recipient, columns, recipient_of
from services.orders.list_query import Mark, Query, page_rows
from services.orders.names import SellerNames
from services.orders.order.allowing import allowed_now
from services.orders.order.buyer import newest
from services.orders.order.headline import explain, view
from services.orders.order.state import Order
from services.orders.order.timeline import Entry, timeline
from services.orders.order.words import Sealed
from services.orders.order_list import FOLLOWER, NotBuilt, decode_state, position_of
from services.orders.positions import followed, stored
from services.orders.relay import SELECT_EVENTS, PublicEvent, publish_form
from services.orders.store import decode, is_order_event, load_standing

# How many positions of the log one call for a seller's events looks at: 20,000 look-ups of whose each is.
EVENTS_WINDOW: Final = 20_000

_STREAM: Final = (
    "SELECT version, name, state::text, recorded_at, causation_id FROM orders.events"
    " WHERE stream_id = %s ORDER BY version"
)


class NotPlacedByCaller(LookupError):
    """The order came in through another caller."""


def order_object(order_id: UUID, order: Order, position: int) -> dict[str, Any]:
    """The order as the API answers it; `position` is an opaque token (LS-5)."""
    return {
        "id": str(order_id),
        **view(order),
        "sequence": order.sequence,
        "position": str(position),
        "allowed": allowed_now(order),
    }


class Buyers(Protocol):
    """What opens and finds the data of buyers, which the list keeps sealed (services.orders.buyers)."""

    async def open(self, held: Sequence[tuple[UUID, Sequence[Sealed]]]) -> list[dict[str, str]]:
        """For each order what its sealed fields say now; a field whose key is gone is left out (PD-7)."""

    async def hashes_of_search(self, seller: str, kind: Kind, text: str) -> list[int]:
        """The hashes that an order must have all of to be found; none: nothing can be found (PD-5)."""


class OrderViews:
    """The queries of the API; every one is bounded to one seller."""

    def __init__(self, pool: AsyncPool, buyers: Buyers | None = None) -> None:
        self._pool = pool
        self._buyers = buyers
        self._names = SellerNames()
        self._built = False

    async def order(
        self,
        seller: str,
        order_id: UUID,
        *,
        min_position: int = 0,
        buyers: bool = False,
        placed_by: str | None = None,
    ) -> dict[str, Any] | None:
        """The order as its stream says now; None when this seller has no such order.

        The stream is the truth, so a position that is in the store is in the answer; one that is not yet
        raises the Problem 503. With `placed_by` only if this caller placed it, else NotPlacedByCaller.
        """
        await stored(self._pool, min_position)
        async with transient_faults(), self._pool.connection() as connection:
            standing = (await load_standing(connection, [order_id])).get(order_id)
            if standing is None or standing[1].seller != seller:
                return None
            _, order, position, placer = standing
            if placed_by is not None and placed_by != placer:
                raise NotPlacedByCaller
            cursor = await connection.execute(
                "SELECT recorded_at FROM orders.events WHERE stream_id = %s AND version = 1", [order_id]
            )
            found = await cursor.fetchone()
            names = await self._names.of(connection, seller)
        assert found is not None, "An order has a first event."
        [recipient] = await self._recipients([(order_id, order)]) if buyers else [NOBODY]
        shown = order_object(order_id, order, position)
        shown["columns"] = columns(order, order.placed_at or found[0], names, recipient)
        return shown

    async def orders(self, query: Query) -> list[tuple[Mark, dict[str, Any]]]:
        """Up to `limit` orders in the query's order; the mark of each is what a cursor stands for.

        Raises NotBuilt while the list has never been complete.
        """
        hashes = await self._hashes(query)
        async with transient_faults(), self._pool.connection() as connection:
            await self._complete(connection)
            names = await self._names.of(connection, query.seller)
            found = await page_rows(connection, query, names.zone, hashes)
        rows = [(*row[:4], decode_state(row[4])) for row in found]
        orders = [(order_id, order) for order_id, *_, order in rows]
        recipients = await self._recipients(orders) if query.buyers else [NOBODY] * len(rows)
        shown = []
        for (order_id, placed_at, number, position, order), recipient in zip(rows, recipients, strict=True):
            item = order_object(order_id, order, position)
            item["columns"] = columns(order, placed_at, names, recipient)
            shown.append((Mark(query.sort, placed_at, number), item))
        return shown

    async def _hashes(self, query: Query) -> list[list[int]]:
        """What the search text is as data of a buyer, one list for each kind that it may be."""
        if not query.search or not query.buyers or self._buyers is None:
            return []
        found = [await self._buyers.hashes_of_search(query.seller, kind, query.search) for kind in KINDS]
        return [each for each in found if each]

    async def _recipients(self, orders: Sequence[tuple[UUID, Order]]) -> list[Recipient]:
        """Who receives each of the orders, opened for this reading (PD-2)."""
        if self._buyers is None:
            return [NOBODY] * len(orders)
        held = [(order_id, order.buyers) for order_id, order in orders]
        opened = await self._buyers.open(held)
        return [
            recipient_of(newest(sealed).keys(), fields)
            for (_, sealed), fields in zip(held, opened, strict=True)
        ]

    async def _complete(self, connection: psycopg.AsyncConnection) -> None:
        # Once complete, a list stays complete: a rebuild puts a complete one in its place.
        if not self._built:
            if await position_of(connection) is None:
                raise NotBuilt("The order list is being built.")
            self._built = True

    async def reached(self, position: int) -> None:
        """Return when the list has this position; raise the Problem 503 when it has not within 3 s."""
        await followed(self._pool, FOLLOWER, position)

    async def stored(self, position: int) -> None:
        """Return if the store has this position; raise the Problem 503 when it has not."""
        await stored(self._pool, position)

    async def timeline(
        self, seller: str, order_id: UUID, *, limit: int, after: int
    ) -> list[dict[str, Any]] | None:
        """What happened to the order after a sequence, oldest first; None when there is no such order."""
        entries = await self._entries(seller, order_id)
        return None if entries is None else timeline(entries, after=after, limit=limit)

    async def explanation(self, seller: str, order_id: UUID) -> dict[str, Any] | None:
        """Why the headline is what it is, with the events that set it (HL-3); None: no such order."""
        entries = await self._entries(seller, order_id)
        if entries is None:
            return None
        shown = timeline(entries, after=0, limit=len(entries))
        order = entries[-1].order
        why = explain(order)
        setting = set(why["events"])
        return {
            "id": str(order_id),
            "sequence": order.sequence,
            **why,
            "events": [each for each in shown if each["sequence"] in setting],
        }

    async def _entries(self, seller: str, order_id: UUID) -> list[Entry] | None:
        async with transient_faults(), self._pool.connection() as connection:
            cursor = await connection.execute(_STREAM, [order_id])
            rows = await cursor.fetchall()
        if not rows or not is_order_event(rows[0][1]):
            return None
        entries: list[Entry] = []
        for version, name, state, recorded_at, causation in rows:
            before = entries[-1].order if entries else None
            entries.append(Entry.of(before, version, decode(name, state), recorded_at, causation))
        return entries if entries[0].order.seller == seller else None

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
            projected = await position_of(connection) or 0
            end = max(after, min(projected, after + EVENTS_WINDOW))
            cursor = await connection.execute(
                "SELECT position, e.stream_id, version, name, e.state::text, recorded_at, correlation_id,"
                " causation_id, traceparent FROM orders.events e"
                " WHERE position > %s AND position <= %s AND EXISTS (SELECT FROM orders.order_views_v2 v"
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
