"""Rows of timers against their events: what is missing or planted is found, and nothing sets or fires any (TI-9)."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from prometheus_client import REGISTRY

from libs.runtime.postgres import AsyncPool, Bell, make_pool
from services.orders.app import migrate_orders
from services.orders.consumer import FactsHandler
from services.orders.projector import Projector
from services.orders.rebuild import Rebuild
from services.orders.registry.bodies import SellerBody
from services.orders.registry.policies import Policies
from services.orders.registry.registering import register
from services.orders.registry.store import set_policies
from services.orders.registry.writing import By
from services.orders.surroundings import SellerTermsReader
from services.orders.tests.placing import OWNER
from services.orders.tests.registry_desk import SEALER, body
from services.orders.tests.test_commands_api import door, post, rows, stored
from services.orders.tests.test_commands_api import placed as placed_by
from services.orders.tests.test_consumer import SELLER, Log
from services.orders.tests.test_consumer import placed as placed_at_channel
from services.orders.timer_verifying import Difference, TimersVerifier
from services.orders.timers import TimersRunner

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]
DAY = timedelta(days=1)
ROWS = "SELECT stream_id, kind, due_at, guards::text FROM orders.timers ORDER BY kind, due_at"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    seller = body(SELLER, "TOKO", payment_methods=["COD", "GATEWAY"])
    await register(database, SEALER, SellerBody.model_validate(seller))
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
def verifier(pool: AsyncPool, database: str) -> TimersVerifier:
    return TimersVerifier(pool, database)


async def policies(pool: AsyncPool, **chosen: Any) -> None:
    """The seller chooses other policies, which hold from now on (SR-9)."""
    async with pool.connection() as connection, connection.transaction():
        await set_policies(connection, By(SELLER, "test", "OWNER"), Policies(**chosen))


async def by_hand(database: str, statement: str) -> None:
    """What nothing of ours does: change rows beside the append."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(statement.encode())


async def placed(client: httpx.AsyncClient) -> str:
    return await placed_by(client, payment_method="GATEWAY")


async def command(client: httpx.AsyncClient, order: str, name: str, given: Any = None) -> None:
    answer = await post(client, f"/v1/orders/{order}/commands/{name}", given)
    assert answer.status_code == 200, answer.text


async def request_cancellation(client: httpx.AsyncClient, order: str) -> None:
    await command(client, order, "request-cancellation", {"reason": "OTHER", "note": "By telephone."})


async def deliver(client: httpx.AsyncClient) -> str:
    order = await placed(client)
    for name in ("confirm-order", "confirm-payment", "ship-order"):
        await command(client, order, name)
    for kind, data in (("AwbIssued", {"awb": "JNE001"}), ("PackagePickedUp", {}), ("PackageDelivered", {})):
        given = {"type": kind, "data": data, "actor": "COURIER"}
        answer = await post(client, f"/v1/orders/{order}/facts", given)
        assert answer.status_code == 200, answer.text
    return order


async def every_kind(client: httpx.AsyncClient, pool: AsyncPool) -> None:
    """Orders with a timer of each kind, one by another version of the policies, and one of a marketplace."""
    await policies(pool, unpaid_lapses_days=3)
    await placed(client)
    await policies(pool, unpaid_lapses_days=5, automatic_completion_days=2)
    await deliver(client)
    await request_cancellation(client, await placed(client))
    log = Log()
    await FactsHandler(pool).handle([log.record(placed_at_channel("1"))], {})


async def test_rows_that_stand_as_the_events_say_are_no_difference(
    client: httpx.AsyncClient, pool: AsyncPool, verifier: TimersVerifier
) -> None:
    await every_kind(client, pool)
    report = await verifier.report()
    assert (report.orders, report.rows, report.differences) == (3, 5, 0)


