"""The order list over HTTP: filters, search, sorting, pages while orders arrive, timeline, explain, positions."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.health import Health
from libs.runtime.pages import cursor_of
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from services.orders import list_query, positions
from services.orders.api import routes
from services.orders.app import migrate_orders
from services.orders.columns import COLUMNS
from services.orders.consumer import FactsHandler
from services.orders.projector import Projector
from services.orders.tests.test_api import MINE, THEIRS, get, hold, key
from services.orders.tests.test_consumer import SELLER, Log, fact, placed
from services.orders.views import OrderViews

pytestmark = pytest.mark.connected


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@pytest.fixture
def app(pool: AsyncPool) -> FastAPI:
    async def status() -> Status:
        return Status(0, 0, 0, 0)

    keys = [key(MINE, SELLER, "*"), key(THEIRS, "another", "*")]
    made = make_api("orders", ApiKeys(keys), health=Health("orders"), status=status)
    made.include_router(routes(OrderViews(pool)))
    return made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        opened.headers["authorization"] = f"Bearer {MINE}"
        yield opened


def placed_at(order: str, instant: str, **data: Any) -> dict[str, Any]:
    body = placed(order)
    body["data"].update(data)
    return body | {"occurred_at": instant}


async def numbers(client: httpx.AsyncClient, **query: Any) -> list[str]:
    return [each["marketplace_number"] for each in (await get(client, "/v1/orders", **query))["items"]]


async def pages(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """All that is found, in pages of two."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await get(client, "/v1/orders", limit=2, cursor=cursor, **query)
        found += [each["marketplace_number"] for each in answer["items"]]
        cursor = answer["next"]
    return found


