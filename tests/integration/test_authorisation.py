"""Without a key nobody is told anything, and with another seller's key nobody is told of this one's orders."""

import pytest

from deploy.local.services import SERVICES
from tests.integration.judge import assert_whole
from tests.integration.system import STRANGER_KEY, System

pytestmark = pytest.mark.connected

OPEN = ("/health/live", "/health/ready", "/metrics")
METHODS = {"get", "put", "post", "delete", "patch"}


def routes(system: System, service: str) -> list[tuple[str, str]]:
    """Every method and path that the service's own description names, with something for each parameter."""
    paths = system.read(service, "/openapi.json")["paths"]
    found = [
        (method, "/".join("x" if "{" in part else part for part in path.split("/")))
        for path, methods in paths.items()
        for method in methods
        if method in METHODS
    ]
    assert len(found) >= 2, "A description that names nothing proves nothing."
    return [*found, ("get", "/openapi.json"), ("get", "/"), ("get", "/v1/nothing"), ("post", "/v1/orders")]


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_but_health_and_metrics_needs_a_key(system: System, service: str) -> None:
    for method, path in routes(system, service):
        # Keys that anybody may verify tokens by are public; test_every_route.py holds the list of such doors.
        if path.startswith(("/webhooks/", "/.well-known/")):
            continue
        for given in ({}, {"authorization": "Bearer jejak_wrong"}, {"authorization": "Basic eDp5"}):
            answer = system.http.request(method, f"{system.url(service)}{path}", headers=given)
            assert answer.status_code == 401, f"{method} {path} with {given}"
            assert answer.headers["content-type"].startswith("application/problem+json")
    assert [system.get(service, path, key=None).status_code for path in OPEN] == [200, 200, 200]


def test_a_webhook_needs_no_key_but_its_own_proof(system: System) -> None:
    for url in ("/webhooks/lazada/1", "/webhooks/tokopedia/guessed/order_status"):
        headers = {"authorization": f"Bearer {system.endpoints['api_key']}"}
        answer = system.http.post(f"{system.url('channels')}{url}", content=b"{}", headers=headers)
        assert answer.status_code == 401, url


def test_another_seller_sees_no_order_and_nothing_that_came_of_one(system: System, seed: int) -> None:
    run = system.start_run(seed=seed + 30, orders=15, per_second=15)
    assert_whole(system, run)
    own = system.listed("orders", "/v1/orders")
    sku = system.listed("inventory", "/v1/stock")[0]["sku"]
    lists = [
        ("orders", "/v1/orders"),
        ("orders", "/v1/events"),
        ("channels", "/v1/shops"),
        ("channels", "/v1/raw-messages"),
        ("inventory", "/v1/stock"),
        ("inventory", f"/v1/stock/{sku}/movements"),
        ("notifications", "/v1/deliveries"),
    ]
    for service, path in lists:
        assert system.read(service, path)["items"] != [], f"{path} has something to hide."
        answer = system.get(service, path, key=STRANGER_KEY)
        assert (answer.status_code, answer.json()["items"]) == (200, []), path
    for order in own[:20]:
        for path in (f"/v1/orders/{order['id']}", f"/v1/orders/{order['id']}/events"):
            assert system.get("orders", path).status_code == 200
            there = system.get("orders", path, key=STRANGER_KEY)
            nowhere = system.get("orders", path.replace(order["id"], "01920000-0000-7000-8000-000000000000"))
            assert there.status_code == nowhere.status_code == 404
            assert there.json()["code"] == nowhere.json()["code"], "Not even that it exists is told."
    assert system.get("orders", "/v1/parked", key=STRANGER_KEY).status_code == 403
