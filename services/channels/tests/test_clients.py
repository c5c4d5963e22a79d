"""Calls of marketplaces: bounded in time and size, nothing of what was asked told to anyone, nothing followed."""

import asyncio
import traceback

import pytest

from services.channels import clients
from services.channels.clients import Caller, Passing, Refused
from services.channels.tests.market_server import Asked, Reply, answering

SECRET = "5f1c0e55-token"
PARAMETERS = {"access_token": SECRET, "update_after": "2026-03-05T06:50:00+00:00", "order_ids": "[1,2] & 3%"}


async def test_what_is_asked_arrives_as_it_was_said_and_the_answer_comes_as_it_is() -> None:
    asked: list[Asked] = []

    async def answer(request: Asked) -> Reply:
        asked.append(request)
        return Reply(418, b"a" * 300_000, {"x-ratelimit-reset-after": "4.5"})

    caller = Caller("lazada")
    async with answering(answer) as address:
        got = await caller.call("GET", f"{address}/rest/x", parameters=PARAMETERS, headers={"one": "two"})
        await caller.close()
    assert (got.status, got.body) == (418, b"a" * 300_000)
    assert got.headers["X-RateLimit-Reset-After"] == "4.5"
    assert (asked[0].path, asked[0].parameters, asked[0].headers["one"]) == ("/rest/x", PARAMETERS, "two")


async def test_no_redirect_is_followed_and_no_cookie_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    asked: list[Asked] = []

    async def answer(request: Asked) -> Reply:
        asked.append(request)
        return Reply(302, b"", {"location": "/elsewhere", "set-cookie": "a=b; path=/"})

    caller = Caller("lazada")
    async with answering(answer) as address:
        for _ in range(2):
            assert (await caller.call("GET", address.replace("127.0.0.1", "localhost"))).status == 302
        await caller.close()
    assert [(each.path, "cookie" in each.headers) for each in asked] == [("/", False)] * 2


async def test_an_answer_above_the_bound_is_refused_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "ANSWER_BYTES_MAX", 1_000)

    async def answer(request: Asked) -> Reply:
        return Reply(200, b"a" * (1_001 if request.path == "/large" else 1_000))

    caller = Caller("lazada")
    async with answering(answer) as address:
        with pytest.raises(Refused) as refused:
            await caller.call("GET", f"{address}/large")
        assert len((await caller.call("GET", f"{address}/small")).body) == 1_000
        await caller.close()
    assert refused.value.reason == "ANSWER_TOO_LARGE"


async def test_no_fault_tells_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clients, "READ_SECONDS", 0.1)
    caplog.set_level("DEBUG")
    over = asyncio.Event()

    async def answer(request: Asked) -> Reply:
        if request.path == "/slow":
            await over.wait()
        raise ConnectionResetError

    caller = Caller("lazada")
    async with answering(answer) as address:
        for url, reason in (
            (f"{address}/slow", "TIMEOUT"),
            (f"{address}/cut", "UNREACHABLE"),
            ("http://127.0.0.1:9/rest", "UNREACHABLE"),
            ("http://nowhere.invalid/rest", "UNREACHABLE"),
            ("no address", "UNREACHABLE"),
        ):
            with pytest.raises(Passing) as passing:
                await caller.call("GET", url, parameters=PARAMETERS)
            assert passing.value.reason == reason
            assert SECRET not in "".join(traceback.format_exception(passing.value))
        over.set()
        await caller.close()
    assert SECRET not in caplog.text
