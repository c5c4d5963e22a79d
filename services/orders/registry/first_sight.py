"""Follows the store and enters each buyer in the register of customers at first sight (SR-12, ST-17).

A customer is known by the keyed hash of the buyer's identity (PD-2): nothing here says who it is, and a buyer
whose keys are gone is entered no more.
"""

import asyncio
from typing import Final

import structlog

from libs.runtime.errors import Transient
from libs.runtime.postgres import AsyncPool, Bell, lead, transaction
from services.orders.registry.writing import SCHEMA

log = structlog.get_logger(__name__)

FOLLOWER: Final = "customers.v1"
BATCH_EVENTS: Final = 5_000
# The register may be a little behind: what comes meanwhile is entered together.
GATHER_SECONDS: Final = 1.0
# The events that can say who the buyer is, by their stored names.
_NAMES: Final = ["OrderPlaced.v1", "OrderDetailsCompleted.v1", "OrderEdited.v1"]

_ENTER: Final = f"""
INSERT INTO {SCHEMA}.customers (seller, buyer, category, source, shop, first_seen_at)
SELECT DISTINCT ON (keys.seller, keys.identity)
       keys.seller, encode(keys.identity, 'hex'), 'CUSTOMER', coalesce(placed.state ->> 'source', 'CHANNEL'),
       coalesce(placed.state ->> 'shop', ''), said.recorded_at
FROM {SCHEMA}.events said
JOIN {SCHEMA}.buyer_keys keys ON keys.id = (said.state -> 'buyer' ->> 'key')::uuid
CROSS JOIN LATERAL (
    SELECT state FROM {SCHEMA}.events first
    WHERE first.stream_id = said.stream_id ORDER BY first.version LIMIT 1
) placed
WHERE said.position > %s AND said.position <= %s AND said.name = ANY(%s)
ORDER BY keys.seller, keys.identity, said.position
ON CONFLICT (seller, buyer) DO NOTHING
"""


class CustomerRegister:
    """Keeps the register of customers up to date; one at a time by advisory lock."""

    def __init__(self, pool: AsyncPool, dsn: str, bell: Bell) -> None:
        self._pool = pool
        self._dsn = dsn
        self._bell = bell

    async def run(self) -> None:
        """Enter customers for ever; cancel to stop."""
        await lead(self._dsn, f"orders {FOLLOWER}", self._work)

    async def _work(self) -> None:
        while True:
            try:
                while await self.step() == BATCH_EVENTS:
                    pass
                await self._bell.wait()
            except Transient as fault:
                log.warning("customers_retried", fault=str(fault))
            await asyncio.sleep(GATHER_SECONDS)

    async def step(self) -> int:
        """Look at the next positions of the store; how many, 0 at its end. Raises Transient."""
        async with transaction(self._pool) as connection:
            await connection.execute(
                f"INSERT INTO {SCHEMA}.followers (name, position) VALUES (%s, 0) ON CONFLICT DO NOTHING",
                [FOLLOWER],
            )
            cursor = await connection.execute(
                f"SELECT position, (SELECT coalesce(max(position), 0) FROM {SCHEMA}.events)"
                f" FROM {SCHEMA}.followers WHERE name = %s FOR UPDATE",
                [FOLLOWER],
            )
            found = await cursor.fetchone()
            assert found is not None, "The follower is there."
            after, last = found
            upto = min(last, after + BATCH_EVENTS)
            if upto <= after:
                return 0
            await connection.execute(_ENTER.encode(), [after, upto, _NAMES])
            await connection.execute(
                f"UPDATE {SCHEMA}.followers SET position = %s, updated_at = clock_timestamp()"
                " WHERE name = %s",
                [upto, FOLLOWER],
            )
            return int(upto - after)
