"""HTTP in: a seller's shops, and raw messages without their content. No rule lives here."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from libs.runtime.auth import Principal, require
from libs.runtime.pages import Paging, cut, page
from services.channels.marketplace import wire_time
from services.channels.publishing import Shop
from services.channels.shops import Shops
from services.channels.store import Listed, Store

SCOPE_READ = "channels:read"
# Messages of shops that nobody has connected belong to no seller: only the operator sees them.
SCOPE_OPERATE = "channels:operate"

Reader = Annotated[Principal, Depends(require(SCOPE_READ))]
States = Literal["PENDING", "HANDLED", "SKIPPED", "PARKED"]


def routes(shops: Shops, store: Store) -> APIRouter:
    """The routes of the API; each shows the caller's own seller only."""
    router = APIRouter(prefix="/v1")

    @router.get("/shops", summary="The shops of the caller's seller")
    async def list_shops(caller: Reader, paging: Paging) -> dict[str, Any]:
        rows = await shops.of_seller(UUID(caller.seller), after=paging.after(UUID), limit=paging.limit + 1)
        items, following = cut(rows, paging.limit, lambda shop: str(shop.id))
        return page([_shop(shop) for shop in items], following)

    @router.get("/raw-messages", summary="What the marketplaces sent and what became of it, without content")
    async def list_raw_messages(
        caller: Reader,
        paging: Paging,
        state: Annotated[States | None, Query(description="Only messages in this state")] = None,
    ) -> dict[str, Any]:
        rows = await store.raw_messages(
            UUID(caller.seller),
            and_nobodys=caller.may(SCOPE_OPERATE),
            state=state,
            after=paging.after(UUID),
            limit=paging.limit + 1,
        )
        items, following = cut(rows, paging.limit, lambda row: str(row.id))
        return page([_message(row) for row in items], following)

    return router


def _shop(shop: Shop) -> dict[str, Any]:
    return {
        "id": str(shop.id),
        "channel": shop.channel,
        "site": shop.site,
        "shop": shop.shop,
        "name": shop.name,
        "state": shop.state,
    }


def _message(row: Listed) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "received_at": wire_time(row.received_at),
        "route": row.route,
        "verdict": row.verdict,
        "state": row.state,
        "reason": row.reason,
        "connection": None if row.connection is None else str(row.connection),
        "order": row.order,
    }
