"""The demo: orders of two marketplaces go through the whole system, are watched, and are reckoned up.

A seeded run of the sandbox lets orders live their lives in about a minute, with pushes lost, doubled, late
and out of order. What the system holds in the end is compared from outside with what is true at the
marketplaces. The stack keeps running afterwards.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.local import board, up
from deploy.local.doors import SERVICES, Doors, Json, Sample, read_topic, total
from deploy.local.layout import Layout, StackError
from deploy.local.reconcile import STATUS_FIELDS, Evidence, Verdict, judge

# An hour at the marketplace passes in a second, and 2.5 s lie between two statuses on average: a life of a
# day or two ends within a minute.
TIME_SCALE = 3_600
STEP_SECONDS = 2.5
# No life of the sandbox has more steps; each gap is at most 1.6 times the average.
LIFE_SECONDS_MAX = 14 * 1.6 * STEP_SECONDS
FAULTS = {"duplicate": 0.10, "reorder": 0.10, "lose": 0.08, "delay": 0.10}

LOOK_SECONDS = 1.0
# Polls run every 3 s here and find what lost pushes did not bring: three of them must have found nothing.
QUIET_SECONDS = 10.0
DRAIN_SECONDS_MAX = 90.0
# Rates are those of the last seconds.
RATE_SECONDS = 5.0
ORDERS_AT_ONCE = 8
# A poll may be at work just when one looks.
STATUS_TRIES = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """The run that is asked for."""

    orders: int
    seed: int
    per_second: float

    def as_json(self) -> Json:
        return {
            "seed": self.seed,
            "orders": self.orders,
            "per_second": self.per_second,
            "marketplaces": ["lazada", "tokopedia"],
            "faults": FAULTS,
            "time_scale": TIME_SCALE,
            "step_seconds": STEP_SECONDS,
        }

    @property
    def seconds_max(self) -> float:
        """When it must have ended and been worked through."""
        return self.orders / self.per_second + LIFE_SECONDS_MAX + DRAIN_SECONDS_MAX


def main(orders: int = 300, seed: int = 2, per_second: float = 12.0) -> int:
    """Run the demo; 0 when everything agrees, 1 when something differs, 130 when it was interrupted.

    Raises StackError when the system cannot be started or one of its doors does not answer.
    """
    layout = Layout()
    endpoints = up.up(layout)
    try:
        return asyncio.run(_demo(layout, endpoints, Plan(orders, seed, per_second)))
    except KeyboardInterrupt:
        up.say("\nStopped watching; the stack is still running. `make down` stops it.")
        return 130


async def _demo(layout: Layout, endpoints: Mapping[str, Any], plan: Plan) -> int:
    doors = Doors(endpoints)
    try:
        watch = await Watch.begin(doors, plan)
        with board.Board() as shown:
            settled = await watch.until_quiet(shown)
        if not settled:
            up.say(
                f"Not everything was worked through within {plan.seconds_max:.0f} s; comparing all the same."
            )
        up.say("comparing the marketplaces' truth, the order store and Kafka ...")
        evidence = await gather(doors, watch.run_name, watch.start)
        verdict = judge(evidence)
        board.report(verdict, await watch.counts(verdict))
    finally:
        await doors.close()
    _say_the_end(
        layout, endpoints, verdict, f"{len(evidence.truth)} orders, {time.monotonic() - watch.began:.0f} s"
    )
    return 0 if verdict.agrees else 1


class Watch:
    """Follows one run through the doors, from just before it begins."""

    def __init__(
        self, doors: Doors, plan: Plan, run_name: str, position: str, before: Mapping[str, list[Sample]]
    ) -> None:
        self.run_name = run_name
        self.began = time.monotonic()
        # The position behind the last event before the run.
        self.start = position
        self._doors = doors
        self._plan = plan
        self._position = position
        self._before = before
        self._events = 0
        self._moved: dict[str, None] = {}
        self._orders: dict[str, Json] = {}
        self._seen: deque[tuple[float, dict[str, int]]] = deque()
        self._run: Json = {"state": "running", "orders": 0, "pushes_sent": 0}

    @classmethod
    async def begin(cls, doors: Doors, plan: Plan) -> "Watch":
        """Note where the events and counters stand, then start the run."""
        _, position = await doors.events("")
        before = {service: await doors.metrics(service) for service in SERVICES}
        name = await doors.start_run(plan.as_json())
        up.say(
            f"started {name}: {plan.orders} orders at Lazada and Tokopedia, {plan.per_second:g} a second,"
            f" seed {plan.seed}; of their pushes "
            + ", ".join(
                f"{rate:.0%} {word}" for word, rate in zip(_FAULT_WORDS, FAULTS.values(), strict=True)
            )
        )
        return cls(doors, plan, name, position, before)

    async def until_quiet(self, shown: board.Board) -> bool:
        """Show the system until the run is done, no event has come for a while and nothing is left to do.

        False at the deadline.
        """
        still_since = self.began
        while True:
            still = time.monotonic() - still_since
            snapshot, moved = await self._look(still)
            shown.show(snapshot)
            now = time.monotonic()
            if self._run["state"] == "failed":
                raise StackError(f"The sandbox's run failed: {self._run.get('failure')}")
            if self._run["state"] != "done" or moved:
                still_since = now
            # Polls of old orders may give work for a moment at any time, so that only this one counts.
            elif now - still_since >= QUIET_SECONDS and drained(snapshot.statuses):
                return True
            if now - self.began > self._plan.seconds_max:
                return False
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, still: float) -> tuple[board.Snapshot, bool]:
        """The system now, and whether an event has come since the last look; a shut door is waited for."""
        before = self._events
        channels: list[Sample] = []
        try:
            self._run = await self._doors.run(self.run_name)
            found, self._position = await self._doors.events(self._position)
            for event in found:
                self._moved.pop(event.order, None)
                self._moved[event.order] = None
            self._events += len(found)
            await self._read_latest()
            channels = await self._doors.metrics("channels")
        except StackError:
            # Whatever keeps a door shut shows in the statuses; at the deadline it is said.
            pass
        totals = {"pushes": int(self._run["pushes_sent"]), "events": self._events}
        if channels:
            facts = self._grown("channels", channels, "channels_facts_total")
            totals = {"pushes": totals["pushes"], "facts": facts, "events": self._events}
        elapsed = time.monotonic() - self.began
        statuses = dict(zip(SERVICES, await asyncio.gather(*map(self._status, SERVICES)), strict=True))
        if self._run["state"] == "running":
            phase = "orders live"
        elif still < 2 * LOOK_SECONDS:
            phase = "working through what is left"
        else:
            phase = "no news; waiting for polls that may find what pushes did not bring"
        snapshot = board.Snapshot(
            elapsed=elapsed,
            phase=phase,
            run=self._run,
            flows=self._flows(elapsed, totals),
            statuses=statuses,
            latest=[self._orders[one] for one in reversed(self._moved) if one in self._orders],
        )
        return snapshot, self._events > before

    async def _read_latest(self) -> None:
        for order in list(self._moved)[: -board.LATEST]:
            del self._moved[order]
            self._orders.pop(order, None)
        for order in self._moved:
            self._orders[order] = await self._doors.order(order)

    async def _status(self, service: str) -> Json | None:
        try:
            return await self._doors.status(service)
        except StackError:
            return None

    def _flows(self, elapsed: float, totals: dict[str, int]) -> dict[str, board.Flow]:
        self._seen.append((elapsed, totals))
        while self._seen[0][0] < elapsed - RATE_SECONDS and len(self._seen) > 1:
            self._seen.popleft()
        since, first = self._seen[0]
        seconds = max(elapsed - since, 0.001)
        return {
            name: board.Flow(value, max(0.0, (value - first.get(name, value)) / seconds))
            for name, value in totals.items()
        }

    def _grown(self, service: str, now: list[Sample], name: str, **labels: str) -> int:
        """By how much a counter grew since the run began; all of it when its process began anew meanwhile."""
        after = total(now, name, **labels)
        return (
            after if self._restarted(service, now) else after - total(self._before[service], name, **labels)
        )

    def _restarted(self, service: str, now: list[Sample]) -> bool:
        start = "process_start_time_seconds"
        return total(now, start) != total(self._before[service], start)

    async def counts(self, verdict: Verdict) -> dict[str, int]:
        """What the run and the services counted, in words."""
        orders, channels = await self._doors.metrics("orders"), await self._doors.metrics("channels")
        facts = {
            disposition: self._grown("orders", orders, "orders_facts_total", disposition=disposition)
            for disposition in ("APPLIED", "DUPLICATE", "REAFFIRMED", "LATE", "CONFLICT", "UNRECOGNISED")
        }
        run = self._run
        return {
            "pushes sent": run["pushes_sent"],
            "pushes lost on purpose": run.get("pushes_lost", 0),
            "pushes that were not answered in time and tried again": run.get("pushes_retried", 0),
            "pushes doubled, out of order, late": sum(
                run.get(f"pushes_{name}", 0) for name in ("duplicated", "reordered", "delayed")
            ),
            "facts published by channels": self._grown("channels", channels, "channels_facts_total"),
            "orders that a poll found changed": self._grown(
                "channels", channels, "channels_poll_found_total"
            ),
            "facts applied": facts["APPLIED"],
            "facts known already, removed": facts["DUPLICATE"],
            "facts that only confirmed": facts["REAFFIRMED"],
            "facts too late, kept in the history": facts["LATE"],
            "facts in conflict": facts["CONFLICT"],
            "facts not recognised": facts["UNRECOGNISED"],
            "facts that waited for their order": self._grown("orders", orders, "orders_waiting_total"),
            "events repeated on Kafka (allowed)": verdict.repeats,
            "orders that nobody could know of": len(verdict.unknowable),
            "services started anew meanwhile (their counts begin there)": sum(
                self._restarted(name, found) for name, found in (("orders", orders), ("channels", channels))
            ),
        }


_FAULT_WORDS = ("doubled", "out of order", "lost", "late")


def drained(statuses: Mapping[str, Json | None]) -> bool:
    """Whether every service has worked through and published all it has taken in."""
    return all(
        status is not None and all(status.get(name) == 0 for name in STATUS_FIELDS)
        for status in statuses.values()
    )


async def gather(doors: Doors, run: str, start: str) -> Evidence:
    """Read everything that the judge needs, by public doors only; of the store what came after `start`."""
    truth = await doors.truth(run)
    listed = await doors.orders()
    wanted = {(item["marketplace"], str(item["shop"]), str(item["order"])) for item in truth}
    ids = [
        str(item["id"])
        for item in listed
        if (item["channel"].lower(), str(item["shop"]), str(item["marketplace_number"])) in wanted
    ]
    turns = asyncio.Semaphore(ORDERS_AT_ONCE)

    async def one(order: str) -> Json:
        async with turns:
            return await doors.order(order)

    orders = dict(zip(ids, await asyncio.gather(*map(one, ids)), strict=True))
    stored, position = await doors.events(start)
    published = await read_topic(doors.endpoints["kafka"])
    # What came in between is on Kafka already, or will be; only the former can be compared.
    told = {event.id for event in published}
    stored += [event for event in (await doors.events(position))[0] if event.id in told]
    for _ in range(STATUS_TRIES):
        statuses = {service: await doors.status(service) for service in SERVICES}
        if drained(statuses):
            break
        await asyncio.sleep(LOOK_SECONDS)
    return Evidence(truth, listed, orders, stored, published, statuses)


def _say_the_end(layout: Layout, endpoints: Mapping[str, Any], verdict: Verdict, size: str) -> None:
    if verdict.agrees:
        up.say(f"\nEverything agrees: what is held is what is true at the marketplaces ({size}).")
    else:
        up.say(f"\n{len(verdict.differences)} differences ({size}); what the processes said: {layout.logs}")
    up.say(
        f"The stack is still running. Where to look next (the bearer key is in {up.endpoints_file(layout)}):"
    )
    up.say(f"  orders    {endpoints['orders']}/v1/orders?limit=5")
    up.say(f"  events    {endpoints['orders']}/v1/events?limit=5")
    up.say(f"  metrics   {endpoints['channels']}/metrics (no key needed)")
    up.say(f"  sandbox   {endpoints['sandbox']['control']}/health (no key needed)")
    up.say("`make demo` runs it again, `make down` stops everything and keeps the data.")
