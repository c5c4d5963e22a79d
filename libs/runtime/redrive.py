"""Releases parked records again, in order per key, slowly enough, and as often as it takes.

What a release does is the service's own: it makes the effect and removes the row in one transaction, so
that a row which is gone is a conflict and nothing is written twice.
"""

import argparse
import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import NoReturn, Protocol

import orjson
import psycopg
import structlog
from psycopg import sql

from libs.runtime.clock import monotonic
from libs.runtime.consumption import reason_of
from libs.runtime.errors import Transient
from libs.runtime.logs import configure_logs
from libs.runtime.metrics import REDRIVEN
from libs.runtime.parking import (
    BEHIND,
    Parked,
    detail_of,
    fingerprint,
    group_of,
    head_of,
    key_lock,
    note_failure,
)
from libs.runtime.postgres import AsyncPool, transient_faults

log = structlog.get_logger(__name__)

PER_SECOND = 50.0
KEYS_AT_ONCE = 100
# A dry run shows at most so many rows; the counts are of all.
SHOWN_MAX = 1_000
TRANSIENT_ATTEMPTS = 3
GONE = "gone"
EXIT_MALFORMED = 2
EXIT_UNAVAILABLE = 1


class Releaser(Protocol):
    """What a service brings to a redrive."""

    pool: AsyncPool
    schema: str

    async def release(self, row: Parked) -> str:
        """Make the effect of the record and remove its row, in one transaction; give the outcome.

        The outcome is a word that is counted (handled, refused, skipped ...), or `gone` when the row was
        gone and nothing was written. Raises Transient to be called again, anything else when it fails.
        """

    async def failed(self, row: Parked, fault: Exception) -> None:
        """Write down that the release failed again: its attempts grow."""


