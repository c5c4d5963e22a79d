"""schemathesis asks the running orders whatever its document allows, and much that it does not.

No answer is a server error, each has a documented status, content type and shape. The seed is fixed.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.layout import ROOT, Layout
from deploy.local.services import Demo, environment
from libs.runtime.postgres import make_pool
from services.orders.app import migrate_orders
from services.orders.command_examples import COMMAND_EXAMPLES
from services.orders.consumer import FactsHandler
from services.orders.store import order_id_of
from services.orders.tests.test_consumer import CONNECTION, Log, fact, placed

pytestmark = pytest.mark.connected

CHECKS = (
    "no_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
EXAMPLES_MAX = 8
RUN_SECONDS_MAX = 480
ORDERS = ("0", "1", "2")
# Doors that must have let through at least one try; of others it may be that every try was refused.
OPENED = (
    "GET /v1/status",
    "GET /v1/orders",
    "GET /v1/orders/{order_id}",
    "GET /v1/orders/{order_id}/events",
    "GET /v1/orders/{order_id}/timeline",
    "GET /v1/orders/{order_id}/explain",
    "GET /v1/events",
    "GET /v1/parked",
    "GET /v1/order-machine",
    "POST /v1/orders",
    "GET /v1/seller",
    "GET /v1/seller/people",
    "GET /v1/seller/policies",
    "GET /v1/seller/keys",
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def hold_orders(database: str, seller: str) -> None:
    """Let there be orders: news of three, one of them on its way."""
    log = Log()
    news = [placed(number) for number in ORDERS]
    news.append(fact("PackagePickedUp", "1", minute=9, status="shipped"))
    async with make_pool(database, "orders", name="test", size=2) as pool:
        await FactsHandler(pool).handle([log.record({**each, "seller": seller}) for each in news], {})


@contextmanager
def running(told: dict[str, str], folder: Path, *roles: str) -> Iterator[None]:
    """Processes of orders, one per role, stopped in order afterwards."""
    started = []
    try:
        for role in roles:
            # Each has a port of its own; only that of the API is asked.
            port = {} if role == "api" else {"ORDERS_HTTP_PORT": "0"}
            with (folder / f"{role}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "services.orders", role],
                        cwd=ROOT,
                        env={**os.environ, **told, **port},
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(120)


def wait_for_orders(client: httpx.Client, count: int, seconds: float = 120) -> None:
    """Return when the list shows so many orders."""
    deadline = time.monotonic() + seconds
    last = "nothing"
    while time.monotonic() < deadline:
        try:
            answer = client.get("/v1/orders")
            last = answer.text[:300]
            if answer.status_code == 200 and len(answer.json()["items"]) == count:
                return
        except httpx.TransportError as fault:
            last = repr(fault)
        time.sleep(0.1)
    raise AssertionError(f"Orders did not list {count} orders within {seconds} s: {last}")


@pytest.fixture
def told(kafka: str, database: str, tmp_path: Path) -> dict[str, str]:
    """What the native stack would tell orders, with servers and port of this test's own."""
    given = environment(Layout(tmp_path / "stack"), "orders", kafka=kafka, database=database)
    return {**given, "ORDERS_HTTP_PORT": str(free_port())}


def test_orders_answers_as_its_document_says(
    told: dict[str, str], database: str, seed: int, tmp_path: Path
) -> None:
    demo = Demo(Layout(tmp_path / "stack"))
    run("libs.runtime.topics", "create", told=told)
    migrate_orders(database)
    run("services.orders", "register-seller", "--file", str(demo.write_registration()), told=told)
    asyncio.run(hold_orders(database, demo.seller))
    url = f"http://127.0.0.1:{told['ORDERS_HTTP_PORT']}"
    bearer = f"Bearer {demo.api_key}"
    with running(told, tmp_path, "api", "projector"):
        with httpx.Client(base_url=url, headers={"authorization": bearer}, timeout=60) as client:
            wait_for_orders(client, len(ORDERS))
            orders = [str(order_id_of(CONNECTION, number)) for number in ORDERS]
            orders += [place(client, number) for number in ORDERS]
            document = client.get("/openapi.json").json()
        code, said = ask(url, bearer, seed, tmp_path, orders, document)
        # Of a document that promises what is not answered it must say so.
        lying = tmp_path / "lying"
        lying.mkdir()
        found, told_of_it = ask(url, bearer, seed, lying, orders, promising_too_much(document))
    assert code == 0, said[-20_000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert_asked(report, document)
    assert found == 1
    assert "Response violates schema" in told_of_it


def place(client: httpx.Client, key: str) -> str:
    """Place an order of the seller's own, as the document's example says; its id."""
    answer = client.post(
        "/v1/orders", json=COMMAND_EXAMPLES["PlaceOrder"], headers={"idempotency-key": f"place-{key}"}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["order"])


def run(*module: str, told: dict[str, str]) -> None:
    """Run a command of ours to its end."""
    command = [sys.executable, "-m", *module]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **told}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{module}: {done.stdout[-500:]} {done.stderr[-2000:]}"


def ask(
    url: str, bearer: str, seed: int, folder: Path, orders: list[str], document: dict[str, Any]
) -> tuple[int, str]:
    """Run schemathesis over the document; its exit code and what it said."""
    (folder / "openapi.json").write_text(json.dumps(document))
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", str(folder / "openapi.json"), "--url", url,
        "--header", f"Authorization: {bearer}", "--seed", str(seed), "--max-examples", str(EXAMPLES_MAX),
        "--phases", "examples,fuzzing,stateful", "--checks", ",".join(CHECKS), "--request-timeout", "60",
        "--generation-database", "none", "--suppress-health-check", "all", "--no-shrink", "--warnings", "off",
        "--report", "json", "--report-json-path", str(folder / "report.json"), "--no-color",
    ]  # fmt: skip
    told = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.integration.answering",
        "PYTHONPATH": str(ROOT),
        "JEJAK_ORDERS": ",".join(orders),
    }
    result = subprocess.run(
        command,
        cwd=folder,
        env=told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    return result.returncode, result.stdout


def promising_too_much(document: dict[str, Any]) -> dict[str, Any]:
    """A document of one door, which says that there is always a field that there is not."""
    spoilt: dict[str, Any] = json.loads(json.dumps(document))
    spoilt["paths"] = {"/v1/status": spoilt["paths"]["/v1/status"]}
    spoilt["components"]["schemas"]["StatusAnswer"]["required"].append("never_there")
    return spoilt


def assert_asked(report: dict[str, Any], document: dict[str, Any]) -> None:
    """Every operation was tried, and the doors that can be opened have opened."""
    operations = sum(len(item) for item in document["paths"].values())
    assert report["complete"]
    assert report["operations"]["tested"] == operations > 40
    accepted = {
        name: sum(phase["accepted"] for phase in phases.values())
        for name, phases in report["valid_rates"].items()
    }
    print(json.dumps(accepted, indent=1))
    assert [name for name in OPENED if not accepted.get(name)] == []
