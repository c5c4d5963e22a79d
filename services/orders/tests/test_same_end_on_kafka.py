"""MK-17 and MK-2 through the real Kafka: shuffled, doubled, thinned and early news ends as the ordered news does."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
import pytest
import structlog
from aiokafka import AIOKafkaProducer
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from libs.events.topics import CHANNELS_ORDERS
from libs.runtime.clock import uuid7
from libs.runtime.consumption import BatchConsumer
from libs.runtime.kafka import KafkaSettings, make_broker
from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.tests.topics import made
from services.orders.app import migrate_orders
from services.orders.consumer import BATCH_RECORDS_MAX, FactsHandler, stored_positions
from services.orders.order.channel_facts import Fact
from services.orders.order.state import Order
from services.orders.store import load, order_id_of
from services.orders.tests.facts import Played
from services.orders.tests.test_consumer import rows
from services.orders.tests.test_same_end import History, end, histories, may_be_left_out, packed_histories

pytestmark = pytest.mark.connected

log = structlog.get_logger(__name__)

SEED = 20260305
HISTORIES, PACKED = 150, 50
# What follows from money that no fact tells of depends on which news implied it (see test_same_end).
FOLLOWING = ("net paid", "refund due")


@dataclass(frozen=True)
class Arrival:
    """One order: a history as it arrives, and whether its placement comes last of all."""

    name: str
    history: int
    facts: tuple[Fact, ...]
    thinned: bool = False
    early: bool = False


def drawn(strategy: st.SearchStrategy[History], count: int) -> list[History]:
    """So many histories that are more than a placement, the same ones in every run."""
    found: list[History] = []

    @seed(SEED)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def keep(history: History) -> None:
        assume(history.facts)
        found.append(history)

    keep()
    return found


def arrivals(number: int, history: History, random: Random, *, thin: bool) -> list[Arrival]:
    """A history in time order, shuffled, with every fact twice, thinned out, and before its placement."""
    everything = (history.placed, *history.facts)

    def shuffled(facts: Sequence[Fact]) -> tuple[Fact, ...]:
        return tuple(random.sample(facts, len(facts)))

    spare = may_be_left_out(history) if thin else []
    gone = {each.id for each in random.sample(spare, random.randint(min(1, len(spare)), len(spare)))}
    left = [each for each in everything if each.id not in gone]
    return [
        Arrival(f"{number}-ordered", number, everything),
        Arrival(f"{number}-shuffled", number, shuffled(everything)),
        Arrival(f"{number}-doubled", number, shuffled(everything * 2)),
        Arrival(f"{number}-thinned", number, shuffled(left + random.choices(left, k=3)), thinned=bool(gone)),
        Arrival(f"{number}-early", number, shuffled(history.facts), early=True),
    ]


def interleaved(given: Sequence[Arrival], random: Random) -> list[tuple[str, Fact]]:
    """The records of all orders among each other; those of one order stay as they arrive."""
    whose = [each for each in given for _ in each.facts]
    random.shuffle(whose)
    coming = {each.name: iter(each.facts) for each in given}
    return [(each.name, next(coming[each.name])) for each in whose]


@pytest.fixture
async def topic(kafka: str) -> AsyncIterator[str]:
    """A topic as that of the facts is, with nothing of other tests in it."""
    name = f"test.{uuid7().hex}"
    async with made(kafka, name, partitions=CHANNELS_ORDERS.partitions):
        yield name


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@pytest.fixture
async def source(kafka: str, topic: str, pool: AsyncPool) -> AsyncIterator[str]:
    """The consumer of facts as orders has it, at work on this topic; the name of its positions."""
    given = KafkaSettings(bootstrap_servers=kafka)
    broker = make_broker(given, client_id="test")
    consumer = BatchConsumer(
        broker,
        given,
        topic=topic,
        group=topic,
        handler=FactsHandler(pool),
        batch_records_max=BATCH_RECORDS_MAX,
    )
    await broker.start()
    try:
        yield consumer.source
    finally:
        await broker.stop()


async def publish(kafka: str, topic: str, records: Sequence[tuple[str, Fact]]) -> dict[int, int]:
    """Each fact as a record about the order of this name; the last offset of each partition."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, linger_ms=5)
    await producer.start()
    last: dict[int, int] = {}
    try:
        sent = []
        for name, fact in records:
            body = json.loads(msgspec.json.encode(fact)) | {"order": name}
            # Neither stands on the topic: one is the header's, the other is sealed by orders.
            del body["id"], body["buyer"]
            headers = [
                ("ce_id", f"{name}/{fact.id}".encode()),
                ("ce_type", f"jejak.channels.{fact.type}.v1".encode()),
            ]
            key = f"{fact.connection}:{name}".encode()
            sent.append(await producer.send(topic, json.dumps(body).encode(), key, headers=headers))
        for told in await asyncio.gather(*sent):
            last[told.partition] = max(last.get(told.partition, -1), told.offset)
    finally:
        await producer.stop()
    return last


