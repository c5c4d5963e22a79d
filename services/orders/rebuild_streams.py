"""Folds whole streams into the tables that a rebuild fills: in parts, by two processes where it is worth it.

A part is a range of stream ids; who works at one holds its lock in the session that also writes, and each
page keeps how far the part has come in its own transaction. So a part that a process left is taken up by
another one where it was, and no process depends on another one to end well.
"""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import psycopg

from libs.runtime.errors import Fenced
from libs.runtime.postgres import CONNECTION_OPTIONS
from services.orders.order_list import FOLLOWER, NEXT, SELECT_LOG, Tables, fold

# Enough that no process waits long for the last part of another one.
PARTS: Final = 16
# Parts are cut by a sample of so many events, or by all of a store that has no more.
_SAMPLE_EVENTS: Final = 20_000
# Every UUID but the one of zeroes, which names no stream.
FIRST: Final = UUID(int=0)
LAST: Final = UUID(int=2**128 - 1)
_NEXT: Final = Tables(NEXT)

_SELECT_STREAMS: Final = (
    SELECT_LOG
    + " WHERE stream_id > %s AND stream_id <= %s AND position <= %s ORDER BY stream_id, version LIMIT %s"
).encode()
_SELECT_STREAM: Final = (SELECT_LOG + " WHERE stream_id = %s AND position <= %s ORDER BY version").encode()


async def cut(writer: psycopg.AsyncConnection) -> None:
    """Part the streams of a rebuild that begins, in its transaction: about as many events in each part."""
    cursor = await writer.execute("SELECT reltuples FROM pg_class WHERE oid = 'orders.events'::regclass")
    known = await cursor.fetchone()
    assert known is not None, "The migration has made the table."
    # A table that was never analysed says -1: it is young, and read whole.
    percent = min(100.0, 100.0 * _SAMPLE_EVENTS / known[0]) if known[0] > 0 else 100.0
    cursor = await writer.execute(
        "SELECT percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY stream_id)"
        " FROM orders.events TABLESAMPLE SYSTEM (%s)",
        [[number / PARTS for number in range(1, PARTS)], percent],
    )
    found = await cursor.fetchone()
    assert found is not None, "An aggregate answers one row."
    edges = sorted({FIRST, *(found[0] or ()), LAST})
    async with writer.cursor() as several:
        await several.executemany(
            "INSERT INTO orders.rebuild_parts (name, part, done_to, last) VALUES (%s, %s, %s, %s)",
            [[FOLLOWER, part, *ends] for part, ends in enumerate(pairwise(edges))],
        )


async def fold_parts(dsn: str, page: int) -> None:
    """Fold streams until every part is done, whoever did it; returns no earlier.

    Any number of these may run at once. At most two pages of `page` events, each with one stream more, are in
    memory. Raises Fenced when the rebuild is no longer the one that it began with.
    """
    async with _connected(dsn) as (reader, writer):
        # What somebody else is at is waited for in the end, and taken up if he is gone.
        for lock in ("pg_try_advisory_lock", "pg_advisory_lock"):
            for part in await _open(writer):
                cursor = await writer.execute(
                    f"SELECT {lock}(hashtext(%s), %s)::text <> 'false'".encode(), [f"part {FOLLOWER}", part]
                )
                if await cursor.fetchone() == (True,):
                    await _fold_part(reader, writer, part, page)
                    await writer.execute(
                        "SELECT pg_advisory_unlock(hashtext(%s), %s)", [f"part {FOLLOWER}", part]
                    )


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[tuple[psycopg.AsyncConnection, psycopg.AsyncConnection]]:
    options = CONNECTION_OPTIONS | {"autocommit": True, "application_name": "orders rebuild, streams"}
    async with (
        await psycopg.AsyncConnection.connect(dsn, **options) as reader,
        await psycopg.AsyncConnection.connect(dsn, **options) as writer,
    ):
        # Pages come by the index over streams, whatever the statistics of a young table say.
        await reader.execute("SET enable_seqscan = off")
        await reader.execute("SET enable_sort = off")
        # A crash loses the last pages together with what they noted of themselves: they are done again.
        await writer.execute("SET synchronous_commit = off")
        yield reader, writer


