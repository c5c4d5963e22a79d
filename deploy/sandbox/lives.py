"""The lives of orders at both marketplaces, drawn from a seeded source of chance. Pure.

A life is a list of steps in marketplace seconds since the order's creation. The same seed gives the same
statuses; the unit (marketplace seconds per average step) stretches the times only. Two statuses of one line
are at least one whole second apart.
"""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# A bound over every chain below, so that a run knows how far back its clock must start.
STEPS_MAX = 14
GAP_LOW, GAP_HIGH = 0.4, 1.6
LINES_MAX = 5
REQUEST = "cancel-request"


class Step(NamedTuple):
    """At `at` these lines take this status; a step without lines is an event that changes no status."""

    at: int
    lines: tuple[int, ...]
    status: str


class Life(NamedTuple):
    kind: str
    cod: bool
    lines: int
    reverse: bool  # A cancellation or return carries reverse ids (Lazada).
    packages: tuple[int, ...]  # The package each line goes in, counted from 0.
    steps: tuple[Step, ...]


# How often a kind of life comes, in percent.
LAZADA_WEIGHTS: Mapping[str, int] = {
    "paid": 36,
    "cod": 14,
    "cancelled": 12,
    "part_cancelled": 8,
    "failed": 6,
    "lost": 5,
    "returned": 6,
    "repacked": 5,
    "split": 8,
}
TOKOPEDIA_WEIGHTS: Mapping[str, int] = {
    "paid": 42,
    "cod": 12,
    "cancelled": 16,
    "cancel_request": 12,
    "problem": 8,
    "returned": 5,
    "review": 5,
}


def chosen(rng: random.Random, weights: Mapping[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def longest(unit: float) -> int:
    """No life with this unit lasts longer, in marketplace seconds."""
    return STEPS_MAX * max(1, int(GAP_HIGH * unit) + 1)


def _gap(rng: random.Random, unit: float) -> int:
    return max(1, round(rng.uniform(GAP_LOW, GAP_HIGH) * unit))


def lazada(kind: str, rng: random.Random, unit: float, lines: int | None = None) -> Life:
    """A Lazada order: lines share the way to `pending`, then each package goes its own way."""
    if lines is None:
        lines = rng.choices((1, 2, 3, 4, LINES_MAX), (45, 28, 15, 8, 4))[0]
    if kind in {"part_cancelled", "split"}:
        lines = max(2, lines)
    cod = kind == "cod" or (kind != "paid" and rng.random() < 0.25)
    reverse = rng.random() < 0.5
    head = ["pending"] if cod else ["unpaid", "pending"]
    everything = tuple(range(lines))
    if kind == "cancelled":
        way = head + _until_shipped(rng)[:-1]
        head = way[: rng.randint(1, len(way))]
        ways = [(everything, ["canceled"])]
    elif kind == "part_cancelled":
        gone = rng.randrange(lines)
        rest = tuple(n for n in everything if n != gone)
        ways = [(rest, _until_shipped(rng) + _arrival(rng)), ((gone,), ["canceled"])]
    elif kind == "split":
        cut = rng.randint(1, lines - 1)
        second = rng.choice(("paid", "failed", "lost", "returned"))
        ways = [
            (everything[:cut], _until_shipped(rng) + _arrival(rng)),
            (everything[cut:], _lazada_way(second, rng)),
        ]
    else:
        ways = [(everything, _lazada_way(kind, rng))]
    packages = [0] * lines
    for number, (group, _) in enumerate(ways):
        for line in group:
            packages[line] = number
    steps = _timed(everything, head, ways, rng, unit)
    return Life(kind, cod, lines, reverse, tuple(packages), steps)


def _until_shipped(rng: random.Random) -> list[str]:
    pending = ["ready_to_ship_pending"] if rng.random() < 0.2 else []
    return ["packed", *pending, "ready_to_ship", "shipped"]


def _arrival(rng: random.Random) -> list[str]:
    return ["delivered"] if rng.random() < 0.1 else ["delivered", "confirmed"]


def _lazada_way(kind: str, rng: random.Random) -> list[str]:
    way = _until_shipped(rng)
    match kind:
        case "failed":
            return [*way, "failed_delivery", "shipped_back", "shipped_back_success"]
        case "lost":
            return [*way, rng.choice(("lost_by_3pl", "damaged_by_3pl"))]
        case "returned":
            return [*way, "delivered", "returned"]
        case "repacked":
            undone = ["packed", "ready_to_ship", "repacked"] if rng.random() < 0.4 else ["packed", "repacked"]
            return [*undone, *way, *_arrival(rng)]
        case _:
            return way + _arrival(rng)


def _timed(
    everything: tuple[int, ...],
    head: Sequence[str],
    ways: Sequence[tuple[tuple[int, ...], list[str]]],
    rng: random.Random,
    unit: float,
) -> tuple[Step, ...]:
    steps = []
    at = 0
    for number, status in enumerate(head):
        at += _gap(rng, unit) if number else 0
        steps.append(Step(at, everything, status))
    for group, way in ways:
        own = at
        for status in way:
            own += _gap(rng, unit)
            steps.append(Step(own, group, status))
    return tuple(sorted(steps, key=lambda step: step.at))


def tokopedia(kind: str, rng: random.Random, unit: float, lines: int | None = None) -> Life:
    """A Tokopedia order: all lines share the order's status; a request to cancel is a step without lines."""
    if lines is None:
        lines = rng.choices((1, 2, 3, 4), (55, 27, 12, 6))[0]
    head = ["220"] if kind == "cod" else _until_verified(rng)
    way = _tokopedia_way(kind, rng, head)
    everything = tuple(range(lines))
    steps = []
    at = 0
    for number, status in enumerate(way):
        at += _gap(rng, unit) if number else 0
        steps.append(Step(at, () if status == REQUEST else everything, status))
    return Life(kind, kind == "cod", lines, reverse=False, packages=(0,) * lines, steps=tuple(steps))


def _until_verified(rng: random.Random) -> list[str]:
    third_party = ["103"] if rng.random() < 0.6 else []
    partner = ["221"] if rng.random() < 0.05 else []
    return ["100", *third_party, "220", *partner]


def _tokopedia_way(kind: str, rng: random.Random, head: list[str]) -> list[str]:
    booked = ["450"] if rng.random() < 0.8 else []
    point = ["540"] if rng.random() < 0.1 else []
    end = ["600", "700"]
    match kind:
        case "cancelled":
            stage = rng.choices(("unpaid", "verified", "accepted"), (15, 55, 30))[0]
            if stage == "unpaid":
                return [status for status in head if status in {"100", "103"}] + ["0"]
            if stage == "verified":
                return [*head, rng.choice(("0", "3", "5", "10", "15"))]
            return [*head, "400", *booked, rng.choice(("0", "15"))]
        case "cancel_request":
            if rng.random() < 0.5:
                return [*head, "400", REQUEST, rng.choice(("10", "15"))]
            return [*head, "400", REQUEST, *booked, "500", *point, *end]
        case "problem":
            return [*head, "400", *booked, "500", rng.choice(("520", "530")), "500", *end]
        case "returned":
            return [*head, "400", *booked, "500", "550"]
        case "review":
            return [*head, "400", *booked, "500", "600", rng.choice(("690", "601")), "700"]
        case _:
            return [*head, "400", *booked, "500", *point, *end]
