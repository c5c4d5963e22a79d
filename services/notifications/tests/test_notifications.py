"""Notifications whole: public events in, one delivery per event and recipient due, answered over HTTP (P2)."""

import json
from collections.abc import AsyncIterator
from functools import partial

import httpx
import psycopg
import pytest
import pytest_asyncio

from libs.events import orders
from libs.events.envelope import event_name
from libs.events.examples import EXAMPLES
from libs.runtime.postgres import AsyncPool
from libs.runtime.tests import followed
from libs.runtime.tests.followed import TOPIC
from services.notifications.app import FOLLOWER
from services.notifications.consumer import TYPES, handler
from services.notifications.policy import TOLD
from services.notifications.settings import NotificationsSettings

SOURCE = f"notifications:{TOPIC}"
PLACED = EXAMPLES["jejak.orders.OrderPlaced.v1"]
SELLER = json.loads(PLACED.to_json())["seller"]
KEYS = {SELLER: "key-of-one-0123456789", "seller-2": "key-of-other-0123456789"}
PARTS = (orders.GoodsPart(line="l1", sku="RED", quantity=1),)


record = partial(followed.record, "notifications")


HISTORY = [
    record(0, "A", 1, PLACED),
    record(1, "A", 2, orders.OrderConfirmed(implied=True, actor="CHANNEL")),
    record(2, "B", 1, PLACED),
    record(3, "A", 3, orders.ReturnStarted(implied=True, actor="CHANNEL", package=None, parts=PARTS)),
    record(4, "A", 4, orders.ReturnReceived(implied=False, actor="CHANNEL", package=None, parts=PARTS)),
    record(
        5,
        "B",
        2,
        orders.OrderCancelled(implied=False, actor="CHANNEL", parts=PARTS, by="BUYER", accepted=True),
    ),
]


@pytest.fixture
def migrated(database: str) -> str:
    FOLLOWER.migrate(database)
    return database


@pytest_asyncio.fixture
async def pool(migrated: str) -> AsyncIterator[AsyncPool]:
    async with followed.opened_pool(FOLLOWER, migrated) as opened:
        yield opened


@pytest.fixture
def client(pool: AsyncPool, migrated: str) -> httpx.AsyncClient:
    keys = {name: followed.key(name, secret, scope="notifications:read") for name, secret in KEYS.items()}
    app = followed.follower_app(FOLLOWER, NotificationsSettings, pool, migrated, keys)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://notifications")


async def ask(client: httpx.AsyncClient, path: str, seller: str = SELLER) -> httpx.Response:
    return await client.get(path, headers={"Authorization": f"Bearer {KEYS[seller]}"})


async def due(client: httpx.AsyncClient, query: str = "", seller: str = SELLER) -> list[tuple[str, str]]:
    items = (await ask(client, f"/v1/deliveries{query}", seller)).json()["items"]
    return [(item["event_id"], item["kind"]) for item in items]


@pytest.mark.parametrize("ce_type", sorted(TYPES))
def test_every_example_of_a_type_that_is_read_can_be_read(ce_type: str) -> None:
    assert event_name(ce_type) in TOLD
    assert TYPES[ce_type](EXAMPLES[ce_type].to_json()) is not None


@pytest.mark.connected
async def test_what_the_seller_hears_of_is_due_once_the_latest_first(
    pool: AsyncPool, client: httpx.AsyncClient
) -> None:
    handling = handler(pool, parked_max=10)
    assert dict(await handling.handle(HISTORY, {})) == {"handled": 5, "skipped": 1}
    expected = [
        ("B/2", "ORDER_CANCELLED"),
        ("A/4", "RETURN_RECEIVED"),
        ("B/1", "ORDER_PLACED"),
        ("A/1", "ORDER_PLACED"),
    ]
    assert await due(client) == expected
    assert await due(client, seller="seller-2") == []
    again = [record(10 + each.offset, each.key, n, PLACED) for n, each in ((1, HISTORY[0]), (2, HISTORY[0]))]
    assert dict(await handling.handle(again, {0: 5})) == {"duplicate": 2}
    assert await due(client) == expected


@pytest.mark.connected
async def test_an_event_whose_sequence_was_forgotten_is_still_told_once(
    pool: AsyncPool, client: httpx.AsyncClient, migrated: str
) -> None:
    handling = handler(pool, parked_max=10)
    await handling.handle(HISTORY[:1], {})
    with psycopg.connect(migrated, autocommit=True) as admin:
        admin.execute("DELETE FROM notifications.order_sequences")
    await handling.handle([record(1, "A", 1, PLACED)], {0: 0})
    assert await due(client) == [("A/1", "ORDER_PLACED")]


@pytest.mark.connected
async def test_a_delivery_says_in_two_languages_what_happened_and_nothing_of_a_buyer(
    pool: AsyncPool, client: httpx.AsyncClient
) -> None:
    await handler(pool, parked_max=10).handle(HISTORY[:1], {})
    (item,) = (await ask(client, "/v1/deliveries")).json()["items"]
    number = json.loads(PLACED.to_json())["number"]
    assert item["sentence"] == {
        "en": f"New order {number} from lazada.",
        "id": f"Pesanan baru {number} dari lazada.",
    }
    assert (item["state"], item["recipient"], item["medium"], item["order"]) == (
        "DUE",
        SELLER,
        "DEFAULT",
        "A",
    )
    assert item["happened_at"] == "2026-03-05T08:00:00Z"


@pytest.mark.connected
async def test_deliveries_have_pages_and_filters(pool: AsyncPool, client: httpx.AsyncClient) -> None:
    await handler(pool, parked_max=10).handle(HISTORY, {})
    assert await due(client, "?order=A") == [("A/4", "RETURN_RECEIVED"), ("A/1", "ORDER_PLACED")]
    assert await due(client, "?kind=ORDER_PLACED&order=B") == [("B/1", "ORDER_PLACED")]
    first = (await ask(client, "/v1/deliveries?limit=3")).json()
    assert await due(client, f"?limit=3&cursor={first['next']}") == [("A/1", "ORDER_PLACED")]
    assert (await ask(client, "/v1/deliveries?kind=NOISE")).status_code == 422
    assert (await client.get("/v1/deliveries")).status_code == 401


@pytest.mark.connected
async def test_deliveries_that_wait_for_a_sender_do_not_keep_the_service_from_being_drained(
    pool: AsyncPool, client: httpx.AsyncClient
) -> None:
    await handler(pool, parked_max=10).handle(HISTORY, {})
    assert (await ask(client, "/v1/status")).json() == {
        "service": "notifications",
        "lag_records": 0,
        "unpublished_events": 0,
        "waiting": 0,
        "parked": 0,
    }
