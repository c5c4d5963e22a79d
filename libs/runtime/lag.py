"""What of a topic has no durable effect yet, and whether the positions stored for it can still be right.

Asks Kafka by a client of its own that belongs to no group and fetches nothing, so that the answer is right
also before anything is assigned to this process, and in one that consumes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from libs.runtime.errors import Transient
from libs.runtime.kafka import KafkaSettings

ANSWER_SECONDS_MAX = 5.0

# The stored position of each partition of a source.
Positions = Callable[[str], Awaitable[dict[int, int]]]


class TopicRecreated(Exception):
    """A stored position lies beyond the end of its partition: the topic is another one than was consumed."""


class TopicLag:
    """The lag of one source (group and topic) over all partitions, whoever owns them."""

    def __init__(self, kafka: KafkaSettings, *, topic: str, source: str, positions: Positions) -> None:
        self._kafka = kafka
        self._topic = topic
        self._source = source
        self._positions = positions
        self._client: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()

    async def records(self) -> int:
        """The records that were there when it was asked and have no effect yet; 0 means drained.

        Raises Transient when Kafka or the database does not answer in time.
        """
        begins, ends = await self._bounds()
        stored = await self._positions(self._source)
        return sum(
            max(0, end - max(stored.get(partition.partition, -1) + 1, begins[partition]))
            for partition, end in ends.items()
        )

    async def refuse_recreated(self) -> None:
        """Raise TopicRecreated when a stored position lies beyond the end of its partition.

        Consuming on would skip every record up to the old position, since they count as consumed.
        """
        stored = await self._positions(self._source)
        _, ends = await self._bounds()
        for partition, end in ends.items():
            position = stored.get(partition.partition, -1)
            if position >= end:
                raise TopicRecreated(
                    f"The stored position {position} of {self._topic}, partition {partition.partition}, lies"
                    f" beyond the partition's end {end}: the topic was re-created. Give the new topic a new"
                    f" version, or remove the stored positions of {self._source} to consume all of it anew."
                )

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Ask within the block; the client is closed at its end."""
        try:
            yield
        finally:
            async with self._lock:
                await self._discard()

    async def _bounds(self) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        async with self._lock:
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    return await self._ask()
            except (KafkaError, TimeoutError, OSError) as fault:
                await self._discard()
                raise Transient(f"Kafka did not answer: {type(fault).__name__}.") from fault

    async def _ask(self) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        if self._client is None:
            self._client = AIOKafkaConsumer(**self._kafka.client_options(), enable_auto_commit=False)
            await self._client.start()
        # No public call fetches one topic's metadata without subscribing to it and fetching its records.
        await self._client._client.set_topics([self._topic])  # noqa: SLF001
        numbers = self._client.partitions_for_topic(self._topic)
        if not numbers:
            raise Transient(f"The topic {self._topic} is not there.")
        partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
        return await self._client.beginning_offsets(partitions), await self._client.end_offsets(partitions)

    async def _discard(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                await asyncio.wait_for(client.stop(), 3)
