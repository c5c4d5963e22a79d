"""Events to read model: folds batches of events into the order list, with the position in the same step.

One projector at a time by advisory lock, and the position is compared when it moves, so that one that
did not notice its replacement changes nothing. A list that was never complete is built first.
"""

import asyncio

import structlog

from libs.runtime.errors import Fenced, Transient
from libs.runtime.postgres import AsyncPool, Bell, lead, transaction
from services.orders.metrics import PROJECTION_LAG_EVENTS
from services.orders.order_list import FOLLOWER, SELECT_LOG, NotBuilt, Tables, fold
from services.orders.rebuild import Rebuild

log = structlog.get_logger(__name__)

BATCH_EVENTS = 1_000
GATHER_SECONDS = 0.05
_LIVE = Tables()


class Projector:
    """Keeps the order list up to date."""

    def __init__(self, pool: AsyncPool, dsn: str, bell: Bell) -> None:
        self._pool = pool
        self._dsn = dsn
        self._bell = bell
        self.last_fault = ""

    async def run(self) -> None:
        """Project for ever; cancel to stop."""
        await lead(self._dsn, f"orders projector {FOLLOWER}", self._work)

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
            except NotBuilt as fault:
                self.last_fault = str(fault)
                await self._build()
            except (Transient, Fenced) as fault:
                self.last_fault = str(fault)
                log.warning("projection_retried", fault=str(fault))
                await asyncio.sleep(0.5)

    async def _build(self) -> None:
        """Build the list; when that does not work now, or somebody else is at it, leave it for later."""
        try:
            await Rebuild(self._dsn).run()
        except Transient as fault:
            self.last_fault = str(fault)
            log.warning("building_retried", fault=str(fault))
            await asyncio.sleep(0.5)

    async def step(self) -> int:
        """Project the next batch; the number of events, 0 when there is none.

        Raises NotBuilt when the list has never been complete.
        """
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT position FROM orders.followers WHERE name = %s FOR UPDATE", [FOLLOWER]
            )
            found = await cursor.fetchone()
            if found is None:
                raise NotBuilt("The order list is being built.")
            position = found[0]
            cursor = await connection.execute(
                SELECT_LOG + " WHERE position > %s ORDER BY position LIMIT %s",
                [position, BATCH_EVENTS],
                prepare=True,
                binary=True,
            )
            events = await cursor.fetchall()
            if not events:
                PROJECTION_LAG_EVENTS.set(0)
                return 0
            states = await _LIVE.load(connection, list({row[1] for row in events}))
            await _LIVE.write(connection, fold(events, states))
            cursor = await connection.execute(
                "UPDATE orders.followers SET position = %s, updated_at = clock_timestamp()"
                " WHERE name = %s AND position = %s",
                [events[-1][0], FOLLOWER, position],
            )
            if cursor.rowcount != 1:
                raise Fenced("Another projector has moved the position.")
        return len(events)
