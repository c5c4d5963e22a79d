"""schemathesis asks the running orders whatever its document allows, and much that it does not.

No answer is a server error, each has a documented status, content type and shape. The seed is fixed.
"""

import asyncio
import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from deploy.local.layout import ROOT, Layout
from deploy.local.services import Demo, environment
from libs.runtime.openapi import operations
from libs.runtime.postgres import make_pool
from services.orders.app import migrate_orders
from services.orders.consumer import FactsHandler
from services.orders.draft_shapes import ASKED_EXAMPLE as DRAFT
from services.orders.store import order_id_of
from services.orders.tests.test_consumer import CONNECTION, Log, fact, placed
from tests.integration.ready_orders import Desk

# Four runs, each of which may take its time.
pytestmark = [pytest.mark.connected, pytest.mark.timeout(2_000)]

CHECKS = (
    "no_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "link_followed",
)
EXAMPLES_MAX = 6
# Chains of requests along the document's links; each is a few requests long.
CHAINS_MAX = 120
# Doors whose answers name orders that the others can be asked for; each is followed alone, since most chains
# would begin at the one that needs no body.
BEGINNINGS = ("POST /v1/orders", "GET /v1/orders")
# Only so that a run that hangs ends; what is asked is bounded by the numbers above.
RUN_SECONDS_MAX = 480
ORDERS = ("0", "1", "2", "3")
# The order that its marketplace has sent and then cancelled (MK-14).
IN_CONFLICT = "3"
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
    """Let there be orders of a marketplace, one of them on its way and one in conflict."""
    log = Log()
    news = [placed(number) for number in ORDERS]
    news[-1]["data"]["lines"][0]["line"] = "1"
    news.append(fact("PackagePickedUp", "1", minute=9, status="shipped"))
    news.append(fact("PackagePickedUp", IN_CONFLICT, minute=9, status="shipped"))
    news.append(fact("OrderCancelled", IN_CONFLICT, minute=10, status="canceled"))
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


def wait_for(client: httpx.Client, path: str, count: int, seconds: float = 120) -> list[dict[str, Any]]:
    """The items of a list, once it shows so many."""
    deadline = time.monotonic() + seconds
    last = "nothing"
    while time.monotonic() < deadline:
        try:
            answer = client.get(path)
            last = answer.text[:300]
            if answer.status_code == 200 and len(answer.json()["items"]) >= count:
                items: list[dict[str, Any]] = answer.json()["items"]
                return items
        except httpx.TransportError as fault:
            last = repr(fault)
        time.sleep(0.1)
    raise AssertionError(f"{path} did not list {count} within {seconds} s: {last}")


@pytest.fixture
def told(kafka: str, database: str, tmp_path: Path) -> dict[str, str]:
    """What the native stack would tell orders, with servers and port of this test's own."""
    given = environment(Layout(tmp_path / "stack"), "orders", kafka=kafka, database=database)
    return {**given, "ORDERS_HTTP_PORT": str(free_port())}


def test_orders_answers_as_its_document_says(
    told: dict[str, str], database: str, seed: int, tmp_path: Path
) -> None:
    demo = Demo(Layout(tmp_path / "stack"))
    operator = secrets.token_urlsafe(32)
    told["API_KEYS"] = json.dumps([*json.loads(told["API_KEYS"]), operators_key(operator)])
    run("libs.runtime.topics", "create", told=told)
    migrate_orders(database)
    run("services.orders", "register-seller", "--file", str(demo.write_registration()), told=told)
    asyncio.run(hold_orders(database, demo.seller))
    asking = Asking(
        url=f"http://127.0.0.1:{told['ORDERS_HTTP_PORT']}",
        bearer=f"Bearer {demo.api_key}",
        operator=f"Bearer {operator}",
        seed=seed,
    )
    with running(told, tmp_path, "api", "projector"):
        with httpx.Client(
            base_url=asking.url, headers={"authorization": asking.bearer}, timeout=60
        ) as client:
            wait_for(client, "/v1/orders", len(ORDERS))
            asking.orders.extend(str(order_id_of(CONNECTION, number)) for number in ORDERS)
            ready = made_ready(client)
            asking.orders.extend(values["order_id"] for values in ready.values() if "order_id" in values)
            document = client.get("/openapi.json").json()
        chains = [
            (door, asking.ask(tmp_path / f"chains-{number}", door, "stateful", CHAINS_MAX, "positive"))
            for number, door in enumerate((linked(document, start) for start in BEGINNINGS), start=1)
        ]
        # After the chains, since it may take back what they need: a payment method, a reason.
        broad = asking.ask(tmp_path / "broad", naming(document, ready), "examples,fuzzing", EXAMPLES_MAX)
        # Of a document that promises what is not answered it must say so.
        lying = asking.ask(tmp_path / "lying", promising_too_much(document), "fuzzing", EXAMPLES_MAX)
    assert broad.code == 0, broad.said[-20_000:]
    assert_asked(broad.report, document)
    assert_examples_accepted(broad.report, document)
    for door, chain in chains:
        assert chain.code == 0, chain.said[-20_000:]
        assert_followed(chain.followed, door)
    assert lying.code == 1
    assert "Response violates schema" in lying.said