class FailuresNoted:
    """A releaser's `failed` for services that write their parked rows themselves."""

    pool: AsyncPool
    schema: str

    async def failed(self, row: Parked, fault: Exception) -> None:
        await note_failure(self.pool, self.schema, row, reason_of(fault), fault)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows to release: by id, key or fingerprint; all, when none of these is set.

    By id or by fingerprint means the failed rows themselves and those that wait behind them.
    """

    id: int | None = None
    key: str | None = None
    fingerprint: str | None = None
    source: str | None = None
    after: int = 0

    def wants(self, row_id: int, row_fingerprint: str, reason: str, *, follows: bool) -> bool:
        """Whether the row is meant; `follows` when the one before it in its key was."""
        if self.id is None and self.fingerprint is None:
            return True
        if follows and reason == BEHIND:
            return True
        if self.id is not None:
            return row_id == self.id
        return row_fingerprint == self.fingerprint


@dataclass(frozen=True, slots=True)
class Shown:
    """A parked row as a report shows it."""

    id: int
    source: str
    key: str
    reason: str
    fingerprint: str
    detail: str
    attempts: int


@dataclass(slots=True)
class Report:
    """What a redrive did, or in a dry run would do; `resume_after` is where the next one goes on.

    `blocked` are the rows that stand before selected ones in their key and were not selected, or came there
    with a fault of their own while the key was being released.
    """

    dry_run: bool = False
    keys: int = 0
    rows: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    failed: list[Shown] = field(default_factory=list)
    blocked: list[Shown] = field(default_factory=list)
    would_release: list[Shown] = field(default_factory=list)
    stopped: bool = False
    resume_after: int = 0

    def count(self, outcome: str) -> None:
        self.rows += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


class Pace:
    """Lets one caller pass so many times a second; the first passes at once."""

    def __init__(self, per_second: float) -> None:
        self._interval_seconds = 1 / per_second
        self._next = 0.0

    async def __call__(self) -> None:
        now = monotonic()
        if self._next > now:
            await asyncio.sleep(self._next - now)
        self._next = max(now, self._next) + self._interval_seconds


async def redrive(
    releaser: Releaser,
    selection: Selection,
    *,
    dry_run: bool = False,
    per_second: float = PER_SECOND,
    stop: asyncio.Event | None = None,
    pace: Callable[[], Awaitable[None]] | None = None,
) -> Report:
    """Release what is selected: keys in the order of their first row, the rows of a key in order.

    A key stops at the first row that fails again, is not meant, or was parked for a fault of its own since
    its release began; other keys go on. Interrupted or set to
    `stop`, it has released some rows whole and the others not at all; calling it again goes on.
    Raises Transient when the database, or what a release needs, does not answer.
    """
    run = _Run(
        releaser, selection, stop or asyncio.Event(), pace or Pace(per_second), Report(dry_run=dry_run)
    )
    async with transient_faults(), releaser.pool.connection() as connection:
        await run.all_keys(connection)
    return run.report


class _Run:
    def __init__(
        self,
        releaser: Releaser,
        selection: Selection,
        stop: asyncio.Event,
        pace: Callable[[], Awaitable[None]],
        report: Report,
    ) -> None:
        self.report = report
        self._releaser = releaser
        self._selection = selection
        self._stop = stop
        self._pace = pace
        self._seen: set[tuple[str, str]] = set()
        self._table = sql.SQL("{}.parked").format(sql.Identifier(releaser.schema))

    async def all_keys(self, connection: psycopg.AsyncConnection) -> None:
        self.report.resume_after = self._selection.after
        while keys := await self._next_keys(connection):
            for source, key, first_id in keys:
                if self._stop.is_set():
                    self.report.stopped = True
                    return
                if (source, key) not in self._seen:
                    self._seen.add((source, key))
                    self.report.keys += 1
                    if self.report.dry_run:
                        await self._show_key(connection, source, key)
                    else:
                        await self._release_key(connection, source, key)
                if not self._stop.is_set():
                    self.report.resume_after = first_id

    async def _next_keys(self, connection: psycopg.AsyncConnection) -> list[tuple[str, str, int]]:
        chosen = self._selection
        cursor = await connection.execute(
            sql.SQL(
                "SELECT source, key, min(id) FROM {} WHERE (%(id)s::bigint IS NULL OR id = %(id)s)"
                " AND (%(key)s::text IS NULL OR key = %(key)s)"
                " AND (%(source)s::text IS NULL OR source = %(source)s)"
                " AND (%(fingerprint)s::text IS NULL OR fingerprint = %(fingerprint)s)"
                " GROUP BY source, key HAVING min(id) > %(after)s ORDER BY min(id) LIMIT %(limit)s"
            ).format(self._table),
            {
                "id": chosen.id,
                "key": chosen.key,
                "source": chosen.source,
                "fingerprint": chosen.fingerprint,
                "after": self.report.resume_after,
                "limit": KEYS_AT_ONCE,
            },
        )
        return await cursor.fetchall()

    async def _show_key(self, connection: psycopg.AsyncConnection, source: str, key: str) -> None:
        cursor = await connection.execute(
            sql.SQL(
                "SELECT id, fingerprint, reason, detail, attempts FROM {} WHERE source = %s AND key = %s"
                " ORDER BY partition, position"
            ).format(self._table),
            [source, key],
        )
        follows = False
        async for row_id, row_fingerprint, reason, detail, attempts in cursor:
            shown = Shown(row_id, source, key, reason, row_fingerprint, detail, attempts)
            if not self._selection.wants(row_id, row_fingerprint, reason, follows=follows):
                if not follows:
                    self._add(self.report.blocked, shown)
                return
            follows = True
            self.report.rows += 1
            self._add(self.report.would_release, shown)

    @staticmethod
    def _add(rows: list[Shown], row: Shown) -> None:
        if len(rows) < SHOWN_MAX:
            rows.append(row)

    async def _release_key(self, connection: psycopg.AsyncConnection, source: str, key: str) -> None:
        """Release the rows of a key, each under the key's lock, which the consumer takes too."""
        follows = False
        last_gone: int | None = None
        newest = await self._newest(connection, source, key)
        while not self._stop.is_set():
            # The wait is before the lock, so that a slow redrive does not hold up the consumer.
            await self._pace()
            async with _locked(connection, self._releaser.schema, source, key):
                row = await head_of(connection, self._releaser.schema, source, key)
                if row is None or row.id == last_gone:
                    return
                # What a release has parked is for an operator to look at, not for this run to try again.
                failed_since = row.id > newest and row.reason != BEHIND
                meant = self._selection.wants(row.id, row.fingerprint, row.reason, follows=follows)
                if failed_since or not meant:
                    if failed_since or not follows:
                        self._add(self.report.blocked, _shown(row))
                    return
                try:
                    outcome = await self._release(row)
                except Transient:
                    raise
                except Exception as fault:  # noqa: BLE001  # Whatever it raises is what the row failed with.
                    await self._note(row, fault)
                    return
            follows = True
            last_gone = row.id if outcome == GONE else None
            self.report.count(outcome)
            REDRIVEN.labels(group_of(source), outcome).inc()
            log.info("parked_released", source=source, id=row.id, outcome=outcome)

    async def _newest(self, connection: psycopg.AsyncConnection, source: str, key: str) -> int:
        cursor = await connection.execute(
            sql.SQL("SELECT coalesce(max(id), 0) FROM {} WHERE source = %s AND key = %s").format(self._table),
            [source, key],
        )
        row = await cursor.fetchone()
        assert row is not None, "An aggregate answers one row."
        return int(row[0])

    async def _release(self, row: Parked) -> str:
        for attempt in range(TRANSIENT_ATTEMPTS):
            try:
                async with transient_faults():
                    return await self._releaser.release(row)
            except Transient:
                if attempt == TRANSIENT_ATTEMPTS - 1:
                    raise
                await self._pace()
        raise AssertionError("The last attempt returns or raises.")

    async def _note(self, row: Parked, fault: Exception) -> None:
        await self._releaser.failed(row, fault)
        reason = reason_of(fault)
        self.report.rows += 1
        again = Shown(
            row.id,
            row.source,
            row.key,
            reason,
            fingerprint(reason, fault),
            detail_of(fault),
            row.attempts + 1,
        )
        self._add(self.report.failed, again)
        REDRIVEN.labels(group_of(row.source), "failed").inc()
        log.warning("parked_failed_again", source=row.source, id=row.id, reason=reason, exc_info=fault)


