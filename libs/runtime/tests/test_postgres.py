"""A database that says nothing is given up in time, and what may pass at the server is tried again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from libs.runtime import postgres
from libs.runtime.errors import Transient
from libs.runtime.postgres import (
    RUNTIME_MIGRATIONS,
    Bell,
    lead,
    make_pool,
    migrate,
    transaction,
    transient_faults,
    wait_until_answers,
)


@pytest.mark.parametrize(
    "state",
    ["25006", "25P03", "40001", "40P01", "53100", "53200", "53300", "55P03", "57P01", "57P03", "58030"],
)
async def test_a_fault_of_the_server_that_may_pass_is_transient(state: str) -> None:
    with pytest.raises(Transient):
        async with transient_faults():
            raise psycopg.errors.lookup(state)


@pytest.mark.parametrize("state", ["22021", "23505", "42501", "42P01", "54000", "54023"])
async def test_a_fault_that_repeats_stays_what_it_is(state: str) -> None:
    fault = psycopg.errors.lookup(state)
    with pytest.raises(fault):
        async with transient_faults():
            raise fault


WANTED = {
    "tcp_user_timeout": 10_000, "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2,
    "keepalives_count": 3,
}  # fmt: skip


async def test_every_connection_gives_a_silent_host_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def refuse(_: str, **options: Any) -> None:
        given.append(options)
        raise psycopg.OperationalError("No host here.")

    async def refuse_later(dsn: str, **options: Any) -> None:
        refuse(dsn, **options)

    monkeypatch.setattr(psycopg, "connect", refuse)
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", refuse_later)
    with pytest.raises(psycopg.OperationalError):
        migrate("", "inventory")
    with pytest.raises(Transient):
        await wait_until_answers("", deadline_seconds=0)
    leading = asyncio.create_task(lead("", "lock", asyncio.Event().wait))  # type: ignore[arg-type]  # Never called.
    bell = Bell("", "channel")
    await bell.start()
    async with asyncio.timeout(60):
        while len(given) < 4:
            await asyncio.sleep(0)
    await bell.stop()
    leading.cancel()
    given.append(dict(make_pool("", "inventory", name="test").kwargs))  # type: ignore[arg-type]  # A plain dict is given.
    for options in given:
        assert WANTED.items() <= options.items()
        assert options["connect_timeout"] <= 5


@pytest.mark.connected
async def test_a_service_cannot_forge_what_is_applied(database: str, tmp_path: Path) -> None:
    later = tmp_path / "later" / "migrations"
    later.mkdir(parents=True)
    (later / "0001_more.sql").write_text(
        "CREATE TABLE {schema}.more (id bigint);"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};"
    )
    migrate(database, "inventory", RUNTIME_MIGRATIONS, later)
    async with (
        make_pool(database, "inventory", name="test", size=1) as pool,
        pool.connection() as connection,
    ):
        await connection.execute("INSERT INTO inventory.more VALUES (1)")
        for statement in (
            "INSERT INTO inventory.migrations (name, sha256) VALUES ('runtime/0002.sql', '')",
            "UPDATE inventory.migrations SET sha256 = ''",
            "DELETE FROM inventory.migrations",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement.encode())


@pytest.mark.connected
async def test_a_transaction_of_the_pool_is_committed_whole_or_not_at_all(database: str) -> None:
    migrate(database, "inventory", RUNTIME_MIGRATIONS)
    insert = b"INSERT INTO inventory.consumed_positions (source, partition, position) VALUES ('a', 0, 0)"
    async with make_pool(database, "inventory", name="test", size=1) as pool:
        for fault, comes_out in (
            (ValueError(), pytest.raises(ValueError)),
            (psycopg.OperationalError(), pytest.raises(Transient)),
            (psycopg.Rollback(), nullcontext()),
        ):
            with comes_out:
                async with transaction(pool) as connection:
                    await connection.execute(insert)
                    raise fault
        async with transaction(pool) as connection:
            cursor = await connection.execute("SELECT count(*) FROM inventory.consumed_positions")
            assert await cursor.fetchone() == (0,)
            await connection.execute(insert)
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM inventory.consumed_positions")
            assert await cursor.fetchone() == (1,)


class Line:
    """A way to the database that can fall silent without being closed."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while got := await reader.read(65_536):
                await self.open.wait()
                writer.write(got)
        finally:
            writer.close()


@asynccontextmanager
async def line_to(dsn: str) -> AsyncIterator[tuple[Line, str]]:
    parts, line = urlsplit(dsn), Line()

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        line.tasks |= {
            asyncio.create_task(line.carry(reader, back)),
            asyncio.create_task(line.carry(there, writer)),
        }

    server = await asyncio.start_server(joined, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    try:
        yield line, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
    finally:
        server.close()
        for task in line.tasks:
            task.cancel()
        await asyncio.gather(*line.tasks, return_exceptions=True)


@pytest.mark.connected
async def test_a_leader_whose_database_falls_silent_stops_its_work(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LEADER_ANSWER_SECONDS_MAX", 0.2)
    began, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with line_to(database) as (line, dsn):
        leading = asyncio.create_task(lead(dsn, "silence", work))
        try:
            async with asyncio.timeout(60):
                await began.wait()
            line.open.clear()
            async with asyncio.timeout(60):
                await ended.wait()
        finally:
            leading.cancel()
            await asyncio.wait([leading])
