"""Every order-related sample of both marketplaces states exactly the facts in the file beside it."""

import json
from pathlib import Path

import pytest

from services.channels.lazada import translate as lazada
from services.channels.marketplace import Malformed, Market, parse
from services.channels.tokopedia import translate as tokopedia

SAMPLES = Path(__file__).parent / "samples"
MARKETS: dict[str, Market] = {"lazada": lazada, "tokopedia": tokopedia}
# The first prefix that fits tells what a sample is.
KINDS = {
    "lazada": {
        "push_": "push",
        "order_get.": "order",
        "orders_get.": "orders",
        "order_items_get.": "items",
        "orders_items_get.": "items",
        "error_": "order",
    },
    "tokopedia": {
        "webhook_order_notification": "notification",
        "webhook_payload_endpoint_order_notification": "notification",
        "webhook_order_status": "status",
        "webhook_payload_endpoint_order_status": "status",
        "webhook_order_cancellation": "cancellation",
        "webhook_order_request_cancellation": "cancel-request",
        "order_single_": "order",
        "order_list_": "orders",
        "error_": "order",
    },
}
# Lazada's reads name neither site nor shop.
GIVEN = {"lazada": ("sg", "1000999001"), "tokopedia": (None, None)}


def kind_of(market: str, name: str) -> str | None:
    return next((kind for prefix, kind in KINDS[market].items() if name.startswith(prefix)), None)


def stated(market: str, kind: str, raw: bytes) -> object:
    site, shop = GIVEN[market]
    try:
        return MARKETS[market].translate(kind, parse(raw), site=site, shop=shop)
    except Malformed as malformed:
        return {"error": {"code": malformed.code, "field": malformed.field}}


CASES = [
    (path.parent.name, path.name)
    for path in sorted(SAMPLES.glob("*/*.json"))
    if not path.name.endswith(".expected.json") and kind_of(path.parent.name, path.name)
]


@pytest.mark.parametrize(("market", "name"), CASES)
def test_a_sample_states_the_facts_beside_it(market: str, name: str) -> None:
    kind = kind_of(market, name)
    assert kind is not None
    sample = SAMPLES / market / name
    expected = json.loads(sample.with_suffix(".expected.json").read_text())
    assert stated(market, kind, sample.read_bytes()) == expected


def test_an_order_read_with_its_items_states_the_facts_beside_it() -> None:
    folder = SAMPLES / "lazada"
    order = (folder / "order_get.mixed.json").read_bytes()
    items = (folder / "order_items_get.mixed.json").read_bytes()
    expected = json.loads((folder / "read.mixed.expected.json").read_text())
    assert stated("lazada", "read", b'{"order": %b, "items": %b}' % (order, items)) == expected


def test_no_expectation_is_an_orphan() -> None:
    named = {f"{market}/{name.removesuffix('.json')}" for market, name in CASES} | {"lazada/read.mixed"}
    found = {
        f"{path.parent.name}/{path.name.removesuffix('.expected.json')}"
        for path in SAMPLES.glob("*/*.expected.json")
    }
    assert found == named


@pytest.mark.parametrize("name", [name for market, name in CASES if name.startswith("error_")])
def test_an_error_answer_is_malformed_as_every_kind_of_answer(name: str) -> None:
    market = next(market for market, each in CASES if each == name)
    raw = (SAMPLES / market / name).read_bytes()
    for kind in sorted(MARKETS[market].KINDS - {"push", "read"}):
        answer = stated(market, kind, raw)
        assert isinstance(answer, dict), kind
        assert answer["error"]["code"] == "MARKETPLACE_ERROR", kind
