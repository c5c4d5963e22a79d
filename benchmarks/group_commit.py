"""Row 3, `group_commit`: commands a second from 200 concurrent callers, one order each.

The floor is one transaction per command through the same function, from the same callers.
"""

import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.servers import Servers
from libs.runtime.postgres import AsyncPool, make_pool
from services.orders.app import migrate_orders
from services.orders.recorder import Appended, AppendRequest, CommandKey, NewEvent, append
from services.orders.writer import GroupWriter

CALLERS, ROUNDS, SECONDS = 200, 3, 3.0
STATE = json.dumps({"pad": "x" * 400}).encode()


def command() -> AppendRequest:
    """A command on a new order: one event, its version, its key and answer."""
    stream = uuid.uuid4()
    made = AppendRequest()
    made.streams[stream] = 0
    made.events.append(NewEvent(stream, 1, "OrderPlaced.v1", STATE, str(stream), str(stream), None))
    made.keys.append(CommandKey("bench", str(stream), bytes(32), '{"sequence":1}'))
    return made


async def _load(
    write: Callable[[AppendRequest], Awaitable[Appended]], seconds: float
) -> tuple[float, list[float]]:
    """Commands a second, and the seconds that each took."""
    until = time.perf_counter() + seconds
    took: list[float] = []

    async def caller() -> None:
        while time.perf_counter() < until:
            began = time.perf_counter()
            appended = await write(command())
            took.append(time.perf_counter() - began)
            assert appended.outcome == "OK", appended

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return len(took) / (time.perf_counter() - began), took


async def _singly(pool: AsyncPool, request: AppendRequest) -> Appended:
    async with pool.connection(60) as connection:
        return await append(connection, request)


async def measure(servers: Servers) -> dict[str, Any]:
    """The row, with the latency of our commands at full load."""
    migrate_orders(servers.database)
    ours: list[float] = []
    floor: list[float] = []
    p50: list[float] = []
    p99: list[float] = []
    async with make_pool(servers.database, "orders", name="bench", size=10) as pool:
        writer = GroupWriter(pool)
        running = asyncio.create_task(writer.run())
        await _load(writer.append, 1.0)
        for _ in range(ROUNDS):
            rate, _took = await _load(lambda request: _singly(pool, request), SECONDS)
            floor.append(rate)
            rate, took = await _load(writer.append, SECONDS)
            ours.append(rate)
            took.sort()
            p50.append(took[len(took) // 2])
            p99.append(took[int(len(took) * 0.99)])
        running.cancel()
    return {
        "ours": round(statistics.median(ours)),
        "floor": round(statistics.median(floor)),
        "peer": None,
        "ratio_to_floor": round(statistics.median(o / f for o, f in zip(ours, floor, strict=True)), 2),
        "ratio_to_peer": None,
        "unit": "commands/s",
        "p50_ms": round(statistics.median(p50) * 1000, 1),
        "p99_ms": round(statistics.median(p99) * 1000, 1),
        "callers": CALLERS,
        "rounds": ROUNDS,
        "pool": 10,
    }


if __name__ == "__main__":
    import uvloop

    from benchmarks.servers import running as servers_running

    with servers_running() as servers:
        print(json.dumps(uvloop.run(measure(servers)), indent=1))
