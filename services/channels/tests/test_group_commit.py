"""Group commit: true only when durable, one statement for what came together, never later than the deadline."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from libs.runtime.errors import Transient
from services.channels.group_commit import GroupCommit
from services.channels.store import Kept

AT = datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)


def message(number: int) -> Kept:
    return Kept(UUID(int=number), AT, "lazada.push", "123456", "SIGNED", b"sealed")


class Table:
    """Keeps what is written; each write waits for `gate` and fails while `broken`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.writing = asyncio.Event()
        self.broken = False

    async def write(self, messages: Sequence[Kept]) -> None:
        self.writing.set()
        await self.gate.wait()
        if self.broken:
            raise Transient("The database did not answer: test")
        self.batches.append([message.id.int for message in messages])


@asynccontextmanager
async def running(
    table: Table, *, on_kept: Callable[[], None] = lambda: None, deadline: float = 5.0, queue_max: int = 100
) -> AsyncIterator[tuple[GroupCommit, asyncio.Event]]:
    commit = GroupCommit(table.write, on_kept=on_kept, deadline_seconds=deadline, queue_max=queue_max)
    stop = asyncio.Event()
    task = asyncio.create_task(commit.run(stop))
    await asyncio.sleep(0)
    try:
        yield commit, stop
    finally:
        table.gate.set()
        stop.set()
        await task


async def test_a_message_is_kept_when_its_statement_has_ended() -> None:
    rung: list[int] = []
    table = Table()
    async with running(table, on_kept=lambda: rung.append(1)) as (commit, _):
        assert await commit.keep(message(1)) is True
    assert table.batches == [[1]]
    assert rung == [1]


async def test_what_arrives_during_a_write_goes_together_in_the_next() -> None:
    table = Table()
    table.gate.clear()
    async with running(table) as (commit, _):
        first = asyncio.create_task(commit.keep(message(1)))
        await table.writing.wait()
        rest = [asyncio.create_task(commit.keep(message(number))) for number in (2, 3, 4)]
        await asyncio.sleep(0)
        assert not first.done()
        table.gate.set()
        assert await asyncio.gather(first, *rest) == [True] * 4
    assert table.batches == [[1], [2, 3, 4]]


async def test_a_message_that_could_not_be_written_is_not_kept_and_the_next_one_is() -> None:
    table = Table()
    table.broken = True
    rung: list[int] = []
    async with running(table, on_kept=lambda: rung.append(1)) as (commit, _):
        assert await commit.keep(message(1)) is False
        assert rung == []
        table.broken = False
        assert await commit.keep(message(2)) is True


async def test_in_03_a_message_is_given_up_at_the_deadline_however_long_the_write_takes() -> None:
    table = Table()
    table.gate.clear()
    async with running(table, deadline=0.05) as (commit, _):
        waiting = [asyncio.create_task(commit.keep(message(number))) for number in (1, 2)]
        assert await asyncio.gather(*waiting) == [False, False]


async def test_what_was_given_up_before_its_turn_is_not_written() -> None:
    table = Table()
    table.gate.clear()
    async with running(table, deadline=0.05) as (commit, _):
        first = asyncio.create_task(commit.keep(message(1)))
        await table.writing.wait()
        assert await commit.keep(message(2)) is False
        assert await first is False
        table.gate.set()
        later = itertools.count(3)
        # On a busy machine more of them may be given up.
        while not await commit.keep(message(next(later))):
            pass
    assert table.batches[0] == [1]
    assert 2 not in itertools.chain(*table.batches)


async def test_a_full_queue_refuses_at_once() -> None:
    table = Table()
    table.gate.clear()
    async with running(table, queue_max=2) as (commit, _):
        first = asyncio.create_task(commit.keep(message(1)))
        await table.writing.wait()
        queued = [asyncio.create_task(commit.keep(message(number))) for number in (2, 3)]
        await asyncio.sleep(0)
        assert await commit.keep(message(4)) is False
        table.gate.set()
        assert await asyncio.gather(first, *queued) == [True] * 3


async def test_stopping_writes_what_is_queued_and_refuses_what_comes_afterwards() -> None:
    table = Table()
    table.gate.clear()
    async with running(table) as (commit, stop):
        first = asyncio.create_task(commit.keep(message(1)))
        await table.writing.wait()
        second = asyncio.create_task(commit.keep(message(2)))
        await asyncio.sleep(0)
        stop.set()
        table.gate.set()
        assert (await first, await second) == (True, True)
        assert await commit.keep(message(3)) is False


async def test_nothing_is_kept_before_it_runs() -> None:
    commit = GroupCommit(Table().write, on_kept=lambda: None)
    assert await commit.keep(message(1)) is False
