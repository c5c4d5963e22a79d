"""Actions out and their ends in, on a real database and through the process: once each, in turn, never lost."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from libs.events.actions import OrderActionEnded, OrderActionRequested, OrderReadRequested
from libs.events.envelope import Envelope, from_headers, to_headers
from libs.events.topics import CHANNELS_ACTIONS, CHANNELS_ORDERS, ORDERS_ACTIONS, ORDERS_ANSWERS
from libs.events.upcasts import read
from libs.runtime.clock import uuid7
from libs.runtime.errors import Fenced
from libs.runtime.outbox import OutboxSource
from libs.runtime.parking import Parked
from libs.runtime.postgres import AsyncPool, Bell
from libs.runtime.records import Record, unframe_headers
from libs.runtime.redrive import FailuresNoted, Selection, redrive
from services.orders.action_ends_consumer import ActionEndsHandler
from services.orders.consumer import FactsHandler
from services.orders.projector import Projector
from services.orders.rebuild import Rebuild
from services.orders.recorder import EVENTS_CHANNEL
from services.orders.store import order_id_of
from services.orders.tests import test_commands_consumer as commands
from services.orders.tests.placing import OWNER
from services.orders.tests.test_commands_api import client, pool, post, rows
from services.orders.tests.test_commands_process import Orders, orders
from services.orders.tests.test_consumer import CONNECTION, SELLER, Log, fact, placed

__all__ = ["client", "orders", "pool"]

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

SOURCE, TOPIC = "orders:channels.actions.v1", "channels.actions.v1"
AT = datetime(2026, 3, 5, 9, tzinfo=UTC)
ORDER = order_id_of(CONNECTION, "1")


class Releaser(FailuresNoted):
    """Releases ends alone, as the command `redrive` does for their source."""

    def __init__(self, pool: AsyncPool) -> None:
        self.pool = pool
        self.schema = "orders"
        self._handler = ActionEndsHandler(pool)

    async def release(self, row: Parked) -> str:
        return await self._handler.release(row.record(), row.id)


def end(
    offset: int,
    action: str,
    outcome: str = "SUCCEEDED",
    *,
    order: UUID = ORDER,
    ce_type: str = OrderActionEnded.ce_type(),
    value: bytes | None = b"",
    **told: Any,
) -> Record:
    body = {"action_id": f"{order}/{action}", "outcome": outcome, "ended_at": AT.isoformat(), **told}
    envelope = Envelope(
        id=f"end-{order}-{action}-{offset}",
        type=ce_type,
        source="/jejak/channels",
        subject=str(order),
        time=AT.isoformat(),
    )
    given = json.dumps(body).encode() if value == b"" else value
    key = str(order)
    return Record(SOURCE, TOPIC, 0, offset, key, key.encode(), tuple(to_headers(envelope)), given, AT)


async def sold(pool: AsyncPool) -> None:
    """A confirmed order of Lazada."""
    log = Log()
    told = [placed("1"), fact("OrderConfirmed", "1", minute=5, status="packed")]
    assert await FactsHandler(pool).handle([log.record(each) for each in told], {}) == {"handled": 2}


async def told(client: httpx.AsyncClient, command: str, body: Any = None) -> dict[str, Any]:
    answer = await post(client, f"/v1/orders/{ORDER}/commands/{command}", body)
    shown: dict[str, Any] = answer.json()
    return shown


async def out(pool: AsyncPool) -> list[OrderActionRequested]:
    """What is on its way to the marketplace; every record is as the contract says."""
    found = []
    kept = await rows(pool, "SELECT topic, key, headers, value FROM orders.outbox ORDER BY id")
    for topic, key, headers, value in kept:
        envelope = from_headers(unframe_headers(headers))
        event = read(envelope.type, value)
        assert isinstance(event, OrderActionRequested)
        assert json.loads(event.to_json()) == json.loads(value)
        assert (topic, key, envelope.id) == (ORDERS_ACTIONS.name, str(ORDER), event.id)
        assert envelope.subject == key
        found.append(event)
    return found


async def stored(pool: AsyncPool) -> list[str]:
    found = await rows(pool, f"SELECT name FROM orders.events WHERE stream_id = '{ORDER}' ORDER BY version")
    return [name.removesuffix(".v1") for (name,) in found]


async def test_ma_2_an_action_is_stored_and_goes_out_in_one_append_and_the_same_key_sends_none(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    await sold(pool)
    path = f"/v1/orders/{ORDER}/commands/mark-ready"
    first = await post(client, path, idempotency_key="k1")
    assert first.json()["events"] == ["ChannelActionRequested"]
    assert first.json()["headline"] == "PAID"
    assert "MarkReady" not in first.json()["allowed"]
    assert (await post(client, path, idempotency_key="k1")).json() == first.json()
    assert (await post(client, path)).json()["code"] == "ACTION_IN_FLIGHT"
    [sent] = await out(pool)
    sequence = first.json()["sequence"]
    assert (sent.id, sent.action, sent.order) == (f"{ORDER}/a{sequence}", "pack", "1")
    assert (sent.seller, sent.connection, sent.channel) == (SELLER, CONNECTION, "lazada")
    assert [(each.line, each.quantity) for each in sent.lines] == [("1-1", 1)]
    assert (await stored(pool))[-1] == "ChannelActionRequested"
    # Another one waits: it is stored, and nothing more goes out.
    assert (await told(client, "cancel-order", {"reason": "10000019"}))["sequence"] == sequence + 1
    assert len(await out(pool)) == 1


async def test_ac_07_the_refusal_tells_each_side_effect(client: httpx.AsyncClient, pool: AsyncPool) -> None:
    await sold(pool)
    refused = await told(client, "cancel-order", {"reason": "10000021"})
    assert refused["code"] == "SIDE_EFFECTS_NOT_ACKNOWLEDGED"
    assert [each["field"] for each in refused["fields"]] == ["side_effects"]
    yes = {"reason": "10000021", "side_effects": ["STOCK_TO_ZERO"]}
    assert (await told(client, "cancel-order", yes))["events"] == ["ChannelActionRequested"]
    assert [each.side_effects for each in await out(pool)] == [("STOCK_TO_ZERO",)]


async def test_commands_of_the_topic_send_the_first_action_beside_their_answers(pool: AsyncPool) -> None:
    await sold(pool)
    log, order = commands.Log(), str(ORDER)
    batch = [
        log.record("MarkReady", order, key="one"),
        log.record("MarkReady", order, key="two"),
        log.record("ShipOrder", order, key="three"),
    ]
    assert await commands.handler_of(pool).handle(batch, {}) == {"handled": 2, "refused": 1}
    kept = await rows(pool, "SELECT topic FROM orders.outbox ORDER BY id")
    assert [topic for (topic,) in kept] == [ORDERS_ACTIONS.name, *[ORDERS_ANSWERS.name] * 3]
    assert (await stored(pool))[-2:] == ["ChannelActionRequested"] * 2


async def test_p6_an_action_is_sent_again_under_its_id_and_by_no_rebuild(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await sold(pool)
    await told(client, "mark-ready")
    source = OutboxSource(pool, "orders")
    # A relay that ends before it has noted what Kafka has, and the one after it.
    first, again = await source.fetch([]), await source.fetch([])
    assert first is not None
    assert again is not None
    [[one], [two]] = first.records, again.records
    assert (one.topic, one.key, one.value, one.headers) == (two.topic, two.key, two.value, two.headers)
    assert one.topic == ORDERS_ACTIONS.name
    await source.done([again.mark])
    projector = Projector(pool, database, Bell(database, EVENTS_CHANNEL))
    while await projector.step():
        pass
    report = await Rebuild(database).run()
    assert (report.orders, report.differences) == (1, 0)
    assert await rows(pool, "SELECT FROM orders.outbox") == []
    assert await rows(pool, "SELECT FROM orders.read_requests") == []


async def test_ma_4_an_end_is_recorded_once_asks_for_a_reading_and_lets_the_next_go(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    await sold(pool)
    packing = f"a{(await told(client, 'mark-ready'))['sequence']}"
    cancelling = f"a{(await told(client, 'cancel-order', {'reason': '10000019'}))['sequence']}"
    handler = ActionEndsHandler(pool)
    assert await handler.handle([end(0, packing, already=True), end(1, packing)], {}) == {"handled": 2}
    assert (await stored(pool)).count("ChannelActionEnded") == 1
    assert [each.id for each in await out(pool)] == [f"{ORDER}/{packing}", f"{ORDER}/{cancelling}"]
    reads = "SELECT connection, external_id, reason FROM orders.read_requests"
    assert await rows(pool, reads) == [(CONNECTION, "1", "ACTION_SUCCEEDED")]
    # The record itself again, and the same news in a record of its own.
    with pytest.raises(Fenced):
        await handler.handle([end(0, packing)], {})
    before = await rows(pool, "SELECT id FROM orders.read_requests")
    assert await handler.handle([end(2, packing, "FAILED")], {0: 1}) == {"handled": 1}
    assert (await stored(pool)).count("ChannelActionEnded") == 1
    refused = end(3, cancelling, "REFUSED", code="700026", text="item status not allowed")
    assert await handler.handle([refused], {0: 2}) == {"handled": 1}
    assert await rows(pool, "SELECT id FROM orders.read_requests") == before, "Only a success has it read."
    assert len(await out(pool)) == 2
    assert await handler.load_positions(SOURCE) == {0: 3}


async def test_an_end_of_an_unknown_action_is_refused_and_holds_up_nothing(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    await sold(pool)
    action = f"a{(await told(client, 'mark-ready'))['sequence']}"
    batch = [end(0, "a99"), end(1, "a1", order=uuid7()), end(2, action), end(3, action, ce_type="x.y.v1")]
    outcomes = await ActionEndsHandler(pool).handle(batch, {})
    assert outcomes == {"refused": 2, "handled": 1, "skipped": 1}
    assert (await stored(pool))[-1] == "ChannelActionEnded"
    assert await rows(pool, "SELECT FROM orders.parked") == []


@pytest.mark.parametrize(
    "changed",
    [
        {"value": b"{"},
        {"value": None},
        {"value": b" " * 70_000},
        {"outcome": "DONE"},
        {"action_id": f"{uuid7()}/a3"},
        {"text": "a\x00b"},
    ],
)
async def test_p5_what_cannot_be_read_parks_and_later_ends_of_its_order_wait_behind_it(
    client: httpx.AsyncClient, pool: AsyncPool, changed: dict[str, Any]
) -> None:
    await sold(pool)
    action = f"a{(await told(client, 'mark-ready'))['sequence']}"
    handler = ActionEndsHandler(pool, parked_max=1)
    other = end(2, "a3", order=uuid7())
    assert await handler.handle([end(0, action, **changed), end(1, action), other], {}) == {
        "parked": 2,
        "refused": 1,
    }
    assert await handler.parked_too_much(SOURCE)
    still = await redrive(Releaser(pool), Selection(), per_second=10_000)
    assert (len(still.failed), still.outcomes) == (1, {})
    async with pool.connection() as connection:
        # What only the owner of the schema may do, as an operator would.
        await connection.execute("RESET ROLE")
        await connection.execute("DELETE FROM orders.parked WHERE position = 0")
    report = await redrive(Releaser(pool), Selection(), per_second=10_000)
    assert report.outcomes == {"handled": 1}
    assert (await stored(pool))[-1] == "ChannelActionEnded"
    assert await rows(pool, "SELECT FROM orders.parked") == []


async def test_a_command_meanwhile_has_the_end_decided_again(
    client: httpx.AsyncClient, pool: AsyncPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sold(pool)
    action = f"a{(await told(client, 'mark-ready'))['sequence']}"

    class Meanwhile(ActionEndsHandler):
        """Lets a command go first, once, between the decision and the append."""

        went = False

        async def _append(self, batch: Any) -> bool:
            if not self.went:
                self.went = True
                assert (await told(client, "cancel-order", {"reason": "1"}))["events"]
            return await super()._append(batch)

    assert await Meanwhile(pool).handle([end(0, action)], {}) == {"handled": 1}
    assert (await stored(pool))[-2:] == ["ChannelActionRequested", "ChannelActionEnded"]
    assert [each.action for each in await out(pool)] == ["pack", "cancel"]


@pytest.fixture
async def producer(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    opened = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
    await opened.start()
    yield opened
    await opened.stop()


class Actions:
    """Reads orders.actions.v1 from where it ended, and keeps what is about one order, each id once."""

    def __init__(self, kafka: str, order: UUID) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
        self._key = str(order).encode()
        self.heard: list[Any] = []
        self._ids: set[str] = set()

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        partitions = [TopicPartition(ORDERS_ACTIONS.name, n) for n in range(ORDERS_ACTIONS.partitions)]
        self._consumer.assign(partitions)
        for partition, offset in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, offset)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def until(self, count: int) -> list[Any]:
        """What was heard so far, as soon as it is this many."""
        async with asyncio.timeout(60):
            while len(self.heard) < count:
                for records in (await self._consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        envelope = from_headers(record.headers)
                        if record.key == self._key and envelope.id not in self._ids:
                            self._ids.add(envelope.id)
                            self.heard.append(read(envelope.type, record.value))
        return self.heard


async def test_an_action_goes_out_by_kafka_and_its_end_has_the_order_read_and_lets_the_next_go(
    orders: Orders, producer: AIOKafkaProducer, kafka: str
) -> None:
    number = uuid7().hex
    order = order_id_of(CONNECTION, number)
    log = Log()

    async def send(topic: str, record: Record) -> None:
        await producer.send_and_wait(topic, record.value, key=record.raw_key, headers=list(record.headers))

    for body in (placed(number), fact("OrderConfirmed", number, minute=5, status="packed")):
        await send(CHANNELS_ORDERS.name, log.record(body, ce_id=f"{number}-{body['type']}".encode()))
    base = f"http://127.0.0.1:{orders.port}"
    headers = {"authorization": f"Bearer {OWNER}"}
    async with (
        httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as client,
        Actions(kafka, order) as actions,
    ):

        async def shown(wanted: Any) -> dict[str, Any]:
            async with asyncio.timeout(60):
                while True:
                    answer = await client.get(f"/v1/orders/{order}")
                    if answer.status_code == 200 and wanted(answer.json()):
                        told: dict[str, Any] = answer.json()
                        return told
                    await asyncio.sleep(0.05)

        async def listed(flag: str) -> None:
            async with asyncio.timeout(60):
                while True:
                    found = (await client.get("/v1/orders", params={"flag": flag, "limit": 500})).json()
                    if str(order) in [each["id"] for each in found["items"]]:
                        return
                    await asyncio.sleep(0.05)

        await shown(lambda each: each["headline"] == "PAID")
        for command, body in (("mark-ready", {}), ("ship-order", {})):
            answer = await post(client, f"/v1/orders/{order}/commands/{command}", body)
            assert answer.json()["events"] == ["ChannelActionRequested"], answer.text
        await listed("ACTION_PENDING")
        [packing] = await actions.until(1)
        assert isinstance(packing, OrderActionRequested)
        assert packing.action == "pack"
        pending = await shown(lambda _: True)
        assert [each["state"] for each in pending["actions"]] == ["REQUESTED", "WAITING"]
        action = packing.id.partition("/")[2]
        for offset in (0, 1):
            await send(CHANNELS_ACTIONS.name, end(offset, action, order=order))
        heard = await actions.until(3)
        assert {type(each) for each in heard[1:]} == {OrderActionRequested, OrderReadRequested}
        asked = next(each for each in heard if isinstance(each, OrderReadRequested))
        assert (asked.reason, asked.order) == ("ACTION_SUCCEEDED", number)
        shipping = next(each for each in heard[1:] if isinstance(each, OrderActionRequested))
        assert shipping.action == "ready_to_ship"
        refused = end(2, shipping.id.partition("/")[2], "REFUSED", order=order, code="700026", text="Not now")
        await send(CHANNELS_ACTIONS.name, refused)
        over = await shown(lambda each: each["flags"] == ["ACTION_FAILED"])
        assert [(each["state"], each["code"], each["text"]) for each in over["actions"]] == [
            ("SUCCEEDED", None, None),
            ("REFUSED", "700026", "Not now"),
        ]
        assert over["headline"] == "PAID"
        assert {"MarkReady", "ShipOrder"} <= set(over["allowed"])
        await listed("ACTION_FAILED")
        timeline = (await client.get(f"/v1/orders/{order}/timeline")).json()["items"][-4:]
        assert [(each["event"], each["action"]["outcome"]) for each in timeline] == [
            ("ChannelActionRequested", None),
            ("ChannelActionRequested", None),
            ("ChannelActionEnded", "SUCCEEDED"),
            ("ChannelActionEnded", "REFUSED"),
        ]
        assert (timeline[3]["cause"]["reason"], timeline[3]["action"]["text"]) == ("700026", "Not now")
        public = (await client.get(f"/v1/orders/{order}/events")).json()["items"][-1]
        assert public["type"] == "jejak.orders.ChannelActionEnded.v1"
        assert (public["data"]["outcome"], public["data"]["reason"]) == ("REFUSED", "700026")
        assert len(await actions.until(3)) == 3
