"""Commands over HTTP on a real database: what they answer, once per key, and in which order checks apply."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import structlog
import structlog.testing
from fastapi import FastAPI

from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.clock import now, uuid7
from libs.runtime.health import Health
from libs.runtime.postgres import AsyncPool, make_pool
from services.orders.app import migrate_orders
from services.orders.commands_api import ON_ORDERS, command_routes
from services.orders.concluding import Decider
from services.orders.dispatch import Dispatcher
from services.orders.holds import HoldKeys
from services.orders.surroundings import SellerTermsReader
from services.orders.tests.placing import AGENT, INTAKE, KEYS, OWNER, READER, THEIRS, placement
from services.orders.tests.test_consumer import SELLER
from services.orders.tests.test_holds import ED, hold, signed
from services.orders.writer import GroupWriter

pytestmark = pytest.mark.connected


@pytest.fixture
async def pool(database: str) -> AsyncIterator[AsyncPool]:
    migrate_orders(database)
    async with make_pool(database, "orders", name="test", size=6) as opened:
        yield opened


async def door(pool: AsyncPool, holds: HoldKeys | None = None) -> tuple[FastAPI, asyncio.Task[None]]:
    """An application of its own with the doors of commands, as one process has it."""

    async def status() -> Status:
        return Status(0, 0, 0, 0)

    app = make_api("orders", ApiKeys(KEYS), health=Health("orders"), status=status)
    writer = GroupWriter(pool)
    decider = Decider(SellerTermsReader(pool), holds or HoldKeys([]))
    app.include_router(command_routes(Dispatcher(pool, writer, decider)))
    return app, asyncio.create_task(writer.run())


@pytest.fixture
async def client(pool: AsyncPool) -> AsyncIterator[httpx.AsyncClient]:
    app, running = await door(pool)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        opened.headers["authorization"] = f"Bearer {OWNER}"
        yield opened
    running.cancel()


async def post(client: httpx.AsyncClient, path: str, body: Any = None, **headers: str) -> httpx.Response:
    given = {
        "idempotency-key": str(uuid7()),
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    return await client.post(path, json={} if body is None else body, headers=given)


async def placed(client: httpx.AsyncClient, **changed: Any) -> str:
    answer = await post(client, "/v1/orders", placement(**changed))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["order"])


async def rows(pool: AsyncPool, statement: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def stored(pool: AsyncPool, order: str) -> list[str]:
    found = await rows(pool, f"SELECT name FROM orders.events WHERE stream_id = '{order}' ORDER BY version")
    return [name.removesuffix(".v1") for (name,) in found]


async def test_an_order_is_placed_confirmed_and_paid_by_commands(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    answer = await post(client, "/v1/orders", placement())
    assert answer.status_code == 201
    shown = answer.json()
    assert set(shown) == {"order", "sequence", "position", "events", "headline", "allowed"}
    assert (shown["sequence"], shown["headline"], shown["events"]) == (1, "NEW", ["OrderPlaced"])
    assert {"ConfirmOrder", "CancelOrder", "EditOrder"} <= set(shown["allowed"])
    assert answer.headers["etag"] == '"1"'
    path = f"/v1/orders/{shown['order']}/commands"
    confirmed = (await post(client, f"{path}/confirm-order")).json()
    assert (confirmed["sequence"], confirmed["headline"]) == (2, "CONFIRMED")
    assert int(confirmed["position"]) == int(shown["position"]) + 1
    paid = (await post(client, f"{path}/confirm-payment", {"amount": 108_000})).json()
    assert paid["headline"] == "PAID"
    assert (await stored(pool, shown["order"]))[:3] == ["OrderPlaced", "OrderConfirmed", "PaymentConfirmed"]


async def test_a_refusal_is_a_problem_with_what_the_decision_saw(client: httpx.AsyncClient) -> None:
    order = await placed(client)
    path = f"/v1/orders/{order}/commands/confirm-order"
    await post(client, path)
    answer = await post(client, path)
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    shown = answer.json()
    assert shown["code"] == "ALREADY_CONFIRMED"
    assert shown["sentence"]["en"] == "The order is already confirmed."
    assert shown["sentence"]["id"]
    assert (shown["headline"], shown["sequence"], shown["fields"]) == ("CONFIRMED", 2, [])
    assert "ConfirmOrder" not in shown["allowed"]
    assert "UnconfirmOrder" in shown["allowed"]


async def test_gr_3_all_input_errors_are_reported_together(client: httpx.AsyncClient) -> None:
    lines = [{"sku": "KOPI", "name": "Kopi", "quantity": 0, "unit_price": -1}]
    answer = await post(client, "/v1/orders", placement(lines=lines, payment_method="GOLD"))
    assert answer.status_code == 422
    found = {each["field"]: each["code"] for each in answer.json()["fields"]}
    assert found == {
        "lines.0.quantity": "QUANTITY_INVALID",
        "lines.0.unit_price": "PRICE_INVALID",
        "payment_method": "METHOD_UNKNOWN",
    }
    assert answer.json()["code"] == "QUANTITY_INVALID"
    wrong_types = await post(client, "/v1/orders", placement(lines="none", courier=7))
    assert {each["field"] for each in wrong_types.json()["fields"]} == {"lines", "courier"}


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b'"text"', b'{"reference": "a\\u0000b"}', b"[" * 100_000]
)
async def test_a_body_that_is_no_object_is_an_input_error(client: httpx.AsyncClient, body: bytes) -> None:
    order = await placed(client)
    answer = await client.post(
        f"/v1/orders/{order}/commands/confirm-payment", content=body, headers={"idempotency-key": "k"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_INVALID")


async def test_gr_4_the_same_key_and_body_have_the_same_answer_and_one_event(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    first = await post(client, "/v1/orders", placement(), idempotency_key="place")
    again = await post(client, "/v1/orders", dict(reversed(placement().items())), idempotency_key="place")
    assert (again.status_code, again.json()) == (201, first.json())
    order = first.json()["order"]
    path = f"/v1/orders/{order}/commands/confirm-order"
    accepted = await post(client, path, idempotency_key="confirm")
    await post(client, f"/v1/orders/{order}/commands/hold-order", {"reason": "check"})
    repeated = await post(client, path, idempotency_key="confirm")
    assert repeated.json() == accepted.json()
    refused = await post(client, path, idempotency_key="again")
    await post(client, f"/v1/orders/{order}/commands/unconfirm-order")
    still = await post(client, path, idempotency_key="again")
    assert {**still.json(), "request_id": ""} == {**refused.json(), "request_id": ""}
    assert (await stored(pool, order)).count("OrderConfirmed") == 1
    assert await rows(pool, "SELECT count(DISTINCT stream_id) FROM orders.events") == [(1,)]


async def test_gr_4_another_body_under_the_same_key_is_key_reused(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    order = await placed(client)
    path = f"/v1/orders/{order}/commands/confirm-payment"
    await post(client, path, {"amount": 1_000}, idempotency_key="pay")
    for other in (
        await post(client, path, {"amount": 2_000}, idempotency_key="pay"),
        await post(client, f"/v1/orders/{order}/commands/confirm-order", idempotency_key="pay"),
        await post(client, "/v1/orders", placement(), idempotency_key="pay"),
    ):
        assert (other.status_code, other.json()["code"]) == (422, "KEY_REUSED")
    # RF-1: what the order is now stands in this refusal too.
    reused = (await post(client, path, {"amount": 3_000}, idempotency_key="pay")).json()
    assert (reused["headline"], reused["sequence"]) == ("PARTLY_PAID", 2)
    assert "ConfirmPayment" in reused["allowed"]
    assert await stored(pool, order) == ["OrderPlaced", "PaymentConfirmed"]
    client.headers["authorization"] = f"Bearer {AGENT}"
    # A key is the caller's own.
    mine = await post(client, path, {"amount": 2_000}, idempotency_key="pay")
    assert mine.status_code == 200


async def test_the_same_key_at_the_same_time_is_one_event(client: httpx.AsyncClient, pool: AsyncPool) -> None:
    answers = await asyncio.gather(
        *(post(client, "/v1/orders", placement(), idempotency_key="one") for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    order = answers[0].json()["order"]
    path = f"/v1/orders/{order}/commands/confirm-order"
    answers = await asyncio.gather(*(post(client, path, idempotency_key="two") for _ in range(10)))
    assert len({answer.text for answer in answers}) == 1
    assert await stored(pool, order) == ["OrderPlaced", "OrderConfirmed"]


async def test_of_two_commands_at_once_one_wins_and_the_other_is_decided_anew(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    """Each through a process of its own, so that only the append stands between them."""
    other_app, running = await door(pool)
    transport = httpx.ASGITransport(other_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as other:
        other.headers["authorization"] = f"Bearer {AGENT}"
        for _ in range(20):
            order = await placed(client)
            path = f"/v1/orders/{order}/commands/confirm-order"
            await post(other, f"/v1/orders/{order}/commands/tag-order", {"add": ["known to both"]})
            answers = await asyncio.gather(post(client, path), post(other, path))
            assert sorted(answer.status_code for answer in answers) == [200, 409]
            [loser] = [answer.json() for answer in answers if answer.status_code == 409]
            assert (loser["code"], loser["sequence"]) == ("ALREADY_CONFIRMED", 3)
            assert (await stored(pool, order)).count("OrderConfirmed") == 1
            # With the sequence that both saw, the loser is told that the order has changed.
            undo = f"/v1/orders/{order}/commands/unconfirm-order"
            answers = await asyncio.gather(
                post(client, undo, if_match='"3"'), post(other, undo, if_match='"3"')
            )
            assert sorted(answer.status_code for answer in answers) == [200, 412]
    running.cancel()


async def test_if_match_names_the_sequence_that_the_caller_saw(client: httpx.AsyncClient) -> None:
    order = await placed(client)
    path = f"/v1/orders/{order}/commands"
    stale = await post(client, f"{path}/confirm-order", if_match='"7"')
    assert (stale.status_code, stale.json()["code"]) == (412, "SEQUENCE_CONFLICT")
    assert (stale.json()["sequence"], stale.json()["headline"]) == (1, "NEW")
    malformed = await post(client, f"{path}/confirm-order", if_match='"a"')
    assert [each["field"] for each in malformed.json()["fields"]] == ["If-Match"]
    assert (await post(client, f"{path}/confirm-order", if_match='"1"')).status_code == 200
    assert (await post(client, f"{path}/unconfirm-order", if_match="*")).status_code == 200


async def test_a_write_without_a_key_is_refused_and_writes_nothing(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    for key in (None, "", "a b", "x" * 201):
        headers = {} if key is None else {"idempotency-key": key}
        answer = await client.post("/v1/orders", json=placement(), headers=headers)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["fields"]] == ["Idempotency-Key"]
    assert await rows(pool, "SELECT FROM orders.events") == []


async def test_rf_4_an_order_of_another_seller_is_not_found_whatever_is_asked(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    order = await placed(client)
    client.headers["authorization"] = f"Bearer {THEIRS}"
    for path in [*(f"commands/{name}" for name in ON_ORDERS), "commands/preview-edit", "facts"]:
        for known in (order, str(uuid7()), "no-id"):
            answer = await client.post(f"/v1/orders/{known}/{path}", content=b"{", headers={"if-match": "x"})
            assert (answer.status_code, answer.json()["code"]) == (404, "ORDER_NOT_FOUND"), path
            assert (answer.json()["headline"], answer.json()["sequence"]) == (None, None)
    bulk = await post(client, "/v1/bulk/confirm-order", {"orders": [order]})
    assert [each["code"] for each in bulk.json()["results"]] == ["ORDER_NOT_FOUND"]
    assert await stored(pool, order) == ["OrderPlaced"]


async def test_sr_4_a_role_gives_what_it_may_and_nothing_else(client: httpx.AsyncClient) -> None:
    order = await placed(client)

    async def code(key: str, path: str, body: Any = None) -> Any:
        client.headers["authorization"] = f"Bearer {key}"
        answer = await post(client, path, body)
        return answer.json().get("code", answer.status_code)

    commands = f"/v1/orders/{order}/commands"
    assert await code(READER, f"{commands}/confirm-order") == "NOT_PERMITTED"
    assert await code(READER, "/v1/orders", placement()) == "NOT_PERMITTED"
    assert await code(INTAKE, f"{commands}/confirm-order") == "NOT_PERMITTED"
    assert await code(AGENT, f"{commands}/record-credit", {"amount": 1}) == "NOT_PERMITTED"
    assert await code(AGENT, f"{commands}/confirm-order", {"actor": "OWNER"}) == "NOT_PERMITTED"
    assert await code(READER, "/v1/bulk/confirm-order", {"orders": [order]}) == "NOT_PERMITTED"
    assert await code(INTAKE, "/v1/orders", placement(source="LANDING_PAGE", page="Kopi")) == 201
    assert await code(AGENT, f"{commands}/confirm-order") == 200


async def test_sr_6_an_intake_caller_speaks_for_buyers_of_its_own_orders_only(
    client: httpx.AsyncClient,
) -> None:
    mine = await placed(client)
    client.headers["authorization"] = f"Bearer {INTAKE}"
    theirs = await placed(client, source="LANDING_PAGE")
    asked = {"reason": "CHANGED_MIND"}
    wrong = await post(client, f"/v1/orders/{mine}/commands/request-cancellation", asked)
    assert (wrong.status_code, wrong.json()["code"]) == (403, "NOT_PERMITTED")
    answer = await post(client, f"/v1/orders/{theirs}/commands/request-cancellation", asked)
    assert (answer.status_code, answer.json()["headline"]) == (200, "CANCELLATION_REQUESTED")


async def test_cv_5_an_event_keeps_its_actor_and_its_caller(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    client.headers["authorization"] = f"Bearer {INTAKE}"
    order = await placed(client, source="STOREFRONT")
    client.headers["authorization"] = f"Bearer {AGENT}"
    await post(client, f"/v1/orders/{order}/commands/confirm-order")
    found = await rows(pool, "SELECT state->>'actor', state->>'caller' FROM orders.events ORDER BY position")
    assert found == [("BUYER", INTAKE), ("AGENT", AGENT)]


async def test_gr_12_a_bulk_command_answers_one_result_per_order_in_order(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    orders = [await placed(client) for _ in range(5)]
    await post(client, f"/v1/orders/{orders[2]}/commands/confirm-order")
    asked = {"orders": [*orders, "no-id", str(uuid7()), orders[0]]}
    answer = await post(client, "/v1/bulk/confirm-order", asked, idempotency_key="many")
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each["order"] for each in results] == asked["orders"]
    assert [each["status"] for each in results] == [200, 200, 409, 200, 200, 404, 404, 409]
    assert results[0]["headline"] == "CONFIRMED"
    again = await post(client, "/v1/bulk/confirm-order", asked, idempotency_key="many")
    assert again.json() == answer.json()
    other = await post(client, "/v1/bulk/confirm-order", {"orders": orders[:1]}, idempotency_key="many")
    assert (other.status_code, other.json()["code"]) == (422, "KEY_REUSED")
    assert await rows(pool, "SELECT count(*) FROM orders.events WHERE name = 'OrderConfirmed.v1'") == [(5,)]


async def test_gr_12_a_bulk_command_takes_1_to_1000_orders(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    none = await post(client, "/v1/bulk/confirm-order", {"orders": []})
    assert (none.status_code, none.json()["code"]) == (422, "NOTHING_SELECTED")
    too_many = await post(client, "/v1/bulk/confirm-order", {"orders": ["x"] * 1_001})
    assert (too_many.status_code, too_many.json()["code"]) == (422, "TOO_MANY_ORDERS")
    wrong = await post(client, "/v1/bulk/confirm-order", {"orders": [1]})
    assert [each["field"] for each in wrong.json()["fields"]] == ["orders"]
    matched = await post(client, "/v1/bulk/confirm-order", {"orders": ["x"]}, if_match='"1"')
    assert [each["field"] for each in matched.json()["fields"]] == ["If-Match"]
    places = await asyncio.gather(*(placed(client) for _ in range(1_000)))
    answer = await post(client, "/v1/bulk/tag-order", {"orders": places, "add": ["promo"]})
    results = answer.json()["results"]
    assert [each["order"] for each in results] == places
    assert {each["status"] for each in results} == {200}
    assert await rows(pool, "SELECT count(*) FROM orders.events WHERE name = 'OrderTagged.v1'") == [(1_000,)]


async def test_gr_4_nothing_to_do_answers_without_an_event(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    order = await placed(client)
    first = await post(client, f"/v1/orders/{order}/commands/tag-order", {"add": ["promo"]})
    again = await post(client, f"/v1/orders/{order}/commands/tag-order", {"add": ["PROMO"]})
    assert (again.status_code, again.json()["events"]) == (200, [])
    assert (again.json()["sequence"], again.json()["position"]) == (2, first.json()["position"])
    assert await stored(pool, order) == ["OrderPlaced", "OrderTagged"]


async def test_iv_1_bills_are_numbered_without_a_gap_whoever_asks_at_once(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    other_app, running = await door(pool)
    transport = httpx.ASGITransport(other_app)
    orders = [await placed(client, payment_method="INVOICE") for _ in range(12)]
    for order in orders:
        for name in ("confirm-order", "create-bill"):
            assert (await post(client, f"/v1/orders/{order}/commands/{name}")).status_code == 200
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as other:
        other.headers["authorization"] = f"Bearer {AGENT}"
        clients = [client, other] * 6
        answers = await asyncio.gather(
            *(
                post(each, f"/v1/orders/{order}/commands/issue-bill")
                for each, order in zip(clients, orders, strict=True)
            )
        )
    running.cancel()
    assert {answer.status_code for answer in answers} == {200}
    found = await rows(
        pool, "SELECT state->>'number' FROM orders.events WHERE name = 'BillIssued.v1' ORDER BY position"
    )
    assert [number.rpartition("-")[2] for (number,) in found] == [f"{n:06}" for n in range(1, 13)]


async def test_cr_15_a_placement_needs_a_running_hold_for_its_lines(pool: AsyncPool) -> None:
    expires = now() + timedelta(minutes=15)

    async def outcome(**changed: Any) -> Any:
        held = {**hold(seller=SELLER, expires_at=expires.isoformat()), **changed}
        answer = await post(taking, "/v1/orders", placement(allow_backorder=False, hold=signed(held)))
        return answer.json().get("code", answer.status_code)

    app, running = await door(pool, HoldKeys([ED.as_dict(private=False)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as taking:
        taking.headers["authorization"] = f"Bearer {OWNER}"
        none = await post(taking, "/v1/orders", placement(allow_backorder=False))
        assert (none.status_code, none.json()["code"]) == (409, "STOCK_NOT_AVAILABLE")
        assert await outcome(expires_at=(now() - timedelta(seconds=1)).isoformat()) == "STOCK_NOT_AVAILABLE"
        one = [{"sku": "KOPI", "quantity": 1, "warehouse": "BDG"}]
        assert await outcome(lines=one) == "STOCK_NOT_AVAILABLE"
        assert await outcome(seller="another-seller") == "FIELD_INVALID"
        assert await outcome() == 201
    running.cancel()
    found = await rows(pool, "SELECT state->>'hold', state->'lines'->0->>'warehouse' FROM orders.events")
    assert found == [("hold-1", "BDG")]


async def test_ed_3_a_preview_says_what_the_edit_then_does(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    order = await placed(client)
    edit = {"shipping_fee": 20_000}
    path = f"/v1/orders/{order}/commands"
    preview = await client.post(f"{path}/preview-edit", json=edit)
    assert preview.status_code == 200
    assert await stored(pool, order) == ["OrderPlaced"]
    done = (await post(client, f"{path}/edit-order", edit)).json()
    told = preview.json()
    money = told.pop("money")
    assert {**told, "position": done["position"]} == done
    assert (money["total"], money["outstanding"]) == (110_000, 110_000)
    refused = await client.post(f"{path}/preview-edit", json={"remove_lines": ["1"]})
    again = await post(client, f"{path}/edit-order", {"remove_lines": ["1"]})
    assert refused.json()["code"] == again.json()["code"] == "LAST_LINE"


async def test_t11_looking_at_an_order_is_logged_and_is_no_event(
    client: httpx.AsyncClient, pool: AsyncPool
) -> None:
    order = await placed(client)
    with structlog.testing.capture_logs() as logged:
        looked = await post(client, f"/v1/orders/{order}/commands/view-order")
        again = await post(client, f"/v1/orders/{uuid7()}/commands/view-order")
    assert (looked.status_code, looked.json()["events"]) == (200, [])
    assert again.json()["code"] == "ORDER_NOT_FOUND"
    assert [each for each in logged if each["event"] == "order_viewed"] == [
        {"event": "order_viewed", "order": order, "caller": OWNER, "log_level": "info"}
    ]
    assert await stored(pool, order) == ["OrderPlaced"]
