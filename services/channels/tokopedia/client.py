"""Tokopedia's API: one token per app, limits told by the headers, single orders, the list by creation."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from libs.runtime.clock import monotonic
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
from services.channels.marketplace import Malformed, parse
from services.channels.publishing import Shop
from services.channels.tokopedia.payloads import many, one, status_of

log = structlog.get_logger(__name__)

PAGE = 100
# "Date Range must be less than 3 days" (ORD_DLV_013): 259 199 s.
WINDOW = timedelta(days=3) - timedelta(seconds=1)
OVERLAP = timedelta(minutes=60)  # channels.md 14.
FIRST_LOOK_BACK = timedelta(days=3)
OLDER_WINDOWS = 5  # 15 days back, as far as Lazada's list reaches.
CALLS_AT_ONCE = 8
PAGES_MAX = 1_000
# A token is asked for anew so long before its end: asking sooner gives the same one (A1).
TOKEN_MARGIN_SECONDS = 5.0
TOKEN_SECONDS_WHEN_UNSAID = 60.0

# Cancelled, or finished: only a return case would follow, which a notice tells.
FINAL = frozenset({"0", "2", "3", "4", "5", "6", "10", "15", "699", "700"})
_UPSTREAM = ("_API_", "_GRPC_", "_DB_", "_CACHE_")


class TokopediaClient:
    """The shops of one Tokopedia app; its token serves all of them."""

    channel = "tokopedia"
    batch_max = CALLS_AT_ONCE

    def __init__(
        self,
        *,
        fs_id: str,
        client_id: str,
        client_secret: str,
        base_url: str,
        accounts_url: str,
        caller: Caller,
    ) -> None:
        self._fs_id = fs_id
        self._basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._base_url = base_url.rstrip("/")
        self._accounts_url = accounts_url.rstrip("/")
        self._caller = caller
        self._pauses = Pauses()
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)
        self._token = ""
        self._token_until = 0.0
        self._fetching = asyncio.Lock()

    async def close(self) -> None:
        await self._caller.close()

    async def read(self, shop: Shop, orders: Sequence[str]) -> Mapping[str, Reading | MarketFault]:
        """Each order singly: the list has no line ids and no times."""
        read = await asyncio.gather(*(self._read_one(shop, order) for order in orders))
        return dict(zip(orders, read, strict=True))

    async def _read_one(self, shop: Shop, order: str) -> Reading | MarketFault:
        try:
            response = await self._call(shop, f"/v2/fs/{self._fs_id}/order", {"order_id": order})
            payload = _payload(response)
            found = one(payload)
            status = status_of(found, "order_status")
            owner = found.child("shop_info").optional_id("shop_id") or found.optional_id("seller_id")
        except MarketFault as fault:
            return fault
        except Malformed as malformed:
            return Refused("MALFORMED_ANSWER", malformed.message)
        return Reading(
            kind="order",
            payload=payload,
            body=response.body,
            shop=owner,
            mark=status,
            final=status in FINAL,
        )

    async def changed(self, shop: Shop, since: datetime | None, at: datetime) -> AsyncIterator[Page]:
        """Orders created since then, in windows of less than three days; the mark is their status now."""
        start = at - FIRST_LOOK_BACK if since is None else since - OVERLAP
        while start < at:
            end = min(start + WINDOW, at)
            async for marks in self._window(shop, start, end):
                yield Page(marks, start if since is None else max(start, since))
            yield Page({}, end)
            start = end

    async def older(self, shop: Shop, window: int, at: datetime) -> AsyncIterator[Page]:
        """The list has no update time, so that older windows are looked through in rotation."""
        end = at - FIRST_LOOK_BACK * (window % OLDER_WINDOWS)
        async for marks in self._window(shop, end - WINDOW, end):
            yield Page(marks, at)

    async def _window(self, shop: Shop, start: datetime, end: datetime) -> AsyncIterator[dict[str, str]]:
        for page in range(1, PAGES_MAX + 1):
            response = await self._call(
                shop,
                "/v2/order/list",
                {
                    "fs_id": self._fs_id,
                    "shop_id": shop.shop,
                    "from_date": str(int(start.timestamp())),
                    "to_date": str(int(end.timestamp())),
                    "page": str(page),
                    "per_page": str(PAGE),
                },
            )
            try:
                rows = many(_payload(response))
                marks = {row.id("order_id"): status_of(row, "order_status") or "" for row in rows}
            except Malformed as malformed:
                raise Refused("MALFORMED_ANSWER", malformed.message) from None
            yield marks
            if len(rows) < PAGE:
                return
        raise Refused("WINDOW_SATURATED")

    async def _call(self, shop: Shop, path: str, parameters: Mapping[str, str]) -> Answer:
        """One call with the app's token, which is asked for anew once when it is refused."""
        async with self._turns:
            left = self._pauses.left(shop.id)
            if left > WAIT_IN_PLACE_SECONDS_MAX:
                raise Limited(left)
            if left:
                await asyncio.sleep(left)
            token = await self._valid_token()
            response = await self._once(path, parameters, token)
            if response.status == 401:
                self._caller.count("unauthorised")
                response = await self._once(path, parameters, await self._valid_token(refused=token))
            try:
                _check(response)
            except Limited as limited:
                # The limit is that of the app (A8).
                self._pauses.pause(None, limited.wait_seconds)
                self._caller.count("limited")
                raise
            except Passing:
                self._caller.count("transient")
                raise
            except Refused:
                self._caller.count("refused")
                raise
            self._caller.count("ok")
            return response

    async def _once(self, path: str, parameters: Mapping[str, str], token: str) -> Answer:
        return await self._caller.call(
            "GET", self._base_url + path, parameters=parameters, headers={"authorization": f"Bearer {token}"}
        )

    async def _valid_token(self, refused: str = "") -> str:
        """The token in force; one caller at a time asks for it, the others get what that one got."""
        if self._token and self._token != refused and monotonic() < self._token_until:
            return self._token
        async with self._fetching:
            if self._token and self._token != refused and monotonic() < self._token_until:
                return self._token
            response = await self._caller.call(
                "POST",
                f"{self._accounts_url}/token",
                parameters={"grant_type": "client_credentials"},
                headers={"authorization": f"Basic {self._basic}", "content-length": "0"},
            )
            self._token, seconds = _token_of(response)
            self._token_until = monotonic() + max(1.0, seconds - TOKEN_MARGIN_SECONDS)
            return self._token


