"""Who reads which order, and readings that have at least a position, over HTTP (18.2, LS-5)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.clock import uuid7
from libs.runtime.health import Health
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from services.orders import positions
from services.orders.api import routes
from services.orders.app import migrate_orders
from services.orders.commands_api import command_routes
from services.orders.concluding import Decider
from services.orders.contact import Contacts, contact_routes
from services.orders.dispatch import Dispatcher
from services.orders.holds import HoldKeys
from services.orders.projector import Projector
from services.orders.registry.doors import Doors
from services.orders.registry.first_sight import CustomerRegister
from services.orders.registry.list_routes import customer_routes
from services.orders.surroundings import SellerTermsReader
from services.orders.tests.placing import INTAKE, KEYS, OWNER, THEIRS, key_of, placement
from services.orders.tests.test_buyers import buyers_in
from services.orders.tests.test_consumer import SELLER
from services.orders.views import OrderViews
from services.orders.writer import GroupWriter

pytestmark = pytest.mark.connected

# Two keys of one landing page, and the storefront of the same seller.
PAGE, SAME_PAGE, STOREFRONT = "key-page", "key-page-anew", "key-storefront"
DOORS = (
    key_of(PAGE, SELLER, "intake", role="INTAKE", stands_for="page-1"),
    key_of(SAME_PAGE, SELLER, "intake", role="INTAKE", stands_for="page-1"),
    key_of(STOREFRONT, SELLER, "intake", role="INTAKE"),
    key_of("key-of-their-page", "another-seller", "intake", role="INTAKE", stands_for="page-1"),
)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@pytest.fixture
async def client(pool: AsyncPool) -> AsyncIterator[httpx.AsyncClient]:
    async def status() -> Status:
        return Status(0, 0, 0, 0)

    app = make_api("orders", ApiKeys([*KEYS, *DOORS]), health=Health("orders"), status=status)
    buyers, writer = buyers_in(pool), GroupWriter(pool)
    decider = Decider(SellerTermsReader(pool), HoldKeys([]), buyers)
    app.include_router(command_routes(Dispatcher(pool, writer, decider)))
    app.include_router(routes(OrderViews(pool, buyers)))
    app.include_router(contact_routes(Contacts(pool, buyers)))
    app.include_router(customer_routes(Doors(pool)))
    running = asyncio.create_task(writer.run())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        yield opened
    running.cancel()


async def place(client: httpx.AsyncClient, key: str, **changed: Any) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {key}", "idempotency-key": str(uuid7())}
    answer = await client.post("/v1/orders", json=placement(**changed), headers=headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get(client: httpx.AsyncClient, key: str, path: str, **query: str) -> httpx.Response:
    return await client.get(path, params=query, headers={"authorization": f"Bearer {key}"})


async def test_an_intake_caller_reads_the_state_of_the_orders_that_it_placed(
    client: httpx.AsyncClient,
) -> None:
    order = (await place(client, PAGE, source="LANDING_PAGE"))["order"]
    path = f"/v1/orders/{order}"
    for key in (PAGE, SAME_PAGE):
        answer = await get(client, key, path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["etag"] == '"1"'
        shown = answer.json()
        assert (shown["headline"], shown["money"]["total"]) == ("NEW", 108_000)
        assert "columns" not in shown
        assert all(word not in answer.text for word in ("Sari", "8123456789", "Mawar"))


async def test_an_intake_caller_reads_no_other_order_and_nothing_else(client: httpx.AsyncClient) -> None:
    order = (await place(client, PAGE, source="LANDING_PAGE"))["order"]
    by_hand = (await place(client, OWNER))["order"]
    path = f"/v1/orders/{order}"
    for key, wanted in ((STOREFRONT, order), (INTAKE, order), (PAGE, by_hand)):
        refused = await get(client, key, f"/v1/orders/{wanted}")
        assert (refused.status_code, refused.json()["code"]) == (403, "NOT_PERMITTED"), key
    for key in (THEIRS, "key-of-their-page"):
        absent = await get(client, key, path)
        assert (absent.status_code, absent.json()["code"]) == (404, "ORDER_NOT_FOUND"), "RF-4"
    for more in ("/timeline", "/explain", "/events", "/contact?purpose=shipping"):
        assert (await get(client, PAGE, f"{path}{more}")).status_code == 403, more
    for door in ("/v1/orders", "/v1/events", "/v1/parked", "/v1/seller/customers"):
        assert (await get(client, PAGE, door)).status_code == 403, door
    assert (await get(client, OWNER, path)).json()["columns"]["ID Pesanan"]


async def test_ls_5_what_reads_the_store_has_every_position_that_is_in_it(client: httpx.AsyncClient) -> None:
    placed = await place(client, OWNER)
    path = f"/v1/orders/{placed['order']}"
    for more in ("", "/timeline", "/explain", "/events", "/contact"):
        asked = {"purpose": "shipping"} if more == "/contact" else {}
        there = await get(client, OWNER, f"{path}{more}", min_position=placed["position"], **asked)
        assert there.status_code == 200, f"{more}: {there.text}"
        beyond = await get(client, OWNER, f"{path}{more}", min_position="99", **asked)
        assert (beyond.status_code, beyond.json()["code"]) == (503, "POSITION_NOT_REACHED"), more
        assert beyond.headers["retry-after"] == "1"
        wrong = await get(client, OWNER, f"{path}{more}", min_position="later", **asked)
        assert [each["field"] for each in wrong.json()["fields"]] == ["min_position"], more


async def test_ls_5_what_follows_the_store_is_waited_for(
    client: httpx.AsyncClient, pool: AsyncPool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await place(client, OWNER)
    doors: dict[str, Projector | CustomerRegister] = {
        "/v1/events": Projector(pool, database, Bell(database, "orders_events")),
        "/v1/seller/customers": CustomerRegister(pool, database, Bell(database, "orders_events")),
    }
    for door, follower in doors.items():
        monkeypatch.setattr(positions, "POSITION_SECONDS_MAX", 0.05)
        late = await get(client, OWNER, door, min_position=placed["position"])
        assert (late.status_code, late.json()["code"]) == (503, "POSITION_NOT_REACHED"), door
        monkeypatch.setattr(positions, "POSITION_SECONDS_MAX", 20.0)
        asking = asyncio.create_task(get(client, OWNER, door, min_position=placed["position"]))
        await asyncio.sleep(0)
        while await follower.step():
            pass
        found = (await asking).json()["items"]
        assert len(found) == 1, door
    one = f"/v1/seller/customers/{found[0]['buyer']}"
    assert (await get(client, OWNER, one, min_position=placed["position"])).status_code == 200
    monkeypatch.setattr(positions, "POSITION_SECONDS_MAX", 0.05)
    assert (await get(client, OWNER, one, min_position="99")).status_code == 503
