"""Whether the system holds what is true at the marketplaces: an outside judge. Pure.

It knows the marketplaces' words by small tables of its own and shares none with the services, so that it
cannot repeat their mistakes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.local.doors import Event, Json

# What a line must have become when this is its last word at the marketplace. ACCEPTED: delivered, and
# finished for the marketplace. NOT_STARTED: whatever was said of payment, the goods have not moved.
LAZADA: Mapping[str, str] = {
    "unpaid": "NOT_STARTED",
    "pending": "NOT_STARTED",
    "packed": "READY",
    "repacked": "READY",
    "ready_to_ship_pending": "BOOKED",
    "ready_to_ship": "BOOKED",
    "shipped": "IN_TRANSIT",
    "failed_delivery": "PROBLEM",
    "delivered": "DELIVERED",
    "confirmed": "ACCEPTED",
    "shipped_back": "RETURNING",
    "shipped_back_success": "RETURNED",
    "returned": "RETURNED",
    "lost_by_3pl": "LOST_OR_DAMAGED",
    "damaged_by_3pl": "LOST_OR_DAMAGED",
    "package_scrapped": "LOST_OR_DAMAGED",
    "canceled": "CANCELLED",
}
TOKOPEDIA: Mapping[str, str] = {
    **dict.fromkeys(("100", "103", "220", "221", "400"), "NOT_STARTED"),
    "450": "BOOKED",
    **dict.fromkeys(("500", "540"), "IN_TRANSIT"),
    **dict.fromkeys(("520", "530"), "PROBLEM"),
    "550": "RETURNING",
    **dict.fromkeys(("600", "601", "690"), "DELIVERED"),
    "700": "ACCEPTED",
    **dict.fromkeys(("0", "3", "5", "10", "15"), "CANCELLED"),
}
EXPECTED: Mapping[str, Mapping[str, str]] = {"lazada": LAZADA, "tokopedia": TOKOPEDIA}

# The headline that goods give, the least advanced first: it speaks for the order.
HEADLINES: Mapping[str, str] = {
    "READY": "READY_TO_SHIP",
    "BOOKED": "AWAITING_PICKUP",
    "PROBLEM": "DELIVERY_PROBLEM",
    "IN_TRANSIT": "IN_TRANSIT",
    "RETURNING": "RETURNING",
    "DELIVERED": "DELIVERED",
    "ACCEPTED": "DELIVERED",
    "LOST_OR_DAMAGED": "LOST_OR_DAMAGED",
    "RETURNED": "RETURNED",
}
# What an order may say while none of its goods has moved.
BEFORE_GOODS = frozenset(
    {"NEW", "CONFIRMED", "AWAITING_PAYMENT", "PAYMENT_IN_PROCESS", "PAYMENT_SUCCEEDED", "PAID", "PARTLY_PAID"}
)
# Values that let an order be finished when at least one line is accepted.
OVER = frozenset({"ACCEPTED", "LOST_OR_DAMAGED", "RETURNED"})
# Flags that say that the order does not know what to believe; no life of the sandbox gives a reason for one.
DOUBTS = ("CHANNEL_CONFLICT", "UNRECOGNISED", "TOTALS_DIFFER")
# How Tokopedia ends an order that nobody paid.
UNPAID_END = "0"
# With 8 % of the pushes lost, fewer than one order in a thousand is expected to be so unlucky.
UNKNOWABLE_MAX = 0.01
STATUS_FIELDS = ("lag_records", "unpublished_events", "waiting", "parked")

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was read from outside after the run."""

    truth: Sequence[Json]
    # Every order in the list, and those of the run once more by their own door.
    listed: Sequence[Json]
    orders: Mapping[str, Json]
    # The events of all orders: as HTTP gives them out of the store, and as they lie on Kafka.
    stored: Sequence[Event]
    published: Sequence[Event]
    statuses: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: what there must be, and what there is."""

    about: str
    expected: int
    found: int

    @property
    def agrees(self) -> bool:
        return self.expected == self.found


@dataclass(slots=True)
class Verdict:
    """The checks and each difference as a sentence; beside them what is no difference.

    `repeats`: how often Kafka repeated an event, which it may. `unknowable`: orders that Tokopedia's list
    leaves out, so that they cannot be known of when every push about them was lost.
    """

    checks: list[Check] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    repeats: int = 0
    unknowable: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        return not self.differences and all(check.agrees for check in self.checks)

    def check(self, about: str, expected: int, differences: Iterable[str]) -> None:
        """Add a check that finds all that is expected but for one per difference."""
        found = list(differences)
        self.checks.append(Check(about, expected, expected - len(found)))
        self.differences += found


def judge(evidence: Evidence) -> Verdict:
    """Compare the marketplaces' truth with what the system holds and has told Kafka."""
    verdict = Verdict()
    truth = {_key(item["marketplace"], item["shop"], item["order"]): item for item in evidence.truth}
    listed: dict[Key, list[str]] = defaultdict(list)
    for item in evidence.listed:
        key = _key(item["channel"], item["shop"], item["marketplace_number"])
        if key in truth:
            listed[key].append(str(item["id"]))
    unknowable = _unknowable(truth, listed)
    verdict.unknowable = [_name(key) for key in unknowable]
    due = [key for key in truth if key not in unknowable]
    verdict.check("orders at the marketplaces, each held once", len(due), _not_once(due, listed))
    pairs = [
        (truth[key], evidence.orders[ids[0]])
        for key, ids in listed.items()
        if ids and ids[0] in evidence.orders
    ]
    _judge_orders(verdict, pairs)
    doors = _two_doors(evidence.listed, evidence.orders)
    verdict.check("orders alike in the list and by their own door", len(evidence.orders), doors)
    ids = {one for each in listed.values() for one in each}
    _judge_events(verdict, evidence, ids)
    pending = [
        f"{service} is not drained: {name} is {status.get(name)}."
        for service, status in evidence.statuses.items()
        for name in STATUS_FIELDS
        if status.get(name) != 0
    ]
    verdict.check("drained figures of the services", len(evidence.statuses) * len(STATUS_FIELDS), pending)
    return verdict


