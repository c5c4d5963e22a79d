"""Every route of every service's OpenAPI document: not without a key, not without a scope, not another seller's.

The routes come from the running services. A route with a parameter that is not known here fails the test: say
whose object it names.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from deploy.local.services import SERVICES
from services.orders.command_examples import COMMAND_EXAMPLES
from tests.integration.judge import assert_whole
from tests.integration.system import INTAKE_KEY, NOTHING_KEY, RIVAL_KEY, STRANGER_SELLER, System, wait_until

pytestmark = pytest.mark.connected

METHODS = ("get", "post", "put", "patch", "delete")
# Public by design: keys are verified by it.
OPEN = {("orders", "get", "/.well-known/jwks.json")}
# Whoever has any good key may ask these: they tell nothing of a seller, or of the key itself only.
ANY_KEY = {*((service, "get", "/v1/status") for service in SERVICES)} | {
    ("orders", "post", "/v1/tokens"),
    ("orders", "get", "/v1/order-machine"),
}
# The installation's, of no seller; a seller's key never holds their scope.
OPERATORS = {("orders", "post", "/v1/sellers"), ("orders", "get", "/v1/parked")}
# What must stand in the body for the object to be looked for at all.
BODIES: dict[str, Any] = {
    "/v1/seller/tags/{tag}": {"tag": "Taken over"},
    "/v1/seller/customers/{customer}": {"category": "RESELLER"},
    "/v1/seller/people/{person}": {"name": "Somebody else"},
    "/v1/seller/reasons/{code}": {"label": "Another label"},
    "/v1/orders/{order_id}/commands/tag-order": {"add": ["taken over"]},
}
QUERIES = {"/v1/orders/{order_id}/contact": {"purpose": "a test of every route"}}
# 18.2: where who lets buyers order gets further than 403. Of the bulk doors those of what buyers ask: each
# order is judged by itself behind them.
FOR_INTAKE = {
    ("orders", "post", "/v1/orders"),
    ("orders", "post", "/v1/bulk/request-cancellation"),
    ("orders", "post", "/v1/bulk/complete-order"),
}
NOWHERE = {"sku": "no such sku"}
NO_ID = "01920000-0000-7000-8000-000000000000"


class Route(NamedTuple):
    """One method of one path."""

    service: str
    method: str
    path: str

    def at(self, values: dict[str, str]) -> str:
        """The path with a value for every parameter."""
        made = self.path
        for name in self.parameters:
            assert name in values, f"{self.path} names an object of a seller that this test does not know."
            made = made.replace(f"{{{name}}}", values[name])
        return made

    @property
    def parameters(self) -> list[str]:
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


class World:
    """What the demo seller has, and how to ask as whom."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._asked = 0
        self.objects = self._make()
        self.marks = {value for name, value in self.objects.items() if name not in {"code", "sku"}}

    def routes(self) -> Iterator[Route]:
        for service in SERVICES:
            paths = self.system.read(service, "/openapi.json")["paths"]
            assert len(paths) >= 2, "A document that names nothing proves nothing."
            for path, methods in paths.items():
                if not path.startswith("/webhooks/"):
                    yield from (Route(service, method, path) for method in METHODS if method in methods)

    def ask(self, route: Route, values: dict[str, str], key: str | None, body: Any = None) -> httpx.Response:
        self._asked += 1
        headers = {"idempotency-key": f"every-route-{self._asked}"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        given = body if body is not None else BODIES.get(route.path, {})
        return self.system.http.request(
            route.method,
            f"{self.system.url(route.service)}{route.at(values)}",
            params=QUERIES.get(route.path),
            json=None if route.method in {"get", "delete"} else given,
            headers=headers,
        )

    def own(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self.ask(Route("orders", method, path), {}, self.system.endpoints["api_key"], body)
        assert answer.status_code in {200, 201}, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _make(self) -> dict[str, str]:
        """One object of the demo seller for every parameter of a path."""
        system = self.system
        order = system.listed("orders", "/v1/orders")[0]["id"]
        reason = {"code": "EVERY_ROUTE", "label": "Alasan", "given_by": "SELLER"}
        if all(each["code"] != reason["code"] for each in self.own("get", "/v1/seller/reasons")["items"]):
            self.own("post", "/v1/seller/reasons", reason)
        system.query(
            "INSERT INTO orders.customers (seller, buyer, category, source, shop, first_seen_at)"
            " VALUES (%s, 'buyer-of-every-route', 'CUSTOMER', 'MANUAL', '', now()) ON CONFLICT DO NOTHING",
            system.endpoints["seller"],
        )
        return {
            "order_id": order,
            "sku": system.listed("inventory", "/v1/stock")[0]["sku"],
            "person": self.own("post", "/v1/seller/people", {"name": "Agen"})["id"],
            "tag": self.own("post", "/v1/seller/tags", {"tag": "Setiap rute"})["id"],
            "code": "EVERY_ROUTE",
            "customer": "buyer-of-every-route",
            "draft_id": self.own("post", "/v1/drafts", {"courier": "JNE"})["id"],
            "key_id": self.own("post", "/v1/seller/keys", {"name": "Kunci", "role": "AGENT"})["id"],
        }

    def told(self, route: Route, answer: httpx.Response) -> set[str]:
        """The ids of the demo seller's objects that the answer tells and the caller did not itself name."""
        named = {self.objects[name] for name in route.parameters}
        return {mark for mark in self.marks - named if mark in answer.text}

    def snapshot(self) -> dict[str, Any]:
        """Everything that the demo seller's own key reads, but what moves by itself."""
        found = {}
        for route in self.routes():
            if route.method == "get" and route not in OPEN | ANY_KEY | OPERATORS:
                answer = self.ask(route, self.objects, self.system.endpoints["api_key"])
                assert answer.status_code == 200, f"{route}: {answer.text[:300]}"
                found[f"{route.service}{route.path}"] = answer.json()
        return found

    def settled(self) -> dict[str, Any]:
        """The snapshot once two in a row agree: lists that follow the orders' events have then caught up."""
        seen = [self.snapshot()]

        def agrees() -> bool:
            seen.append(self.snapshot())
            return seen[-1] == seen[-2]

        wait_until(agrees, 120, "nothing changes by itself any more")
        return seen[-1]


@pytest.fixture(scope="module")
def world(whole_system: System, seed: int) -> World:
    """The demo seller with orders, stock and a registry, and the rival seller with a registry of its own."""
    whole_system.mend()
    run = whole_system.start_run(seed=seed + 40, orders=12, per_second=15)
    assert_whole(whole_system, run)
    made = World(whole_system)
    rival = {
        "id": STRANGER_SELLER,
        "code": "RIVAL",
        "name": "Toko Lain",
        "address": "Jl. Lain 1",
        "owner": {"name": "Pemilik Lain", "id": "owner-of-the-rival"},
    }
    made.own("post", "/v1/sellers", rival)
    return made


def test_no_route_answers_without_a_key(world: World) -> None:
    routes = list(world.routes())
    assert len(routes) > 80
    for route in routes:
        for key in (None, "jejak_wrong", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."):
            answer = world.ask(route, world.objects, key)
            expected = 200 if route in OPEN else 401
            assert answer.status_code == expected, f"{route} with {key}: {answer.text[:300]}"
            if expected == 401:
                assert answer.headers["content-type"].startswith("application/problem+json")
                assert world.told(route, answer) == set(), f"{route}: {answer.text[:300]}"


def test_a_key_without_the_scope_is_not_permitted(world: World) -> None:
    """SR-4: a good key of the same seller that holds no scope at all."""
    for route in world.routes():
        if route in OPEN | ANY_KEY:
            continue
        answer = world.ask(route, world.objects, NOTHING_KEY)
        assert answer.status_code == 403, f"{route}: {answer.status_code} {answer.text[:300]}"
        assert answer.json()["code"] == "NOT_PERMITTED", route
        assert world.told(route, answer) == set(), f"{route}: {answer.text[:300]}"


def test_an_intake_key_places_orders_and_reads_the_state_of_those(world: World) -> None:
    """18.2: of all routes; the demo seller's other orders came in through somebody else."""
    for route in world.routes():
        if route in OPEN | ANY_KEY:
            continue
        answer = world.ask(route, world.objects, INTAKE_KEY)
        said = f"{route}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code == (422 if route in FOR_INTAKE else 403), said
        assert world.told(route, answer) == set(), said
    place = Route("orders", "post", "/v1/orders")
    wanted = {**COMMAND_EXAMPLES["PlaceOrder"], "source": "LANDING_PAGE"}
    placed = world.ask(place, {}, INTAKE_KEY, wanted)
    assert placed.status_code == 201, placed.text
    own = {**world.objects, "order_id": placed.json()["order"]}
    opened = set()
    for route in world.routes():
        if route.method != "get" or route.parameters != ["order_id"]:
            continue
        answer = world.ask(route, own, INTAKE_KEY)
        if answer.status_code == 200:
            opened.add(route.path)
            assert wanted["recipient"]["name"] not in answer.text
        else:
            assert answer.status_code == 403, f"{route}: {answer.text[:300]}"
    assert opened == {"/v1/orders/{order_id}"}


def test_another_seller_neither_sees_nor_touches_anything(world: World) -> None:
    """RF-4, SR-4: with every scope of a seller, and for every route."""
    before = world.settled()
    assert world.marks <= {mark for mark in world.marks if mark in json.dumps(before)}, (
        "There is nothing to see."
    )
    nowhere = {name: NOWHERE.get(name, NO_ID) for name in world.objects}
    judged = 0
    for route in world.routes():
        if route in OPEN | ANY_KEY:
            continue
        answer = world.ask(route, world.objects, RIVAL_KEY)
        said = f"{route}: {answer.status_code} {answer.text[:300]}"
        assert world.told(route, answer) == set(), said
        assert answer.status_code < 500, said
        if route in OPERATORS:
            assert answer.status_code == 403, said
        elif route.parameters:
            judged += 1
            there, absent = answer, world.ask(route, nowhere, RIVAL_KEY)
            assert there.status_code == absent.status_code, f"{said} but {absent.text[:300]}"
            if route.parameters == ["sku"]:
                # A SKU is a word of the seller's own: of another seller's there are simply no movements.
                assert there.json()["items"] == absent.json()["items"] == [], said
            else:
                assert there.status_code == 404, said
                assert there.json()["code"] == absent.json()["code"], "Not even that it exists is told."
    assert judged > 30
    for command in ("confirm-order", "tag-order", "cancel-order"):
        bulk = Route("orders", "post", f"/v1/bulk/{command}")
        answer = world.ask(bulk, {}, RIVAL_KEY, {"orders": [world.objects["order_id"]]})
        assert "ORDER_NOT_FOUND" in answer.text, answer.text[:300]
    after = world.snapshot()
    for name, value in before.items():
        assert after[name] == value, f"{name} was touched."


def test_a_token_made_at_orders_opens_the_other_services(world: World) -> None:
    """One key at orders, a token for the others: they verify it by the public keys and know no database but theirs."""
    doors = {
        "orders": "/v1/orders",
        "channels": "/v1/shops",
        "inventory": "/v1/stock",
        "notifications": "/v1/deliveries",
    }
    made = world.own("post", "/v1/seller/keys", {"name": "Sistem", "role": "OWNER"})
    of_key = Route("orders", "post", "/v1/tokens")
    told = world.ask(of_key, {}, made["key"], {"seconds": 120}).json()
    assert (told["role"], told["seller"]) == ("OWNER", world.system.endpoints["seller"])
    narrow = world.ask(of_key, {}, made["key"], {"scopes": ["inventory:read"]}).json()["token"]
    for service, path in doors.items():
        route = Route(service, "get", path)
        shown = world.ask(route, {}, told["token"])
        assert shown.status_code == 200, f"{route}: {shown.text[:300]}"
        assert (
            shown.json()["items"] == world.ask(route, {}, world.system.endpoints["api_key"]).json()["items"]
        )
        expected = 200 if service == "inventory" else 403
        assert world.ask(route, {}, narrow).status_code == expected, route
        expected = 200 if service == "orders" else 401
        assert world.ask(route, {}, made["key"]).status_code == expected, route
