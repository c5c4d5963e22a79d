"""Timers as rows: set in the append of their event, fired once with their effect, ended in silence (TI-2 to TI-4)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from libs.runtime.clock import now
from libs.runtime.postgres import AsyncPool, make_pool
from services.orders.app import migrate_orders
from services.orders.surroundings import SellerTermsReader
from services.orders.tests.placing import OWNER
from services.orders.tests.test_commands_api import door, placed, post, rows, stored
from services.orders.timers import TimersRunner

pytestmark = pytest.mark.connected

DAY = timedelta(days=1)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=6) as opened:
        yield opened


@pytest.fixture
async def client(pool: AsyncPool) -> AsyncIterator[httpx.AsyncClient]:
    app, running = await door(pool)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        opened.headers["authorization"] = f"Bearer {OWNER}"
        yield opened
    running.cancel()


@pytest.fixture
def runner(pool: AsyncPool, database: str) -> TimersRunner:
    return TimersRunner(pool, database, SellerTermsReader(pool))


async def asked_to_cancel(client: httpx.AsyncClient) -> str:
    order = await placed(client)
    body = {"reason": "OTHER", "note": "By telephone.", "actor": "OWNER"}
    answer = await post(client, f"/v1/orders/{order}/commands/request-cancellation", body)
    assert answer.status_code == 200, answer.text
    return order


async def timers(pool: AsyncPool) -> list[tuple[Any, ...]]:
    return await rows(pool, "SELECT kind, due_at FROM orders.timers ORDER BY due_at")


async def test_ti_2_the_row_stands_with_its_event_and_fires_at_its_instant_and_not_before(
    client: httpx.AsyncClient, pool: AsyncPool, runner: TimersRunner
) -> None:
    order = await asked_to_cancel(client)
    ((kind, due_at),) = await timers(pool)
    assert kind == "OPEN_REQUEST_REMINDER"
    assert await runner.fire(due_at - timedelta(seconds=1)) == 0
    assert "ReminderDue" not in await stored(pool, order)
    assert await runner.fire(due_at) == 1
    assert (await stored(pool, order))[-1] == "ReminderDue"
    # CR-5: daily, so the next one stands.
    assert await timers(pool) == [("OPEN_REQUEST_REMINDER", due_at + DAY)]
    assert await runner.fire(due_at) == 0


async def test_ti_4_where_the_order_has_moved_on_the_row_ends_without_an_event(
    client: httpx.AsyncClient, pool: AsyncPool, runner: TimersRunner
) -> None:
    order = await asked_to_cancel(client)
    await post(client, f"/v1/orders/{order}/commands/reopen-order", {})
    before = await stored(pool, order)
    assert await runner.fire(now() + 2 * DAY) == 1
    assert await stored(pool, order) == before
    assert await timers(pool) == []


async def test_wf_3_a_delivered_order_is_completed_by_the_system(
    client: httpx.AsyncClient, pool: AsyncPool, runner: TimersRunner
) -> None:
    order = await placed(client)
    path = f"/v1/orders/{order}"
    for command in ("confirm-order", "confirm-payment", "ship-order"):
        assert (await post(client, f"{path}/commands/{command}")).status_code == 200, command
    for kind, data in (("AwbIssued", {"awb": "JNE001"}), ("PackagePickedUp", {}), ("PackageDelivered", {})):
        answer = await post(client, f"{path}/facts", {"type": kind, "data": data, "actor": "COURIER"})
        assert answer.status_code == 200, answer.text
    ((kind, due_at),) = await timers(pool)
    assert kind == "AUTOMATIC_COMPLETION"
    assert await runner.fire(due_at) == 1
    assert (await stored(pool, order))[-1] == "OrderCompleted"
    ((actor,),) = await rows(
        pool, "SELECT state ->> 'actor' FROM orders.events WHERE name = 'OrderCompleted.v1'"
    )
    assert actor == "SYSTEM"
    assert await timers(pool) == []


async def test_ti_3_two_runners_at_once_have_one_effect(
    client: httpx.AsyncClient, pool: AsyncPool, database: str, runner: TimersRunner
) -> None:
    order = await asked_to_cancel(client)
    ((_, due_at),) = await timers(pool)
    other = TimersRunner(pool, database, SellerTermsReader(pool))
    await asyncio.gather(runner.fire(due_at), other.fire(due_at))
    assert (await stored(pool, order)).count("ReminderDue") == 1
    assert len(await timers(pool)) == 1
