"""Fills the order list anew beside the live one, compares the two and swaps them in one transaction.

Streams are folded whole as of one position (rebuild_streams.py); then the events after it are followed
in batches like the projector's. Every step keeps how far it came in its own transaction, so that a rebuild
that was stopped goes on from there. Readers and the projector work on the live tables until the swap.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import psycopg
import structlog

from libs.runtime.errors import Transient
from libs.runtime.logs import configure_logs
from libs.runtime.postgres import CONNECTION_OPTIONS, role_of, transient_faults
from libs.runtime.settings import load_or_exit
from services.orders.order_list import FOLLOWER, NEXT, SELECT_LOG, Tables, fold, position_of
from services.orders.rebuild_streams import cut, fold_parts, helping
from services.orders.settings import OrdersSettings

log = structlog.get_logger(__name__)

PAGE_EVENTS: Final = 2_000
# How many fold streams, this process included, and from how many events on more than one.
PROCESSES: Final = 2
HELPED_FROM_EVENTS: Final = 50_000
EXAMPLES_MAX: Final = 20
# Readers wait behind a swap that waits for its locks, so it waits for a moment only, and tries again.
SWAP_LOCK_TIMEOUT: Final = "500ms"
SWAP_TRIES: Final = 60
_TABLES: Final = ("order_views_v2", "order_states_v2")
_LIST: Final = "order_views_v2_list"
_OPTIONS: Final = CONNECTION_OPTIONS | {"autocommit": True, "application_name": "orders rebuild"}
_NEXT: Final = Tables(NEXT)
_LIVE: Final = Tables()

# What is in the live tables up to the position that the rebuild has reached must be in the new ones, to the
# letter; what the live ones have got since is not compared.
COMPARE: Final = (
    f"WITH live AS (SELECT v.*, s.state FROM {_LIVE.views} v JOIN {_LIVE.states} s USING (order_id)),"
    f" filled AS (SELECT v.*, s.state FROM {_NEXT.views} v JOIN {_NEXT.states} s USING (order_id))"
    f" SELECT count(*), (array_agg(order_id::text))[1:{EXAMPLES_MAX}]"
    " FROM live FULL JOIN filled USING (order_id)"
    " WHERE coalesce(live.position, 0) <= %s AND (live.seller, live.number, live.placed_at, live.sequence,"
    " live.position, live.facets, live.state) IS DISTINCT FROM (filled.seller, filled.number,"
    " filled.placed_at, filled.sequence, filled.position, filled.facets, filled.state)"
)


class Report(msgspec.Struct, frozen=True):
    """How a rebuild ended; `examples` are ids of some of the orders that differ."""

    orders: int
    position: int
    differences: int
    examples: list[str]
    swapped: bool


class _Progress(msgspec.Struct, frozen=True):
    phase: str
    upto: int
    position: int


class Rebuild:
    """One rebuild of the order list; `dsn` is that of the login that migrates."""

    def __init__(
        self,
        dsn: str,
        *,
        accept_differences: bool = False,
        page_events: int = PAGE_EVENTS,
        processes: int = PROCESSES,
        helped_from: int = HELPED_FROM_EVENTS,
    ) -> None:
        self._dsn = dsn
        self._accept = accept_differences
        self._page = page_events
        self._processes = processes
        self._helped_from = helped_from

    async def run(self) -> Report:
        """Fill, compare and swap; go on where an earlier run stopped.

        When the two differ nothing is swapped unless differences are accepted: the new tables stay, and
        the next run goes on with them. Raises Transient when another rebuild runs, or the database goes.
        """
        async with transient_faults(), self._connected() as writer:
            progress = await self._begun(writer)
            if progress.phase == "STREAMS":
                await self._fold_streams(progress.upto)
                progress = await self._moved_on(writer, "INDEXES")
            if progress.phase == "INDEXES":
                await self._index_both(writer)
                await self._moved_on(writer, "FOLLOWING")
            await self._follow(writer)
            differences, examples = await self._compared(writer)
            swapped = not differences or self._accept
            orders = await _count(writer)
            position = await self._swap(writer) if swapped else (await self._progress(writer)).position
        report = Report(orders, position, differences, examples, swapped)
        log.info("rebuild_ended", orders=orders, differences=differences, swapped=swapped)
        return report

    async def begin(self) -> None:
        """Make the new tables and say what is to be done, where that is not done yet; `run` does it first."""
        async with transient_faults(), self._connected() as writer:
            await self._begun(writer)

    async def discard(self) -> None:
        """Remove what an earlier run filled; the live list stays as it is."""
        async with transient_faults(), self._connected() as writer, writer.transaction():
            await _drop(writer, NEXT)
            await writer.execute("DELETE FROM orders.rebuilds WHERE name = %s", [FOLLOWER])

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.AsyncConnection]:
        async with await psycopg.AsyncConnection.connect(self._dsn, **_OPTIONS) as writer:
            cursor = await writer.execute(
                "SELECT pg_try_advisory_lock(hashtext(%s))", [f"rebuild {FOLLOWER}"]
            )
            found = await cursor.fetchone()
            if found is None or not found[0]:
                raise Transient("Another rebuild of the order list is running.")
            # A crash loses the last steps together with what they noted of themselves: they are done again.
            await writer.execute("SET synchronous_commit = off")
            yield writer

    async def _begun(self, writer: psycopg.AsyncConnection) -> _Progress:
        async with writer.transaction():
            cursor = await writer.execute("SELECT count(*) FROM orders.rebuilds WHERE name = %s", [FOLLOWER])
            if await cursor.fetchone() == (0,):
                await _drop(writer, NEXT)
                await _create(writer)
                # Never beyond the live list, so that the two can be compared.
                await writer.execute(
                    "INSERT INTO orders.rebuilds (name, phase, upto, position) SELECT %s, 'STREAMS', p, p"
                    " FROM (SELECT coalesce((SELECT position FROM orders.followers WHERE name = %s),"
                    " (SELECT max(position) FROM orders.events), 0) AS p) AS reached",
                    [FOLLOWER, FOLLOWER],
                )
                await cut(writer)
        return await self._progress(writer)

    async def _progress(self, writer: psycopg.AsyncConnection) -> _Progress:
        cursor = await writer.execute(
            "SELECT phase, upto, position FROM orders.rebuilds WHERE name = %s", [FOLLOWER]
        )
        found = await cursor.fetchone()
        assert found is not None, "A rebuild that has begun has its row."
        return _Progress(*found)

    async def _moved_on(self, writer: psycopg.AsyncConnection, phase: str) -> _Progress:
        await writer.execute(
            "UPDATE orders.rebuilds SET phase = %s, updated_at = clock_timestamp() WHERE name = %s",
            [phase, FOLLOWER],
        )
        log.info("rebuild_phase", phase=phase)
        return await self._progress(writer)

    async def _fold_streams(self, upto: int) -> None:
        # A helper takes half a second to begin.
        helpers = self._processes - 1 if upto >= self._helped_from else 0
        with helping(self._dsn, self._page, helpers):
            await fold_parts(self._dsn, self._page)

    async def _index_both(self, writer: psycopg.AsyncConnection) -> None:
        """Both tables at once: that of the states is done while the words of the views are sorted."""
        async with (
            await psycopg.AsyncConnection.connect(self._dsn, **_OPTIONS) as other,
            asyncio.TaskGroup() as both,
        ):
            for connection, table in zip((writer, other), _TABLES, strict=True):
                await connection.execute("SET maintenance_work_mem = '128MB'")
                both.create_task(_index(connection, table))

    async def _follow(self, writer: psycopg.AsyncConnection) -> None:
        while True:
            async with writer.transaction():
                live = await position_of(writer)
                followed = await self._step(writer, live)
            if followed < self._page:
                return

    async def _step(self, writer: psycopg.AsyncConnection, upto: int | None) -> int:
        """Follow one batch, not beyond the position; the number of its events."""
        progress = await self._progress(writer)
        cursor = await writer.execute(
            (SELECT_LOG + " WHERE position > %s AND position <= %s ORDER BY position LIMIT %s").encode(),
            [progress.position, 2**62 if upto is None else upto, self._page],
            binary=True,
        )
        events = await cursor.fetchall()
        if events:
            states = await _NEXT.load(writer, list({row[1] for row in events}))
            await _NEXT.write(writer, fold(events, states))
            await writer.execute(
                "UPDATE orders.rebuilds SET position = %s, updated_at = clock_timestamp() WHERE name = %s",
                [events[-1][0], FOLLOWER],
            )
        return len(events)

    async def _compared(self, writer: psycopg.AsyncConnection) -> tuple[int, list[str]]:
        """How many orders are not the same in the live list, and some of their ids.

        None when there is no live list yet.
        """
        if await position_of(writer) is None:
            return 0, []
        position = (await self._progress(writer)).position
        cursor = await writer.execute(COMPARE.encode(), [position])
        found = await cursor.fetchone()
        assert found is not None, "An aggregate answers one row."
        return found[0], found[1] or []

    async def _swap(self, writer: psycopg.AsyncConnection) -> int:
        for _ in range(SWAP_TRIES):
            try:
                async with writer.transaction():
                    return await self._swapped(writer)
            except psycopg.errors.LockNotAvailable:
                await asyncio.sleep(0.2)
        raise Transient("The order list was in use all the time; run the rebuild again.")

    async def _swapped(self, writer: psycopg.AsyncConnection) -> int:
        """Bring the new tables to where the live ones are, and put them in their place."""
        await writer.execute(f"SET LOCAL lock_timeout = '{SWAP_LOCK_TIMEOUT}'".encode())
        await writer.execute("SET LOCAL synchronous_commit = on")
        # The projector's step begins with this row, so none is under way from here on.
        cursor = await writer.execute(
            "SELECT position FROM orders.followers WHERE name = %s FOR UPDATE", [FOLLOWER]
        )
        found = await cursor.fetchone()
        while await self._step(writer, None if found is None else found[0]) == self._page:
            pass
        position = (await self._progress(writer)).position
        await writer.execute(f"LOCK TABLE {_LIVE.views}, {_LIVE.states} IN ACCESS EXCLUSIVE MODE".encode())
        await _drop(writer, "")
        for table in _TABLES:
            await _rename(writer, table)
        await writer.execute("DELETE FROM orders.rebuilds WHERE name = %s", [FOLLOWER])
        await writer.execute(
            "INSERT INTO orders.followers (name, position) VALUES (%s, %s) ON CONFLICT (name)"
            " DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()",
            [FOLLOWER, position],
        )
        return position


async def _create(writer: psycopg.AsyncConnection) -> None:
    """Tables of the live ones' columns and settings, without their indexes."""
    for table in _TABLES:
        cursor = await writer.execute(
            "SELECT coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '')"
            " FROM pg_class WHERE oid = %s::regclass",
            [f"orders.{table}"],
        )
        found = await cursor.fetchone()
        assert found is not None, "The migration has made the table."
        await writer.execute(f"CREATE TABLE orders.{table}{NEXT} (LIKE orders.{table}) {found[0]}".encode())
        await writer.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON orders.{table}{NEXT} TO {role_of('orders')}".encode()
        )
        cursor = await writer.execute(
            "SELECT attname, attstattarget FROM pg_attribute WHERE attrelid = %s::regclass"
            " AND attstattarget >= 0 AND attnum > 0",
            [f"orders.{table}"],
        )
        for column, target in await cursor.fetchall():
            await writer.execute(
                f"ALTER TABLE orders.{table}{NEXT} ALTER COLUMN {column} SET STATISTICS {target}".encode()
            )


