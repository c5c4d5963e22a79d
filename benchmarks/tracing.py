"""What traces cost: the processor time of a push and of an order with traces off, with 1 % of them, with all.

`python -m benchmarks.tracing`; no row of `make bench`, since it has no bar. Processor time and not a rate, so
that a busy machine disturbs it less; variants alternate, and each ratio is of one round. What loading the
exporter costs once, at the start of a process, is measured apart and taken off.
"""

import asyncio
import itertools
import os
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from benchmarks import pipeline, webhook
from benchmarks.facts import placed
from benchmarks.http_load import saturate
from benchmarks.servers import (
    Servers,
    arrivals,
    empty,
    ends,
    free_port,
    make_topics,
    process,
    running,
    until_ready,
)
from libs.events.topics import CHANNELS_ORDERS, ORDERS_ORDERS, TOPICS
from services.channels.app import migrate_channels
from services.orders.app import migrate_orders

ORDERS = int(os.environ.get("BENCH_ORDERS", "30000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "4"))
SHARES = {"off": None, "0.01": 0.01, "all": 1.0}
_runs = itertools.count(900)


def cpu_seconds(pid: int) -> float:
    """Processor time that the process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def sink() -> AsyncIterator[int]:
    """A collector that takes everything and keeps nothing; its port."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                at = head.index(b"content-length:") + 15
                await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # Cancelled with the run, while an exporter keeps its connection.
            writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def told(share: float | None, port: int) -> dict[str, str]:
    if share is None:
        return {}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_TRACES_SAMPLER_ARG": str(share)}


async def loading_seconds() -> float:
    """Processor time of loading the exporter, once a process."""
    script = (
        "import os; import libs.runtime.serving; from libs.runtime.tracing import *; before = os.times();"
        "configure_tracing('bench', TracingSettings(exporter_otlp_endpoint='http://127.0.0.1:9'));"
        "after = os.times(); print(after.user + after.system - before.user - before.system)"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    return float((await child.communicate())[0])


async def push(servers: Servers, share: float | None, collector: int) -> dict[str, float]:
    """Microseconds of the webhooks role for a push; warm before it is measured."""
    import psycopg

    empty(servers)
    migrate_channels(servers.database)
    port = free_port()
    environment = webhook.environment(servers, port) | told(share, collector)
    with process("services.channels", "webhooks", environment=environment, log="webhooks") as child:
        await until_ready(port, "/health/ready")
        prepared = itertools.cycle(list(itertools.islice(webhook.pushes(port), 20_000)))

        def kept() -> int:
            with psycopg.connect(servers.database) as connection:
                row = connection.execute("SELECT count(*) FROM channels.raw_messages").fetchone()
            return 0 if row is None else int(row[0])

        await saturate(port, prepared, connections=64, seconds=1.5)
        used, had = cpu_seconds(child.pid), kept()
        await saturate(port, prepared, connections=64, seconds=5.0)
        return {"push": (cpu_seconds(child.pid) - used) / (kept() - had) * 1e6}


async def order(servers: Servers, share: float | None, collector: int, loading: float) -> dict[str, float]:
    """Microseconds of the consumer and of the relay for an order, of facts whose traces are sampled so."""
    empty(servers)
    migrate_orders(servers.database)
    await make_topics(servers.kafka, *(topic.name for topic in TOPICS))
    await _produce(servers.kafka, next(_runs), share)
    since = await ends(servers.kafka, ORDERS_ORDERS.name)
    environment = pipeline.environment(servers) | told(share, collector)
    with (
        process("services.orders", "relay", environment=environment, log="relay") as relay,
        process("services.orders", "consumer", environment=environment, log="consumer") as consumer,
    ):
        await arrivals(servers.kafka, ORDERS_ORDERS.name, since, ORDERS, pipeline.DEADLINE_SECONDS)
        once = 0.0 if share is None else loading
        return {
            "consumer": (cpu_seconds(consumer.pid) - once) / ORDERS * 1e6,
            "relay": (cpu_seconds(relay.pid) - once) / ORDERS * 1e6,
        }


async def _produce(kafka: str, run: int, share: float | None) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all", linger_ms=5) as producer:
        for begin in range(0, ORDERS, 5_000):
            pending = []
            for number in range(begin, min(ORDERS, begin + 5_000)):
                key, body, headers = placed(number, run)
                if share is not None and number % round(1 / share) == 0:
                    context = f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
                    headers.append(("traceparent", context.encode()))
                pending.append(await producer.send(CHANNELS_ORDERS.name, body, key, headers=headers))
            await asyncio.gather(*pending)


async def measure(servers: Servers) -> None:
    """Print each variant's median, and the median ratio to `off` of the same round."""
    loading = await loading_seconds()
    print(f"loading the exporter: {loading:.2f} s of processor time, once a process")

    async def orders(share: float | None, port: int) -> dict[str, float]:
        return await order(servers, share, port, loading)

    async def pushes(share: float | None, port: int) -> dict[str, float]:
        return await push(servers, share, port)

    rows: list[Callable[[float | None, int], Awaitable[dict[str, float]]]] = [pushes, orders]
    async with sink() as port:
        for row in rows:
            found: dict[str, list[dict[str, float]]] = {name: [] for name in SHARES}
            for _, (name, share) in itertools.product(range(ROUNDS), SHARES.items()):
                found[name].append(await row(share, port))
            _print(found)


def _print(found: dict[str, list[dict[str, Any]]]) -> None:
    for what in found["off"][0]:
        for name, rounds in found.items():
            micros = statistics.median(each[what] for each in rounds)
            ratio = statistics.median(
                each[what] / off[what] for each, off in zip(rounds, found["off"], strict=True)
            )
            print(f"{what:9} traced {name:5} {micros:7.1f} µs   {ratio:.3f} of off", flush=True)


if __name__ == "__main__":
    with running() as servers:
        asyncio.run(measure(servers))
