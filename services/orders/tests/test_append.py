"""The append contract: what it checks, what it writes, and that a reader needs no gap handling."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from libs.runtime.clock import uuid7
from libs.runtime.postgres import AsyncPool, make_pool
from services.orders.app import migrate_orders
from services.orders.recorder import (
    Appended,
    AppendRequest,
    CommandKey,
    NewEvent,
    Position,
    RecordRow,
    append,
)
from services.orders.writer import GroupWriter

pytestmark = pytest.mark.connected

SOURCE = "orders:channels.orders.v1"
AT = datetime(2026, 3, 5, 7, 59, 26, tzinfo=UTC)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=10) as opened:
        yield opened


async def ask(pool: AsyncPool, request: AppendRequest) -> Appended:
    async with pool.connection() as connection:
        return await append(connection, request)


async def rows(pool: AsyncPool, statement: str) -> list[tuple[object, ...]]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement.encode())).fetchall()


def event(stream: UUID, version: int) -> NewEvent:
    return NewEvent(stream, version, "OrderConfirmed.v1", b"{}", "correlation", "cause", None)


def one(stream: UUID, version: int = 0) -> AppendRequest:
    return AppendRequest(streams={stream: version}, events=[event(stream, version + 1)])


def parked(key: str, reason: str, position: int) -> RecordRow:
    return RecordRow(SOURCE, 0, position, key, b"\x90", None, b"\xff\x00", AT, reason, reason, "why")


async def test_a_batch_is_stored_whole_with_contiguous_positions(pool: AsyncPool) -> None:
    first, second = uuid7(), uuid7()
    request = AppendRequest(
        positions=[Position(SOURCE, 3, -1, 41)],
        streams={first: 0, second: 0},
        events=[event(first, 1), event(second, 1), event(first, 2)],
    )
    assert await ask(pool, request) == Appended("OK", 1)
    assert await ask(pool, one(second, 1)) == Appended("OK", 4)
    stored = await rows(pool, "SELECT position, stream_id, version FROM orders.events ORDER BY position")
    assert stored == [(1, first, 1), (2, second, 1), (3, first, 2), (4, second, 2)]
    assert await rows(pool, "SELECT partition, position FROM orders.consumed_positions") == [(3, 41)]


async def test_a_moved_position_refuses_the_whole_call(pool: AsyncPool) -> None:
    stream = uuid7()
    assert (await ask(pool, AppendRequest(positions=[Position(SOURCE, 0, -1, 9)]))).outcome == "OK"
    late = one(stream)
    late.positions = [Position(SOURCE, 0, -1, 5)]
    assert await ask(pool, late) == Appended("POSITION_MOVED", None, (f"{SOURCE}/0",))
    assert await rows(pool, "SELECT * FROM orders.events") == []
    assert await rows(pool, "SELECT position FROM orders.consumed_positions") == [(9,)]


async def test_a_taken_key_is_told_and_writes_nothing(pool: AsyncPool) -> None:
    key = CommandKey("caller", "key-1", hashlib.sha256(b"body").digest(), '{"sequence": 1}')
    first = one(uuid7())
    first.keys = [key]
    assert (await ask(pool, first)).outcome == "OK"
    second = one(uuid7())
    second.keys = [key]
    assert await ask(pool, second) == Appended("KEY_TAKEN", None, ("caller/key-1",))
    assert await rows(pool, "SELECT answer FROM orders.command_keys") == [('{"sequence": 1}',)]
    assert len(await rows(pool, "SELECT FROM orders.events")) == 1


@pytest.mark.parametrize("version", [0, 2, 7])
async def test_a_stream_at_another_version_is_a_conflict_also_when_nothing_is_written_to_it(
    pool: AsyncPool, version: int
) -> None:
    watched, written = uuid7(), uuid7()
    await ask(pool, one(watched))
    request = one(written)
    request.streams[watched] = version
    assert await ask(pool, request) == Appended("CONFLICT", None, (str(watched),))
    assert await rows(pool, f"SELECT FROM orders.events WHERE stream_id = '{written}'") == []


async def test_a_parked_row_that_is_gone_is_a_conflict_so_nothing_is_written_twice(pool: AsyncPool) -> None:
    await ask(pool, AppendRequest(parked=[parked("key", "MALFORMED", 1)]))
    [(row_id,)] = await rows(pool, "SELECT id FROM orders.parked")
    assert isinstance(row_id, int)
    first, second = one(uuid7()), one(uuid7())
    first.remove_parked = second.remove_parked = [row_id]
    answers = await asyncio.gather(ask(pool, first), ask(pool, second))
    assert sorted(answer.outcome for answer in answers) == ["CONFLICT", "OK"]
    assert len(await rows(pool, "SELECT FROM orders.events")) == 1


async def test_a_record_waits_behind_another_only_while_that_is_parked(pool: AsyncPool) -> None:
    alone = await ask(pool, AppendRequest(parked=[parked("key", "BEHIND", 2)]))
    assert alone == Appended("CONFLICT", None, ("behind/key",))
    together = AppendRequest(parked=[parked("key", "MALFORMED", 1), parked("key", "BEHIND", 2)])
    assert (await ask(pool, together)).outcome == "OK"
    assert (await ask(pool, AppendRequest(parked=[parked("key", "BEHIND", 3)]))).outcome == "OK"
    kept = await rows(pool, "SELECT position, reason, value FROM orders.parked ORDER BY id")
    assert kept == [(1, "MALFORMED", b"\xff\x00"), (2, "BEHIND", b"\xff\x00"), (3, "BEHIND", b"\xff\x00")]


async def test_a_record_has_no_effect_while_its_key_has_a_parked_one(pool: AsyncPool) -> None:
    await ask(pool, AppendRequest(parked=[parked("key", "MALFORMED", 1)]))
    request = one(uuid7())
    request.positions = [Position(SOURCE, 0, -1, 2)]
    request.handled = {"key", "another"}
    assert await ask(pool, request) == Appended("CONFLICT", None, ("parked-key/key",))
    request.handled = {"another"}
    assert (await ask(pool, request)).outcome == "OK"


async def test_nobody_inserts_events_but_the_append(pool: AsyncPool) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await rows(
            pool,
            "INSERT INTO orders.events (position, stream_id, version, name, state, recorded_at)"
            " VALUES (1, gen_random_uuid(), 1, 'OrderConfirmed.v1', '{}', now())",
        )
    for statement in ("UPDATE orders.events SET version = 2", "DELETE FROM orders.events"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await rows(pool, statement)
    for statement in ("UPDATE orders.consumed_positions SET position = 0", "DELETE FROM orders.parked"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await rows(pool, statement)


async def test_a_live_reader_sees_no_gap_and_no_reordering_under_concurrent_writers(pool: AsyncPool) -> None:
    """Eight writers race on twenty streams, each after another write of its transaction's time."""
    streams = [uuid7() for _ in range(20)]
    seen: list[tuple[int, UUID, int]] = []
    done = asyncio.Event()

    async def read() -> None:
        async with pool.connection() as connection:
            while True:
                last = done.is_set()
                cursor = await connection.execute(
                    "SELECT position, stream_id, version FROM orders.events WHERE position > %s ORDER BY position",
                    [seen[-1][0] if seen else 0],
                )
                found = await cursor.fetchall()
                seen.extend(found)
                if last and not found:
                    return

    async def write(writer: int) -> int:
        written = 0
        versions = dict.fromkeys(streams, 0)
        for turn in range(40):
            chosen = {streams[(writer * 3 + turn * 7 + step) % len(streams)] for step in range(3)}
            while True:
                request = AppendRequest(streams={stream: versions[stream] for stream in chosen})
                request.events = [event(stream, versions[stream] + 1) for stream in chosen]
                answer = await ask(pool, request)
                if answer.outcome == "OK":
                    break
                found = await rows(
                    pool, "SELECT stream_id, max(version) FROM orders.events GROUP BY stream_id"
                )
                versions |= dict(found)  # type: ignore[arg-type]  # Rows of ids and versions.
            written += len(request.events)
            versions |= {stream: versions[stream] + 1 for stream in chosen}
        return written

    reader = asyncio.create_task(read())
    written = sum(await asyncio.gather(*(write(number) for number in range(8))))
    done.set()
    await reader
    assert written == 8 * 40 * 3
    assert [position for position, _, _ in seen] == list(range(1, written + 1))
    for stream in streams:
        versions = [version for _, each, version in seen if each == stream]
        assert versions == list(range(1, len(versions) + 1))


