"""Row `order_list`: a list of 200,000 orders of one seller, in the database and over HTTP.

Orders are made without Kafka: streams of events are written as COPY writes rows, and the list is filled by
its own rebuild. Then each documented filter and search is explained with its real plan and time, and pages
are asked for over HTTP at a steady rate from a server of its own.
"""

import hashlib
import json
import random
import re
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec
import psycopg

from benchmarks.http_load import paced
from benchmarks.servers import BENCH, Servers, free_port, process, until_ready
from benchmarks.webhook import KEY
from services.orders.app import migrate_orders
from services.orders.list_query import Query, Statement, page_rows
from services.orders.order.channel_facts import judge
from services.orders.order.events import Event
from services.orders.order.fact import Fact, Scope
from services.orders.order_list import decode_state
from services.orders.rebuild import Rebuild
from services.orders.store import encode, order_number

ORDERS = 200_000
SELLER = "0f6e1b8e-2f5d-5c1a-9a57-3f1f0f6e1b8e"
CONNECTION = "7b0c8f4e-93d1-5b7e-8a55-0f3d9a2b6c11"
NAMESPACE = UUID("6b1f5f0e-7a53-5d0c-9d27-5f1f3c2f8a11")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Jakarta")
# After how many hours the steps of an order follow each other.
HOURS = range(0, 49, 7)
PER_SECOND, SECONDS = 40.0, 15.0

COURIERS = ("J&T", "JNE", "SiCepat", "AnterAja", "Ninja", "Pos Indonesia")
WAREHOUSES = ("Jakarta", "Surabaya", "Bandung", "Medan")
CHANNELS = ("lazada", "tokopedia", "tiktok")
"""How far orders come, with the share of those that come no further: most are done, as in a real list."""
ENDS = (
    ("COMPLETED", 0.72), ("DELIVERED", 0.10), ("CANCELLED", 0.08), ("IN_TRANSIT", 0.05), ("RETURNED", 0.02),
    ("NEW", 0.015), ("AWAITING_PICKUP", 0.01), ("DELIVERY_PROBLEM", 0.004), ("LOST_OR_DAMAGED", 0.001),
)  # fmt: skip


