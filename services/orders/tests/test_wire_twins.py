"""The msgspec structs of the hot path read and write exactly what the contract in libs.events says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events import channels, orders
from libs.events.channels import FACTS
from libs.events.envelope import event_name
from libs.events.orders import EVENTS
from libs.events.upcasts import CURRENT, read
from services.orders.order import events as stored
from services.orders.order import fact as twins
from services.orders.order.channel_facts import judge
from services.orders.public_events import PUBLIC_TYPES, to_public

GOLDEN = Path(__file__).parents[3] / "libs" / "events" / "tests" / "golden"

DATA: dict[type, Callable[[twins.Fact], Any]] = {
    channels.Placement: twins.placed_data,
    channels.Money: twins.money_data,
    channels.Goods: twins.goods_data,
    channels.Request: twins.goods_data,
    channels.Note: twins.note_data,
    channels.ExpectedFees: twins.fees_data,
    channels.NothingStated: twins.goods_data,
}


def current(service: str) -> list[str]:
    return sorted(path.stem for path in GOLDEN.glob(f"jejak.{service}.*.json") if path.stem in CURRENT)


def facts() -> list[str]:
    return [each for each in current("channels") if event_name(each) in FACTS]


def golden(ce_type: str) -> bytes:
    return (GOLDEN / f"{ce_type}.json").read_bytes()


def stated(value: Any) -> Any:
    """The value as JSON, without the nulls of what is not stated."""
    if isinstance(value, dict):
        return {name: stated(each) for name, each in value.items() if each is not None}
    return [stated(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("ce_type", facts())
def test_a_fact_reads_the_same_in_both_ways(ce_type: str) -> None:
    body = golden(ce_type)
    fact = twins.decode_fact(body, "an id")
    contract = read(ce_type, body)
    assert isinstance(contract, channels.Fact)
    whole = msgspec.structs.asdict(fact) | {"data": DATA[type(contract.data)](fact)}
    twin = stated(msgspec.to_builtins(whole))
    assert twin.pop("id") == "an id"
    assert twin == stated(json.loads(contract.to_json())) == stated(json.loads(body))


def test_the_twin_of_facts_knows_every_field() -> None:
    assert set(twins.Fact.__struct_fields__) == channels.Fact.model_fields.keys() | {"id", "buyer"}
    assert set(twins.PlacedData.__struct_fields__) == channels.Placement.model_fields.keys()
    assert set(twins.PlacedLineData.__struct_fields__) == channels.PlacedLine.model_fields.keys()
    assert set(twins.MoneyData.__struct_fields__) == channels.Money.model_fields.keys()
    assert set(twins.NoteData.__struct_fields__) == channels.Note.model_fields.keys()
    assert (
        set(twins.GoodsData.__struct_fields__)
        == channels.Goods.model_fields.keys() | channels.Request.model_fields.keys()
    )


@pytest.mark.parametrize("ce_type", [each for each in current("orders") if event_name(each) in EVENTS])
def test_a_public_event_reads_and_writes_the_same_in_both_ways(ce_type: str) -> None:
    body = golden(ce_type)
    twin = msgspec.json.decode(body, type=PUBLIC_TYPES[event_name(ce_type)])
    contract = read(ce_type, body)
    assert contract is not None
    written = msgspec.json.encode(twin)
    assert json.loads(written) == json.loads(contract.to_json()) == json.loads(body)
    assert read(ce_type, written) == contract
    assert msgspec.json.decode(contract.to_json(), type=type(twin)) == twin


def test_every_public_event_has_a_twin_with_the_same_fields() -> None:
    assert PUBLIC_TYPES.keys() == EVENTS.keys()
    for name, twin in PUBLIC_TYPES.items():
        assert set(twin.__struct_fields__) == EVENTS[name].model_fields.keys(), name


def test_closed_sets_hold_the_same_words() -> None:
    assert set(get_args(orders.Actor)) == {each.value for each in stored.Actor}
    for event, field, words in (
        (orders.OrderPlaced, "payment_method", stored.Method),
        (orders.CancellationRequestClosed, "outcome", stored.Outcome),
        (orders.ReturnCaseOpened, "step", stored.CaseStep),
        (orders.FactRecorded, "disposition", stored.Disposition),
    ):
        assert set(get_args(event.model_fields[field].annotation)) == {each.value for each in words}, field
    assert set(get_args(channels.Party)) <= {each.value for each in stored.Actor}


@settings(max_examples=60)
@given(st.lists(st.sampled_from(facts()), max_size=8), st.booleans())
def test_whatever_orders_makes_of_facts_is_public_as_the_contract_says(arrived: list[str], cod: bool) -> None:
    placement = json.loads(golden("jejak.channels.OrderPlaced.v1"))
    placement["data"]["payment_method"] = "COD" if cod else "GATEWAY"
    order = judge(None, twins.decode_fact(json.dumps(placement).encode(), "0"), number="L1").order
    for number, ce_type in enumerate(arrived, start=1):
        body = json.loads(golden(ce_type)) | {"order": placement["order"]}
        judged = judge(order, twins.decode_fact(json.dumps(body).encode(), str(number)), number="L1")
        order = judged.order or order
        for event in judged.events:
            name, data = to_public(f"{type(event).__name__}.v1", event)
            written = msgspec.json.encode(data)
            contract = read(f"jejak.orders.{name}.v1", written)
            assert contract is not None
            assert json.loads(contract.to_json()) == json.loads(written)
