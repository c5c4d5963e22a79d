"""The HTTP client against a real socket: kept connections, every way a body ends, and every bound."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services.channels import http_calls
from services.channels.http_calls import CallFailed, HttpCalls

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers the requests of each connection with the next of `answers`; None closes, ... hangs."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.answers.pop(0)
                if answer is None:
                    return
                if answer is ...:
                    await asyncio.sleep(30)
                assert isinstance(answer, bytes)
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer or (
                    b"content-length" not in answer and b"chunked" not in answer
                ):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def calling(server: Server) -> AsyncIterator[HttpCalls]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/path"
    calls = HttpCalls()
    try:
        yield calls
    finally:
        await calls.close()
        listening.close()


def ok(body: bytes = b"{}", headers: bytes = b"") -> bytes:
    length = str(len(body)).encode()
    return b"HTTP/1.1 200 OK\r\n" + headers + b"content-length: " + length + b"\r\n\r\n" + body


async def test_a_call_gives_status_headers_and_body() -> None:
    server = Server(ok(b'{"a":1}', b"X-Ratelimit-Remaining: 3\r\n"))
    async with calling(server) as calls:
        answer = await calls.call("GET", server.url, "a=1&b=%20", {"authorization": "Bearer x"})
    assert (answer.status, answer.body) == (200, b'{"a":1}')
    assert answer.headers["x-ratelimit-remaining"] == "3"
    head = server.requests[0].decode()
    assert head.startswith("GET /path?a=1&b=%20 HTTP/1.1\r\n")
    assert "authorization: Bearer x\r\n" in head
    assert f"host: {server.url[7:-5]}\r\n" in head


async def test_a_connection_is_kept_and_used_again() -> None:
    server = Server(ok(), ok(), ok())
    async with calling(server) as calls:
        for _ in range(3):
            await calls.call("GET", server.url, "", {})
    assert server.connections == 1


async def test_a_kept_connection_that_the_server_closed_costs_no_failure() -> None:
    server = Server(ok(), None, ok(b"again"))
    async with calling(server) as calls:
        await calls.call("GET", server.url, "", {})
        assert (await calls.call("GET", server.url, "", {})).body == b"again"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (b"HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n", b""),
    ],
)
async def test_every_way_a_body_ends(answer: bytes, body: bytes) -> None:
    server = Server(answer)
    async with calling(server) as calls:
        assert (await calls.call("GET", server.url, "", {})).body == body


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 10\r\n\r\nabc",
        b"no HTTP at all, connection: close\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_none(answer: object) -> None:
    server = Server(answer)
    async with calling(server) as calls:
        with pytest.raises(CallFailed) as failed:
            await calls.call("GET", server.url, "", {})
    assert failed.value.reason == "UNREACHABLE"


async def test_nobody_there_is_unreachable() -> None:
    server = Server()
    async with calling(server):
        pass
    with pytest.raises(CallFailed) as failed:
        await HttpCalls().call("GET", server.url, "token=secret", {})
    assert failed.value.reason == "UNREACHABLE"
    assert "secret" not in str(failed.value)


async def test_a_slow_answer_is_given_up_and_not_taken_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_calls, "ANSWER_SECONDS", 0.05)
    server = Server(..., ok(b"second"))
    async with calling(server) as calls:
        with pytest.raises(CallFailed) as failed:
            await calls.call("GET", server.url, "", {})
        assert failed.value.reason == "TIMEOUT"
        monkeypatch.setattr(http_calls, "ANSWER_SECONDS", 5.0)
        assert (await calls.call("GET", server.url, "", {})).body == b"second"
    assert server.connections == 2


async def test_an_answer_that_is_too_large_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_calls, "ANSWER_BYTES_MAX", 1000)
    server = Server(ok(b"x" * 1001))
    async with calling(server) as calls:
        with pytest.raises(CallFailed) as failed:
            await calls.call("GET", server.url, "", {})
    assert failed.value.reason == "ANSWER_TOO_LARGE"


async def test_calls_at_once_have_connections_of_their_own() -> None:
    server = Server(*[ok(str(n).encode()) for n in range(20)])
    async with calling(server) as calls:
        answers = await asyncio.gather(*(calls.call("GET", server.url, "", {}) for _ in range(20)))
    assert sorted(int(answer.body) for answer in answers) == list(range(20))