async def _indexes(writer: psycopg.AsyncConnection, table: str) -> list[tuple[str, bool, str]]:
    """Name, whether it is the key's, and definition of each index of a table."""
    cursor = await writer.execute(
        "SELECT relname, indisprimary, pg_get_indexdef(indexrelid) FROM pg_index"
        " JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = %s::regclass ORDER BY relname",
        [f"orders.{table}"],
    )
    return await cursor.fetchall()


async def _index(writer: psycopg.AsyncConnection, table: str) -> None:
    """Give a new table the live one's indexes, each once, and its statistics.

    The rows are put in the list's order first, where a page of the list reads neighbours: they were written
    by their ids, which are random.
    """
    there = {name for name, _, _ in await _indexes(writer, table + NEXT)}
    for name, is_key, definition in sorted(await _indexes(writer, table), key=lambda each: each[0] != _LIST):
        if name + NEXT in there:
            continue
        how = definition.partition(" USING ")[2]
        if is_key:
            columns = how.partition(" ")[2]
            made = f"ALTER TABLE orders.{table}{NEXT} ADD CONSTRAINT {name}{NEXT} PRIMARY KEY {columns}"
        else:
            made = f"CREATE INDEX {name}{NEXT} ON orders.{table}{NEXT} USING {how}"
        await writer.execute(made.encode())
        if name == _LIST:
            await writer.execute(f"CLUSTER orders.{table}{NEXT} USING {name}{NEXT}".encode())
    await writer.execute(f"ANALYZE orders.{table}{NEXT}".encode())


