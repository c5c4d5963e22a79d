"""Row 5, `latency`: webhook in -> event on orders.orders.v1 at 100 orders a second, on the whole system.

Orders of the sandbox are placed and paid first. Then 100 of them a second are packed: the sandbox pushes it
signed, channels keeps, translates and publishes it and reads the order beside, orders decides and
appends, the relay publishes. Measured is from the receipt of the push (as channels stored it, on this
machine's clock) to the arrival of its event at a consumer of this process.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.http_load import Posts
from benchmarks.servers import BENCH, PARTITIONS, Servers, ends, free_port, make_topics, process, until_ready
from benchmarks.webhook import APP, KEY, SECRET
from libs.events.topics import CHANNELS_ORDERS, ORDERS_ORDERS, TOPICS
from libs.runtime.clock import uuid7
from services.channels.app import migrate_channels
from services.orders.app import migrate_orders

ORDERS = int(os.environ.get("BENCH_LATENCY_ORDERS", "1500"))
PER_SECOND = 100
WARM_SECONDS = 2
SELLER = "0f6e1b8e-2f5d-5c1a-9a57-3f1f0f6e1b8e"
SHOP = "1000999001"


async def measure(servers: Servers) -> dict[str, Any]:
    """The row, with the time of the first push of an order (its read included) beside it."""
    migrate_orders(servers.database)
    migrate_channels(servers.database)
    await make_topics(servers.kafka, *(topic.name for topic in TOPICS), partitions=PARTITIONS)
    with psycopg.connect(servers.database, autocommit=True) as connection:
        connection.execute("TRUNCATE orders.consumed_positions, channels.outbox")
    ports = {name: free_port() for name in ("control", "lazada", "tokopedia", "orders", "channels")}
    config, seed = _files(ports)
    told = _environment(servers, ports)
    with process("services.channels", "seed", "--file", str(seed), environment=told, log="seed") as seeding:
        seeding.wait(60)
    with (
        process("deploy.sandbox", "--config", str(config), environment={}, log="sandbox"),
        process("services.orders", "serve", environment=told, log="orders"),
        process("services.channels", "serve", environment=told, log="channels"),
    ):
        await until_ready(ports["control"], "/health")
        await until_ready(ports["orders"], "/health/ready")
        await until_ready(ports["channels"], "/health/ready")
        return await _drive(servers, ports["control"])


async def _drive(servers: Servers, control: int) -> dict[str, Any]:
    follower = Follower(servers.kafka)
    await follower.start()
    posts = Posts(control)
    orders = await _at_pace([lambda: _create(posts)] * ORDERS)
    await follower.quiet()
    first = follower.taken()
    # The server has closed the kept connections meanwhile.
    posts.close()
    posts = Posts(control)
    await _at_pace([lambda it=order: _advance(posts, it) for order in orders])
    await follower.quiet()
    second = follower.taken()
    posts.close()
    await follower.stop()
    received = _received(servers)
    counted = _counted(received, second)
    placing, moving = _latencies(_counted(received, first)), _latencies(counted)
    return {
        "ours": PER_SECOND,
        "floor": None,
        "peer": None,
        "ratio_to_floor": None,
        "ratio_to_peer": None,
        "unit": "orders/s",
        "p50_ms": _percentile(moving, 0.5),
        "p99_ms": _percentile(moving, 0.99),
        "measured": len(moving),
        "stages_p50_ms": _stages(counted),
        "orders": ORDERS,
        "first_push_p50_ms": _percentile(placing, 0.5),
        "first_push_p99_ms": _percentile(placing, 0.99),
        "first_push_measured": len(placing),
    }


async def _create(posts: Posts) -> str:
    wanted = {"marketplace": "lazada", "shop": SHOP, "life": "paid", "lines": 1, "steps": 2}
    answer = await posts.post("/control/orders", json.dumps(wanted).encode())
    order: str = json.loads(answer)["order"]
    return order


async def _advance(posts: Posts, order: str) -> str:
    await posts.post(f"/control/orders/{order}/advance")
    return order


async def _at_pace(calls: list[Any]) -> list[str]:
    began = time.perf_counter()
    tasks = []
    for number, call in enumerate(calls):
        pause = began + number / PER_SECOND - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        tasks.append(asyncio.create_task(call()))
    done: list[str] = await asyncio.gather(*tasks)
    return done


class Passage(NamedTuple):
    """One push on its way: when its fact and its event were written to Kafka, and when the event arrived."""

    raw: str
    fact_written: float
    event_written: float
    arrived: float


class Follower:
    """Reads both topics as they grow, with the wall-clock time of each arrival."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._consumer: AIOKafkaConsumer = None
        self._task: asyncio.Task[None] | None = None
        # Of each fact: when it was written to Kafka, and the raw messages it came from.
        self._facts: dict[str, tuple[float, list[str]]] = {}
        # Of each event: the fact that caused it, when it was written to Kafka, when it arrived here.
        self._events: list[tuple[str, float, float]] = []
        self._last = time.monotonic()

    async def start(self) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka, fetch_max_wait_ms=10)
        await self._consumer.start()
        for topic in (CHANNELS_ORDERS.name, ORDERS_ORDERS.name):
            found = await ends(self._kafka, topic)
            partitions = [TopicPartition(topic, partition) for partition in found]
            self._consumer.assign([*self._consumer.assignment(), *partitions])
            for partition in partitions:
                self._consumer.seek(partition, found[partition.partition])
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=100)).items():
                at = time.time()
                self._last = time.monotonic()
                for record in records:
                    headers = dict(record.headers)
                    if partition.topic == CHANNELS_ORDERS.name:
                        raw = json.loads(record.value)["raw"]
                        self._facts[headers["ce_id"].decode()] = (record.timestamp / 1000, raw)
                    else:
                        cause = headers.get("ce_causationid", b"").decode()
                        self._events.append((cause, record.timestamp / 1000, at))

    async def quiet(self, seconds: float = 3.0, deadline: float = 120.0) -> None:
        """Return when nothing has arrived for a while."""
        until = time.monotonic() + deadline
        while time.monotonic() - self._last < seconds and time.monotonic() < until:  # noqa: ASYNC110  # Silence has no event.
            await asyncio.sleep(0.2)

    def taken(self) -> list[Passage]:
        """The first event of each raw message since the last call."""
        first: dict[str, Passage] = {}
        for cause, written, at in self._events:
            fact_written, raws = self._facts.get(cause, (0.0, []))
            for raw in raws:
                if raw not in first or at < first[raw].arrived:
                    first[raw] = Passage(raw, fact_written, written, at)
        self._events.clear()
        return list(first.values())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._consumer.stop()