async def test_a_row_that_was_deleted_and_one_that_was_planted_are_found(
    client: httpx.AsyncClient, pool: AsyncPool, verifier: TimersVerifier, database: str
) -> None:
    await every_kind(client, pool)
    ((order, _, due_at, _),) = await rows(pool, ROWS.replace("ORDER", "WHERE kind LIKE 'AUTO%' ORDER"))
    await by_hand(database, f"DELETE FROM orders.timers WHERE stream_id = '{order}' AND kind LIKE 'AUTO%'")
    missing = Difference("MISSING", order, "AUTOMATIC_COMPLETION", due_at)
    assert (await verifier.report()).examples == [missing]
    planted = due_at + DAY
    await by_hand(
        database,
        "INSERT INTO orders.timers (stream_id, kind, due_at, guards)"
        f" VALUES ('{order}', 'UNPAID_LAPSE', '{planted}', '{{\"episode\": 1}}')",
    )
    both = sorted(
        [missing, Difference("UNEXPECTED", order, "UNPAID_LAPSE", planted)], key=lambda each: each.difference
    )
    assert sorted((await verifier.report()).examples, key=lambda each: each.difference) == both


async def test_a_row_of_no_order_and_a_row_of_a_marketplaces_order_are_found(
    client: httpx.AsyncClient, pool: AsyncPool, verifier: TimersVerifier, database: str
) -> None:
    await every_kind(client, pool)
    found = await rows(pool, "SELECT stream_id FROM orders.events WHERE state ->> 'source' IS NULL")
    for order in (found[0][0], UUID(int=2**128 - 1), UUID(int=1)):
        await by_hand(
            database,
            "INSERT INTO orders.timers (stream_id, kind, due_at, guards)"
            f" VALUES ('{order}', 'UNPAID_LAPSE', '2026-03-05T08:00:00Z', '{{\"episode\": 1}}')",
        )
    report = await verifier.report()
    assert {(each.difference, each.order) for each in report.examples} == {
        ("UNEXPECTED", order) for order in (found[0][0], UUID(int=2**128 - 1), UUID(int=1))
    }


async def test_a_row_whose_guards_were_changed_is_found_twice(
    client: httpx.AsyncClient, pool: AsyncPool, verifier: TimersVerifier, database: str
) -> None:
    await every_kind(client, pool)
    await by_hand(database, "UPDATE orders.timers SET guards = '{\"episode\": 7}' WHERE kind LIKE 'AUTO%'")
    assert [each.difference for each in (await verifier.report()).examples] == ["MISSING", "UNEXPECTED"]


async def test_events_that_this_version_cannot_read_are_told_and_the_rest_is_compared(
    client: httpx.AsyncClient, pool: AsyncPool, verifier: TimersVerifier, database: str
) -> None:
    await every_kind(client, pool)
    ((order,),) = await rows(pool, "SELECT stream_id FROM orders.events WHERE name = 'OrderConfirmed.v1'")
    await by_hand(database, "UPDATE orders.events SET name = 'X.v9' WHERE name = 'OrderConfirmed.v1'")
    report = await verifier.report()
    assert report.examples == [Difference("UNREADABLE", order)]
    assert report.orders == 3


