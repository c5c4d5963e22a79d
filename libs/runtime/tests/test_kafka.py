"""What is published keeps its order per partition, also when a batch of it is refused."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import NotEnoughReplicasError

from libs.runtime.clock import uuid7
from libs.runtime.errors import Transient
from libs.runtime.kafka import KafkaSettings, Outgoing, Publisher
from libs.runtime.tests.topics import made


class FakeBatch:
    """Takes two records."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: Any) -> object | None:
        if len(self.values) == 2 or len(value) > 10:
            return None
        self.values.append(value)
        return object()

    def record_count(self) -> int:
        return len(self.values)


class FakeProducer:
    """Keeps what is handed over, and acknowledges when it is told to."""

    def __init__(self) -> None:
        self.handed: list[tuple[int, list[bytes]]] = []
        self.answers: list[asyncio.Future[None]] = []

    def create_batch(self) -> FakeBatch:
        return FakeBatch()

    async def partitions_for(self, topic: str) -> set[int]:
        return {0, 1}

    def _partitioner(self, key: bytes, partitions: list[int], available: list[int]) -> int:
        return int(key)

    def _take(self, partition: int, values: list[bytes]) -> asyncio.Future[None]:
        self.handed.append((partition, values))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    async def send_batch(self, batch: FakeBatch, topic: str, *, partition: int) -> asyncio.Future[None]:
        return self._take(partition, batch.values)

    async def send(
        self, topic: str, value: bytes, key: bytes, partition: int, headers: Any
    ) -> asyncio.Future[None]:
        return self._take(partition, [value])

    async def stop(self) -> None: ...


def outgoing(key: bytes, *values: bytes) -> list[Outgoing]:
    return [Outgoing("t", key, value, []) for value in values]


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    fake = FakeProducer()

    async def ready(_: Publisher) -> FakeProducer:
        return fake

    monkeypatch.setattr(Publisher, "_ready", ready)
    return fake


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_batch_is_handed_over_when_the_one_before_is_acknowledged(producer: FakeProducer) -> None:
    publisher = Publisher(KafkaSettings(bootstrap_servers="nowhere:1"), client_id="test")
    large = b"x" * 20
    records = outgoing(b"0", b"1", b"2", b"3", large, b"4", b"5") + outgoing(b"1", b"6", b"7", b"8")
    publishing = asyncio.create_task(publisher.publish(records))
    await settle()
    assert producer.handed == [(0, [b"1", b"2"]), (1, [b"6", b"7"])]
    for answered in range(6):
        assert not publishing.done()
        producer.answers[answered].set_result(None)
        await settle()
    await asyncio.wait_for(publishing, 60)
    assert [values for partition, values in producer.handed if partition == 0] == [
        [b"1", b"2"], [b"3"], [large], [b"4", b"5"],
    ]  # fmt: skip
    assert [values for partition, values in producer.handed if partition == 1] == [[b"6", b"7"], [b"8"]]


async def test_nothing_follows_a_batch_that_is_refused(producer: FakeProducer) -> None:
    publisher = Publisher(KafkaSettings(bootstrap_servers="nowhere:1"), client_id="test")
    records = outgoing(b"0", b"1", b"2", b"3") + outgoing(b"1", b"6", b"7", b"8")
    publishing = asyncio.create_task(publisher.publish(records))
    await settle()
    producer.answers[0].set_exception(NotEnoughReplicasError())
    with pytest.raises(Transient):
        await asyncio.wait_for(publishing, 60)
    await settle()
    assert producer.handed == [(0, [b"1", b"2"]), (1, [b"6", b"7"])]


@pytest.mark.connected
async def test_more_than_a_batch_arrives_in_order(kafka: str) -> None:
    topic = f"order.{uuid7().hex}.v1"
    values = [b"%06d" % number + b"x" * (100_000 if number % 10 == 3 else 9_000) for number in range(40)]
    publisher = Publisher(KafkaSettings(bootstrap_servers=kafka), client_id="order test")
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    async with made(kafka, topic), publisher.lent():
        await publisher.publish([Outgoing(topic, b"k", value, []) for value in values])
        await consumer.start()
        try:
            assert [(await consumer.getone()).value for _ in values] == values
        finally:
            await consumer.stop()