def _received(servers: Servers) -> dict[str, float]:
    with psycopg.connect(servers.database) as connection:
        rows = connection.execute(
            "SELECT id::text, extract(epoch FROM received_at)::float FROM channels.raw_messages"
            " WHERE verdict <> 'READ'"
        ).fetchall()
    return dict(rows)


def _counted(received: dict[str, float], passages: list[Passage]) -> list[tuple[float, Passage]]:
    """What is counted: each push with the time it was received, without those of the first seconds."""
    found = [(received[each.raw], each) for each in passages if each.raw in received]
    begin = min((at for at, _ in found), default=0.0) + WARM_SECONDS
    return [(at, each) for at, each in found if at >= begin]


def _latencies(counted: list[tuple[float, Passage]]) -> list[float]:
    return sorted(each.arrived - at for at, each in counted)


def _stages(counted: list[tuple[float, Passage]]) -> dict[str, float | None]:
    """Where the time goes, medians in ms: to the fact on Kafka, to the event on Kafka, to its reader."""
    return {
        "to_fact": _percentile(sorted(each.fact_written - at for at, each in counted), 0.5),
        "to_event": _percentile(sorted(each.event_written - each.fact_written for _, each in counted), 0.5),
        "to_reader": _percentile(sorted(each.arrived - each.event_written for _, each in counted), 0.5),
    }


def _percentile(values: list[float], share: float) -> float | None:
    return round(values[int((len(values) - 1) * share)] * 1000, 1) if values else None


def _files(ports: dict[str, int]) -> tuple[Path, Path]:
    """The sandbox's configuration and the seed of one Lazada shop."""
    hook = f"http://127.0.0.1:{ports['channels']}/webhooks"
    shop = {"site": "id", "seller_id": SHOP, "access_token": str(uuid7()), "refresh_token": str(uuid7())}
    config = {
        "ports": {name: ports[name] for name in ("control", "lazada", "tokopedia")},
        "lazada": {
            "app_key": APP, "app_secret": SECRET, "webhook_url": f"{hook}/lazada/{APP}", "shops": [shop],
            "calls_per_second": 2_000,
        },
        "tokopedia": {
            "fs_id": 15999, "client_id": "bench", "client_secret": "bench", "shops": [{"shop_id": 9301177}],
            "webhooks": {
                name: f"{hook}/tokopedia/bench/{topic}"
                for name, topic in (
                    ("notification", "order_notification"), ("status", "order_status"),
                    ("cancellation", "order_cancellation"), ("cancel-request", "order_request_cancellation"),
                )
            },
        },
    }  # fmt: skip
    seed = {
        "seller": SELLER,
        "connections": [{"channel": "lazada", "site": "id", "shop": SHOP, "name": "Bench", **_tokens(shop)}],
    }
    BENCH.mkdir(parents=True, exist_ok=True)
    paths = BENCH / "sandbox.json", BENCH / "seed.json"
    for path, content in zip(paths, (config, seed), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    return paths


def _tokens(shop: dict[str, str]) -> dict[str, str]:
    return {name: shop[name] for name in ("access_token", "refresh_token")}


def _environment(servers: Servers, ports: dict[str, int]) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka,
        "DATABASE_URL": servers.database,
        "API_KEYS": "[]",
        "ORDERS_HTTP_PORT": str(ports["orders"]),
        "CHANNELS_HTTP_PORT": str(ports["channels"]),
        "CHANNELS_INBOX_KEY": KEY,
        "KEY_ENCRYPTION_KEYS": f"bench:{KEY}",
        "CHANNELS_LAZADA_APP_KEY": APP,
        "CHANNELS_LAZADA_APP_SECRETS": SECRET,
        "CHANNELS_LAZADA_BASE_URL": f"http://127.0.0.1:{ports['lazada']}/rest",
        "CHANNELS_POLL_SECONDS": "60",
        "LOG_LEVEL": "warning",
    }


if __name__ == "__main__":
    from benchmarks.servers import running

    with running() as servers:
        print(json.dumps(asyncio.run(measure(servers)), indent=1))
