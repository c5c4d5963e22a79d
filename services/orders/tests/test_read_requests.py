"""Which news has its order read, that one request waits per order, and that none is lost or sent for nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.events.actions import OrderReadRequested
from libs.events.envelope import from_headers
from libs.events.upcasts import read
from libs.runtime.clock import uuid7
from libs.runtime.kafka import KafkaSettings, Publisher
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from libs.runtime.relay import Relay
from libs.runtime.tests.topics import made
from services.orders import read_requests
from services.orders.app import migrate_orders
from services.orders.consumer import FactsHandler
from services.orders.read_requests import READS_CHANNEL, ReadRequests, unsent
from services.orders.store import order_id_of
from services.orders.tests.test_consumer import CONNECTION, Log, fact, placed, rows

pytestmark = pytest.mark.connected


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@pytest.fixture
def handler(pool: AsyncPool) -> FactsHandler:
    return FactsHandler(pool)


async def asked(pool: AsyncPool) -> list[tuple[Any, ...]]:
    return await rows(pool, "SELECT external_id, reason FROM orders.read_requests ORDER BY id")


@pytest.mark.parametrize(
    ("news", "reason"),
    [
        (fact("UnknownStatusReported", "1", minute=30, status="teleported"), "UNRECOGNISED"),
        (fact("OrderCancelled", "1", minute=30, status="canceled"), "CONFLICT"),
        (fact("PackagePrepared", "1", minute=None, status="packed"), "NO_TIME"),
        (fact("RefundPaid", "1", minute=30, status="refunded"), "AMOUNT_UNSTATED"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["type"],
)
async def test_mk_9_10_14_15_such_news_has_its_order_read(
    pool: AsyncPool, handler: FactsHandler, news: dict[str, Any], reason: str
) -> None:
    log = Log()
    usual = [placed("1"), fact("PackagePickedUp", "1", minute=9, status="shipped")]
    await handler.handle([log.record(each) for each in usual], {})
    assert await asked(pool) == []
    await handler.handle([log.record(news)], {0: log.offset - 1})
    assert await asked(pool) == [("1", reason)]


async def test_mk_2_the_placement_that_facts_wait_for_is_asked_for_once(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    early = [log.record(fact("OrderConfirmed", "1", minute=m, status="packed")) for m in (8, 9)]
    assert await handler.handle(early, {}) == {"waiting": 2}
    assert await asked(pool) == [("1", "NOT_PLACED")]


async def test_mk_2_a_placement_in_the_same_batch_needs_no_reading(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    batch = [log.record(fact("OrderConfirmed", "1", minute=8, status="packed")), log.record(placed("1"))]
    assert await handler.handle(batch, {}) == {"handled": 2}
    assert await asked(pool) == []


async def test_mk_3_a_fact_that_is_told_again_asks_for_nothing(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    strange = fact("UnknownStatusReported", "1", minute=30, status="teleported")
    await handler.handle([log.record(placed("1")), log.record(strange)], {})
    source = ReadRequests(pool)
    chunk = await source.fetch([])
    assert chunk is not None
    await source.done([chunk.mark])
    await handler.handle([log.record(strange)], {0: 1})
    assert await asked(pool) == []


async def test_ac_13_one_waits_per_order_and_news_while_it_goes_out_is_not_lost(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    first = fact("UnknownStatusReported", "1", minute=30, status="teleported")
    await handler.handle([log.record(placed("1")), log.record(first)], {})
    source = ReadRequests(pool)
    going_out = await source.fetch([])
    assert going_out is not None
    # The reading that this asks for may begin before the next news comes: that needs one of its own.
    second = fact("UnknownStatusReported", "1", minute=31, status="teleported back")
    await handler.handle([log.record(second)], {0: 1})
    assert len(await asked(pool)) == 1
    await source.done([going_out.mark])
    assert await asked(pool) == [("1", "UNRECOGNISED")]
    assert await unsent(pool) == 1
    again = await source.fetch([going_out.mark])
    assert again is not None
    assert again.mark > going_out.mark
    await source.done([again.mark])
    assert await unsent(pool) == 0


async def test_a_refused_append_asks_for_nothing(pool: AsyncPool) -> None:
    log = Log()
    await FactsHandler(pool).handle([log.record(placed("1"))], {})
    late, sooner = FactsHandler(pool), FactsHandler(pool)
    await sooner.handle([log.record(fact("OrderConfirmed", "1", minute=5, status="packed"))], {0: 0})
    with pytest.raises(Exception, match="Another consumer owns"):
        await late.handle(
            [log.record(fact("UnknownStatusReported", "1", minute=30, status="teleported"))], {0: 0}
        )
    assert await asked(pool) == []


async def test_requests_are_published_as_the_contract_says_and_removed_when_kafka_has_them(
    pool: AsyncPool, handler: FactsHandler, database: str, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"test.{uuid7().hex}"
    monkeypatch.setattr(read_requests, "_TOPIC", topic)
    publisher = Publisher(KafkaSettings(bootstrap_servers=kafka), client_id="test")
    bell = Bell(database, READS_CHANNEL, fallback_seconds=3_600)
    relay = Relay(
        service="orders",
        name="test reads",
        dsn=database,
        source=ReadRequests(pool),
        publisher=publisher,
        bell=bell,
    )
    async with (
        made(kafka, topic),
        AIOKafkaConsumer(bootstrap_servers=kafka) as reader,
        publisher.lent(),
        bell.listening(),
    ):
        reader.assign([TopicPartition(topic, 0)])
        await reader.seek_to_beginning()
        task = asyncio.create_task(relay.run())
        try:
            # Rung by the append alone: the fallback is an hour away.
            await asyncio.sleep(0)
            record = Log().record(fact("OrderConfirmed", "77", minute=8, status="packed"))
            await handler.handle([record], {})
            received = await reader.getone()
            while await unsent(pool):
                await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    order_id = str(order_id_of(CONNECTION, "77"))
    envelope = from_headers(received.headers)
    assert received.key.decode() == envelope.subject == order_id
    assert envelope.id.startswith(f"{order_id}/read/")
    assert envelope.type == OrderReadRequested.ce_type()
    said = read(envelope.type, received.value)
    assert isinstance(said, OrderReadRequested)
    assert json.loads(said.to_json()) == json.loads(received.value)
    assert (said.connection, said.order, said.reason) == (CONNECTION, "77", "NOT_PLACED")