def operators_key(token: str) -> dict[str, Any]:
    """The key of whoever runs the installation, of no seller (18.2), as settings know it."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    return {"id": "operator", "sha256": digest, "role": "OPERATOR", "scopes": ["operator"], "seller": ""}


def made_ready(client: httpx.Client) -> dict[str, dict[str, str]]:
    """Make what the document's examples need; by operation, the values of the path and of the body."""
    desk = Desk(client)
    agent = str(desk.post("/v1/seller/people", {"name": "Agen Contoh", "role": "AGENT"})["id"])
    for code in ("OUT_OF_STOCK", "CHANGED_MIND"):
        desk.post("/v1/seller/reasons", {"code": code, "label": code.title(), "given_by": "SELLER"})
    tags = [str(desk.post("/v1/seller/tags", {"tag": tag})["id"]) for tag in ("lama", "usang")]
    key = str(desk.post("/v1/seller/keys", {"name": "lama", "role": "AGENT"})["id"])
    drafts = [str(desk.post("/v1/drafts", {**DRAFT, "insurance_fee": 0})["id"]) for _ in range(2)]
    orders = {
        f"POST /v1/orders/{{order_id}}/{path}": {"order_id": order}
        for path, order in desk.orders_ready().items()
    }
    adopting = "POST /v1/orders/{order_id}/commands/adopt-channel-state"
    customer = wait_for(client, "/v1/seller/customers", 1)[0]
    orders["POST /v1/orders/{order_id}/commands/change-agent"]["agent"] = agent
    return orders | {
        adopting: {"order_id": str(order_id_of(CONNECTION, IN_CONFLICT))},
        "PATCH /v1/seller/people/{person}": {"person": agent},
        "PATCH /v1/seller/tags/{tag}": {"tag": tags[0]},
        "DELETE /v1/seller/tags/{tag}": {"tag": tags[1]},
        "PATCH /v1/seller/reasons/{code}": {"code": "CHANGED_MIND"},
        "PATCH /v1/seller/customers/{customer}": {"customer": str(customer["buyer"])},
        "DELETE /v1/seller/keys/{key_id}": {"key_id": key},
        "PATCH /v1/drafts/{draft_id}": {"draft_id": drafts[0]},
        "POST /v1/drafts/{draft_id}/place": {"draft_id": drafts[1]},
    }


def run(*module: str, told: dict[str, str]) -> None:
    """Run a command of ours to its end."""
    command = [sys.executable, "-m", *module]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **told}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{module}: {done.stdout[-500:]} {done.stderr[-2000:]}"


class Asked(NamedTuple):
    """How a run of schemathesis ended, and which links it followed how often, by both operations."""

    code: int
    said: str
    report: dict[str, Any]
    followed: Counter[tuple[str, str]]


