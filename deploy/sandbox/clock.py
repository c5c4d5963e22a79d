"""Real time as the sandbox sees it: an instant that never runs backwards."""

import time
from datetime import UTC, datetime, timedelta, timezone

WIB = timezone(timedelta(hours=7))


class Wall:
    """The real clock, anchored once: later adjustments of the machine's clock do not move it."""

    def __init__(self) -> None:
        self._origin = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970 UTC; never smaller than an earlier answer."""
        return self._origin + time.monotonic()


def utc_text(seconds: int) -> str:
    """An instant as `2026-03-05T07:59:26Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wib_labelled_utc(seconds: int, fraction: str = "") -> str:
    """The wall clock of Jakarta with a `Z` behind it, as Tokopedia's single order writes its times."""
    return datetime.fromtimestamp(seconds, WIB).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def wib_text(seconds: int) -> str:
    """The wall clock of Jakarta without a zone, as Tokopedia's older payloads write it."""
    return datetime.fromtimestamp(seconds, WIB).strftime("%Y-%m-%d %H:%M:%S")
