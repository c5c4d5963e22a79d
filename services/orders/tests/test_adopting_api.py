"""AdoptChannelState over HTTP: the owner ends a conflict that the marketplace's own news made (T37, MK-14)."""

from typing import Any

import httpx
import pytest

from libs.runtime.postgres import AsyncPool
from services.orders.consumer import FactsHandler
from services.orders.store import order_id_of
from services.orders.tests.placing import AGENT, INTAKE, OWNER, THEIRS
from services.orders.tests.test_commands_api import client, placed, pool, post, rows, stored
from services.orders.tests.test_consumer import CONNECTION, Log, fact
from services.orders.tests.test_consumer import placed as sold

__all__ = ["client", "pool"]

pytestmark = pytest.mark.connected

# The news is of 07:00 and on; this reading is younger than all of it.
READING = {
    "reading": "reading-1",
    "read_at": "2026-03-05T07:30:00Z",
    "reason": "CHANNEL_IS_RIGHT",
    "status": "CANCELLED",
    "coverage": "PAID",
    "parts": [{"line": "1-1", "value": "CANCELLED"}],
}


async def in_conflict(pool: AsyncPool) -> str:
    """GS-5: an order that is on its way, and then cancelled by the marketplace."""
    log = Log()
    news = [
        sold("1"),
        fact("PackagePickedUp", "1", minute=4, status="shipped"),
        fact("OrderCancelled", "1", minute=5, status="canceled"),
    ]
    await FactsHandler(pool).handle([log.record(each) for each in news], {})
    return str(order_id_of(CONNECTION, "1"))


async def adopt(client: httpx.AsyncClient, order: str, key: str = OWNER, **changed: Any) -> httpx.Response:
    client.headers["authorization"] = f"Bearer {key}"
    path = f"/v1/orders/{order}/commands/adopt-channel-state"
    headers = {name: str(changed.pop(name)) for name in ("idempotency_key", "if_match") if name in changed}
    return await post(client, path, {**READING, **changed}, **headers)


def refusal(answer: httpx.Response) -> tuple[int, str, list[str]]:
    shown = answer.json()
    return answer.status_code, shown["code"], [each["field"] for each in shown["fields"]]


async def test_t37_the_owner_adopts_what_a_reading_says_once(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    order = await in_conflict(pool)
    before = await stored(pool, order)
    assert before[-1] == "FactRecorded"
    answer = await adopt(client, order, idempotency_key="adopt", if_match=f'"{len(before)}"')
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["headline"], shown["events"][0]) == ("CANCELLED", "ChannelStateAdopted")
    assert shown["sequence"] == len(before) + len(shown["events"])
    assert answer.headers["etag"] == f'"{shown["sequence"]}"'
    assert "AdoptChannelState" not in shown["allowed"]
    [[state]] = await rows(pool, "SELECT state FROM orders.events WHERE name = 'ChannelStateAdopted.v1'")
    assert (state["actor"], state["caller"], state["reading"]) == ("OWNER", OWNER, "reading-1")
    assert (state["before"]["order"], state["after"]["order"]) == ("CONFIRMED", "CANCELLED")
    again = await adopt(client, order, idempotency_key="adopt", if_match=f'"{len(before)}"')
    assert again.json() == shown
    assert refusal(await adopt(client, order)) == (409, "NO_CONFLICT", [])
    assert (await stored(pool, order)).count("ChannelStateAdopted") == 1
    # What the marketplace said before the reading is late from now on, and moves nothing.
    log = Log()
    log.offset = 99
    late = fact("PackageDelivered", "1", minute=20, status="delivered")
    await FactsHandler(pool).handle([log.record(late)], {0: 2})
    found = await rows(pool, "SELECT name, state->>'disposition' FROM orders.events ORDER BY position")
    assert found[-1] == ("FactRecorded.v1", "LATE")


async def test_t37_is_the_owners_alone_and_of_the_owners_orders(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    order = await in_conflict(pool)
    before = await stored(pool, order)
    for key, status, code in (
        (AGENT, 403, "NOT_PERMITTED"),
        (INTAKE, 403, "NOT_PERMITTED"),
        (THEIRS, 404, "ORDER_NOT_FOUND"),
    ):
        assert refusal(await adopt(client, order, key)) == (status, code, []), key
    assert await stored(pool, order) == before


async def test_t37_what_cannot_be_adopted_is_refused_with_its_reason(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    order = await in_conflict(pool)
    before = await stored(pool, order)
    tried: list[tuple[dict[str, Any], tuple[int, str, list[str]]]] = [
        ({"read_at": "2026-03-05T07:05:00Z"}, (409, "READ_TOO_OLD", [])),
        ({"read_at": "2999-01-01T00:00:00Z"}, (422, "FIELD_INVALID", ["read_at"])),
        ({"reason": "two words"}, (422, "FIELD_INVALID", ["reason"])),
        ({"status": "GONE", "reading": ""}, (422, "FIELD_INVALID", ["reading", "status"])),
        ({"paid": 1}, (422, "FIELD_INVALID", ["paid"])),
        ({"parts": [{"line": "1-1", "value": 7}]}, (422, "FIELD_INVALID", ["parts.0.value"])),
        ({"if_match": '"1"'}, (412, "SEQUENCE_CONFLICT", [])),
    ]
    for changed, expected in tried:
        assert refusal(await adopt(client, order, **changed)) == expected, changed
    assert (await adopt(client, order, parts=[])).status_code == 422
    assert await stored(pool, order) == before
    client.headers["authorization"] = f"Bearer {OWNER}"
    by_hand = await placed(client)
    own = [{"line": "1", "value": "CANCELLED"}]
    assert refusal(await adopt(client, by_hand, parts=own)) == (409, "NOT_CHANNEL_ORDER", [])


async def test_gr_12_adopted_in_bulk_each_order_is_judged_alone(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    order = await in_conflict(pool)
    by_hand = await placed(client)
    body = {"orders": [by_hand, order], **READING}
    answer = await post(client, "/v1/bulk/adopt-channel-state", body)
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [422, 200], "The other has no such line."
    assert results[1]["headline"] == "CANCELLED"
