"""An outside judge: what the marketplaces hold to be true, against what the system holds and has told Kafka.

It imports nothing of the services and keeps small tables of its own, so that it cannot repeat their mistakes.
Each function gives a sentence for everything that is wrong.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.integration.system import Json, Run, System

ORDERS_TOPIC = "orders.orders.v1"
TOPIC_SECONDS_MAX = 60

# What a line must be when this is the marketplace's last word about it.
LAZADA = {
    "unpaid": "NOT_STARTED",
    "pending": "NOT_STARTED",
    "packed": "READY",
    "repacked": "READY",
    "ready_to_ship_pending": "BOOKED",
    "ready_to_ship": "BOOKED",
    "shipped": "IN_TRANSIT",
    "failed_delivery": "PROBLEM",
    "shipped_back": "RETURNING",
    "shipped_back_success": "RETURNED",
    "returned": "RETURNED",
    "lost_by_3pl": "LOST_OR_DAMAGED",
    "damaged_by_3pl": "LOST_OR_DAMAGED",
    "delivered": "DELIVERED",
    "confirmed": "ACCEPTED",
    "canceled": "CANCELLED",
}
TOKOPEDIA = {
    **dict.fromkeys(("0", "3", "5", "10", "15"), "CANCELLED"),
    **dict.fromkeys(("100", "103", "220", "221", "400"), "NOT_STARTED"),
    "450": "BOOKED",
    **dict.fromkeys(("500", "540"), "IN_TRANSIT"),
    **dict.fromkeys(("520", "530"), "PROBLEM"),
    "550": "RETURNING",
    **dict.fromkeys(("600", "601", "690"), "DELIVERED"),
    "700": "ACCEPTED",
}
EXPECTED = {"lazada": LAZADA, "tokopedia": TOKOPEDIA}


class Record(NamedTuple):
    """One record of a topic, as it lies there."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Event(NamedTuple):
    """One public event of an order."""

    id: str
    type: str
    order: str
    sequence: int
    data: Json

    @property
    def name(self) -> str:
        return self.type.split(".")[2]


def judge(system: System, run: Run) -> list[str]:
    """Everything that is wrong with what became of a run, and with all that the system ever published."""
    truth = run.truth()
    published, wrong = told([_event(each) for each in read_topics(system.endpoints["kafka"], [ORDERS_TOPIC])])
    orders = system.listed("orders", "/v1/orders")
    if len(truth) != run.orders:
        wrong.append(f"The marketplaces have {len(truth)} orders instead of {run.orders}.")
    wrong += orders_wrong(truth, orders)
    wrong += store_wrong(system.read_store(), published)
    wrong += counts_wrong(orders, published)
    wrong += stock_wrong(published, system.listed("inventory", "/v1/stock"))
    wrong += deliveries_wrong(published, system.listed("notifications", "/v1/deliveries"))
    return wrong


# ---- the topic


def read_topics(kafka: str, topics: Sequence[str]) -> list[Record]:
    """Every record of the topics from their beginning to their present end; in no group."""
    return asyncio.run(_read_topics(kafka, topics))


