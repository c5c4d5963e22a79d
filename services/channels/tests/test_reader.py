"""Readings: published once, unchanged ones not again, failures bounded, newer requests never lost (IN-05, IN-10)."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretBytes

from libs.runtime.clock import uuid7
from libs.runtime.jwe import Envelopes
from libs.runtime.keys import KeyEncryptionKeys, NamedKey
from libs.runtime.outbox import OutboxSource
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from libs.runtime.sealing import Sealer
from services.channels import reader as reading
from services.channels import reads
from services.channels.app import migrate_channels
from services.channels.clients import Limited, MarketFault, OrderUnknown, Page, Passing, Reading, Refused
from services.channels.marketplace import parse
from services.channels.poller import Poller
from services.channels.publishing import Shop
from services.channels.reader import Reader
from services.channels.reads import Reads
from services.channels.shops import Shops
from services.channels.store import Store, unseal_content

pytestmark = pytest.mark.connected

SELLER = UUID("0190a000-0000-7000-8000-000000000001")
SHOP = Shop(UUID(int=0xBB), SELLER, "tokopedia", "id", "9301177", "Tokopedia", "ACTIVE")
OTHER = Shop(UUID(int=0xCC), SELLER, "tokopedia", "id", "9301188", "Second", "ACTIVE")
ORDER = "1204477310"
SEAL = Sealer([b"k" * 32])
ENVELOPES = Envelopes(KeyEncryptionKeys([NamedKey(id="test", key=SecretBytes(bytes(32)))]))
SINGLE = (Path(__file__).parent / "samples/tokopedia/order_single_220_ok.json").read_bytes()
SHIPPED = (Path(__file__).parent / "samples/tokopedia/order_single_500_ok.json").read_bytes()


def shown(body: bytes = SINGLE, *, shop: str = "9301177", mark: str = "220", order: str = ORDER) -> Reading:
    body = body.replace(ORDER.encode(), order.encode())
    return Reading(kind="order", payload=parse(body), body=body, shop=shop, mark=mark, final=False)


class FakeMarket:
    """Answers each order as it is told, after `gate` lets it."""

    channel = "tokopedia"
    batch_max = 8

    def __init__(self) -> None:
        self.answers: dict[str, Reading | MarketFault] = {}
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.pages: list[Page | MarketFault] = []

    async def read(self, shop: Shop, orders: Sequence[str]) -> Mapping[str, Reading | MarketFault]:
        self.asked += orders
        self.begun.set()
        await self.gate.wait()
        return {order: self.answers.get(order, OrderUnknown("GONE")) for order in orders}

    async def changed(self, shop: Shop, since: datetime | None, at: datetime) -> AsyncIterator[Page]:
        for page in self.pages:
            if isinstance(page, MarketFault):
                raise page
            yield page

    async def older(self, shop: Shop, window: int, at: datetime) -> AsyncIterator[Page]:
        nothing: tuple[Page, ...] = ()
        for page in nothing:
            yield page

    async def close(self) -> None:
        return


class Desk:
    def __init__(self, pool: AsyncPool, dsn: str) -> None:
        self.pool = pool
        self.store = Store(pool, SEAL)
        self.shops = Shops(pool, SEAL)
        self.requests = Reads(pool)
        self.market = FakeMarket()
        self.reader = self.another(dsn)
        self.poller = Poller(dsn, self.shops, self.requests, {"tokopedia": self.market}, every_seconds=60)

    def another(self, dsn: str) -> Reader:
        bell = Bell(dsn, "test", fallback_seconds=0.05)
        return Reader(
            self.store,
            self.shops,
            self.requests,
            {"tokopedia": self.market},
            bell,
            seal_buyer=ENVELOPES.seal,
            on_published=lambda: None,
        )

    async def request(self, order: str = ORDER, shop: Shop = SHOP) -> None:
        async with self.store.transaction() as unit:
            await reads.request(unit, [(shop.id, order)])

    async def read(self, answer: Reading | MarketFault, order: str = ORDER) -> None:
        self.market.answers[order] = answer
        await self.request(order)
        await self.reader.work_once()

    async def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            return await (await connection.execute(query.encode(), values)).fetchall()

    async def make_due(self) -> None:
        await self.ask("UPDATE channels.read_requests SET next_at = now() - interval '1 s' RETURNING 1")

    async def requests_left(self) -> list[tuple[Any, ...]]:
        return await self.ask(
            "SELECT connection_id, order_id, state, reason, attempts FROM channels.read_requests"
        )

    async def published(self) -> list[dict[str, Any]]:
        chunk = await OutboxSource(self.pool, "channels").fetch([])
        return [] if chunk is None else [json.loads(one.value or b"") for one in chunk.records]


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    migrate_channels(database)
    async with make_pool(database, "channels", name="test", size=4) as pool:
        desk = Desk(pool, database)
        await desk.shops.settle([(SHOP, None, None), (OTHER, None, None)])
        yield desk


async def test_a_reading_is_published_with_its_time_and_its_raw_message(desk: Desk) -> None:
    await desk.read(shown())
    facts = await desk.published()
    assert facts[0]["type"] == "OrderPlaced"
    assert {fact["read_at"] for fact in facts} != {None}
    said = json.loads(ENVELOPES.open(facts[0]["data"]["buyer"], f"{SHOP.id}:{ORDER}"))
    assert said.keys() >= {"id", "name", "recipient"}
    assert all(str(value) not in json.dumps(facts) for value in said.values() if len(str(value)) > 4)
    ((raw, route, verdict, content),) = await desk.ask(
        "SELECT id, route, verdict, content FROM channels.raw_messages"
    )
    assert {tuple(fact["raw"]) for fact in facts} == {(str(raw),)}
    assert (route, verdict) == ("tokopedia.order", "READ")
    assert unseal_content(SEAL, raw, bytes(content))[1] == SINGLE
    assert await desk.requests_left() == []


async def test_an_unchanged_reading_publishes_nothing_again(desk: Desk) -> None:
    await desk.read(shown())
    before = await desk.published()
    await desk.read(shown())
    assert await desk.published() == before
    assert await desk.requests_left() == []


async def test_a_later_reading_publishes_only_what_is_new(desk: Desk) -> None:
    await desk.read(shown())
    before = len(await desk.published())
    await desk.read(shown(SHIPPED.replace(b"1204477399", ORDER.encode()), mark="500"))
    types = [fact["type"] for fact in (await desk.published())[before:]]
    assert "PackagePickedUp" in types


async def test_in_10_a_fact_without_a_time_has_that_of_its_first_reading(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.loads(SINGLE)
    body["data"]["order_info"]["order_history"] = []
    for name in ("payment_date", "create_time"):
        body["data"][name] = None
    untimed = shown(json.dumps(body).encode())
    first = datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)
    monkeypatch.setattr(reading, "now", lambda: first)
    await desk.read(untimed)
    approximate = [fact for fact in await desk.published() if fact["approximate"]]
    assert {fact["occurred_at"] for fact in approximate} == {"2026-03-05T08:00:00Z"}

    # The hashes are lost, so that all is published again, a day later: the times stay.
    await desk.ask("UPDATE channels.readings SET facts_hashes = '' RETURNING 1")
    monkeypatch.setattr(reading, "now", lambda: first + timedelta(days=1))
    await desk.read(untimed)
    again = [fact for fact in await desk.published() if fact["approximate"]]
    assert len(again) == 2 * len(approximate)
    assert {fact["occurred_at"] for fact in again} == {"2026-03-05T08:00:00Z"}


async def test_a_request_that_comes_during_a_reading_is_read_again(desk: Desk) -> None:
    desk.market.answers[ORDER] = shown()
    await desk.request()
    desk.market.gate.clear()
    task = asyncio.create_task(desk.reader.work_once())
    await desk.market.begun.wait()
    await desk.request()
    desk.market.gate.set()
    await task
    assert len(await desk.requests_left()) == 1
    await desk.reader.work_once()
    assert await desk.requests_left() == []
    assert desk.market.asked == [ORDER, ORDER]


async def test_a_reader_that_lost_its_claim_writes_nothing(desk: Desk) -> None:
    desk.market.answers[ORDER] = shown()
    await desk.request()
    desk.market.gate.clear()
    task = asyncio.create_task(desk.reader.work_once())
    await desk.market.begun.wait()
    await desk.ask("UPDATE channels.read_requests SET claim = %s RETURNING 1", uuid7())
    desk.market.gate.set()
    await task
    assert await desk.published() == []
    assert len(await desk.requests_left()) == 1


async def test_a_dead_readers_claim_ends_by_itself(desk: Desk, database: str) -> None:
    desk.market.answers[ORDER] = shown()
    await desk.request()
    (claim,) = await desk.requests.claim(uuid7(), 10, [])
    assert claim.order == ORDER
    assert await desk.reader.work_once() == 0
    await desk.ask("UPDATE channels.read_requests SET claimed_until = now() - interval '1 s' RETURNING 1")
    assert await desk.another(database).work_once() == 1
    assert await desk.published() != []


async def test_a_stopped_reader_gives_back_what_it_holds(desk: Desk) -> None:
    await desk.request()
    desk.market.gate.clear()
    task = asyncio.create_task(desk.reader.run())
    await desk.market.begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await desk.ask("SELECT claim FROM channels.read_requests") == [(None,)]


@pytest.mark.parametrize(("fault", "attempts"), [(OrderUnknown("16"), 4), (Passing("HTTP_502"), 8)])
async def test_a_failing_order_is_tried_so_often_and_then_parked(
    desk: Desk, fault: MarketFault, attempts: int
) -> None:
    await desk.read(fault)
    for _ in range(attempts):
        await desk.make_due()
        await desk.reader.work_once()
    ((_, _, state, _, tried),) = await desk.requests_left()
    assert (state, tried) == ("PARKED", attempts)
    assert len(desk.market.asked) == attempts


async def test_gl_06_an_order_known_before_that_the_marketplace_forgot_is_read_no_more(desk: Desk) -> None:
    await desk.read(shown())
    desk.market.answers.clear()
    await desk.request()
    for _ in range(4):
        await desk.reader.work_once()
        await desk.make_due()
    assert await desk.requests_left() == []
    assert await desk.ask("SELECT order_id FROM channels.readings WHERE final") == [(ORDER,)]


async def test_a_malformed_answer_parks_at_once_and_a_new_request_tries_again(desk: Desk) -> None:
    await desk.read(Refused("MALFORMED_ANSWER"))
    ((_, _, state, reason, _),) = await desk.requests_left()
    assert (state, reason) == ("PARKED", "MALFORMED_ANSWER")
    await desk.read(shown())
    assert await desk.requests_left() == []


async def test_an_answer_about_another_order_parks(desk: Desk) -> None:
    await desk.read(shown(order="999"))
    ((_, _, state, reason, _),) = await desk.requests_left()
    assert (state, reason) == ("PARKED", "MALFORMED:OTHER_ORDER")
    assert await desk.published() == []


async def test_rc_06_a_limit_is_no_attempt(desk: Desk) -> None:
    await desk.read(Limited(30.0))
    ((_, _, state, _, tried),) = await desk.requests_left()
    assert (state, tried) == ("WAITING", 0)
    assert await desk.reader.work_once() == 0, "It waits as long as it was told."


async def test_an_order_of_another_shop_is_read_under_that_shop(desk: Desk) -> None:
    desk.market.answers[ORDER] = shown(shop="9301188")
    await desk.request()
    await desk.reader.work_once()
    assert await desk.published() == []
    ((connection, _, _, _, _),) = await desk.requests_left()
    assert connection == OTHER.id
    await desk.reader.work_once()
    assert {fact["connection"] for fact in await desk.published()} == {str(OTHER.id)}


async def test_one_bad_order_does_not_hold_up_the_others_of_its_shop(desk: Desk) -> None:
    desk.market.answers |= {ORDER: shown(), "2": Refused("MALFORMED_ANSWER")}
    await desk.request()
    await desk.request("2")
    await desk.reader.work_once()
    assert {fact["order"] for fact in await desk.published()} == {ORDER}
    assert [(row[1], row[2]) for row in await desk.requests_left()] == [("2", "PARKED")]


async def test_p5_a_reading_that_the_database_refuses_stops_only_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.market.answers |= {ORDER: shown(), "2": shown(order="2")}
    await desk.request()
    await desk.request("2")
    keep = desk.store.keep_readings

    async def refuses(unit: Any, readings: Any, *others: Any) -> None:
        if any(order == "2" for _, _, order in readings):
            raise ValueError("The database refuses this row.")
        await keep(unit, readings, *others)

    monkeypatch.setattr(desk.store, "keep_readings", refuses)
    await desk.reader.work_once()
    assert {fact["order"] for fact in await desk.published()} == {ORDER}
    assert [row[1:4] for row in await desk.requests_left()] == [("2", "PARKED", "NOT_STORED")]


async def test_p5_what_one_table_refuses_of_a_reading_is_in_no_other(desk: Desk, database: str) -> None:
    desk.market.answers |= {ORDER: shown(), "2": shown(order="2")}
    await desk.request()
    await desk.request("2")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE channels.readings ADD CHECK (order_id <> '2')")
    await desk.reader.work_once()
    assert {fact["order"] for fact in await desk.published()} == {ORDER}
    assert await desk.ask("SELECT order_id FROM channels.raw_messages") == [(ORDER,)]
    assert [row[1:4] for row in await desk.requests_left()] == [("2", "PARKED", "NOT_STORED")]


async def test_rc_04_the_poller_asks_for_what_a_list_shows_changed(desk: Desk) -> None:
    await desk.read(shown(mark="220"))
    until = datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)
    desk.market.pages = [Page({ORDER: "220", "2": "100"}, until)]
    assert await desk.poller.work_once() == 2
    left = [(row[0], row[1]) for row in await desk.requests_left()]
    assert sorted(left) == [(SHOP.id, "2"), (OTHER.id, ORDER), (OTHER.id, "2")]
    cursors = await desk.ask("SELECT complete_until, failures FROM channels.poll_cursors")
    assert cursors == [(until, 0), (until, 0)]
    assert await desk.poller.work_once() == 0, "Not before its time."


async def test_rc_02_a_failed_window_moves_no_cursor_and_opens_the_breaker(desk: Desk) -> None:
    desk.market.pages = [Page({"2": "100"}, datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)), Passing("HTTP_502")]
    await desk.poller.work_once()
    cursors = await desk.ask("SELECT complete_until, failures, reason FROM channels.poll_cursors")
    assert cursors == [(None, 1, "HTTP_502")] * 2
    assert {row[1] for row in await desk.requests_left()} == {"2"}, "What it showed is read all the same."


async def test_a_database_that_goes_away_during_a_poll_ends_nothing_and_the_poll_comes_again(
    desk: Desk, database: str
) -> None:
    class Cut(FakeMarket):
        """Whose list comes when the database has just shut every connection; once."""

        cuts = 0

        async def changed(self, shop: Shop, since: datetime | None, at: datetime) -> AsyncIterator[Page]:
            if not self.cuts:
                self.cuts += 1
                with psycopg.connect(database, autocommit=True) as admin:
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
            yield Page({ORDER: "220"}, at)

    poller = Poller(database, desk.shops, desk.requests, {"tokopedia": Cut()}, every_seconds=60)
    running = asyncio.create_task(poller.run())
    async with asyncio.timeout(60):
        while not running.done():
            try:
                if len(await desk.requests_left()) == 2:
                    break
            except psycopg.OperationalError:
                pass
            await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_open_orders_are_read_by_id_in_rotation(desk: Desk) -> None:
    await desk.read(shown())
    await desk.ask("UPDATE channels.readings SET read_at = now() - interval '1 day' RETURNING 1")
    await desk.poller.work_once()
    assert [row[1] for row in await desk.requests_left()] == [ORDER]