@dataclass(frozen=True)
class Asking:
    """Who asks the running service, and after which orders."""

    url: str
    bearer: str
    operator: str
    seed: int
    orders: list[str] = field(default_factory=list)

    def ask(
        self, folder: Path, document: dict[str, Any], phases: str, examples_max: int, mode: str = "all"
    ) -> Asked:
        """Run schemathesis over the document to its end."""
        folder.mkdir()
        report, followed = folder / "report.json", folder / "followed.jsonl"
        (folder / "openapi.json").write_text(json.dumps(document))
        followed.touch()
        command = [
            str(Path(sys.executable).parent / "schemathesis"), "run", str(folder / "openapi.json"),
            "--url", self.url, "--seed", str(self.seed),
            "--max-examples", str(examples_max), "--phases", phases, "--checks", ",".join(CHECKS),
            "--request-timeout", "60", "--generation-database", "none", "--suppress-health-check", "all",
            "--no-shrink", "--warnings", "off", "--report", "json", "--report-json-path", str(report),
            "--no-color", "--workers", "1", "--mode", mode,
        ]  # fmt: skip
        told = {
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.integration.answering",
            "PYTHONPATH": str(ROOT),
            "JEJAK_ORDERS": ",".join(self.orders),
            "JEJAK_BEARER": self.bearer,
            "JEJAK_OPERATOR": self.operator,
            "JEJAK_FOLLOWED": str(followed),
            "JEJAK_RUN": folder.name,
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
        lines = [json.loads(line) for line in followed.read_text().splitlines()]
        return Asked(
            result.returncode,
            result.stdout,
            json.loads(report.read_text()),
            Counter((source, target) for source, target, _ in lines),
        )


def naming(document: dict[str, Any], ready: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The document with examples of what there is: in the path, and where it is no part of that in the body."""
    named: dict[str, Any] = json.loads(json.dumps(document))
    for name, operation in operations(named):
        values = dict(ready.get(name, {}))
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["name"] in values:
                parameter["example"] = values.pop(parameter["name"])
        if values:
            operation["requestBody"]["content"]["application/json"]["example"].update(values)
    return named


def targets(operation: dict[str, Any]) -> set[str]:
    """The operations that the links of an operation's answers lead to."""
    found = set()
    for response in operation["responses"].values():
        for link in response.get("links", {}).values():
            path, _, method = link["operationRef"].removeprefix("#/paths/").rpartition("/")
            found.add(f"{method.upper()} {path.replace('~1', '/')}")
    return found


def linked(document: dict[str, Any], start: str) -> dict[str, Any]:
    """The document of one door and all that its links lead to."""
    known = dict(operations(document))
    kept: set[str] = set()
    left = {start}
    while left:
        kept |= left
        left = {target for name in left for target in targets(known[name])} - kept
    narrow: dict[str, Any] = {**document, "paths": {}}
    for name in sorted(kept):
        method, _, path = name.partition(" ")
        narrow["paths"].setdefault(path, {})[method.lower()] = known[name]
    return narrow


def promising_too_much(document: dict[str, Any]) -> dict[str, Any]:
    """A document of one door, which says that there is always a field that there is not."""
    spoilt: dict[str, Any] = json.loads(json.dumps(document))
    spoilt["paths"] = {"/v1/status": spoilt["paths"]["/v1/status"]}
    spoilt["components"]["schemas"]["StatusAnswer"]["required"].append("never_there")
    return spoilt


def assert_asked(report: dict[str, Any], document: dict[str, Any]) -> None:
    """Every operation was tried, and the doors that can be opened have opened."""
    assert report["complete"]
    assert report["operations"]["tested"] == len(list(operations(document))) > 40
    accepted = {
        name: sum(phase["accepted"] for phase in phases.values())
        for name, phases in report["valid_rates"].items()
    }
    print(json.dumps(accepted, indent=1))
    assert [name for name in OPENED if not accepted.get(name)] == []


def assert_examples_accepted(report: dict[str, Any], document: dict[str, Any]) -> None:
    """Every literal body of the document has been taken."""
    with_body = [name for name, operation in operations(document) if "requestBody" in operation]
    rates = report["valid_rates"]
    refused = [name for name in with_body if not rates.get(name, {}).get("examples", {}).get("accepted")]
    assert len(with_body) > 40
    assert refused == []


def assert_followed(followed: Counter[tuple[str, str]], document: dict[str, Any]) -> None:
    """Every link of the document has been followed, at least once each."""
    links = {(name, target) for name, operation in operations(document) for target in targets(operation)}
    print(json.dumps([[*link, followed[link]] for link in sorted(links)], indent=1))
    assert len(links) >= 3
    assert sorted(link for link in links if not followed[link]) == []
