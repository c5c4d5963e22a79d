"""Row `commands`: commands a second over HTTP, each on an order of its own and durable before its answer.

The floor is one client that appends one event of one order per call, one call after the other. Orders are
loaded from their streams: each is touched once in 20,000 commands, so that no state kept in memory helps.
"""

import asyncio
import hashlib
import itertools
import json
import os
import statistics
import time
import uuid
from collections.abc import Iterator
from typing import Any

from benchmarks.group_commit import command
from benchmarks.http_load import paced, saturate
from benchmarks.pipeline import environment
from benchmarks.servers import Servers, free_port, make_topics, process, until_ready
from libs.events.topics import TOPICS
from libs.runtime.clock import now
from libs.runtime.postgres import AsyncPool, make_pool
from services.orders.app import migrate_orders
from services.orders.order.commands import Given, NewLine, PlaceOrder, Recipient, SellerTerms
from services.orders.order.decide import Decided, decide
from services.orders.recorder import AppendRequest, NewEvent, append
from services.orders.store import encode, seller_order_number

ORDERS = int(os.environ.get("BENCH_COMMAND_ORDERS", "20000"))
CONNECTIONS, ROUNDS, SECONDS, PACED_SECONDS = 64, 3, 4.0, 6.0
SELLER, KEY = "bench-seller", "bench-key"


async def _place(pool: AsyncPool) -> list[str]:
    """Orders to give commands to, placed as a seller places them."""
    placing = PlaceOrder(
        source="MANUAL",
        payment_method="TRANSFER",
        lines=(NewLine(sku="KOPI", name="Kopi 250 g", quantity=2, unit_price=45_000),),
        recipient=Recipient(name="Sari", phone="+628123456789", address="Jl. Mawar 1", city="Bandung"),
        courier="JNE",
        service="REG",
        shipping_fee=18_000,
        allow_backorder=True,
    )
    placed: list[uuid.UUID] = [uuid.uuid4() for _ in range(ORDERS)]
    for at in range(0, ORDERS, 500):
        request = AppendRequest()
        for order_id in placed[at : at + 500]:
            numbers = {"ORDER": seller_order_number(order_id)}
            given = Given(at=now(), seller=SellerTerms(id=SELLER, code="BENCH"), proposed_numbers=numbers)
            decided = decide(None, placing, given)
            assert isinstance(decided, Decided), decided
            name, state = encode(decided.events[0])
            request.streams[order_id] = 0
            request.events.append(NewEvent(order_id, 1, name, state))
        async with pool.connection() as connection:
            assert (await append(connection, request)).outcome == "OK"
    return [str(order_id) for order_id in placed]


def requests(port: int, orders: list[str]) -> Iterator[bytes]:
    """ConfirmOrder for every order, then UnconfirmOrder for every order, and so on, as bytes of HTTP."""
    for turn in itertools.count():
        name = "unconfirm-order" if turn % 2 else "confirm-order"
        for order in orders:
            yield (
                f"POST /v1/orders/{order}/commands/{name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"Authorization: Bearer {KEY}\r\nIdempotency-Key: {turn}-{order}\r\n"
                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
            ).encode()


async def _one_client(pool: AsyncPool) -> float:
    """Appends a second of one client that waits for each."""
    until, done = time.perf_counter() + SECONDS, 0
    began = time.perf_counter()
    async with pool.connection() as connection:
        while time.perf_counter() < until:
            assert (await append(connection, command())).outcome == "OK"
            done += 1
    return done / (time.perf_counter() - began)


async def measure(servers: Servers) -> dict[str, Any]:
    """The row; only the role `api` runs, so that what is measured is the answering of commands."""
    migrate_orders(servers.database)
    await make_topics(servers.kafka, *(topic.name for topic in TOPICS))
    port = free_port()
    key = {
        "id": "bench",
        "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
        "scopes": ["*"],
        "seller": SELLER,
    }
    told = environment(servers) | {"API_KEYS": json.dumps([key]), "ORDERS_HTTP_PORT": str(port)}
    ours: list[float] = []
    floor: list[float] = []
    async with make_pool(servers.database, "orders", name="bench", size=4) as pool:
        orders = await _place(pool)
        with process("services.orders", "api", environment=told, log="commands"):
            await until_ready(port, "/health/ready")
            sent = requests(port, orders)
            for round_ in range(ROUNDS + 1):
                alone = await _one_client(pool)
                rate = await saturate(port, sent, connections=CONNECTIONS, seconds=SECONDS)
                if round_:
                    floor.append(alone)
                    ours.append(rate)
            half = statistics.median(ours) / 2
            took = await paced(port, sent, per_second=half, connections=CONNECTIONS, seconds=PACED_SECONDS)
    ratios = [o / f for o, f in zip(ours, floor, strict=True)]
    return {
        "ours": round(statistics.median(ours)),
        "floor": round(statistics.median(floor)),
        "peer": None,
        "ratio_to_floor": round(statistics.median(ratios), 2),
        "ratio_to_peer": None,
        "unit": "commands/s",
        "p50_ms": round(took[len(took) // 2] * 1000, 1),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
        "paced_per_second": round(half),
        "connections": CONNECTIONS,
        "orders": ORDERS,
        "rounds": ROUNDS,
    }


if __name__ == "__main__":
    from benchmarks.servers import running

    with running() as servers:
        print(json.dumps(asyncio.run(measure(servers)), indent=1))
