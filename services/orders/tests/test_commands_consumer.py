"""Commands from the topic on a real database: once per key, answered in the same append, each outcome counted."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from joserfc.jwk import ECKey
from pydantic import SecretStr

from libs.runtime.auth import ApiKeys, Callers, Principal
from libs.runtime.clock import now, uuid7
from libs.runtime.errors import Fenced
from libs.runtime.outbox import OutboxSource
from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.records import Record
from libs.runtime.tokens import TokenSigner, TokenVerifier
from services.orders.answers import Answer
from services.orders.app import migrate_orders
from services.orders.commands_consumer import CommandsHandler
from services.orders.concluding import Asked, Decider
from services.orders.dispatch import Dispatcher
from services.orders.holds import HoldKeys
from services.orders.surroundings import SellerTermsReader
from services.orders.tests.placing import KEYS, OWNER, placement
from services.orders.tests.test_consumer import SELLER
from services.orders.writer import GroupWriter

pytestmark = pytest.mark.connected

SOURCE, TOPIC = "orders:orders.commands.v1", "orders.commands.v1"
AT = datetime(2026, 3, 5, 8, tzinfo=UTC)
SIGNER = TokenSigner(
    [SecretStr(json.dumps(ECKey.generate_key("P-256", {"kid": "1"}).as_dict(private=True)))],
    issuer="https://orders.test",
    audience="jejak",
)


def token(*scopes: str, role: str = "AGENT", seller: str = SELLER, at: datetime = AT) -> str:
    caller = Principal("system-7", seller, frozenset(scopes), role)
    signed = SIGNER.sign(caller, frozenset(scopes), token_id="1", at=at, lifetime=timedelta(minutes=15))
    return f"Bearer {signed}"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=6) as opened:
        yield opened


def handler_of(pool: AsyncPool) -> CommandsHandler:
    callers = Callers([ApiKeys(KEYS)], TokenVerifier((), own=SIGNER))
    return CommandsHandler(pool, Decider(SellerTermsReader(pool), HoldKeys([])), callers)


class Log:
    """A partition of the topic, record by record."""

    def __init__(self) -> None:
        self.offset = -1

    def record(
        self,
        name: str,
        order: str,
        body: Any = None,
        *,
        key: str = "",
        authorization: str | None = None,
        at: datetime = AT,
        value: bytes | None = None,
        **headers: bytes | None,
    ) -> Record:
        self.offset += 1
        given: dict[str, bytes | None] = {
            "ce_id": (key or str(uuid7())).encode(),
            "ce_type": f"jejak.orders.{name}.v1".encode(),
            "authorization": (token("orders:write") if authorization is None else authorization).encode(),
            **headers,
        }
        raw = json.dumps({} if body is None else body).encode() if value is None else value
        return Record(SOURCE, TOPIC, 0, self.offset, order, order.encode(), tuple(given.items()), raw, at)


async def rows(pool: AsyncPool, statement: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def answers(pool: AsyncPool) -> list[dict[str, Any]]:
    """What is on its way to the topic of answers, in order."""
    chunk = await OutboxSource(pool, "orders").fetch([])
    found = []
    for record in chunk.records if chunk is not None else ():
        headers = dict(record.headers)
        assert record.topic == "orders.answers.v1"
        assert record.key is not None
        assert record.value is not None
        assert headers["ce_type"] == b"jejak.orders.CommandAnswered.v1"
        assert headers["ce_subject"] == record.key
        causation = headers["ce_causationid"]
        assert causation is not None
        found.append({**json.loads(record.value), "key": record.key.decode(), "asked": causation.decode()})
    return found


async def give(pool: AsyncPool, caller: Principal, command: str, body: Any, key: str, order: UUID) -> Answer:
    """A command by the door of HTTP; a placement has the id that it is given."""
    writer = GroupWriter(pool)
    running = asyncio.create_task(writer.run())
    dispatcher = Dispatcher(pool, writer, Decider(SellerTermsReader(pool), HoldKeys([])))
    asked = Asked(
        command=command,
        order_id=order,
        caller=caller,
        key=key,
        body=json.dumps(body).encode(),
        at=now(),
        names_order=command != "PlaceOrder",
    )
    answer, _ = await dispatcher.answer(asked)
    running.cancel()
    return answer


async def place(pool: AsyncPool) -> str:
    """An order that came in by another door."""
    owner = Principal(OWNER, SELLER, frozenset({"*"}), "OWNER")
    answer = await give(pool, owner, "PlaceOrder", placement(), str(uuid7()), uuid7())
    return str(answer.body["order"])


async def test_gr_14_commands_are_decided_in_order_and_answered_in_the_same_append(pool: AsyncPool) -> None:
    order, log = await place(pool), Log()
    batch = [
        log.record("ConfirmOrder", order, key="one"),
        log.record("ConfirmOrder", order, key="two"),
        log.record("ConfirmPayment", order, {"amount": 8_000}, key="three"),
    ]
    assert await handler_of(pool).handle(batch, {}) == {"handled": 2, "refused": 1}
    found = await answers(pool)
    assert [(each["asked"], each["status"], each["key"]) for each in found] == [
        ("one", 200, order), ("two", 409, order), ("three", 200, order),
    ]  # fmt: skip
    assert [each.get("code") for each in found] == [None, "ALREADY_CONFIRMED", None]
    positions = await rows(pool, "SELECT position::text, version FROM orders.events ORDER BY version")
    by_version = {version: position for position, version in positions}
    for each in (found[0], found[2]):
        assert each["position"] == by_version[each["sequence"]]
        assert set(each) >= {"order", "sequence", "events", "headline", "allowed"}
    assert found[1]["sequence"] == 2
    assert "position" not in found[1]
    assert await rows(pool, "SELECT source, position FROM orders.consumed_positions") == [(SOURCE, 2)]


async def test_gr_4_a_key_that_comes_again_has_its_first_answer_and_no_second_effect(
    pool: AsyncPool,
) -> None:
    order, log = await place(pool), Log()
    once = log.record("ConfirmOrder", order, key="one")
    await handler_of(pool).handle([once, log.record("ConfirmOrder", order, key="one")], {})
    undone = log.record("UnconfirmOrder", order, key="undo")
    again = log.record("ConfirmOrder", order, key="one")
    other = log.record("ConfirmOrder", order, {"actor": "AGENT"}, key="one")
    await handler_of(pool).handle([undone, again, other], {0: 1})
    found = await answers(pool)
    same = [{**each, "asked": ""} for each in found if each["asked"] == "one"]
    assert same[0] == same[1] == same[2]
    assert (same[3]["status"], same[3]["code"]) == (422, "KEY_REUSED")
    # RF-1: a reused key tells what the order is now as well.
    assert (same[3]["headline"], same[3]["sequence"]) == ("NEW", 3)
    assert "ConfirmOrder" in same[3]["allowed"]
    names = [name for (name,) in await rows(pool, "SELECT name FROM orders.events ORDER BY position")]
    assert names.count("OrderConfirmed.v1") == 1


async def test_a_key_is_one_whichever_door_it_comes_by(pool: AsyncPool) -> None:
    """What HTTP has answered is answered again on the topic, and the other way round."""
    order, log = await place(pool), Log()
    caller = Principal("system-7", SELLER, frozenset({"orders:write"}), "AGENT")
    by_http = await give(pool, caller, "ConfirmOrder", {}, "one", UUID(order))
    records = [log.record("ConfirmOrder", order, key="one"), log.record("UnconfirmOrder", order, key="two")]
    assert await handler_of(pool).handle(records, {}) == {"handled": 2}
    by_topic = await answers(pool)
    assert by_topic[0]["sequence"] == by_http.body["sequence"] == 2
    again = await give(pool, caller, "UnconfirmOrder", {}, "two", UUID(order))
    assert again.body["sequence"] == by_topic[1]["sequence"] == 3
    assert len(await rows(pool, "SELECT FROM orders.events")) == 3


async def test_gr_3_the_order_and_the_permission_are_looked_at_before_the_key(pool: AsyncPool) -> None:
    order, log = await place(pool), Log()
    used = log.record("ConfirmOrder", order, key="one")
    await handler_of(pool).handle([used], {})
    nowhere = log.record("ConfirmOrder", str(uuid7()), key="one")
    denied = log.record("HoldOrder", order, key="one", authorization=token("orders:read"))
    await handler_of(pool).handle([nowhere, denied], {0: 0})
    found = [each.get("code") for each in await answers(pool)]
    assert found == [None, "ORDER_NOT_FOUND", "NOT_PERMITTED"]


async def test_the_header_authorization_may_be_the_token_alone(pool: AsyncPool) -> None:
    order, log = await place(pool), Log()
    alone = token("orders:write").removeprefix("Bearer ")
    record = log.record("ConfirmOrder", order, authorization=alone)
    assert await handler_of(pool).handle([record], {}) == {"handled": 1}
    assert [each["headline"] for each in await answers(pool)] == ["CONFIRMED"]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer none",
        f"Bearer {OWNER}",
        OWNER,
        "Basic " + token("orders:write").removeprefix("Bearer "),
        token("orders:write", at=AT - timedelta(hours=1)),
        token("orders:write", at=AT + timedelta(hours=1)),
        token("orders:read"),
        token("orders:write").replace("ey", "ez", 1),
    ],
)
async def test_a_record_without_a_token_good_at_its_time_is_not_permitted(
    pool: AsyncPool, authorization: str
) -> None:
    order, log = await place(pool), Log()
    record = log.record("ConfirmOrder", order, key="one", authorization=authorization)
    assert await handler_of(pool).handle([record], {}) == {"refused": 1}
    assert [(each["status"], each["code"]) for each in await answers(pool)] == [(403, "NOT_PERMITTED")]
    assert len(await rows(pool, "SELECT FROM orders.events")) == 1
    assert await rows(pool, "SELECT key FROM orders.command_keys WHERE key = 'one'") == []


async def test_a_token_that_was_good_when_the_record_was_written_is_good_hours_later(
    pool: AsyncPool,
) -> None:
    order, log = await place(pool), Log()
    record = log.record("ConfirmOrder", order, at=AT + timedelta(minutes=14))
    assert await handler_of(pool).handle([record], {}) == {"handled": 1}


async def test_rf_4_another_sellers_order_is_not_found(pool: AsyncPool) -> None:
    order, log = await place(pool), Log()
    theirs = log.record("ConfirmOrder", order, authorization=token("orders:write", seller="another"))
    await handler_of(pool).handle([theirs, log.record("ConfirmOrder", str(uuid7()))], {})
    assert [each["code"] for each in await answers(pool)] == ["ORDER_NOT_FOUND", "ORDER_NOT_FOUND"]


async def test_what_cannot_be_answered_parks_and_holds_its_order_only(pool: AsyncPool) -> None:
    order, other, log = await place(pool), await place(pool), Log()
    batch = [
        log.record("ConfirmOrder", order, ce_id=b"a b"),
        log.record("ConfirmOrder", order),
        log.record("ConfirmOrder", other),
        log.record("ConfirmOrder", "no id"),
        log.record("LaunchRocket", other),
    ]
    handler = handler_of(pool)
    assert await handler.handle(batch, {}) == {"parked": 3, "handled": 1, "skipped": 1}
    parked = await rows(pool, "SELECT key, reason FROM orders.parked ORDER BY id")
    assert parked == [(order, "HEADER_INVALID"), (order, "BEHIND"), ("no id", "MALFORMED")]
    assert await handler_of(pool).handle([log.record("TagOrder", order, {"add": ["x"]})], {0: 4}) == {
        "parked": 1
    }


async def test_a_body_that_breaks_its_contract_is_answered_and_parks_nothing(pool: AsyncPool) -> None:
    order, log = await place(pool), Log()
    batch = [
        log.record("ConfirmPayment", order, value=b"{"),
        log.record("ConfirmPayment", order, {"amount": "much"}),
        log.record("EditOrder", order, {"recipient": {"name": "In clear"}}),
    ]
    assert await handler_of(pool).handle(batch, {}) == {"refused": 3}
    found = await answers(pool)
    assert [each["code"] for each in found] == ["FIELD_INVALID"] * 3
    assert [each["fields"][0]["field"] for each in found] == ["body", "amount", "recipient"]


async def test_a_consumer_that_lost_its_partition_writes_nothing(pool: AsyncPool) -> None:
    order, log = await place(pool), Log()
    batch = [log.record("ConfirmOrder", order)]
    await handler_of(pool).handle(batch, {})
    with pytest.raises(Fenced):
        await handler_of(pool).handle(batch, {})
    assert len(await answers(pool)) == 1


async def test_a_parked_command_is_decided_once_when_it_is_released(pool: AsyncPool) -> None:
    order, log = await place(pool), Log()
    handler = handler_of(pool)
    record = log.record("ConfirmOrder", order, key="one")
    await handler.park(record, {}, RuntimeError("A fault that has passed since."))
    [(row_id,)] = await rows(pool, "SELECT id FROM orders.parked")
    assert await handler.release(record, row_id) == "handled"
    assert await handler.release(record, row_id) == "gone"
    assert [each["status"] for each in await answers(pool)] == [200]


async def test_gr_13_a_fact_that_fits_is_applied_and_another_recorded(pool: AsyncPool) -> None:
    order, log = await place(pool), Log()
    paid = {"amount": 108_000}
    commands = [("ConfirmOrder", {}), ("ConfirmPayment", paid), ("MarkReady", {}), ("ShipOrder", {})]
    courier = token("facts:courier", role="COURIER")
    facts = [
        ("PackageDelivered", {"occurred_at": "2026-03-05T07:00:00Z"}),
        ("AwbIssued", {"data": {"awb": "JNE123"}, "occurred_at": "2026-03-05T07:10:00Z"}),
        ("PackagePickedUp", {"occurred_at": "2026-03-05T07:20:00Z"}),
    ]
    batch = [log.record(name, order, body) for name, body in commands]
    batch += [log.record(name, order, body, authorization=courier) for name, body in facts]
    batch.append(log.record("PaymentAwaited", order, authorization=courier))
    assert await handler_of(pool).handle(batch, {}) == {"handled": 7, "refused": 1}
    found = await answers(pool)
    assert [each.get("disposition") for each in found[4:7]] == ["CONFLICT", "APPLIED", "APPLIED"]
    assert found[6]["headline"] == "IN_TRANSIT"
    assert found[7]["code"] == "NOT_PERMITTED"


async def test_gr_15_inventory_tells_the_orders_of_every_seller_about_their_stock(pool: AsyncPool) -> None:
    order, log = await place(pool), Log()
    stock = token("facts:stock", role="OPERATOR", seller="")
    short = {"data": {"lines": [{"line": "1", "missing": 1}]}}
    batch = [
        log.record("StockShort", order, short, authorization=stock),
        log.record("StockCovered", order, authorization=token("orders:write")),
        log.record("ConfirmOrder", order, authorization=stock),
        log.record("PackagePickedUp", order, authorization=stock),
    ]
    await handler_of(pool).handle(batch, {})
    found = await answers(pool)
    assert found[0]["events"] == ["StockShort"]
    assert [each["code"] for each in found[1:]] == ["NOT_PERMITTED", "ORDER_NOT_FOUND", "NOT_PERMITTED"]
    actors = await rows(pool, "SELECT state->>'actor' FROM orders.events WHERE name = 'StockShort.v1'")
    assert actors == [("SYSTEM",)]
