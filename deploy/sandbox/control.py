"""The control door: start runs, watch them, read what is true, break things on purpose."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy.sandbox import settings
from deploy.sandbox.asked import Asked, Refused
from deploy.sandbox.clock import Wall, utc_text
from deploy.sandbox.faults import MARKETPLACES, OUTAGES, Rates, ReadFaults
from deploy.sandbox.manual import NAME, Manual
from deploy.sandbox.markets import LazadaMarket, Market, Shop
from deploy.sandbox.orders import ORDERS_MAX, Numbers, Order
from deploy.sandbox.runs import Run, RunSpec
from deploy.sandbox.settings import Buyer

RUN_ORDERS_MAX, PER_SECOND_MAX, TIME_SCALE_MAX, STEP_SECONDS_MAX = 100_000, 2000, 100_000, 3600
PAGE_DEFAULT, PAGE_MAX = 50, 500
WAIT_SECONDS_MAX = 60
# So many runs may be under way at once.
RUNNING_MAX = 20


class Control:
    """The door and the runs behind it. `app` is the ASGI application."""

    def __init__(
        self, markets: Sequence[Market], numbers: Numbers, buyer: Buyer, faults: ReadFaults, wall: Wall
    ) -> None:
        self._markets = {market.name: market for market in markets}
        self._numbers = numbers
        self._buyer = buyer
        self._faults = faults
        self._wall = wall
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._promised = 0
        self._manual = Manual(self._markets, numbers, wall)
        self.app = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/control/runs", self._start, methods=["POST"]),
                Route("/control/runs/{run}", self._run),
                Route("/control/runs/{run}/orders", self._truth),
                Route("/control/orders", self._create, methods=["POST"]),
                Route("/control/orders/{order}", self._order),
                Route("/control/orders/{order}/advance", self._advance, methods=["POST"]),
                Route("/control/outage", self._outage, methods=["POST"]),
                Route("/control/probe", self._probe, methods=["POST"]),
                Route("/tiktok", _not_simulated),
                Route("/tiktok/{rest:path}", _not_simulated),
            ],
            exception_handlers={Refused: _refusal},
        )

    async def stop(self) -> None:
        """End every run where it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _health(self, _request: Request) -> JSONResponse:
        running = sum(run.state == "running" for run in self._runs.values())
        return JSONResponse(
            {"status": "ok", "runs": len(self._runs), "running": running, "orders": self._promised}
        )

    async def _start(self, request: Request) -> JSONResponse:
        spec = _spec(Asked(await request.body()))
        if sum(run.state == "running" for run in self._runs.values()) >= RUNNING_MAX:
            raise Refused("(body)", f"{RUNNING_MAX} runs are under way", "wait until one is done")
        self._promise("orders", spec.orders)
        name = f"run-{len(self._runs) + 1}"
        markets = [self._markets[one] for one in spec.marketplaces]
        run = Run(name, spec, markets, numbers=self._numbers, buyer=self._buyer, wall=self._wall)
        self._runs[name] = run
        self._faults.add(name, spec.rates, spec.seed)
        task = asyncio.create_task(run.play())
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._over(run, ended))
        return JSONResponse({"run": name})

    def _over(self, run: Run, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._faults.remove(run.name)
        if not task.cancelled() and (fault := task.exception()) is not None:
            run.fail(fault)

    def _promise(self, field: str, orders: int) -> None:
        if self._promised + orders > ORDERS_MAX:
            left = ORDERS_MAX - self._promised
            raise Refused(
                field, f"only {left} more orders can be kept", "ask for fewer, or restart the sandbox"
            )
        self._promised += orders

    async def _run(self, request: Request) -> JSONResponse:
        """`?wait=` seconds: answer when the run is done, or then at the latest."""
        run = self._named(request)
        wait = _whole(request, "wait", 0, 0, WAIT_SECONDS_MAX)
        if wait and isinstance(run, Run):
            try:
                async with asyncio.timeout(wait):
                    await run.finished.wait()
            except TimeoutError:
                pass
        return JSONResponse(run.as_json())

    async def _truth(self, request: Request) -> JSONResponse:
        """A page of orders in the order they began; those that have not begun are not there yet."""
        orders = self._named(request).orders
        limit = _whole(request, "limit", PAGE_DEFAULT, 1, PAGE_MAX)
        start = _whole(request, "cursor", 0, 0, ORDERS_MAX)
        page = [order for order in orders[start : start + limit] if order.past]
        more = start + limit < len(orders)
        items = [order.truth(utc_text) for order in page]
        return JSONResponse({"items": items, "next": str(start + limit) if more else None})

    def _named(self, request: Request) -> Run | Manual:
        name = request.path_params["run"]
        run = self._manual if name == NAME else self._runs.get(name)
        if run is None:
            raise Refused(
                "run", f"there is no run {name}", "use the run that POST /control/runs answered", 404
            )
        return run

    async def _create(self, request: Request) -> JSONResponse:
        asked = Asked(await request.body())
        name = asked.one_of("marketplace", MARKETPLACES)
        market = self._markets[name]
        shop = _shop(market, asked.text("shop", None), asked.text("site", None))
        kind = asked.one_of("life", market.kinds(), "paid")
        lines = asked.whole("lines", 1, 5, None)
        seed = asked.whole("seed", 0, 2**63, None)
        steps = asked.whole("steps", 0, 20, 1)
        buyer = _buyer(asked.get("buyer")) or self._buyer
        asked.nothing_else()
        self._promise("(body)", 1)
        order = self._manual.create(shop, name, kind, lines=lines, seed=seed, buyer=buyer)
        answers = await self._manual.advance(order, steps or 0)
        return JSONResponse(_described(order, answers))

    async def _order(self, request: Request) -> JSONResponse:
        return JSONResponse(_described(self._by_hand(request), []))

    async def _advance(self, request: Request) -> JSONResponse:
        order = self._by_hand(request)
        asked = Asked(await request.body() or b"{}")
        steps = asked.whole("steps", 1, 20, 1)
        asked.nothing_else()
        return JSONResponse(_described(order, await self._manual.advance(order, steps or 1)))

    def _by_hand(self, request: Request) -> Order:
        number = request.path_params["order"]
        order = self._manual.find(number)
        if order is None:
            raise Refused(
                "order", f"no order {number} was made by hand", "make one by POST /control/orders", 404
            )
        return order

    async def _outage(self, request: Request) -> JSONResponse:
        asked = Asked(await request.body())
        marketplace = asked.one_of("marketplace", MARKETPLACES)
        mode = asked.one_of("mode", OUTAGES)
        asked.nothing_else()
        self._faults.outage(marketplace, mode)
        return JSONResponse({"marketplace": marketplace, "mode": mode})

    async def _probe(self, request: Request) -> JSONResponse:
        asked = Asked(await request.body() or b"{}")
        market = self._markets["lazada"]
        assert isinstance(market, LazadaMarket)
        shop = _shop(market, asked.text("shop", None), asked.text("site", None))
        asked.nothing_else()
        return JSONResponse({"answered": await self._manual.probe(shop, market)})


async def _not_simulated(_request: Request) -> JSONResponse:
    refused = Refused("tiktok", "TikTok Shop is not simulated yet", "use lazada or tokopedia", 501)
    return JSONResponse(refused.as_json(), refused.status)


async def _refusal(_request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, Refused)
    return JSONResponse(fault.as_json(), fault.status)


def _spec(asked: Asked) -> RunSpec:
    marketplaces = asked.get("marketplaces", list(MARKETPLACES))
    if not isinstance(marketplaces, list) or not marketplaces:
        raise Refused(
            "marketplaces", "must be a list of names", f"name one or more of {', '.join(MARKETPLACES)}"
        )
    for name in marketplaces:
        if name == "tiktok":
            raise Refused(
                "marketplaces", "tiktok is not simulated yet", "leave it out: lazada and tokopedia are"
            )
        if name not in MARKETPLACES:
            raise Refused(
                "marketplaces", f"{name!r} is unknown", f"name one or more of {', '.join(MARKETPLACES)}"
            )
    faults = asked.inner("faults")
    rates = Rates(**{name: faults.number(name, 0, 1, 0) for name in Rates._fields})
    faults.nothing_else()
    seed, orders = asked.whole("seed", 0, 2**63, 1), asked.whole("orders", 1, RUN_ORDERS_MAX, 100)
    spec = RunSpec(
        seed=seed or 0,
        orders=orders or 1,
        per_second=asked.number("per_second", 0.01, PER_SECOND_MAX, 10),
        marketplaces=tuple(dict.fromkeys(marketplaces)),
        rates=rates,
        time_scale=asked.number("time_scale", 1, TIME_SCALE_MAX, 60),
        step_seconds=asked.number("step_seconds", 0.001, STEP_SECONDS_MAX, 0.5),
    )
    asked.nothing_else()
    return spec


def _shop(market: Market, shop_id: str | None, site: str | None) -> Shop:
    """The shop asked for, by its id and, if two sites share it, its site; without an id the first."""
    for shop in market.shops:
        own_site = getattr(shop, "site", "id")
        own_id = getattr(shop, "seller_id", None) or str(getattr(shop, "shop_id", ""))
        if shop_id in {None, own_id} and site in {None, own_site}:
            return shop
    raise Refused(
        "shop", f"{market.name} has no shop {shop_id}", "use a shop of the configuration, or leave it out"
    )


def _buyer(found: Any) -> Buyer | None:
    if found is None:
        return None
    try:
        return settings.buyer(settings.Section(found, "buyer"))
    except settings.SettingsError as fault:
        raise Refused(fault.field, fault.problem, "give texts for name, phone, address, email") from fault


def _described(order: Order, answers: Sequence[int | None]) -> Mapping[str, Any]:
    """Where a hand-made order stands, and how its pushes were just answered (null: not in time)."""
    ahead = order.life.steps[len(order.past) :]
    return {
        **order.truth(utc_text),
        "life": order.life.kind,
        "cod": order.life.cod,
        "statuses_ahead": [step.status for step in ahead],
        "answers": list(answers),
    }


def _whole(request: Request, name: str, default: int, low: int, high: int) -> int:
    text = request.query_params.get(name) or str(default)
    if not text.isdigit() or not low <= int(text) <= high:
        raise Refused(name, f"must be a whole number from {low} to {high}", "correct it or leave it out")
    return int(text)