async def test_each_row_has_the_17_columns_its_sequence_and_what_is_allowed_ls_3(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(pool, database, placed_at("1", "2026-03-05T17:30:00Z", city="Bandung", province="Jawa Barat"))
    [row] = (await get(client, "/v1/orders"))["items"]
    assert tuple(row["columns"]) == COLUMNS
    assert row["columns"]["Tanggal"] == "06/03/2026 00:30"
    assert row["columns"]["ID Pesanan"] == row["number"]
    assert (row["columns"]["Tujuan"], row["columns"]["Penerima"]) == ("Bandung, Jawa Barat", "")
    assert row["columns"]["Total"] == "Rp50.000"
    assert row["sequence"] > 0
    assert isinstance(row["allowed"], list)


async def test_every_filter_of_ls_2_finds_its_orders_and_no_others(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    sent = placed_at("1", "2026-03-05T07:00:00Z", courier="J&T", warehouse="Gudang A")
    cancelled = placed_at("2", "2026-03-05T07:00:00Z", payment_method="COD", courier="SiCepat")
    await hold(
        pool,
        database,
        sent,
        fact("PackagePickedUp", "1", minute=9, status="shipped", awb="JX77"),
        cancelled,
        fact("OrderCancelled", "2", minute=5, status="canceled"),
    )
    for name, word, found in [
        ("headline", "IN_TRANSIT", "1"), ("headline", "CANCELLED", "2"),
        ("order_status", "CONFIRMED", "1"), ("order_status", "CANCELLED", "2"),
        ("coverage", "PAID", "1"), ("coverage", "UNPAID", "2"),
        ("fulfilment", "IN_TRANSIT", "1"), ("method", "COD", "2"), ("method", "GATEWAY", "1"),
        ("courier", "J&T", "1"), ("courier", "sicepat", "2"), ("warehouse", "gudang a", "1"),
        ("marketplace_number", "2", "2"),
    ]:  # fmt: skip
        assert await numbers(client, **{name: word}) == [found], (name, word)
    for name, word in [
        ("request", "NONE"), ("transaction", "NONE"), ("billing", "NONE"), ("channel", "lazada"),
        ("shop", "1000999001"), ("source", "CHANNEL"),
    ]:  # fmt: skip
        assert sorted(await numbers(client, **{name: word})) == ["1", "2"], (name, word)
    for name, word in [
        ("request", "OPEN"), ("transaction", "AWAITING"), ("billing", "ISSUED"), ("channel", "tokopedia"),
        ("shop", "1"), ("source", "MANUAL"), ("agent", "A1"), ("tag", "promo"), ("flag", "HAS_LOSS"),
        ("warehouse", "B"),
    ]:  # fmt: skip
        assert await numbers(client, **{name: word}) == [], (name, word)
    assert await numbers(client, headline="IN_TRANSIT", courier="J&T", method="GATEWAY") == ["1"]
    assert await numbers(client, headline="IN_TRANSIT", courier="SiCepat") == []


async def test_flags_filter(client: httpx.AsyncClient, pool: AsyncPool, database: str) -> None:
    await hold(
        pool,
        database,
        placed("1"),
        fact("PackagePickedUp", "1", minute=9, status="shipped"),
        fact("DeliveryProblemReported", "1", minute=12, status="failed"),
        placed("2"),
    )
    assert await numbers(client, flag="HAS_PROBLEM") == ["1"]


async def test_the_search_finds_numbers_and_awbs_whole_and_nothing_of_another_seller(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(
        pool,
        database,
        placed_at("7001", "2026-03-05T07:00:00Z", reference="INV/1"),
        placed("7002"),
        fact("PackagePickedUp", "7002", minute=9, status="shipped", awb="JX77"),
    )
    number = {
        each["marketplace_number"]: each["number"] for each in (await get(client, "/v1/orders"))["items"]
    }
    assert await numbers(client, search="7001") == ["7001"]
    assert await numbers(client, search="inv/1") == ["7001"]
    assert await numbers(client, search=f" {number['7002'].lower()} ") == ["7002"]
    assert await numbers(client, search="jx77") == ["7002"]
    assert await numbers(client, search="JX77", headline="NEW") == []
    assert await numbers(client, search="JX7") == []
    client.headers["authorization"] = f"Bearer {THEIRS}"
    assert await numbers(client, search="JX77") == []


async def test_dates_are_days_in_the_zone_from_inclusive_to_exclusive_ls_2(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(
        pool,
        database,
        placed_at("before", "2026-03-05T16:59:59Z"),
        placed_at("first", "2026-03-05T17:00:00Z"),
        placed_at("last", "2026-03-06T16:59:59Z"),
        placed_at("after", "2026-03-06T17:00:00Z"),
    )
    assert await numbers(client, date_from="2026-03-06", date_to="2026-03-07") == ["last", "first"]
    assert await numbers(client, date_from="2026-03-07") == ["after"]
    assert await numbers(client, date_to="2026-03-06") == ["before"]
    assert len(await numbers(client, date_from="0001-01-01", date_to="9999-12-31")) == 4


@pytest.mark.parametrize("walk", [1, 3, 100])
async def test_walking_the_list_and_looking_words_up_give_the_same_pages(
    client: httpx.AsyncClient, pool: AsyncPool, database: str, monkeypatch: pytest.MonkeyPatch, walk: int
) -> None:
    facts = [
        placed_at(str(n), f"2026-03-05T07:{n:02}:00Z", courier="JNE" if n % 3 else "J&T") for n in range(12)
    ]
    await hold(pool, database, *facts)
    asked: list[dict[str, Any]] = [
        {"courier": "JNE"}, {"courier": "J&T", "method": "GATEWAY"}, {"courier": "JNE", "method": "COD"},
        {"courier": "JNE", "sort": "placed_at"}, {"courier": "JNE", "date_to": "2026-03-05"},
    ]  # fmt: skip
    looked_up = [await pages(client, **each) for each in asked]
    assert [len(each) for each in looked_up] == [8, 4, 0, 8, 0]

    async def walks(*_: Any) -> bool:
        return True

    monkeypatch.setattr(list_query, "_would_walk", walks)
    monkeypatch.setattr(list_query, "WALK", walk)
    assert [await pages(client, **each) for each in asked] == looked_up


async def test_orders_stand_by_tanggal_then_number_both_descending_ls_1(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    same = [placed_at(str(number), "2026-03-05T07:00:00Z") for number in range(6)]
    await hold(pool, database, *same, placed_at("old", "2026-03-04T07:00:00Z"))
    rows = (await get(client, "/v1/orders"))["items"]
    keys = [(each["placed_at"], each["number"]) for each in rows]
    assert keys == sorted(keys, reverse=True)
    assert rows[-1]["marketplace_number"] == "old"
    up = (await get(client, "/v1/orders", sort="placed_at"))["items"]
    assert [each["id"] for each in up] == [each["id"] for each in reversed(rows)]


@pytest.mark.parametrize("sort", ["-placed_at", "placed_at"])
async def test_pages_never_skip_or_repeat_while_orders_arrive_and_change_ls_1(
    client: httpx.AsyncClient, pool: AsyncPool, database: str, sort: str
) -> None:
    log = Log()
    handler = FactsHandler(pool)
    projector = Projector(pool, database, Bell(database, "orders_events"))

    async def arrive(*facts: dict[str, Any]) -> None:
        stored = {0: log.offset}
        await handler.handle([log.record(each) for each in facts], stored)
        while await projector.step():
            pass

    # Several share an instant, so that the number decides between them.
    there = [placed_at(str(n), f"2026-03-05T07:{n // 3:02}:00Z") for n in range(20)]
    await arrive(*there)
    cursor, seen, page = "", [], 0
    while cursor is not None:
        answer = await get(client, "/v1/orders", limit=3, cursor=cursor, sort=sort)
        seen += [each["marketplace_number"] for each in answer["items"]]
        cursor = answer["next"]
        page += 1
        await arrive(
            placed_at(f"new-{page}", f"2026-03-05T08:{page:02}:00Z"),
            placed_at(f"late-{page}", f"2026-03-05T07:0{page % 7}:30Z"),
            placed_at(f"oldest-{page}", f"2026-03-04T07:{page:02}:00Z"),
            fact("PackagePickedUp", str(page), minute=30, status="shipped"),
        )
        assert page < 60
        if page > 12:
            break
    assert len(seen) == len(set(seen))
    if sort == "-placed_at":
        assert set(seen) >= {str(n) for n in range(20)}


async def test_a_page_takes_only_the_cursor_of_its_own_order(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(pool, database, placed("1"), placed("2"))
    cursor = (await get(client, "/v1/orders", limit=1))["next"]
    answer = await client.get("/v1/orders", params={"cursor": cursor, "sort": "placed_at"})
    assert (answer.status_code, answer.json()["fields"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/orders?flag=SHINY", "flag"),
        ("/v1/orders?order_status=SHINY", "order_status"),
        ("/v1/orders?request=yes", "request"),
        ("/v1/orders?method=BARTER", "method"),
        ("/v1/orders?source=X", "source"),
        ("/v1/orders?sort=total", "sort"),
        ("/v1/orders?tag=" + "x" * 101, "tag"),
        ("/v1/orders?search=" + "x" * 101, "search"),
        ("/v1/orders?search=%00", "search"),
        ("/v1/orders?courier=%00", "courier"),
        ("/v1/orders?date_from=yesterday", "date_from"),
        ("/v1/orders?date_from=2026-03-05&date_to=2026-03-05", "date_to"),
        ("/v1/orders?min_position=later", "min_position"),
        ("/v1/orders?min_position=" + "9" * 19, "min_position"),
        ("/v1/orders?cursor=" + cursor_of(["-placed_at", "not a time", "x"]), "cursor"),
        ("/v1/orders/018f0000-0000-7000-8000-000000000000/timeline?limit=501", "limit"),
    ],
)
async def test_bad_input_names_the_field(client: httpx.AsyncClient, path: str, field: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 422, answer.text
    assert [each["field"] for each in answer.json()["fields"]] == [field]


async def test_min_position_waits_for_the_list_and_says_so_when_it_is_not_there(
    client: httpx.AsyncClient, pool: AsyncPool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    await FactsHandler(pool).handle([log.record(placed("1"))], {})
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT max(position) FROM orders.events")
        [position] = await cursor.fetchone() or [0]
    monkeypatch.setattr(positions, "POSITION_SECONDS_MAX", 0.1)
    answer = await client.get("/v1/orders", params={"min_position": str(position)})
    assert (answer.status_code, answer.json()["code"]) == (503, "POSITION_NOT_REACHED")
    assert answer.headers["retry-after"] == "1"
    monkeypatch.setattr(positions, "POSITION_SECONDS_MAX", 20.0)
    asking = asyncio.create_task(numbers(client, min_position=str(position)))
    await asyncio.sleep(0.05)
    assert not asking.done()
    projector = Projector(pool, database, Bell(database, "orders_events"))
    while await projector.step():
        pass
    assert await asking == ["1"]
    [order] = (await get(client, "/v1/orders"))["items"]
    shown = await get(client, f"/v1/orders/{order['id']}", min_position=order["position"])
    assert shown == order
    beyond = await client.get(f"/v1/orders/{order['id']}", params={"min_position": str(position + 1)})
    assert (beyond.status_code, beyond.json()["code"]) == (503, "POSITION_NOT_REACHED")


async def test_one_order_is_never_behind_its_stream(client: httpx.AsyncClient, pool: AsyncPool) -> None:
    log = Log()
    await FactsHandler(pool).handle([log.record(placed("1"))], {})
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT stream_id, max(position) FROM orders.events GROUP BY 1")
        [order_id, position] = await cursor.fetchone() or ["", 0]
    shown = await get(client, f"/v1/orders/{order_id}", min_position=str(position))
    assert shown["position"] == str(position)


async def test_the_timeline_tells_who_when_why_and_marks_implied_and_late(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(
        pool,
        database,
        placed("1"),
        fact("PackageDelivered", "1", minute=20, status="delivered"),
        fact("PackagePickedUp", "1", minute=9, status="shipped"),
        fact("DeliveryProblemReported", "1", minute=12, status="failed"),
    )
    [order] = (await get(client, "/v1/orders"))["items"]
    first = await get(client, f"/v1/orders/{order['id']}/timeline", limit=2)
    rest = await get(client, f"/v1/orders/{order['id']}/timeline", cursor=first["next"])
    steps = first["items"] + rest["items"]
    assert rest["next"] is None
    assert [each["sequence"] for each in steps] == list(range(1, order["sequence"] + 1))
    assert steps[0]["event"] == "OrderPlaced"
    assert steps[0]["actor"] == "CHANNEL"
    assert steps[0]["at"] == "2026-03-05T07:00:00Z"
    assert steps[0]["cause"]["fact"] == "OrderPlaced"
    implied = [each["event"] for each in steps if each["implied"]]
    assert "PackagePickedUp" in implied
    delivered = next(each for each in steps if each["event"] == "PackageDelivered")
    assert (delivered["implied"], delivered["late"]) == (False, False)
    assert delivered["cause"]["source_status"] == "delivered"
    late = [each for each in steps if each["late"]]
    assert {each["cause"]["fact"] for each in late} == {"PackagePickedUp", "DeliveryProblemReported"}
    assert all(each["event"] == "FactRecorded" for each in late)
    assert steps[-1]["headline"] == order["headline"] == "DELIVERED"


async def test_explain_names_dimension_part_and_the_events_that_set_the_headline_hl_3(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(pool, database, placed("1"), fact("PackagePickedUp", "1", minute=9, status="shipped"))
    [order] = (await get(client, "/v1/orders"))["items"]
    why = await get(client, f"/v1/orders/{order['id']}/explain")
    assert (why["headline"], why["dimension"]) == ("IN_TRANSIT", "fulfilment")
    assert why["part"] == {"line": "1-1", "quantity": 1}
    assert [each["event"] for each in why["events"]] == ["PackagePickedUp"]
    assert why["events"][0]["cause"]["source_status"] == "shipped"
    client.headers["authorization"] = f"Bearer {THEIRS}"
    for door in ("timeline", "explain"):
        answer = await client.get(f"/v1/orders/{order['id']}/{door}")
        assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_FOUND")
