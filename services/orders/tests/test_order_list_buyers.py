"""Buyers in the order list: opened at the moment of reading, found by whole words, gone when erased."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.health import Health
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from services.orders.api import routes
from services.orders.app import migrate_orders
from services.orders.projector import Projector
from services.orders.tests.test_api import MINE, THEIRS, get, key
from services.orders.tests.test_buyers import BUYER, Desk, buyers_in
from services.orders.tests.test_consumer import SELLER
from services.orders.views import OrderViews

pytestmark = pytest.mark.connected

READER = "key-without-contact"
OTHER = {"name": "Siti Aminah", "phone": "081234567890", "address": "Jalan Mawar 5", "district": "Coblong"}


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@pytest.fixture
def desk(pool: AsyncPool) -> Desk:
    return Desk(pool, buyers_in(pool))


@pytest.fixture
async def client(pool: AsyncPool, desk: Desk, database: str) -> AsyncIterator[httpx.AsyncClient]:
    async def status() -> Status:
        return Status(0, 0, 0, 0)

    keys = [key(MINE, SELLER, "*"), key(THEIRS, "another", "*"), key(READER, SELLER, "orders:read")]
    made = make_api("orders", ApiKeys(keys), health=Health("orders"), status=status)
    made.include_router(routes(OrderViews(pool, desk.buyers)))
    await desk.place("1", BUYER)
    await desk.place("2", OTHER)
    projector = Projector(pool, database, Bell(database, "orders_events"))
    while await projector.step():
        pass
    transport = httpx.ASGITransport(made)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        opened.headers["authorization"] = f"Bearer {MINE}"
        yield opened


async def found(client: httpx.AsyncClient, search: str, **query: Any) -> list[str]:
    items = (await get(client, "/v1/orders", search=search, **query))["items"]
    return [each["marketplace_number"] for each in items]


async def columns_of(client: httpx.AsyncClient, order: str) -> tuple[str, str, str]:
    [item] = (await get(client, "/v1/orders", marketplace_number=order))["items"]
    detail = await get(client, f"/v1/orders/{item['id']}")
    assert detail == item
    shown = item["columns"]
    return shown["Penerima"], shown["Telepon"], shown["Tujuan"]


async def test_recipient_phone_and_address_are_opened_for_who_may_pd_2(client: httpx.AsyncClient) -> None:
    assert await columns_of(client, "1") == ("Qzwanda Xqhartono", "+6281399077431", "Jalan Zvermilyon 77")
    assert await columns_of(client, "2") == ("Siti Aminah", "+6281234567890", "Jalan Mawar 5, Coblong")
    client.headers["authorization"] = f"Bearer {READER}"
    assert await columns_of(client, "1") == ("", "", "")


async def test_the_search_finds_whole_words_of_name_and_address_and_whole_numbers_pd_5(
    client: httpx.AsyncClient,
) -> None:
    assert await found(client, "qzwanda") == ["1"]
    assert await found(client, "AMINAH siti") == ["2"]
    assert await found(client, "mawar, jalan") == ["2"]
    assert sorted(await found(client, "jalan")) == ["1", "2"]
    assert await found(client, "0812-3456-7890") == ["2"]
    assert await found(client, "+62 812 3456 7890") == ["2"]
    for nothing in ("siti qzwanda", "amina", "08123456789", "siti mawar"):
        assert await found(client, nothing) == [], nothing
    assert await found(client, "siti", method="COD") == []
    assert await found(client, "1", channel="lazada") == ["1"]


async def test_pages_of_a_search_never_skip_or_repeat(client: httpx.AsyncClient) -> None:
    first = await get(client, "/v1/orders", search="jalan", limit=1)
    rest = await get(client, "/v1/orders", search="jalan", limit=1, cursor=first["next"])
    both = [each["marketplace_number"] for each in first["items"] + rest["items"]]
    assert (sorted(both), rest["next"]) == (["1", "2"], None)


async def test_who_may_not_see_a_buyer_cannot_search_for_one(client: httpx.AsyncClient) -> None:
    client.headers["authorization"] = f"Bearer {READER}"
    assert await found(client, "qzwanda") == []
    assert await found(client, "1") == ["1"]
    client.headers["authorization"] = f"Bearer {THEIRS}"
    assert await found(client, "qzwanda") == []


async def test_a_buyer_whose_key_is_gone_shows_as_dihapus_pd_7(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    async with pool.connection() as connection:
        await connection.execute("DELETE FROM orders.buyer_keys")
    assert await columns_of(client, "1") == ("dihapus", "dihapus", "")
    assert await found(client, "1") == ["1"]
