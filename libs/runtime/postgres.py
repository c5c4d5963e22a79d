"""PostgreSQL for every service: the pool, forward-only migrations, advisory locks and LISTEN.

A service writes as its own role (`jejak_<service>`) in its own schema; migrations run as the login.
"""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from libs.runtime.errors import Transient

log = structlog.get_logger(__name__)

# A migration that cannot get its locks must not queue up every other statement behind it.
LOCK_TIMEOUT = "4s"
STATEMENT_TIMEOUT = "30s"
RUNTIME_MIGRATIONS = Path(__file__).parent / "migrations"

AsyncPool = AsyncConnectionPool[psycopg.AsyncConnection]

# A host that is gone says nothing: within about 10 s the kernel gives up what it does not acknowledge
# (tcp_user_timeout, in ms) and, while an answer is awaited, what does not answer the probes either.
CONNECTION_OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
LEADER_ANSWER_SECONDS_MAX = 5.0

# What a lost or refused connection raises; the statement may be tried again, since every effect is fenced.
CONNECTION_FAULTS = (psycopg.OperationalError, psycopg.InterfaceError, OSError)

# SQLSTATEs of a server whose fault may pass: invalid transaction state (25006: read only, after a
# failover), out of resources, operator intervention, system error, serialisation and deadlock, and a lock
# that was not to be had. psycopg calls most of them operational, but not those of class 25.
PASSING_CLASSES = ("25", "40", "53", "57", "58")
PASSING_STATES = ("55P03",)
# psycopg calls a value that exceeds a limit of the program (an index row too long) operational, but it is so
# every time: trying again would stop a partition for one record.
LASTING_CLASS = "54"


def role_of(schema: str) -> str:
    """The role that the service of this schema writes as."""
    return f"jejak_{schema}"


def migrate(dsn: str, schema: str, *directories: Path) -> list[str]:
    """Apply each migration not applied yet, in order, each in its own transaction; return their names.

    Runs at most once at a time per schema (one advisory lock). An applied file that has been changed
    since, or is missing, is refused with a RuntimeError and nothing is applied.
    """
    files = [file for directory in directories for file in sorted(directory.glob("*.sql"))]
    with psycopg.connect(dsn, autocommit=True, **CONNECTION_OPTIONS) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [f"migrate {schema}"])
        _prepare_schema(connection, schema)
        rows = connection.execute(
            sql.SQL("SELECT name, sha256 FROM {}.migrations").format(sql.Identifier(schema))
        ).fetchall()
        applied: dict[str, str] = dict(rows)
        return [name for file in files if (name := _apply(connection, schema, file, applied)) is not None]


def _prepare_schema(connection: psycopg.Connection, schema: str) -> None:
    role = sql.Identifier(role_of(schema))
    name = sql.Identifier(schema)
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role_of(schema)]).fetchone()
    if exists is None:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name, role))
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {}.migrations (name text PRIMARY KEY, sha256 text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        ).format(name)
    )


def _apply(connection: psycopg.Connection, schema: str, file: Path, applied: dict[str, str]) -> str | None:
    text = file.read_text(encoding="utf-8")
    name = f"{file.parent.parent.name}/{file.name}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    if name in applied:
        if applied[name] != digest:
            raise RuntimeError(f"Migration {name} of schema {schema} was changed after it was applied.")
        return None
    statements = text.replace("{schema}", schema).replace("{role}", role_of(schema))
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        connection.execute(statements.encode())
        # After each migration, since one that grants on all tables of the schema means this one too: what
        # is applied is for the login that migrates to say.
        connection.execute(
            sql.SQL("REVOKE ALL ON {}.migrations FROM {}").format(
                sql.Identifier(schema), sql.Identifier(role_of(schema))
            )
        )
        connection.execute(
            sql.SQL("INSERT INTO {}.migrations (name, sha256) VALUES (%s, %s)").format(
                sql.Identifier(schema)
            ),
            [name, digest],
        )
    log.info("migration_applied", schema=schema, migration=name)
    return name


def make_pool(dsn: str, schema: str, *, name: str, size: int = 8) -> AsyncPool:
    """A closed pool of autocommit connections that write as the schema's role.

    Waiting for a connection is bounded by 10 s; a statement by 25 s, so that a batch ends within its
    session (facts: a batch, commit included, must end within 25 s).
    """

    async def configure(connection: psycopg.AsyncConnection) -> None:
        await connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role_of(schema))))
        await connection.execute("SET statement_timeout = '25s'")
        await connection.execute("SET idle_in_transaction_session_timeout = '60s'")
        # Starting helpers takes longer than any statement here should, and they take others' processors.
        await connection.execute("SET max_parallel_workers_per_gather = 0")

    return AsyncConnectionPool(
        dsn,
        kwargs=CONNECTION_OPTIONS | {"autocommit": True, "application_name": name, "prepare_threshold": 1},
        configure=configure,
        min_size=1,
        max_size=size,
        timeout=10,
        open=False,
        name=name,
    )


