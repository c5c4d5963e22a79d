"""Lazada's REST interface under `/rest`: signed calls, business errors inside HTTP 200, live types."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.sandbox.clock import Wall
from deploy.sandbox.faults import CallLimit, ReadFaults
from deploy.sandbox.lazada_messages import answer, item_objects, order_object, request_signature
from deploy.sandbox.markets import LazadaMarket
from deploy.sandbox.orders import Order, Shelf
from deploy.sandbox.settings import LazadaShop

# doc 108067: a call's timestamp may be 7200 s away from UTC.
TIMESTAMP_WINDOW_SECONDS = 7200
LIMIT_MAX, OFFSET_MAX, IDS_MAX = 100, 5000, 50
# The filter values of /orders/get (api /orders/get).
FILTERS = frozenset(
    {
        *(
            "unpaid",
            "pending",
            "packed",
            "canceled",
            "ready_to_ship",
            "delivered",
            "returned",
            "shipped",
            "failed",
        ),
        *("topack", "toship", "shipping", "lost", "lost_by_3pl", "damaged_by_3pl", "failed_delivery"),
        *("shipped_back", "shipped_back_success", "shipped_back_failed", "package_scrapped"),
    }
)
TABS = {"topack": ("pending", "repacked"), "toship": ("packed", "ready_to_ship"), "shipping": ("shipped",)}

Parameters = Mapping[str, str]
Endpoint = Callable[[Request], Awaitable[Response]]


class LazadaError(Exception):
    """A business error: it goes out in HTTP 200."""

    def __init__(self, code: str, message: str, kind: str = "ISP") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind = kind


class LazadaApi:
    """The calls. `app` is the ASGI application."""

    def __init__(self, market: LazadaMarket, faults: ReadFaults, wall: Wall, timeout_seconds: float) -> None:
        self._market = market
        self._settings = market.settings
        self._faults = faults
        self._wall = wall
        self._timeout_seconds = timeout_seconds
        self._calls = CallLimit(market.settings.calls_per_second)
        self._requests = itertools.count(1)
        reads: Mapping[str, Callable[[Shelf, Parameters], Any]] = {
            "/order/get": self._order_get,
            "/order/items/get": self._items_get,
            "/orders/items/get": self._many_items_get,
            "/orders/get": self._orders_get,
        }
        tokens = {"/auth/token/create": self._token_create, "/auth/token/refresh": self._token_refresh}
        routes = [_route(path, self._read(path, reads[path])) for path in reads]
        routes += [_route(path, self._open(path, tokens[path])) for path in tokens]
        self.app = Starlette(routes=routes)

    def _read(self, path: str, call: Callable[[Shelf, Parameters], Any]) -> Endpoint:
        async def read(parameters: Parameters) -> Any:
            self._check_signature(path, parameters)
            shop = self._market.shop_of(parameters.get("access_token", ""))
            if shop is None:
                raise LazadaError(
                    "IllegalAccessToken", "The specified access token is invalid or expired", "ISV"
                )
            if self._calls.take(f"{shop.site}:{shop.seller_id}", self._wall.now()) is None:
                raise LazadaError(
                    "ApiCallLimit",
                    "Api access frequency exceeds the limit. this ban will last 1 seconds",
                    "ISV",
                )
            await self._go_wrong()
            return {"data": call(self._market.shelves[shop], parameters)}

        return self._answering(read)

    def _open(self, path: str, call: Callable[[Parameters], Any]) -> Endpoint:
        async def read(parameters: Parameters) -> Any:
            self._check_signature(path, parameters)
            return call(parameters)

        return self._answering(read)

    def _answering(self, read: Callable[[Parameters], Awaitable[Any]]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            body = (await request.body()).decode("utf-8", "replace")
            parameters = dict(request.query_params) | dict(parse_qsl(body, keep_blank_values=True))
            request_id = f"2101a7c3{int(self._wall.now() * 1000):013d}{next(self._requests) % 10_000:04d}"
            try:
                content = {**await read(parameters), "code": "0", "request_id": request_id}
            except LazadaError as error:
                content = {
                    "type": error.kind,
                    "code": error.code,
                    "message": error.message,
                    "request_id": request_id,
                }
            return Response(answer(content), media_type="application/json;charset=UTF-8")

        return endpoint

    async def _go_wrong(self) -> None:
        fault = self._faults.next("lazada")
        if fault == "timeout":
            await asyncio.sleep(self._timeout_seconds)
        if fault != "none":
            raise LazadaError("ServiceTimeout", "Service timeout")

    def _check_signature(self, path: str, parameters: Parameters) -> None:
        for name in ("app_key", "timestamp", "sign_method", "sign"):
            if not parameters.get(name):
                raise LazadaError(
                    "MissingParameter",
                    f"The input parameter “{name}” that is mandatory for processing this request "
                    "is not supplied",
                    "ISV",
                )
        if parameters["app_key"] != self._settings.app_key:
            raise LazadaError("InvalidAppKey", "The specified App Key is invalid", "ISV")
        if not self._is_timely(parameters["timestamp"]):
            raise LazadaError("IllegalTimestamp", "The specified timestamp is invalid or expired", "ISV")
        expected = request_signature(self._settings.app_secret, path, parameters)
        if parameters["sign_method"] != "sha256" or parameters["sign"] != expected:
            raise LazadaError(
                "IncompleteSignature", "The request signature does not conform to platform standards", "ISV"
            )

    def _is_timely(self, text: str) -> bool:
        """Epoch milliseconds, or a UTC text."""
        try:
            seconds = int(text) / 1000 if text.isdigit() else datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            return False
        return abs(self._wall.now() - seconds) <= TIMESTAMP_WINDOW_SECONDS

    def _order_get(self, shelf: Shelf, parameters: Parameters) -> Any:
        return order_object(_order(shelf, parameters.get("order_id", "")))

    def _items_get(self, shelf: Shelf, parameters: Parameters) -> Any:
        return item_objects(_order(shelf, parameters.get("order_id", "")))

    def _many_items_get(self, shelf: Shelf, parameters: Parameters) -> Any:
        try:
            asked = json.loads(parameters.get("order_ids", ""))
        except ValueError:
            asked = None
        if not isinstance(asked, list) or not asked:
            raise LazadaError("37", 'E037: "order_ids" One or more order id in the list are incorrect')
        if len(asked) > IDS_MAX:
            raise LazadaError("38", "E038: Too many orders were requested")
        orders = [_order(shelf, str(one)) for one in asked]
        return [
            {"order_number": order.id, "order_id": order.id, "order_items": item_objects(order)}
            for order in orders
        ]

    def _orders_get(self, shelf: Shelf, parameters: Parameters) -> Any:
        found = _listed(shelf, parameters)
        limit = _whole(parameters, "limit", 100, low=1, high=LIMIT_MAX, code="19")
        offset = _whole(parameters, "offset", 0, low=0, high=OFFSET_MAX, code="14")
        page = found[offset : offset + limit]
        if not page and offset:
            # Both shapes of an empty page are seen: without `orders` and `countTotal`, and with them.
            return {"count": 0}
        return {
            "count": len(page),
            "countTotal": len(found),
            "orders": [order_object(order) for order in page],
        }

    def _token_create(self, parameters: Parameters) -> Any:
        shop = self._market.exchange(parameters.get("code", ""))
        if shop is None:
            raise LazadaError("InvalidCode", "Invalid authorization code", "ISV")
        return self._tokens(shop, "country_user_info")

    def _token_refresh(self, parameters: Parameters) -> Any:
        shop = self._market.refresh(parameters.get("refresh_token", ""))
        if shop is None:
            raise LazadaError(
                "IllegalRefreshToken", "The specified refresh token is invalid or expired", "ISV"
            )
        return self._tokens(shop, "country_user_info_list")

    def _tokens(self, shop: LazadaShop, list_name: str) -> Any:
        """Token fields at the top level; the list has another name on refresh, as documented."""
        row = {
            "country": shop.site,
            "user_id": shop.seller_id,
            "seller_id": shop.seller_id,
            "short_code": f"{shop.site.upper()}EXAMPLE1",
        }
        return {
            "access_token": self._market.issue(shop),
            "country": shop.site,
            "refresh_token": shop.refresh_token,
            "account_platform": "seller_center",
            "refresh_expires_in": 180 * 86400,
            list_name: [row],
            "expires_in": self._settings.access_token_seconds,
            "account": "seller@example.com",
        }


def _route(path: str, endpoint: Endpoint) -> Route:
    return Route(f"/rest{path}", endpoint, methods=["GET", "POST"])


def _order(shelf: Shelf, text: str) -> Order:
    order = shelf.get(int(text)) if text.isdigit() else None
    if order is None:
        raise LazadaError("16", f'E016: "{text}" Invalid Order ID')
    return order


def _listed(shelf: Shelf, parameters: Parameters) -> Sequence[Order]:
    """The orders asked for, sorted. Update times are real time, creation times marketplace time."""
    update_after, update_before = _instant(parameters, "update_after"), _instant(parameters, "update_before")
    created_after, created_before = (
        _instant(parameters, "created_after"),
        _instant(parameters, "created_before"),
    )
    if update_after is None and created_after is None:
        raise LazadaError("17", 'E017: "" Invalid Date Format')
    sort_by = parameters.get("sort_by") or "created_at"
    if sort_by not in {"created_at", "updated_at"}:
        raise LazadaError("74", "E074: Invalid sort by filter")
    direction = (parameters.get("sort_direction") or "ASC").upper()
    if direction not in {"ASC", "DESC"}:
        raise LazadaError("75", "E075: Invalid sort direction")
    status = parameters.get("status") or None
    if status is not None and status not in FILTERS:
        raise LazadaError("6", "E006: Invalid status filter")
    by_update = sort_by == "updated_at"
    found = (
        shelf.updated(update_after, update_before)
        if by_update
        else shelf.created(created_after, created_before)
    )
    wanted = {status, *TABS.get(status, ())} if status else None
    rows = [
        order
        for order in found
        if (update_after is None or order.updated >= update_after)
        and (update_before is None or order.updated <= update_before)
        and (created_after is None or order.created >= created_after)
        and (created_before is None or order.created <= created_before)
        and (wanted is None or not wanted.isdisjoint(order.statuses))
    ]
    return rows[::-1] if direction == "DESC" else rows


def _instant(parameters: Parameters, name: str) -> float | None:
    """An ISO 8601 instant with its offset; code 17 for anything else (a `+` that was not encoded, too)."""
    text = parameters.get(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise LazadaError("17", f'E017: "{text}" Invalid Date Format')
    return found.timestamp()


def _whole(parameters: Parameters, name: str, default: int, *, low: int, high: int, code: str) -> int:
    text = parameters.get(name) or str(default)
    if not text.isdigit() or not low <= int(text) <= high:
        raise LazadaError(code, f"E{int(code):03d}: Invalid {name.capitalize()}")
    return int(text)