def _key(channel: str, shop: Any, number: Any) -> Key:
    return channel.lower(), str(shop), str(number)


def _name(key: Key) -> str:
    return f"{key[0]} order {key[2]} of shop {key[1]}"


def _called(truth: Json) -> str:
    return _name(_key(truth["marketplace"], truth["shop"], truth["order"]))


def _unknowable(truth: Mapping[Key, Json], listed: Mapping[Key, list[str]]) -> frozenset[Key]:
    """Missing orders that may have been cancelled unpaid with every push lost.

    Tokopedia lists an order from status 220 on. One that was cancelled before is told of by two or three
    pushes only, and the truth does not say whether they were lost; more than a few of them are not believed.
    """
    found = [
        key
        for key, item in truth.items()
        if not listed.get(key)
        and item["marketplace"] == "tokopedia"
        and {line["status"] for line in item["lines"]} == {UNPAID_END}
    ]
    return frozenset(found if len(found) <= max(1, len(truth) * UNKNOWABLE_MAX) else [])


def _not_once(truth: Iterable[Key], listed: Mapping[Key, list[str]]) -> Iterable[str]:
    for key in truth:
        held = listed.get(key, [])
        if not held:
            yield f"{_name(key)} is missing."
        elif len(held) > 1:
            yield f"{_name(key)} is held {len(held)} times: {', '.join(held)}."


# ---- orders


def _judge_orders(verdict: Verdict, pairs: Sequence[tuple[Json, Json]]) -> None:
    lines = sum(len(truth["lines"]) for truth, _ in pairs)
    verdict.check("lines in the state of the marketplace", lines, _each(pairs, _wrong_lines))
    verdict.check("headlines that follow from the lines", len(pairs), _each(pairs, _wrong_headline))
    verdict.check("totals and currencies", len(pairs), _each(pairs, _wrong_money))
    verdict.check("payments that follow from the lines", len(pairs), _each(pairs, _wrong_payment))
    verdict.check("orders without doubt", len(pairs), _each(pairs, _doubts))


