"""A batch that could not be handled comes again, also when nothing follows it on its partition."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from libs.runtime import consumption
from libs.runtime.clock import uuid7
from libs.runtime.consumption import BatchConsumer, Outcomes
from libs.runtime.errors import Transient
from libs.runtime.kafka import KafkaSettings, make_broker
from libs.runtime.records import Record
from libs.runtime.tests.topics import made

pytestmark = pytest.mark.connected

TURN_SECONDS_MAX = 60


class Handler:
    """Keeps what it handled in memory; refuses as often as it is told to, as a database does that is down."""

    def __init__(self, *, refusals: int = 0, unknown_positions: int = 0) -> None:
        self.refusals = refusals
        self.unknown_positions = unknown_positions
        self.handled: list[tuple[int, int]] = []
        self.done = asyncio.Event()
        self.until = 0

    async def load_positions(self, source: str) -> dict[int, int]:
        if self.unknown_positions:
            self.unknown_positions -= 1
            raise TimeoutError(source)
        last: dict[int, int] = {}
        for partition, offset in self.handled:
            last[partition] = max(last.get(partition, -1), offset)
        return last

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        if self.refusals:
            self.refusals -= 1
            raise Transient("The database does not answer.")
        self.handled += [(each.partition, each.offset) for each in records]
        if len(self.handled) >= self.until:
            self.done.set()
        return Outcomes(handled=len(records))

    async def park(self, record: Record, stored: Mapping[int, int], fault: Exception) -> None:
        raise AssertionError("Nothing parks here.")

    async def parked_too_much(self, source: str) -> bool:
        return False


@pytest_asyncio.fixture
async def topic(kafka: str) -> AsyncIterator[str]:
    name = f"test.{uuid7().hex}"
    async with made(kafka, name, partitions=2):
        yield name


async def _send(kafka: str, topic: str, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        for number in range(count):
            await producer.send_and_wait(topic, b"{}", b"key", partition=number % 2)
    finally:
        await producer.stop()


async def _consume(kafka: str, topic: str, handler: Handler, *, until: int) -> None:
    handler.until = until
    handler.done.clear()
    settings = KafkaSettings(bootstrap_servers=kafka)
    broker = make_broker(settings, client_id="test")
    BatchConsumer(broker, settings, topic=topic, group=topic, handler=handler)
    await broker.start()
    try:
        await asyncio.wait_for(handler.done.wait(), TURN_SECONDS_MAX)
    finally:
        await broker.stop()


async def test_a_batch_that_was_refused_comes_again_without_anything_behind_it(
    kafka: str, topic: str
) -> None:
    await _send(kafka, topic, 4)
    handler = Handler(refusals=3)
    await _consume(kafka, topic, handler, until=4)
    assert sorted(handler.handled) == [(0, 0), (0, 1), (1, 0), (1, 1)]


async def test_a_batch_whose_positions_were_unknown_comes_again(kafka: str, topic: str) -> None:
    await _send(kafka, topic, 4)
    handler = Handler(unknown_positions=3)
    await _consume(kafka, topic, handler, until=4)
    assert sorted(handler.handled) == [(0, 0), (0, 1), (1, 0), (1, 1)]


async def test_what_the_group_committed_beyond_the_stored_positions_is_read_when_these_become_known(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumption, "RETRY_SECONDS_MAX", 0.2)
    await _send(kafka, topic, 4)
    await _consume(kafka, topic, Handler(), until=4)
    restored = Handler(unknown_positions=2)
    await _consume(kafka, topic, restored, until=4)
    assert sorted(restored.handled) == [(0, 0), (0, 1), (1, 0), (1, 1)]


async def test_batches_go_on_while_kafka_does_not_tell_where_partitions_end(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    handler = Handler()
    await _send(kafka, topic, 4)
    await _consume(kafka, topic, handler, until=4)
    monkeypatch.setattr(consumption, "END_SECONDS_MAX", 0.1)
    monkeypatch.setattr(AIOKafkaConsumer, "end_offsets", never)
    await _send(kafka, topic, 4)
    handler.refusals = 1
    await _consume(kafka, topic, handler, until=8)
    assert sorted(handler.handled) == [(partition, offset) for partition in (0, 1) for offset in range(4)]