@asynccontextmanager
async def _locked(
    connection: psycopg.AsyncConnection, schema: str, source: str, key: str
) -> AsyncIterator[None]:
    lock = key_lock(schema, source, key)
    await connection.execute("SELECT pg_advisory_lock(%s::bigint)", [lock])
    try:
        yield
    finally:
        # A lost connection has released the lock already.
        if not connection.closed:
            await connection.execute("SELECT pg_advisory_unlock(%s::bigint)", [lock])


def _shown(row: Parked) -> Shown:
    return Shown(row.id, row.source, row.key, row.reason, row.fingerprint, row.detail, row.attempts)


class _Refused(Exception):
    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(message)
        self.field = field_name


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        named = re.search(r"--[a-z-]+", message)
        raise _Refused(named[0] if named else "", f"{message[:1].upper()}{message[1:]}.")


def _parser(program: str) -> _Parser:
    parser = _Parser(prog=program, description="Release parked records again, in order per key.")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--id", type=int, help="the parked row of this id, and what waits behind it")
    chosen.add_argument("--key", help="every parked row of this key")
    chosen.add_argument("--fingerprint", help="every row parked for this cause, and what waits behind it")
    chosen.add_argument("--all", action="store_true", help="every parked row")
    parser.add_argument("--source", help="only rows of this source: <group>:<topic>")
    parser.add_argument("--after", type=int, default=0, help="go on after the `resume_after` of a report")
    parser.add_argument("--per-second", type=float, default=PER_SECOND, help="rows to release in a second")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be released")
    return parser


def redrive_command(
    argv: Sequence[str],
    open_releaser: Callable[[], AbstractAsyncContextManager[Releaser]],
    *,
    program: str = "redrive",
    log_level: str = "warning",
) -> int:
    """The command: its report as one JSON value on standard output; the exit code.

    Malformed arguments are 2, a server that does not answer 1, each with one JSON object on standard error.
    Log lines go to standard error. A signal ends it after the row in hand, with its report.
    Rows that fail again are in the report, with exit code 0.
    """
    try:
        given = _parser(program).parse_args(list(argv))
        if not 0 < given.per_second <= 10_000:
            raise _Refused("--per-second", "The rate is above 0 and at most 10,000 per second.")
    except _Refused as fault:
        _complain("MALFORMED", fault.field, str(fault))
        return EXIT_MALFORMED
    configure_logs(program, log_level)
    selection = Selection(given.id, given.key, given.fingerprint, given.source, given.after)

    async def run() -> Report:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with open_releaser() as releaser:
            return await redrive(
                releaser, selection, dry_run=given.dry_run, per_second=given.per_second, stop=stop
            )

    try:
        report = asyncio.run(run())
    except Transient as fault:
        _complain("UNAVAILABLE", "", str(fault))
        return EXIT_UNAVAILABLE
    sys.stdout.write(orjson.dumps(asdict(report)).decode() + "\n")
    return 0


def _complain(code: str, field_name: str, message: str) -> None:
    sys.stderr.write(orjson.dumps({"code": code, "field": field_name, "message": message}).decode() + "\n")
