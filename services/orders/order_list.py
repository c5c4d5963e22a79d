"""The tables of the order list: what a folded order is in them, and how batches of orders are written.

`order_views_v2` holds what is found and sorted by, `order_states_v2` the folded order. A rebuild fills tables
of the same shape beside them (decision 0019).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from libs.runtime.errors import Transient
from services.orders.facets import facets
from services.orders.order.headline import flags, headline
from services.orders.order.state import Order, evolve
from services.orders.recorder import int8s, texts, uuids
from services.orders.store import decode, is_order_event

# The name of the read model and its version, under which its position is kept.
FOLLOWER: Final = "order_views.v2"
# The follower's name of what a rebuild fills, and the end of its tables' names.
NEXT: Final = "_next"

SELECT_LOG: Final = "SELECT position, stream_id, version, name, state::text, recorded_at FROM orders.events"

decode_state: Final = msgspec.json.Decoder(Order).decode
encode_state: Final = msgspec.json.Encoder().encode


class NotBuilt(Transient):
    """The order list has never been complete on this store: it is being built, and cannot be read yet."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One order as the list keeps it."""

    order_id: UUID
    placed_at: datetime
    sequence: int
    position: int
    order: Order


def fold(events: Iterable[Sequence[Any]], states: dict[UUID, Order]) -> list[Row]:
    """The rows that rows of SELECT_LOG leave, from the states before; events of no order are passed over.

    An order placed without a time stands under the time of its record; a row that is there keeps its time.
    """
    latest: dict[UUID, tuple[Order, int, int]] = {}
    began: dict[UUID, datetime] = {}
    for position, order_id, version, name, state, recorded_at in events:
        if is_order_event(name):
            last = latest.get(order_id)
            if last is None:
                began[order_id] = recorded_at
                before = states.get(order_id)
            else:
                before = last[0]
            latest[order_id] = (evolve(before, decode(name, state)), version, position)
    return [
        Row(order_id, order.placed_at or began[order_id], version, position, order)
        for order_id, (order, version, position) in latest.items()
    ]


_INTO_VIEWS = (
    "INSERT INTO {} (order_id, seller, number, placed_at, sequence, position, facets)"
    " SELECT order_id, seller, number, placed_at::timestamptz, sequence, position, facets::bigint[]"
    " FROM unnest(%b, %b, %b, %b, %b, %b, %b)"
    " AS v(order_id, seller, number, placed_at, sequence, position, facets)"
)
_INTO_STATES = "INSERT INTO {} (order_id, state) SELECT * FROM unnest(%b, %b)"
_IN_PLACE_OF_VIEWS = (
    " ON CONFLICT (order_id) DO UPDATE SET sequence = excluded.sequence, position = excluded.position,"
    " facets = excluded.facets"
)
_IN_PLACE_OF_STATES = " ON CONFLICT (order_id) DO UPDATE SET state = excluded.state"


class Tables:
    """The two tables of one filling of the list; `suffix` is empty for the live one."""

    def __init__(self, suffix: str = "") -> None:
        self.views = f"orders.order_views_v2{suffix}"
        self.states = f"orders.order_states_v2{suffix}"
        self._select = f"SELECT order_id, state FROM {self.states} WHERE order_id = ANY(%b)".encode()
        self._insert = (_INTO_VIEWS.format(self.views), _INTO_STATES.format(self.states))
        self._upsert = (self._insert[0] + _IN_PLACE_OF_VIEWS, self._insert[1] + _IN_PLACE_OF_STATES)

    async def load(self, connection: psycopg.AsyncConnection, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
        """The folded orders of these ids that are in the list."""
        cursor = await connection.execute(self._select, [uuids(order_ids)], prepare=True)
        return {row[0]: decode_state(row[1]) for row in await cursor.fetchall()}

    async def write(self, connection: psycopg.AsyncConnection, rows: Sequence[Row]) -> None:
        """Put the rows in the place of those of the same orders, in the transaction that is open."""
        await self._written(connection, rows, self._upsert)

    async def insert(self, connection: psycopg.AsyncConnection, rows: Sequence[Row]) -> None:
        """Put in rows of orders that are not there, in the transaction that is open; needs no index."""
        await self._written(connection, rows, self._insert)

    async def _written(
        self, connection: psycopg.AsyncConnection, rows: Sequence[Row], statements: tuple[str, str]
    ) -> None:
        if not rows:
            return
        ids = uuids([row.order_id for row in rows])
        views: list[object] = [
            ids,
            texts([row.order.seller for row in rows]),
            texts([row.order.number for row in rows]),
            texts([row.placed_at.isoformat() for row in rows]),
            int8s([row.sequence for row in rows]),
            int8s([row.position for row in rows]),
            texts([f"{{{','.join(map(str, facets_of(row.order)))}}}" for row in rows]),
        ]
        states: list[object] = [ids, texts([encode_state(row.order) for row in rows])]
        # One round trip for both.
        async with connection.pipeline():
            await connection.execute(statements[0].encode(), views, prepare=True)
            await connection.execute(statements[1].encode(), states, prepare=True)


def facets_of(order: Order) -> list[int]:
    """The words of the order, its headline and flags reckoned."""
    return facets(order, headline(order), flags(order))


async def position_of(connection: psycopg.AsyncConnection, name: str = FOLLOWER) -> int | None:
    """How far the read model of this name is; None when it has never been complete."""
    cursor = await connection.execute(
        "SELECT position FROM orders.followers WHERE name = %s", [name], prepare=True
    )
    found = await cursor.fetchone()
    return None if found is None else int(found[0])
