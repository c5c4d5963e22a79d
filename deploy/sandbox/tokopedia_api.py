"""Tokopedia's interface: token, list and single order, rate headers as text, errors with their codes."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.sandbox.clock import Wall
from deploy.sandbox.faults import CallLimit, ReadFaults
from deploy.sandbox.markets import Shop, TokopediaMarket
from deploy.sandbox.orders import Order, Shelf
from deploy.sandbox.settings import TokopediaShop
from deploy.sandbox.tokopedia_messages import invoice_number, list_object, single_object

WINDOW_SECONDS = 3 * 86400
PER_PAGE_MAX = 100
MALFORMED = "We could not process your request due to malformed request, please check again"
BROKEN = "Our server encounters an error, please try again later"


class TokopediaError(Exception):
    """An error answer: HTTP status, the code and its reason."""

    def __init__(self, status: int, code: str, reason: str, messages: str = MALFORMED) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason
        self.messages = messages


class TokopediaApi:
    """The calls. `app` is the ASGI application."""

    def __init__(
        self, market: TokopediaMarket, faults: ReadFaults, wall: Wall, timeout_seconds: float
    ) -> None:
        self._market = market
        self._settings = market.settings
        self._faults = faults
        self._wall = wall
        self._timeout_seconds = timeout_seconds
        self._calls = CallLimit(market.settings.calls_per_second)
        self._token = ""
        self._token_end = 0.0
        self._tokens_issued = 0
        self._window: tuple[Any, list[Order]] = (None, [])
        self.app = Starlette(
            routes=[
                Route("/token", self._token_endpoint, methods=["POST"]),
                Route("/v2/fs/{fs_id}/order", self._endpoint("single", self._single), methods=["GET"]),
                Route("/v2/order/list", self._endpoint("list", self._list), methods=["GET"]),
            ]
        )

    async def _token_endpoint(self, request: Request) -> Response:
        """The same token with the seconds it has left, until it has expired; then a new one."""
        pair = f"{self._settings.client_id}:{self._settings.client_secret}".encode()
        given = request.headers.get("authorization", "")
        if given != "Basic " + base64.b64encode(pair).decode():
            return JSONResponse({"error": "invalid_client", "error_description": "unknown client"}, 401)
        form = (await request.body()).decode("utf-8", "replace")
        if "client_credentials" not in (request.query_params.get("grant_type"), form.rpartition("=")[2]):
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        now = self._wall.now()
        if now >= self._token_end:
            self._tokens_issued += 1
            stem = f"{self._settings.client_secret}:{now}:{self._tokens_issued}".encode()
            self._token = "c:" + hashlib.sha256(stem).hexdigest()[:22]
            self._token_end = now + self._settings.token_seconds
        left = int(self._token_end - now)
        return JSONResponse(
            {
                "access_token": self._token,
                "event_code": "",
                "expires_in": left,
                "last_login_type": "",
                "sq_check": False,
                "token_type": "Bearer",
            }
        )

    def _endpoint(self, key: str, call: Callable[[Request], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            left = self._calls.take(key, self._wall.now())
            headers = self._rate_headers(left)
            if left is None:
                header = {"process_time": 0, "messages": "Too many requests"}
                return JSONResponse({"header": header, "data": None}, 429, headers)
            try:
                self._check_token(request)
                await self._go_wrong()
                found = call(request)
            except TokopediaError as error:
                header = {
                    "process_time": 0.018328845,
                    "messages": error.messages,
                    "reason": error.reason,
                    "error_code": error.code,
                }
                return JSONResponse({"header": header, "data": None}, error.status, headers)
            done = {"process_time": 0.048215733, "messages": "Your request has been processed successfully"}
            return JSONResponse({"header": done, "data": found}, headers=headers)

        return endpoint

    def _rate_headers(self, left: int | None) -> dict[str, str]:
        """Text with units, and a negative zero while calls remain, as documented."""
        limit = self._calls.per_second
        until = 1 - self._wall.now() % 1
        return {
            "X-Ratelimit-Limit": f"{limit} req/s (burst {limit})",
            "X-Ratelimit-Remaining": str(left or 0),
            "X-Ratelimit-Reset-After": "-0.000000" if left else f"{until:.6f}",
            "X-Ratelimit-Full-Reset-After": f"{until:.6f}",
        }

    def _check_token(self, request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or not self._token or token != self._token or self._wall.now() >= self._token_end:
            raise TokopediaError(401, "RBAC_MDLW_003", "Access token is invalid or expired")

    async def _go_wrong(self) -> None:
        fault = self._faults.next("tokopedia")
        if fault == "timeout":
            await asyncio.sleep(self._timeout_seconds)
        if fault != "none":
            raise TokopediaError(500, "ORD_API_006", "There Are Error From Ext Service", BROKEN)

    def _check_app(self, fs_id: str) -> None:
        if fs_id != str(self._settings.fs_id):
            raise TokopediaError(403, "RBAC_MDLW_001", "fs_id Is Not Associated With Shop ID or Warehouse ID")

    def _single(self, request: Request) -> Any:
        self._check_app(request.path_params["fs_id"])
        order_id, invoice = request.query_params.get("order_id"), request.query_params.get("invoice_num")
        if not order_id and not invoice:
            raise TokopediaError(400, "ORD_DLV_003", "Order ID or Invoice Number is required")
        if order_id and invoice:
            raise TokopediaError(400, "ORD_DLV_004", "Only one of Order ID and Invoice Number is allowed")
        number = invoice_number(invoice) if invoice else _whole(order_id)
        found = [order for shelf in self._market.shelves.values() if (order := shelf.get(number or 0))]
        if not found:
            raise TokopediaError(400, "ORD_API_008", "Data Not Found")
        return single_object(found[0])

    def _list(self, request: Request) -> Any:
        asked = request.query_params
        self._check_app(asked.get("fs_id", ""))
        begin, end = _whole(asked.get("from_date")), _whole(asked.get("to_date"))
        page, per_page = _whole(asked.get("page")), _whole(asked.get("per_page"))
        if begin is None or end is None or end < begin:
            raise TokopediaError(400, "ORD_DLV_012", "Invalid From Date or To Date")
        if end - begin >= WINDOW_SECONDS:
            raise TokopediaError(400, "ORD_DLV_013", "Date Range must be less than 3 days")
        if page is None or page < 1 or per_page is None or not 1 <= per_page <= PER_PAGE_MAX:
            raise TokopediaError(400, "ORD_DLV_010", "Invalid Page or Per Page")
        rows = self._found(self._shelves(asked), begin, end, _whole(asked.get("status")))
        rows = rows[(page - 1) * per_page : page * per_page]
        # Of the two shapes of an empty list that callers must accept, the rarer one is shown beyond page 1.
        return [list_object(order, self._settings.fs_id) for order in rows] or ([] if page == 1 else None)

    def _found(self, shelves: list[Shelf], begin: int, end: int, status: int | None) -> list[Order]:
        """The window's orders by creation; kept for the next page while no order changes."""
        key = (begin, end, status, tuple((id(shelf), shelf.version) for shelf in shelves))
        if self._window[0] != key:
            found = [order for shelf in shelves for order in shelf if _is_listed(order, begin, end, status)]
            found.sort(key=lambda order: (order.created, order.number))
            self._window = (key, found)
        return self._window[1]

    def _shelves(self, asked: Mapping[str, str]) -> list[Shelf]:
        shop_id = asked.get("shop_id")
        if shop_id is None:
            return list(self._market.shelves.values())
        shop: Shop = TokopediaShop(_whole(shop_id) or 0)
        if shop not in self._market.shelves:
            raise TokopediaError(403, "RBAC_MDLW_001", "fs_id Is Not Associated With Shop ID or Warehouse ID")
        return [self._market.shelves[shop]]


def _is_listed(order: Order, begin: int, end: int, status: int | None) -> bool:
    """Reached 220, and created or listed in the window: what the dates mean is not documented."""
    if order.listed is None or (status is not None and order.statuses[0] != str(status)):
        return False
    return begin <= order.created <= end or begin <= order.listed <= end


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
