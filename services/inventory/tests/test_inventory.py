"""Inventory whole: public events in, ledger and figures kept, answered over HTTP (IV-02, IV-08, MV-02)."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

import httpx
import psycopg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI

from libs.events import orders
from libs.events.examples import EXAMPLES
from libs.events.wire import PublicEvent
from libs.runtime.clock import now, uuid7
from libs.runtime.consumption import BatchConsumer, Outcomes
from libs.runtime.kafka import KafkaSettings, make_broker
from libs.runtime.postgres import AsyncPool
from libs.runtime.records import Record
from libs.runtime.tests import followed
from libs.runtime.tests.followed import TOPIC
from libs.runtime.tests.topics import made
from libs.runtime.transactional import TransactionalHandler
from services.inventory.app import FOLLOWER
from services.inventory.consumer import TYPES, handler
from services.inventory.invariants import violations
from services.inventory.settings import InventorySettings

SOURCE = f"inventory:{TOPIC}"
SELLER, OTHER = "seller-1", "seller-2"
KEYS = {
    SELLER: "key-of-one-0123456789",
    OTHER: "key-of-other-0123456789",
    "narrow": "key-of-narrow-0123456789",
}


def line(name: str, sku: str, quantity: int) -> orders.Line:
    return orders.Line(
        line=name, product="", variant="", sku=sku, name="", quantity=quantity, unit_price=100, discount=0
    )


def part(name: str, quantity: int) -> orders.GoodsPart:
    return orders.GoodsPart(line=name, sku="", quantity=quantity)


def placed(*lines: orders.Line, seller: str = SELLER) -> PublicEvent:
    return orders.OrderPlaced(
        implied=False, actor="CHANNEL", number="LZ-1", source="CHANNEL", seller=seller, channel="lazada",
        site="id", shop="1", marketplace_number="1", reference="1", payment_method="COD", currency="IDR",
        total=100, discount=0, shipping_fee=0, insurance_fee=0, other_fees=0, lines=lines, city="",
        province="", courier="", service="", warehouse="",
    )  # fmt: skip


def picked_up(*parts: orders.GoodsPart) -> PublicEvent:
    return orders.PackagePickedUp(implied=False, actor="CHANNEL", package=None, parts=parts)


def cancelled(*parts: orders.GoodsPart) -> PublicEvent:
    return orders.OrderCancelled(implied=False, actor="CHANNEL", parts=parts, by=None, accepted=False)


def some_cancelled(*parts: orders.GoodsPart) -> PublicEvent:
    return orders.LinesCancelled(implied=False, actor="CHANNEL", parts=parts, by=None, accepted=False)


record = partial(followed.record, "inventory")


def records(*events: tuple[str, PublicEvent]) -> list[Record]:
    """The events one after the other on one partition, each numbered within its order."""
    counted: dict[str, int] = {}
    made = []
    for offset, (order, event) in enumerate(events):
        counted[order] = counted.get(order, 0) + 1
        made.append(record(offset, order, counted[order], event))
    return made


HISTORY = records(
    ("A", placed(line("a1", "RED", 2), line("a2", "BLUE", 1))),
    ("B", placed(line("b1", "RED", 3))),
    ("A", orders.OrderConfirmed(implied=True, actor="CHANNEL")),
    ("A", picked_up(part("a1", 2))),
    ("B", some_cancelled(part("b1", 1))),
    ("C", placed(line("c1", "", 4), seller=OTHER)),
    ("A", cancelled(part("a1", 2), part("a2", 1))),
    ("B", picked_up(part("b1", 2))),
)


@pytest.fixture
def migrated(database: str) -> str:
    FOLLOWER.migrate(database)
    assert FOLLOWER.migrate(database) == []
    return database


@pytest_asyncio.fixture
async def pool(migrated: str) -> AsyncIterator[AsyncPool]:
    async with followed.opened_pool(FOLLOWER, migrated) as opened:
        yield opened


@pytest.fixture
def app(pool: AsyncPool, migrated: str) -> FastAPI:
    keys = {name: followed.key(name, secret, scope="inventory:read") for name, secret in KEYS.items()}
    keys["narrow"] = followed.key("narrow", KEYS["narrow"], seller=SELLER, scope="orders:read")
    return followed.follower_app(FOLLOWER, InventorySettings, pool, migrated, keys)


@pytest.fixture
def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://inventory")


async def ask(client: httpx.AsyncClient, path: str, seller: str = SELLER) -> httpx.Response:
    return await client.get(path, headers={"Authorization": f"Bearer {KEYS[seller]}"})


async def figures(client: httpx.AsyncClient, seller: str = SELLER) -> dict[str, tuple[int, int]]:
    items = (await ask(client, "/v1/stock", seller)).json()["items"]
    return {item["sku"]: (item["reserved"], item["shipped"]) for item in items}


async def broken(pool: AsyncPool) -> list[str]:
    async with pool.connection() as connection:
        return [each.sentence for each in await violations(connection)]


@pytest.mark.parametrize("ce_type", sorted(TYPES))
def test_every_example_of_a_type_that_is_read_can_be_read(ce_type: str) -> None:
    assert TYPES[ce_type](EXAMPLES[ce_type].to_json()) is not None


def test_every_type_that_is_read_is_public() -> None:
    assert set(TYPES) <= {event.ce_type() for event in orders.EVENTS.values()}


@pytest.mark.connected
async def test_the_figures_are_what_the_history_comes_to(pool: AsyncPool, client: httpx.AsyncClient) -> None:
    outcomes = await handler(pool, parked_max=10).handle(HISTORY, {})
    assert dict(outcomes) == {"handled": 7, "skipped": 1}
    assert await figures(client) == {"BLUE": (0, 0), "RED": (0, 4)}
    assert await figures(client, OTHER) == {}
    assert await broken(pool) == []


@pytest.mark.connected
@pytest.mark.parametrize("batch", [1, 3])
async def test_batches_of_any_size_and_every_repeat_come_to_the_same(
    pool: AsyncPool, client: httpx.AsyncClient, batch: int
) -> None:
    handling = handler(pool, parked_max=10)
    await handle_all(handling, HISTORY, batch)
    repeated = [
        Record(SOURCE, TOPIC, 0, 100 + each.offset, each.key, each.raw_key, each.headers, each.value, now())
        for each in HISTORY
    ]
    outcomes = await handling.handle(repeated, {0: HISTORY[-1].offset})
    assert dict(outcomes) == {"duplicate": 8}
    assert await figures(client) == {"BLUE": (0, 0), "RED": (0, 4)}
    assert await broken(pool) == []


async def handle_all(handling: TransactionalHandler, history: Sequence[Record], batch: int) -> None:
    for begin in range(0, len(history), batch):
        some = history[begin : begin + batch]
        await handling.handle(some, {0: begin - 1} if begin else {})


@pytest.mark.connected
async def test_a_cause_whose_sequence_was_forgotten_still_writes_once(
    pool: AsyncPool, client: httpx.AsyncClient, migrated: str
) -> None:
    handling = handler(pool, parked_max=10)
    await handling.handle(HISTORY[:2], {})
    with psycopg.connect(migrated, autocommit=True) as admin:
        admin.execute("DELETE FROM inventory.order_sequences")
        admin.execute("DELETE FROM inventory.order_lines")
    await handling.handle([record(9, "B", 1, placed(line("b1", "RED", 3)))], {0: 1})
    assert await figures(client) == {"BLUE": (1, 0), "RED": (5, 0)}


@pytest.mark.connected
async def test_two_consumers_that_touch_the_same_skus_do_not_lose_a_unit(
    pool: AsyncPool, client: httpx.AsyncClient
) -> None:
    skus = [f"S{number}" for number in range(20)]
    both = [
        [
            record(n, f"{p}-{n}", 1, placed(line("1", sku, 1), line("2", skus[-1 - n], 1)), partition=p)
            for n, sku in enumerate(skus if p else reversed(skus))
        ]
        for p in (0, 1)
    ]
    await asyncio.gather(*(handler(pool, parked_max=10).handle(batch, {}) for batch in both))
    assert await figures(client) == dict.fromkeys(skus, (4, 0))
    assert await broken(pool) == []


@pytest.mark.connected
async def test_a_figure_is_explained_by_movements_that_name_their_events(
    pool: AsyncPool, client: httpx.AsyncClient
) -> None:
    await handler(pool, parked_max=10).handle(HISTORY, {})
    first = (await ask(client, "/v1/stock/RED/movements?limit=3")).json()
    second = (await ask(client, f"/v1/stock/RED/movements?limit=3&cursor={first['next']}")).json()
    assert second["next"] is None
    told = [(each["event"], each["kind"], each["quantity"]) for each in first["items"] + second["items"]]
    assert told == [
        ("A/1", "RESERVED", 2),
        ("B/1", "RESERVED", 3),
        ("A/3", "SHIPPED", 2),
        ("B/2", "RELEASED", 1),
        ("B/3", "SHIPPED", 2),
    ]
    assert (await ask(client, "/v1/stock/RED/movements", OTHER)).json() == {"items": [], "next": None}


@pytest.mark.connected
async def test_the_list_of_stock_has_pages_and_a_filter(pool: AsyncPool, client: httpx.AsyncClient) -> None:
    event = placed(*(line(str(number), f"T/{number}", number + 1) for number in range(5)))
    await handler(pool, parked_max=10).handle(records(("A", event)), {})
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = (await ask(client, f"/v1/stock?limit=2&cursor={cursor}")).json()
        seen += [item["sku"] for item in answer["items"]]
        cursor = answer["next"]
    assert seen == [f"T/{number}" for number in range(5)]
    one = (await ask(client, "/v1/stock?sku=T/3")).json()["items"]
    assert [(item["sku"], item["reserved"]) for item in one] == [("T/3", 4)]
    assert len((await ask(client, "/v1/stock/T/3/movements")).json()["items"]) == 1


@pytest.mark.connected
async def test_only_a_key_with_the_scope_may_ask(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/stock")).status_code == 401
    assert (await ask(client, "/v1/stock", "narrow")).status_code == 403
    assert (await ask(client, "/v1/stock?cursor=%25")).status_code == 422
    assert (await ask(client, "/v1/stock?limit=501")).status_code == 422


@pytest.mark.connected
async def test_status_counts_what_is_parked(pool: AsyncPool, client: httpx.AsyncClient) -> None:
    await handler(pool, parked_max=10).handle([HISTORY[3], HISTORY[6]], {})
    assert (await ask(client, "/v1/status")).json() == {
        "service": "inventory",
        "lag_records": 0,
        "unpublished_events": 0,
        "waiting": 0,
        "parked": 2,
    }


@pytest.mark.connected
async def test_the_ledger_is_append_only_and_a_wrong_figure_is_found(pool: AsyncPool, migrated: str) -> None:
    await handler(pool, parked_max=10).handle(HISTORY[:2], {})
    async with pool.connection() as connection:
        for statement in ("UPDATE inventory.movements SET units = 9", "DELETE FROM inventory.movements"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement.encode())
    with psycopg.connect(migrated, autocommit=True) as admin:
        admin.execute("UPDATE inventory.stock_levels SET reserved_units = 9 WHERE sku = 'RED'")
        admin.execute("UPDATE inventory.order_lines SET open_units = 0 WHERE sku = 'BLUE'")
    assert await broken(pool) == [
        "The figures say 9 reserved and 0 shipped, the ledger 5 and 0.",
        "The figures say 1 reserved, the open lines 0.",
        "The figures say 9 reserved, the open lines 5.",
    ]


@pytest.mark.connected
async def test_what_stands_on_the_topic_becomes_stock(
    pool: AsyncPool, client: httpx.AsyncClient, kafka: str
) -> None:
    topic = f"test.{uuid7().hex}"
    settings = KafkaSettings(bootstrap_servers=kafka)
    broker = make_broker(settings, client_id="test")
    telling = _Telling(handler(pool, parked_max=10), HISTORY[-1].offset)
    BatchConsumer(broker, settings, topic=topic, group=topic, handler=telling)
    async with made(kafka, topic):
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            for each in HISTORY:
                await producer.send_and_wait(topic, each.value, each.raw_key, headers=list(each.headers))
        await broker.start()
        try:
            await telling.done.wait()
        finally:
            await broker.stop()
    assert await figures(client) == {"BLUE": (0, 0), "RED": (0, 4)}
    assert await broken(pool) == []


class _Telling:
    """The handler, telling when it has handled up to an offset."""

    def __init__(self, inner: TransactionalHandler, until: int) -> None:
        self._inner = inner
        self._until = until
        self.done = asyncio.Event()
        self.load_positions = inner.load_positions
        self.park = inner.park
        self.parked_too_much = inner.parked_too_much

    async def handle(self, records: Sequence[Record], stored: Mapping[int, int]) -> Outcomes:
        outcomes = await self._inner.handle(records, stored)
        if records[-1].offset >= self._until:
            self.done.set()
        return outcomes