async def _open(writer: psycopg.AsyncConnection) -> list[int]:
    cursor = await writer.execute(
        "SELECT part FROM orders.rebuild_parts WHERE name = %s AND done_to <> last ORDER BY part", [FOLLOWER]
    )
    return [part for (part,) in await cursor.fetchall()]


async def _fold_part(
    reader: psycopg.AsyncConnection, writer: psycopg.AsyncConnection, part: int, page: int
) -> None:
    cursor = await writer.execute(
        "SELECT upto, done_to, last FROM orders.rebuild_parts JOIN orders.rebuilds USING (name)"
        " WHERE name = %s AND part = %s",
        [FOLLOWER, part],
    )
    found = await cursor.fetchone()
    if found is None:
        raise Fenced("The rebuild was discarded.")
    upto, done_to, last = found
    if done_to == last:
        return
    events, reached = await whole_streams(reader, done_to, last, upto, page)
    while events:
        # The next page is on its way while this one is folded and written.
        following = asyncio.create_task(whole_streams(reader, reached, last, upto, page))
        try:
            await asyncio.sleep(0)
            rows = fold(events, {})
            async with writer.transaction():
                await _NEXT.insert(writer, rows)
                await _note(writer, part, upto, done_to, reached)
        except BaseException:
            following.cancel()
            await asyncio.wait({following})
            raise
        done_to = reached
        events, reached = await following
    await _note(writer, part, upto, done_to, last)


async def _note(writer: psycopg.AsyncConnection, part: int, upto: int, before: UUID, now: UUID) -> None:
    """Keep how far the part has come; with its lock this is refused only if the rebuild is another one."""
    cursor = await writer.execute(
        "UPDATE orders.rebuild_parts SET done_to = %s FROM orders.rebuilds WHERE rebuild_parts.name = %s"
        " AND part = %s AND done_to = %s AND rebuilds.name = rebuild_parts.name AND upto = %s",
        [now, FOLLOWER, part, before, upto],
        prepare=True,
    )
    if cursor.rowcount != 1:
        raise Fenced("The rebuild was discarded and begun anew.")


async def whole_streams(
    reader: psycopg.AsyncConnection, after: UUID, last: UUID, upto: int, page: int
) -> tuple[Sequence[Any], UUID]:
    """Rows of SELECT_LOG of whole streams after one and up to `last`, some `page` of them as of a position.

    With them comes the last stream's id. A stream that is longer than a page comes whole and alone; no rows
    are the end.
    """
    cursor = await reader.execute(_SELECT_STREAMS, [after, last, upto, page], prepare=True, binary=True)
    events = await cursor.fetchall()
    if not events:
        return events, after
    end: UUID = events[-1][1]
    if len(events) < page:
        return events, end
    whole = len(events)
    while whole and events[whole - 1][1] == end:
        whole -= 1
    if whole:
        return events[:whole], events[whole - 1][1]
    cursor = await reader.execute(_SELECT_STREAM, [end, upto], binary=True)
    return await cursor.fetchall(), end


@contextmanager
def helping(dsn: str, page: int, processes: int) -> Iterator[None]:
    """So many processes fold parts meanwhile; they end with this process or with the context."""
    # A fork would share this process's connections and threads with its child.
    context = multiprocessing.get_context("spawn")
    helpers = [context.Process(target=_help, args=(dsn, page), daemon=True) for _ in range(processes)]
    for each in helpers:
        each.start()
    try:
        yield
    finally:
        for each in helpers:
            each.terminate()
            each.join()


def _help(dsn: str, page: int) -> None:
    with suppress(asyncio.CancelledError):
        asyncio.run(_helped(dsn, page))


async def _helped(dsn: str, page: int) -> None:
    parent, task = multiprocessing.parent_process(), asyncio.current_task()
    assert parent is not None, "A helper is started by a rebuild."
    assert task is not None, "This runs in a task."
    # Readable when the parent is gone, however it went.
    asyncio.get_running_loop().add_reader(parent.sentinel, task.cancel)
    await fold_parts(dsn, page)
