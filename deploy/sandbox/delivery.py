"""Sends pushes over kept-alive HTTP/1.1 connections, many at once and bounded.

Written on asyncio's streams because a push is one small POST whose answer matters by its status alone: a
general client costs several times as much per push, and the simulator shares the machine with what it tests.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from deploy.sandbox.orders import Order

QUEUE_MAX = 10_000
CONNECTIONS = 32
ANSWER_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where pushes go: the parts of a webhook address."""

    host: str
    port: int
    secure: bool
    path: str

    @classmethod
    def of(cls, url: str) -> "Target":
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname or "127.0.0.1", parts.port or (443 if secure else 80), secure, path)

    def request(self, body: bytes, authorization: str | None) -> bytes:
        """The whole request, ready to be written (and to be written again, byte for byte)."""
        signed = f"Authorization: {authorization}\r\n" if authorization else ""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Content-Type: application/json\r\nUser-Agent: marketplace-sandbox\r\n{signed}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Owner(Protocol):
    """Who is told how a push ended."""

    def answered(self, push: "Push", status: int | None) -> None:
        """`status` is None when no answer came in time."""


class Push:
    """One message about one line (Lazada) or order (Tokopedia), rendered."""

    __slots__ = ("attempt", "line", "order", "owner", "request", "target")

    def __init__(self, owner: Owner, order: Order, line: int, target: Target, request: bytes) -> None:
        self.owner = owner
        self.order = order
        self.line = line
        self.target = target
        self.request = request
        self.attempt = 0


class Connection:
    """One kept-alive connection to one host."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes) -> int:
        """The status of the answer; OSError or ValueError when there is none.

        A kept connection that the receiver closed meanwhile is opened again, once.
        """
        if self._streams is not None and self._streams[1].is_closing():
            # uvloop raises RuntimeError, and not OSError, on writing to what was closed before.
            self.close()
        if self._streams is not None:
            try:
                return await self._exchange(request)
            except (OSError, EOFError):
                self.close()
        context = ssl.create_default_context() if self._target.secure else None
        self._streams = await asyncio.open_connection(
            self._target.host, self._target.port, ssl=context, limit=ANSWER_MAX
        )
        return await self._exchange(request)

    async def _exchange(self, request: bytes) -> int:
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        length = _header(head, b"content-length")
        if length is not None:
            await reader.readexactly(min(int(length), ANSWER_MAX))
        elif _header(head, b"transfer-encoding") == b"chunked":
            await _skip_chunks(reader)
        elif status not in {204, 304}:
            self.close()
        if _header(head, b"connection") == b"close":
            self.close()
        return status

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _header(head: bytes, name: bytes) -> bytes | None:
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return None
    start += len(name) + 3
    return head[start : head.index(b"\r\n", start)].strip()


async def _skip_chunks(reader: asyncio.StreamReader) -> None:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        await reader.readexactly(size + 2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass


class Sender:
    """Sends the pushes of one marketplace; `timeout` seconds is how long it waits for an answer."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._queue: asyncio.Queue[Push] = asyncio.Queue(QUEUE_MAX)
        self._workers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._workers = [asyncio.create_task(self._work()) for _ in range(CONNECTIONS)]

    async def stop(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def send(self, push: Push) -> None:
        """Queue a push; waits while 10 000 are unsent, so that memory stays bounded."""
        await self._queue.put(push)

    async def _work(self) -> None:
        connections: dict[tuple[str, int], Connection] = {}
        try:
            while True:
                push = await self._queue.get()
                place = (push.target.host, push.target.port)
                connection = connections.get(place)
                if connection is None:
                    connection = connections[place] = Connection(push.target)
                push.owner.answered(push, await self._post(connection, push.request))
        finally:
            for connection in connections.values():
                connection.close()

    async def _post(self, connection: Connection, request: bytes) -> int | None:
        try:
            async with asyncio.timeout(self._timeout):
                return await connection.post(request)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            # A late answer must not be taken for that of the next push.
            connection.close()
            return None
