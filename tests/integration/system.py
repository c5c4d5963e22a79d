"""The whole system for these tests: real servers and processes of their own, to be used, broken and mended.

It is what `make up` starts, in a directory of its own and told three things more: short consumer sessions,
so that a take-over takes seconds; frequent polls; and the key of a second seller.
"""

import hashlib
import hmac
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest

from deploy.local import processes, up
from deploy.local.layout import LOCAL, ROOT, Layout, locked
from deploy.local.services import SERVICES, Demo, Process, environment, table
from deploy.local.stack import NativeStack
from services.orders.registry.roles import SCOPES, Role

Json = dict[str, Any]

DIRECTORY = LOCAL / "stack" / "faults"
SESSION_SECONDS = 6
POLL_SECONDS = 3
# After the run has ended, so many polls of every shop must have found nothing more.
QUIET_POLLS = 2
SHOPS = {"lazada": 2, "tokopedia": 1}
STRANGER_KEY = "jejak_a-key-of-another-seller-of-these-tests-only"
STRANGER_SELLER = "01920000-0000-7000-8000-0000000000ff"
STRANGER_SCOPES = ["orders:read", "channels:read", "inventory:read", "notifications:read"]
# The same seller's owner, with every scope that a seller may hold; and the demo seller's key to nothing.
RIVAL_KEY = "jejak_a-key-of-the-other-sellers-owner-of-these-tests-only"
RIVAL_SCOPES = sorted(SCOPES[Role.OWNER])
NOTHING_KEY = "jejak_a-key-to-nothing-of-these-tests-only"
# The demo seller's landing page.
INTAKE_KEY = "jejak_a-key-of-a-landing-page-of-these-tests-only"
FAULTS = {"duplicate": 0.15, "reorder": 0.15, "lose": 0.1, "delay": 0.1}
NOT_DRAINED = ("lag_records", "unpublished_events", "waiting", "parked")
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Look(NamedTuple):
    """The system at one moment, as its own doors tell."""

    statuses: dict[str, Json]
    events: int
    polls: Counter[str]


