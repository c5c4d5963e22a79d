"""Bodies of commands are read with every fault at its innermost field (GR-3)."""

from typing import Any

import pytest

from services.orders.order import commands as c
from services.orders.order.input import read_command


def faults(name: str, body: dict[str, Any]) -> dict[str, str]:
    answer = read_command(name, body)
    assert isinstance(answer, tuple), f"{answer} was read"
    assert all("12.5" not in fault.sentence and "rahasia" not in fault.sentence for fault in answer)
    return {fault.field: fault.code for fault in answer}


def test_a_body_is_read_in_snake_case() -> None:
    body = {"lines": [{"line": "1", "unit_price": 5}], "shipping_fee": 0, "recipient": {"name": "A"}}
    assert read_command("EditOrder", body) == c.EditOrder(
        lines=(c.LineEdit(line="1", unit_price=5),), shipping_fee=0, recipient=c.Recipient(name="A")
    )


def test_every_fault_is_told_at_the_innermost_field() -> None:
    body = {
        "payment_method": 7,
        "lines": [
            {"quantity": "2", "unit_price": 12.5, "sku": "A"},
            {"unit_price": 1, "quantity": 1, "harga": 2},
        ],
        "recipient": {"name": 3, "nama": "rahasia"},
        "allow_backorder": "ya",
    }
    assert faults("PlaceOrder", body) == {
        "payment_method": "FIELD_INVALID",
        "lines[0].quantity": "QUANTITY_INVALID",
        "lines[0].unit_price": "PRICE_INVALID",
        "lines[1].harga": "FIELD_INVALID",
        "recipient.name": "FIELD_INVALID",
        "recipient.nama": "FIELD_INVALID",
        "allow_backorder": "FIELD_INVALID",
    }


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("RecordRefund", {}, "amount"),
        ("ConfirmOrder", {"amount": 1}, "amount"),
        ("CancelOrder", {"reason": "Ibu Contoh tidak jadi"}, "reason"),
        ("RecordRefund", {"amount": 1, "refunded_at": "2026-03-05T08:00:00"}, "refunded_at"),
        ("TagOrder", {"add": ["x" * 200]}, "add[0]"),
        ("EditOrder", {"lines": [{"line": "1"}] * (c.LINES_MAX + 1)}, "lines"),
    ],
)
def test_a_faulty_field_is_named(name: str, body: dict[str, Any], field: str) -> None:
    assert faults(name, body) == {field: "FIELD_INVALID"}


def test_an_unknown_command_is_no_command() -> None:
    with pytest.raises(KeyError):
        read_command("DropOrder", {})
