"""A redrive releases in order per key, stops a key at what fails again, and never releases twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from libs.runtime.errors import Malformed, Transient
from libs.runtime.parking import BEHIND, Parked, ParkedRow, listing, park_rows, parked_row, remove
from libs.runtime.postgres import RUNTIME_MIGRATIONS, AsyncPool, make_pool, migrate
from libs.runtime.records import Record
from libs.runtime.redrive import GONE, FailuresNoted, Report, Selection, redrive, redrive_command

SCHEMA = "inventory"
SOURCE = "inventory:orders.orders.v1"
PRODUCED_AT = datetime(2026, 3, 5, 8, 0, tzinfo=UTC)


def record(offset: int, key: str) -> Record:
    return Record(SOURCE, "orders.orders.v1", 0, offset, key, key.encode(), [], b"{}", PRODUCED_AT)


@pytest.mark.parametrize(
    ("selection", "row", "follows", "wanted"),
    [
        (Selection(), (1, "f", "FAILED"), False, True),
        (Selection(key="k"), (1, "f", BEHIND), False, True),
        (Selection(id=1), (1, "f", "FAILED"), False, True),
        (Selection(id=2), (1, "f", "FAILED"), False, False),
        (Selection(id=1), (2, "f", BEHIND), True, True),
        (Selection(id=1), (2, "f", "FAILED"), True, False),
        (Selection(fingerprint="f"), (1, "f", "FAILED"), False, True),
        (Selection(fingerprint="f"), (1, "g", "FAILED"), False, False),
        (Selection(fingerprint="f"), (2, "b", BEHIND), True, True),
        (Selection(fingerprint="f"), (2, "g", "FAILED"), True, False),
    ],
)
def test_which_rows_are_meant(
    selection: Selection, row: tuple[int, str, str], follows: bool, wanted: bool
) -> None:
    assert selection.wants(*row, follows=follows) is wanted


class FakeReleaser(FailuresNoted):
    """Removes rows as a service would, but fails the positions it is told to."""

    def __init__(self, pool: AsyncPool, *failing: int) -> None:
        self.pool = pool
        self.schema = SCHEMA
        self.failing = set(failing)
        self.released: list[int] = []
        self.transient_left = 0
        self.stop_after: tuple[int, asyncio.Event] | None = None
        self.parks: dict[int, ParkedRow] = {}

    async def release(self, row: Parked) -> str:
        if self.transient_left:
            self.transient_left -= 1
            raise Transient("The database did not answer.")
        if row.position in self.failing:
            raise Malformed("It is not a number.", field="amount")
        async with self.pool.connection() as connection, connection.transaction():
            if not await remove(connection, SCHEMA, row.id):
                return GONE
            if row.position in self.parks:
                await park_rows(connection, SCHEMA, [self.parks[row.position]])
        self.released.append(row.position)
        if self.stop_after is not None and row.position == self.stop_after[0]:
            self.stop_after[1].set()
        return "handled"


async def at_once() -> None:
    """No pace at all."""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate(database, SCHEMA, RUNTIME_MIGRATIONS)
    pool = make_pool(database, SCHEMA, name="redrive test")
    async with pool:
        async with pool.connection() as connection, connection.transaction():
            await park_rows(
                connection,
                SCHEMA,
                [
                    parked_row(record(1, "a"), "FAILED", ValueError("one")),
                    parked_row(record(2, "b"), "FAILED", ValueError("two")),
                    parked_row(record(3, "a"), BEHIND),
                    parked_row(record(4, "b"), BEHIND),
                    parked_row(record(5, "c"), "FAILED", ValueError("one")),
                    parked_row(record(6, "a"), BEHIND),
                ],
            )
        yield pool


async def positions(pool: AsyncPool) -> list[int]:
    return [row.position for row in await listing(pool, SCHEMA)]


async def run(releaser: FakeReleaser, selection: Selection, **more: Any) -> Report:
    return await redrive(releaser, selection, pace=at_once, **more)


@pytest.mark.connected
async def test_all_are_released_in_order_per_key(pool: AsyncPool) -> None:
    releaser = FakeReleaser(pool)
    report = await run(releaser, Selection())
    assert releaser.released == [1, 3, 6, 2, 4, 5]
    assert (report.keys, report.rows, report.outcomes, report.failed) == (3, 6, {"handled": 6}, [])
    assert await positions(pool) == []
    assert (await run(releaser, Selection())).rows == 0


@pytest.mark.connected
async def test_a_dry_run_changes_nothing_and_shows_what_a_run_releases(pool: AsyncPool) -> None:
    releaser = FakeReleaser(pool)
    report = await run(releaser, Selection(key="a"), dry_run=True)
    assert releaser.released == []
    assert len(await positions(pool)) == 6
    assert [(row.key, row.reason) for row in report.would_release] == [
        ("a", "FAILED"), ("a", BEHIND), ("a", BEHIND),
    ]  # fmt: skip
    assert report.rows == (await run(releaser, Selection(key="a"))).rows == 3


@pytest.mark.connected
async def test_a_key_stops_at_what_fails_again_and_others_go_on(pool: AsyncPool) -> None:
    releaser = FakeReleaser(pool, 3)
    report = await run(releaser, Selection())
    assert releaser.released == [1, 2, 4, 5]
    [failed] = report.failed
    assert (failed.key, failed.reason, failed.attempts) == ("a", "MALFORMED", 2)
    assert await positions(pool) == [3, 6]
    [row, behind] = await listing(pool, SCHEMA)
    assert (row.reason, row.attempts, row.fingerprint) == ("MALFORMED", 2, failed.fingerprint)
    assert (behind.reason, behind.attempts) == (BEHIND, 1)
    again = await run(FakeReleaser(pool), Selection(fingerprint=failed.fingerprint))
    assert again.outcomes == {"handled": 2}
    assert await positions(pool) == []


@pytest.mark.connected
async def test_one_cause_or_one_row_takes_what_waits_behind_it(pool: AsyncPool) -> None:
    rows = await listing(pool, SCHEMA)
    releaser = FakeReleaser(pool)
    await run(releaser, Selection(fingerprint=rows[0].fingerprint))
    assert releaser.released == [1, 3, 6, 5]
    blocked = await run(releaser, Selection(id=rows[3].id))
    assert [row.id for row in blocked.blocked] == [rows[1].id]
    await run(releaser, Selection(id=rows[1].id))
    assert releaser.released == [1, 3, 6, 5, 2, 4]


@pytest.mark.connected
async def test_a_key_goes_in_the_order_of_its_records_not_of_their_parking(pool: AsyncPool) -> None:
    async with pool.connection() as connection, connection.transaction():
        await park_rows(connection, SCHEMA, [parked_row(record(0, "a"), "WAITED_TOO_LONG")])
    shown = await run(FakeReleaser(pool), Selection(key="a"), dry_run=True)
    assert [row.reason for row in shown.would_release] == ["WAITED_TOO_LONG", "FAILED", BEHIND, BEHIND]
    releaser = FakeReleaser(pool)
    await run(releaser, Selection(key="a"))
    assert releaser.released == [0, 1, 3, 6]


@pytest.mark.connected
async def test_a_key_stops_when_a_release_parked_something_of_it_again(pool: AsyncPool) -> None:
    releaser = FakeReleaser(pool)
    # A placement is released, and a fact that waited for it fails: it stands before what is left.
    releaser.parks[3] = parked_row(record(0, "a"), "MALFORMED", ValueError("new"))
    report = await run(releaser, Selection(key="a"))
    assert releaser.released == [1, 3]
    assert [row.reason for row in report.blocked] == ["MALFORMED"]
    again = await run(FakeReleaser(pool), Selection(key="a"))
    assert again.outcomes == {"handled": 2}


@pytest.mark.connected
async def test_it_can_be_interrupted_and_goes_on(pool: AsyncPool) -> None:
    stop = asyncio.Event()
    releaser = FakeReleaser(pool)
    releaser.stop_after = (2, stop)
    report = await run(releaser, Selection(), stop=stop)
    assert report.stopped
    assert releaser.released == [1, 3, 6, 2]
    releaser.stop_after = None
    await run(releaser, Selection(after=report.resume_after))
    assert releaser.released == [1, 3, 6, 2, 4, 5]


@pytest.mark.connected
async def test_what_passes_by_itself_is_tried_again_within_a_bound(pool: AsyncPool) -> None:
    releaser = FakeReleaser(pool)
    releaser.transient_left = 2
    await run(releaser, Selection(key="a"))
    assert releaser.released == [1, 3, 6]
    releaser.transient_left = 3
    with pytest.raises(Transient):
        await run(releaser, Selection())
    assert await positions(pool) == [2, 4, 5]
    assert all(row.attempts == 1 for row in await listing(pool, SCHEMA))


@pytest.mark.connected
async def test_two_redrives_release_nothing_twice(pool: AsyncPool) -> None:
    first, second = FakeReleaser(pool), FakeReleaser(pool)
    await asyncio.gather(run(first, Selection()), run(second, Selection()))
    released = first.released + second.released
    assert sorted(released) == [1, 2, 3, 4, 5, 6]
    assert await positions(pool) == []


@pytest.mark.connected
def test_the_command_prints_one_json_value(
    database: str, capsys: pytest.CaptureFixture[str], own_logs: None
) -> None:
    migrate(database, SCHEMA, RUNTIME_MIGRATIONS)
    with psycopg.connect(database) as connection:
        connection.execute(
            f"INSERT INTO {SCHEMA}.parked (source, partition, position, key, reason, fingerprint, detail,"
            " headers, produced_at) VALUES (%s, 0, 1, 'a', 'FAILED', 'f', 'd', '\\x90', now())".encode(),
            [SOURCE],
        )

    @asynccontextmanager
    async def opened() -> AsyncIterator[FakeReleaser]:
        pool = make_pool(database, SCHEMA, name="redrive test")
        async with pool:
            yield FakeReleaser(pool)

    capsys.readouterr()
    assert redrive_command(["--all", "--dry-run"], opened) == 0
    assert len(json.loads(capsys.readouterr().out)["would_release"]) == 1
    assert redrive_command(["--key", "a", "--source", SOURCE], opened) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["outcomes"], report["dry_run"]) == (1, {"handled": 1}, False)


@asynccontextmanager
async def unreachable() -> AsyncIterator[FakeReleaser]:
    pool: AsyncPool = AsyncConnectionPool("postgresql://nobody@127.0.0.1:1/none", open=False)
    raise Transient("The database did not answer.")
    yield FakeReleaser(pool)


@pytest.mark.parametrize(
    ("argv", "field"),
    [
        ([], "--id"),
        (["--id", "x"], "--id"),
        (["--all", "--key", "a"], "--key"),
        (["--all", "--per-second", "0"], "--per-second"),
        (["--all", "--after", "x"], "--after"),
        (["--bogus"], "--id"),
    ],
)
def test_malformed_arguments_are_2_and_one_json_object(
    argv: list[str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert redrive_command(argv, unreachable) == 2
    said = capsys.readouterr()
    assert said.out == ""
    problem = json.loads(said.err)
    assert problem.keys() == {"code", "field", "message"}
    assert (problem["code"], problem["field"]) == ("MALFORMED", field)


def test_a_server_that_does_not_answer_is_1(capsys: pytest.CaptureFixture[str], own_logs: None) -> None:
    assert redrive_command(["--all"], unreachable) == 1
    assert json.loads(capsys.readouterr().err) == {
        "code": "UNAVAILABLE", "field": "", "message": "The database did not answer.",
    }  # fmt: skip
