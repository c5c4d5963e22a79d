"""A small webhook receiver for tests: keeps what arrives and answers as told. Shares no code with the sender."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, NamedTuple, Self


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Listens on a port of the system's choice; `status` decides each answer, None that there is none."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status: Callable[[Received], int | None] = lambda _: 200
        self.address = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value
                    for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers["content-length"]))
                got = Received(head[0].split()[1], headers, body)
                self.received.append(got)
                if (status := self.status(got)) is None:
                    continue
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok".encode())
        except (EOFError, OSError):
            pass
        finally:
            writer.close()


def is_signed(got: Received, app_key: str, app_secret: str) -> bool:
    expected = hmac.new(app_secret.encode(), app_key.encode() + got.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, got.headers.get("authorization", ""))