def _token_of(response: Answer) -> tuple[str, float]:
    if response.status >= 500 or response.status == 429:
        raise Passing(f"TOKEN_HTTP_{response.status}")
    if response.status != 200:
        raise Refused("TOKEN_REFUSED")
    try:
        payload = parse(response.body)
    except Malformed:
        raise Passing("TOKEN_MALFORMED") from None
    token = payload.get("access_token") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(token, str) or not token:
        raise Passing("TOKEN_MALFORMED")
    seconds = payload.get("expires_in")
    return token, float(seconds) if isinstance(seconds, int) and seconds > 0 else TOKEN_SECONDS_WHEN_UNSAID


def _payload(response: Answer) -> Any:
    return parse(response.body)


def _check(response: Answer) -> None:
    """Raise the fault that says what to do, unless the answer reports success (A8)."""
    if response.status == 429:
        raise Limited(_reset_after(response.headers))
    if response.status == 401:
        raise Passing("TOKEN_REFUSED")
    try:
        payload = parse(response.body)
    except Malformed:
        if response.status >= 500:
            raise Passing(f"HTTP_{response.status}") from None
        raise Refused("MALFORMED_ANSWER") from None
    if not isinstance(payload, dict):
        raise Refused("MALFORMED_ANSWER")
    header = payload.get("header")
    code = header.get("error_code") if isinstance(header, dict) else None
    if code is not None and not (code == 0 and payload.get("data") is not None):
        raise _fault(str(code)[:64], response.status)
    if response.status >= 400:
        raise (Passing if response.status >= 500 else Refused)(f"HTTP_{response.status}")


def _fault(code: str, status: int) -> MarketFault:
    if code == "ORD_API_008":
        return OrderUnknown(code)
    if code.startswith("RBAC_") or code == "ORD_USC_015" or status == 403:
        return Refused(code)
    if any(part in code for part in _UPSTREAM) or status >= 500 or code in {"0", "6"}:
        return Passing(code)
    log.warning("tokopedia_call_failed", code=code, status=status)
    return Refused(code)


def _reset_after(headers: Mapping[str, str]) -> float:
    """Seconds until one call is let through; the text may be a negative zero."""
    try:
        return min(60.0, max(0.1, abs(float(headers["x-ratelimit-reset-after"]))))
    except (KeyError, ValueError):
        return 1.0
