"""News that an order cannot judge by itself has the marketplace asked: from orders over Kafka into channels."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr

from libs.runtime.clock import uuid7
from libs.runtime.kafka import KafkaSettings, Publisher
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from libs.runtime.relay import Relay
from libs.runtime.serving import Process
from libs.runtime.settings import ApiKey
from libs.runtime.topics import ensure
from services.channels.app import compose, migrate_channels
from services.channels.settings import ChannelsSettings
from services.orders.app import migrate_orders
from services.orders.consumer import FactsHandler
from services.orders.read_requests import READS_CHANNEL, ReadRequests, unsent
from services.orders.tests.test_consumer import CONNECTION, SELLER, Log, fact, placed

pytestmark = pytest.mark.connected

KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    """One database that holds both schemas, as a small installation has it."""
    migrate_orders(database)
    migrate_channels(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@asynccontextmanager
async def channels_consumer(database: str, kafka: str) -> AsyncIterator[None]:
    own = ApiKey(id="own", sha256=hashlib.sha256(b"own").hexdigest(), scopes=frozenset({"*"}), seller=SELLER)
    given: dict[str, Any] = {
        "database_url": SecretStr(database),
        "api_keys": (own,),
        "http_port": 0,
        "inbox_key": [KEY],
        "key_encryption_keys": f"test:{KEY}",
    }
    process = Process("channels")
    compose(ChannelsSettings(**given), KafkaSettings(bootstrap_servers=kafka), "consumer")(process)
    task = asyncio.create_task(process.run())
    try:
        async with asyncio.timeout(60):
            await process.started.wait()
        yield
    finally:
        process.stop()
        assert await task == 0


@asynccontextmanager
async def orders_relay(pool: AsyncPool, database: str, kafka: str) -> AsyncIterator[None]:
    publisher = Publisher(KafkaSettings(bootstrap_servers=kafka), client_id="test")
    bell = Bell(database, READS_CHANNEL)
    source = ReadRequests(pool)
    relay = Relay(service="orders", name="test", dsn=database, source=source, publisher=publisher, bell=bell)
    async with publisher.lent(), bell.listening():
        task = asyncio.create_task(relay.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_mk_2_mk_14_what_orders_wants_read_is_asked_of_the_marketplace_once_per_order(
    pool: AsyncPool, database: str, kafka: str
) -> None:
    await ensure(KafkaSettings(bootstrap_servers=kafka), create=True, replication=1)
    # The topic may hold what other tests have asked for.
    log, mine = Log(), uuid7().hex
    missing, contradicted, quiet = f"{mine}-1", f"{mine}-2", f"{mine}-3"
    news = [
        # Its placement is missing; two facts wait for it.
        fact("OrderConfirmed", missing, minute=8, status="packed"),
        fact("ShipmentBooked", missing, minute=9, status="ready_to_ship"),
        # A cancellation of what is on its way contradicts it.
        placed(contradicted),
        fact("PackagePickedUp", contradicted, minute=9, status="shipped"),
        fact("OrderCancelled", contradicted, minute=20, status="canceled"),
        # Nothing to ask about.
        placed(quiet),
    ]
    async with channels_consumer(database, kafka), orders_relay(pool, database, kafka):
        await FactsHandler(pool).handle([log.record(each) for each in news], {})
        async with asyncio.timeout(60):
            while len(asked := await asked_of_channels(database, mine)) < 2 or await unsent(pool):
                await asyncio.sleep(0.05)
    assert asked == [(UUID(CONNECTION), missing, "WAITING"), (UUID(CONNECTION), contradicted, "WAITING")]


async def asked_of_channels(database: str, mine: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute(
            "SELECT connection_id, order_id, state FROM channels.read_requests"
            " WHERE starts_with(order_id, %s) ORDER BY order_id",
            [mine],
        )
        return await cursor.fetchall()
