"""Statements that are run as one: all or nothing, in the transaction around them, bells rung at its commit."""

import psycopg
import pytest

from libs.runtime.statements import UNHURRIED, Part, run_together

pytestmark = pytest.mark.connected

ONE = Part("INSERT INTO one SELECT * FROM unnest(%(ones)b::int4[])", {"ones": [1, 2]})
TWO = Part("INSERT INTO two SELECT * FROM unnest(%(twos)b::int4[])", {"twos": [1, 2]})
TWO_AGAIN = Part("INSERT INTO two SELECT * FROM unnest(%(more)b::int4[])", {"more": [3, 3]})


async def opened(database: str) -> psycopg.AsyncConnection:
    connection = await psycopg.AsyncConnection.connect(database, autocommit=True)
    await connection.execute("CREATE TABLE IF NOT EXISTS one (id integer PRIMARY KEY)")
    await connection.execute("CREATE TABLE IF NOT EXISTS two (id integer PRIMARY KEY)")
    return connection


async def rows(connection: psycopg.AsyncConnection) -> tuple[int, int] | None:
    cursor = await connection.execute("SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM two)")
    return await cursor.fetchone()


async def test_all_parts_are_run_and_the_bells_are_rung_at_the_commit(database: str) -> None:
    async with await opened(database) as connection, await opened(database) as listener:
        await listener.execute("LISTEN a")
        await listener.execute("LISTEN b")
        async with connection.transaction():
            await run_together(connection, [ONE, TWO], ["a", "b"])
            assert await rows(listener) == (0, 0)
        assert await rows(listener) == (2, 2)
        assert [note.channel async for note in listener.notifies(timeout=60, stop_after=2)] == ["a", "b"]


async def test_a_part_that_is_refused_undoes_the_others_and_the_transaction(database: str) -> None:
    async with await opened(database) as connection:

        async def refused() -> None:
            async with connection.transaction():
                await run_together(connection, [ONE])
                await run_together(connection, [TWO, TWO_AGAIN], ["a"])

        with pytest.raises(psycopg.errors.UniqueViolation):
            await refused()
        assert await rows(connection) == (0, 0)


async def test_nothing_to_run_asks_nothing(database: str) -> None:
    async with await opened(database) as connection:
        await connection.close()
        await run_together(connection, [])


async def test_only_the_commit_of_the_statement_itself_does_not_wait_for_the_disk(database: str) -> None:
    async with await opened(database) as connection:
        cursor = await connection.execute(f"SELECT {UNHURRIED}".encode())
        assert await cursor.fetchone() == ("off",)
        cursor = await connection.execute("SHOW synchronous_commit")
        assert await cursor.fetchone() == ("on",)
