"""Kafka clients with every dangerous default set: the FastStream broker, the raw producer, the settings.

Sources of the settings: aiokafka 0.14 and FastStream 0.7.8, tried on Kafka 4.3.1 (decision 0005).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLScram512
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.runtime.errors import Transient
from libs.runtime.partitioning import partitions_of

log = structlog.get_logger(__name__)

# A batch, commit included, ends within 25 s < rebalance time-out, so that a member that drains is not
# evicted. A stop waits less: what is cut short then has no effect, or one that its repeat finds.
BATCH_SECONDS_MAX = 25.0
GRACEFUL_SECONDS = 20.0
REQUEST_TIMEOUT_MS = 40_000
METADATA_MAX_AGE_MS = 30_000
PUBLISH_SECONDS_MAX = 30.0


class KafkaSettings(BaseSettings):
    """Where Kafka is and how to speak to it; SASL/SCRAM over TLS when a user is named."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="KAFKA_", env_ignore_empty=True, use_attribute_docstrings=True
    )

    bootstrap_servers: str
    """Where Kafka is: host:port, several comma separated"""

    sasl_username: str | None = None
    """The SCRAM user; none: no authentication"""

    sasl_password: SecretStr | None = None
    """The SCRAM password"""

    ssl_cafile: str | None = None
    """The file of the certificate authority that the brokers are trusted by"""

    session_timeout_ms: int = 30_000
    """How long a consumer may be silent before its partitions go to another"""

    heartbeat_interval_ms: int = 3_000
    """How often a consumer says that it lives"""

    rebalance_timeout_ms: int = 60_000
    """How long a rebalance waits for a batch in flight; longer than any batch"""

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context when a CA file or a user is named, else None (plain text on loopback)."""
        if self.ssl_cafile is None and self.sasl_username is None:
            return None
        context: ssl.SSLContext = create_ssl_context(cafile=self.ssl_cafile)
        return context

    def client_options(self) -> dict[str, Any]:
        """What any raw aiokafka client needs to reach and trust the brokers."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        }
        context = self.tls()
        if self.sasl_username is not None and self.sasl_password is not None:
            options |= {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password.get_secret_value(),
                "ssl_context": context,
            }
        elif context is not None:
            options |= {"security_protocol": "SSL", "ssl_context": context}
        return options

    def security(self) -> BaseSecurity | None:
        """The same as FastStream's security object."""
        context = self.tls()
        if self.sasl_username is not None and self.sasl_password is not None:
            return SASLScram512(
                username=self.sasl_username,
                password=self.sasl_password.get_secret_value(),
                use_ssl=True,
                ssl_context=context,
            )
        return None if context is None else BaseSecurity(ssl_context=context, use_ssl=True)


def make_broker(settings: KafkaSettings, *, client_id: str) -> KafkaBroker:
    """A FastStream broker that creates no topics, injects nothing and keeps its own log quiet.

    The acknowledgement policy is set on each subscriber: on the broker it bypasses FastStream's guards.
    """
    return KafkaBroker(
        settings.bootstrap_servers,
        client_id=client_id,
        security=settings.security(),
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        allow_auto_create_topics=False,
        graceful_timeout=GRACEFUL_SECONDS,
        acks="all",
        enable_idempotence=True,
        logger=None,
        apply_types=False,
    )


