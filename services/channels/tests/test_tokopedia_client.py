"""Tokopedia's calls: one token for all, limits from the headers, windows below three days, whose order it is."""

import asyncio
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.channels.clients import Caller, Limited, OrderUnknown, Page, Passing, Reading, Refused
from services.channels.publishing import Shop
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


class Tokopedia:
    """A marketplace that answers as it is told; its token changes with each time it is asked for."""

    def __init__(self, answering: Callable[[httpx.Request], httpx.Response], *, seconds: int = 3600) -> None:
        self.tokens = 0
        self.asked: list[httpx.Request] = []

        async def handle(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)
            if request.url.path == "/token":
                self.tokens += 1
                assert request.headers["authorization"].startswith("Basic ")
                token = {"access_token": f"c:{self.tokens}", "expires_in": seconds, "token_type": "Bearer"}
                return httpx.Response(200, json=token)
            self.asked.append(request)
            return answering(request)

        self.client = TokopediaClient(
            fs_id="15999",
            client_id="id",
            client_secret="secret",
            base_url="http://tokopedia",
            accounts_url="http://accounts",
            caller=Caller("tokopedia", httpx.MockTransport(handle)),
        )


def single(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=SINGLE)


def error(status: int, code: Any, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    body = {"header": {"process_time": 0, "messages": "no", "reason": "no", "error_code": code}, "data": None}
    return lambda request: httpx.Response(status, json=body, headers=headers)


async def read(tokopedia: Tokopedia, *orders: str) -> Any:
    return list((await tokopedia.client.read(SHOP, orders)).values())


async def test_a_reading_says_whose_order_it_is_and_what_a_list_would_show() -> None:
    (found,) = await read(Tokopedia(single), "1204477310")
    assert isinstance(found, Reading)
    assert (found.kind, found.shop, found.mark, found.final) == ("order", "9301177", "220", False)
    assert json.loads(found.body) == SINGLE


async def test_many_readers_ask_for_the_token_once() -> None:
    tokopedia = Tokopedia(single)
    await read(tokopedia, *(str(n) for n in range(20)))
    assert tokopedia.tokens == 1
    assert len(tokopedia.asked) == 20


async def test_a_refused_token_is_asked_for_anew_once() -> None:
    def first_is_stale(request: httpx.Request) -> httpx.Response:
        stale = request.headers["authorization"] == "Bearer c:1"
        return error(401, "RBAC_MDLW_003")(request) if stale else single(request)

    tokopedia = Tokopedia(first_is_stale)
    (found,) = await read(tokopedia, "1204477310")
    assert isinstance(found, Reading)
    assert tokopedia.tokens == 2


async def test_rc_06_the_wait_is_read_from_the_headers() -> None:
    tokopedia = Tokopedia(error(429, None, **{"X-Ratelimit-Reset-After": "4.5"}))
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
async def test_failures_are_sorted_by_their_codes(status: int, code: Any, kind: type) -> None:
    (found,) = await read(Tokopedia(error(status, code)), "1")
    assert type(found) is kind


async def test_an_answer_that_is_no_json_parks_and_a_broken_server_may_pass() -> None:
    (found,) = await read(Tokopedia(lambda request: httpx.Response(200, text="{")), "1")
    assert type(found) is Refused
    (found,) = await read(Tokopedia(lambda request: httpx.Response(503, text="down")), "1")
    assert type(found) is Passing


def listing(*orders: tuple[int, int]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        rows = [{"order_id": number, "order_status": status} for number, status in orders]
        found = rows[(page - 1) * 100 : page * 100]
        return httpx.Response(200, json={"header": {"messages": "ok success"}, "data": found or None})

    return answer


async def pages(tokopedia: Tokopedia, since: datetime | None) -> list[Page]:
    return [page async for page in tokopedia.client.changed(SHOP, since, NOW)]


async def test_the_list_is_read_page_by_page_and_status_0_is_a_status() -> None:
    tokopedia = Tokopedia(listing(*((n, 0) for n in range(1, 151))))
    found = await pages(tokopedia, NOW - timedelta(hours=1))
    marks = {number: mark for page in found for number, mark in page.marks.items()}
    assert len(marks) == 150
    assert set(marks.values()) == {"0"}
    assert found[-1].until == NOW


async def test_windows_are_shorter_than_three_days_and_overlap_the_last_by_an_hour() -> None:
    tokopedia = Tokopedia(listing())
    since = NOW - timedelta(days=10)
    await pages(tokopedia, since)
    spans = [
        (int(request.url.params["from_date"]), int(request.url.params["to_date"]))
        for request in tokopedia.asked
    ]
    assert spans[0][0] == int((since - timedelta(minutes=60)).timestamp())
    assert spans[-1][1] == int(NOW.timestamp())
    assert max(end - begin for begin, end in spans) < 3 * 86_400
    assert all(earlier[1] == later[0] for earlier, later in itertools.pairwise(spans))


async def test_older_windows_are_looked_through_in_rotation() -> None:
    tokopedia = Tokopedia(listing())
    for window in range(OLDER_WINDOWS + 1):
        assert [page async for page in tokopedia.client.older(SHOP, window, NOW)]
    ends = [request.url.params["to_date"] for request in tokopedia.asked]
    assert len(set(ends)) == OLDER_WINDOWS
    assert ends[0] == ends[-1]
