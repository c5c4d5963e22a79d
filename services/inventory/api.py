"""HTTP in: questions about the stock of the caller's seller. No rule lives here."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from libs.runtime.auth import Principal, require
from libs.runtime.pages import Paging, cut, page
from services.inventory.store import StockViews

SCOPE = "inventory:read"
SKU_CHARACTERS_MAX = 256


def routes(views: StockViews) -> APIRouter:
    """The queries of inventory, each bounded to the seller of the caller's key."""
    router = APIRouter(prefix="/v1")
    read = Depends(require(SCOPE))

    @router.get("/stock", summary="Units promised and gone, by SKU")
    async def list_stock(
        caller: Annotated[Principal, read],
        paging: Paging,
        sku: Annotated[str | None, Query(max_length=SKU_CHARACTERS_MAX, description="This SKU only")] = None,
    ) -> dict[str, Any]:
        rows = await views.levels(caller.seller, sku=sku, after=paging.after(str), limit=paging.limit + 1)
        shown, next_cursor = cut(rows, paging.limit, lambda row: row["sku"])
        return page(shown, next_cursor)

    # A SKU is whatever the seller wrote, slashes included.
    @router.get("/stock/{sku:path}/movements", summary="The movements that make the figures of one SKU")
    async def list_movements(sku: str, caller: Annotated[Principal, read], paging: Paging) -> dict[str, Any]:
        rows = await views.movements(caller.seller, sku, after=paging.after(int), limit=paging.limit + 1)
        shown, next_cursor = cut(rows, paging.limit, lambda row: row["number"])
        return page([{name: row[name] for name in row if name != "number"} for row in shown], next_cursor)

    return router
