"""What becomes of raw messages: published, asked for, skipped or parked, all in one transaction (IN-04, IN-05)."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from libs.runtime.clock import uuid7
from libs.runtime.errors import Transient
from libs.runtime.kafka import Outgoing
from libs.runtime.outbox import OutboxSource
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from libs.runtime.sealing import Sealer
from services.channels import reads
from services.channels.app import migrate_channels
from services.channels.inbox import Inbox
from services.channels.publishing import Shop
from services.channels.shops import Shops
from services.channels.store import OUTBOX_BELL, READS_BELL, Kept, Store, seal_content

pytestmark = pytest.mark.connected

SELLER = UUID("0190a000-0000-7000-8000-000000000001")
LAZADA = Shop(UUID(int=0xAA), SELLER, "lazada", "sg", "1000999001", "Lazada", "ACTIVE")
TOKOPEDIA = Shop(UUID(int=0xBB), SELLER, "tokopedia", "id", "9301177", "Tokopedia", "ACTIVE")
SEAL = Sealer([b"k" * 32])
AT = datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)
SAMPLES = Path(__file__).parent / "samples"


def sample(name: str, **changes: Any) -> bytes:
    found = json.loads((SAMPLES / f"{name}.json").read_text())
    return json.dumps(found | changes).encode()


SHIPPED = sample("lazada/push_trade_05_ready_to_ship")
STATUS = sample("tokopedia/webhook_order_status_450")
CANCEL_REQUEST = sample("tokopedia/webhook_order_request_cancellation")


class Desk:
    """An inbox over a real database, and what a test asks of it."""

    def __init__(self, pool: AsyncPool, dsn: str) -> None:
        self.pool = pool
        self.store = Store(pool, SEAL)
        self.shops = Shops(pool, SEAL)
        self.inbox = Inbox(
            self.store,
            self.shops,
            Bell(dsn, "test"),
            seal_buyer=lambda _plain, subject: f"sealed for {subject}",
            on_batch=lambda: None,
        )

    async def take(
        self, body: bytes, route: str = "lazada.push", *, at: datetime = AT, signed: bool | None = None
    ) -> UUID:
        is_signed = route == "lazada.push" if signed is None else signed
        verdict = "SIGNED" if is_signed else "UNSIGNED"
        app = "123456" if route == "lazada.push" else "15999"
        key = uuid7()
        await self.store.keep(
            [Kept(key, at, route, app, verdict, seal_content(SEAL, key, {}, body))], notify=False
        )
        return key

    async def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            return await (await connection.execute(query.encode(), values)).fetchall()

    async def became(self, message: UUID) -> tuple[str, str | None]:
        ((state, reason),) = await self.ask(
            "SELECT state, reason FROM channels.raw_messages WHERE id = %s", message
        )
        return state, reason

    async def worked(
        self, body: bytes, route: str = "lazada.push", *, at: datetime = AT
    ) -> tuple[str, str | None]:
        message = await self.take(body, route, at=at)
        await self.inbox.work_batch()
        return await self.became(message)

    async def published(self) -> list[dict[str, Any]]:
        chunk = await OutboxSource(self.pool, "channels").fetch([])
        return [] if chunk is None else [json.loads(one.value or b"") for one in chunk.records]

    async def asked(self) -> dict[str, int]:
        return dict(await self.ask("SELECT order_id, generation FROM channels.read_requests"))


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    migrate_channels(database)
    async with make_pool(database, "channels", name="test", size=3) as pool:
        desk = Desk(pool, database)
        await desk.shops.settle([(LAZADA, None, None), (TOKOPEDIA, None, None)])
        yield desk


async def test_in_05_a_signed_push_is_published_at_once_and_its_order_read_as_well(desk: Desk) -> None:
    message = await desk.take(SHIPPED)
    assert await desk.inbox.work_batch() == 1
    assert await desk.became(message) == ("HANDLED", None)
    (fact,) = await desk.published()
    assert fact["type"] == "ShipmentBooked"
    assert fact["raw"] == [str(message)]
    assert fact["connection"] == str(LAZADA.id)
    assert await desk.asked() == {fact["order"]: 1}


async def test_in_05_an_unsigned_notice_only_asks_for_a_reading(desk: Desk) -> None:
    assert await desk.worked(STATUS, "tokopedia.order_status") == ("HANDLED", None)
    assert await desk.published() == []
    assert list(await desk.asked()) == ["1204477310"]


async def test_an_order_is_read_once_for_all_that_wait(desk: Desk) -> None:
    await desk.take(STATUS, "tokopedia.order_status")
    await desk.take(sample("tokopedia/webhook_order_status_500"), "tokopedia.order_status")
    assert await desk.inbox.work_batch() == 2
    assert await desk.asked() == {"1204477310": 1}
    await desk.worked(sample("tokopedia/webhook_order_status_700"), "tokopedia.order_status")
    assert await desk.asked() == {"1204477310": 2}, "A newer request outlives a reading that is under way."


async def test_a_repeat_is_skipped_and_costs_no_reading(desk: Desk) -> None:
    await desk.worked(SHIPPED)
    assert await desk.worked(SHIPPED, at=AT + timedelta(days=30)) == ("SKIPPED", "DUPLICATE")
    assert len(await desk.published()) == 1
    assert list((await desk.asked()).values()) == [1]


async def test_a_repeat_within_one_batch_is_skipped(desk: Desk) -> None:
    first, second = await desk.take(SHIPPED), await desk.take(SHIPPED)
    await desk.inbox.work_batch()
    assert sorted([await desk.became(first), await desk.became(second)]) == [
        ("HANDLED", None),
        ("SKIPPED", "DUPLICATE"),
    ]
    assert len(await desk.published()) == 1


@pytest.mark.parametrize(("minutes", "becomes"), [(9, "SKIPPED"), (10, "HANDLED")])
async def test_tokopedias_repeats_are_such_for_ten_minutes(desk: Desk, minutes: int, becomes: str) -> None:
    await desk.worked(STATUS, "tokopedia.order_status")
    state, _ = await desk.worked(STATUS, "tokopedia.order_status", at=AT + timedelta(minutes=minutes))
    assert state == becomes


async def test_a_request_to_cancel_repeats_only_while_the_earlier_one_waits_to_be_read(desk: Desk) -> None:
    topic = "tokopedia.order_request_cancellation"
    assert await desk.worked(CANCEL_REQUEST, topic) == ("HANDLED", None)
    assert await desk.worked(CANCEL_REQUEST, topic) == ("SKIPPED", "DUPLICATE")
    await desk.ask(
        "UPDATE channels.read_requests SET claim = %s, claimed_until = now() + interval '30 s' RETURNING 1",
        uuid7(),
    )
    assert await desk.worked(CANCEL_REQUEST, topic) == ("HANDLED", None)


async def test_k2_a_notice_without_a_shop_goes_to_the_shop_whose_order_it_was(desk: Desk) -> None:
    other = Shop(UUID(int=0xCC), SELLER, "tokopedia", "id", "9301188", "Second", "ACTIVE")
    await desk.shops.settle([(other, None, None)])
    await desk.ask(
        "INSERT INTO channels.readings VALUES (%s, '1204477310', '', '220', false, %s, now()) RETURNING 1",
        other.id,
        uuid7(),
    )
    await desk.worked(CANCEL_REQUEST, "tokopedia.order_request_cancellation")
    assert await desk.ask("SELECT connection_id FROM channels.read_requests") == [(other.id,)]


@pytest.mark.parametrize(
    ("body", "route", "becomes"),
    [
        (b"{broken", "lazada.push", ("PARKED", "MALFORMED:NOT_JSON")),
        (b"[]", "tokopedia.order_status", ("PARKED", "MALFORMED:WRONG_TYPE")),
        (sample("lazada/push_type06_shallow_stock"), "lazada.push", ("SKIPPED", "OTHER_TYPE")),
        (b'{"message_type": 99, "seller_id": "1000999001"}', "lazada.push", ("SKIPPED", "UNKNOWN_TYPE")),
        (b"{}", "tokopedia.chat_notification", ("SKIPPED", "OTHER_TYPE")),
        (b"{}", "tokopedia.never_heard_of", ("SKIPPED", "UNKNOWN_TYPE")),
        (
            (
                b'{"seller_id": "9999", "message_type": 0, "timestamp": 1, "site": "lazada_sg", "data": '
                b'{"order_status": "This is a test message", "trade_order_id": "123456",'
                b' "trade_order_line_id": "12345", "status_update_time": 1}}'
            ),
            "lazada.push",
            ("SKIPPED", "PROBE"),
        ),
        (
            sample("lazada/push_trade_05_ready_to_ship", seller_id="1000999777"),
            "lazada.push",
            ("PARKED", "UNKNOWN_SHOP"),
        ),
        (
            sample("tokopedia/webhook_order_status_450", shop_id=123),
            "tokopedia.order_status",
            ("PARKED", "UNKNOWN_SHOP"),
        ),
    ],
)
async def test_in_04_every_message_ends_as_one_thing(
    desk: Desk, body: bytes, route: str, becomes: tuple[str, str]
) -> None:
    assert await desk.worked(body, route) == becomes
    assert await desk.published() == []
    assert await desk.asked() == {}


async def test_a_message_that_cannot_be_opened_stops_nobody(desk: Desk) -> None:
    key = uuid7()
    await desk.store.keep([Kept(key, AT, "lazada.push", "123456", "SIGNED", b"changed")], notify=False)
    good = await desk.take(SHIPPED)
    await desk.inbox.work_batch()
    assert await desk.became(key) == ("PARKED", "NOT_OPENED")
    assert await desk.became(good) == ("HANDLED", None)


async def test_in_07_an_unknown_status_is_published_as_such_and_the_order_read(desk: Desk) -> None:
    push = json.loads(SHIPPED)
    push["data"]["order_status"] = "teleported"
    assert await desk.worked(json.dumps(push).encode()) == ("HANDLED", "UNRECOGNISED")
    (fact,) = await desk.published()
    assert (fact["type"], fact["source_status"]) == ("UnknownStatusReported", "teleported")
    assert len(await desk.asked()) == 1


async def test_in_10_a_push_ahead_of_its_receipt_has_the_receipts_time(desk: Desk) -> None:
    push = json.loads(SHIPPED)
    push["data"]["status_update_time"] = int((AT + timedelta(hours=1)).timestamp())
    await desk.worked(json.dumps(push).encode())
    (fact,) = await desk.published()
    assert (fact["occurred_at"], fact["approximate"]) == ("2026-03-05T08:00:00Z", True)


async def test_parked_messages_are_redriven_once_what_failed_is_mended(desk: Desk) -> None:
    body = sample("lazada/push_trade_05_ready_to_ship", seller_id="1000999777")
    message = await desk.take(body)
    await desk.inbox.work_batch()
    other = Shop(UUID(int=0xDD), SELLER, "lazada", "sg", "1000999777", "Late", "ACTIVE")
    await desk.shops.settle([(other, None, None)])

    async def redrive(*, dry_run: bool) -> int:
        return await desk.store.redrive(reason="UNKNOWN_SHOP", message=None, limit=10, dry_run=dry_run)

    assert await redrive(dry_run=True) == 1
    assert await desk.became(message) == ("PARKED", "UNKNOWN_SHOP")
    assert await redrive(dry_run=False) == 1
    desk.shops._loaded_at = float("-inf")
    await desk.inbox.work_batch()
    assert await desk.became(message) == ("HANDLED", None)
    (fact,) = await desk.published()
    assert fact["connection"] == str(other.id)
    assert await redrive(dry_run=False) == 0


async def test_a_batch_that_fails_midway_leaves_everything_as_it_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await desk.take(SHIPPED)

    async def fails(*_: object) -> None:
        raise Transient("The connection is lost here.")

    with monkeypatch.context() as patched:
        patched.setattr(desk.store, "conclude", fails)
        with pytest.raises(Transient):
            await desk.inbox.work_batch()
    assert await desk.became(message) == ("PENDING", None)
    assert await desk.published() == []
    assert await desk.asked() == {}
    await desk.inbox.work_batch()
    assert len(await desk.published()) == 1


async def test_p5_a_message_that_the_database_refuses_stops_only_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = await desk.take(sample("lazada/push_trade_07_delivered"))
    good = await desk.take(SHIPPED)
    keep = desk.store.conclude

    async def refuses(unit: Any, outcomes: Any, *others: Any) -> None:
        if any(outcome.id == poison and outcome.state == "HANDLED" for outcome in outcomes):
            raise ValueError("The database refuses this row.")
        await keep(unit, outcomes, *others)

    monkeypatch.setattr(desk.store, "conclude", refuses)
    assert await desk.inbox.work_batch() == 2
    assert await desk.became(poison) == ("PARKED", "NOT_STORED")
    assert await desk.became(good) == ("HANDLED", None)
    assert len(await desk.published()) == 1


async def test_p5_what_one_table_refuses_of_a_message_is_in_no_other(desk: Desk, database: str) -> None:
    said = json.loads(SHIPPED)["data"]
    poison = await desk.take(
        sample("lazada/push_trade_05_ready_to_ship", data=said | {"trade_order_id": "13"})
    )
    good = await desk.take(SHIPPED)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE channels.read_requests ADD CHECK (order_id <> '13')")
    assert await desk.inbox.work_batch() == 2
    assert await desk.became(poison) == ("PARKED", "NOT_STORED")
    assert await desk.became(good) == ("HANDLED", None)
    assert [fact["raw"] for fact in await desk.published()] == [[str(good)]]
    assert "13" not in await desk.asked()


async def test_who_waits_in_this_process_is_not_notified_as_well(desk: Desk, database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as listener:
        await listener.execute(f"LISTEN {READS_BELL}".encode())
        await listener.execute(f"LISTEN {OUTBOX_BELL}".encode())
        fact = Outgoing("channels.orders.v1", b"1", b"{}", [])
        here = Store(desk.pool, SEAL, hears=lambda bell: bell == READS_BELL)
        for store, rung in ((desk.store, {READS_BELL, OUTBOX_BELL}), (here, {OUTBOX_BELL})):
            async with store.transaction() as unit:
                await store.conclude(unit, [], [fact], reads.asking([(LAZADA.id, "1")]))
            heard = {note.channel async for note in listener.notifies(timeout=60, stop_after=len(rung))}
            assert heard == rung


async def test_old_messages_are_deleted_and_parked_ones_kept(desk: Desk) -> None:
    old = datetime.now(UTC) - timedelta(days=91)
    handled = await desk.take(SHIPPED, at=old)
    parked = await desk.take(b"{broken", at=old)
    unknown = await desk.take(sample("lazada/push_trade_05_ready_to_ship", seller_id="5"), at=old)
    await desk.inbox.work_batch()  # Prunes nothing: the first pruning comes with the first idle moment.
    await desk.store.prune(raw_days=90, unknown_days=7)
    left = {row[0] for row in await desk.ask("SELECT id FROM channels.raw_messages")}
    assert left == {parked}
    assert {handled, unknown}.isdisjoint(left)
