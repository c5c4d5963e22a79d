"""Publishes what a service has stored: fetch, publish, await every acknowledgement, then remember it.

One leader at a time by advisory lock; woken by NOTIFY, with a fallback poll. After a crash the same
records are published again with the same ids and sequences (P2, P3).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog

from libs.runtime.clock import now
from libs.runtime.errors import Transient
from libs.runtime.freshness import Freshness
from libs.runtime.kafka import KafkaSettings, Outgoing, Publisher
from libs.runtime.kafka_tracing import sending
from libs.runtime.metrics import OUTBOX_ERRORS, OUTBOX_OLDEST_SECONDS, OUTBOX_PUBLISHED
from libs.runtime.postgres import Bell, lead
from libs.runtime.serving import Process

log = structlog.get_logger(__name__)

RETRY_SECONDS_FIRST = 0.2
RETRY_SECONDS_MAX = 5.0
REMEMBER_SECONDS_MAX = 3.0
# What is published within this time is remembered with one statement; a crash publishes that much again.
GATHER_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records to publish in order, and the mark that `done` remembers once they are acknowledged."""

    records: Sequence[Outgoing]
    mark: Any
    oldest_at: datetime | None = None
    # Whether the source may hold more already; what comes later rings the bell.
    more: bool = True


class Source(Protocol):
    """Where a relay's records come from."""

    async def fetch(self, after: Sequence[Any]) -> Chunk | None:
        """The next records after the last mark; None when there are none.

        The marks are those that may not be remembered yet, in order; every one before them is. Without
        any: after what is remembered.
        """

    async def done(self, marks: Sequence[Any]) -> None:
        """Remember that everything of the marks, at least one and in order, is acknowledged."""


class Relay:
    """Follows one source for as long as it leads."""

    def __init__(
        self,
        *,
        service: str,
        name: str,
        dsn: str,
        source: Source,
        publisher: Publisher,
        bell: Bell,
        freshness: Freshness | None = None,
    ) -> None:
        self.service = service
        self.name = name
        self._dsn = dsn
        self._source = source
        self._publisher = publisher
        self._bell = bell
        self._freshness = freshness
        self._remembering: asyncio.Task[None] | None = None
        # The marks of what is published and may not be remembered yet, and the one before them.
        self._due: list[Any] = []
        self._before: list[Any] = []
        # Set while somebody waits for them to be remembered.
        self._hurry = asyncio.Event()
        self.leading = False
        self.last_fault = ""

    async def run(self) -> None:
        """Publish for ever; cancel to stop. Whatever is not acknowledged is published by the next run."""
        await lead(self._dsn, f"{self.service} relay {self.name}", self._work)

    async def _work(self) -> None:
        self.leading = True
        try:
            await self._follow()
        finally:
            self.leading = False
            if self._remembering is not None:
                # What it remembers need not be published again; should it fail, it is.
                self._hurry.set()
                await asyncio.wait({self._remembering}, timeout=REMEMBER_SECONDS_MAX)
                self._remembering.cancel()
                self._remembering = None

    async def _follow(self) -> None:
        self._forget()
        backoff = RETRY_SECONDS_FIRST
        while True:
            try:
                chunk = await self._source.fetch([*(self._due or self._before)])
                while chunk is not None:
                    chunk = await self._publish_and_read_on(chunk)
                    self.last_fault, backoff = "", RETRY_SECONDS_FIRST
                OUTBOX_OLDEST_SECONDS.labels(self.service, self.name).set(0)
                backoff = RETRY_SECONDS_FIRST
                self.last_fault = ""
                await self._bell.wait()
                await self._remembered(at_once=False)
            except Transient as fault:
                self.last_fault = str(fault)
                OUTBOX_ERRORS.labels(self.service, self.name).inc()
                log.warning("publish_retried", service=self.service, relay=self.name, fault=str(fault))
                with suppress(Transient):
                    await self._remembered()
                self._forget()
                await asyncio.sleep(backoff)
                backoff = min(RETRY_SECONDS_MAX, backoff * 2)

    async def _publish_and_read_on(self, chunk: Chunk) -> Chunk | None:
        """Publish the chunk; the next one, if there may be one, is read while this is acknowledged."""
        if not chunk.more:
            await self._publish(chunk)
            return None
        await self._remembered()
        ahead = asyncio.ensure_future(self._source.fetch([*self._due, chunk.mark]))
        try:
            await self._publish(chunk)
        except BaseException:
            ahead.cancel()
            raise
        return await ahead

    async def _publish(self, chunk: Chunk) -> None:
        if chunk.oldest_at is not None:
            OUTBOX_OLDEST_SECONDS.labels(self.service, self.name).set(
                (now() - chunk.oldest_at).total_seconds()
            )
        with sending(chunk.records):
            await self._publisher.publish(chunk.records)
        if self._freshness is not None:
            self._freshness.reached([record.headers for record in chunk.records])
        # Before this mark is due: what is waited for is the chunk before, remembered beside this one.
        await self._remembered(at_once=chunk.more)
        self._due.append(chunk.mark)
        if self._remembering is None:
            self._hurry.clear()
            # Beside the next fetch: nobody waits for it, and undone it means that the records go out again.
            self._remembering = asyncio.create_task(self._remember(), name="remember the marks")
        if chunk.more:
            self._hurry.set()
        for record in chunk.records[:1]:
            OUTBOX_PUBLISHED.labels(self.service, record.topic).inc(len(chunk.records))

    async def _remember(self) -> None:
        while self._due:
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._hurry.wait()
            marks = self._due.copy()
            await self._source.done(marks)
            del self._due[: len(marks)]
            self._before = marks[-1:]

    def _forget(self) -> None:
        """Go on after what the source remembers."""
        self._due.clear()
        self._before.clear()

    async def _remembered(self, *, at_once: bool = True) -> None:
        """Return when what is being remembered is, or raise what kept it from being; else only look."""
        task = self._remembering
        if task is not None and (at_once or task.done()):
            self._hurry.set()
            self._remembering = None
            await task


def add_relay(
    process: Process,
    name: str,
    source: Source,
    bell: Bell,
    *,
    dsn: str,
    kafka: KafkaSettings,
    stage: str | None = None,
) -> None:
    """Let the process relay the source for as long as it runs.

    Its bell listens and its publisher is open from before the relay runs until after it has ended;
    readiness tells its last fault. With a stage, the age of what is published is measured under that name.
    """
    publisher = Publisher(kafka, client_id=f"{process.service}-relay-{name}")
    relay = Relay(
        service=process.service,
        name=name,
        dsn=dsn,
        source=source,
        publisher=publisher,
        bell=bell,
        freshness=None if stage is None else Freshness(process.service, stage),
    )
    process.resource(f"relay {name} bell", bell.listening)
    process.resource(f"relay {name} publisher", publisher.lent)
    process.task(f"relay {name}", relay.run)
    process.health.ready(f"relay {name}", lambda: relay.last_fault or None)
