"""For any JSON value the translators give elements of the wire's shape or Malformed, and nothing else."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.channels.lazada import translate as lazada
from services.channels.marketplace import Malformed, Market, PushClass, parse
from services.channels.tokopedia import translate as tokopedia

SAMPLES = Path(__file__).parent / "samples"
MARKETS: dict[str, Market] = {"lazada": lazada, "tokopedia": tokopedia}
KEYS = [
    "type", "channel", "site", "shop", "order", "scope", "occurred_at", "approximate", "source_status",
    "occurrence", "translator_version", "data",
]  # fmt: skip
FETCH_KEYS = ["type", "channel", "site", "shop", "order"]
TOPICS = ["order_notification", "order_status", "order_cancellation", "order_request_cancellation", "merge"]

# Samples that reach every branch, with the kind they are.
RICH = {
    ("lazada", "push"): [
        "push_trade_05_ready_to_ship",
        "push_type10_reverse_order",
        "push_type14_fulfillment",
    ],
    ("lazada", "items"): ["order_items_get.docs_types", "orders_items_get.two_orders"],
    ("lazada", "orders"): ["orders_get.live_types"],
    ("tokopedia", "notification"): ["webhook_order_notification_220"],
    ("tokopedia", "status"): ["webhook_order_status_221"],
    ("tokopedia", "order"): ["order_single_500_ok"],
    ("tokopedia", "orders"): ["order_list_ok"],
}


def sample(market: str, name: str) -> Any:
    return parse((SAMPLES / market / f"{name}.json").read_bytes())


PAYLOADS: list[tuple[str, str, Any]] = [
    (market, kind, sample(market, name)) for (market, kind), names in RICH.items() for name in names
]
PAYLOADS.append(
    (
        "lazada",
        "read",
        {"order": sample("lazada", "order_get.mixed"), "items": sample("lazada", "order_items_get.mixed")},
    )
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**5000, max_value=10**5000 + 9)
    | st.floats()
    | st.decimals()
    | st.text(max_size=20)
    | st.sampled_from(
        ["", " ", "0", "null", "2026-03-05 10:59:26 +0800", "-1", "1e9", "\ud800", 10**30, Decimal("1e99")]
    )
)
words = st.sampled_from(
    ["data", "code", "header", "message_type", "seller_id", "order_id", "order_status", "items", "order", "orders",
     "order_items", "status", "products", "amt", "order_info", "trade_order_id", "site", "count"]
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=12,
)
bounded = settings(max_examples=150, suppress_health_check=list(HealthCheck))


def outcome(market: str, kind: str, payload: object) -> list[dict[str, Any]] | str:
    try:
        elements = MARKETS[market].translate(kind, payload, site=None, shop="9")
    except Malformed as malformed:
        refused = malformed
    else:
        return of_the_wire(elements)
    assert refused.code
    assert refused.field
    json.dumps(refused.as_json())
    return refused.code


def of_the_wire(elements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for element in elements:
        assert list(element) == (FETCH_KEYS if element["type"] == "FetchOrder" else KEYS)
    json.dumps(elements, allow_nan=False).encode()
    return elements


def classified(market: str, payload: object) -> None:
    for topic in TOPICS:
        try:
            found = lazada.classify(payload) if market == "lazada" else tokopedia.classify(topic, payload)
        except Malformed:
            continue
        assert isinstance(found, PushClass)
        assert len(found.delivery_key("door", b"body")) == 64


@bounded
@given(values)
def test_any_value_is_facts_or_malformed(payload: object) -> None:
    for market, translator in MARKETS.items():
        for kind in sorted(translator.KINDS):
            outcome(market, kind, payload)
        classified(market, payload)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [path, *(found for key in value for found in places(value[key], (*path, key)))]
    if isinstance(value, list):
        return [path, *(found for index, each in enumerate(value) for found in places(each, (*path, index)))]
    return [path]


def replaced(value: Any, path: tuple[str | int, ...], new: Any, drop: bool) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if drop and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(copy[path[0]], path[1:], new, drop)
    return copy


@bounded
@given(st.data())
def test_any_mutation_of_a_sample_is_facts_or_malformed(data: st.DataObject) -> None:
    market, kind, payload = data.draw(st.sampled_from(PAYLOADS))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(payload)))
        payload = replaced(payload, path, data.draw(values), drop=data.draw(st.booleans()))
    outcome(market, kind, payload)
    classified(market, payload)


def test_any_dropped_key_is_facts_or_malformed() -> None:
    for market, kind, payload in PAYLOADS:
        for path in places(payload):
            if path:
                outcome(market, kind, replaced(payload, path, None, drop=True))


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(each) for each in value] if isinstance(value, list) else value


def numbers_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: numbers_as_text(each) for key, each in value.items()}
    if isinstance(value, list):
        return [numbers_as_text(each) for each in value]
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def test_the_order_of_keys_changes_nothing() -> None:
    for market, kind, payload in PAYLOADS:
        assert outcome(market, kind, reordered(payload)) == outcome(market, kind, payload)


def test_numbers_given_as_text_change_nothing() -> None:
    for market, kind, payload in PAYLOADS:
        assert outcome(market, kind, numbers_as_text(payload)) == outcome(market, kind, payload)


@bounded
@given(
    st.binary(max_size=200)
    | st.text(alphabet='[]{}":,0123456789.eE+-nultrfas\\', max_size=60).map(str.encode)
)
def test_any_body_is_a_value_or_malformed(raw: bytes) -> None:
    try:
        parse(raw)
    except Malformed:
        return
