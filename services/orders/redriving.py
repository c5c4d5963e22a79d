"""The command `redrive` of orders: releases parked facts in order, each with its effect in one append."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.runtime.parking import Parked
from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.redrive import FailuresNoted, Releaser, redrive_command
from libs.runtime.settings import load_or_exit
from services.orders.consumer import FactsHandler
from services.orders.settings import OrdersSettings

SCHEMA = "orders"


class FactReleaser(FailuresNoted):
    """Judges a parked fact afresh (its position was consumed when it parked)."""

    def __init__(self, pool: AsyncPool) -> None:
        self.pool = pool
        self.schema = SCHEMA
        self._handler = FactsHandler(pool)

    async def release(self, row: Parked) -> str:
        return await self._handler.release(row.record(), row.id)


def redrive_orders(argv: list[str]) -> int:
    """Run the command; the exit code."""
    settings = load_or_exit(OrdersSettings)

    @asynccontextmanager
    async def open_releaser() -> AsyncIterator[Releaser]:
        async with make_pool(settings.dsn, SCHEMA, name="orders redrive", size=4) as pool:
            yield FactReleaser(pool)

    return redrive_command(argv, open_releaser)
