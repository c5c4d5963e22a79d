"""Tokopedia's calls: one token for all, limits from the headers, windows below three days, whose order it is."""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.channels.clients import Caller, Limited, OrderUnknown, Page, Passing, Reading, Refused
from services.channels.publishing import Shop
from services.channels.tests.market_server import Asked, Reply, answering, json_reply
from services.channels.tokopedia.client import OLDER_WINDOWS, TokopediaClient

SHOP = Shop(
    UUID("0190a000-0000-7000-8000-0000000000bb"),
    UUID("0190a000-0000-7000-8000-000000000001"),
    "tokopedia",
    "id",
    "9301177",
    "Toko Contoh",
    "ACTIVE",
)
NOW = datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)
SINGLE = json.loads((Path(__file__).parent / "samples/tokopedia/order_single_220_ok.json").read_text())


Answering = Callable[[Asked], Reply]


class Tokopedia:
    """A marketplace that answers as it is told; its token changes with each time it is asked for."""

    def __init__(self, answer: Answering) -> None:
        self._answer = answer
        self.tokens = 0
        self.asked: list[Asked] = []

    async def handle(self, request: Asked) -> Reply:
        if request.path == "/token":
            self.tokens += 1
            assert request.headers["authorization"].startswith("Basic ")
            assert request.headers["content-length"] == "0"
            return json_reply(
                {"access_token": f"c:{self.tokens}", "expires_in": 3600, "token_type": "Bearer"}
            )
        self.asked.append(request)
        return self._answer(request)

    def call_at(self, address: str) -> None:
        self.client = TokopediaClient(
            fs_id="15999",
            client_id="id",
            client_secret="secret",
            base_url=address,
            accounts_url=address,
            caller=Caller("tokopedia"),
        )


Serving = Callable[[Answering], Awaitable[Tokopedia]]


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    """Makes marketplaces that answer until the test is over."""
    async with AsyncExitStack() as stack:

        async def serve(answer: Answering) -> Tokopedia:
            tokopedia = Tokopedia(answer)
            tokopedia.call_at(await stack.enter_async_context(answering(tokopedia.handle)))
            stack.push_async_callback(tokopedia.client.close)
            return tokopedia

        yield serve


def single(request: Asked) -> Reply:
    return json_reply(SINGLE)


def error(status: int, code: Any, **headers: str) -> Answering:
    body = {"header": {"process_time": 0, "messages": "no", "reason": "no", "error_code": code}, "data": None}
    return lambda request: json_reply(body, status, headers)


async def read(tokopedia: Tokopedia, *orders: str) -> Any:
    return list((await tokopedia.client.read(SHOP, orders)).values())


async def test_a_reading_says_whose_order_it_is_and_what_a_list_would_show(serving: Serving) -> None:
    (found,) = await read(await serving(single), "1204477310")
    assert isinstance(found, Reading)
    assert (found.kind, found.shop, found.mark, found.final) == ("order", "9301177", "220", False)
    assert json.loads(found.body) == SINGLE


async def test_many_readers_ask_for_the_token_once(serving: Serving) -> None:
    tokopedia = await serving(single)
    await read(tokopedia, *(str(n) for n in range(20)))
    assert tokopedia.tokens == 1
    assert len(tokopedia.asked) == 20


async def test_a_refused_token_is_asked_for_anew_once(serving: Serving) -> None:
    def first_is_stale(request: Asked) -> Reply:
        stale = request.headers["authorization"] == "Bearer c:1"
        return error(401, "RBAC_MDLW_003")(request) if stale else single(request)

    tokopedia = await serving(first_is_stale)
    (found,) = await read(tokopedia, "1204477310")
    assert isinstance(found, Reading)
    assert tokopedia.tokens == 2


async def test_rc_06_the_wait_is_read_from_the_headers(serving: Serving) -> None:
    tokopedia = await serving(error(429, None, **{"X-Ratelimit-Reset-After": "4.5"}))
    (found,) = await read(tokopedia, "1")
    assert isinstance(found, Limited)
    assert found.wait_seconds == 4.5
    (again,) = await read(tokopedia, "1")
    assert isinstance(again, Limited)
    assert len(tokopedia.asked) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (200, "ORD_API_008", OrderUnknown),
        (400, "ORD_API_008", OrderUnknown),
        (500, "ORD_API_006", Passing),
        (400, "ORD_DLV_003", Refused),
        (403, "RBAC_MDLW_001", Refused),
        (500, "ORD_USC_015", Refused),
        (200, 0, Passing),
    ],
)
async def test_failures_are_sorted_by_their_codes(
    serving: Serving, status: int, code: Any, kind: type
) -> None:
    (found,) = await read(await serving(error(status, code)), "1")
    assert type(found) is kind


async def test_an_answer_that_is_no_json_parks_and_a_broken_server_may_pass(serving: Serving) -> None:
    (found,) = await read(await serving(lambda request: Reply(200, b"{")), "1")
    assert type(found) is Refused
    (found,) = await read(await serving(lambda request: Reply(503, b"down")), "1")
    assert type(found) is Passing


def listing(*orders: tuple[int, int]) -> Answering:
    def answer(request: Asked) -> Reply:
        page = int(request.parameters["page"])
        rows = [{"order_id": number, "order_status": status} for number, status in orders]
        found = rows[(page - 1) * 100 : page * 100]
        return json_reply({"header": {"messages": "ok success"}, "data": found or None})

    return answer


async def pages(tokopedia: Tokopedia, since: datetime | None) -> list[Page]:
    return [page async for page in tokopedia.client.changed(SHOP, since, NOW)]


async def test_the_list_is_read_page_by_page_and_status_0_is_a_status(serving: Serving) -> None:
    tokopedia = await serving(listing(*((n, 0) for n in range(1, 151))))
    found = await pages(tokopedia, NOW - timedelta(hours=1))
    marks = {number: mark for page in found for number, mark in page.marks.items()}
    assert len(marks) == 150
    assert set(marks.values()) == {"0"}
    assert found[-1].until == NOW


async def test_windows_are_shorter_than_three_days_and_overlap_the_last_by_an_hour(serving: Serving) -> None:
    tokopedia = await serving(listing())
    since = NOW - timedelta(days=10)
    await pages(tokopedia, since)
    spans = [
        (int(request.parameters["from_date"]), int(request.parameters["to_date"]))
        for request in tokopedia.asked
    ]
    assert spans[0][0] == int((since - timedelta(minutes=60)).timestamp())
    assert spans[-1][1] == int(NOW.timestamp())
    assert max(end - begin for begin, end in spans) < 3 * 86_400
    assert all(earlier[1] == later[0] for earlier, later in itertools.pairwise(spans))


async def test_older_windows_are_looked_through_in_rotation(serving: Serving) -> None:
    tokopedia = await serving(listing())
    for window in range(OLDER_WINDOWS + 1):
        assert [page async for page in tokopedia.client.older(SHOP, window, NOW)]
    ends = [request.parameters["to_date"] for request in tokopedia.asked]
    assert len(set(ends)) == OLDER_WINDOWS
    assert ends[0] == ends[-1]
