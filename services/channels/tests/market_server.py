"""A marketplace for tests: a real HTTP server on loopback that answers as a test tells it to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web


class Asked(msgspec.Struct, frozen=True):
    """One request as the server got it; `headers` have lower-case names."""

    path: str
    parameters: dict[str, str]
    headers: dict[str, str]


class Reply(msgspec.Struct, frozen=True):
    """What the server is to answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}


def json_reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, msgspec.json.encode(content), headers or {})


@asynccontextmanager
async def answering(answer: Callable[[Asked], Awaitable[Reply]]) -> AsyncIterator[str]:
    """Answer for the block's duration; the address to call. What `answer` raises closes the connection."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            reply = await answer(Asked(request.path, dict(request.query), headers))
        except ConnectionError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
