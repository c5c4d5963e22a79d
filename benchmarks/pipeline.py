"""Row 1, `pipeline`: Kafka in -> decided -> durable -> Kafka out, orders a second.

Three variants in alternated rounds on the same servers, each a fresh process over a full input topic:
ours (consumer and relay as their own processes), the floor (no rules) and the peer (stock libraries, one
message at a time). The rate is taken from the time stamps of the output topic, after the first records.
"""

import asyncio
import json
import os
import statistics
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.facts import KEK, Buyer, nobody, produce, somebody
from benchmarks.servers import Servers, arrivals, ends, make_topics, process, rate
from libs.events.topics import CHANNELS_ORDERS, ORDERS_ORDERS, TOPICS
from services.orders.app import migrate_orders

ORDERS = int(os.environ.get("BENCH_ORDERS", "80000"))
WARM = ORDERS // 8
ROUNDS = 3
PEER_ORDERS = max(300, ORDERS // 40)
DEADLINE_SECONDS = 180.0


def environment(servers: Servers) -> dict[str, str]:
    """The environment of our processes."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka,
        "DATABASE_URL": servers.database,
        "API_KEYS": "[]",
        "ORDERS_HTTP_PORT": "0",
        "KEY_ENCRYPTION_KEYS": KEK,
        "LOG_LEVEL": "warning",
    }


async def _ours(servers: Servers, run: int, *, buyer: Buyer = nobody) -> tuple[float, int]:
    size = await produce(servers.kafka, CHANNELS_ORDERS.name, run, ORDERS, buyer=buyer)
    since = await ends(servers.kafka, ORDERS_ORDERS.name)
    told = environment(servers)
    with (
        process("services.orders", "relay", environment=told, log="relay"),
        process("services.orders", "consumer", environment=told, log="consumer"),
    ):
        stamps = await arrivals(servers.kafka, ORDERS_ORDERS.name, since, ORDERS, DEADLINE_SECONDS)
    return rate(stamps, WARM), size


async def _other(servers: Servers, module: str, count: int, run: int, *flags: str) -> float:
    source, target = f"bench.{module}.in.{run}", f"bench.{module}.out.{run}"
    await make_topics(servers.kafka, source, target)
    await produce(servers.kafka, source, run, count)
    since = await ends(servers.kafka, target)
    with process(
        f"benchmarks.{module}", servers.kafka, servers.database, source, target, str(count), *flags,
        environment={}, log=module,
    ):  # fmt: skip
        stamps = await arrivals(servers.kafka, target, since, count, DEADLINE_SECONDS)
    return rate(stamps, count // 8)


async def measure(servers: Servers) -> dict[str, Any]:
    """The row; warms the broker and every variant's code paths with one round that is not counted."""
    migrate_orders(servers.database)
    # The consumer waits for every topic that it reads.
    await make_topics(servers.kafka, *(topic.name for topic in TOPICS))
    import psycopg

    from benchmarks.pipeline_floor import TABLE

    with psycopg.connect(servers.database, autocommit=True) as connection:
        connection.execute(TABLE.encode())
    size = 0

    async def ours(run: int) -> float:
        nonlocal size
        value, size = await _ours(servers, run)
        return value

    async def floor(run: int) -> float:
        return await _other(servers, "pipeline_floor", ORDERS, run)

    async def tuned(run: int) -> float:
        return await _other(servers, "pipeline_floor", ORDERS, 100 + run, "--tuned")

    variants: dict[str, Callable[[int], Awaitable[float]]] = {"floor": floor, "ours": ours, "tuned": tuned}
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for round_ in range(ROUNDS + 1):
        for name, variant in variants.items():
            measured = await variant(round_)
            if round_:
                rates[name].append(measured)
            print(f"  pipeline, round {round_}, {name}: {measured:,.0f} orders/s", flush=True)
    peer = [await _other(servers, "pipeline_peer", PEER_ORDERS, 200 + round_) for round_ in range(2)]
    ratios = [o / f for o, f in zip(rates["ours"], rates["floor"], strict=True)]
    tuned_ratios = [o / f for o, f in zip(rates["ours"], rates["tuned"], strict=True)]
    mine = statistics.median(rates["ours"])
    with_buyer, buyer_size = await _ours(servers, 300, buyer=somebody)
    return {
        "ours": round(mine),
        "floor": round(statistics.median(rates["floor"])),
        "peer": round(statistics.median(peer)),
        "ratio_to_floor": round(statistics.median(ratios), 2),
        "ratio_to_peer": round(mine / statistics.median(peer), 1),
        "unit": "orders/s",
        "rounds": [round(value) for value in rates["ours"]],
        "floor_rounds": [round(value) for value in rates["floor"]],
        "tuned_floor": round(statistics.median(rates["tuned"])),
        "ratio_to_tuned_floor": round(statistics.median(tuned_ratios), 2),
        "orders": ORDERS,
        "fact_bytes": size,
        "batch": 500,
        "processes": "consumer and relay",
        "with_buyer": {"ours": round(with_buyer), "fact_bytes": buyer_size},
    }


if __name__ == "__main__":
    from benchmarks.servers import running

    with running() as servers:
        print(json.dumps(asyncio.run(measure(servers)), indent=1))