def _fact(kind: str, at: datetime, status: str, channel: str, shop: str, **data: Any) -> Fact:
    return Fact(
        id=f"{kind}/{at.isoformat()}",
        type=kind,
        channel=channel,
        site="id",
        shop=shop,
        connection=CONNECTION,
        order="1",
        seller=SELLER,
        scope=Scope(line=None, package=None),
        occurred_at=at,
        source_status=status,
        occurrence=1,
        translator_version=1,
        read_at=at,
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


def _history(end: str, channel: str, shop: str, choice: random.Random) -> list[Event]:
    """The events of one order that came so far, judged as facts are."""
    at = BEGIN
    cod = choice.random() < 0.3
    lines = [
        {"line": f"L{n}", "sku": f"SKU-{choice.randrange(500)}", "name": "Kopi Arabika Gayo 250 gr",
         "quantity": choice.randint(1, 3), "unit_price": 55_000}
        for n in range(choice.choice((1, 1, 1, 2, 3)))
    ]  # fmt: skip
    facts = [
        _fact("OrderPlaced", at, "", channel, shop, reference="0", currency="IDR", city="Kota Surabaya",
              payment_method="COD" if cod else "GATEWAY", province="Jawa Timur", shipping_fee=18_000,
              total=18_000 + sum(55_000 * int(str(line["quantity"])) for line in lines), lines=lines,
              courier=choice.choice(COURIERS), service="Reguler", warehouse=choice.choice(WAREHOUSES))
    ]  # fmt: skip
    steps = {
        "NEW": (), "CANCELLED": ("OrderCancelled",), "AWAITING_PICKUP": ("ShipmentBooked",),
        "IN_TRANSIT": ("ShipmentBooked", "PackagePickedUp"),
        "DELIVERY_PROBLEM": ("ShipmentBooked", "PackagePickedUp", "DeliveryProblemReported"),
        "LOST_OR_DAMAGED": ("ShipmentBooked", "PackagePickedUp", "PackageLostOrDamaged"),
        "DELIVERED": ("ShipmentBooked", "PackagePickedUp", "PackageDelivered"),
        "COMPLETED": ("ShipmentBooked", "PackagePickedUp", "PackageDelivered", "OrderCompleted"),
        "RETURNED": ("ShipmentBooked", "PackagePickedUp", "ReturnStarted", "ReturnReceived"),
    }[end]  # fmt: skip
    told = ("PaymentSucceeded", *steps) if not cod and end != "CANCELLED" else steps
    for number, kind in enumerate(told, 1):
        extra = {"awb": "AWB0"} if kind == "ShipmentBooked" else {}
        facts.append(_fact(kind, at + timedelta(hours=7 * number), kind.lower(), channel, shop, **extra))
    order = None
    events: list[Event] = []
    for each in facts:
        judgement = judge(order, each, number="N0")
        order = judgement.order
        events += judgement.events
    return events


def histories(count: int, seed: int = 4) -> Iterator[tuple[UUID, datetime, list[tuple[str, bytes]]]]:
    """Orders as their id, the time of placement and stored events, the earliest placed first.

    Some hundred histories are judged, and each order is one of them with its own numbers and times: judging
    every one would measure nothing that is asked here.
    """
    choice = random.Random(seed)
    ends = [end for end, _ in ENDS]
    shares = [share for _, share in ENDS]
    kinds: dict[str, list[tuple[str, list[tuple[str, bytes]]]]] = {end: [] for end in ends}
    for end in ends:
        for number in range(60):
            channel = CHANNELS[number % 3]
            made = _history(end, channel, f"100{number % 7}", choice)
            kinds[end].append((channel, [(name, _form(state)) for name, state in map(encode, made)]))
    for number in range(count):
        placed = BEGIN + timedelta(seconds=number * 60)
        # A fiftieth of the list is young: what came last is not done yet.
        done = number < count * 0.98 or choice.random() < 0.2
        end = choice.choices(ends, shares)[0] if done else choice.choice(ends[3:])
        channel, forms = choice.choice(kinds[end])
        order_id = uuid5(NAMESPACE, str(number))
        own = {
            b"number": order_number(channel, order_id).encode(),
            b"marketplace": str(700_000_000_000 + number).encode(),
            b"reference": b"INV/%d" % number,
            b"awb": b"JX%010d" % number,
            **{b"at%d" % hours: _text(placed + timedelta(hours=hours)) for hours in HOURS},
        }
        yield order_id, placed, [(name, form % own) for name, form in forms]


def _form(state: bytes) -> bytes:
    """The event with places for what is each order's own."""
    form = state.replace(b"%", b"%%")
    for old, new in (
        (b'"number":"N0"', b'"number":"%(number)b"'),
        (b'"marketplace_number":"1"', b'"marketplace_number":"%(marketplace)b"'),
        (b'"reference":"0"', b'"reference":"%(reference)b"'),
        (b'"awb":"AWB0"', b'"awb":"%(awb)b"'),
        *((_text(BEGIN + timedelta(hours=hours)), b"%%(at%d)b" % hours) for hours in HOURS),
    ):
        form = form.replace(old, new)
    return form


def _text(instant: datetime) -> bytes:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def fill(database: str, count: int) -> int:
    """Write the streams of so many orders to the empty store, interleaved as they happen; the events."""
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        position = 0
        with cursor.copy(
            "COPY orders.events (position, stream_id, version, name, state, recorded_at) FROM STDIN"
        ) as copy:
            held: list[tuple[UUID, datetime, list[tuple[str, bytes]]]] = []
            for each in histories(count):
                held.append(each)
                if len(held) == 1_000:
                    position = _write(copy, held, position)
                    held.clear()
            position = _write(copy, held, position)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) orders.events")
        connection.execute("DELETE FROM orders.followers WHERE name = 'order_views.v2'")
    return position


def _write(
    copy: psycopg.Copy, held: list[tuple[UUID, datetime, list[tuple[str, bytes]]]], position: int
) -> int:
    for version in range(max((len(events) for _, _, events in held), default=0)):
        for order_id, placed, events in held:
            if version < len(events):
                position += 1
                name, state = events[version]
                copy.write_row((position, order_id, version + 1, name, state.decode(), placed))
    return position


