"""A run: many orders that begin at a steady rate, live their lives and are pushed, with faults by seed.

All chance comes from the seed: order n of a run has the same shop, lines, money, life and faults each time;
its numbers differ. Marketplace time runs `time_scale` times as fast as real time. It starts far enough in
the past to reach the present when the last life can end, so no status time ever lies in the future.
"""

import asyncio
import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox import lives
from deploy.sandbox.clock import Wall
from deploy.sandbox.delivery import Push
from deploy.sandbox.faults import Fate, Rates, fate
from deploy.sandbox.lives import Step
from deploy.sandbox.markets import Market, record
from deploy.sandbox.orders import Numbers, Order
from deploy.sandbox.settings import Buyer

# After so many events in a row the loop is given to others.
BURST = 50
# Each event of an order has a source of chance of its own, apart from that of its life.
# Once a real second, for what nothing but the push can tell.
ONLY_PUSHED_RETRIES = 300
FAULT_STREAM = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What was asked for."""

    seed: int
    orders: int
    per_second: float
    marketplaces: tuple[str, ...]
    rates: Rates
    time_scale: float
    step_seconds: float

    @property
    def unit(self) -> float:
        """Marketplace seconds per average step of a life."""
        return self.step_seconds * self.time_scale


@dataclass(slots=True)
class Counts:
    """What became of the pushes. Every message due ends as answered, given up or lost."""

    pushes_sent: int = 0
    pushes_answered: int = 0
    pushes_failed: int = 0
    pushes_retried: int = 0
    pushes_given_up: int = 0
    pushes_lost: int = 0
    pushes_duplicated: int = 0
    pushes_reordered: int = 0
    pushes_delayed: int = 0

    def as_json(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(order=True, slots=True)
class Due:
    """Something that happens `after` real seconds of the run: an order's next step, or a push."""

    after: float
    sequence: int
    order: Order = field(compare=False)
    push: Push | None = field(compare=False, default=None)


