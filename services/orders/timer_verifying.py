"""Compares the rows of timers with those that the events say must stand (TI-9): in passes, or all by command.

Every pass reads one page of orders in one snapshot, so that what is appended meanwhile is no difference. It
repairs nothing: a row that is missing or was planted is a fault to be looked at.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
import structlog

from libs.runtime.clock import now
from libs.runtime.errors import Transient
from libs.runtime.logs import configure_logs
from libs.runtime.postgres import AsyncPool, lead, make_pool, transient_faults
from libs.runtime.settings import load_or_exit
from services.orders.metrics import TIMER_DIFFERENCES, TIMERS_VERIFIED
from services.orders.order.commands import Policies
from services.orders.order.timer_history import TimersExpected, expected
from services.orders.recorder import uuids
from services.orders.registry import reading
from services.orders.settings import OrdersSettings
from services.orders.store import decode
from services.orders.surroundings import decided_by
from services.orders.timer_rows import COLUMNS, DueTimer, due_timer

log = structlog.get_logger(__name__)

# Streams of one pass, and how often there is one: 100,000 orders are looked through in half an hour.
PAGE_STREAMS: Final = 500
PASS_EVERY_SECONDS: Final = 10.0
# Differences that one answer, or the log of one pass, names; all are counted.
EXAMPLES_MAX: Final = 1_000
LOGGED_MAX: Final = 20
VERSIONS_KEPT: Final = 10_000
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=2**128 - 1)


class Difference(msgspec.Struct, frozen=True):
    """A row that is MISSING or UNEXPECTED, or an order whose events are UNREADABLE here."""

    difference: str
    order: UUID
    kind: str = ""
    due_at: datetime | None = None


class Verified(msgspec.Struct, frozen=True):
    """What was compared; `next` is where the next page begins, None after the last one."""

    orders: int
    rows: int
    differences: tuple[Difference, ...]
    next: UUID | None


class Report(msgspec.Struct, frozen=True):
    """All orders compared; `examples` are the first of the differences."""

    orders: int
    rows: int
    differences: int
    examples: list[Difference]


class TimersVerifier:
    """Compares page after page of all orders, in the order of their ids, and begins again after the last."""

    def __init__(
        self,
        pool: AsyncPool,
        dsn: str = "",
        *,
        page_streams: int = PAGE_STREAMS,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._pool = pool
        self._dsn = dsn
        self._page = page_streams
        self._clock = clock
        self._next = _FIRST
        # A version never changes (SR-9), so what was read of one stays true.
        self._policies: dict[tuple[str, int], Policies] = {}

    async def run(self) -> None:
        """A pass now and then, in one process at a time; cancel to stop."""
        await lead(self._dsn, "orders timers verifier", self._work)

    async def _work(self) -> None:
        while True:
            try:
                await self.verify()
            except Transient as fault:
                log.warning("timers_verifier_retried", fault=str(fault))
            await asyncio.sleep(PASS_EVERY_SECONDS)

    async def verify(self) -> Verified:
        """Compare the next page, count what differs and log some of it. Raises Transient."""
        page = await self.compare(self._next)
        TIMERS_VERIFIED.inc(page.orders)
        for each in page.differences:
            TIMER_DIFFERENCES.labels(each.difference).inc()
        for each in page.differences[:LOGGED_MAX]:
            log.error(
                "timer_difference",
                difference=each.difference,
                order=str(each.order),
                kind=each.kind,
                due_at=None if each.due_at is None else each.due_at.isoformat(),
            )
        self._next = page.next or _FIRST
        return page

    async def report(self) -> Report:
        """Compare all orders, page by page. Raises Transient."""
        orders = rows = differences = 0
        examples: list[Difference] = []
        at: UUID | None = _FIRST
        while at is not None:
            page = await self.compare(at)
            orders, rows = orders + page.orders, rows + page.rows
            differences += len(page.differences)
            examples += page.differences[: EXAMPLES_MAX - len(examples)]
            at = page.next
        return Report(orders, rows, differences, examples)

    async def compare(self, after: UUID) -> Verified:
        """Compare the rows of the orders of one page. Raises Transient."""
        async with transient_faults(), self._pool.connection() as connection, _snapshot(connection):
            cursor = await connection.execute(
                "SELECT stream_id, state ->> 'seller', coalesce(state ->> 'source', 'CHANNEL') <> 'CHANNEL'"
                " FROM orders.events WHERE stream_id > %s AND version = 1 ORDER BY stream_id LIMIT %s",
                [after, self._page],
            )
            streams = await cursor.fetchall()
            last = streams[-1][0] if len(streams) == self._page else _LAST
            cursor = await connection.execute(
                f"SELECT {COLUMNS} FROM orders.timers WHERE stream_id > %s AND stream_id <= %s",
                [after, last],
            )
            rows = [due_timer(row) for row in await cursor.fetchall()]
            # Marketplaces' orders have no timers, and series of numbers are no orders.
            sellers = {stream: seller for stream, seller, is_sellers in streams if is_sellers}
            found = await self._expected(connection, sellers, self._clock())
        return Verified(
            len(sellers), len(rows), tuple(_differences(found, rows)), None if last == _LAST else last
        )

    async def _expected(
        self, connection: psycopg.AsyncConnection, sellers: dict[UUID, str], at: datetime
    ) -> dict[UUID, TimersExpected | None]:
        cursor = await connection.execute(
            "SELECT stream_id, name, state::text, recorded_at FROM orders.events WHERE stream_id = ANY(%b)"
            " ORDER BY stream_id, version",
            [uuids(list(sellers))],
        )
        found: dict[UUID, TimersExpected | None] = {}
        for order, events in groupby(await cursor.fetchall(), key=lambda row: row[0]):
            try:
                history = [(decode(name, state), recorded_at) for _, name, state, recorded_at in events]
                numbers = {0, *(event.policies for event, _ in history)}
                policies = await self._policies_of(connection, sellers[order], numbers)
                found[order] = expected(history, at, policies.__getitem__)
            except (LookupError, ValueError, msgspec.MsgspecError):
                log.exception("timers_unreadable", order=str(order))
                found[order] = None
        return found

    async def _policies_of(
        self, connection: psycopg.AsyncConnection, seller: str, numbers: set[int]
    ) -> dict[int, Policies]:
        if len(self._policies) > VERSIONS_KEPT:
            self._policies.clear()
        for number in numbers:
            if (seller, number) not in self._policies:
                read = await reading.policies_of_version(connection, seller, number)
                self._policies[seller, number] = decided_by(read)
        return {number: self._policies[seller, number] for number in numbers}


@asynccontextmanager
async def _snapshot(connection: psycopg.AsyncConnection) -> AsyncIterator[None]:
    """Everything that is read inside is as of one instant."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _differences(found: dict[UUID, TimersExpected | None], rows: Sequence[DueTimer]) -> list[Difference]:
    """What must stand and does not, and what stands and may not; in the order of the ids."""
    standing: dict[UUID, set[Any]] = {}
    for row in rows:
        standing.setdefault(row.order_id, set()).add(row.timer)
    nothing = TimersExpected(frozenset(), frozenset())
    differences = []
    for order in sorted({*found, *standing}):
        known = found.get(order, nothing)
        if known is None:
            differences.append(Difference("UNREADABLE", order))
            continue
        there = standing.get(order, set())
        wrong = [("MISSING", timer) for timer in known.must - there]
        wrong += [("UNEXPECTED", timer) for timer in there - known.may]
        wrong.sort(key=lambda each: (each[1].due_at, each[1].kind))
        differences += [Difference(what, order, timer.kind, timer.due_at) for what, timer in wrong]
    return differences


async def _reported(dsn: str) -> Report:
    async with make_pool(dsn, "orders", name="orders verify-timers", size=1) as pool:
        return await TimersVerifier(pool).report()


def main(argv: list[str]) -> int:
    """The command `verify-timers`: prints the report as JSON; the exit code is 1 when anything differs.

    It is 2, with one JSON object on standard error, when the database does not answer.
    """
    argparse.ArgumentParser(prog="python -m services.orders verify-timers", description=__doc__).parse_args(
        argv
    )
    settings = load_or_exit(OrdersSettings)
    configure_logs("orders", settings.log_level)
    try:
        report = asyncio.run(_reported(settings.dsn))
    except Transient as fault:
        sys.stderr.write(json.dumps({"code": "UNAVAILABLE", "field": "", "message": str(fault)}) + "\n")
        return 2
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 1 if report.differences else 0