# What stands for the words of buyers: every order has one that nearly all have (as "jalan"), a name and a
# second one of which a few are common, words of an address, and a phone number of its own.
FILL_HASHES = (
    "INSERT INTO orders.search_hashes SELECT order_id, gen_random_uuid(), seller,"
    " ARRAY[1, 10 + (random() ^ 3 * 500)::int, 1000 + (random() ^ 2 * 2000)::int,"
    " 10000 + (random() ^ 3 * 1000)::int, 20000 + (random() * 5000)::int,"
    " 1000000 + row_number() OVER ()]::bigint[] FROM orders.order_views_v2"
)
BUYERS = {
    "search, phone": [[1_005_000]],
    "search, a common name": [[10]],
    "search, two names": [[11, 1_003]],
    "search, a word of nearly all addresses": [[1]],
    "search, three words of an address": [[1, 10_002, 20_005]],
    "search, a word that is a name and in addresses": [[11], [10_003]],
}


def queries(database: str) -> dict[str, Query]:
    """Each documented filter and search, with a common and a rare word where there are both."""
    with psycopg.connect(database) as connection:
        row = (
            connection.execute(
                "SELECT state FROM orders.order_states_v2 JOIN orders.order_views_v2 USING (order_id)"
                " ORDER BY placed_at OFFSET 90000 LIMIT 1"
            ).fetchone()
            or connection.execute("SELECT state FROM orders.order_states_v2 LIMIT 1").fetchone()
        )
    assert row is not None, "The list has been filled."
    order = decode_state(row[0])
    awb = next((package.awb for package in order.packages), "JX0000090000")
    words: dict[str, tuple[tuple[str, str], ...]] = {
        "headline, common and old": (("headline", "COMPLETED"),),
        "headline, rare": (("headline", "LOST_OR_DAMAGED"),),
        "headline, some": (("headline", "IN_TRANSIT"),),
        "flag": (("flag", "HAS_PROBLEM"),),
        "order_status": (("order_status", "CONFIRMED"),),
        "request": (("request", "OPEN"),),
        "coverage": (("coverage", "UNPAID"),),
        "transaction": (("transaction", "AWAITING"),),
        "fulfilment": (("fulfilment", "RETURNED"),),
        "billing": (("billing", "NONE"),),
        "channel": (("channel", "tiktok"),),
        "shop": (("shop", "1003"),),
        "source": (("source", "CHANNEL"),),
        "agent, nobody's": (("agent", "A1"),),
        "warehouse": (("warehouse", "Medan"),),
        "courier": (("courier", "Ninja"),),
        "method": (("method", "COD"),),
        "tag, on none": (("tag", "promo"),),
        "marketplace_number": (("marketplace_number", order.marketplace_number),),
        "five at once": (("headline", "DELIVERED"), ("channel", "lazada"), ("courier", "JNE"),
                         ("warehouse", "Jakarta"), ("method", "COD")),
        "two that never meet": (("headline", "COMPLETED"), ("coverage", "UNPAID")),
    }  # fmt: skip
    page = {name: Query(seller=SELLER, limit=51, words=each) for name, each in words.items()}
    day = BEGIN.date() + timedelta(days=60)
    page["no filter"] = Query(seller=SELLER, limit=51)
    page["no filter, the earliest first"] = Query(seller=SELLER, limit=51, sort="placed_at")
    page["date_from and date_to"] = Query(seller=SELLER, limit=51, since=day, until=day + timedelta(days=1))
    page["dates and headline"] = Query(
        seller=SELLER, limit=51, words=(("headline", "CANCELLED"),), since=day, until=day + timedelta(days=7)
    )
    page["search, order number"] = Query(seller=SELLER, limit=51, search=order.number)
    page["search, marketplace number"] = Query(seller=SELLER, limit=51, search=order.marketplace_number)
    page["search, AWB"] = Query(seller=SELLER, limit=51, search=awb)
    page["search, nothing"] = Query(seller=SELLER, limit=51, search="no such number")
    return page


