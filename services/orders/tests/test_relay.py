"""Store to Kafka: one public event for each stored one, in order, again after a crash, by one leader."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.events import orders as public
from libs.events.envelope import from_headers
from libs.runtime.clock import uuid7
from libs.runtime.errors import Transient
from libs.runtime.kafka import KafkaSettings, Outgoing, Publisher
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from libs.runtime.relay import Relay
from libs.runtime.tests.topics import made
from services.orders import relay
from services.orders.app import migrate_orders
from services.orders.consumer import FactsHandler
from services.orders.tests.test_consumer import Log, fact, placed

pytestmark = pytest.mark.connected


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=6) as opened:
        yield opened


@pytest.fixture
async def topic(kafka: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A topic of this test's own in place of the public one."""
    name = f"test.{uuid7().hex}"
    monkeypatch.setattr(relay, "_TOPIC", name)
    async with made(kafka, name, partitions=3, **{"max.message.bytes": "1048588"}):
        yield name


async def read_all(kafka: str, topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(3)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[Any] = []
        async with asyncio.timeout(60):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        return found
    finally:
        await consumer.stop()


def make_relay(pool: AsyncPool, database: str, kafka: str, bell: Bell) -> tuple[Relay, Publisher]:
    publisher = Publisher(KafkaSettings(bootstrap_servers=kafka), client_id="test")
    source = relay.StoreSource(pool)
    made = Relay(service="orders", name="test", dsn=database, source=source, publisher=publisher, bell=bell)
    return made, publisher


async def until_published(pool: AsyncPool) -> None:
    async with asyncio.timeout(60):
        while await relay.unpublished(pool):
            await asyncio.sleep(0.02)


async def hold(pool: AsyncPool, orders: int) -> int:
    log = Log()
    facts = [placed(str(number)) for number in range(orders)]
    facts += [fact("PackagePickedUp", str(number), minute=9, status="shipped") for number in range(orders)]
    await FactsHandler(pool).handle([log.record(each) for each in facts], {})
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM orders.events")).fetchone()
    assert row is not None
    return int(row[0])


async def test_each_stored_event_is_published_once_in_order_and_as_the_contract_says(
    pool: AsyncPool, database: str, kafka: str, topic: str
) -> None:
    stored = await hold(pool, 5)
    bell = Bell(database, "orders_events", fallback_seconds=0.2)
    made, publisher = make_relay(pool, database, kafka, bell)
    async with publisher.lent():
        running = asyncio.create_task(made.run())
        await until_published(pool)
        running.cancel()
    records = await read_all(kafka, topic, stored)
    assert len(records) == stored
    sequences: dict[bytes, list[int | None]] = {}
    for record in records:
        envelope = from_headers(record.headers)
        assert envelope.subject.encode() == record.key
        assert envelope.id == f"{envelope.subject}/{envelope.sequence}"
        assert dict(record.headers)["content-type"] == b"application/json"
        public.EVENTS[envelope.type.split(".")[2]].model_validate_json(record.value)
        sequences.setdefault(record.key, []).append(envelope.sequence)
    assert len(sequences) == 5
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sequences.values())


async def test_a_relay_that_died_before_it_remembered_publishes_the_same_again(
    pool: AsyncPool, database: str, kafka: str, topic: str
) -> None:
    stored = await hold(pool, 2)
    publisher = Publisher(KafkaSettings(bootstrap_servers=kafka), client_id="test")
    async with publisher.lent():
        chunk = await relay.StoreSource(pool).fetch([])
        assert chunk is not None
        await publisher.publish(chunk.records)  # ... and here it is killed.
        bell = Bell(database, "orders_events", fallback_seconds=0.2)
        made, second = make_relay(pool, database, kafka, bell)
        async with second.lent():
            running = asyncio.create_task(made.run())
            await until_published(pool)
            running.cancel()
    records = await read_all(kafka, topic, 2 * stored)
    by_id: dict[str, set[bytes]] = {}
    for record in records:
        by_id.setdefault(from_headers(record.headers).id, set()).add(record.value)
    assert len(by_id) == stored
    assert all(len(bodies) == 1 for bodies in by_id.values()), "A repeat says the same."


async def test_of_two_relays_one_leads_and_the_other_takes_over(
    pool: AsyncPool, database: str, kafka: str, topic: str
) -> None:
    bell = Bell(database, "orders_events", fallback_seconds=0.1)
    first, one = make_relay(pool, database, kafka, bell)
    second, other = make_relay(pool, database, kafka, bell)
    async with one.lent(), other.lent():
        running = asyncio.create_task(first.run())
        async with asyncio.timeout(60):
            while not first.leading:
                await asyncio.sleep(0.01)
        waiting = asyncio.create_task(second.run())
        stored = await hold(pool, 1)
        await until_published(pool)
        assert not second.leading
        running.cancel()
        async with asyncio.timeout(60):
            while not second.leading:
                await asyncio.sleep(0.01)
        waiting.cancel()
    assert len(await read_all(kafka, topic, stored)) == stored


async def test_a_poisoned_producer_is_thrown_away_and_the_next_publish_works(kafka: str, topic: str) -> None:
    """One record over the topic's limit poisons an idempotent aiokafka producer for its partition."""
    publisher = Publisher(KafkaSettings(bootstrap_servers=kafka), client_id="test")
    async with publisher.lent():
        good = Outgoing(topic, b"key", b"{}", [])
        await publisher.publish([good])
        with pytest.raises(Transient):
            await publisher.publish([Outgoing(topic, b"key", os.urandom(1_200_000), [])])
        assert publisher.recreated == 1
        await publisher.publish([good])
    assert len(await read_all(kafka, topic, 2)) == 2


def test_the_topic_of_this_service_is_the_public_one() -> None:
    assert relay._TOPIC == "orders.orders.v1"
    assert (Path(__file__).parents[3] / "docs" / "topics.md").read_text().count(relay._TOPIC)