def _each(pairs: Sequence[tuple[Json, Json]], compare: Any) -> Iterable[str]:
    return [sentence for truth, order in pairs for sentence in compare(truth, order)]


def expected_values(truth: Json) -> dict[str, str | None]:
    """What each line must have become; None for a word that the judge does not know."""
    table = EXPECTED[truth["marketplace"]]
    return {str(line["line"]): table.get(str(line["status"])) for line in truth["lines"]}


def held_values(order: Json) -> dict[str, set[str]]:
    """What each line is, as the order's parts say; more than one value when they differ."""
    held: dict[str, set[str]] = defaultdict(set)
    for line in order["lines"]:
        for part in line["parts"]:
            held[str(line["line"])].add(_value(part))
    return held


def _value(part: Json) -> str:
    if part.get("cancelled"):
        return "CANCELLED"
    return "ACCEPTED" if part.get("accepted") else str(part["status"])


def _wrong_lines(truth: Json, order: Json) -> Iterable[str]:
    held = held_values(order)
    said = {str(line["line"]): str(line["status"]) for line in truth["lines"]}
    for line, expected in expected_values(truth).items():
        found = held.pop(line, set())
        if found != {expected}:
            words = " and ".join(sorted(found)) or "no such line"
            yield (
                f"{_called(truth)}, line {line}: the marketplace says {said[line]}, so {expected} is due;"
                f" held: {words}."
            )
    if held:
        yield f"{_called(truth)} has lines that the marketplace does not have: {', '.join(sorted(held))}."
    for row in order["lines"]:
        quantity = sum(part["quantity"] for part in row["parts"])
        if quantity != row["quantity"]:
            yield f"{_called(truth)}, line {row['line']}: {row['quantity']} ordered, {quantity} in parts."


def due_headlines(values: Iterable[str | None]) -> frozenset[str]:
    """The headlines that an order with these lines may show."""
    active = {value for value in values if value != "CANCELLED"}
    if not active:
        return frozenset({"CANCELLED"})
    if "ACCEPTED" in active and active <= OVER:
        return frozenset({"COMPLETED"})
    if "NOT_STARTED" in active:
        return BEFORE_GOODS
    return frozenset(next(([shown] for value, shown in HEADLINES.items() if value in active), []))


def _wrong_headline(truth: Json, order: Json) -> Iterable[str]:
    due = due_headlines(expected_values(truth).values())
    if order["headline"] not in due:
        yield f"{_called(truth)} shows {order['headline']}; due is {' or '.join(sorted(due)) or 'unknown'}."


def _wrong_money(truth: Json, order: Json) -> Iterable[str]:
    """A partly cancelled order costs less than it was placed for; any other costs just that."""
    money = order["money"]
    values = list(expected_values(truth).values())
    partly = "CANCELLED" in values and set(values) != {"CANCELLED"}
    right = 0 <= money["total"] <= truth["total"] if partly else money["total"] == truth["total"]
    if not right or money["currency"] != truth["currency"]:
        yield (
            f"{_called(truth)} costs {truth['currency']} {truth['total']} at the marketplace"
            f"{' before a line was cancelled' if partly else ''}; held: {money['currency']} {money['total']}."
        )


def _wrong_payment(truth: Json, order: Json) -> Iterable[str]:
    """A finished order is paid; of a cancelled one all that was paid is to go back."""
    due = due_headlines(expected_values(truth).values())
    money, coverage = order["money"], order["payment"]["coverage"]
    if due == {"COMPLETED"} and coverage != "PAID":
        yield f"{_called(truth)} is finished and {coverage}; due is PAID."
    if due == {"CANCELLED"} and money["refund_due"] != money["net_paid"]:
        yield (
            f"{_called(truth)} is cancelled with {money['net_paid']} paid; held as to go back:"
            f" {money['refund_due']}."
        )


