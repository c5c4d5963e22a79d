"""Facts from Kafka's bytes to stored events: the five outcomes, waiting, parking in order, fencing, redrive."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import AsyncConnection

from libs.runtime.errors import Fenced
from libs.runtime.parking import Parked
from libs.runtime.postgres import AsyncPool, make_pool
from libs.runtime.records import Record, unframe_headers
from libs.runtime.redrive import Selection, redrive
from services.orders import consumer, housekeeping
from services.orders.app import migrate_orders
from services.orders.consumer import FactsHandler
from services.orders.housekeeping import WaitingSweeper
from services.orders.recorder import Appended, AppendRequest, append
from services.orders.redriving import FactReleaser
from services.orders.store import order_id_of

pytestmark = pytest.mark.connected

SOURCE, TOPIC = "orders:channels.orders.v1", "channels.orders.v1"
CONNECTION = "7b0c8f4e-93d1-5b7e-8a55-0f3d9a2b6c11"
SELLER = "0f6e1b8e-2f5d-5c1a-9a57-3f1f0f6e1b8e"
AT = datetime(2026, 3, 5, 8, tzinfo=UTC)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=4) as opened:
        yield opened


@pytest.fixture
def handler(pool: AsyncPool) -> FactsHandler:
    return FactsHandler(pool)


def fact(
    kind: str, order: str, *, minute: int | None = 0, status: str | None = None, **data: Any
) -> dict[str, Any]:
    return {
        "type": kind, "channel": "lazada", "site": "id", "shop": "1000999001", "order": order,
        "scope": {"order": order},
        "occurred_at": None if minute is None else f"2026-03-05T07:{minute:02}:00Z",
        "approximate": False, "source_status": status, "occurrence": 1, "translator_version": 1,
        "data": data, "seller": SELLER, "connection": CONNECTION, "read_at": None, "raw": [],
    }  # fmt: skip


def placed(order: str) -> dict[str, Any]:
    return fact(
        "OrderPlaced", order, reference=order, payment_method="GATEWAY", currency="IDR", total=50_000,
        discount=0, shipping_fee=0, insurance_fee=0, other_fees=0,
        lines=[{"line": f"{order}-1", "sku": "KOPI", "name": "Kopi", "quantity": 1, "unit_price": 50_000}],
    )  # fmt: skip


class Log:
    """A partition of the topic, record by record."""

    def __init__(self, partition: int = 0) -> None:
        self.partition = partition
        self.offset = -1

    def record(
        self, body: dict[str, Any] | bytes | None, *, key: str | None = None, **headers: bytes | None
    ) -> Record:
        self.offset += 1
        value = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = body["type"] if isinstance(body, dict) else "OrderPlaced"
        order = body["order"] if isinstance(body, dict) else "?"
        given: dict[str, bytes | None] = {
            "ce_id": f"fact-{self.partition}-{self.offset}".encode(),
            "ce_type": f"jejak.channels.{kind}.v1".encode(),
            **headers,
        }
        name = key or f"{CONNECTION}:{order}"
        return Record(
            SOURCE, TOPIC, self.partition, self.offset, name, name.encode(), tuple(given.items()), value, AT
        )


async def rows(pool: AsyncPool, statement: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def events(pool: AsyncPool) -> list[tuple[str, int]]:
    found = await rows(pool, "SELECT name, version FROM orders.events ORDER BY position")
    return [(name.removesuffix(".v1"), version) for name, version in found]


async def test_facts_become_events_with_their_position_in_one_append(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    batch = [log.record(placed("1")), log.record(fact("PaymentSucceeded", "1", minute=5, status="pending"))]
    outcomes = await handler.handle(batch, {})
    assert outcomes == {"handled": 2}
    assert (await events(pool))[0] == ("OrderPlaced", 1)
    assert await rows(pool, "SELECT source, position FROM orders.consumed_positions") == [(SOURCE, 1)]


async def test_a_fact_seen_before_changes_nothing(pool: AsyncPool, handler: FactsHandler) -> None:
    log = Log()
    await handler.handle([log.record(placed("1"))], {0: -1})
    before = await events(pool)
    outcomes = await FactsHandler(pool).handle([log.record(placed("1")), log.record(placed("1"))], {0: 0})
    assert outcomes == {"handled": 2}
    assert await events(pool) == before


async def test_a_fact_waits_for_its_order_across_batches_and_restarts(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    outcomes = await handler.handle([log.record(fact("OrderConfirmed", "1", minute=9, status="packed"))], {})
    assert outcomes == {"waiting": 1}
    assert await events(pool) == []
    outcomes = await FactsHandler(pool).handle([log.record(placed("1"))], {0: 0})
    assert outcomes == {"handled": 2}
    assert (await events(pool))[0] == ("OrderPlaced", 1)
    assert "OrderConfirmed" in [name for name, _ in await events(pool)]
    assert await rows(pool, "SELECT FROM orders.waiting") == []


async def test_what_waits_too_long_is_parked_in_order_and_comes_back_by_redrive(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    waiting = [log.record(fact("OrderConfirmed", "1", minute=m, status="packed")) for m in (8, 9)]
    await handler.handle(waiting, {})
    assert await WaitingSweeper(pool, "", seconds_max=3600).sweep() == 0
    assert await WaitingSweeper(pool, "", seconds_max=0).sweep() == 2
    assert await rows(pool, "SELECT reason FROM orders.parked ORDER BY id") == [
        ("WAITED_TOO_LONG",),
        ("BEHIND",),
    ]
    outcomes = await handler.handle([log.record(placed("1"))], {0: 1})
    assert outcomes == {"parked": 1}, "The placement waits behind what is parked of its order."
    report = await redrive(FactReleaser(pool), Selection(), per_second=1000)
    assert report.outcomes == {"waiting": 2, "handled": 1}
    assert (await events(pool))[0] == ("OrderPlaced", 1)
    assert await rows(pool, "SELECT FROM orders.parked") == []
    assert await rows(pool, "SELECT FROM orders.waiting") == []


async def test_a_sweep_takes_one_order_and_a_bounded_number_of_rows_at_a_time(
    pool: AsyncPool, handler: FactsHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    async def observed(connection: AsyncConnection, request: AppendRequest) -> Appended:
        sizes.append(len(request.parked))
        return await append(connection, request)

    monkeypatch.setattr(housekeeping, "SWEEP_ROWS", 2)
    monkeypatch.setattr(housekeeping, "append", observed)
    log = Log()
    orders = ["1", "1", "2", "1", "1", "2", "1"]
    waiting = [log.record(fact("OrderConfirmed", order, minute=8, status="packed")) for order in orders]
    await handler.handle(waiting, {})
    sweeper = WaitingSweeper(pool, "", seconds_max=0)
    assert sorted([await sweeper.sweep(), await sweeper.sweep()]) == [2, 5]
    assert await sweeper.sweep() == 0
    assert max(sizes) == 2
    assert await rows(pool, "SELECT position, reason FROM orders.parked WHERE key LIKE '%:1' ORDER BY id") == [
        (0, "WAITED_TOO_LONG"), (1, "BEHIND"), (3, "BEHIND"), (4, "BEHIND"), (6, "BEHIND"),
    ]  # fmt: skip


async def test_what_waited_comes_back_before_a_later_record_that_was_parked_first(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    early = log.record(fact("OrderConfirmed", "1", minute=8, status="packed"))
    bad = log.record(b"{", key=early.key)
    assert await handler.handle([early, bad], {}) == {"waiting": 1, "parked": 1}
    assert await WaitingSweeper(pool, "", seconds_max=0).sweep() == 1
    report = await redrive(FactReleaser(pool), Selection(), per_second=1000)
    assert report.outcomes == {"waiting": 1}
    assert [row.reason for row in report.failed] == ["MALFORMED"]


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (None, {}, "NULL_VALUE"),
        (b"{broken", {}, "MALFORMED"),
        (b'{"type": "OrderPlaced"}', {}, "MALFORMED"),
        (b"x" * 900_000, {}, "TOO_LARGE"),
        (b"{}", {"ce_id": b"\xff\xfe"}, "HEADER_INVALID"),
        (b"{}", {"ce_type": None}, "HEADER_INVALID"),
        (json.dumps(placed("bad")).encode(), {"x-note": b"\xff\xfe"}, "HEADER_INVALID"),
    ],
)
async def test_a_bad_record_parks_its_key_only(
    pool: AsyncPool, handler: FactsHandler, value: bytes | None, headers: dict[str, bytes | None], reason: str
) -> None:
    log = Log()
    bad = log.record(value, key=f"{CONNECTION}:bad", **headers)
    batch = [bad, log.record(placed("1")), log.record(placed("bad"))]
    outcomes = await handler.handle(batch, {})
    assert outcomes == {"parked": 2, "handled": 1}
    assert await events(pool) == [("OrderPlaced", 1)]
    kept = await rows(pool, "SELECT reason, position, value, headers FROM orders.parked ORDER BY id")
    assert [(row[0], row[1]) for row in kept] == [(reason, 0), ("BEHIND", 2)]
    assert kept[0][2] == value
    assert tuple(unframe_headers(kept[0][3])) == tuple(bad.headers), "The original bytes are kept."
    assert await rows(pool, "SELECT position FROM orders.consumed_positions") == [(2,)]


async def test_an_unknown_type_is_skipped_and_a_fact_under_a_foreign_key_is_parked(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    unknown = log.record(placed("1"), ce_type=b"jejak.channels.SomethingNew.v7")
    foreign = log.record(placed("2"), key=f"{CONNECTION}:another")
    assert await handler.handle([unknown, foreign], {}) == {"skipped": 1, "parked": 1}
    assert await events(pool) == []


async def test_a_consumer_that_woke_up_late_is_fenced_and_changes_nothing(pool: AsyncPool) -> None:
    log = Log()
    first = log.record(placed("1"))
    await FactsHandler(pool).handle([first], {0: -1})
    with pytest.raises(Fenced):
        await FactsHandler(pool).handle([first], {0: -1})
    assert await events(pool) == [("OrderPlaced", 1)]


async def test_a_stream_that_moved_is_judged_again(pool: AsyncPool) -> None:
    one, other = FactsHandler(pool), FactsHandler(pool)
    log, elsewhere = Log(0), Log(1)
    await one.handle([log.record(placed("1"))], {0: -1})
    await other.handle([elsewhere.record(fact("PaymentAwaited", "1", minute=1, status="unpaid"))], {1: -1})
    await one.handle([log.record(fact("OrderConfirmed", "1", minute=9, status="packed"))], {0: 0})
    versions = [version for _, version in await events(pool)]
    assert versions == list(range(1, len(versions) + 1))


async def test_consumption_stops_on_purpose_when_too_much_is_parked(pool: AsyncPool) -> None:
    handler = FactsHandler(pool, parked_max=2)
    log = Log()
    assert not await handler.parked_too_much(SOURCE)
    await handler.handle([log.record(b"{", key=f"{CONNECTION}:{n}") for n in range(2)], {})
    assert await handler.parked_too_much(SOURCE)
    async with pool.connection() as connection:
        ids = [row[0] for row in await (await connection.execute("SELECT id FROM orders.parked")).fetchall()]
    assert len(ids) == 2


async def test_a_redrive_that_fails_again_keeps_the_row_and_says_why(
    pool: AsyncPool, handler: FactsHandler
) -> None:
    log = Log()
    await handler.handle([log.record(b"{", key=f"{CONNECTION}:1"), log.record(placed("1"))], {})
    report = await redrive(FactReleaser(pool), Selection(), per_second=1000)
    assert [row.attempts for row in report.failed] == [2]
    assert await rows(pool, "SELECT reason, attempts FROM orders.parked ORDER BY id") == [
        ("MALFORMED", 2),
        ("BEHIND", 1),
    ]


async def test_a_row_released_twice_takes_effect_once(pool: AsyncPool, handler: FactsHandler) -> None:
    log = Log()
    await handler.handle([log.record(b"{", key=f"{CONNECTION}:1"), log.record(placed("1"))], {})
    async with pool.connection() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute("DELETE FROM orders.parked WHERE reason = 'MALFORMED'")
        cursor = await connection.execute("SELECT * FROM orders.parked")
        names = [column.name for column in cursor.description or ()]
        row = Parked(**dict(zip(names, (await cursor.fetchall())[0], strict=True)))
    releaser = FactReleaser(pool)
    assert await releaser.release(row) == "handled"
    assert await releaser.release(row) == "gone"
    assert await events(pool) == [("OrderPlaced", 1)]


def life(order: str) -> list[dict[str, Any]]:
    return [
        fact("PaymentAwaited", order, minute=1, status="unpaid"),
        placed(order),
        fact("OrderConfirmed", order, minute=3, status="packed"),
        fact("PackagePickedUp", order, minute=7, status="shipped"),
        fact("PackagePickedUp", order, minute=7, status="shipped"),
        fact("PackageDelivered", order, minute=9, status="delivered"),
        fact("ShipmentBooked", order, minute=5, status="ready_to_ship"),
    ]


async def history(pool: AsyncPool, order: str) -> list[str]:
    found = await rows(
        pool,
        f"SELECT name FROM orders.events WHERE stream_id = '{order_id_of(CONNECTION, order)}' ORDER BY version",
    )
    return [name for (name,) in found]


@pytest.mark.parametrize("chunk", [1, 3, 4, 5, 11])
async def test_chunks_decided_while_the_last_is_appended_end_as_one_batch_does(
    pool: AsyncPool, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    whole = Log(0)
    await FactsHandler(pool).handle([whole.record(each) for each in life("whole")], {})
    monkeypatch.setattr(consumer, "CHUNK_RECORDS", chunk)
    log = Log(1)
    facts = [each for step in zip(*(life(str(number)) for number in range(4)), strict=True) for each in step]
    batch = [log.record(each) for each in facts]
    batch.insert(9, log.record(b"{", key=f"{CONNECTION}:bad"))
    batch.append(log.record(placed("bad")))
    batch.sort(key=lambda record: record.offset)
    outcomes = await FactsHandler(pool).handle(batch, {})
    for number in range(4):
        assert await history(pool, str(number)) == await history(pool, "whole")
    assert await history(pool, "bad") == []
    assert outcomes["parked"] == 2
    assert await rows(pool, "SELECT FROM orders.waiting") == []
    assert (1, log.offset) in await rows(pool, "SELECT partition, position FROM orders.consumed_positions")


async def test_what_was_decided_on_a_chunk_that_failed_is_decided_anew(
    pool: AsyncPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "CHUNK_RECORDS", 2)
    one, other = FactsHandler(pool), FactsHandler(pool)
    log, elsewhere = Log(0), Log(1)
    await one.handle([log.record(placed("1"))], {})
    # The state that `one` remembers is stale from here on, so that its first chunk is a conflict.
    await other.handle([elsewhere.record(fact("PaymentAwaited", "1", minute=1, status="unpaid"))], {})
    facts = [each for each in life("1") if each["type"] not in {"OrderPlaced", "PaymentAwaited"}]
    await one.handle([log.record(each) for each in facts], {0: 0})
    versions = [version for _, version in await events(pool)]
    assert versions == list(range(1, len(versions) + 1))
    whole = Log(2)
    ordered = [placed("whole"), fact("PaymentAwaited", "whole", minute=1, status="unpaid")]
    ordered += [each for each in life("whole") if each["type"] not in {"OrderPlaced", "PaymentAwaited"}]
    await FactsHandler(pool).handle([whole.record(each) for each in ordered], {})
    assert await history(pool, "1") == await history(pool, "whole")


async def test_a_consumer_that_is_fenced_between_two_chunks_stops_there(
    pool: AsyncPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "CHUNK_RECORDS", 2)
    log = Log()
    batch = [log.record(placed(str(number))) for number in range(6)]
    await FactsHandler(pool).handle(batch[:2], {})
    with pytest.raises(Fenced):
        await FactsHandler(pool).handle(batch, {0: -1})
    assert len(await events(pool)) == 2
