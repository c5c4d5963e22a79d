"""Lazada's API: signed calls, errors sorted by what to do, tokens renewed once, orders read in few calls."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
import structlog

from libs.runtime.clock import now
from services.channels.clients import (
    WAIT_IN_PLACE_SECONDS_MAX,
    Answer,
    Caller,
    Limited,
    MarketFault,
    OrderUnknown,
    Page,
    Passing,
    Pauses,
    Reading,
    Refused,
)
from services.channels.lazada.grants import Grants
from services.channels.lazada.payloads import answer, listed_orders
from services.channels.lazada.signing import sign_request
from services.channels.marketplace import STATED_ZONE, Fields, Malformed, objects, parse
from services.channels.publishing import Shop

log = structlog.get_logger(__name__)

# doc 108065.
BASES: Mapping[str, str] = {
    "sg": "https://api.lazada.sg/rest",
    "my": "https://api.lazada.com.my/rest",
    "th": "https://api.lazada.co.th/rest",
    "vn": "https://api.lazada.vn/rest",
    "ph": "https://api.lazada.com.ph/rest",
    "id": "https://api.lazada.co.id/rest",
}
AUTH_BASE = "https://auth.lazada.com/rest"

# lazada.md 8. What is in none of these is treated as not done and tried again within the bound.
UNAUTHORISED = frozenset({"IllegalAccessToken", "InvalidAccessToken"})
WAIT_SECONDS: Mapping[str, float] = {"ApiCallLimit": 1.0, "SellerCallLimit": 1.3, "901": 1.0, "998": 600.0}
PERMANENT = frozenset(
    {
        *(
            "IncompleteSignature",
            "MissingParameter",
            "MISSING_PARAMETER",
            "InvalidAppKey",
            "SellerNotVerified",
        ),
        *("14", "17", "19", "36", "74", "75"),
    }
)
NO_SUCH_ORDER = "16"
# One id of many that is wrong fails the whole call (37, 38, 39, 56, 16): the orders are then read singly.
WRONG_IDS = frozenset({"37", "38", "39", "56", NO_SUCH_ORDER})
_BAN = re.compile(r"last (\d{1,4}) second")

ORDERS_PER_CALL = 50  # /orders/items/get, doc 121327.
PAGE, OFFSET_MAX = 100, 5000
OVERLAP = timedelta(minutes=10)  # channels.md 14.
WINDOW = timedelta(days=15)
FIRST_LOOK_BACK = timedelta(days=15)
CALLS_PER_SHOP = 6
# The record's time has whole seconds: what was read within one may change once more without its changing.
SETTLED = timedelta(seconds=1)

# No further news is expected; a return after it is told by pushes and by the list's update time.
FINAL = frozenset(
    {"confirmed", "canceled", "cancelled", "returned", "shipped_back_success", "lost", "lost_by_3pl"}
    | {"damaged_by_3pl", "package_scrapped"}
)


class _Items(msgspec.Struct):
    order_id: int | str
    order_items: msgspec.Raw


class _ManyItems(msgspec.Struct):
    data: list[_Items]


class _Got(msgspec.Struct, frozen=True):
    """A call's answer that reports success; `at` is the marketplace's own clock."""

    body: bytes
    payload: Any
    at: datetime


class LazadaClient:
    """The shops of one Lazada app."""

    channel = "lazada"
    batch_max = ORDERS_PER_CALL

    def __init__(
        self, *, app_key: str, app_secret: str, base_url: str, caller: Caller, grants: Grants
    ) -> None:
        self._app_key = app_key
        self._app_secret = app_secret
        self._base_url = base_url.rstrip("/")
        self._caller = caller
        self._grants = grants
        self._pauses = Pauses()
        self._turns: dict[Any, asyncio.Semaphore] = {}
        grants.renew_by(self._refresh)

    async def close(self) -> None:
        await self._caller.close()

    # --- reading -----------------------------------------------------------------------------------------

    async def read(self, shop: Shop, orders: Sequence[str]) -> Mapping[str, Reading | MarketFault]:
        """Each order and its items: two calls for one order, n + 1 for n of them."""
        if len(orders) == 1:
            return {orders[0]: await self._read_one(shop, orders[0])}
        headers = await asyncio.gather(*(self._get_or_fault(shop, order) for order in orders))
        found: dict[str, Reading | MarketFault] = {}
        got: dict[str, _Got] = {}
        for order, header in zip(orders, headers, strict=True):
            if isinstance(header, _Got):
                got[order] = header
            else:
                found[order] = header
        if got:
            found |= await self._with_items(shop, got)
        return found

    async def _read_one(self, shop: Shop, order: str) -> Reading | MarketFault:
        parameters = {"order_id": order}
        try:
            header, items = await asyncio.gather(
                self._call(shop, "/order/get", parameters), self._call(shop, "/order/items/get", parameters)
            )
        except MarketFault as fault:
            return fault
        return _reading(header, items.body, items.payload)

    async def _get_or_fault(self, shop: Shop, order: str) -> _Got | MarketFault:
        try:
            return await self._call(shop, "/order/get", {"order_id": order})
        except MarketFault as fault:
            return fault

    async def _with_items(self, shop: Shop, got: Mapping[str, _Got]) -> dict[str, Reading | MarketFault]:
        try:
            many = await self._call(shop, "/orders/items/get", {"order_ids": f"[{','.join(got)}]"})
        except MarketFault as fault:
            if fault.reason in WRONG_IDS:
                singly = await asyncio.gather(*(self._read_one(shop, order) for order in got))
                return dict(zip(got, singly, strict=True))
            return dict.fromkeys(got, fault)
        try:
            rows = msgspec.json.decode(many.body, type=_ManyItems).data
        except msgspec.MsgspecError:
            return dict.fromkeys(got, Refused("MALFORMED_ANSWER"))
        items = {str(row.order_id): bytes(row.order_items) for row in rows}
        found: dict[str, Reading | MarketFault] = {}
        for order, header in got.items():
            raw = items.get(order)
            # An answer that leaves one out says nothing of it.
            found[order] = Passing("ITEMS_MISSING") if raw is None else _reading(header, raw, parse(raw))
        return found

    # --- listing -----------------------------------------------------------------------------------------

    async def changed(self, shop: Shop, since: datetime | None, at: datetime) -> AsyncIterator[Page]:
        """Orders by update time, ascending, in windows of at most 15 days, re-anchored (RC-03)."""
        start = at - FIRST_LOOK_BACK if since is None else since - OVERLAP
        until = start if since is None else since
        while True:
            end = start + WINDOW
            open_ended = end >= at
            anchor = start
            async for marks, newest in self._window(shop, anchor, None if open_ended else end):
                until = max(until, newest or until)
                yield Page(marks, until)
            if open_ended:
                return
            # The window is over: what came later has a later update time.
            until = max(until, end)
            yield Page({}, until)
            start = end - OVERLAP

    async def _window(
        self, shop: Shop, start: datetime, end: datetime | None
    ) -> AsyncIterator[tuple[dict[str, str], datetime | None]]:
        anchor, offset = start, 0
        while True:
            parameters = {
                "update_after": _wire(anchor),
                "sort_by": "updated_at",
                "sort_direction": "ASC",
                "limit": str(PAGE),
            }
            if offset:
                parameters["offset"] = str(offset)
            if end is not None:
                parameters["update_before"] = _wire(end)
            got = await self._call(shop, "/orders/get", parameters)
            try:
                rows = listed_orders(answer(got.payload, ""))
                marks = {row.id("order_id"): _mark(row) for row in rows}
                times = [at for row in rows if (at := row.time("updated_at", STATED_ZONE)) is not None]
            except Malformed as malformed:
                raise Refused("MALFORMED_ANSWER", malformed.message) from None
            newest = max(times, default=None)
            yield marks, newest
            if len(rows) < PAGE:
                return
            offset += len(rows)
            if offset > OFFSET_MAX:
                if newest is None or newest <= anchor:
                    # More orders in one second than the offset reaches (RC-03).
                    raise Refused("WINDOW_SATURATED")
                anchor, offset = newest, 0

    async def older(self, shop: Shop, window: int, at: datetime) -> AsyncIterator[Page]:  # noqa: ARG002  # The Protocol's.
        """Nothing: the update time shows whatever changed, however old the order is."""
        nothing: tuple[Page, ...] = ()
        for page in nothing:
            yield page

    # --- calling -----------------------------------------------------------------------------------------

    async def _call(self, shop: Shop, path: str, parameters: Mapping[str, str]) -> _Got:
        """One signed call, with one renewal of the token when it is refused and waits as told."""
        turn = self._turns.setdefault(shop.id, asyncio.Semaphore(CALLS_PER_SHOP))
        async with turn:
            await self._wait(shop)
            token = await self._grants.token(shop)
            try:
                return await self._once(shop, path, parameters, token)
            except Refused as refused:
                if refused.reason not in UNAUTHORISED:
                    raise
            self._caller.count("unauthorised")
            token = await self._grants.renewed(shop, token)
            return await self._once(shop, path, parameters, token)

    async def _wait(self, shop: Shop) -> None:
        left = self._pauses.left(shop.id)
        if left > WAIT_IN_PLACE_SECONDS_MAX:
            raise Limited(left)
        if left:
            await asyncio.sleep(left)

    async def _once(self, shop: Shop, path: str, parameters: Mapping[str, str], token: str) -> _Got:
        base = self._base_url or BASES[shop.site]
        response = await self._caller.call(
            "GET", base + path, parameters=self._signed(path, {**parameters, "access_token": token})
        )
        try:
            got = _sorted(response, path)
        except Limited as limited:
            # 998 switches the interface off for everybody (RC-06); the others hold this shop.
            everybody = limited.wait_seconds > 60  # Seconds; only 998 waits longer.
            self._pauses.pause(None if everybody else shop.id, limited.wait_seconds)
            self._caller.count("limited")
            raise
        except Passing:
            self._caller.count("transient")
            raise
        except Refused:
            self._caller.count("refused")
            raise
        self._caller.count("ok")
        return got

    def _signed(self, path: str, parameters: Mapping[str, str]) -> dict[str, str]:
        given = {
            **parameters,
            "app_key": self._app_key,
            "timestamp": str(int(now().timestamp() * 1000)),
            "sign_method": "sha256",
        }
        return given | {"sign": sign_request(path, given, self._app_secret)}

    async def _refresh(self, refresh_token: str) -> Mapping[str, Any]:
        """What a renewal of the token answers, at its top level; raises MarketFault."""
        path = "/auth/token/refresh"
        response = await self._caller.call(
            "GET",
            (self._base_url or AUTH_BASE) + path,
            parameters=self._signed(path, {"refresh_token": refresh_token}),
        )
        payload = _sorted(response, path).payload
        assert isinstance(payload, dict), "_sorted gives objects only."
        return payload


def _sorted(response: Answer, path: str) -> _Got:
    """The answer when it reports success; otherwise the fault that says what to do."""
    if response.status == 429:
        after = response.headers.get("retry-after", "")
        raise Limited(float(after) if after.isdigit() else 1.0)
    if response.status >= 500:
        raise Passing(f"HTTP_{response.status}")
    if response.body.lstrip()[:1] == b"<":
        # To an address that it does not know Lazada answers with a web page (L26).
        raise Passing("ANSWER_IS_A_PAGE")
    try:
        payload = parse(response.body)
        if not isinstance(payload, dict):
            raise Refused("MALFORMED_ANSWER", "The answer is no object.")
        fields = Fields(payload, "")
        code = fields.raw_text("code")
        said = fields.raw_text("message") or ""
    except Malformed as malformed:
        raise Refused("MALFORMED_ANSWER", malformed.message) from None
    if code != "0":
        raise _fault(code or "NO_CODE", said, path)
    return _Got(response.body, payload, _date(response))


def _fault(code: str, said: str, path: str) -> MarketFault:
    code = code[:64]
    if code in WAIT_SECONDS:
        ban = _BAN.search(said)
        return Limited(float(ban[1]) if ban else WAIT_SECONDS[code], code)
    if code == NO_SUCH_ORDER:
        return OrderUnknown(code)
    if code in UNAUTHORISED or code in PERMANENT or (code == "6" and path == "/orders/get"):
        return Refused(code)
    if code in WRONG_IDS:
        return Refused(code)
    log.warning("lazada_call_failed", path=path, code=code)
    return Passing(code)


def _date(response: Answer) -> datetime:
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return now()


def _wire(at: datetime) -> str:
    return at.astimezone(UTC).replace(microsecond=0).isoformat()


def _mark(order: Fields) -> str:
    """Update time and status set (RC-04), spelled alike whichever call shows them."""
    updated = order.time("updated_at", STATED_ZONE)
    statuses = order.get("statuses")
    words = sorted(map(str, statuses)) if isinstance(statuses, list) else []
    return f"{'' if updated is None else updated.isoformat()}|{','.join(words)}"


def _reading(header: _Got, raw_items: bytes, items: object) -> Reading | MarketFault:
    """One order from its two answers; Refused when they cannot be read."""
    try:
        order = Fields(answer(header.payload, "order"), "order")
        lines = objects(answer(items, "items"), "items")
        statuses = {line.raw_text("status") or "" for line in lines}
        listed = order.get("statuses")
        updated = order.time("updated_at", STATED_ZONE)
        # The two were not read at one instant: only if they agree, and the second is over, the mark holds.
        agree = isinstance(listed, list) and {str(word) for word in listed} == statuses
        settled = updated is not None and header.at > updated + SETTLED
        mark = _mark(order) if agree and settled else None
    except Malformed as malformed:
        return Refused("MALFORMED_ANSWER", malformed.message)
    return Reading(
        kind="read",
        payload={"order": header.payload, "items": items},
        body=b'{"order":' + header.body + b',"items":' + raw_items + b"}",
        shop=None,
        mark=mark,
        final=bool(statuses) and statuses <= FINAL,
    )
