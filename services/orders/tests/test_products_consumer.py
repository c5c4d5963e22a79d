"""Products from the topic, on a real database and through the process: what is fed decides NO_LINKED_PRODUCT."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from libs.events.topics import INVENTORY_PRODUCTS
from libs.runtime.clock import uuid7
from libs.runtime.errors import Fenced
from libs.runtime.parking import Parked
from libs.runtime.postgres import AsyncPool
from libs.runtime.records import Record
from libs.runtime.redrive import FailuresNoted, Selection, redrive
from services.orders.products_consumer import ProductsHandler
from services.orders.tests.placing import OWNER, THEIRS, placement
from services.orders.tests.test_commands_api import client, pool, post, rows
from services.orders.tests.test_commands_process import Orders, orders
from services.orders.tests.test_consumer import SELLER
from services.orders.tests.test_product_links import SOURCE, product
from services.orders.views import waiting_and_parked

__all__ = ["client", "orders", "pool"]

pytestmark = pytest.mark.connected

ANOTHER_SELLER = "another-seller"
FIELDS = "SELECT product, seller, sku, warehouses, position FROM orders.products ORDER BY product"


class Releaser(FailuresNoted):
    """Releases products alone, as the command `redrive` does for their source."""

    def __init__(self, pool: AsyncPool) -> None:
        self.pool = pool
        self.schema = "orders"
        self._handler = ProductsHandler(pool)

    async def release(self, row: Parked) -> str:
        return await self._handler.release(row.record(), row.id)


def fed(offset: int, key: str = "p1", **changed: Any) -> Record:
    return product(offset, key, **{"seller": SELLER, **changed})


def lines(sku: str, warehouse: str = "") -> list[dict[str, Any]]:
    return [{"sku": sku, "name": sku, "quantity": 1, "unit_price": 45_000, "warehouse": warehouse}]


async def placing(client: httpx.AsyncClient, sku: str, warehouse: str = "") -> str:
    """The code that a placement is refused with; nothing where it goes through."""
    answer = await post(client, "/v1/orders", placement(lines=lines(sku, warehouse)))
    return "" if answer.status_code == 201 else str(answer.json()["code"])


async def test_mn_3_of_a_seller_with_products_a_line_names_a_linked_one(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    assert await placing(client, "TEH") == ""
    handler = ProductsHandler(pool)
    outcomes = await handler.handle(
        [fed(0), fed(1, "p2", sku="ROTI", warehouses=[]), fed(2, "p3", seller="s3", sku="TEH")], {}
    )
    assert outcomes == {"handled": 3}
    assert await placing(client, "KOPI") == ""
    assert await placing(client, "KOPI", "G1") == ""
    assert await placing(client, "KOPI", "G2") == "NO_LINKED_PRODUCT"
    assert await placing(client, "ROTI") == "NO_LINKED_PRODUCT"
    assert await placing(client, "TEH") == "NO_LINKED_PRODUCT"
    refused = (await post(client, "/v1/orders", placement(lines=lines("TEH")))).json()
    assert [(each["field"], each["code"]) for each in refused["fields"]] == [("lines.0", "NO_LINKED_PRODUCT")]
    # Another warehouse from now on; then no product of the seller is left, and links are not checked.
    await handler.handle([fed(3, warehouses=["G2"])], {0: 2})
    assert await placing(client, "KOPI", "G2") == ""
    await handler.handle([fed(4, value=None), fed(5, "p2", value=None)], {0: 3})
    assert await placing(client, "TEH") == ""


async def test_mn_3_a_line_that_is_added_names_a_linked_product_too(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    await ProductsHandler(pool).handle([fed(0)], {})
    order = (await post(client, "/v1/orders", placement())).json()["order"]
    path = f"/v1/orders/{order}/commands/edit-order"
    refused = await post(client, path, {"add_lines": lines("TEH")})
    assert (refused.status_code, refused.json()["code"]) == (409, "NO_LINKED_PRODUCT")
    assert (
        await post(client, path, {"add_lines": lines("KOPI"), "allow_backorder": True})
    ).status_code == 200


async def test_mn_3_a_line_that_is_changed_names_a_linked_product_and_warehouse(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    await ProductsHandler(pool).handle([fed(0), fed(1, "p2", sku="TEH", warehouses=["G2"])], {})
    order = (await post(client, "/v1/orders", placement())).json()["order"]
    path = f"/v1/orders/{order}/commands"
    changed: dict[str, Any]
    for changed in ({"sku": "ROTI"}, {"warehouse": "G2"}, {"sku": "TEH", "warehouse": "G1"}):
        body = {"lines": [{"line": "1", **changed}], "allow_backorder": True}
        for door in ("edit-order", "preview-edit"):
            refused = await post(client, f"{path}/{door}", body)
            assert (refused.status_code, refused.json()["code"]) == (409, "NO_LINKED_PRODUCT"), changed
            assert [each["field"] for each in refused.json()["fields"]] == ["lines.0"]
    # Of the line's own product only what is linked now counts, and what the edit leaves is left.
    await ProductsHandler(pool).handle([fed(2, warehouses=["G3"])], {0: 1})
    for changed in ({"warehouse": "G3"}, {"quantity": 1}, {"sku": "TEH", "warehouse": "G2"}):
        body = {"lines": [{"line": "1", **changed}], "allow_backorder": True}
        done = await post(client, f"{path}/edit-order", body)
        assert (done.status_code, done.json().get("events")) == (200, ["OrderEdited"]), done.text


async def test_p2_a_record_that_comes_again_changes_nothing(pool: AsyncPool) -> None:
    handler = ProductsHandler(pool)
    await handler.handle([fed(0), fed(1, warehouses=["G2"]), fed(2, "p2"), fed(3, "p2", value=None)], {})
    kept = await rows(pool, FIELDS)
    assert kept == [("p1", SELLER, "KOPI", ["G2"], 1)]
    for again in ([fed(0)], [fed(2, "p2")], [fed(0), fed(1, warehouses=["G2"])]):
        with pytest.raises(Fenced):
            await handler.handle(again, {})
        with pytest.raises(Fenced):
            await handler.park(again[0], {}, ValueError("It comes again."))
    assert await rows(pool, FIELDS) == kept
    assert await rows(pool, "SELECT FROM orders.parked") == []
    assert await handler.load_positions(SOURCE) == {0: 3}
    # A producer that sends the same once more, as a record of its own, states the same.
    await handler.handle([fed(4, warehouses=["G2"])], {0: 3})
    assert await rows(pool, FIELDS) == [("p1", SELLER, "KOPI", ["G2"], 4)]


async def test_p5_what_cannot_be_read_parks_and_later_records_of_its_product_wait_behind_it(
    pool: AsyncPool,
) -> None:
    handler = ProductsHandler(pool)
    outcomes = await handler.handle([fed(0, value=b"{"), fed(1), fed(2, "p2")], {})
    assert outcomes == {"parked": 2, "handled": 1}
    assert await handler.handle([fed(3, sku="TEH"), fed(4, ce_type="x")], {0: 2}) == {"parked": 2}
    assert [row[0] for row in await rows(pool, FIELDS)] == ["p2"]
    assert await waiting_and_parked(pool) == (0, 4)
    assert not await handler.parked_too_much(SOURCE)
    assert await ProductsHandler(pool, parked_max=1).parked_too_much(SOURCE)
    still = await redrive(Releaser(pool), Selection(), per_second=10_000)
    assert ([each.reason for each in still.failed], still.outcomes) == (["MALFORMED"], {})
    await rows_changed(pool, "DELETE FROM orders.parked WHERE position = 0")
    report = await redrive(Releaser(pool), Selection(), per_second=10_000)
    assert report.outcomes == {"handled": 2, "skipped": 1}
    assert (await rows(pool, FIELDS))[0] == ("p1", SELLER, "TEH", ["G1"], 3)
    assert await waiting_and_parked(pool) == (0, 0)


async def rows_changed(pool: AsyncPool, statement: str) -> None:
    """What only the owner of the schema may do, as an operator would."""
    async with pool.connection() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute(statement.encode())


@pytest.fixture
async def producer(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    opened = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
    await opened.start()
    yield opened
    await opened.stop()


async def test_mn_3_the_process_reads_products_and_forgets_a_removed_one(
    orders: Orders, producer: AIOKafkaProducer
) -> None:
    key = str(uuid7())

    async def send(record: Record) -> None:
        await producer.send_and_wait(
            INVENTORY_PRODUCTS.name, record.value, key=record.raw_key, headers=list(record.headers)
        )

    async def until(client: httpx.AsyncClient, code: str) -> None:
        async with asyncio.timeout(60):
            while await placing(client, "TEH") != code:
                await asyncio.sleep(0.1)

    base = f"http://127.0.0.1:{orders.port}"
    async with httpx.AsyncClient(
        base_url=base, headers={"authorization": f"Bearer {THEIRS}"}, timeout=30
    ) as client:
        await until(client, "")
        await send(product(0, key, seller=ANOTHER_SELLER))
        await until(client, "NO_LINKED_PRODUCT")
        assert await placing(client, "KOPI") == ""
        client.headers["authorization"] = f"Bearer {OWNER}"
        assert await placing(client, "TEH") == ""
        client.headers["authorization"] = f"Bearer {THEIRS}"
        # Other tests read this topic too, and have no products.
        await send(product(1, key, value=None))
        await until(client, "")
