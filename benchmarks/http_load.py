"""A lean HTTP/1.1 client for load: keep-alive connections, prepared bytes, bounded in time and number.

A full client library would cost more than the server it measures.
"""

import asyncio
import time
from collections.abc import Iterator

Requests = Iterator[bytes]


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().rfind(b"content-length:")
    size = int(head[length + 15 : head.index(b"\r\n", length)]) if length >= 0 else 0
    return int(head[9:12]), await reader.readexactly(size) if size else b""


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    return (await _exchange(reader, writer, request))[0]


class Posts:
    """Posts JSON to one port over kept connections, as many at once as there are callers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes = b"{}") -> bytes:
        """The body of the answer; an AssertionError when it is not 2xx."""
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        while True:
            kept = bool(self._idle)
            streams = self._idle.pop() if kept else await asyncio.open_connection("127.0.0.1", self._port)
            try:
                status, answer = await _exchange(*streams, request)
                break
            except (asyncio.IncompleteReadError, ConnectionError):
                # The server closes what was idle for some seconds; a new connection is no repeat.
                if not kept:
                    raise
        self._idle.append(streams)
        assert 200 <= status < 300, (status, answer[:200])
        return answer

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def saturate(port: int, requests: Requests, *, connections: int, seconds: float) -> float:
    """Accepted requests a second when every connection sends its next as soon as it has its answer."""
    until = time.perf_counter() + seconds
    accepted = 0

    async def one() -> None:
        nonlocal accepted
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while time.perf_counter() < until:
                status = await _call(reader, writer, next(requests))
                accepted += status == 200
        finally:
            writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return accepted / (time.perf_counter() - began)


async def paced(
    port: int, requests: Requests, *, per_second: float, connections: int, seconds: float
) -> list[float]:
    """The seconds each request took, from when it was due (so that a stall counts for all it delays)."""
    count = int(per_second * seconds)
    due = asyncio.Queue[float]()
    took: list[float] = []
    began = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                at = await due.get()
                if at < 0:
                    return
                status = await _call(reader, writer, next(requests))
                assert status == 200, status
                took.append(time.perf_counter() - at)
        finally:
            writer.close()

    workers = [asyncio.create_task(one()) for _ in range(connections)]
    for number in range(count):
        at = began + number / per_second
        pause = at - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        due.put_nowait(at)
    for _ in range(connections):
        due.put_nowait(-1.0)
    await asyncio.gather(*workers)
    return sorted(took)
