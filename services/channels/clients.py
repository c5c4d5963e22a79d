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
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import structlog

from libs.runtime.clock import monotonic
from services.channels.http_calls import Answer, CallFailed
from services.channels.metrics import CALL_SECONDS, CALLS
from services.channels.publishing import Shop

log = structlog.get_logger(__name__)

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


class Exchange(Protocol):
    """What carries a call: HttpCalls, or a test."""

    async def call(self, method: str, url: str, query: str, headers: Mapping[str, str]) -> Answer:
        """The answer, whatever its status; CallFailed when there is none."""

    async def close(self) -> None: ...


class Caller:
    """The calls of one marketplace: counted and timed, and never logged.

    Query strings hold tokens, so that neither they nor the texts of faults are told to anyone.
    """

    def __init__(self, channel: str, exchange: Exchange) -> None:
        self._channel = channel
        self._exchange = exchange
        self._seconds = CALL_SECONDS.labels(channel)

    async def call(
        self,
        method: str,
        url: str,
        *,
        parameters: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, whatever its status; a MarketFault when there was none."""
        began = monotonic()
        try:
            return await self._exchange.call(method, url, urlencode(parameters), headers or {})
        except CallFailed as failed:
            self.count("transient")
            if failed.reason == "ANSWER_TOO_LARGE":
                raise Refused(failed.reason) from None
            raise Passing(failed.reason) from None
        finally:
            self._seconds.observe(monotonic() - began)

    def count(self, result: str) -> None:
        CALLS.labels(self._channel, result).inc()

    async def close(self) -> None:
        await self._exchange.close()


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