async def test_passes_are_bounded_and_go_through_all_orders_again_and_again(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await every_kind(client, pool)
    await by_hand(database, "DELETE FROM orders.timers WHERE kind LIKE 'AUTO%'")
    seen = REGISTRY.get_sample_value("orders_timer_differences_total", {"difference": "MISSING"}) or 0
    verifier = TimersVerifier(pool, database, page_streams=1)
    pages = [await verifier.verify() for _ in range(5)]
    # Four orders, one of them a marketplace's, and what may lie after the last.
    assert [page.orders for page in pages].count(1) == 3
    assert [page.next is None for page in pages] == [False] * 4 + [True]
    assert sum(len(page.differences) for page in pages) == 1
    again = [await verifier.verify() for _ in range(5)]
    assert [page.next for page in again] == [page.next for page in pages]
    assert REGISTRY.get_sample_value("orders_timer_differences_total", {"difference": "MISSING"}) == seen + 2


async def test_what_has_fired_ended_and_been_set_again_is_no_difference(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await every_kind(client, pool)
    runner = TimersRunner(pool, database, SellerTermsReader(pool))
    due = max(row[2] for row in await rows(pool, ROWS))
    verifier = TimersVerifier(pool, database, clock=lambda: due)
    while await runner.fire(due):
        assert (await verifier.report()).differences == 0
    names = [name for (name,) in await rows(pool, "SELECT name FROM orders.events")]
    assert {"OrderCompleted.v1", "OrderCancelled.v1", "ReminderDue.v1"} <= set(names)
    assert (await verifier.report()).differences == 0


async def test_ti_5_a_timer_that_an_obstacle_ended_comes_back_with_the_instant_of_its_old_policy(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await policies(pool, unpaid_lapses_days=3)
    order = await placed(client)
    ((_, _, due_at, _),) = await rows(pool, ROWS)
    await request_cancellation(client, order)
    await policies(pool, unpaid_lapses_days=30)
    verifier = TimersVerifier(pool, database, clock=lambda: due_at)
    runner = TimersRunner(pool, database, SellerTermsReader(pool))
    await runner.fire(due_at)
    assert "UNPAID_LAPSE" not in [row[1] for row in await rows(pool, ROWS)]
    await command(client, order, "reopen-order")
    lapses = [row for row in await rows(pool, ROWS) if row[1] == "UNPAID_LAPSE"]
    assert [row[2] for row in lapses] == [due_at]
    assert (await verifier.report()).differences == 0
    # Its instant is past, so it fires at once.
    await runner.fire(due_at)
    assert (await stored(pool, order))[-1] == "OrderCancelled"
    assert (await verifier.report()).differences == 0


async def test_replay_and_rebuild_set_none_and_fire_none(
    client: httpx.AsyncClient, pool: AsyncPool, verifier: TimersVerifier, database: str
) -> None:
    await every_kind(client, pool)
    # All are long due when everything is read and folded again.
    await by_hand(database, "UPDATE orders.timers SET due_at = due_at - interval '1 year'")
    before = await rows(pool, ROWS)
    events = await rows(pool, "SELECT count(*), max(position) FROM orders.events")
    projector = Projector(pool, database, Bell(database, "orders_events"))
    while await projector.step():
        pass
    report = await Rebuild(database).run()
    assert (report.orders, report.swapped) == (4, True)
    await verifier.report()
    assert await rows(pool, ROWS) == before
    assert await rows(pool, "SELECT count(*), max(position) FROM orders.events") == events


async def test_the_command_tells_the_differences_and_exits_with_1(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    await every_kind(client, pool)
    told = os.environ | {
        "DATABASE_URL": database,
        "KAFKA_BOOTSTRAP_SERVERS": "localhost:9",
        "API_KEYS": "[]",
        "ORDERS_HTTP_PORT": "0",
        "KEY_ENCRYPTION_KEYS": f"k1:{base64.b64encode(os.urandom(32)).decode()}",
    }

    async def verify_timers() -> tuple[int, dict[str, Any]]:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "services.orders", "verify-timers"],
            cwd=ROOT,
            env=told,
            capture_output=True,
            timeout=120,
            check=False,
        )
        # Logs stand before it on standard error.
        return done.returncode, json.loads((done.stdout or done.stderr).splitlines()[-1])

    assert await verify_timers() == (0, {"orders": 3, "rows": 5, "differences": 0, "examples": []})
    await by_hand(database, "DELETE FROM orders.timers WHERE kind LIKE 'OPEN%'")
    code, said = await verify_timers()
    assert (code, said["differences"]) == (1, 1)
    assert said["examples"][0]["difference"] == "MISSING"
    assert said["examples"][0]["kind"] == "OPEN_REQUEST_REMINDER"
    told["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    code, said = await verify_timers()
    assert (code, said["code"]) == (2, "UNAVAILABLE")
