"""What goes wrong on purpose, by seed: with pushes on their way out, and with reads on their way in."""

import random
from collections.abc import Callable
from typing import NamedTuple

MARKETPLACES = ("lazada", "tokopedia")
OUTAGES = ("none", "error", "timeout")
# A delayed push is this many marketplace minutes late.
DELAY_MINUTES = (1, 15)


class Rates(NamedTuple):
    """How often each fault comes, 0 to 1, each drawn on its own."""

    duplicate: float = 0.0
    reorder: float = 0.0
    lose: float = 0.0
    delay: float = 0.0
    api_error: float = 0.0
    api_timeout: float = 0.0


class Fate(NamedTuple):
    """What happens to one push."""

    lost: bool
    duplicated: bool
    reordered: bool
    delay_seconds: int  # Marketplace seconds; 0 is on time.


def fate(rng: random.Random, rates: Rates) -> Fate:
    """Five draws whatever the rates, so that another rate of one fault leaves the others as they were."""
    lost, duplicated, reordered, late = (rng.random() for _ in range(4))
    minutes = rng.randint(*DELAY_MINUTES)
    return Fate(
        lost < rates.lose,
        duplicated < rates.duplicate,
        reordered < rates.reorder,
        minutes * 60 if late < rates.delay else 0,
    )


class ReadFaults:
    """Decides for each read of an API whether it is answered, fails or hangs."""

    def __init__(self, rates: Rates, seed: int) -> None:
        self._outages = dict.fromkeys(MARKETPLACES, "none")
        self._sources: dict[str, tuple[Rates, Callable[[], float]]] = {}
        self.add("configuration", rates, seed)

    def add(self, name: str, rates: Rates, seed: int) -> None:
        """Let a run's rates hold too, until it is removed."""
        if rates.api_error or rates.api_timeout:
            self._sources[name] = (rates, random.Random(seed).random)

    def remove(self, name: str) -> None:
        self._sources.pop(name, None)

    def outage(self, marketplace: str, mode: str) -> None:
        self._outages[marketplace] = mode

    def next(self, marketplace: str) -> str:
        """`none`, `error` or `timeout`."""
        mode = self._outages[marketplace]
        if mode != "none":
            return mode
        for rates, draw in self._sources.values():
            drawn = draw()
            if drawn < rates.api_error:
                return "error"
            if drawn < rates.api_error + rates.api_timeout:
                return "timeout"
        return "none"


class CallLimit:
    """So many calls per key and whole second."""

    def __init__(self, per_second: int) -> None:
        self.per_second = per_second
        self._counts: dict[str, tuple[int, int]] = {}

    def take(self, key: str, now: float) -> int | None:
        """How many calls are left in this second, or None when this one is over the limit."""
        second, count = self._counts.get(key, (0, 0))
        count = count + 1 if second == int(now) else 1
        self._counts[key] = (int(now), count)
        return None if count > self.per_second else self.per_second - count
