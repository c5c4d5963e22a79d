"""The doors of orders: what they answer, whose orders they show, and that pages never skip or repeat."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from libs.events import orders as public
from libs.runtime.asgi import Status, is_open, make_api, routes_of
from libs.runtime.auth import ApiKeys
from libs.runtime.health import Health
from libs.runtime.pages import cursor_of
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from libs.runtime.settings import ApiKey
from services.orders import views
from services.orders.api import routes
from services.orders.app import migrate_orders
from services.orders.consumer import FactsHandler
from services.orders.projector import Projector
from services.orders.tests.test_consumer import SELLER, Log, fact, placed
from services.orders.views import OrderViews

pytestmark = pytest.mark.connected

MINE, THEIRS, NARROW = "key-of-the-seller", "key-of-another", "key-without-scopes"


def key(name: str, seller: str, *scopes: str) -> ApiKey:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ApiKey(id=name, sha256=digest, scopes=frozenset(scopes), seller=seller)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@pytest.fixture
def app(pool: AsyncPool) -> FastAPI:
    async def status() -> Status:
        return Status(0, 0, 0, 0)

    keys = [key(MINE, SELLER, "*"), key(THEIRS, "another", "*"), key(NARROW, SELLER, "inventory:read")]
    made = make_api("orders", ApiKeys(keys), health=Health("orders"), status=status)
    made.include_router(routes(OrderViews(pool)))
    return made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        opened.headers["authorization"] = f"Bearer {MINE}"
        yield opened


async def hold(pool: AsyncPool, database: str, *facts: dict[str, Any]) -> None:
    """Let the facts be judged and projected."""
    log = Log()
    await FactsHandler(pool).handle([log.record(each) for each in facts], {})
    projector = Projector(pool, database, Bell(database, "orders_events"))
    while await projector.step():
        pass


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_order_has_all_that_the_contract_names(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(pool, database, placed("1"), fact("PackagePickedUp", "1", minute=9, status="shipped"))
    [listed] = (await get(client, "/v1/orders"))["items"]
    shown = await get(client, f"/v1/orders/{listed['id']}")
    assert shown == listed
    for name in [
        "id",
        "number",
        "source",
        "channel",
        "shop",
        "marketplace_number",
        "headline",
        "flags",
        "order",
        "payment",
        "fulfilment",
        "billing",
        "lines",
        "packages",
        "money",
        "sequence",
        "position",
        "allowed",
    ]:
        assert name in shown
    assert (shown["headline"], shown["fulfilment"]) == ("IN_TRANSIT", "IN_TRANSIT")
    assert shown["order"] == {"status": "CONFIRMED", "request": False}
    assert shown["payment"] == {"method": "GATEWAY", "coverage": "PAID", "transaction": "NONE"}
    for name, amount in (("total", 50_000), ("payable", 50_000), ("net_paid", 50_000)):
        assert shown["money"][name] == amount
    assert (shown["money"]["currency"], shown["money"]["outstanding"]) == ("IDR", 0)
    assert shown["money"]["refund_due"] == 0
    assert shown["marketplace_number"] == "1"


async def test_events_of_an_order_are_cloudevents_numbered_without_a_gap(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(pool, database, placed("1"), fact("PackagePickedUp", "1", minute=9, status="shipped"))
    [order] = (await get(client, "/v1/orders"))["items"]
    first = await get(client, f"/v1/orders/{order['id']}/events", limit=2)
    rest = await get(client, f"/v1/orders/{order['id']}/events", limit=500, cursor=first["next"])
    events = first["items"] + rest["items"]
    assert rest["next"] is None
    assert [int(each["sequence"]) for each in events] == list(range(1, order["sequence"] + 1))
    assert [each["id"] for each in events] == [f"{order['id']}/{n}" for n in range(1, len(events) + 1)]
    for each in events:
        name = each["type"].split(".")[2]
        assert each["type"] == f"jejak.orders.{name}.v1"
        public.EVENTS[name].model_validate_json(json.dumps(each["data"]))
    assert events[0]["time"] == "2026-03-05T07:00:00Z"


async def test_all_events_come_in_pages_that_never_skip_or_repeat(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(pool, database, *(placed(str(number)) for number in range(7)))
    after, seen = "", []
    for _ in range(4):
        answer = await get(client, "/v1/events", after=after, limit=3)
        seen += [each["id"] for each in answer["items"]]
        assert answer["next"] is not None
        after = answer["next"]
    assert len(seen) == len(set(seen)) == 7
    assert (await get(client, "/v1/events", after=after))["items"] == []


async def test_a_call_for_events_looks_at_a_window_and_always_goes_on(
    client: httpx.AsyncClient, pool: AsyncPool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "EVENTS_WINDOW", 2)
    await hold(pool, database, *(placed(str(number)) for number in range(5)))
    first = await get(client, "/v1/events", limit=500)
    assert (len(first["items"]), first["next"]) == (2, "2")
    client.headers["authorization"] = f"Bearer {THEIRS}"
    after, passed = "", []
    for _ in range(4):
        answer = await get(client, "/v1/events", after=after)
        assert answer["items"] == []
        after = answer["next"]
        passed.append(after)
    assert passed == ["2", "4", "5", "5"]


async def test_the_list_pages_by_cursor_and_filters(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    paid = [placed(str(number)) for number in range(5)]
    await hold(pool, database, *paid, fact("OrderCancelled", "3", minute=5, status="canceled"))
    cursor, seen = "", []
    while cursor is not None:
        answer = await get(client, "/v1/orders", limit=2, cursor=cursor)
        seen += [each["marketplace_number"] for each in answer["items"]]
        cursor = answer["next"]
    assert sorted(seen) == ["0", "1", "2", "3", "4"]
    cancelled = await get(client, "/v1/orders", headline="CANCELLED")
    assert [each["marketplace_number"] for each in cancelled["items"]] == ["3"]
    assert (await get(client, "/v1/orders", channel="tokopedia"))["items"] == []
    assert len((await get(client, "/v1/orders", shop="1000999001", marketplace_number="2"))["items"]) == 1


async def test_another_seller_sees_and_learns_nothing(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await hold(pool, database, placed("1"))
    [order] = (await get(client, "/v1/orders"))["items"]
    client.headers["authorization"] = f"Bearer {THEIRS}"
    assert (await get(client, "/v1/orders"))["items"] == []
    assert (await get(client, "/v1/events"))["items"] == []
    for path in (f"/v1/orders/{order['id']}", f"/v1/orders/{order['id']}/events", "/v1/orders/not-an-id"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_FOUND")


async def test_every_door_but_health_and_metrics_needs_a_key_with_its_scope(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    doors = [(method, path) for method, path in routes_of(app) if not is_open(app, method, path)]
    assert {path for _, path in doors} >= {"/v1/orders", "/v1/events", "/v1/status", "/v1/parked"}
    for method, path in doors:
        concrete = path.replace("{order_id}", "018f0000-0000-7000-8000-000000000000")
        bare = await client.request(method, concrete, headers={"authorization": ""})
        assert bare.status_code == 401, (method, path)
        if path.startswith(("/v1/orders", "/v1/events", "/v1/parked")):
            narrow = await client.request(method, concrete, headers={"authorization": f"Bearer {NARROW}"})
            assert narrow.status_code == 403, (method, path)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/orders?headline=SHINY", "headline"),
        ("/v1/orders?limit=0", "limit"),
        ("/v1/orders?limit=501", "limit"),
        ("/v1/orders?cursor=!!!", "cursor"),
        ("/v1/orders?cursor=" + cursor_of(["not a time", "x"]), "cursor"),
        ("/v1/orders?cursor=" + cursor_of(["2026-03-05T07:00:00Z", "x"]), "cursor"),
        ("/v1/orders?channel=%00", "channel"),
        ("/v1/orders?shop=a%00b", "shop"),
        ("/v1/orders?marketplace_number=%00", "marketplace_number"),
        ("/v1/events?after=minus", "after"),
    ],
)
async def test_bad_input_names_the_field(client: httpx.AsyncClient, path: str, field: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [each["field"] for each in answer.json()["fields"]] == [field]
    assert all(each["sentence"] for each in answer.json()["fields"])


async def test_what_is_parked_is_listed_without_its_content(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    log = Log()
    await FactsHandler(pool).handle([log.record(b'{"secret": "of a buyer"', key="c:1")], {})
    answer = await get(client, "/v1/parked")
    assert [each["reason"] for each in answer["items"]] == ["MALFORMED"]
    assert "secret" not in json.dumps(answer)


async def test_the_list_follows_while_orders_come_in(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    bell = Bell(database, "orders_events", fallback_seconds=0.2)
    async with bell.listening():
        running = asyncio.create_task(Projector(pool, database, bell).run())
        log = Log()
        await FactsHandler(pool).handle([log.record(placed(str(number))) for number in range(3)], {})
        async with asyncio.timeout(60):
            while len((await get(client, "/v1/orders"))["items"]) < 3:
                await asyncio.sleep(0.02)
        running.cancel()
