"""What orders asks to be read becomes read requests: at once, no more than needed, and never lost."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from libs.events.actions import OrderActionRequested, OrderReadRequested
from libs.events.envelope import Envelope, to_headers
from libs.events.examples import EXAMPLES
from libs.runtime.errors import Fenced
from libs.runtime.postgres import make_pool
from libs.runtime.records import Record
from libs.runtime.redrive import Selection, redrive
from services.channels.app import migrate_channels
from services.channels.consumer import ActionsHandler
from services.channels.tests.test_reader import OTHER, SHOP, Desk, shown

pytestmark = pytest.mark.connected

SOURCE, TOPIC = "channels:orders.actions.v1", "orders.actions.v1"
AT = datetime(2026, 3, 5, 8, tzinfo=UTC)
LATER = datetime(2100, 1, 1, tzinfo=UTC)
ORDER = "1204477310"


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    migrate_channels(database)
    async with make_pool(database, "channels", name="test", size=4) as pool:
        desk = Desk(pool, database)
        await desk.shops.settle([(SHOP, None, None), (OTHER, None, None)])
        yield desk


def action(
    offset: int,
    *,
    order: str = ORDER,
    reason: str = "CONFLICT",
    at: datetime = AT,
    connection: str = str(SHOP.id),
    value: bytes | None = b"",
    ce_type: str = OrderReadRequested.ce_type(),
) -> Record:
    body = {
        "action": "read_order",
        "connection": connection,
        "order": order,
        "reason": reason,
        "requested_at": at.isoformat(),
    }
    key = f"order-{order}"
    envelope = Envelope(id=f"{key}/read/{offset}", type=ce_type, source="/jejak/orders", subject=key, time="")
    given = json.dumps(body).encode() if value == b"" else value
    return Record(SOURCE, TOPIC, 0, offset, key, key.encode(), tuple(to_headers(envelope)), given, AT)


async def left(desk: Desk) -> list[tuple[Any, ...]]:
    return await desk.ask(
        "SELECT order_id, state, generation FROM channels.read_requests ORDER BY connection_id, order_id"
    )


async def test_ac_13_an_order_is_read_at_once_and_what_is_new_goes_out(desk: Desk) -> None:
    desk.market.answers[ORDER] = shown()
    handler = ActionsHandler(desk.pool)
    assert await handler.handle([action(0)], {}) == {"handled": 1}
    assert await handler.load_positions(SOURCE) == {0: 0}
    assert await desk.reader.work_once() == 1
    assert desk.market.asked == [ORDER]
    assert "OrderPlaced" in [each["type"] for each in await desk.published()]
    assert await left(desk) == []


async def test_ac_13_at_most_one_waits_per_order_however_often_it_is_asked_for(desk: Desk) -> None:
    handler = ActionsHandler(desk.pool)
    many = [action(0), action(1), action(2, reason="UNRECOGNISED"), action(3, order="77")]
    assert await handler.handle(many, {}) == {"handled": 4}
    assert await handler.handle([action(4)], {0: 3}) == {"handled": 1}
    assert [(order, state) for order, state, _ in await left(desk)] == [(ORDER, "WAITING"), ("77", "WAITING")]


async def test_news_during_a_reading_has_the_order_read_once_more(desk: Desk) -> None:
    desk.market.answers[ORDER] = shown()
    await desk.request()
    (claim,) = await desk.requests.claim(UUID(int=1), 10, [])
    await ActionsHandler(desk.pool).handle([action(0)], {})
    ((_, _, generation),) = await left(desk)
    assert generation > claim.generation


async def test_mk_2_a_missing_placement_needs_no_second_reading_when_one_is_about_to_be_made(
    desk: Desk,
) -> None:
    await desk.request()
    before = await left(desk)
    await ActionsHandler(desk.pool).handle([action(0, reason="NOT_PLACED", at=LATER)], {})
    assert await left(desk) == before


async def test_mk_2_a_missing_placement_needs_none_when_the_order_was_read_since(desk: Desk) -> None:
    await desk.read(shown())
    await ActionsHandler(desk.pool).handle([action(0, reason="NOT_PLACED")], {})
    assert await left(desk) == []


async def test_mk_2_an_older_reading_is_made_anew_and_states_the_placement_again(desk: Desk) -> None:
    await desk.read(shown())
    before = len(await desk.published())
    since = datetime.now(UTC) + timedelta(minutes=1)
    await ActionsHandler(desk.pool).handle([action(0, reason="NOT_PLACED", at=since)], {})
    assert await desk.reader.work_once() == 1
    again = [each["type"] for each in (await desk.published())[before:]]
    assert again[0] == "OrderPlaced"


async def test_other_news_has_an_order_read_that_was_read_before_and_states_only_what_is_new(
    desk: Desk,
) -> None:
    await desk.read(shown())
    before = await desk.published()
    await ActionsHandler(desk.pool).handle([action(0)], {})
    assert await desk.reader.work_once() == 1
    assert await desk.published() == before


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (action(0, value=None), "NULL_VALUE"),
        (action(0, value=b"{"), "MALFORMED"),
        (action(0, value=b"x" * 70_000), "TOO_LARGE"),
        (action(0, connection="no id"), "MALFORMED"),
        (action(0, reason="FOR FUN"), "MALFORMED"),
    ],
    ids=["tombstone", "no JSON", "too large", "no connection", "no reason"],
)
async def test_what_breaks_the_contract_is_parked_and_stops_only_its_own_order(
    desk: Desk, broken: Record, reason: str
) -> None:
    handler = ActionsHandler(desk.pool)
    outcomes = await handler.handle([broken, action(1), action(2, order="77")], {})
    assert outcomes == {"parked": 2, "handled": 1}
    assert await desk.ask("SELECT position, reason FROM channels.parked ORDER BY position") == [
        (0, reason),
        (1, "BEHIND"),
    ]
    assert [order for order, _, _ in await left(desk)] == ["77"]


async def test_an_action_that_channels_does_not_know_is_passed_over(desk: Desk) -> None:
    unknown = action(0, ce_type="jejak.orders.SomethingElse.v1", value=b"{}")
    assert await ActionsHandler(desk.pool).handle([unknown], {}) == {"skipped": 1}
    assert await left(desk) == []


async def test_an_action_that_is_not_carried_out_yet_is_counted_and_holds_up_no_reading(desk: Desk) -> None:
    asked = EXAMPLES[OrderActionRequested.ce_type()].to_json()
    other = action(0, ce_type=OrderActionRequested.ce_type(), value=asked)
    before = REGISTRY.get_sample_value("channels_actions_left_total") or 0
    assert await ActionsHandler(desk.pool).handle([other, action(1)], {}) == {"skipped": 1, "handled": 1}
    assert REGISTRY.get_sample_value("channels_actions_left_total") == before + 1
    assert [order for order, _, _ in await left(desk)] == [ORDER]
    assert await desk.ask("SELECT FROM channels.parked") == []


async def test_a_consumer_whose_partition_is_anothers_writes_nothing(desk: Desk) -> None:
    handler = ActionsHandler(desk.pool)
    await handler.handle([action(0)], {})
    with pytest.raises(Fenced):
        await handler.handle([action(1, order="77")], {})
    assert [order for order, _, _ in await left(desk)] == [ORDER]


async def test_a_redrive_carries_out_what_was_parked_and_what_waited_behind_it(desk: Desk) -> None:
    handler = ActionsHandler(desk.pool)
    await handler.park(action(0), {}, RuntimeError("The database was in the way."))
    await handler.handle([action(1)], {0: 0})
    assert await left(desk) == []
    report = await redrive(handler, Selection())
    assert report.outcomes == {"handled": 2}
    assert await desk.ask("SELECT FROM channels.parked") == []
    assert [order for order, _, _ in await left(desk)] == [ORDER]