async def taken_in(pool: AsyncPool, source: str, last: dict[int, int]) -> None:
    """Return when everything up to these offsets had its effect."""
    async with asyncio.timeout(60):
        while not last.items() <= (await stored_positions(pool, source)).items():
            await asyncio.sleep(0.05)


async def read(pool: AsyncPool, given: Sequence[Arrival], connection: str) -> dict[str, Order]:
    """The orders of these arrivals that there are, by name."""
    ids = {order_id_of(connection, each.name): each.name for each in given}
    async with pool.connection() as opened:
        found = await load(opened, list(ids))
    return {ids[order_id]: order for order_id, (_, order) in found.items()}


def differences(arrival: Arrival, found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What of an order is not as that of the ordered history, as (found, expected)."""
    paid = any(each.type == "PaymentSucceeded" for each in arrival.facts)
    excused = () if paid and not arrival.thinned else FOLLOWING
    return {
        key: (found[key], expected[key])
        for key in expected
        if found[key] != expected[key] and key not in excused
    }


async def test_every_arrival_through_kafka_ends_as_the_ordered_history_does(
    kafka: str, topic: str, pool: AsyncPool, source: str
) -> None:
    random = Random(SEED)
    simple, packed = drawn(histories(), HISTORIES), drawn(packed_histories(), PACKED)
    played = [*simple, *packed]
    assert (len(simple), len(packed)) == (HISTORIES, PACKED)
    given = [
        each
        for number, history in enumerate(played)
        for each in arrivals(number, history, random, thin=number < HISTORIES)
    ]
    early = [each for each in given if each.early]
    connection = played[0].placed.connection
    records = interleaved(given, random)
    await taken_in(pool, source, await publish(kafka, topic, records))

    # Without a placement everything waits, and nothing is said of the order (MK-2).
    waiting = sum(len(each.facts) for each in early)
    assert await rows(pool, "SELECT count(*) FROM orders.waiting") == [(waiting,)]
    assert await read(pool, early, connection) == {}
    placements = [(each.name, played[each.history].placed) for each in early]
    await taken_in(pool, source, await publish(kafka, topic, placements))
    assert await rows(pool, "SELECT count(*) FROM orders.waiting") == [(0,)]
    assert await rows(pool, "SELECT reason, detail FROM orders.parked") == []

    orders = await read(pool, given, connection)
    assert len(orders) == len(given)
    wrong = {}
    for each in given:
        history = played[each.history]
        expected = end(orders[f"{each.history}-ordered"])
        assert expected == end(Played(history.placed, *history.facts).state)
        if found := differences(each, end(orders[each.name]), expected):
            wrong[each.name] = found
    assert wrong == {}
    assert not [name for name, order in orders.items() if end(order)["conflict"]]
    thinned = [each for each in given if each.thinned]
    log.info(
        "same_end",
        histories=len(played),
        orders=len(given),
        records=len(records) + len(placements),
        thinned=len(thinned),
        waited=waiting,
    )
    assert len(thinned) > HISTORIES / 2
