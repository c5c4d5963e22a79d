"""Orders made by hand: one at a time, of a chosen life, moved on step by step by whoever asked for them.

Their status times lie up to a minute in the past, so that steps asked for within one second can still be
dated a second apart without lying in the future.
"""

import asyncio
import random
from typing import Any

from deploy.sandbox.clock import Wall
from deploy.sandbox.delivery import Push
from deploy.sandbox.lives import LINES_MAX
from deploy.sandbox.markets import LazadaMarket, Market, Shop, record
from deploy.sandbox.orders import Numbers, Order
from deploy.sandbox.settings import Buyer

BEHIND_SECONDS = 60
NAME = "manual"


class Manual:
    """All orders made by hand, under the run name `manual`."""

    def __init__(self, markets: dict[str, Market], numbers: Numbers, wall: Wall) -> None:
        self.orders: list[Order] = []
        self.pushes_sent = 0
        self.pushes_failed = 0
        self._markets = markets
        self._numbers = numbers
        self._wall = wall
        self._by_id: dict[str, Order] = {}
        self._awaited: dict[Push, asyncio.Future[int | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def as_json(self) -> dict[str, Any]:
        """Its counts; it is done while no push of it is under way."""
        return {
            "run": NAME,
            "state": "running" if self._awaited else "done",
            "orders": len(self.orders),
            "pushes_sent": self.pushes_sent,
            "pushes_failed": self.pushes_failed,
        }

    def find(self, order_id: str) -> Order | None:
        return self._by_id.get(order_id)

    def create(
        self, shop: Shop, market: str, kind: str, *, lines: int | None, seed: int | None, buyer: Buyer
    ) -> Order:
        """A new order of which nothing has happened yet."""
        number = self._numbers.take()
        chance = random.Random(number if seed is None else seed)
        drawn = chance.getrandbits(62)
        life = self._markets[market].life(kind, chance, 1.0, None if lines is None else min(lines, LINES_MAX))
        order = Order(
            number, drawn, shop, life=life, created=int(self._wall.now()) - BEHIND_SECONDS, buyer=buyer
        )
        self.orders.append(order)
        self._by_id[str(order.id)] = order
        return order

    async def advance(self, order: Order, steps: int) -> list[int | None]:
        """Let the next steps happen and send their pushes; the HTTP status each was answered with, in order.

        None stands for no answer in time. Lazada's retry of a failed push comes 30 minutes later.
        """
        market = self._markets[order.marketplace]
        answers: list[int | None] = []
        for _ in range(steps):
            planned = order.next_step()
            if planned is None:
                break
            now = int(self._wall.now())
            last = order.past[-1].at + 1 if order.past else order.created
            step = record(market, order, max(last, now - BEHIND_SECONDS), now)
            answers += await self._send(market, market.pushes(self, order, step, now))
        return answers

    async def probe(self, shop: Shop, market: LazadaMarket) -> int | None:
        """Press the console's Verify button: a signed push that is about no order."""
        life = market.life("paid", random.Random(0), 1.0, 1)
        nobody = Order(0, 0, shop, life=life, created=int(self._wall.now()), buyer=Buyer())
        push = market.probe(self, nobody)
        push.attempt = market.retries
        return (await self._send(market, [push]))[0]

    async def _send(self, market: Market, pushes: list[Push]) -> list[int | None]:
        loop = asyncio.get_running_loop()
        answers = []
        for push in pushes:
            answers.append(self._awaited.setdefault(push, loop.create_future()))
            self.pushes_sent += 1
            await market.sender.send(push)
        return list(await asyncio.gather(*answers))

    def answered(self, push: Push, status: int | None) -> None:
        """Tell who waits; arrange Lazada's next try of a push that failed."""
        waiting = self._awaited.pop(push, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(status)
        if status == 200:
            return
        self.pushes_failed += 1
        market = self._markets[push.order.marketplace]
        if push.attempt < market.retries:
            push.attempt += 1
            asyncio.get_running_loop().call_later(market.retry_seconds, self._retry, market, push)

    def _retry(self, market: Market, push: Push) -> None:
        market.renew(push, int(self._wall.now()))
        self.pushes_sent += 1
        self._tasks.add(task := asyncio.create_task(market.sender.send(push)))
        task.add_done_callback(self._tasks.discard)
