"""Drafts over HTTP on a real database: kept, changed, sealed, placed once, and gone (MN-1 to MN-6, TI-1)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.clock import now, uuid7
from libs.runtime.health import Health
from libs.runtime.postgres import AsyncPool, Bell, make_pool
from services.orders import drafts as kept
from services.orders.api import routes
from services.orders.app import migrate_orders
from services.orders.commands_api import command_routes
from services.orders.concluding import Decider
from services.orders.dispatch import Dispatcher
from services.orders.draft_placing import DraftPlacing
from services.orders.drafts import Drafts
from services.orders.drafts_api import draft_routes
from services.orders.holds import HoldKeys
from services.orders.housekeeping import Cleaner
from services.orders.projector import Projector
from services.orders.registry.doors import Doors
from services.orders.surroundings import SellerTermsReader
from services.orders.tests.placing import AGENT, INTAKE, KEYS, OWNER, READER, THEIRS
from services.orders.tests.test_buyers import buyers_in
from services.orders.tests.test_consumer import SELLER
from services.orders.tests.test_draft import COMPLETE
from services.orders.tests.test_holds import ED, hold, signed
from services.orders.views import OrderViews
from services.orders.writer import GroupWriter

pytestmark = pytest.mark.connected

BUYER = {
    "name": "Qzwanda Xqhartono",
    "phone": "0813 9907 7431",
    "email": "qxsurel@marker.example",
    "address": "Jalan Zvermilyon 77",
    "district": "Zvkecamatan",
    "postal_code": "99431",
    "note": "Zvpagar",
}
MARKERS = ("Qzwanda", "Xqhartono", "99077431", "qxsurel", "Zvermilyon", "Zvkecamatan", "99431", "Zvpagar")
WITH_BUYER = {**COMPLETE, "recipient": {**BUYER, "city": "Bandung", "province": "Jawa Barat"}}
BACKORDER = {"allow_backorder": True}


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=6) as opened:
        yield opened


async def process(pool: AsyncPool) -> tuple[FastAPI, asyncio.Task[None]]:
    """The doors of drafts, commands and orders, as one process has them."""

    async def status() -> Status:
        return Status(0, 0, 0, 0)

    app = make_api("orders", ApiKeys(KEYS), health=Health("orders"), status=status)
    buyers, terms, writer = buyers_in(pool), SellerTermsReader(pool), GroupWriter(pool)
    drafts = Drafts(pool, buyers, terms)
    decider = Decider(terms, HoldKeys([ED.as_dict(private=False)]), buyers)
    app.include_router(draft_routes(drafts, Doors(pool)))
    app.include_router(command_routes(Dispatcher(pool, writer, decider), DraftPlacing(drafts)))
    app.include_router(routes(OrderViews(pool, buyers)))
    return app, asyncio.create_task(writer.run())


@pytest.fixture
async def client(pool: AsyncPool) -> AsyncIterator[httpx.AsyncClient]:
    app, running = await process(pool)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        opened.headers["authorization"] = f"Bearer {OWNER}"
        yield opened
    running.cancel()


async def ask(
    client: httpx.AsyncClient, method: str, path: str, body: Any = None, **headers: str
) -> httpx.Response:
    given = {"idempotency-key": str(uuid7())} | {
        name.replace("_", "-"): text for name, text in headers.items()
    }
    return await client.request(method, path, json={} if body is None else body, headers=given)


async def opened(client: httpx.AsyncClient, body: Any = None) -> str:
    answer = await ask(client, "POST", "/v1/drafts", WITH_BUYER if body is None else body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def read(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def rows(pool: AsyncPool, statement: str) -> list[tuple[Any, ...]]:
    """As whoever owns the tables: the service's own role may not change keys, or see migrations."""
    assert isinstance(pool.conninfo, str)
    async with await psycopg.AsyncConnection.connect(pool.conninfo, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


async def test_mn_1_a_draft_is_opened_filled_and_placed(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    answer = await ask(client, "POST", "/v1/drafts")
    draft = answer.json()["id"]
    assert (answer.status_code, answer.json()["revision"]) == (201, 1)
    assert answer.headers["location"] == f"/v1/drafts/{draft}"
    assert {"lines", "recipient.name", "courier", "insured", "payment_method"} <= {
        each["field"] for each in answer.json()["missing"]
    }
    early = await ask(client, "POST", f"/v1/drafts/{draft}/place", BACKORDER)
    assert code(early) == (422, "NO_LINES")
    assert {each["field"] for each in early.json()["fields"]} == {
        each["field"] for each in answer.json()["missing"]
    }
    for patch in ({"lines": WITH_BUYER["lines"]}, {"recipient": WITH_BUYER["recipient"]}, WITH_BUYER):
        changed = await ask(client, "PATCH", f"/v1/drafts/{draft}", patch)
        assert changed.status_code == 200, changed.text
    assert (changed.json()["revision"], changed.json()["missing"]) == (4, [])
    shown = await read(client, f"/v1/drafts/{draft}")
    assert (shown["total"], shown["missing"], shown["made_by"]) == (108_500, [], OWNER)
    assert shown["recipient"] == {**WITH_BUYER["recipient"], "phone": "+6281399077431"}
    assert await rows(pool, "SELECT 1 FROM orders.events") == []
    placed = await ask(client, "POST", f"/v1/drafts/{draft}/place", BACKORDER)
    assert placed.status_code == 201, placed.text
    told = placed.json()
    assert (told["order"], told["headline"], told["sequence"]) == (draft, "NEW", 1)
    assert placed.headers["location"] == f"/v1/orders/{draft}"
    order = await read(client, f"/v1/orders/{draft}")
    assert (order["source"], order["money"]["total"], order["columns"]["Halaman"]) == ("MANUAL", 108_500, "")
    assert order["columns"]["Penerima"] == BUYER["name"]
    assert code(await client.get(f"/v1/drafts/{draft}")) == (404, "DRAFT_NOT_FOUND")
    assert await rows(pool, "SELECT 1 FROM orders.drafts") == []
    projector = Projector(pool, database, Bell(database, "orders_events"))
    while await projector.step():
        pass
    assert [each["id"] for each in (await read(client, "/v1/orders"))["items"]] == [draft]


async def test_mn_2_a_draft_is_in_no_list_search_or_event_and_has_no_number(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    draft = await opened(client)
    projector = Projector(pool, database, Bell(database, "orders_events"))
    # The list is there once it has been complete.
    await projector.step()
    for path in ("/v1/orders", f"/v1/orders?search={BUYER['phone']}", "/v1/events"):
        assert (await read(client, path))["items"] == []
    assert code(await client.get(f"/v1/orders/{draft}")) == (404, "ORDER_NOT_FOUND")
    assert "number" not in await read(client, f"/v1/drafts/{draft}")
    for table in ("events", "timers", "outbox", "search_hashes", "command_keys"):
        assert await rows(pool, f"SELECT 1 FROM orders.{table}") == [], table


async def test_pd_2_what_a_draft_says_of_the_buyer_lies_nowhere_in_clear(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    draft = await opened(client)
    await ask(client, "PATCH", f"/v1/drafts/{draft}", {"recipient": {"note": "Zvpagar hijau"}})
    other = await opened(client)
    assert (await ask(client, "POST", f"/v1/drafts/{other}/place", BACKORDER)).status_code == 201
    tables = await rows(pool, "SELECT tablename FROM pg_tables WHERE schemaname = 'orders'")
    assert ("drafts",) in tables
    for (table,) in tables:
        held = str(await rows(pool, f"SELECT t::text FROM orders.{table} t")).lower()
        assert [marker for marker in MARKERS if marker.lower() in held] == [], table
    [(key, said)] = await rows(pool, "SELECT recipient ->> 'key', said ->> 'recipient' FROM orders.drafts")
    assert "Bandung" in said
    [(order_key,)] = await rows(pool, "SELECT state -> 'buyer' ->> 'key' FROM orders.events")
    assert key == order_key, "PD-2: one person, one key, so that an erasure reaches the draft as well."
    await rows(pool, "DELETE FROM orders.buyer_keys")
    assert (await read(client, f"/v1/drafts/{draft}"))["recipient"]["name"] == ""


async def test_pd_2_only_who_may_see_contacts_sees_them(client: httpx.AsyncClient) -> None:
    draft = await opened(client)
    client.headers["authorization"] = f"Bearer {AGENT}"
    shown = await read(client, f"/v1/drafts/{draft}")
    assert shown["recipient"] == {"city": "Bandung", "province": "Jawa Barat"}
    [listed] = (await read(client, "/v1/drafts"))["items"]
    assert listed["recipient"] == shown["recipient"]
    changed = await ask(client, "PATCH", f"/v1/drafts/{draft}", {"recipient": {"city": "Cimahi"}})
    assert changed.json()["missing"] == []
    client.headers["authorization"] = f"Bearer {OWNER}"
    assert (await read(client, f"/v1/drafts/{draft}"))["recipient"]["name"] == BUYER["name"]


async def test_mn_6_a_number_that_is_none_is_refused_and_nothing_is_kept(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    answer = await ask(client, "POST", "/v1/drafts", {"recipient": {"phone": "rahasia"}})
    assert code(answer) == (422, "FIELD_INVALID")
    assert [each["field"] for each in answer.json()["fields"]] == ["recipient.phone"]
    assert "rahasia" not in answer.text
    wrong = await ask(client, "POST", "/v1/drafts", {"lines": [{"quantity": "2"}], "number": "1"})
    assert {each["field"] for each in wrong.json()["fields"]} == {"lines.0.quantity", "number"}
    for body in (b"{", b"[]", b'{"courier": "a\\u0000"}'):
        raw = await client.post("/v1/drafts", content=body, headers={"idempotency-key": "k"})
        assert code(raw) == (422, "FIELD_INVALID")
    assert await rows(pool, "SELECT 1 FROM orders.drafts") == []


async def test_if_match_names_the_revision_that_the_caller_saw(client: httpx.AsyncClient) -> None:
    draft = await opened(client)
    path = f"/v1/drafts/{draft}"
    assert (await client.get(path)).headers["etag"] == '"1"'
    changed = await ask(client, "PATCH", path, {"service": "YES"}, if_match='"1"')
    assert changed.headers["etag"] == '"2"'
    for method, where, body in (
        ("PATCH", path, {"service": "OKE"}),
        ("POST", f"{path}/place", BACKORDER),
        ("DELETE", path, None),
    ):
        stale = await ask(client, method, where, body, if_match='"1"')
        assert code(stale) == (412, "SEQUENCE_CONFLICT"), method
        malformed = await ask(client, method, where, body, if_match="x")
        assert [each["field"] for each in malformed.json()["fields"]] == ["If-Match"], method
    assert (await read(client, path))["service"] == "YES"
    assert (await ask(client, "POST", f"{path}/place", BACKORDER, if_match='"2"')).status_code == 201


async def test_gr_4_the_same_key_has_the_first_answer_and_no_second_effect(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    first = await ask(client, "POST", "/v1/drafts", WITH_BUYER, idempotency_key="make")
    again = await ask(client, "POST", "/v1/drafts", WITH_BUYER, idempotency_key="make")
    assert (again.status_code, again.json()) == (201, first.json())
    path = f"/v1/drafts/{first.json()['id']}"
    changed = await ask(client, "PATCH", path, {"courier": "TIKI"}, idempotency_key="change")
    same = await ask(client, "PATCH", path, {"courier": "TIKI"}, idempotency_key="change")
    assert same.json() == changed.json()
    other = await ask(client, "PATCH", path, {"courier": "POS"}, idempotency_key="change")
    assert code(other) == (422, "KEY_REUSED")
    placed = await ask(client, "POST", f"{path}/place", BACKORDER, idempotency_key="place")
    repeated = await ask(client, "POST", f"{path}/place", BACKORDER, idempotency_key="place")
    assert placed.status_code == 201
    assert (repeated.status_code, repeated.json()) == (201, placed.json()), "The draft is gone by now."
    assert code(await ask(client, "POST", f"{path}/place", {}, idempotency_key="place")) == (
        422,
        "KEY_REUSED",
    )
    fresh = await ask(client, "POST", f"{path}/place", BACKORDER)
    assert code(fresh) == (404, "DRAFT_NOT_FOUND")
    gone = await ask(client, "PATCH", path, {"courier": "TIKI"}, idempotency_key="change")
    assert gone.json() == changed.json()
    assert len(await rows(pool, "SELECT 1 FROM orders.events")) == 1
    without = await client.post("/v1/drafts", json={})
    assert [each["field"] for each in without.json()["fields"]] == ["Idempotency-Key"]


async def test_gr_2_a_refused_buat_keeps_the_draft(client: httpx.AsyncClient, pool: AsyncPool) -> None:
    draft = await opened(client)
    path = f"/v1/drafts/{draft}/place"
    short = await ask(client, "POST", path, {}, idempotency_key="short")
    assert code(short) == (409, "STOCK_NOT_AVAILABLE")
    again = await ask(client, "POST", path, {}, idempotency_key="short")
    assert {**again.json(), "request_id": ""} == {**short.json(), "request_id": ""}
    more = await ask(client, "POST", path, {**BACKORDER, "lines": [], "courier": "POS"})
    assert code(more) == (422, "FIELD_INVALID")
    assert [each["field"] for each in more.json()["fields"]] == ["lines", "courier"]
    assert code(await ask(client, "POST", path, {"hold": "a.b.c"})) == (422, "FIELD_INVALID")
    assert (await read(client, f"/v1/drafts/{draft}"))["revision"] == 1
    assert await rows(pool, "SELECT 1 FROM orders.events") == []


async def test_cr_15_buat_carries_the_hold_and_its_warehouse_becomes_the_lines(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    lines = [{**COMPLETE["lines"][0], "warehouse": ""}]
    draft = await opened(client, {**WITH_BUYER, "lines": lines})
    held = hold(seller=SELLER, expires_at=(now() + timedelta(minutes=15)).isoformat())
    answer = await ask(client, "POST", f"/v1/drafts/{draft}/place", {"hold": signed(held)})
    assert answer.status_code == 201, answer.text
    found = await rows(pool, "SELECT state->>'hold', state->'lines'->0->>'warehouse' FROM orders.events")
    assert found == [("hold-1", "BDG")]


async def test_mn_5_an_agent_who_places_it_becomes_its_agent(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    draft = await opened(client)
    client.headers["authorization"] = f"Bearer {AGENT}"
    assert (await ask(client, "POST", f"/v1/drafts/{draft}/place", BACKORDER)).status_code == 201
    found = await rows(pool, "SELECT state->>'agent', state->>'actor' FROM orders.events")
    assert found == [(AGENT, "AGENT")]


async def test_a_draft_is_placed_once_whoever_asks_at_once(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    """Each through a process of its own, so that only the append stands between them."""
    other_app, running = await process(pool)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other_app), base_url="http://test") as other:
        other.headers["authorization"] = f"Bearer {AGENT}"
        for _ in range(10):
            draft = await opened(client)
            answers = await asyncio.gather(
                *(ask(each, "POST", f"/v1/drafts/{draft}/place", BACKORDER) for each in [client, other] * 3)
            )
            assert sorted(answer.status_code for answer in answers) == [201, 404, 404, 404, 404, 404]
    running.cancel()
    assert len(await rows(pool, "SELECT 1 FROM orders.events")) == 10
    assert await rows(pool, "SELECT 1 FROM orders.drafts") == []


async def test_a_change_that_was_accepted_is_in_the_order_or_the_order_was_there_first(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    for number in range(20):
        draft = await opened(client)
        changed, placed = await asyncio.gather(
            ask(client, "PATCH", f"/v1/drafts/{draft}", {"shipping_fee": 20_000}),
            ask(client, "POST", f"/v1/drafts/{draft}/place", BACKORDER),
        )
        assert placed.status_code == 201, f"{number}: {placed.text}"
        order = await read(client, f"/v1/orders/{draft}")
        if changed.status_code == 200:
            assert order["money"]["total"] == 110_500, number
        else:
            assert (code(changed), order["money"]["total"]) == ((404, "DRAFT_NOT_FOUND"), 108_500), number


async def test_two_changes_at_once_are_both_kept(client: httpx.AsyncClient) -> None:
    draft = await opened(client)
    patches = [{"courier": "TIKI"}, {"service": "ONS"}, {"recipient": {"note": "dua"}}, {"discount": 7}]
    answers = await asyncio.gather(*(ask(client, "PATCH", f"/v1/drafts/{draft}", patch) for patch in patches))
    assert sorted(answer.json()["revision"] for answer in answers) == [2, 3, 4, 5]
    shown = await read(client, f"/v1/drafts/{draft}")
    assert (shown["courier"], shown["service"], shown["discount"]) == ("TIKI", "ONS", 7)
    assert shown["recipient"]["note"] == "dua"


async def test_rf_4_a_draft_of_another_seller_is_not_found(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    draft = await opened(client)
    before = await rows(pool, "SELECT d::text FROM orders.drafts d")
    client.headers["authorization"] = f"Bearer {THEIRS}"
    for method, more in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/place")):
        for wanted in (draft, str(uuid7()), "no-id"):
            answer = await ask(client, method, f"/v1/drafts/{wanted}{more}")
            assert code(answer) == (404, "DRAFT_NOT_FOUND"), method
    assert (await read(client, "/v1/drafts"))["items"] == []
    assert await rows(pool, "SELECT d::text FROM orders.drafts d") == before


async def test_sr_4_drafts_are_the_sellers_peoples(client: httpx.AsyncClient) -> None:
    draft = await opened(client)
    for key, allowed in ((INTAKE, ()), (READER, ("GET",))):
        client.headers["authorization"] = f"Bearer {key}"
        for method, path in (
            ("GET", "/v1/drafts"),
            ("GET", f"/v1/drafts/{draft}"),
            ("POST", "/v1/drafts"),
            ("PATCH", f"/v1/drafts/{draft}"),
            ("DELETE", f"/v1/drafts/{draft}"),
            ("POST", f"/v1/drafts/{draft}/place"),
        ):
            answer = await ask(client, method, path)
            expected = 200 if method in allowed else 403
            assert answer.status_code == expected, f"{key} {method} {path}"


async def test_pages_of_drafts_never_skip_or_repeat(client: httpx.AsyncClient) -> None:
    made = [await opened(client, {"courier": str(number)}) for number in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        found = await read(client, f"/v1/drafts?limit=2&cursor={cursor}")
        seen += [each["id"] for each in found["items"]]
        if found["next"] is None:
            break
        cursor = found["next"]
        made.append(await opened(client, {}))
    assert seen == made[4::-1]
    assert (await client.get("/v1/drafts?cursor=x")).status_code == 422


async def test_drafts_are_bounded_in_number_and_size(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "DRAFTS_MAX", 3)
    answers = await asyncio.gather(*(ask(client, "POST", "/v1/drafts") for _ in range(6)))
    assert sorted(code(each) for each in answers) == [(201, "")] * 3 + [(409, "TOO_MANY_DRAFTS")] * 3
    monkeypatch.setattr(kept, "DRAFTS_MAX", 10)
    line = {"sku": "x" * 128, "name": "y" * 500, "product": "z" * 128, "variant": "v" * 128}
    large = await ask(client, "POST", "/v1/drafts", {"lines": [line] * 200})
    assert code(large) == (422, "FIELD_INVALID")
    assert [each["field"] for each in large.json()["fields"]] == ["lines"]
    [first, *_] = (await read(client, "/v1/drafts"))["items"]
    assert (await ask(client, "DELETE", f"/v1/drafts/{first['id']}")).json() == {"id": first["id"]}
    assert code(await client.get(f"/v1/drafts/{first['id']}")) == (404, "DRAFT_NOT_FOUND")


async def test_mn_2_ti_1_a_draft_ends_30_days_after_its_last_change_without_an_event(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    old, changed, young = [await opened(client) for _ in range(3)]
    for draft, days in ((old, 31), (changed, 31), (young, 29)):
        await rows(
            pool,
            f"UPDATE orders.drafts SET changed_at = now() - interval '{days} days' WHERE id = '{draft}'",
        )
    # Past its days it is gone at once, whenever it is swept.
    assert code(await client.get(f"/v1/drafts/{old}")) == (404, "DRAFT_NOT_FOUND")
    assert code(await ask(client, "POST", f"/v1/drafts/{old}/place", BACKORDER)) == (404, "DRAFT_NOT_FOUND")
    assert [each["id"] for each in (await read(client, "/v1/drafts"))["items"]] == [young]
    await rows(pool, f"UPDATE orders.drafts SET changed_at = now() WHERE id = '{changed}'")
    assert not await Cleaner(pool, database).clean()
    assert {str(each) for (each,) in await rows(pool, "SELECT id FROM orders.drafts")} == {changed, young}
    assert await rows(pool, "SELECT 1 FROM orders.events") == []


async def test_keys_of_commands_are_forgotten_after_30_days_in_batches(
    client: httpx.AsyncClient, pool: AsyncPool, database: str
) -> None:
    order = await opened(client)
    await ask(client, "POST", f"/v1/drafts/{order}/place", BACKORDER)
    path = f"/v1/orders/{order}/commands/tag-order"
    for number in range(7):
        answer = await ask(client, "POST", path, {"add": [str(number)]}, idempotency_key=f"tag-{number}")
        assert answer.status_code == 200
    await rows(
        pool,
        "UPDATE orders.command_keys SET recorded_at = now() - interval '31 days'"
        " WHERE key IN ('tag-0', 'tag-1', 'tag-2', 'tag-3', 'tag-4')",
    )
    cleaner = Cleaner(pool, database)
    assert [await cleaner.clean(2) for _ in range(4)] == [True, True, False, False]
    left = {key for (key,) in await rows(pool, "SELECT key FROM orders.command_keys WHERE key LIKE 'tag-%'")}
    assert left == {"tag-5", "tag-6"}
    repeated = await ask(client, "POST", path, {"add": ["6"]}, idempotency_key="tag-6")
    assert repeated.json()["events"] == ["OrderTagged"], "What is kept is answered as it was."
    anew = await ask(client, "POST", path, {"add": ["0"]}, idempotency_key="tag-0")
    assert anew.json()["events"] == [], "What is forgotten is decided anew, and there was nothing to do."
    # Whoever calls the function with less than the topic's retention is not obeyed.
    await rows(pool, "UPDATE orders.command_keys SET recorded_at = now() - interval '7 days'")
    assert await rows(pool, "SELECT orders.forget_command_keys(0, 100)") == [(0,)]
