"""Finds what the pushes missed: reads each shop's list, and orders that are still open by id in rotation.

Every shop that may be polled is, also while pushes flow (RC-01). A cursor moves only over a window that was
read to its end and whose orders are asked for durably (RC-02).
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from libs.runtime.clock import now
from libs.runtime.errors import Transient
from libs.runtime.postgres import lead
from services.channels.clients import MarketClient, MarketFault
from services.channels.metrics import POLL_FOUND, POLLS
from services.channels.publishing import Shop
from services.channels.reads import Cursor, Reads
from services.channels.shops import Shops

log = structlog.get_logger(__name__)

SHOPS_AT_ONCE = 4
PASS_SECONDS_MAX = 600.0
LOOK_SECONDS = 1.0
# RC-06: 1, 2, 4 ... 60 minutes, after the first failures were tried again within the minute.
BREAKER_SECONDS_FIRST, BREAKER_SECONDS_MAX = 5.0, 3600.0
# Lists come after pushes: their readings wait this long, so that a push on its way saves one of two.
DELAY_SECONDS = 1.0
OPEN_ORDERS_PER_PASS = 100
# Open orders are read by id every 2 h at an interval of 15 minutes, and in proportion (channels.md 14).
OPEN_EVERY_INTERVALS = 8


class Poller:
    """One at a time for all processes, by advisory lock; each shop when it is due."""

    def __init__(
        self,
        dsn: str,
        shops: Shops,
        requests: Reads,
        clients: Mapping[str, MarketClient],
        *,
        every_seconds: float,
    ) -> None:
        self._dsn = dsn
        self._shops = shops
        self._requests = requests
        self._clients = clients
        self._every_seconds = every_seconds
        self.last_fault = ""

    async def run(self) -> None:
        """Poll for ever; cancel to stop. A pass that is broken off is repeated from its start."""
        await lead(self._dsn, "channels poller", self._work)

    async def _work(self) -> None:
        while True:
            try:
                await self.work_once()
                self.last_fault = ""
            except* Transient as faults:
                # Shops are polled beside each other, so that what one meets comes in a group.
                self.last_fault = str(faults.exceptions[0])
                log.warning("poller_retried", fault=self.last_fault)
            await asyncio.sleep(min(LOOK_SECONDS, self._every_seconds))

    async def work_once(self) -> int:
        """Poll every shop that is due; how many were."""
        await self._shops.refresh()
        shops = {shop.id: shop for channel in self._clients for shop in self._shops.of_channel(channel)}
        if not shops:
            return 0
        cursors = await self._requests.due_cursors(list(shops))
        turns = asyncio.Semaphore(SHOPS_AT_ONCE)

        async def one(cursor: Cursor) -> None:
            async with turns:
                await self._pass(shops[cursor.connection], cursor)

        async with asyncio.TaskGroup() as group:
            for cursor in cursors:
                group.create_task(one(cursor))
        return len(cursors)

    async def _pass(self, shop: Shop, cursor: Cursor) -> None:
        """One pass over one shop's list; a failure opens the shop's breaker and leaves the others alone."""
        client = self._clients[shop.channel]
        at = now()
        try:
            async with asyncio.timeout(PASS_SECONDS_MAX):
                until = await self._list(shop, client, cursor, at)
                await self._open(shop, at)
        except (MarketFault, TimeoutError) as fault:
            reason = fault.reason if isinstance(fault, MarketFault) else "TIMEOUT"
            wait = min(BREAKER_SECONDS_MAX, BREAKER_SECONDS_FIRST * 2 ** min(cursor.failures, 20))
            POLLS.labels(shop.channel, "failed").inc()
            log.warning("poll_failed", connection=str(shop.id), reason=reason, wait_seconds=wait)
            await self._requests.cursor_stays(cursor, reason=reason, wait_seconds=wait)
            return
        await self._requests.cursor_moved(
            cursor,
            complete_until=until,
            back_fill=(cursor.back_fill + 1) % 1_000_000,
            wait_seconds=self._every_seconds,
        )
        POLLS.labels(shop.channel, "complete").inc()

    async def _list(self, shop: Shop, client: MarketClient, cursor: Cursor, at: datetime) -> datetime:
        """Ask for what the list shows changed; how far it is complete now."""
        until = cursor.complete_until
        async for page in client.changed(shop, cursor.complete_until, at):
            await self._ask_changed(shop, page.marks)
            until = page.until
        async for page in client.older(shop, cursor.back_fill, at):
            await self._ask_changed(shop, page.marks)
        return until or at

    async def _ask_changed(self, shop: Shop, marks: Mapping[str, str]) -> None:
        if not marks:
            return
        changed = await self._requests.changed(shop.id, marks)
        if changed:
            POLL_FOUND.labels(shop.channel).inc(len(changed))
            await self._requests.ask(shop.id, changed, delay_seconds=DELAY_SECONDS)

    async def _open(self, shop: Shop, at: datetime) -> None:
        """Ask for orders that are open and were not read for long: a list does not show everything."""
        before = at - timedelta(seconds=self._every_seconds * OPEN_EVERY_INTERVALS)
        orders = await self._requests.open_orders(shop.id, older_than=before, limit=OPEN_ORDERS_PER_PASS)
        if orders:
            await self._requests.ask(shop.id, orders, delay_seconds=DELAY_SECONDS)