async def test_a_command_that_the_database_refuses_fails_alone(pool: AsyncPool) -> None:
    writer = GroupWriter(pool)
    bad_stream = uuid7()
    bad = AppendRequest(
        streams={bad_stream: 0}, events=[NewEvent(bad_stream, 1, "OrderConfirmed.v1", b"{broken", "c", "c", None)]
    )  # fmt: skip
    requests = [one(uuid7()), bad, one(uuid7()), one(uuid7())]
    waiting = asyncio.gather(*(writer.append(request) for request in requests), return_exceptions=True)
    running = asyncio.create_task(writer.run())
    answers = await waiting
    running.cancel()
    assert isinstance(answers.pop(1), psycopg.DataError)
    assert [answer.outcome for answer in answers if isinstance(answer, Appended)] == ["OK"] * 3
    assert await rows(pool, "SELECT count(*) FROM orders.events") == [(3,)]


async def test_a_group_answers_each_caller_for_itself(pool: AsyncPool) -> None:
    writer = GroupWriter(pool)
    stale, contended = uuid7(), uuid7()
    await ask(pool, one(stale))
    requests = [one(uuid7()) for _ in range(20)] + [one(stale), one(contended), one(contended)]
    waiting = asyncio.gather(*(writer.append(request) for request in requests))
    running = asyncio.create_task(writer.run())
    answers = await waiting
    running.cancel()
    assert [answer.outcome for answer in answers[:20]] == ["OK"] * 20
    assert len({answer.first_position for answer in answers[:20]}) == 20
    assert answers[20] == Appended("CONFLICT", None, (str(stale),))
    assert sorted(answer.outcome for answer in answers[21:]) == ["CONFLICT", "OK"]
    assert writer.groups <= 4