async def _read_topics(kafka: str, topics: Sequence[str]) -> list[Record]:
    found: list[Record] = []
    async with (
        asyncio.timeout(TOPIC_SECONDS_MAX),
        AIOKafkaConsumer(*topics, bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer,
    ):
        partitions: set[TopicPartition] = consumer.assignment()
        assert {each.topic for each in partitions} == set(topics), "Every topic is there."
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        while short := [each for each in partitions if await consumer.position(each) < ends[each]]:
            batches = await consumer.getmany(*short, timeout_ms=200)
            found += [
                Record(one.topic, one.partition, one.offset, one.key, one.value, tuple(one.headers))
                for batch in batches.values()
                for one in batch
            ]
    return found


def _event(record: Record) -> Event:
    headers = {name: (value or b"").decode() for name, value in record.headers}
    event = Event(
        headers["ce_id"],
        headers["ce_type"],
        headers["ce_subject"],
        int(headers["ce_sequence"]),
        json.loads(record.value or b"null"),
    )
    assert record.key == event.order.encode(), f"{event.id} lies under the key {record.key!r}."
    return event


def told(events: Iterable[Event]) -> tuple[dict[str, Event], list[str]]:
    """The events as one who drops what he has seen gets them, by id, and what is wrong with their order."""
    seen: dict[str, Event] = {}
    last: Counter[str] = Counter()
    wrong = []
    for event in events:
        if event.id != f"{event.order}/{event.sequence}":
            wrong.append(f"Event {event.id} is number {event.sequence} of order {event.order}.")
        if event.sequence <= last[event.order]:
            if seen.get(event.id) != event:
                wrong.append(f"Event {event.id} was told twice, and not the same.")
        elif event.sequence == last[event.order] + 1:
            seen[event.id] = event
            last[event.order] = event.sequence
        else:
            wrong.append(f"Event {event.id} came after number {last[event.order]}.")
    return seen, wrong


def store_wrong(stored: Sequence[Json], published: Mapping[str, Event]) -> Iterable[str]:
    """The store and the topic hold the same events."""
    held: dict[str, Event] = {}
    for each in stored:
        event = Event(each["id"], each["type"], each["subject"], int(each["sequence"]), each["data"])
        if event.id in held:
            yield f"Event {event.id} is in the store twice."
        held[event.id] = event
        if event.id not in published:
            yield f"Event {event.id} is in the store and not on the topic."
        elif published[event.id] != event:
            yield f"Event {event.id} says one thing in the store and another on the topic."
    yield from (
        f"Event {each} is on the topic and not in the store." for each in published.keys() - held.keys()
    )


# ---- orders


def orders_wrong(truth: Sequence[Json], orders: Sequence[Json]) -> Iterable[str]:
    """Every order of the run is held exactly once, with its lines and its money."""
    held: dict[tuple[str, str, str], list[Json]] = defaultdict(list)
    for order in orders:
        held[order["channel"], order["shop"], order["marketplace_number"]].append(order)
    for item in truth:
        found = held[item["marketplace"], item["shop"], item["order"]]
        if len(found) != 1:
            yield f"{item['marketplace']} order {item['order']} is held {len(found)} times."
        else:
            yield from _lines_wrong(item, found[0])
            yield from _money_wrong(item, found[0])


def _expected(item: Json) -> dict[str, str | None]:
    return {line["line"]: EXPECTED[item["marketplace"]].get(line["status"]) for line in item["lines"]}


def _lines_wrong(item: Json, order: Json) -> Iterable[str]:
    expected = {line: {value} for line, value in _expected(item).items()}
    found = {line["line"]: {_value(part) for part in line["parts"]} for line in order["lines"]}
    if found != expected:
        yield f"{item['marketplace']} order {item['order']}: due is {expected}, held is {found}; truth {item}."


def _value(part: Json) -> str:
    if part["cancelled"]:
        return "CANCELLED"
    return "ACCEPTED" if part["accepted"] else str(part["status"])


def _money_wrong(item: Json, order: Json) -> Iterable[str]:
    """A partly cancelled order costs less than what it was placed for; any other just that."""
    total, currency = order["money"]["total"], order["money"]["currency"]
    values = set(_expected(item).values())
    partly = "CANCELLED" in values and len(values) > 1
    if currency != item["currency"] or not (0 <= total < item["total"] if partly else total == item["total"]):
        yield (
            f"{item['marketplace']} order {item['order']} costs {item['currency']} {item['total']},"
            f" held is {currency} {total}."
        )


def counts_wrong(orders: Sequence[Json], published: Mapping[str, Event]) -> Iterable[str]:
    """Every order in the list has been told of to its last event, and none but those."""
    counts = Counter(event.order for event in published.values())
    held = {order["id"]: order["sequence"] for order in orders}
    for order in counts.keys() | held.keys():
        if counts[order] != held.get(order):
            yield f"Order {order} has {counts[order]} events on the topic and {held.get(order)} in the list."


# ---- what others made of the events


def stock_wrong(published: Mapping[str, Event], levels: Sequence[Json]) -> Iterable[str]:
    """The figures of inventory are those that the events give, each counted once."""
    expected = stock_of(published.values())
    found = {level["sku"]: (level["reserved"], level["shipped"]) for level in levels}
    for sku in sorted(expected.keys() | found.keys()):
        if expected.get(sku) != found.get(sku):
            yield f"SKU {sku}: the events give {expected.get(sku)}, inventory says {found.get(sku)}."


def stock_of(events: Iterable[Event]) -> dict[str, tuple[int, int]]:
    """Units promised and units gone of each SKU."""
    reserved: Counter[str] = Counter()
    shipped: Counter[str] = Counter()
    # Of each line: its SKU, and the units that are promised and neither released nor gone.
    lines: dict[tuple[str, str], list[Any]] = {}
    for event in events:
        if event.name == "OrderPlaced":
            for line in event.data["lines"]:
                lines[event.order, line["line"]] = [line["sku"].strip(), line["quantity"]]
                reserved[line["sku"].strip()] += line["quantity"]
        elif event.name == "OrderDetailsCompleted":
            for line in event.data["lines"]:
                place = lines[event.order, line["line"]]
                if line.get("sku") and not place[0]:
                    place[0] = line["sku"].strip()
                    reserved[place[0]] += place[1]
        elif event.name in {"LinesCancelled", "OrderCancelled", "PackagePickedUp"}:
            for part in event.data["parts"]:
                place = lines[event.order, part["line"]]
                units = min(part["quantity"], place[1])
                place[1] -= units
                reserved[place[0]] -= units
                shipped[place[0]] += units if event.name == "PackagePickedUp" else 0
    return {sku: (reserved[sku], shipped[sku]) for sku in reserved if sku}


def deliveries_wrong(published: Mapping[str, Event], deliveries: Sequence[Json]) -> Iterable[str]:
    """Of each kind of event that is told to a seller, every event has one row in the ledger."""
    rows = Counter(row["event_id"] for row in deliveries)
    kinds = {row["event"] for row in deliveries}
    if published and not {"OrderPlaced", "OrderCompleted", "OrderCancelled"} <= kinds:
        yield f"Sellers are told of {kinds} only."
    for event in published.values():
        # A step that was only concluded from later news is told by that news.
        due = 1 if event.name in kinds and not event.data["implied"] else 0
        if rows[event.id] != due:
            yield f"Event {event.id} ({event.name}) has {rows[event.id]} deliveries instead of {due}."
    yield from (
        f"A delivery is about {each}, which was never told." for each in rows.keys() - published.keys()
    )


# ---- the end of a test


def assert_whole(system: System, run: Run, seconds: float = 60) -> None:
    """Fail, with a sentence for everything that is wrong, unless all of the run arrived, once and in order.

    News whose push was lost is found by polls, those of an order without payment after eight of them only:
    until then the judge looks again. What was lost, doubled or out of order is so for ever.
    """
    run.wait()
    deadline = time.monotonic() + seconds
    wrong = [""]
    while wrong and time.monotonic() < deadline:
        system.settle()
        wrong = judge(system, run)
    assert not wrong, "\n".join([f"{len(wrong)} things are wrong:", *wrong[:30]])
