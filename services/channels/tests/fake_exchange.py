"""Carries the calls of a client to a function of the test."""

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from services.channels.http_calls import Answer

Handle = Callable[[str, str, dict[str, str], Mapping[str, str]], Answer]


class FakeExchange:
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def call(self, method: str, url: str, query: str, headers: Mapping[str, str]) -> Answer:
        await asyncio.sleep(0)
        return self._handle(method, url, dict(parse_qsl(query)), headers)

    async def close(self) -> None:
        return
