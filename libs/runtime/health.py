"""Whether this process lives and is ready, as sentences; no sentence means well.

Liveness is what a restart would mend: a loop that stands still, a consumer that lost its group. Readiness
is what must pass by itself: a server that does not answer, consumption stopped on purpose.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from faststream.kafka import KafkaBroker

from libs.runtime.clock import monotonic
from libs.runtime.metrics import EVENT_LOOP_LAG_SECONDS
from libs.runtime.postgres import AsyncPool

LiveCheck = Callable[[], str | None]
ReadyCheck = Callable[[], str | Awaitable[str | None] | None]

CHECK_SECONDS_MAX = 2.0
# Probes are open to anyone, so that asking often must not become work for the database.
READINESS_KEPT_SECONDS = 1.0
LOOP_LAG_EVERY_SECONDS = 0.5
# Topic deleted under a live consumer: the assignment stays empty without any error.
EMPTY_ASSIGNMENT_SECONDS_MAX = 60.0


@dataclass(slots=True)
class _Beat:
    within_seconds: float
    last: float


class Health:
    """The checks of one process, by name; a name that is given again replaces its check."""

    def __init__(self, service: str, *, monotonic_clock: Callable[[], float] = monotonic) -> None:
        self.service = service
        self.draining = False
        self._now = monotonic_clock
        self._live: dict[str, LiveCheck] = {}
        self._ready: dict[str, ReadyCheck] = {}
        self._beats: dict[str, _Beat] = {}
        self._standing: dict[str, str] = {}
        self._kept: tuple[float, list[str]] | None = None
        self._lock = asyncio.Lock()

    def live(self, name: str, check: LiveCheck) -> None:
        """Fail liveness while the check gives a sentence."""
        self._live[name] = check

    def ready(self, name: str, check: ReadyCheck) -> None:
        """Fail readiness while the check gives a sentence, raises, or takes longer than 2 s."""
        self._ready[name] = check

    def expect_beats(self, name: str, within_seconds: float) -> None:
        """Fail liveness when the loop of this name has not called `beat` for so long."""
        self._beats[name] = _Beat(within_seconds, self._now())

    def beat(self, name: str) -> None:
        """The loop of this name has turned."""
        self._beats[name].last = self._now()

    def forget(self, name: str) -> None:
        """Drop every check of this name: what it looked at has ended on purpose."""
        for checks in (self._live, self._ready, self._beats, self._standing):
            checks.pop(name, None)

    def say(self, name: str, sentence: str | None) -> None:
        """Keep a sentence in readiness until it is replaced, or taken back with None."""
        if sentence is None:
            self._standing.pop(name, None)
        else:
            self._standing[name] = sentence
        self._kept = None

    def liveness(self) -> list[str]:
        """What a restart would mend; nothing while the process drains, so that it is let finish."""
        if self.draining:
            return []
        problems = [sentence for name, check in self._live.items() if (sentence := _asked(name, check))]
        now = self._now()
        for name, beat in self._beats.items():
            silent_seconds = now - beat.last
            if silent_seconds > beat.within_seconds:
                problems.append(f"The loop of {name} has not turned for {silent_seconds:.0f} s.")
        return problems

    async def readiness(self) -> list[str]:
        """Everything that keeps this process from doing its work now; asked at most once a second."""
        if self.draining:
            return ["The process is stopping."]
        async with self._lock:
            if self._kept is None or self._now() - self._kept[0] > READINESS_KEPT_SECONDS:
                answers = await asyncio.gather(*(_awaited(*item) for item in self._ready.items()))
                self._kept = (self._now(), [sentence for sentence in answers if sentence])
            kept = self._kept[1]
        return [*self._standing.values(), *kept, *self.liveness()]

    async def watch_event_loop(self) -> None:
        """Measure for ever how late the event loop wakes."""
        gauge = EVENT_LOOP_LAG_SECONDS.labels(self.service)
        while True:
            began = self._now()
            await asyncio.sleep(LOOP_LAG_EVERY_SECONDS)
            gauge.set(max(0.0, self._now() - began - LOOP_LAG_EVERY_SECONDS))


def _asked(name: str, check: LiveCheck) -> str | None:
    try:
        return check()
    except Exception as fault:  # noqa: BLE001  # A check that fails is itself the answer.
        return f"The check of {name} failed: {type(fault).__name__}."


async def _awaited(name: str, check: ReadyCheck) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            answer = check()
            return await answer if inspect.isawaitable(answer) else answer
    except TimeoutError:
        return f"The check of {name} took longer than {CHECK_SECONDS_MAX:.0f} s."
    except Exception as fault:  # noqa: BLE001  # A check that fails is itself the answer.
        return f"The check of {name} failed: {type(fault).__name__}."


def database_check(pool: AsyncPool) -> ReadyCheck:
    """Readiness: the database answers SELECT 1 in time."""

    async def check() -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX), pool.connection(CHECK_SECONDS_MAX) as connection:
                await connection.execute("SELECT 1")
        except Exception as fault:  # noqa: BLE001  # Whatever the driver raises, it did not answer.
            return f"The database does not answer: {type(fault).__name__}."
        return None

    return check


def kafka_check(broker: KafkaBroker) -> ReadyCheck:
    """Readiness: a broker answers with its metadata in time.

    Says nothing of consumers: a ping stays good beside one that is stuck or has lost its group.
    """

    async def check() -> str | None:
        # Without a time-out of its own the ping waits for ever when Kafka is down.
        reached = await broker.ping(CHECK_SECONDS_MAX * 0.8)
        return None if reached else "Kafka does not answer with its metadata."

    return check


class GroupMember(Protocol):
    """What a process knows of a consumer (libs.runtime.consumption.BatchConsumer)."""

    topic: str
    group: str
    assigned: set[int]

    def sick(self) -> str | None: ...
    def unready(self) -> str | None: ...
    async def wind_down(self) -> None: ...


class LostGroup:
    """Liveness: the consumer owns partitions, or has owned none for a minute at most.

    Only for groups that never have more members than the topic has partitions; a spare member owns none.
    """

    def __init__(self, consumer: GroupMember, *, monotonic_clock: Callable[[], float] = monotonic) -> None:
        self._consumer = consumer
        self._now = monotonic_clock
        self._empty_since: float | None = None

    def __call__(self) -> str | None:
        now = self._now()
        if self._consumer.assigned:
            self._empty_since = None
            return None
        if self._empty_since is None:
            self._empty_since = now
        seconds = now - self._empty_since
        if seconds <= EMPTY_ASSIGNMENT_SECONDS_MAX:
            return None
        of = self._consumer
        return f"The consumer of {of.topic} in {of.group} has owned no partition for {seconds:.0f} s."


def watch_consumer(health: Health, consumer: GroupMember, *, may_be_spare: bool = False) -> None:
    """Add the checks of a consumer that has started; `may_be_spare` when members may own nothing."""
    name = f"{consumer.group}:{consumer.topic}"
    health.live(name, consumer.sick)
    health.ready(name, consumer.unready)
    if not may_be_spare:
        health.live(f"{name} assignment", LostGroup(consumer))
