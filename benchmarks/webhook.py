"""Row 4, `webhook`: pushes a second that are verified and durable before their answer.

The floor is the same HTTP server with one single-row insert per request; both verify and seal alike.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import os
import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.http_load import paced, saturate
from benchmarks.servers import Servers, free_port, process, until_ready
from services.channels.app import migrate_channels

APP, SECRET = "100042", "bench-secret"
KEY = base64.b64encode(os.urandom(32)).decode()
CONNECTIONS, ROUNDS, SECONDS = 64, 3, 4.0
_numbers = itertools.count()


def pushes(port: int) -> Iterator[bytes]:
    """Signed Lazada pushes, each of another line, as bytes of HTTP; prepared before they are timed."""
    for number in _numbers:
        body = json.dumps(
            {
                "seller_id": "1000999001",
                "message_type": 0,
                "data": {
                    "order_status": "packed",
                    "trade_order_id": str(800_000_000_000_000 + number),
                    "trade_order_line_id": str(900_000_000_000_000 + number),
                    "status_update_time": 1_772_686_766,
                    "buyer_id": "1000887001",
                },
                "timestamp": 1_772_686_777,
                "site": "lazada_id",
            }
        ).encode()
        signature = hmac.new(SECRET.encode(), APP.encode() + body, hashlib.sha256).hexdigest()
        yield (
            f"POST /webhooks/lazada/{APP} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: {signature}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


def environment(servers: Servers, port: int) -> dict[str, str]:
    """The environment of our webhooks role."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka,
        "DATABASE_URL": servers.database,
        "API_KEYS": "[]",
        "CHANNELS_HTTP_PORT": str(port),
        "CHANNELS_INBOX_KEY": KEY,
        "KEY_ENCRYPTION_KEYS": f"bench:{KEY}",
        "CHANNELS_LAZADA_APP_KEY": APP,
        "CHANNELS_LAZADA_APP_SECRETS": SECRET,
        "CHANNELS_LAZADA_BASE_URL": "http://127.0.0.1:1/rest",
        "LOG_LEVEL": "warning",
    }


async def measure(servers: Servers) -> dict[str, Any]:
    """The row; only the webhooks role runs, so that what is measured is the acceptance."""
    migrate_channels(servers.database)
    mine, theirs = free_port(), free_port()
    rates: dict[str, list[float]] = {"ours": [], "floor": []}
    with (
        process("services.channels", "webhooks", environment=environment(servers, mine), log="webhooks"),
        process(
            "benchmarks.webhook_floor", servers.database, str(theirs), APP, SECRET, KEY,
            environment={}, log="webhook_floor",
        ),
    ):  # fmt: skip
        await until_ready(mine, "/health/ready")
        await until_ready(theirs, "/")
        for round_ in range(ROUNDS + 1):
            for name, port in (("floor", theirs), ("ours", mine)):
                prepared = itertools.cycle(list(itertools.islice(pushes(port), 40_000)))
                rate = await saturate(port, prepared, connections=CONNECTIONS, seconds=SECONDS)
                if round_:
                    rates[name].append(rate)
        ours = statistics.median(rates["ours"])
        prepared = itertools.cycle(list(itertools.islice(pushes(mine), 40_000)))
        took = await paced(mine, prepared, per_second=ours / 2, connections=CONNECTIONS, seconds=6.0)
    ratios = [o / f for o, f in zip(rates["ours"], rates["floor"], strict=True)]
    return {
        "ours": round(ours),
        "floor": round(statistics.median(rates["floor"])),
        "peer": None,
        "ratio_to_floor": round(statistics.median(ratios), 2),
        "ratio_to_peer": None,
        "unit": "requests/s",
        "p50_ms": round(took[len(took) // 2] * 1000, 1),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
        "paced_per_second": round(ours / 2),
        "connections": CONNECTIONS,
        "rounds": ROUNDS,
    }


if __name__ == "__main__":
    from benchmarks.servers import running

    with running() as servers:
        print(json.dumps(asyncio.run(measure(servers)), indent=1))