async def _rename(writer: psycopg.AsyncConnection, table: str) -> None:
    for name, _, _ in await _indexes(writer, table + NEXT):
        await writer.execute(f"ALTER INDEX orders.{name} RENAME TO {name.removesuffix(NEXT)}".encode())
    await writer.execute(f"ALTER TABLE orders.{table}{NEXT} RENAME TO {table}".encode())


async def _drop(writer: psycopg.AsyncConnection, suffix: str) -> None:
    for table in _TABLES:
        await writer.execute(f"DROP TABLE IF EXISTS orders.{table}{suffix}".encode())


async def _count(writer: psycopg.AsyncConnection) -> int:
    cursor = await writer.execute(f"SELECT count(*) FROM {_NEXT.views}".encode())
    found = await cursor.fetchone()
    assert found is not None, "An aggregate answers one row."
    return int(found[0])


def rebuild_orders(argv: list[str]) -> int:
    """The command `rebuild`: prints the report as JSON; the exit code is 1 when the two lists differ.

    It is 1 as well, with one JSON object on standard error, when the database does not answer or another
    rebuild runs; the next run goes on.
    """
    parser = argparse.ArgumentParser(prog="python -m services.orders rebuild", description=__doc__)
    parser.add_argument(
        "--accept-differences", action="store_true", help="swap also when the new list is not as the live one"
    )
    parser.add_argument("--discard", action="store_true", help="remove what an earlier rebuild filled")
    given = parser.parse_args(argv)
    settings = load_or_exit(OrdersSettings)
    configure_logs("orders", settings.log_level)
    rebuild = Rebuild(settings.dsn, accept_differences=given.accept_differences)
    try:
        if given.discard:
            asyncio.run(rebuild.discard())
            sys.stdout.write(json.dumps({"discarded": True}) + "\n")
            return 0
        report = asyncio.run(rebuild.run())
    except Transient as fault:
        sys.stderr.write(json.dumps({"code": "UNAVAILABLE", "field": "", "message": str(fault)}) + "\n")
        return 1
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 0 if report.swapped else 1
