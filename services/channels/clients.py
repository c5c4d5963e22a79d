"""What the reader and the poller need of any marketplace's API, and how its failures are sorted.

MarketFault
+-- Limited          the marketplace asks to wait so long: not counted as an attempt
+-- Passing          may pass by itself: tried again with backoff, within a bound
|   +-- OrderUnknown the shop has no such order (yet): tried a few times
+-- Refused          the same call will always meet it: parked
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import aiohttp
import msgspec
import structlog

from libs.runtime.clock import monotonic
from libs.runtime.http_tracing import http_client
from services.channels.metrics import CALL_SECONDS, CALLS
from services.channels.publishing import Shop

log = structlog.get_logger(__name__)

# A page of 100 orders stays below 2 MiB; more than this is no answer of theirs.
ANSWER_BYTES_MAX = 16 * 1024 * 1024
CONNECT_SECONDS, READ_SECONDS = 3.0, 8.0
# A call as a whole, the wait for a free connection included; a group of readings has 22 s.
CALL_SECONDS_MAX = 16.0
CONNECTIONS_MAX = 32
KEPT_SECONDS = 30.0
# A wait up to this is waited out in place; a longer one gives the work back.
WAIT_IN_PLACE_SECONDS_MAX = 2.0


class MarketFault(Exception):
    """A call that brought no answer to use; `reason` is a stable code for counting."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class Limited(MarketFault):
    def __init__(self, wait_seconds: float, reason: str = "LIMITED") -> None:
        super().__init__(reason, f"The marketplace asks to wait {wait_seconds:.1f} s.")
        self.wait_seconds = wait_seconds


class Passing(MarketFault):
    pass


class OrderUnknown(Passing):
    pass


class Refused(MarketFault):
    pass


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One order as its marketplace showed it.

    `kind` and `payload` are what the translator takes, `body` the raw bytes that are kept. `shop` is whose
    order the answer says it is, None where it does not say. `mark` is what a list shows of the order while it
    is as in this reading; None when this reading cannot be told apart from a later state.
    """

    kind: str
    payload: object
    body: bytes
    shop: str | None
    mark: str | None
    final: bool


class Page(msgspec.Struct, frozen=True):
    """One page of a list: each order's mark, and how far the list is complete once the pass has ended."""

    marks: Mapping[str, str]
    until: datetime


class MarketClient(Protocol):
    """One marketplace's API."""

    channel: str
    batch_max: int  # Orders of one shop that are read with fewer calls together.

    async def read(self, shop: Shop, orders: Sequence[str]) -> Mapping[str, Reading | MarketFault]:
        """A reading or a fault for each order; raises MarketFault when no order could be read."""

    def changed(self, shop: Shop, since: datetime | None, at: datetime) -> AsyncIterator[Page]:
        """The pages of the list since then, overlap included; raises MarketFault. Complete when it ends."""

    def older(self, shop: Shop, window: int, at: datetime) -> AsyncIterator[Page]:
        """The pages of one older window, counted from 0 and starting over; nothing where it is not needed."""

    async def close(self) -> None: ...


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Caller:
    """HTTP/1.1 with kept connections; every call is bounded in time and size, counted and never logged.

    Query strings hold tokens, so that neither they nor the texts of faults are told to anyone.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._session: aiohttp.ClientSession | None = None
        self._seconds = CALL_SECONDS.labels(channel)

    async def call(
        self,
        method: str,
        url: str,
        *,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, whatever its status; Passing when there was none."""
        if self._session is None:
            # Not in the constructor: a session belongs to the loop that it is made in.
            self._session = _session()
        began = monotonic()
        try:
            with http_client(method, url) as traced:
                async with self._session.request(
                    method, url, params=parameters, headers=headers, allow_redirects=False
                ) as response:
                    traced.answered(response.status)
                    body = await _bounded(response)
        except TimeoutError:
            self.count("transient")
            raise Passing("TIMEOUT") from None
        except (aiohttp.ClientError, OSError) as fault:
            # The texts of these quote the address, query string included.
            self.count("transient")
            raise Passing("UNREACHABLE", type(fault).__name__) from None
        finally:
            self._seconds.observe(monotonic() - began)
        return Answer(response.status, response.headers, body)

    def count(self, result: str) -> None:
        CALLS.labels(self._channel, result).inc()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEPT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(
            total=CALL_SECONDS_MAX, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
        ),
    )


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body; Refused as soon as more has come than any answer has. The connection is closed then."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise Refused("ANSWER_TOO_LARGE")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Pauses:
    """Until when a shop's calls are to wait, as the marketplace has told (RC-06)."""

    def __init__(self) -> None:
        self._until: dict[UUID | None, float] = {}

    def pause(self, shop: UUID | None, seconds: float) -> None:
        """Hold the calls of one shop, or of the whole app for None, for so long."""
        self._until[shop] = max(self._until.get(shop, 0.0), monotonic() + seconds)

    def left(self, shop: UUID) -> float:
        """Seconds that a call of this shop has to wait."""
        until = max(self._until.get(shop, 0.0), self._until.get(None, 0.0))
        return max(0.0, until - monotonic())