class System:
    """One running system; every wait has a deadline and says what it was waiting for."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.endpoints: Json = {}
        self.http = httpx.Client(timeout=60)
        # The public events of the store, read once each.
        self.stored: list[Json] = []
        self._after = ""

    # ---- processes

    @property
    def servers(self) -> NativeStack:
        return NativeStack(self.layout.directory)

    def up(self) -> Json:
        """Start what does not run, as `make up` does; the endpoints."""
        self.endpoints = up.up(self.layout)
        return self.endpoints

    def mend(self) -> None:
        """Start what does not run, without the preparing of `up`, which takes longer than all else here."""
        self._end_more()
        self.servers.start()
        for part in self._table():
            up.launch(self.layout, part)
        for part in self._table():
            up.wait_until_ready(self.layout, part)

    def down(self) -> None:
        self._end_more()
        up.down(self.layout)

    def _end_more(self) -> None:
        for record in self.layout.run.glob("*-*.json"):
            self.end(record.stem)

    def pid(self, name: str) -> int:
        found = processes.running(self.layout, name)
        assert found is not None, f"{name} is not running:\n{processes.tail(self.layout, name)}"
        return found

    def kill(self, name: str) -> None:
        """End the process as a crash would (kill -9)."""
        os.kill(self.pid(name), signal.SIGKILL)
        wait_until(lambda: processes.running(self.layout, name) is None, 120, f"{name} is dead")

    def start(self, name: str) -> None:
        """Start one process of the table, by what `up` itself starts it with; return when it is ready."""
        part = next(each for each in self._table() if each.name == name)
        up.launch(self.layout, part)
        up.wait_until_ready(self.layout, part)

    def _table(self) -> list[Process]:
        return table(
            self.layout,
            kafka=self.endpoints["kafka"],
            database=self.endpoints["database"],
            sandbox=self.layout.directory / "sandbox.json",
        )

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop the process from running (SIGSTOP) and let it go on afterwards."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def start_more(self, service: str, role: str, *, wait: bool = True) -> str:
        """Start one more process of a service in one role, with a port of its own; its name."""
        name = f"{service}-{role}"
        port = self.layout.free_port(name)
        told = environment(
            self.layout, service, kafka=self.endpoints["kafka"], database=self.endpoints["database"]
        )
        told[f"{service.upper()}_HTTP_PORT"] = str(port)
        command = [sys.executable, "-m", f"services.{service}", role]
        processes.spawn(self.layout, name, command, environment={**os.environ, **told}, directory=ROOT)
        if wait:
            up.wait_until_ready(self.layout, Process(name, command, told, port))
        return name

    def end(self, name: str) -> None:
        """Have a process drain and end."""
        processes.stop(self.layout, name)

    # ---- doors

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.layout.port(name)}"

    def get(self, name: str, path: str, *, key: str | None = "", **query: Any) -> httpx.Response:
        """A GET at a process, with the demo key unless another or None is given."""
        headers = {} if key is None else {"authorization": f"Bearer {key or self.endpoints['api_key']}"}
        return self.http.get(f"{self.url(name)}{path}", params=query, headers=headers)

    def answers(self, name: str) -> bool:
        """Whether a process has opened its door."""
        try:
            return self.get(name, "/health/live", key=None).status_code == 200
        except httpx.TransportError:
            return False

    def read(self, name: str, path: str, **query: Any) -> Json:
        answer = self.get(name, path, **query)
        assert answer.status_code == 200, f"{name}{path}: {answer.status_code} {answer.text[:300]}"
        found: Json = answer.json()
        return found

    def listed(self, name: str, path: str, **query: Any) -> list[Json]:
        """All items of a list, page by page."""
        found: list[Json] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.read(name, path, limit=500, cursor=cursor, **query)
            found += page["items"]
            cursor = page["next"]
        return found

    def read_store(self) -> list[Json]:
        """Every public event that the store gives, oldest first."""
        while True:
            page = self.read("orders", "/v1/events", after=self._after, limit=500)
            self.stored += page["items"]
            if page["next"] == self._after:
                return self.stored
            self._after = page["next"]

    def metric(self, process: str, name: str, **labels: str) -> float:
        """The sum of a metric of a process over the labels that are not named."""
        page = self.get(process, "/metrics", key=None).text
        return sum(
            float(value)
            for found, text, value in _SAMPLE.findall(page)
            if found == name and labels.items() <= dict(_LABEL.findall(text)).items()
        )

    def push_lazada(self, body: bytes, **headers: str) -> int:
        """Push to the Lazada webhook, signed unless headers are given; the HTTP status of the answer."""
        webhook = self.endpoints["webhooks"]["lazada"]
        signed = webhook["app_key"].encode() + body
        signature = hmac.new(webhook["app_secret"].encode(), signed, hashlib.sha256).hexdigest()
        headers = headers or {"authorization": signature}
        return self.http.post(webhook["url"], content=body, headers=headers).status_code

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.endpoints["database"], autocommit=True) as connection:
            cursor = connection.execute(text.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    # ---- the sandbox

    def sandbox(self, path: str, body: Json | None = None, **query: Any) -> Json:
        url = f"{self.endpoints['sandbox']['control']}/control{path}"
        answer = self.http.get(url, params=query) if body is None else self.http.post(url, json=body)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
        found: Json = answer.json()
        return found

    def start_run(self, *, seed: int, orders: int = 80, **more: Any) -> "Run":
        """Start a run of both marketplaces with pushes lost, doubled, late and out of order."""
        print(f"seed {seed}")
        spec = {
            "seed": seed,
            "orders": orders,
            "per_second": 5,
            "marketplaces": ["lazada", "tokopedia"],
            "faults": FAULTS,
            # The half an hour at the marketplace after which Lazada sends again passes in half a second.
            "time_scale": 3600,
            "step_seconds": 0.6,
            **more,
        }
        return Run(self, spec)

    # ---- waiting

    def look(self) -> Look | None:
        """The system now; None while one of its doors is shut."""
        try:
            statuses = {}
            for service in SERVICES:
                answer = self.get(service, "/v1/status")
                if answer.status_code != 200:
                    return None
                statuses[service] = answer.json()
            polls = Counter(
                {
                    each: int(
                        self.metric("channels", "channels_polls_total", channel=each, result="complete")
                    )
                    for each in SHOPS
                }
            )
            return Look(statuses, len(self.read_store()), polls)
        except (httpx.TransportError, AssertionError):
            return None

    def settle(self, seconds: float = 240) -> None:
        """Wait until everything is worked through and further polls of every shop bring nothing new.

        Orders that are not final are read again from time to time, and such a reading is waited for by
        channels. So what channels waits for must have been nothing once, and everything else always.
        """
        deadline = time.monotonic() + seconds
        since: Look | None = None
        emptied = False
        last: Look | None = None
        while time.monotonic() < deadline:
            last = self.look() or last
            if last is None or _undrained(last) or (since is not None and last.events != since.events):
                since, emptied = None, False
            else:
                since = since if since is not None and since.polls <= last.polls else last
                emptied |= last.statuses["channels"]["waiting"] == 0
                grown = last.polls - since.polls
                if emptied and all(grown[each] >= QUIET_POLLS * number for each, number in SHOPS.items()):
                    return
            time.sleep(0.2)
        raise AssertionError(f"Not everything was worked through within {seconds} s: {last}")


class Run:
    """Orders of the sandbox that live at its pace, as one run of it, or more where a machine is slower."""

    def __init__(self, system: System, spec: Json) -> None:
        self._system = system
        self._spec = spec
        self._first: int = spec["orders"]
        self._names: list[str] = []
        self.orders = 0
        self._begin(self._first)

    def _begin(self, orders: int) -> None:
        spec = self._spec | {"seed": self._spec["seed"] + 1_000 * len(self._names), "orders": orders}
        self._names.append(self._system.sandbox("/runs", spec)["run"])
        self.orders += orders

    def _states(self) -> list[Json]:
        return [self._system.sandbox(f"/runs/{name}") for name in self._names]

    def pushes(self, what: str) -> int:
        """The number of pushes that this became of."""
        return sum(state[f"pushes_{what}"] for state in self._states())

    def wait_for(self, share: float) -> None:
        """Wait until this share of the orders has begun; some are under way then.

        Where the fault before took longer than the orders lived, more of them begin.
        """
        wait_until(
            lambda: self._states()[0]["orders"] >= share * self._first, 120, f"{share:.0%} of the orders"
        )
        if all(state["state"] != "running" for state in self._states()):
            self._begin(more := max(1, self._first // 4))
            wait_until(lambda: self._states()[-1]["orders"] >= more / 2, 120, "more orders")

    def wait(self, seconds: float = 240) -> None:
        """Wait until every life has ended and every push is answered, lost or given up."""
        deadline = time.monotonic() + seconds
        states = self._states()
        while any(state["state"] == "running" for state in states):
            assert time.monotonic() < deadline, f"Not done within {seconds} s: {states}"
            time.sleep(0.1)
            states = self._states()
        assert all(state["state"] == "done" for state in states), states

    def truth(self) -> list[Json]:
        """Every order as the marketplace has it."""
        found: list[Json] = []
        for name in self._names:
            cursor: str | None = ""
            while cursor is not None:
                page = self._system.sandbox(f"/runs/{name}/orders", limit=500, cursor=cursor or 0)
                found += page["items"]
                cursor = page["next"]
        return found


def _undrained(look: Look) -> bool:
    return any(
        status[name]
        for service, status in look.statuses.items()
        for name in NOT_DRAINED
        if (service, name) != ("channels", "waiting")
    )


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return when the condition holds; fail at the deadline and say what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"Not within {seconds} s: {what}."
        time.sleep(0.05)


@contextmanager
def running_system(*, traces: str) -> Iterator[System]:
    """A system with empty data, for one session; nothing of it is left running. All traces are sent there."""
    with locked(LOCAL / "stack" / "faults.lock"), pytest.MonkeyPatch.context() as told:
        tell(told)
        told.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces)
        told.setenv("OTEL_TRACES_SAMPLER_ARG", "1")
        told.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        up.down(Layout(DIRECTORY))
        NativeStack(DIRECTORY).remove()
        system = System(Layout(DIRECTORY))
        try:
            system.up()
            yield system
        finally:
            system.down()
            system.http.close()


def tell(told: pytest.MonkeyPatch) -> None:
    """Tell the stack what is particular here."""
    # Its servers are killed, so they are never anybody else's.
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"):
        told.delenv(name, raising=False)
    # The stack passes on of its environment what it does not set itself; keys it does.
    told.setenv("KAFKA_SESSION_TIMEOUT_MS", str(SESSION_SECONDS * 1000))
    told.setenv("KAFKA_HEARTBEAT_INTERVAL_MS", "1000")
    told.setattr(Demo, "api_keys", property(_two_sellers))


def _two_sellers(demo: Demo) -> str:
    keys: Mapping[str, tuple[str, list[str], str, str]] = {
        "demo": (demo.api_key, ["*"], demo.seller, "OWNER"),
        "stranger": (STRANGER_KEY, STRANGER_SCOPES, STRANGER_SELLER, "AGENT"),
        "rival": (RIVAL_KEY, RIVAL_SCOPES, STRANGER_SELLER, "OWNER"),
        "nothing": (NOTHING_KEY, [], demo.seller, "OWNER"),
        "intake": (INTAKE_KEY, ["intake"], demo.seller, "INTAKE"),
    }
    return json.dumps(
        [
            {
                "id": name,
                "sha256": hashlib.sha256(key.encode()).hexdigest(),
                "scopes": scopes,
                "seller": seller,
                "role": role,
            }
            for name, (key, scopes, seller, role) in keys.items()
        ]
    )
