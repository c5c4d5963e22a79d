"""One trace leads from a marketplace's push to the public event, through every table and topic on the way.

What it must look like is in golden/traces.json; `JEJAK_WRITE_GOLDEN=1` writes it anew, for a reader to judge.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from libs.events.topics import ORDERS_ORDERS
from tests.integration.collector import Collector, Told, Value
from tests.integration.judge import read_topics
from tests.integration.system import System, wait_until

pytestmark = pytest.mark.connected

GOLDEN = Path(__file__).parent / "golden" / "traces.json"
SEED = 11
# Orders tried until a push comes before the poll that finds the same.
TRIES_MAX = 5
STAGES = {
    ("channels", "read order"),
    ("channels", "send channels.orders.v1"),
    ("orders", "process channels.orders.v1"),
    ("orders", "send orders.orders.v1"),
    ("inventory", "process orders.orders.v1"),
    ("notifications", "process orders.orders.v1"),
}
_VOLATILE: tuple[tuple[str, str], ...] = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/[0-9]+)?", "<id>"),
    (r"http://127\.0\.0\.1:[0-9]+", "<marketplace>"),
)
_NUMBERS = {
    "messaging.kafka.offset",
    "messaging.destination.partition.id",
    "messaging.batch.message_count",
    "order.sequence",
    "server.port",
}


def steady(name: str, value: Value) -> Value:
    """The value without what differs from run to run, or when an order's life is told otherwise."""
    if name in _NUMBERS:
        return "<number>"
    if name == "event.type":
        return "<event>"
    text = str(value)
    for pattern, instead in _VOLATILE:
        text = re.sub(pattern, instead, text)
    return text if isinstance(value, str) else value


class Forest:
    """The spans of the whole run by their ids, as the golden file describes them."""

    def __init__(self, spans: list[Told]) -> None:
        self._by_id = {span.span: span for span in spans}
        self._spans = spans

    def path(self, span: Told) -> list[str]:
        """From the root to the span: service and name of each."""
        above = self._by_id.get(span.parent)
        assert above is not None or not span.parent, f"The parent of {span.name} was never sent."
        return [*(self.path(above) if above else []), f"{span.service}: {span.name}"]

    def described(self, trace: str) -> list[dict[str, Any]]:
        """Every distinct span of the trace; what happens twice alike, such as a repeated reading, once."""
        return _distinct(self._description(span, trace) for span in self._spans if span.trace == trace)

    def batches_of(self, trace: str) -> list[dict[str, Any]]:
        """The spans of batches that link into the trace: each is a root of a trace of its own."""
        return _distinct(
            self._description(span, trace)
            for span in self._spans
            if span.trace != trace and any(link[0] == trace for link in span.links)
        )

    def _description(self, span: Told, trace: str) -> dict[str, Any]:
        links = [self._by_id[linked] for _, linked, _ in span.links]
        # A batch may hold messages of other traces too.
        own = [each for each in links if each.trace == trace or span.trace == trace]
        return {
            "path": self.path(span),
            "kind": span.kind,
            "failed": span.failed,
            "attributes": {name: steady(name, value) for name, value in sorted(span.attributes.items())},
            "links": sorted(
                {
                    f"{each.service}: {each.name} ({each.kind}{'' if each.parent else ', root'})"
                    for each in own
                }
            ),
        }


def _distinct(described: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found = {json.dumps(each, sort_keys=True): each for each in described}
    return [found[key] for key in sorted(found, key=lambda key: (found[key]["path"], key))]


def advance(system: System, marketplace: str, *, steps: int) -> Callable[[], None]:
    """An order that has gone so many steps and is known everywhere; the function takes one step more."""
    asked = {"marketplace": marketplace, "life": "paid", "lines": 1, "seed": SEED, "steps": steps}
    before = len(system.read_store())
    order = str(system.sandbox("/orders", asked)["order"])
    wait_until(lambda: len(system.read_store()) > before, 120, f"events of order {order}")
    system.settle()

    def step() -> None:
        system.sandbox(f"/orders/{order}/advance", {"steps": 1})

    return step


def trace_of_next_push(
    system: System, collector: Collector, route: str, step: Callable[[], None]
) -> str | None:
    """The trace of the first push that the step makes, once all of it has come in.

    None where a poll read the order before the push came: then the events are in the trace of the poll.
    """
    before = {span.span for span in collector.spans()}
    step()

    def pushes() -> list[Told]:
        return [
            span
            for span in collector.spans()
            if span.span not in before and span.kind == "SERVER" and span.name == f"POST {route}"
        ]

    def complete(trace: str) -> bool:
        spans = [span for span in collector.spans() if span.trace == trace]
        return {(span.service, span.name) for span in spans} >= STAGES

    wait_until(lambda: bool(pushes()), 120, f"a span of {route}")
    system.settle()
    # Spans are sent a moment after they end.
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := [each.trace for each in pushes() if complete(each.trace)]:
            return found[0]
        time.sleep(0.1)
    return None


@pytest.mark.parametrize(
    ("marketplace", "route", "steps"),
    [
        # Facts that a signed push states are published at once, and confirmed by a reading.
        ("lazada", "/webhooks/lazada/{app}", 2),
        # A notice that nothing signs only asks for a reading, which brings the facts.
        ("tokopedia", "/webhooks/tokopedia/{token}/{topic}", 2),
    ],
)
def test_one_trace_from_the_push_to_the_public_event(
    system: System, collector: Collector, marketplace: str, route: str, steps: int
) -> None:
    trace = None
    for _ in range(TRIES_MAX):
        step = advance(system, marketplace, steps=steps)
        trace = trace_of_next_push(system, collector, route, step)
        if trace is not None:
            break
    assert trace is not None, "A push whose trace leads through every stage."

    traceparents = [
        (dict(record.headers).get("traceparent") or b"").decode()
        for record in read_topics(system.endpoints["kafka"], [ORDERS_ORDERS.name])
    ]
    carried = {text.split("-")[2] for text in traceparents if text.startswith(f"00-{trace}-")}
    creations = {
        span.span
        for span in collector.spans()
        if span.trace == trace and span.name == f"create {ORDERS_ORDERS.name}"
    }
    assert carried, "The public events of the push carry its trace."
    assert carried == creations, "Each carries the span that created it, whatever relayed it."

    forest = Forest(collector.spans())
    described = {"trace": forest.described(trace), "batches": forest.batches_of(trace)}
    if os.environ.get("JEJAK_WRITE_GOLDEN"):
        golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
        golden[marketplace] = described
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert described == golden[marketplace]
