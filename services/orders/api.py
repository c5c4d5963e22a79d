"""HTTP in: queries about orders and their history. No rule lives here."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from libs.runtime.auth import Principal, require
from libs.runtime.pages import LIMIT_MAX, Paging, cut, page
from services.orders.list_api import json_response, order_id_in, order_not_found, order_routes
from services.orders.positions import AtLeast, position_in
from services.orders.relay import cloud_event
from services.orders.views import OrderViews


def routes(views: OrderViews) -> APIRouter:
    """The queries of orders, each bounded to the seller of the caller's key."""
    router = APIRouter(prefix="/v1")
    # An analyst reads events and no field of a buyer (18.2); public events hold none (PD-4).
    read = Depends(require("orders:read", "analyst"))

    router.include_router(order_routes(views))

    @router.get("/orders/{order_id}/events", summary="Public events of one order, oldest first")
    async def order_events(
        order_id: str, caller: Annotated[Principal, read], paging: Paging, at_least: AtLeast
    ) -> Response:
        await views.stored(at_least)
        after = paging.after(int) or 0
        found = await views.order_events(
            caller.seller, order_id_in(order_id), limit=paging.limit + 1, after=after
        )
        if found is None:
            raise order_not_found()
        shown, next_cursor = cut(found, paging.limit, lambda event: event.sequence)
        return json_response(page([cloud_event(event) for event in shown], next_cursor))

    @router.get("/events", summary="Public events of all orders of the seller, oldest first")
    async def events(
        caller: Annotated[Principal, read],
        after: Annotated[str, Query(max_length=200, description="`next` of the call before")] = "",
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 50,
        *,
        at_least: AtLeast,
    ) -> Response:
        await views.reached(at_least)
        found, position = await views.events(
            caller.seller, limit=limit, after=position_in(after, "after") if after else 0
        )
        return json_response(page([cloud_event(event) for event in found], str(position)))

    @router.get("/parked", summary="Records that could not be handled, without their content")
    async def parked(_: Annotated[Principal, Depends(require("operator"))], paging: Paging) -> Response:
        rows = await views.parked(limit=paging.limit + 1, after=paging.after(int) or 0)
        shown, next_cursor = cut(rows, paging.limit, lambda row: row["id"])
        return json_response(page(shown, next_cursor))

    return router
