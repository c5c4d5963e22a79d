"""The command `redrive` of orders: releases parked records, each with its effect in one append."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.events.topics import CHANNELS_ACTIONS, INVENTORY_PRODUCTS, ORDERS_COMMANDS
from libs.runtime.parking import Parked, topic_of
from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.redrive import FailuresNoted, Releaser, redrive_command
from libs.runtime.settings import load_or_exit
from libs.runtime.tokens import TokenVerifier
from services.orders.action_ends_consumer import ActionEndsHandler
from services.orders.buyers import Buyers, buyers_of
from services.orders.commands_consumer import CommandsHandler
from services.orders.concluding import Decider
from services.orders.consumer import FactsHandler
from services.orders.holds import HoldKeys
from services.orders.products_consumer import ProductsHandler
from services.orders.registry.signing import signer_of
from services.orders.settings import OrdersSettings
from services.orders.surroundings import SellerTermsReader

SCHEMA = "orders"


class FactReleaser(FailuresNoted):
    """Judges a parked fact afresh (its position was consumed when it parked)."""

    def __init__(self, pool: AsyncPool, buyers: Buyers | None = None) -> None:
        self.pool = pool
        self.schema = SCHEMA
        self._handler = FactsHandler(pool, buyers)

    async def release(self, row: Parked) -> str:
        return await self._handler.release(row.record(), row.id)


class OrdersReleaser(FactReleaser):
    """Releases what is parked of any topic that orders reads, each as its consumer would."""

    def __init__(self, pool: AsyncPool, buyers: Buyers, settings: OrdersSettings) -> None:
        super().__init__(pool, buyers)
        # Records of commands bring signed tokens only, good at the record's time, however late this is.
        signer = signer_of(settings.token_keys, settings.token_issuer)
        tokens = TokenVerifier(settings.token_issuers, own=signer)
        decider = Decider(SellerTermsReader(pool), HoldKeys(settings.hold_keys), buyers)
        self._commands = CommandsHandler(pool, decider, tokens)
        self._products = ProductsHandler(pool)
        self._ends = ActionEndsHandler(pool)

    async def release(self, row: Parked) -> str:
        if topic_of(row.source) == ORDERS_COMMANDS.name:
            return await self._commands.release(row.record(), row.id)
        if topic_of(row.source) == INVENTORY_PRODUCTS.name:
            return await self._products.release(row.record(), row.id)
        if topic_of(row.source) == CHANNELS_ACTIONS.name:
            return await self._ends.release(row.record(), row.id)
        return await super().release(row)


def redrive_orders(argv: list[str]) -> int:
    """Run the command; the exit code."""
    settings = load_or_exit(OrdersSettings)

    @asynccontextmanager
    async def open_releaser() -> AsyncIterator[Releaser]:
        async with make_pool(settings.dsn, SCHEMA, name="orders redrive", size=4) as pool:
            yield OrdersReleaser(pool, buyers_of(settings, pool), settings)

    return redrive_command(argv, open_releaser)
