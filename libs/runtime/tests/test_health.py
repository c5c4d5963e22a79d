"""Health says in sentences what a restart would mend and what must pass by itself."""

import asyncio

import pytest

from libs.runtime.health import Health, LostGroup, watch_consumer
from libs.runtime.metrics import EVENT_LOOP_LAG_SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Member:
    topic = "channels.orders.v1"
    group = "orders"

    def __init__(self) -> None:
        self.assigned: set[int] = set()
        self.is_sick: str | None = None
        self.is_unready: str | None = None

    def sick(self) -> str | None:
        return self.is_sick

    def unready(self) -> str | None:
        return self.is_unready

    async def wind_down(self) -> None: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health("orders", monotonic_clock=clock)


def test_a_loop_that_stands_still_fails_liveness(health: Health, clock: Clock) -> None:
    health.expect_beats("poller", 30)
    clock.now += 29
    health.beat("poller")
    clock.now += 30
    assert health.liveness() == []
    clock.now += 1
    assert health.liveness() == ["The loop of poller has not turned for 31 s."]
    health.forget("poller")
    assert health.liveness() == []


async def test_a_check_that_raises_or_hangs_is_itself_the_answer(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str | None:
        raise KeyError("inside")

    async def hangs() -> str | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr("libs.runtime.health.CHECK_SECONDS_MAX", 0.01)
    health.live("a", broken)
    health.ready("b", broken)
    health.ready("c", hangs)
    assert health.liveness() == ["The check of a failed: KeyError."]
    assert await health.readiness() == [
        "The check of b failed: KeyError.",
        "The check of c took longer than 0 s.",
        "The check of a failed: KeyError.",
    ]


async def test_readiness_asks_at_most_once_a_second(health: Health, clock: Clock) -> None:
    asked = []

    async def check() -> str | None:
        asked.append(clock.now)
        return "The database does not answer."

    health.ready("database", check)
    answers = await asyncio.gather(*(health.readiness() for _ in range(20)))
    assert answers == [["The database does not answer."]] * 20
    assert len(asked) == 1
    clock.now += 1.1
    await health.readiness()
    assert len(asked) == 2


async def test_a_process_that_drains_lives_but_is_not_ready(health: Health) -> None:
    member = Member()
    member.is_sick = "The consumer is not running."
    watch_consumer(health, member)
    assert health.liveness() == ["The consumer is not running."]
    health.draining = True
    assert health.liveness() == []
    assert await health.readiness() == ["The process is stopping."]


async def test_a_consumer_is_watched_by_its_state(health: Health) -> None:
    member = Member()
    member.assigned = {0}
    watch_consumer(health, member)
    assert await health.readiness() == []
    member.is_unready = "Consumption is stopped on purpose."
    health.say("other", None)
    assert await health.readiness() == ["Consumption is stopped on purpose."]
    assert health.liveness() == []


def test_a_group_is_lost_when_nothing_is_owned_for_more_than_a_minute(clock: Clock) -> None:
    member = Member()
    lost = LostGroup(member, monotonic_clock=clock)
    member.assigned = {0, 1}
    assert lost() is None
    # A rebalance is not a loss, however long the assignment before it stood.
    clock.now += 3_600
    member.assigned = set()
    assert lost() is None
    clock.now += 60
    assert lost() is None
    clock.now += 1
    assert lost() == "The consumer of channels.orders.v1 in orders has owned no partition for 61 s."
    member.assigned = {0}
    assert lost() is None


async def test_the_event_loops_lag_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.runtime.health.LOOP_LAG_EVERY_SECONDS", 0.0)
    measured = asyncio.Event()
    readings = [10.0, 10.25, 11.0]

    def clock() -> float:
        # The third reading begins the second round: the first has been written down.
        if len(readings) == 1:
            measured.set()
            return readings[0]
        return readings.pop(0)

    health = Health("lagging", monotonic_clock=clock)
    watching = asyncio.create_task(health.watch_event_loop())
    await measured.wait()
    watching.cancel()
    assert EVENT_LOOP_LAG_SECONDS.labels("lagging")._value.get() == 0.25
