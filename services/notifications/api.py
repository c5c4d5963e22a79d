"""HTTP in: what the caller's seller is to be told. No rule lives here."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from libs.runtime.auth import Principal, require
from libs.runtime.pages import Paging, cut, page
from libs.runtime.problems import field_problem
from services.notifications.messages import sentence
from services.notifications.policy import Kind
from services.notifications.store import Ledger

SCOPE = "notifications:read"


def routes(ledger: Ledger) -> APIRouter:
    """The queries of notifications, each bounded to the seller of the caller's key."""
    router = APIRouter(prefix="/v1")
    read = Depends(require(SCOPE))

    @router.get("/deliveries", summary="What the seller is to be told, the latest first")
    async def list_deliveries(
        caller: Annotated[Principal, read],
        paging: Paging,
        order: Annotated[str | None, Query(max_length=128, description="Of this order only")] = None,
        kind: Annotated[str | None, Query(max_length=64, description="Of this kind only")] = None,
    ) -> dict[str, Any]:
        if kind is not None and kind not in Kind.__members__:
            raise field_problem(
                "kind", "FIELD_INVALID", f"There is no such kind; use one of {', '.join(Kind.__members__)}."
            )
        rows = await ledger.deliveries(
            caller.seller, order_id=order, kind=kind, before=paging.after(int), limit=paging.limit + 1
        )
        shown, next_cursor = cut(rows, paging.limit, lambda row: row["number"])
        return page([_item(row) for row in shown], next_cursor)

    return router


def _item(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is shown: its values become the sentence."""
    shown = {name: value for name, value in row.items() if name not in {"number", "values"}}
    return {**shown, "sentence": sentence(row["text"], row["values"])}
