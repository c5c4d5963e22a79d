"""All routes of the registry in one router."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from libs.runtime.postgres import AsyncPool
from libs.runtime.sealing import Sealer
from libs.runtime.tokens import TokenSigner
from services.orders.registry.doors import Doors
from services.orders.registry.list_routes import customer_routes, key_routes, reason_routes, tag_routes
from services.orders.registry.seller_routes import decision_routes, people_routes, seller_routes
from services.orders.registry.token_routes import token_routes


def registry_routes(
    pool: AsyncPool,
    *,
    sealer: Sealer,
    signer: TokenSigner | None,
    exchange_keys: Sequence[dict[str, Any]] = (),
) -> APIRouter:
    """The registry's doors, each bounded to the seller of the caller."""
    doors = Doors(pool)
    router = APIRouter()
    router.include_router(seller_routes(doors, sealer))
    for routes in (people_routes, decision_routes, tag_routes, reason_routes, customer_routes, key_routes):
        router.include_router(routes(doors))
    router.include_router(token_routes(signer, exchange_keys))
    return router
