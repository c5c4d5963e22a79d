"""A rebuild beside the live list: the same to the letter, resumable, swapped whole, with no wrong read."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from libs.runtime.errors import Fenced, Transient
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from services.orders import rebuild, rebuild_streams
from services.orders.app import migrate_orders
from services.orders.consumer import FactsHandler
from services.orders.list_query import Query
from services.orders.order_list import NotBuilt
from services.orders.projector import Projector
from services.orders.rebuild import Rebuild
from services.orders.tests.test_consumer import SELLER, Log, fact, placed
from services.orders.views import OrderViews

pytestmark = pytest.mark.connected


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=6) as opened:
        yield opened


class Orders:
    """Marketplace orders that come in one batch after another."""

    def __init__(self, pool: AsyncPool, database: str) -> None:
        self._handler = FactsHandler(pool)
        self._log = Log()
        self.projector = Projector(pool, database, Bell(database, "orders_events"))
        self.placed = 0

    async def arrive(self, count: int) -> None:
        """So many new orders, and a step of as many that are there."""
        facts = [placed(str(self.placed + number)) for number in range(count)]
        facts += [
            fact("PackagePickedUp", str(number), minute=9, status="shipped", awb=f"JX{number}")
            for number in range(max(0, self.placed - count), self.placed)
        ]
        stored = {0: self._log.offset}
        await self._handler.handle([self._log.record(each) for each in facts], stored)
        self.placed += count

    async def project(self) -> None:
        while await self.projector.step():
            pass


async def rows(database: str, statement: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        return await (await connection.execute(statement.encode())).fetchall()


CONTENT = (
    "SELECT v.order_id, seller, number, placed_at, sequence, position, facets, state"
    " FROM orders.order_views_v2 v JOIN orders.order_states_v2 USING (order_id) ORDER BY 1"
)
SHAPE = (
    "SELECT c.relname, c.reloptions, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
    " a.attstattarget, a.attcollation, has_table_privilege('jejak_orders', c.oid, 'SELECT,INSERT,UPDATE')"
    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0"
    " WHERE c.relname LIKE 'order\\_%\\_v2%' AND c.relkind IN ('r', 'i') ORDER BY 1, attnum"
)
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'order\\_%\\_v2%' ORDER BY 1"


async def test_a_rebuild_gives_the_same_rows_tables_and_indexes(pool: AsyncPool, database: str) -> None:
    orders = Orders(pool, database)
    for _ in range(4):
        await orders.arrive(9)
        await orders.project()
    before = [await rows(database, each) for each in (CONTENT, SHAPE, INDEXES)]
    # Pages smaller than one stream's events too.
    report = await Rebuild(database, page_events=2).run()
    assert (report.orders, report.differences, report.swapped) == (36, 0, True)
    assert [await rows(database, each) for each in (CONTENT, SHAPE, INDEXES)] == before
    # The same connections, with the statements that they had prepared, go on with the new tables.
    await orders.arrive(9)
    await orders.project()
    assert len(await OrderViews(pool).orders(Query(seller=SELLER, limit=500))) == 45
    assert await rows(database, "SELECT count(*) FROM orders.rebuilds") == [(0,)]


async def test_nothing_is_swapped_when_the_lists_differ_unless_that_is_accepted(
    pool: AsyncPool, database: str
) -> None:
    orders = Orders(pool, database)
    await orders.arrive(5)
    await orders.project()
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(
            "UPDATE orders.order_views_v2 SET facets = '{1}' WHERE number = (SELECT max(number)"
            " FROM orders.order_views_v2)"
        )
        await connection.execute(
            "DELETE FROM orders.order_views_v2 WHERE number = (SELECT min(number) FROM orders.order_views_v2)"
        )
    wrong = await rows(database, CONTENT)
    report = await Rebuild(database).run()
    assert (report.differences, report.swapped, len(report.examples)) == (2, False, 2)
    assert await rows(database, CONTENT) == wrong
    # Orders that come before the decision are in the new list as well.
    await orders.arrive(2)
    await orders.project()
    report = await Rebuild(database, accept_differences=True).run()
    assert report.swapped
    found = await rows(database, CONTENT)
    assert len(found) == 7
    assert all(len(row[6]) > 10 for row in found)


async def test_a_rebuild_that_was_discarded_leaves_the_live_list(pool: AsyncPool, database: str) -> None:
    orders = Orders(pool, database)
    await orders.arrive(3)
    await orders.project()
    await rows(database, "SELECT 1")
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("UPDATE orders.order_views_v2 SET facets = '{1}'")
    assert not (await Rebuild(database).run()).swapped
    await Rebuild(database).discard()
    assert await rows(database, "SELECT to_regclass('orders.order_views_v2_next')") == [(None,)]
    assert len(await rows(database, CONTENT)) == 3


async def test_a_rebuild_that_was_stopped_goes_on_where_it_was(
    pool: AsyncPool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = Orders(pool, database)
    await orders.arrive(30)
    await orders.project()
    read: list[Any] = []
    whole = rebuild_streams.whole_streams

    async def stopped(*arguments: Any) -> Any:
        read.append(arguments[1])
        if len(read) == 5:
            raise Transient("The power went.")
        return await whole(*arguments)

    monkeypatch.setattr(rebuild_streams, "whole_streams", stopped)
    with pytest.raises(Transient, match="power"):
        await Rebuild(database, page_events=8).run()
    [(filled,)] = await rows(database, "SELECT count(*) FROM orders.order_views_v2_next")
    assert 0 < filled < 30
    await orders.arrive(30)
    await orders.project()
    before = len(read)
    report = await Rebuild(database, page_events=8).run()
    assert read[before] == read[before - 1], "It begins with the page that it did not get."
    assert (report.orders, report.differences, report.swapped) == (60, 0, True)


async def test_a_helping_process_gives_the_same_rows(pool: AsyncPool, database: str) -> None:
    orders = Orders(pool, database)
    for _ in range(3):
        await orders.arrive(20)
        await orders.project()
    before = await rows(database, CONTENT)
    begun = Rebuild(database, page_events=7, processes=2, helped_from=0)
    await begun.begin()
    with rebuild_streams.helping(database, 7, processes=1):
        async with asyncio.timeout(60):
            while await rows(database, "SELECT FROM orders.rebuild_parts WHERE done_to <> last LIMIT 1"):
                await asyncio.sleep(0.05)
    report = await begun.run()
    assert (report.orders, report.differences, report.swapped) == (60, 0, True)
    assert await rows(database, CONTENT) == before


async def test_parts_are_shared_and_those_that_somebody_left_are_taken_up(
    pool: AsyncPool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = Orders(pool, database)
    await orders.arrive(60)
    await orders.project()
    read: dict[str, int] = {}
    whole = rebuild_streams.whole_streams

    async def seen(*arguments: Any) -> Any:
        task = asyncio.current_task()
        # Pages ahead are read by tasks of their own.
        name = task.get_name() if task is not None else ""
        read[name] = read.get(name, 0) + 1
        if name == "first" and read[name] == 3:
            raise Transient("The power went.")
        return await whole(*arguments)

    monkeypatch.setattr(rebuild_streams, "whole_streams", seen)
    begun = Rebuild(database, page_events=2)
    await begun.begin()
    async with asyncio.timeout(30):
        ends = await asyncio.gather(
            asyncio.create_task(rebuild_streams.fold_parts(database, 2), name="first"),
            asyncio.create_task(rebuild_streams.fold_parts(database, 2), name="second"),
            return_exceptions=True,
        )
    assert [type(end) for end in ends] == [Transient, type(None)]
    assert read["second"] > 2
    filled = await rows(database, "SELECT count(*) FROM orders.order_views_v2_next")
    assert filled == [(60,)], "The second one folds what the first one left."
    report = await begun.run()
    assert (report.orders, report.differences, report.swapped) == (60, 0, True)


async def test_one_that_folds_for_a_rebuild_that_was_discarded_writes_nothing(
    pool: AsyncPool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = Orders(pool, database)
    await orders.arrive(20)
    await orders.project()
    await Rebuild(database).begin()
    whole = rebuild_streams.whole_streams

    async def anew(*arguments: Any) -> Any:
        monkeypatch.setattr(rebuild_streams, "whole_streams", whole)
        found = await whole(*arguments)
        await Rebuild(database).discard()
        await orders.arrive(20)
        await orders.project()
        await Rebuild(database).begin()
        return found

    monkeypatch.setattr(rebuild_streams, "whole_streams", anew)
    with pytest.raises(Fenced):
        await rebuild_streams.fold_parts(database, 1_000)
    assert await rows(database, "SELECT count(*) FROM orders.order_views_v2_next") == [(0,)]


async def test_two_rebuilds_do_not_run_at_once(pool: AsyncPool, database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(hashtext('rebuild order_views.v2'))")
        with pytest.raises(Transient, match="Another rebuild"):
            await Rebuild(database).run()


async def test_no_read_is_wrong_while_orders_arrive_and_the_list_is_rebuilt_and_swapped(
    pool: AsyncPool, database: str
) -> None:
    orders = Orders(pool, database)
    await orders.arrive(40)
    await orders.project()
    bell = Bell(database, "orders_events", fallback_seconds=0.1)
    projector = Projector(pool, database, bell)
    views = OrderViews(pool)
    stop = asyncio.Event()
    reads = 0

    async def arriving() -> None:
        while not stop.is_set():
            await orders.arrive(3)
            await asyncio.sleep(0.05)

    async def reading() -> None:
        nonlocal reads
        known: dict[str, int] = {}
        while not stop.is_set():
            page = await views.orders(Query(seller=SELLER, limit=100_000))
            shown = {item["id"]: item["sequence"] for _, item in page}
            gone = known.keys() - shown.keys()
            back = [each for each, sequence in known.items() if shown[each] < sequence] if not gone else []
            assert (gone, back) == (set(), []), "An order vanished from the list, or went back."
            known = shown
            reads += 1

    async with bell.listening():
        projecting = asyncio.create_task(projector.run())
        tasks = [asyncio.create_task(arriving()), asyncio.create_task(reading())]
        reports = []
        for _ in range(2):
            reports.append(await Rebuild(database, page_events=50).run())
            before = reads
            while reads < before + 2:
                # The second of them began after the swap.
                await asyncio.sleep(0.02)
        stop.set()
        await asyncio.gather(*tasks)
        projecting.cancel()
        await asyncio.wait({projecting})
    assert [(each.differences, each.swapped) for each in reports] == [(0, True)] * 2
    await orders.project()
    live = await rows(database, CONTENT)
    assert len(live) == orders.placed
    await Rebuild(database).run()
    assert await rows(database, CONTENT) == live


async def test_a_list_that_was_never_complete_is_built_before_it_is_read_or_followed(
    pool: AsyncPool, database: str
) -> None:
    orders = Orders(pool, database)
    await orders.arrive(12)
    async with await psycopg.AsyncConnection.connect(database) as connection:
        # As after the migration of a store that holds events.
        await connection.execute("DELETE FROM orders.followers WHERE name = 'order_views.v2'")
    with pytest.raises(NotBuilt):
        await OrderViews(pool).orders(Query(seller=SELLER, limit=50))
    with pytest.raises(NotBuilt):
        await orders.projector.step()
    bell = Bell(database, "orders_events", fallback_seconds=0.1)
    async with bell.listening(), await psycopg.AsyncConnection.connect(database, autocommit=True) as other:
        # Somebody's own rebuild is under way when the projector begins.
        await other.execute("SELECT pg_advisory_lock(hashtext('rebuild order_views.v2'))")
        projector = Projector(pool, database, bell)
        running = asyncio.create_task(projector.run())
        async with asyncio.timeout(60):
            while "Another rebuild" not in projector.last_fault:
                await asyncio.sleep(0.02)
        await other.execute("SELECT pg_advisory_unlock_all()")
        views = OrderViews(pool)
        async with asyncio.timeout(60):
            while True:
                try:
                    page = await views.orders(Query(seller=SELLER, limit=50))
                    break
                except NotBuilt:
                    await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.wait({running})
    assert len(page) == 12


def test_the_command_prints_its_report_and_says_when_it_cannot(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate_orders(database)
    for name, value in (
        ("DATABASE_URL", database),
        ("API_KEYS", "[]"),
        ("ORDERS_HTTP_PORT", "0"),
        ("KEY_ENCRYPTION_KEYS", "a:" + base64.b64encode(bytes(32)).decode()),
    ):
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert rebuild.rebuild_orders([]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == {"orders": 0, "position": 0, "differences": 0, "examples": [], "swapped": True}
    assert rebuild.rebuild_orders(["--discard"]) == 0
    monkeypatch.setenv("DATABASE_URL", database.rsplit("/", 1)[0] + "/no_such_database")
    assert rebuild.rebuild_orders([]) == 1
    complaint = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert complaint["code"] == "UNAVAILABLE"
