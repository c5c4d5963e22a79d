"""Orders as they stand at the marketplace, and the shelf of a shop from which its reads are answered.

`at` times are marketplace time (what a status is dated with); `updated` is real time, when the record was
last touched. A shelf keeps its orders in the order of `updated`, so a list by update time is a slice.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from deploy.sandbox.content import Content, content
from deploy.sandbox.lives import REQUEST, Life, Step
from deploy.sandbox.settings import Buyer, LazadaShop, TokopediaShop

# All orders are kept until the restart; about 2 KB each.
ORDERS_MAX = 200_000


class Order:
    """One order: its whole life is known, the steps in `past` have happened, each with its true instant."""

    __slots__ = (
        "buyer",
        "created",
        "life",
        "listed",
        "number",
        "past",
        "seed",
        "shop",
        "statuses",
        "times",
        "updated",
    )

    def __init__(
        self,
        number: int,
        seed: int,
        shop: LazadaShop | TokopediaShop,
        *,
        life: Life,
        created: int,
        buyer: Buyer,
    ) -> None:
        self.number = number
        self.seed = seed
        self.shop = shop
        self.life = life
        self.created = created
        self.buyer = buyer
        self.past: list[Step] = []
        self.statuses = [""] * life.lines
        self.times = [created] * life.lines
        self.updated = created
        self.listed: int | None = None

    @property
    def marketplace(self) -> str:
        return "lazada" if isinstance(self.shop, LazadaShop) else "tokopedia"

    @property
    def site(self) -> str:
        return self.shop.site if isinstance(self.shop, LazadaShop) else "id"

    @property
    def shop_id(self) -> str:
        return self.shop.seller_id if isinstance(self.shop, LazadaShop) else str(self.shop.shop_id)

    @property
    def id(self) -> int:
        """The marketplace's id: 15 digits at Lazada, 13 at Tokopedia, below 2^53 in both."""
        return 700_000_000_000_000 + self.number if isinstance(self.shop, LazadaShop) else self.number

    def line_id(self, line: int) -> int:
        """Lazada's order_item_id, Tokopedia's order_detail_id."""
        base = 7_000_000_000_000_000 if isinstance(self.shop, LazadaShop) else 0
        return base + self.number * 10 + line

    @property
    def content(self) -> Content:
        site = self.shop.site if isinstance(self.shop, LazadaShop) else None
        return content(self.seed, self.life.lines, site, self.buyer)

    @property
    def ended(self) -> bool:
        return len(self.past) == len(self.life.steps)

    @property
    def only_pushed(self) -> bool:
        """Whether no list ever shows the order: Tokopedia lists what has reached 220, nothing before."""
        if isinstance(self.shop, LazadaShop):
            return False
        return all(step.status != "220" for step in self.life.steps)

    def next_step(self) -> Step | None:
        return None if self.ended else self.life.steps[len(self.past)]

    def apply(self, at: int, real: int) -> Step:
        """Let the next step happen, dated `at`; `real` is the wall clock."""
        step = self.life.steps[len(self.past)]._replace(at=at)
        self.past.append(step)
        for line in step.lines:
            self.statuses[line] = step.status
            self.times[line] = at
        self.updated = real
        if self.ended:
            # The plan and the past are one now; keeping both would double what an order weighs.
            self.life = self.life._replace(steps=tuple(self.past))
        return step

    @property
    def request_open(self) -> bool:
        """The buyer's request to cancel is the newest thing but for a booking."""
        codes = [step.status for step in self.past]
        return REQUEST in codes and all(code == "450" for code in codes[codes.index(REQUEST) + 1 :])

    def truth(self, time_text: Any) -> dict[str, Any]:
        """What is true at the marketplace, in its own words; the total in minor units."""
        lines = [
            {"line": str(self.line_id(line)), "status": status, "status_at": time_text(self.times[line])}
            for line, status in enumerate(self.statuses)
        ]
        return {
            "marketplace": self.marketplace,
            "site": self.site,
            "shop": self.shop_id,
            "order": str(self.id),
            "lines": lines,
            "total": self.content.total,
            "currency": self.content.currency,
        }


class Numbers:
    """Order numbers that no other start of the sandbox gives, at up to 20 000 orders a second on average."""

    def __init__(self, started: float) -> None:
        self._next = int((started - 1_700_000_000) * 20_000)

    def take(self) -> int:
        self._next += 1
        return self._next


class Shelf:
    """The orders of one shop."""

    def __init__(self) -> None:
        self.version = 0
        self._orders: dict[int, Order] = {}
        self._by_updated: list[Order] | None = None
        self._by_created: list[Order] | None = None

    def __len__(self) -> int:
        return len(self._orders)

    def get(self, order_id: int) -> Order | None:
        """An order that has begun, by the marketplace's id."""
        return self._orders.get(order_id)

    def touch(self, order: Order) -> None:
        """Put an order last: it has just begun or changed."""
        known = self._orders.pop(order.id, None)
        self._orders[order.id] = order
        self.version += 1
        self._by_updated = None
        if known is None:
            self._by_created = None

    def updated(self, after: float | None, before: float | None) -> Sequence[Order]:
        """Orders touched in the window, both ends included, oldest first."""
        if self._by_updated is None:
            self._by_updated = list(self._orders.values())
        return _window(self._by_updated, _updated, after, before)

    def created(self, after: float | None, before: float | None) -> Sequence[Order]:
        """Orders created in the window, both ends included, oldest first."""
        if self._by_created is None:
            self._by_created = sorted(self._orders.values(), key=_created)
        return _window(self._by_created, _created, after, before)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())


def _updated(order: Order) -> int:
    return order.updated


def _created(order: Order) -> int:
    return order.created


def _window(rows: list[Order], key: Any, after: float | None, before: float | None) -> Sequence[Order]:
    low = 0 if after is None else bisect_left(rows, after, key=key)
    high = len(rows) if before is None else bisect_right(rows, before, key=key)
    return rows[low:high]