def _doubts(truth: Json, order: Json) -> Iterable[str]:
    raised = [flag for flag in DOUBTS if flag in flags_of(order)]
    if raised:
        yield f"{_called(truth)} is flagged {', '.join(raised)}."


def flags_of(order: Json) -> list[str]:
    """The names of an order's flags, in the order's own sequence."""
    return [str(flag["flag"]) if isinstance(flag, dict) else str(flag) for flag in order["flags"]]


def _two_doors(listed: Iterable[Json], orders: Mapping[str, Json]) -> Iterable[str]:
    rows = {str(item["id"]): item for item in listed}
    for order, own in orders.items():
        row = rows.get(order, {})
        if (row.get("sequence"), row.get("headline")) != (own["sequence"], own["headline"]):
            yield (
                f"Order {order} is {row.get('headline')} after event {row.get('sequence')} in the list,"
                f" {own['headline']} after event {own['sequence']} by its own door."
            )


# ---- events


def _judge_events(verdict: Verdict, evidence: Evidence, ids: set[str]) -> None:
    # Kafka forgets after a week, so that the events of orders of earlier runs prove nothing.
    earlier = {str(item["id"]) for item in evidence.listed} - ids
    stored = {event.id: event for event in evidence.stored if event.order not in earlier}
    told = [event for event in evidence.published if event.order not in earlier]
    published = {event.id: event for event in told}
    verdict.repeats = len(told) - len(published)
    verdict.check(
        "events in the store, each on Kafka and alike", len(stored), _not_on_kafka(stored, published)
    )
    verdict.check("events on Kafka, each in the store", len(published), _not_in_store(stored, published))
    verdict.check("repeats on Kafka that say the same", verdict.repeats, _unlike(told))
    verdict.check(
        "orders numbered 1, 2, 3 ... in the store", len(ids), gaps(stored.values(), ids, "in the store")
    )
    verdict.check("orders numbered 1, 2, 3 ... on Kafka", len(ids), gaps(published.values(), ids, "on Kafka"))
    verdict.check("orders that count all their events", len(evidence.orders), _miscounted(evidence))


def _not_on_kafka(stored: Mapping[str, Event], published: Mapping[str, Event]) -> Iterable[str]:
    for name, event in stored.items():
        told = published.get(name)
        if told is None:
            yield f"Event {name} is in the store and not on Kafka."
        elif told != event:
            yield f"Event {name} says one thing in the store and another on Kafka."


def _not_in_store(stored: Mapping[str, Event], published: Mapping[str, Event]) -> Iterable[str]:
    return [f"Event {name} is on Kafka and not in the store." for name in published if name not in stored]


def _unlike(published: Iterable[Event]) -> Iterable[str]:
    first: dict[str, Event] = {}
    for event in published:
        if first.setdefault(event.id, event) != event:
            yield f"Event {event.id} was published twice with different content."


def gaps(events: Iterable[Event], ids: Iterable[str], where: str) -> Iterable[str]:
    """A sentence for each order whose events are not numbered 1 to n, each number once."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in events:
        numbers[event.order].append(event.sequence)
    for order in sorted(ids):
        found = sorted(numbers[order])
        if found == list(range(1, len(found) + 1)) and found:
            continue
        twice = [number for number, count in Counter(found).items() if count > 1]
        missing = sorted(set(range(1, max(found, default=1) + 1)) - set(found))
        wrong = [f"number {number} is missing" for number in missing[:3]]
        wrong += [f"number {number} belongs to several events" for number in twice[:3]]
        yield f"Order {order} {where}: {', '.join(wrong) or 'its numbers do not start at 1'}."


def _miscounted(evidence: Evidence) -> Iterable[str]:
    counts = Counter(event.order for event in {event.id: event for event in evidence.stored}.values())
    for order, held in evidence.orders.items():
        if held["sequence"] != counts[order]:
            yield f"Order {order} counts {held['sequence']} events, the store gives {counts[order]}."
