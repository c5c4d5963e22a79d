"""Lazada's calls: signed, sorted by what to do, tokens renewed once, orders read in few calls, pages followed."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.channels.clients import (
    Caller,
    Limited,
    MarketFault,
    OrderUnknown,
    Page,
    Passing,
    Reading,
    Refused,
)
from services.channels.lazada.client import OFFSET_MAX, LazadaClient
from services.channels.lazada.grants import Grants, Refresh
from services.channels.lazada.signing import sign_request
from services.channels.publishing import Shop
from services.channels.tests.market_server import Asked, Reply, answering, json_reply

SHOP = Shop(
    UUID("0190a000-0000-7000-8000-0000000000aa"),
    UUID("0190a000-0000-7000-8000-000000000001"),
    "lazada",
    "sg",
    "1000999001",
    "Example",
    "ACTIVE",
)
NOW = datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)
DATE = "Thu, 05 Mar 2026 08:00:00 GMT"
Answering = Callable[[str, Mapping[str, str]], Any]


class FakeGrants(Grants):
    """Tokens in memory: `renewed` gives the next one."""

    def __init__(self) -> None:
        self.current = "token-1"
        self.renewals = 0

    def renew_by(self, refresh: Refresh) -> None:
        self.refresh = refresh

    async def token(self, shop: Shop) -> str:
        return self.current

    async def renewed(self, shop: Shop, refused: str) -> str:
        self.renewals += 1
        self.current = f"token-{self.renewals + 1}"
        return self.current


class Lazada:
    """A marketplace that answers as it is told and keeps what it was asked."""

    def __init__(self, answer: Answering) -> None:
        self._answer = answer
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.grants = FakeGrants()

    async def handle(self, request: Asked) -> Reply:
        path = request.path.removeprefix("/rest")
        self.asked.append((path, request.parameters))
        assert request.parameters["sign"] == sign_request(path, request.parameters, "secret")
        found = self._answer(path, request.parameters)
        if isinstance(found, Reply):
            return found
        return json_reply({"code": "0", **found}, headers={"date": DATE})

    def call_at(self, address: str) -> None:
        self.client = LazadaClient(
            app_key="123456",
            app_secret="secret",
            base_url=f"{address}/rest",
            caller=Caller("lazada"),
            grants=self.grants,
        )

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


Serving = Callable[[Answering], Awaitable[Lazada]]


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    """Makes marketplaces that answer until the test is over."""
    async with AsyncExitStack() as stack:

        async def serve(answer: Answering) -> Lazada:
            lazada = Lazada(answer)
            lazada.call_at(await stack.enter_async_context(answering(lazada.handle)))
            stack.push_async_callback(lazada.client.close)
            return lazada

        yield serve


def order(
    number: str, *, statuses: list[str] | None = None, updated: str = "2026-03-05 15:00:00 +0800"
) -> Any:
    return {"order_id": int(number), "updated_at": updated, "statuses": statuses or ["pending"]}


def items(number: str, status: str = "pending") -> Any:
    return [{"order_item_id": 1, "order_id": int(number), "status": status, "item_price": 66000.00}]


def plain(path: str, parameters: Mapping[str, str]) -> Any:
    if path == "/order/get":
        return {"data": order(parameters["order_id"])}
    if path == "/order/items/get":
        return {"data": items(parameters["order_id"])}
    if path == "/orders/items/get":
        asked = json.loads(parameters["order_ids"])
        return {
            "data": [{"order_id": one, "order_number": one, "order_items": items(str(one))} for one in asked]
        }
    raise AssertionError(path)


async def read(lazada: Lazada, *orders: str) -> Any:
    found = await lazada.client.read(SHOP, orders)
    return found[orders[0]] if len(orders) == 1 else found


async def test_one_order_takes_two_calls(serving: Serving) -> None:
    lazada = await serving(plain)
    found = await read(lazada, "11")
    assert isinstance(found, Reading)
    assert sorted(lazada.paths) == ["/order/get", "/order/items/get"]
    kept = json.loads(found.body)
    assert kept["order"]["data"]["order_id"] == 11
    assert kept["items"]["data"][0]["status"] == "pending"


async def test_many_orders_of_a_shop_share_the_call_for_their_items(serving: Serving) -> None:
    lazada = await serving(plain)
    found = await read(lazada, "11", "12", "13")
    assert sorted(lazada.paths) == ["/order/get"] * 3 + ["/orders/items/get"]
    assert all(isinstance(each, Reading) for each in found.values())
    assert json.loads(found["12"].body)["items"][0]["order_id"] == 12


async def test_an_order_that_is_not_there_does_not_fail_the_others(serving: Serving) -> None:
    def one_missing(path: str, parameters: Mapping[str, str]) -> Any:
        if parameters.get("order_id") == "12":
            return {"code": "16", "message": 'E016: "12" Invalid Order ID'}
        return plain(path, parameters)

    found = await read(await serving(one_missing), "11", "12")
    assert isinstance(found["11"], Reading)
    assert isinstance(found["12"], OrderUnknown)


async def test_when_one_id_fails_the_call_for_many_each_is_read_by_itself(serving: Serving) -> None:
    def no_many(path: str, parameters: Mapping[str, str]) -> Any:
        if path == "/orders/items/get":
            return {"code": "37", "message": "E037: One or more order id in the list are incorrect"}
        return plain(path, parameters)

    found = await read(await serving(no_many), "11", "12")
    assert all(isinstance(each, Reading) for each in found.values())


async def test_a_mark_holds_only_when_the_reading_cannot_be_taken_for_a_later_state(serving: Serving) -> None:
    settled = await read(await serving(plain), "11")
    assert settled.mark == "2026-03-05T07:00:00+00:00|pending"

    def same_second(path: str, parameters: Mapping[str, str]) -> Any:
        if path == "/order/get":
            return {"data": order("11", updated="2026-03-05 16:00:00 +0800")}
        return plain(path, parameters)

    assert (await read(await serving(same_second), "11")).mark is None

    def between(path: str, parameters: Mapping[str, str]) -> Any:
        if path == "/order/items/get":
            return {"data": items("11", "packed")}
        return plain(path, parameters)

    assert (await read(await serving(between), "11")).mark is None


async def test_a_refused_token_is_renewed_once_and_the_call_repeated(serving: Serving) -> None:
    def expired(path: str, parameters: Mapping[str, str]) -> Any:
        if parameters["access_token"] == "token-1":
            return {"code": "IllegalAccessToken", "message": "The specified access token is invalid"}
        return plain(path, parameters)

    lazada = await serving(expired)
    assert isinstance(await read(lazada, "11"), Reading)
    assert lazada.grants.renewals >= 1


async def test_a_token_that_is_refused_again_parks(serving: Serving) -> None:
    def refused(path: str, parameters: Mapping[str, str]) -> Any:
        return {"code": "IllegalAccessToken", "message": "The specified access token is invalid"}

    found = await read(await serving(refused), "11")
    assert isinstance(found, Refused)
    assert found.reason == "IllegalAccessToken"


async def test_rc_06_a_limit_waits_as_long_as_the_answer_says(serving: Serving) -> None:
    def limited(path: str, parameters: Mapping[str, str]) -> Any:
        return {"code": "ApiCallLimit", "message": "exceeds the limit. this ban will last 7 seconds"}

    lazada = await serving(limited)
    first = await read(lazada, "11")
    assert isinstance(first, Limited)
    assert first.wait_seconds == 7
    asked = len(lazada.asked)
    again = await read(lazada, "11")
    assert isinstance(again, Limited)
    assert len(lazada.asked) == asked, "While the ban lasts nothing is called."


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        ({"code": "ServiceTimeout", "message": ""}, Passing, "ServiceTimeout"),
        ({"code": "never heard of", "message": ""}, Passing, "never heard of"),
        ({"code": "MissingParameter", "message": ""}, Refused, "MissingParameter"),
        ({"code": "998", "message": "disabled"}, Limited, "998"),
        (Reply(502, b"bad gateway"), Passing, "HTTP_502"),
        (Reply(429, headers={"retry-after": "9"}), Limited, "LIMITED"),
        (Reply(200, b"<html>not for you</html>"), Passing, "ANSWER_IS_A_PAGE"),
        (Reply(200, b"{broken"), Refused, "MALFORMED_ANSWER"),
        (Reply(200, b"[]"), Refused, "MALFORMED_ANSWER"),
        (Reply(200, b'{"data": {}}'), Passing, "NO_CODE"),
    ],
)
async def test_failures_are_sorted_by_what_to_do(
    serving: Serving, answer: Any, kind: type, reason: str
) -> None:
    found: Any = await read(await serving(lambda path, parameters: answer), "11")
    assert type(found) is kind
    assert isinstance(found, MarketFault)
    assert found.reason == reason


async def test_a_marketplace_that_cannot_be_reached_may_pass(serving: Serving) -> None:
    def unreachable(path: str, parameters: Mapping[str, str]) -> Any:
        raise ConnectionResetError

    found = await read(await serving(unreachable), "11")
    assert isinstance(found, Passing)
    assert "token" not in str(found)


async def pages(lazada: Lazada, since: datetime | None) -> list[Page]:
    return [page async for page in lazada.client.changed(SHOP, since, NOW)]


async def test_the_list_is_read_by_update_time_with_an_overlap_until_a_short_page(serving: Serving) -> None:
    def listing(path: str, parameters: Mapping[str, str]) -> Any:
        begin = int(parameters.get("offset", "0"))
        rows = [
            order(str(n + 1), updated="2026-03-05 15:30:00 +0800")
            for n in range(begin, min(begin + 100, 150))
        ]
        return {"data": {"count": len(rows), "orders": rows}}

    lazada = await serving(listing)
    since = NOW - timedelta(hours=1)
    found = await pages(lazada, since)
    assert [parameters.get("offset") for _, parameters in lazada.asked] == [None, "100"]
    assert lazada.asked[0][1]["update_after"] == "2026-03-05T06:50:00+00:00"
    assert lazada.asked[0][1]["sort_direction"] == "ASC"
    assert sum(len(page.marks) for page in found) == 150
    assert found[-1].until == datetime(2026, 3, 5, 7, 30, tzinfo=UTC)
    assert found[0].marks["1"] == "2026-03-05T07:30:00+00:00|pending"


async def test_an_empty_list_leaves_the_cursor_where_it_was(serving: Serving) -> None:
    since = NOW - timedelta(hours=1)
    found = await pages(await serving(lambda path, parameters: {"data": {"count": 0}}), since)
    assert found[-1].until == since


async def test_rc_03_beyond_the_offset_the_list_is_read_on_from_the_last_time(serving: Serving) -> None:
    total = OFFSET_MAX + 250
    times = [NOW - timedelta(hours=2) + timedelta(seconds=n) for n in range(total)]

    def listing(path: str, parameters: Mapping[str, str]) -> Any:
        after = datetime.fromisoformat(parameters["update_after"])
        begin = int(parameters.get("offset", "0"))
        assert begin <= OFFSET_MAX
        rows = [n for n in range(total) if times[n] >= after][begin : begin + 100]
        return {
            "data": {
                "count": len(rows),
                "orders": [order(str(n + 1), updated=times[n].isoformat()) for n in rows],
            }
        }

    found = await pages(await serving(listing), NOW - timedelta(hours=3))
    assert len({number for page in found for number in page.marks}) == total


async def test_rc_03_a_second_with_more_orders_than_the_offset_reaches_is_said(serving: Serving) -> None:
    def listing(path: str, parameters: Mapping[str, str]) -> Any:
        begin = int(parameters.get("offset", "0"))
        at = datetime.fromisoformat(parameters["update_after"]).isoformat()
        return {"data": {"count": 100, "orders": [order(str(begin + n + 1), updated=at) for n in range(100)]}}

    with pytest.raises(Refused) as saturated:
        await pages(await serving(listing), NOW - timedelta(hours=1))
    assert saturated.value.reason == "WINDOW_SATURATED"


async def test_windows_have_at_most_15_days(serving: Serving) -> None:
    lazada = await serving(lambda path, parameters: {"data": {"count": 0}})
    found = await pages(lazada, NOW - timedelta(days=40))
    spans = [
        datetime.fromisoformat(parameters["update_before"])
        - datetime.fromisoformat(parameters["update_after"])
        for _, parameters in lazada.asked
        if "update_before" in parameters
    ]
    assert spans
    assert max(spans) <= timedelta(days=15)
    assert "update_before" not in lazada.asked[-1][1]
    assert found[-1].until <= NOW


async def test_a_list_that_cannot_be_read_fails_the_window(serving: Serving) -> None:
    with pytest.raises(Refused):
        await pages(await serving(lambda path, parameters: {"data": {"orders": [{"no id": 1}]}}), NOW)