@asynccontextmanager
async def transient_faults() -> AsyncIterator[None]:
    """Turn a lost connection, a pool time-out and a fault of the server that may pass into Transient."""
    try:
        yield
    except (*CONNECTION_FAULTS, TimeoutError) as fault:
        if isinstance(fault, psycopg.Error) and (fault.sqlstate or "").startswith(LASTING_CLASS):
            raise
        raise Transient(f"The database did not answer: {type(fault).__name__}") from fault
    except psycopg.Error as fault:
        if not _may_pass(fault.sqlstate or ""):
            raise
        raise Transient(f"The database does not take it now: {type(fault).__name__}") from fault


@asynccontextmanager
async def transaction(pool: AsyncPool) -> AsyncIterator[psycopg.AsyncConnection]:
    """One transaction on a connection of the pool: all of the block is committed at its end, or nothing.

    What the block raises rolls it back and comes out, faults of the server that may pass as Transient;
    `psycopg.Rollback` rolls it back and comes out not at all.
    """
    async with transient_faults(), pool.connection() as connection, connection.transaction():
        yield connection


def _may_pass(state: str) -> bool:
    return state.startswith(PASSING_CLASSES) or state in PASSING_STATES


async def wait_until_answers(dsn: str, deadline_seconds: float = 60.0) -> None:
    """Return when the server accepts a connection; raise Transient after the deadline."""
    loop = asyncio.get_running_loop()
    until = loop.time() + deadline_seconds
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                dsn, **CONNECTION_OPTIONS | {"connect_timeout": 3}
            ):
                return
        except CONNECTION_FAULTS as fault:
            if loop.time() > until:
                raise Transient("The database did not answer in time.") from fault
            await asyncio.sleep(0.2)


class Bell:
    """Wakes waiters in this process, and across processes by LISTEN on one channel, with a fallback.

    A ring that comes between two waits is not lost. Waiting never lasts longer than `fallback_seconds`,
    so that a lost notification costs latency only.
    """

    def __init__(self, dsn: str, channel: str, *, fallback_seconds: float = 1.0) -> None:
        self._dsn = dsn
        self._channel = channel
        self._fallback_seconds = fallback_seconds
        self._event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def ring(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._fallback_seconds):
                await self._event.wait()
        self._event.clear()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._listen(), name=f"listen {self._channel}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for the block's duration."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True, **CONNECTION_OPTIONS
                ) as connection:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                    self._event.set()
                    async for _ in connection.notifies():
                        self._event.set()
            except CONNECTION_FAULTS:
                await asyncio.sleep(0.5)


async def lead(
    dsn: str, lock: str, work: Callable[[], Awaitable[None]], *, retry_seconds: float = 1.0
) -> None:
    """Run `work` while this process holds the session advisory lock; try again when it is held elsewhere.

    When the lock's connection is lost, or gives no answer within 5 s, the work is cancelled at once and
    leadership is sought anew. The
    lock and what the work sends are not fenced together: readers drop what they have seen (P3).
    """
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                dsn, autocommit=True, application_name=f"lead {lock}", **CONNECTION_OPTIONS
            ) as connection:
                await _lead_once(connection, lock, work)
        except CONNECTION_FAULTS as fault:
            log.warning("leadership_lost", lock=lock, fault=type(fault).__name__)
        await asyncio.sleep(retry_seconds)


async def _lead_once(
    connection: psycopg.AsyncConnection, lock: str, work: Callable[[], Awaitable[None]]
) -> None:
    cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [lock])
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return
    log.info("leadership_taken", lock=lock)
    task = asyncio.ensure_future(work())
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=2.0)
            if not task.done():
                await _answer(connection)
        await task
    finally:
        if not task.done():
            task.cancel()
            # Not `await task` with its cancellation suppressed: our own, come meanwhile, would be lost.
            await asyncio.wait({task})


async def _answer(connection: psycopg.AsyncConnection) -> None:
    """Return when the server answers; raise one of CONNECTION_FAULTS when it does not in time."""
    # Not by cancelling: psycopg then asks the server to cancel the statement and waits for its answer
    # without end, and all that time the work would go on. With its socket shut the statement fails at once.
    late = asyncio.get_running_loop().call_later(LEADER_ANSWER_SECONDS_MAX, _hang_up, connection)
    try:
        await connection.execute("SELECT 1")
    finally:
        late.cancel()


def _hang_up(connection: psycopg.AsyncConnection) -> None:
    with (
        suppress(OSError, psycopg.OperationalError),
        socket.socket(fileno=os.dup(connection.fileno())) as own,
    ):
        own.shutdown(socket.SHUT_RDWR)
