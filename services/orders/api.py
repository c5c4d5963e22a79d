"""HTTP in: queries about orders and their history. No rule lives here."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from libs.runtime.auth import Principal, require
from libs.runtime.pages import LIMIT_MAX, Paging, cut, page
from libs.runtime.problems import Problem, field_problem
from services.orders.relay import cloud_event
from services.orders.views import Mark, OrderViews

_ENCODER = msgspec.json.Encoder()
# PostgreSQL's text holds no NUL.
WITHOUT_NUL = r"^[^\x00]*$"

HEADLINES = (
    "NEW", "CONFIRMED", "PAID", "PARTLY_PAID", "READY_TO_SHIP", "CANCELLATION_REQUESTED", "CANCELLED",
    "AWAITING_PICKUP", "IN_TRANSIT", "DELIVERED", "DELIVERY_PROBLEM", "LOST_OR_DAMAGED", "RETURNING",
    "RETURNED", "AWAITING_PAYMENT", "PAYMENT_IN_PROCESS", "PAYMENT_SUCCEEDED", "BILL_PENDING",
    "BILL_ISSUED", "BILL_PAID", "COMPLETED",
)  # fmt: skip


def _json(body: Any) -> Response:
    return Response(_ENCODER.encode(body), media_type="application/json")


def _not_found() -> Problem:
    # An order of another seller answers the same (RF-4).
    return Problem(
        404,
        "ORDER_NOT_FOUND",
        "There is no such order.",
        sentence={"en": "There is no such order.", "id": "Pesanan ini tidak ada."},
    )


def _order_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _not_found() from None


def routes(views: OrderViews) -> APIRouter:
    """The queries of orders, each bounded to the seller of the caller's key."""
    router = APIRouter(prefix="/v1")
    read = Depends(require("orders:read"))

    @router.get("/orders", summary="Orders of the seller, the latest placed first")
    async def list_orders(
        *,
        caller: Annotated[Principal, read],
        paging: Paging,
        headline: Annotated[str | None, Query(description="One of the 21 headlines")] = None,
        channel: Annotated[str | None, Query(max_length=40, pattern=WITHOUT_NUL)] = None,
        shop: Annotated[str | None, Query(max_length=100, pattern=WITHOUT_NUL)] = None,
        marketplace_number: Annotated[str | None, Query(max_length=100, pattern=WITHOUT_NUL)] = None,
    ) -> Response:
        if headline is not None and headline not in HEADLINES:
            raise field_problem(
                "headline", "FIELD_INVALID", f"There is no such headline; use one of {', '.join(HEADLINES)}."
            )
        rows = await views.orders(
            caller.seller,
            limit=paging.limit + 1,
            after=paging.after(Mark),
            headline_is=headline,
            channel=channel,
            shop=shop,
            marketplace_number=marketplace_number,
        )
        shown, next_cursor = cut(rows, paging.limit, lambda row: row[0])
        return _json(page([row[1] for row in shown], next_cursor))

    @router.get("/orders/{order_id}", summary="One order as its history says now")
    async def get_order(order_id: str, caller: Annotated[Principal, read]) -> Response:
        found = await views.order(caller.seller, _order_id(order_id))
        if found is None:
            raise _not_found()
        answer = _json(found)
        answer.headers["ETag"] = f'"{found["sequence"]}"'
        return answer

    @router.get("/orders/{order_id}/events", summary="Public events of one order, oldest first")
    async def order_events(order_id: str, caller: Annotated[Principal, read], paging: Paging) -> Response:
        after = paging.after(int) or 0
        found = await views.order_events(
            caller.seller, _order_id(order_id), limit=paging.limit + 1, after=after
        )
        if found is None:
            raise _not_found()
        shown, next_cursor = cut(found, paging.limit, lambda event: event.sequence)
        return _json(page([cloud_event(event) for event in shown], next_cursor))

    @router.get("/events", summary="Public events of all orders of the seller, oldest first")
    async def events(
        caller: Annotated[Principal, read],
        after: Annotated[str, Query(max_length=200, description="`next` of the call before")] = "",
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 50,
    ) -> Response:
        found, position = await views.events(caller.seller, limit=limit, after=_position(after))
        return _json(page([cloud_event(event) for event in found], str(position)))

    @router.get("/parked", summary="Records that could not be handled, without their content")
    async def parked(_: Annotated[Principal, Depends(require("operator"))], paging: Paging) -> Response:
        rows = await views.parked(limit=paging.limit + 1, after=paging.after(int) or 0)
        shown, next_cursor = cut(rows, paging.limit, lambda row: row["id"])
        return _json(page(shown, next_cursor))

    return router


def _position(token: str) -> int:
    if not token:
        return 0
    if not token.isdecimal() or len(token) > 18:
        raise field_problem(
            "after", "FIELD_INVALID", "Not a position that this list has given; leave it empty to begin."
        )
    return int(token)
