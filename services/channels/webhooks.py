"""The marketplaces' pushes in: verified, made durable, answered; nothing else happens before the answer.

Raw ASGI before the FastAPI shell, since a push needs none of what the shell does and thousands may come in
a second. The body is not parsed here (IN-01 to IN-03).
"""

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.runtime.clock import now, uuid7
from libs.runtime.http_tracing import http_server
from libs.runtime.tracing import current_traceparent, store
from services.channels.group_commit import GroupCommit
from services.channels.lazada.signing import push_is_genuine
from services.channels.metrics import WEBHOOK_REQUESTS
from services.channels.store import LAZADA_PUSH, SIGNED, UNSIGNED, Kept, Seal, seal_content

# IN-01: above it 413 and only a count.
BODY_BYTES_MAX = 262_144
# A sender that does not finish its body holds nothing for longer.
BODY_SECONDS_MAX = 10.0
_TOPIC_LENGTH_MAX = 64
_ADDRESSES_MAX = 10_000

PREFIX = "/webhooks/"
_ROUTES = {"lazada": "/webhooks/lazada/{app}", "tokopedia": "/webhooks/tokopedia/{token}/{topic}"}
# What is kept of the headers: should Tokopedia sign one day, these show how (tokopedia.md A2).
LISTED_HEADERS = {
    name.encode(): name
    for name in ("content-type", "user-agent", "date", "authorization", "authorization-hmac", "x-request-id")
}
_HEADER_LENGTH_MAX = 512

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Doors(msgspec.Struct, frozen=True):
    """Whom the webhooks believe: the apps and their secrets, the path token, the allowed addresses."""

    lazada_app: str
    lazada_secrets: Sequence[str]
    tokopedia_app: str
    tokopedia_token: str
    tokopedia_addresses: Sequence[Network]


class _Refused(Exception):
    """A push that is answered with an error and counted, and of which nothing is kept."""

    def __init__(self, status: int, outcome: str) -> None:
        super().__init__(outcome)
        self.status = status
        self.outcome = outcome


class Webhooks:
    """An ASGI app that answers the webhook routes itself and hands everything else on.

    200 means that the raw message is durable; 503 that it may not be and is to be sent again.
    """

    def __init__(self, app: ASGIApp, *, doors: Doors, seal: Seal, commit: GroupCommit) -> None:
        self._app = app
        self._doors = doors
        self._seal = seal
        self._commit = commit
        self._addresses: dict[str, bool] = {}
        self._accepted = {
            channel: WEBHOOK_REQUESTS.labels(channel, "accepted") for channel in ("lazada", "tokopedia")
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        channel, _, rest = scope["path"][len(PREFIX) :].partition("/")
        door = {"lazada": self._lazada, "tokopedia": self._tokopedia}.get(channel)
        if door is None:
            await _answer(send, 404)
            return
        if scope["method"] != "POST":
            await _answer(send, 405)
            return
        # Anybody can send a traceparent here, so that none is believed.
        with http_server(scope, believe_caller=False) as traced:
            traced.route = _ROUTES[channel]
            traced.status = 200
            try:
                kept = await door(rest, scope, receive)
                with store("INSERT", "channels.raw_messages"):
                    durable = await self._commit.keep(kept)
                if not durable:
                    raise _Refused(503, "unavailable")
            except _Refused as refused:
                WEBHOOK_REQUESTS.labels(channel, refused.outcome).inc()
                traced.status = refused.status
                await _answer(send, refused.status)
                return
            self._accepted[channel].inc()
            await _answer(send, 200)

    async def _lazada(self, app: str, scope: Scope, receive: Receive) -> Kept:
        """A push of one app, signed over its raw bytes by a live secret (IN-02)."""
        headers = scope["headers"]
        body = await _body(headers, receive)
        authorization = next((value for name, value in headers if name == b"authorization"), b"")
        if app != self._doors.lazada_app or not push_is_genuine(
            app, body, authorization.decode("latin-1"), self._doors.lazada_secrets
        ):
            raise _Refused(401, "refused_signature")
        return self._kept(LAZADA_PUSH, app, SIGNED, headers, body)

    async def _tokopedia(self, rest: str, scope: Scope, receive: Receive) -> Kept:
        """A notice that nothing signs: an unguessable path and a known address instead (IN-02)."""
        token, _, topic = rest.partition("/")
        expected = self._doors.tokopedia_token
        # Without a token of ours the marketplace is off, and an empty one opens nothing.
        if not expected or not hmac.compare_digest(token.encode(), expected.encode()):
            raise _Refused(401, "refused_path")
        if not self._allowed((scope.get("client") or ("",))[0]):
            raise _Refused(401, "refused_address")
        if not topic or len(topic) > _TOPIC_LENGTH_MAX or not topic.replace("_", "").isalnum():
            raise _Refused(404, "refused_path")
        body = await _body(scope["headers"], receive)
        return self._kept(f"tokopedia.{topic}", self._doors.tokopedia_app, UNSIGNED, scope["headers"], body)

    def _allowed(self, address: str) -> bool:
        found = self._addresses.get(address)
        if found is None:
            if len(self._addresses) >= _ADDRESSES_MAX:
                self._addresses.clear()
            try:
                peer = ipaddress.ip_address(address)
            except ValueError:
                return False
            found = any(peer in network for network in self._doors.tokopedia_addresses)
            self._addresses[address] = found
        return found

    def _kept(
        self, route: str, app: str, verdict: str, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> Kept:
        message_id = uuid7()
        listed = {
            LISTED_HEADERS[name]: value[:_HEADER_LENGTH_MAX].decode("latin-1")
            for name, value in headers
            if name in LISTED_HEADERS
        }
        content = seal_content(self._seal, message_id, listed, body)
        return Kept(message_id, now(), route, app, verdict, content, current_traceparent())


async def _body(headers: Sequence[tuple[bytes, bytes]], receive: Receive) -> bytes:
    """The raw bytes of the request, at most `BODY_BYTES_MAX`."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > BODY_BYTES_MAX:
            raise _Refused(413, "too_large")
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                body: bytes = message.get("body", b"")
                _check_size(body)
                return body
            return await _rest_of_body(message, receive)
    except TimeoutError:
        raise _Refused(408, "broken_off") from None


async def _rest_of_body(
    message: MutableMapping[str, Any], receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
) -> bytes:
    body = bytearray()
    while True:
        if message["type"] != "http.request":
            raise _Refused(400, "broken_off")
        body += message.get("body", b"")
        _check_size(body)
        if not message.get("more_body"):
            return bytes(body)
        message = await receive()


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > BODY_BYTES_MAX:
        raise _Refused(413, "too_large")


_EMPTY = [(b"content-length", b"0")]


async def _answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _EMPTY})
    await send({"type": "http.response.body", "body": b""})