class Run:
    """One run, from its start until it is done; kept afterwards for its truth."""

    def __init__(
        self,
        name: str,
        spec: RunSpec,
        markets: Sequence[Market],
        *,
        numbers: Numbers,
        buyer: Buyer,
        wall: Wall,
    ) -> None:
        self.name = name
        self.spec = spec
        self.orders: list[Order] = []
        self.counts = Counts()
        self.finished = asyncio.Event()
        self._markets = {market.name: market for market in markets}
        self._numbers = numbers
        self._buyer = buyer
        self._wall = wall
        self._rng = random.Random(spec.seed)
        self._due: list[Due] = []
        self._sequence = 0
        self._unanswered = 0
        self._held = 0
        self._failure = ""
        self._ended = 0
        self._wake = asyncio.Event()
        self._started = wall.now()
        span = (spec.orders - 1) / spec.per_second * spec.time_scale + lives.longest(spec.unit)
        # Marketplace time at the start: `span` later it is the real time of that moment.
        self._epoch = int(self._started + span / spec.time_scale - span) - 1

    @property
    def state(self) -> str:
        if self._failure:
            return "failed"
        return "done" if self.finished.is_set() else "running"

    def fail(self, fault: BaseException) -> None:
        """End the run because of a fault of the sandbox itself; never a thing of a receiver's."""
        self._failure = repr(fault)
        self.finished.set()

    def as_json(self) -> dict[str, Any]:
        return {
            "run": self.name,
            "state": self.state,
            "orders": len(self.orders),
            "orders_asked": self.spec.orders,
            "orders_ended": self._ended,
            **self.counts.as_json(),
            **({"failure": self._failure} if self._failure else {}),
            "pushes_waiting": self._unanswered + self._held,
        }

    async def play(self) -> None:
        """Run until every life has ended and every push is answered, lost or given up."""
        while True:
            burst = await self._do_what_is_due()
            if len(self.orders) == self.spec.orders and not self._due and not self._unanswered:
                self.finished.set()
                return
            await self._pause(0 if burst == BURST else self._until_next())

    def _elapsed(self) -> float:
        return self._wall.now() - self._started

    def _until_next(self) -> float:
        moments = [self._due[0].after] if self._due else []
        if len(self.orders) < self.spec.orders:
            moments.append(len(self.orders) / self.spec.per_second)
        # With nothing due, only an answer can end the run, and it wakes.
        return max(0.0, min(moments) - self._elapsed()) if moments else 60.0

    async def _pause(self, seconds: float) -> None:
        if seconds == 0:
            await asyncio.sleep(0)
            return
        self._wake.clear()
        try:
            # The loop counts in milliseconds: for less it would wake too early, and again and again.
            async with asyncio.timeout(max(seconds, 0.002)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _do_what_is_due(self) -> int:
        now = self._elapsed()
        for count in range(BURST):
            begin = len(self.orders) / self.spec.per_second if len(self.orders) < self.spec.orders else None
            due = self._due[0].after if self._due else None
            if begin is not None and begin <= now and (due is None or begin <= due):
                self._begin(begin)
            elif due is not None and due <= now:
                await self._happen(heapq.heappop(self._due))
            else:
                return count
        return BURST

    def _begin(self, after: float) -> None:
        seed = self._rng.getrandbits(62)
        rng = random.Random(seed)
        market = self._markets[rng.choice(self.spec.marketplaces)]
        shop = rng.choice(market.shops)
        life = market.life(None, rng, self.spec.unit, None)
        created = self._epoch + int(after * self.spec.time_scale)
        order = Order(self._numbers.take(), seed, shop, life=life, created=created, buyer=self._buyer)
        self.orders.append(order)
        self._schedule(after, order)

    def _schedule(self, after: float, order: Order, push: Push | None = None) -> None:
        self._sequence += 1
        self._held += push is not None
        heapq.heappush(self._due, Due(after, self._sequence, order, push))

    async def _happen(self, due: Due) -> None:
        if due.push is not None:
            self._held -= 1
            if due.push.attempt:
                market = self._markets[due.order.marketplace]
                market.renew(due.push, self._now_there(0))
            await self._send(due.push)
            return
        order = due.order
        market = self._markets[order.marketplace]
        planned = order.next_step()
        assert planned is not None
        step = record(market, order, order.created + planned.at, int(self._wall.now()))
        following = order.next_step()
        if following is None:
            self._ended += 1
        else:
            self._schedule(due.after + (following.at - planned.at) / self.spec.time_scale, order)
        chance = random.Random(order.seed ^ (FAULT_STREAM * len(order.past)))
        made = market.pushes(self, order, step, self._now_there(step.at))
        self.counts.pushes_lost += 0 if made else max(1, len(step.lines))
        for push in made:
            drawn = fate(chance, self.spec.rates)
            if order.only_pushed and order.ended:
                # Nothing else tells of this order, so that what is true stays knowable.
                drawn = drawn._replace(lost=False)
            await self._dispatch(push, drawn, due.after, planned)

    def _now_there(self, at_least: int) -> int:
        """Marketplace time, which never passes real time."""
        there = self._epoch + int(self._elapsed() * self.spec.time_scale)
        return max(at_least, min(there, int(self._wall.now())))

    async def _dispatch(self, push: Push, fate_: Fate, after: float, planned: Step) -> None:
        if fate_.lost:
            self.counts.pushes_lost += 1
            return
        late = fate_.delay_seconds / self.spec.time_scale
        self.counts.pushes_delayed += late > 0
        if fate_.reordered:
            self.counts.pushes_reordered += 1
            late += self._until_overtaken(push, planned)
        self.counts.pushes_duplicated += fate_.duplicated
        for _ in range(2 if fate_.duplicated else 1):
            copy = Push(self, push.order, push.line, push.target, push.request)
            if late:
                self._schedule(after + late, push.order, copy)
            else:
                await self._send(copy)

    def _until_overtaken(self, push: Push, planned: Step) -> float:
        """Real seconds until the line's next news is out, so that this push comes after it."""
        order = push.order
        pending = order.life.steps[len(order.past) :]
        later = next((step for step in pending if push.line in step.lines), None)
        gap = self.spec.unit if later is None else later.at - planned.at
        return gap / self.spec.time_scale + 0.02

    async def _send(self, push: Push) -> None:
        self._unanswered += 1
        self.counts.pushes_sent += 1
        await self._markets[push.order.marketplace].sender.send(push)

    def answered(self, push: Push, status: int | None) -> None:
        """Count the end of a push, or put it off to its next try."""
        self._unanswered -= 1
        self._wake.set()
        if status == 200:
            self.counts.pushes_answered += 1
            return
        market = self._markets[push.order.marketplace]
        self.counts.pushes_failed += 1
        retries, wait_seconds = market.retries, market.retry_seconds / self.spec.time_scale
        if push.order.only_pushed and push.order.ended:
            retries, wait_seconds = ONLY_PUSHED_RETRIES, 1.0
        if push.attempt >= retries:
            self.counts.pushes_given_up += 1
            return
        push.attempt += 1
        if market.retries:
            push.request = b""  # It is written anew when it is due; many may wait.
        self.counts.pushes_retried += 1
        self._schedule(self._elapsed() + wait_seconds, push.order, push)
