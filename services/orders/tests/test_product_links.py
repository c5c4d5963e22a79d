"""MN-3: which products a line may name, by what inventory has stated of them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.events.envelope import Envelope, to_headers
from libs.events.products import ProductChanged
from libs.runtime.errors import Malformed
from libs.runtime.records import Record
from services.orders.order.commands import ConfirmOrder, EditOrder, LineEdit, NewLine, PlaceOrder
from services.orders.product_links import LinkedProduct, links_of, names_of
from services.orders.products_consumer import ProductRow, product_of
from services.orders.tests.seller import Story, line, order_of

SOURCE, TOPIC = "orders:inventory.products.v1", "inventory.products.v1"
AT = datetime(2026, 3, 5, 8, tzinfo=UTC)


def product(
    offset: int,
    key: str = "p1",
    *,
    ce_type: str = ProductChanged.ce_type(),
    value: bytes | None = b"",
    **changed: Any,
) -> Record:
    """A record of the topic; without a value of its own it states a product in full."""
    body = {"product": key, "seller": "s1", "sku": "KOPI", "name": "Kopi", "warehouses": ["G1"], **changed}
    envelope = Envelope(
        id=f"{key}/{offset}", type=ce_type, source="/jejak/inventory", subject=key, time=AT.isoformat()
    )
    given = json.dumps(body).encode() if value == b"" else value
    return Record(SOURCE, TOPIC, 0, offset, key, key.encode(), tuple(to_headers(envelope)), given, AT)


def test_mn_3_links_are_by_sku_and_by_product() -> None:
    links = links_of(
        [
            LinkedProduct("p1", "KOPI", ("G1",)),
            LinkedProduct("p2", "KOPI", ("G2",)),
            LinkedProduct("TEH", "TEH", ()),
        ]
    )
    assert links == {
        "KOPI": frozenset({"G1", "G2"}),
        "p1": frozenset({"G1"}),
        "p2": frozenset({"G2"}),
        "TEH": frozenset(),
    }
    assert links_of([]) == {}


def test_mn_3_only_new_and_moved_lines_are_asked_of() -> None:
    lines = (
        NewLine(sku="KOPI", product="p1", name="Kopi", quantity=1, unit_price=1),
        NewLine(product="p2", name="Teh", quantity=1, unit_price=1),
    )
    assert names_of(PlaceOrder(lines=lines)) == {"KOPI", "p2"}
    assert names_of(EditOrder(add_lines=lines)) == {"KOPI", "p2"}
    assert names_of(ConfirmOrder()) == names_of(None) == frozenset()
    order = Story(order_of(line(sku="TEH"), line(sku="GULA"))).state
    edits = (
        LineEdit(line="1", warehouse="G1"),
        LineEdit(line="2", quantity=3, sku="GULA", warehouse=""),
        LineEdit(line="9", sku="NONE"),
    )
    assert names_of(EditOrder(add_lines=lines, lines=edits), order) == {"KOPI", "p2", "TEH"}
    assert names_of(EditOrder(lines=(LineEdit(line="2", sku="ROTI"),)), order) == {"ROTI"}


def test_a_record_states_its_product_and_one_without_a_value_removes_it() -> None:
    assert product_of(product(7)) == ProductRow("p1", 0, 7, "s1", "KOPI", ("G1",))
    assert product_of(product(8, value=None)) == ProductRow("p1", 0, 8)
    assert product_of(product(9, ce_type="jejak.inventory.Other.v1")) is None


@pytest.mark.parametrize(
    ("record", "reason", "field"),
    [
        (product(1, product="p2"), "MALFORMED", "product"),
        (product(1, sku="a\x00b"), "MALFORMED", "sku"),
        (product(1, warehouses=["G1", "\x00"]), "MALFORMED", "warehouses"),
        (product(1, seller=""), "MALFORMED", ""),
        (product(1, warehouses=["G"] * 1_001), "MALFORMED", ""),
        (product(1, value=b"{"), "MALFORMED", ""),
        (product(1, value=b" " * 1_000_001), "TOO_LARGE", ""),
        (product(1, ce_type=""), "HEADER_INVALID", "ce_type"),
    ],
)
def test_a_record_that_breaks_the_contract_says_how(record: Record, reason: str, field: str) -> None:
    with pytest.raises(Malformed) as told:
        product_of(record)
    assert (told.value.reason, told.value.field) == (reason, field)
