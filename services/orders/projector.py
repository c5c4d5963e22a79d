"""Events to read model: folds batches of events into the order list, with the position in the same step.

One projector at a time by advisory lock, and the position is compared when it moves, so that one that
did not notice its replacement changes nothing.
"""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog

from libs.runtime.errors import Fenced, Transient
from libs.runtime.postgres import AsyncPool, Bell, lead, transient_faults
from services.orders.metrics import PROJECTION_LAG_EVENTS
from services.orders.order.state import Order, evolve
from services.orders.recorder import int8s, texts, uuids
from services.orders.relay import SELECT_EVENTS
from services.orders.store import decode, is_order_event
from services.orders.views import FOLLOWER, Row, row_of

log = structlog.get_logger(__name__)

BATCH_EVENTS = 1_000
GATHER_SECONDS = 0.02
_STATE = msgspec.json.Decoder(Order)
_ENCODER = msgspec.json.Encoder()

UPSERT = (
    "INSERT INTO orders.order_views_v1 (order_id, seller, number, channel, shop, marketplace_number,"
    " headline, flags, placed_at, sequence, position, state)"
    " SELECT order_id, seller, number, channel, shop, marketplace_number, headline,"
    " string_to_array(flags, ','), placed_at::timestamptz, sequence, position, state"
    " FROM unnest(%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b) AS v(order_id, seller, number, channel,"
    " shop, marketplace_number, headline, flags, placed_at, sequence, position, state)"
    " ON CONFLICT (order_id) DO UPDATE SET headline = excluded.headline, flags = excluded.flags,"
    " sequence = excluded.sequence, position = excluded.position, state = excluded.state"
)


class Projector:
    """Keeps the order list up to date."""

    def __init__(self, pool: AsyncPool, dsn: str, bell: Bell) -> None:
        self._pool = pool
        self._dsn = dsn
        self._bell = bell
        self.last_fault = ""

    async def run(self) -> None:
        """Project for ever; cancel to stop."""
        await lead(self._dsn, "orders projector order_views.v1", self._work)

    async def _work(self) -> None:
        while True:
            try:
                while (folded := await self.step()) > 0:
                    self.last_fault = ""
                    if folded < BATCH_EVENTS:
                        # What comes meanwhile is folded together: a step costs much the same for many.
                        await asyncio.sleep(GATHER_SECONDS)
                self.last_fault = ""
                await self._bell.wait()
            except (Transient, Fenced) as fault:
                self.last_fault = str(fault)
                log.warning("projection_retried", fault=str(fault))
                await asyncio.sleep(0.5)

    async def step(self) -> int:
        """Project the next batch; the number of events, 0 when there is none."""
        async with transient_faults(), self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "SELECT position FROM orders.followers WHERE name = %s FOR UPDATE", [FOLLOWER]
            )
            found = await cursor.fetchone()
            position = 0 if found is None else found[0]
            cursor = await connection.execute(
                SELECT_EVENTS + " WHERE position > %s ORDER BY position LIMIT %s",
                [position, BATCH_EVENTS],
                prepare=True,
                binary=True,
            )
            events = await cursor.fetchall()
            if not events:
                PROJECTION_LAG_EVENTS.set(0)
                return 0
            states = await self._states(connection, {row[1] for row in events})
            rows = fold(events, states)
            if rows:
                await connection.execute(UPSERT, _arrays(rows), prepare=True)
            cursor = await connection.execute(
                "INSERT INTO orders.followers (name, position) VALUES (%s, %s) ON CONFLICT (name)"
                " DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()"
                " WHERE followers.position = %s",
                [FOLLOWER, events[-1][0], position],
            )
            if cursor.rowcount != 1:
                raise Fenced("Another projector has moved the position.")
        return len(events)

    async def _states(self, connection: Any, order_ids: set[UUID]) -> dict[UUID, Order]:
        cursor = await connection.execute(
            "SELECT order_id, state FROM orders.order_views_v1 WHERE order_id = ANY(%b)",
            [uuids(list(order_ids))],
            prepare=True,
        )
        return {row[0]: _STATE.decode(row[1]) for row in await cursor.fetchall()}


def fold(events: list[tuple[Any, ...]], states: dict[UUID, Order]) -> list[Row]:
    """The rows that the events leave, from the states before them; events of no order are passed over."""
    latest: dict[UUID, tuple[Order, int, int, datetime]] = {}
    for position, order_id, version, name, state, recorded_at, *_ in events:
        if is_order_event(name):
            before = latest[order_id][0] if order_id in latest else states.get(order_id)
            latest[order_id] = (evolve(before, decode(name, state)), version, position, recorded_at)
    return [row_of(order_id, *last) for order_id, last in latest.items()]


def _arrays(rows: list[Row]) -> list[object]:
    return [
        uuids([row.order_id for row in rows]),
        *(
            texts([getattr(row, name) for row in rows])
            for name in ("seller", "number", "channel", "shop", "marketplace_number", "headline")
        ),
        texts([",".join(row.flags) for row in rows]),
        texts([row.placed_at.isoformat() for row in rows]),
        int8s([row.sequence for row in rows]),
        int8s([row.position for row in rows]),
        texts([_ENCODER.encode(row.order) for row in rows]),
    ]
