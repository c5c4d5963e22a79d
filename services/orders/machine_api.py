"""HTTP in: the published machine, the same as `python -m services.orders machine --json` prints (PM-3)."""

import asyncio
from functools import cache
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Header, Request, Response

from libs.runtime.auth import Principal, caller
from services.orders.order.publication import VERSION, publication

# A change of the machine changes its version (PM-5), so the version tells whether a copy is still good.
_ETAG = f'"{VERSION}"'


def machine_routes() -> APIRouter:
    """One route, for every caller that a token names: it tells of no order and of no seller."""
    router = APIRouter(prefix="/v1")

    @router.get(
        "/order-machine",
        summary="The order machine: statuses, commands, facts, refusals, and the moves of every state",
        responses={304: {"description": "The copy that If-None-Match names is still good."}},
    )
    async def order_machine(
        _: Annotated[Principal, Depends(_known)],
        if_none_match: Annotated[str | None, Header(max_length=200)] = None,
    ) -> Response:
        headers = {"ETag": _ETAG}
        if if_none_match is not None and _ETAG in if_none_match:
            return Response(status_code=304, headers=headers)
        # Made once, aside, since a quarter of a second of reckoning would hold up every other answer.
        body = await asyncio.to_thread(_published)
        return Response(body, media_type="application/json", headers=headers)

    return router


async def _known(request: Request) -> Principal:
    # A coroutine is called on the loop itself; `caller` as it stands would cost a thread per request.
    return caller(request)


@cache
def _published() -> bytes:
    return msgspec.json.encode(publication())