async def explained(database: str) -> dict[str, dict[str, Any]]:
    """What each query takes, all its statements together: medians of five, and the plans.

    `ms` is planning and execution in the database, `client_ms` the same with the round trips, the question
    for the plan included.
    """
    found: dict[str, dict[str, Any]] = {}
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        # As the pool of the service has it.
        await connection.execute("SET max_parallel_workers_per_gather = 0")
        asked = queries(database)
        asked |= {name: Query(seller=SELLER, limit=51, search="-") for name in BUYERS}
        for name, query in asked.items():
            ran: list[Statement] = []
            outside, inside = [], []
            for _ in range(6):
                ran.clear()
                began = time.perf_counter()
                rows = await page_rows(connection, query, ZONE, BUYERS.get(name, ()), ran=ran)
                outside.append((time.perf_counter() - began) * 1000)
                plans = [await _plan(connection, each, first=each is ran[0]) for each in ran]
                inside.append(sum(float(spent) for plan in plans for spent in _SPENT.findall(plan)))
            found[name] = {
                "ms": round(statistics.median(inside[1:]), 2),
                "client_ms": round(statistics.median(outside[1:]), 2),
                "rows": len(rows),
                "plan": "\n\n".join(plans),
            }
    return found


_SPENT = re.compile(r"(?:Planning|Execution) Time: ([\d.]+) ms")


async def _plan(connection: psycopg.AsyncConnection, statement: Statement, *, first: bool) -> str:
    """The plan of a statement with its times, made as page_rows has it made."""
    async with connection.transaction():
        if not first:
            await connection.execute("SET LOCAL enable_indexscan = off")
            await connection.execute("SET LOCAL enable_seqscan = off")
        cursor = await connection.execute(
            b"EXPLAIN (ANALYZE, BUFFERS OFF) " + statement[0], statement[1], prepare=False
        )
        return "\n".join(row[0] for row in await cursor.fetchall())


def _requests(key: str) -> Iterator[bytes]:
    doors = (
        "",
        "?headline=IN_TRANSIT",
        "?courier=JNE&method=COD",
        "?flag=HAS_PROBLEM",
        "?search=JX0000012345",
        "?date_from=2026-03-01&date_to=2026-03-08",
        "?sort=placed_at",
        "?headline=COMPLETED",
    )
    for door in cycle(doors):
        head = f"GET /v1/orders{door} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n"
        yield head.encode()


async def over_http(servers: Servers, per_second: float, seconds: float) -> list[float]:
    """The seconds that each page of 50 took, asked for at a steady rate of eight kinds in turn."""
    port, key = free_port(), "a key for the benchmark of the list"
    keys = [{"id": "bench", "sha256": hashlib.sha256(key.encode()).hexdigest(), "scopes": ["orders:read"],
             "seller": SELLER}]  # fmt: skip
    environment = {
        "ORDERS_HTTP_PORT": str(port),
        "API_KEYS": json.dumps(keys),
        "DATABASE_URL": servers.database,
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka,
        "KEY_ENCRYPTION_KEYS": f"bench:{KEY}",
        "LOG_LEVEL": "warning",
    }
    with process("services.orders", "api", environment=environment, log="order_list"):
        await until_ready(port, "/health/ready")
        await paced(port, _requests(key), per_second=per_second, connections=8, seconds=2)
        return await paced(port, _requests(key), per_second=per_second, connections=8, seconds=seconds)


async def measure(servers: Servers) -> dict[str, Any]:
    """The row; the plans are written beside the figures."""
    migrate_orders(servers.database)
    events = fill(servers.database, ORDERS)
    began = time.perf_counter()
    await Rebuild(servers.database).run()
    built = time.perf_counter() - began
    with psycopg.connect(servers.database, autocommit=True) as connection:
        connection.execute(FILL_HASHES)
        connection.execute("VACUUM (ANALYZE) orders.search_hashes")
    plans = await explained(servers.database)
    BENCH.mkdir(parents=True, exist_ok=True)
    (BENCH / "order_list.json").write_text(json.dumps(plans, indent=1) + "\n", encoding="utf-8")
    took = await over_http(servers, PER_SECOND, SECONDS)
    slowest = max(plans, key=lambda name: plans[name]["ms"])
    return {
        "ours": None,
        "floor": None,
        "peer": None,
        "unit": f"at {PER_SECOND:.0f} pages of 50 a second over HTTP",
        "p50_ms": round(took[len(took) // 2] * 1000, 1),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
        "query_ms_max": plans[slowest]["ms"],
        "slowest_query": slowest,
        "queries": {name: each["ms"] for name, each in plans.items()},
        "orders": ORDERS,
        "events": events,
        "filled_in_seconds": round(built, 1),
    }


if __name__ == "__main__":
    import uvloop

    from benchmarks.servers import running

    with running() as servers:
        print(json.dumps(uvloop.run(measure(servers)), indent=1))
