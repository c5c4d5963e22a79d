"""Consumes a topic in batches: every record ends as handled, skipped, refused, parked or retried.

The handler makes the effect of a whole batch durable together with the positions; offsets are committed
only then, per partition. One batch is in flight at a time; a rebalance and a stop wait for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from libs.runtime.clock import monotonic
from libs.runtime.errors import Fenced, Permanent, Transient
from libs.runtime.freshness import Freshness
from libs.runtime.kafka import BATCH_SECONDS_MAX, KafkaSettings
from libs.runtime.kafka_tracing import processing
from libs.runtime.metrics import (
    BATCH_RECORDS,
    BATCH_SECONDS,
    CONSUMER_LAG_RECORDS,
    CONSUMER_LAG_SECONDS,
    CONSUMER_PARTITIONS,
    MESSAGES,
    REBALANCES,
)
from libs.runtime.records import Record, from_kafka

log = structlog.get_logger(__name__)

BATCH_RECORDS_MAX = 500
# How long a poll waits for records; it returns with the first, and when the consumer stops.
POLL_MS = 500
# The stored positions tell where to read on; the group's offsets only hint, and need not follow each batch.
COMMIT_SECONDS = 0.25
# How long Kafka may take to tell where a partition ends.
END_SECONDS_MAX = 10.0
RETRY_SECONDS_FIRST = 0.1
RETRY_SECONDS_MAX = 5.0
# A batch that fails for a reason nobody expected is tried again before its records are taken one by one.
ISOLATION_ATTEMPTS = 2

Positions = Mapping[tuple[str, int], int]


class Outcomes(dict[str, int]):
    """How many records of a batch ended as which outcome."""

    def count(self, outcome: str, records: int = 1) -> None:
        self[outcome] = self.get(outcome, 0) + records


class BatchHandler(Protocol):
    """What a service does with the records of one source."""

    async def load_positions(self, source: str) -> dict[int, int]:
        """The stored position of each partition of the source."""

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        """Make the effect of all records and their new positions durable together, or change nothing.

        Raises Transient (try again), Fenced (the partition is another's), or anything else when a record
        cannot be handled at all; then the records are handed in one by one and `park` gets the culprit.
        """

    async def park(self, record: Record, stored: Mapping[int, int], fault: Exception) -> None:
        """Park the record and move its position, in one transaction."""

    async def parked_too_much(self, source: str) -> bool:
        """Whether so much is parked that consumption must stop on purpose (P5)."""


class _Drain(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types.
    """Lets a rebalance wait for the batch in flight, commit included."""

    def __init__(self, consumer: "BatchConsumer") -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002  # aiokafka's signature.
        REBALANCES.labels(self._consumer.group, self._consumer.topic).inc()
        async with self._consumer.lock:
            await self._consumer.commit_due()
            self._consumer.forget()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.forget()
        self._consumer.assigned = {partition.partition for partition in assigned}
        await self._consumer.seek_idle(assigned)
        CONSUMER_PARTITIONS.labels(self._consumer.group, self._consumer.topic).set(len(assigned))


class BatchConsumer:
    """One topic consumed by one group; create it before the broker starts."""

    def __init__(
        self,
        broker: KafkaBroker,
        settings: KafkaSettings,
        *,
        topic: str,
        group: str,
        handler: BatchHandler,
        batch_records_max: int = BATCH_RECORDS_MAX,
        group_id: str | None = None,
    ) -> None:
        """`group_id` is the group's name in Kafka where one process reads several topics.

        In one group each of its members would rebalance the others, and wait for their dead ones.
        """
        self.topic = topic
        self.group = group
        self.source = f"{group}:{topic}"
        self.handler = handler
        self.lock = asyncio.Lock()
        self.assigned: set[int] = set()
        self.stored: dict[int, int] = {}
        self.batch_began: float | None = None
        self.stopped_on_purpose = False
        self.last_fault = ""
        self.sick_for_good = ""
        self._freshness = Freshness(group, "handled")
        self._transient_in_row = 0
        self._seeking: asyncio.Task[None] | None = None
        # What is durable and not committed to the group yet, as the offset to read on from.
        self._due: dict[TopicPartition, int] = {}
        self._committing: asyncio.Task[None] | None = None
        self._commits_at_once = False
        self.subscriber = broker.subscriber(
            topic,
            group_id=group_id or group,
            batch=True,
            max_records=batch_records_max,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            max_poll_interval_ms=300_000,
            listener=_Drain(self),
            parser=self._parse,
            decoder=_undecoded,
        )
        self.subscriber(self._on_batch)
        self.subscriber.get_msg = self._poll  # type: ignore[method-assign]

    async def _poll(self, consumer: Any) -> tuple[Any, ...]:
        # FastStream's own sleeps after an empty poll as long as it has waited, whatever comes meanwhile.
        polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=self.subscriber.max_records)
        return tuple(record for records in polled.values() for record in records)

    async def _parse(self, raw: Any, original: Any) -> Any:  # noqa: ARG002  # FastStream's signature.
        # FastStream's own parser decodes headers and loses the whole batch on one that is not UTF-8, so
        # it is not called: records stay as they came and are decoded one by one in the handler.
        parser = self.subscriber.parser
        return parser.msg_class(
            body=b"",
            headers={},
            batch_headers=[],
            raw_message=raw,
            message_id="",
            correlation_id="",
            consumer=parser._consumer,  # noqa: SLF001  # What FastStream's own parser passes.
        )

    def forget(self) -> None:
        """Know nothing of any partition: what comes next is read anew from the stored positions."""
        self.assigned.clear()
        self.stored.clear()
        self._due.clear()
        self.last_fault = ""
        self.stopped_on_purpose = False

    async def _on_batch(self, message: Any) -> None:
        async with self.lock:
            self.batch_began = monotonic()
            try:
                await self._consume(message.raw_message)
            except (Transient, Fenced) as fault:
                await self._again(message.raw_message, str(fault))
            except Exception as fault:
                # FastStream would swallow it and go on behind this batch, which then were lost.
                log.exception("batch_not_handled", source=self.source)
                await self._again(message.raw_message, type(fault).__name__)
            finally:
                self.batch_began = None

    async def _again(self, raw_records: Sequence[Any], fault: str) -> None:
        """Have everything from the stored positions on delivered again, after a pause."""
        self.last_fault = fault
        self.stored.clear()
        self._rewind(raw_records)
        MESSAGES.labels(self.group, self.topic, "retried").inc(len(raw_records))
        log.warning("batch_retried", source=self.source, records=len(raw_records), fault=fault)
        await asyncio.sleep(self._backoff())

    def _rewind(self, raw_records: Sequence[Any]) -> None:
        """Read these records again, also when nothing follows them on their partitions.

        Without it the batch would come back only with the next record of its partition, which may never come.
        The stored positions are sought when it does.
        """
        consumer: Any = self.subscriber.consumer
        if consumer is None:
            return
        owned = consumer.assignment()
        first: dict[TopicPartition, int] = {}
        for raw in raw_records:
            partition = TopicPartition(raw.topic, raw.partition)
            if partition in owned:
                first[partition] = min(first.get(partition, raw.offset), raw.offset)
        for partition, offset in first.items():
            consumer.seek(partition, offset)

    async def _consume(self, raw_records: Sequence[Any]) -> None:
        consumer = self.subscriber.consumer
        if consumer is None:
            return
        # A batch fetched before a rebalance may be stale: only what is still ours is touched.
        owned = {partition.partition for partition in consumer.assignment()}
        records = [from_kafka(self.source, raw) for raw in raw_records if raw.partition in owned]
        if not records:
            return
        unknown = {record.partition for record in records} - self.stored.keys()
        if unknown:
            await self._go_on_from_stored(consumer, unknown)
            records = [record for record in records if record.partition not in unknown]
        fresh = [r for r in records if r.offset > self.stored[r.partition]]
        MESSAGES.labels(self.group, self.topic, "duplicate").inc(len(records) - len(fresh))
        if fresh:
            with processing(self.topic, self.group, fresh):
                await self._effect(fresh)
            self._freshness.reached([record.headers for record in fresh])
        self._transient_in_row = 0
        self.last_fault = ""
        if records:
            await self._commit(records)

    async def wind_down(self) -> None:
        """Commit what is due, and from now on with each batch: nothing is left for later when this stops."""
        self._commits_at_once = True
        async with self.lock:
            await self.commit_due()

    async def seek_idle(self, assigned: set[TopicPartition]) -> None:
        """Seek at once, for partitions on which nothing new arrives; the first batch of each seeks again."""
        consumer: Any = self.subscriber.consumer
        try:
            loaded = await self.handler.load_positions(self.source)
            for partition in assigned:
                await self._seek(consumer, partition, loaded.get(partition.partition, -1))
        except Exception as fault:  # noqa: BLE001  # Tried again beside the group, which must not wait for it.
            log.warning("positions_not_sought", source=self.source, fault=type(fault).__name__)
            self._seeking = asyncio.create_task(self._seek_later(assigned))

    async def _seek_later(self, assigned: set[TopicPartition]) -> None:
        """Seek what could not be sought at once, unless a batch of it came meanwhile and did."""
        await asyncio.sleep(RETRY_SECONDS_MAX)
        consumer: Any = self.subscriber.consumer
        async with self.lock:
            if consumer is None or not self.subscriber.running:
                return
            still = {each for each in assigned & consumer.assignment() if each.partition not in self.stored}
            if still:
                await self.seek_idle(still)

    async def _seek(self, consumer: Any, partition: TopicPartition, position: int) -> None:
        if position < 0:
            await consumer.seek_to_beginning(partition)
        else:
            await self._refuse_recreated(consumer, partition, position)
            consumer.seek(partition, position + 1)

    async def _go_on_from_stored(self, consumer: Any, partitions: set[int]) -> None:
        """Read these partitions on where their stored positions end; what was fetched of them is dropped.

        The group's committed offsets only hint: after the database was restored or made anew they lie
        beyond what had its effect. So nothing of a partition is handled before it was sought here.
        """
        loaded = await self.handler.load_positions(self.source)
        for number in partitions:
            position = loaded.get(number, -1)
            await self._seek(consumer, TopicPartition(self.topic, number), position)
            self.stored[number] = position

    async def _refuse_recreated(self, consumer: Any, partition: TopicPartition, position: int) -> None:
        # Records in hand came with the end of their partition. Only when that does not show the position to
        # lie within is the broker asked: a question that it may leave unanswered must not hold up a batch.
        fetched_end = consumer.highwater(partition)
        if fetched_end is not None and position < fetched_end:
            return
        end = await self._end_of(consumer, partition)
        if position >= end:
            self.sick_for_good = (
                f"The stored position {position} of {self.topic}, partition {partition.partition},"
                f" lies beyond its end {end}: the topic was re-created."
            )
            raise Transient(self.sick_for_good)

    async def _end_of(self, consumer: Any, partition: TopicPartition) -> int:
        try:
            ends = await asyncio.wait_for(consumer.end_offsets([partition]), END_SECONDS_MAX)
        except (KafkaError, TimeoutError) as fault:
            raise Transient(
                f"Kafka did not tell the end of {self.topic}, partition {partition.partition}:"
                f" {type(fault).__name__}"
            ) from fault
        return int(ends[partition])

    def _backoff(self) -> float:
        self._transient_in_row += 1
        return float(min(RETRY_SECONDS_MAX, RETRY_SECONDS_FIRST * 2 ** min(self._transient_in_row, 10)))

    async def _effect(self, records: list[Record]) -> None:
        """Handle the batch; when that fails for no known reason, find the record that makes it fail."""
        if await self.handler.parked_too_much(self.source):
            self.stopped_on_purpose = True
            raise Transient("Too much is parked; redrive or release before anything else is consumed.")
        self.stopped_on_purpose = False
        began = monotonic()
        for attempt in range(ISOLATION_ATTEMPTS):
            try:
                outcomes = await self.handler.handle(records, self.stored)
            except (Transient, Fenced):
                raise
            except Exception as fault:  # Whatever it is, its record is looked for.
                log.warning(
                    "batch_failed",
                    source=self.source,
                    attempt=attempt,
                    fault=type(fault).__name__,
                    exc_info=True,
                )
                # A handler that appends in several steps may have got through some of them.
                loaded = await self.handler.load_positions(self.source)
                self.stored |= {r.partition: loaded.get(r.partition, -1) for r in records}
                records = [r for r in records if r.offset > self.stored[r.partition]]
                if not records:
                    return
            else:
                self._applied(records, outcomes, began)
                return
        await self._one_by_one(records)

    async def _one_by_one(self, records: list[Record]) -> None:
        for record in records:
            began = monotonic()
            if self.batch_began is not None and began - self.batch_began > BATCH_SECONDS_MAX:
                raise Transient("The batch took too long while looking for the record that fails.")
            try:
                outcomes = await self.handler.handle([record], self.stored)
            except (Transient, Fenced):
                raise
            except Exception as fault:  # noqa: BLE001  # The culprit is found: it parks, whatever it fails with.
                await self.handler.park(record, self.stored, fault)
                outcomes = Outcomes(parked=1)
                log.warning(
                    "record_parked",
                    source=self.source,
                    partition=record.partition,
                    offset=record.offset,
                    reason=reason_of(fault),
                    fault=type(fault).__name__,
                )
            self._applied([record], outcomes, began)

    def _applied(self, records: list[Record], outcomes: Outcomes, began: float) -> None:
        for record in records:
            self.stored[record.partition] = max(self.stored.get(record.partition, -1), record.offset)
        for outcome, count in outcomes.items():
            MESSAGES.labels(self.group, self.topic, outcome).inc(count)
        BATCH_SECONDS.labels(self.group, self.topic).observe(monotonic() - began)
        BATCH_RECORDS.labels(self.group, self.topic).observe(len(records))

    async def _commit(self, records: Sequence[Record]) -> None:
        """Have what is durable committed within `COMMIT_SECONDS`, beside the next batches."""
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._due[partition] = max(self._due.get(partition, 0), record.offset + 1)
        if self._commits_at_once:
            await self.commit_due()
        elif self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_soon())
        self._measure_lag(self.subscriber.consumer, records)

    async def _commit_soon(self) -> None:
        await asyncio.sleep(COMMIT_SECONDS)
        await self.commit_due()

    async def commit_due(self) -> None:
        """Commit what is durable; a failed commit only means that the records come again."""
        consumer: Any = self.subscriber.consumer
        due, self._due = self._due, {}
        if not due or consumer is None:
            return
        try:
            await asyncio.wait_for(consumer.commit(due), 10)
        except (CommitFailedError, IllegalStateError, KafkaError, TimeoutError) as fault:
            log.warning("offsets_not_committed", source=self.source, fault=type(fault).__name__)

    def _measure_lag(self, consumer: Any, records: Sequence[Record]) -> None:
        last = {record.partition: record for record in records}
        for partition, record in last.items():
            highwater = consumer.highwater(TopicPartition(record.topic, partition))
            lag = max(0, (highwater or 0) - record.offset - 1)
            CONSUMER_LAG_RECORDS.labels(self.group, self.topic, str(partition)).set(lag)
            seconds = 0.0 if lag == 0 else max(0.0, _age(record))
            CONSUMER_LAG_SECONDS.labels(self.group, self.topic, str(partition)).set(seconds)

    def sick(self) -> str | None:
        """A sentence when the consumer can't be trusted to make progress by itself; None when well."""
        now = monotonic()
        if self.sick_for_good:
            return self.sick_for_good
        if not self.subscriber.running:
            return f"The consumer of {self.topic} is not running."
        if self.batch_began is not None and now - self.batch_began > 2 * BATCH_SECONDS_MAX:
            return f"A batch of {self.topic} has been stuck for {now - self.batch_began:.0f} s."
        if any(task.done() for task in self.subscriber.tasks):
            return f"The loop that reads {self.topic} has ended."
        return None

    def unready(self) -> str | None:
        """A sentence while the consumer does no work although it is alive; None when it works."""
        if self.stopped_on_purpose:
            return f"Consumption of {self.topic} is stopped on purpose: too much is parked."
        if self.last_fault:
            return f"Batches of {self.topic} are being retried: {self.last_fault}"
        return None


def reason_of(fault: Exception) -> str:
    """The stable code that a parked record is counted under."""
    return fault.reason if isinstance(fault, Permanent) else "FAILED"


def _age(record: Record) -> float:
    from libs.runtime.clock import now

    return (now() - record.produced_at).total_seconds()


async def _undecoded(message: Any) -> Any:
    # The handler gets the message itself and decodes each record by itself.
    return message
