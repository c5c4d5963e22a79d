"""A process starts with HTTP first, says what it waits for, and drains in order."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from faststream.kafka import KafkaBroker
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from libs.runtime import serving
from libs.runtime.asgi import Status, make_api
from libs.runtime.auth import ApiKeys
from libs.runtime.errors import Transient
from libs.runtime.serving import Process

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "RETRY_SECONDS_FIRST", 0.0)


class Log(list[str]):
    """What happened, in order."""

    @asynccontextmanager
    async def resource(self, name: str) -> AsyncIterator[None]:
        self.append(f"{name} opened")
        yield
        self.append(f"{name} closed")


class FakeBroker:
    """As KafkaBroker: refuses to start until Kafka is there."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.kafka_is_there = asyncio.Event()
        self.refused = asyncio.Event()

    async def start(self) -> None:
        if not self.kafka_is_there.is_set():
            self.refused.set()
            raise KafkaConnectionError
        self.log.append("broker started")

    async def stop(self) -> None:
        self.log.append("broker stopped")

    async def ping(self, timeout: float | None) -> bool:  # noqa: ASYNC109  # As the broker's.
        return self.kafka_is_there.is_set()


def served(process: Process) -> None:
    async def status() -> Status:
        return Status(0, 0, 0, 0)

    app = make_api("things", ApiKeys([]), health=process.health, status=status)
    process.http(app, "127.0.0.1", 0)


async def up(process: Process) -> str:
    """Wait until HTTP is answered; give the address."""
    await process.listening.wait()
    return f"http://127.0.0.1:{process.port}"


async def test_http_tells_what_is_waited_for_before_it_is_there() -> None:
    log = Log()
    process = Process("things")
    served(process)
    database_is_there = asyncio.Event()
    refused = asyncio.Event()

    @asynccontextmanager
    async def database() -> AsyncIterator[None]:
        if not database_is_there.is_set():
            refused.set()
            raise Transient("The database did not answer.")
        async with log.resource("database"):
            yield

    broker = FakeBroker(log)
    process.resource("database", database)
    process.broker(cast("KafkaBroker", broker))
    running = asyncio.create_task(process.run())
    async with httpx.AsyncClient(base_url=await up(process), timeout=60) as client:
        await refused.wait()
        answer = await client.get("/health/ready")
        assert answer.status_code == 503
        assert "database: not there yet (Transient)." in answer.json()["problems"]
        assert (await client.get("/health/live")).status_code == 200
        database_is_there.set()
        await broker.refused.wait()
        answer = await client.get("/health/ready")
        assert "Kafka: not there yet (KafkaConnectionError)." in answer.json()["problems"]
        broker.kafka_is_there.set()
        await process.started.wait()
        assert (await client.get("/health/ready")).json() == {"status": "ok", "problems": []}
    process.stop()
    assert await running == 0
    assert [line for line in log if line != "broker stopped"] == [
        "database opened",
        "broker started",
        "database closed",
    ]


async def test_the_drain_ends_intake_then_tasks_then_resources() -> None:
    log = Log()
    process = Process("things")
    process.resource("first", lambda: log.resource("first"))
    process.resource("second", lambda: log.resource("second"))
    broker = FakeBroker(log)
    broker.kafka_is_there.set()
    process.broker(cast("KafkaBroker", broker))

    async def writer(stop: asyncio.Event) -> None:
        await stop.wait()
        log.append("writer has written what was left")

    async def relay() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("relay cancelled")

    process.worker("writer", writer)
    process.task("relay", relay)
    running = asyncio.create_task(process.run())
    await process.started.wait()
    log.clear()
    process.stop()
    assert await running == 0
    assert log[0] == "broker stopped"
    assert set(log[1:3]) == {"writer has written what was left", "relay cancelled"}
    assert log[3:] == ["second closed", "first closed"]


async def test_a_request_in_flight_is_answered_in_the_drain() -> None:
    process = Process("things")
    arrived, answer_now = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        arrived.set()
        await answer_now.wait()
        response: Response = PlainTextResponse(Request(scope).url.path)
        await response(scope, receive, send)

    process.http(slow, "127.0.0.1", 0)
    running = asyncio.create_task(process.run())
    async with httpx.AsyncClient(base_url=await up(process), timeout=60) as client:
        asked = asyncio.create_task(client.get("/slow"))
        await arrived.wait()
        process.stop()
        answer_now.set()
        assert (await asked).text == "/slow"
    assert await running == 0


@pytest.mark.parametrize("ends", ["raises", "returns"])
async def test_a_task_that_dies_ends_the_process_with_1(ends: str) -> None:
    log = Log()
    process = Process("things")
    process.resource("database", lambda: log.resource("database"))

    async def dies() -> None:
        if ends == "raises":
            raise RuntimeError("It died.")

    process.task("dies", dies)
    assert await process.run() == 1
    assert log == ["database opened", "database closed"]


async def test_a_resource_that_is_wrong_ends_the_process_with_1() -> None:
    process = Process("things")

    async def refuse() -> None:
        raise RuntimeError("A recorded position lies beyond the end of its partition.")

    process.step("positions", refuse)
    assert await process.run() == 1


async def test_a_taken_port_ends_the_process_with_1() -> None:
    first, second = Process("things"), Process("things")
    served(first)
    running = asyncio.create_task(first.run())
    await up(first)
    assert first.port is not None
    second.http(cast("Any", None), "127.0.0.1", first.port)
    assert await second.run() == 1
    first.stop()
    assert await running == 0


async def test_what_is_late_in_the_drain_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "TASKS_UNTIL", 0.0)
    process = Process("things")
    cancelled = asyncio.Event()

    async def never_ends(stop: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    process.worker("never ends", never_ends)
    running = asyncio.create_task(process.run())
    await process.started.wait()
    process.stop()
    assert await running == 0
    assert cancelled.is_set()


PROGRAM = """
import asyncio, sys
from libs.runtime.serving import run_service

def compose(process):
    async def worker(stop):
        await stop.wait()
        if sys.argv[1] == "stubborn":
            await asyncio.Event().wait()
    process.worker("worker", worker)

sys.exit(run_service("things", compose))
"""


@pytest.mark.parametrize(("kind", "code"), [("obedient", 0), ("stubborn", 128 + signal.SIGTERM)])
def test_the_first_signal_drains_and_the_second_ends_at_once(kind: str, code: int) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert program.stderr is not None
    with program, program.stderr as said:
        for line in said:
            if '"started"' in line:
                program.send_signal(signal.SIGTERM)
            if '"draining"' in line and kind == "stubborn":
                program.send_signal(signal.SIGTERM)
        assert program.wait(60) == code