class Outgoing:
    """One record to publish; the key decides its partition as Kafka's default partitioner would.

    A mirror of a record that broke the contract may have no key, no value and null headers.
    """

    __slots__ = ("headers", "key", "topic", "value")

    def __init__(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers


class Publisher:
    """A raw idempotent producer that is thrown away and made anew after any error.

    One non-retriable error poisons an idempotent aiokafka producer for its partition for ever
    (aiokafka issue 1017), and a cleanly stopped broker sends it into a hot loop; a new one has neither.
    """

    def __init__(self, settings: KafkaSettings, *, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._partitions: dict[str, list[int]] = {}
        self._partition_of: dict[tuple[str, bytes | None], int] = {}
        self.recreated = 0

    async def _ready(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._settings.client_options() | {"request_timeout_ms": 20_000},
                client_id=self._client_id,
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                linger_ms=0,
                max_batch_size=65_536,
                max_request_size=1_000_000,
                retry_backoff_ms=200,
            )
            await asyncio.wait_for(producer.start(), PUBLISH_SECONDS_MAX)
            self._producer = producer
            self._partitions.clear()
        return self._producer

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Return when every record is acknowledged by all in-sync replicas, in order per partition.

        Raises Transient otherwise: some records may be written all the same, now or later, so the caller
        publishes the same records again and consumers recognise the repeats by `id` and `sequence`.
        """
        if not records:
            return
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                await self._send(records)
        except (KafkaError, TimeoutError, OSError) as fault:
            await self.discard()
            raise Transient(f"Kafka did not acknowledge: {type(fault).__name__}") from fault
        except asyncio.CancelledError:
            await self.discard()
            raise

    async def _send(self, records: Sequence[Outgoing]) -> None:
        producer = await self._ready()
        by_partition: dict[tuple[str, int], list[Outgoing]] = {}
        await self._find_partitions(producer, records)
        chosen = self._partition_of
        for record in records:
            partition = chosen[record.topic, record.key]
            by_partition.setdefault((record.topic, partition), []).append(record)
        pending: list[asyncio.Future[Any]] = []
        unfinished: list[tuple[_PartitionSending, asyncio.Future[Any]]] = []
        for (topic, partition), batch in by_partition.items():
            sending = _PartitionSending(producer, topic, partition, batch)
            acknowledged = await sending.hand_over()
            if sending.has_more:
                unfinished.append((sending, acknowledged))
            else:
                pending.append(acknowledged)
        # Only what does not fit one batch costs a task.
        tasks = [asyncio.create_task(sending.finish(first)) for sending, first in unfinished]
        try:
            await asyncio.gather(*pending, *tasks)
        finally:
            # When one partition fails, the others hand nothing more to a producer that is thrown away.
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _find_partitions(self, producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> None:
        """See to it that the partition of each record is known."""
        # Several events of one order follow each other, so what was computed is kept.
        if len(self._partition_of) > 200_000:
            self._partition_of.clear()
        unknown: dict[str, dict[bytes | None, None]] = {}
        for record in records:
            if (record.topic, record.key) not in self._partition_of:
                unknown.setdefault(record.topic, {})[record.key] = None
        for topic, keys in unknown.items():
            if topic not in self._partitions:
                self._partitions[topic] = sorted(await producer.partitions_for(topic))
            partitions = self._partitions[topic]
            # Only the mirror of a record without a key has none; any partition will do for it.
            found = partitions_of([key or b"" for key in keys], len(partitions))
            for key, number in zip(keys, found, strict=True):
                self._partition_of[topic, key] = partitions[number]

    async def discard(self) -> None:
        """Throw the producer away, whatever state it is in; the next publish makes a new one."""
        producer, self._producer = self._producer, None
        self._partition_of.clear()
        if producer is None:
            return
        self.recreated += 1
        with suppress(Exception):
            await asyncio.wait_for(producer.stop(), 3)
            return
        # stop() hangs while a sender loops over a broker that went away; closing its parts ends it.
        with suppress(Exception):
            await asyncio.wait_for(producer._sender.close(), 2)  # noqa: SLF001  # No public way ends the sender's loop.
        with suppress(Exception):
            await asyncio.wait_for(producer.client.close(), 2)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Publish within the block; the producer is closed at its end."""
        try:
            yield
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Close the producer; everything published has been acknowledged already."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), 5)


class _PartitionSending:
    """One partition's records on their way, in as few batches as their size allows, one after the other.

    The next batch is handed over when the one before is acknowledged: the broker may take a later batch
    after it refused an earlier one, and sending both again would then turn their order round.
    """

    def __init__(
        self, producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._records = records
        self._next = 0

    @property
    def has_more(self) -> bool:
        return self._next < len(self._records)

    async def hand_over(self) -> asyncio.Future[Any]:
        """Hand the next batch over; the future is its acknowledgement."""
        builder = self._producer.create_batch()
        first = self._records[self._next]
        while self.has_more:
            record = self._records[self._next]
            added = builder.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
            if added is None:
                break
            self._next += 1
        if builder.record_count():
            acknowledged = await self._producer.send_batch(builder, self._topic, partition=self._partition)
            return cast("asyncio.Future[Any]", acknowledged)
        # Larger than a whole batch: aiokafka's plain send takes up to max_request_size.
        self._next += 1
        acknowledged = await self._producer.send(
            self._topic, first.value, first.key, self._partition, headers=list(first.headers)
        )
        return cast("asyncio.Future[Any]", acknowledged)

    async def finish(self, acknowledged: asyncio.Future[Any]) -> None:
        await acknowledged
        while self.has_more:
            await (await self.hand_over())
