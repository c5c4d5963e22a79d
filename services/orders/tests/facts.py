"""One builder per value for the tests of channel facts; times are seconds after one fixed instant."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from services.orders.order.channel_facts import Disposition, Fact, Judgement, Scope, judge
from services.orders.order.model import Order

START = datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)
PRICE = 50_000


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else START + timedelta(seconds=seconds)


def fact(
    type_: str,
    time: float | None = None,
    line: str | None = None,
    *,
    of_package: str | None = None,
    read: float | None = None,
    status: str | None = "",
    occurrence: int = 1,
    **data: Any,
) -> Fact:
    """A fact about the order, or about a line or package of it, at a time."""
    return Fact(
        id=f"{type_}/{time}/{line}/{of_package}/{read}/{data or ''}",
        type=type_,
        channel="lazada",
        site="id",
        shop="1000999001",
        connection="0195b2a0-0000-7000-8000-000000000002",
        order="712345678901001",
        seller="0195b2a0-0000-7000-8000-000000000001",
        scope=Scope(line=line, package=of_package),
        occurred_at=at(time),
        source_status=type_.lower() if status == "" else status,
        occurrence=occurrence,
        translator_version=1,
        read_at=at(read),
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


def placement(*lines: tuple[str, int], method: str = "GATEWAY", time: float = 0, **changed: Any) -> Fact:
    """An order of these (line, quantity), PRICE each unit."""
    sold = lines or (("L1", 1),)
    data: dict[str, Any] = {
        "reference": "LZD-1",
        "payment_method": method,
        "currency": "IDR",
        "total": sum(quantity * PRICE for _, quantity in sold),
        "lines": [
            {
                "line": line,
                "sku": f"SKU-{line}",
                "name": f"Barang {line}",
                "quantity": quantity,
                "unit_price": PRICE,
            }
            for line, quantity in sold
        ],
        "city": "Bandung",
        "province": "Jawa Barat",
    }
    data.update(changed)
    return fact("OrderPlaced", time, status=None, **data)


class Played:
    """An order after facts were judged in the order given."""

    def __init__(self, *facts: Fact) -> None:
        self.order: Order | None = None
        self.judgements: list[Judgement] = []
        self.events: list[Any] = []
        for each in facts:
            self.then(each)

    def then(self, each: Fact) -> "Played":
        judgement = judge(self.order, each, number="L0000000000001")
        self.order = judgement.order
        self.judgements.append(judgement)
        self.events.extend(judgement.events)
        return self

    @property
    def state(self) -> Order:
        assert self.order is not None
        return self.order

    @property
    def last(self) -> Judgement:
        return self.judgements[-1]

    @property
    def told(self) -> list[Any]:
        """The events of the last fact, of whatever kind."""
        return list(self.last.events)

    def event_of(self, position: int) -> Any:
        """The first event that the fact at this position brought."""
        return self.judgements[position].events[0]

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.last.events]

    @property
    def dispositions(self) -> list[Disposition]:
        return [judgement.disposition for judgement in self.judgements[1:]]


PAID = fact("PaymentSucceeded", 1)


def prepaid(*facts: Fact, lines: tuple[tuple[str, int], ...] = (("L1", 1),), **changed: Any) -> Played:
    return Played(placement(*lines, **changed), PAID, *facts)


def cod(*facts: Fact, lines: tuple[tuple[str, int], ...] = (("L1", 1),)) -> Played:
    return Played(placement(*lines, method="COD"), *facts)


def values(order: Order) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in order.parts:
        word = "CANCELLED" if part.cancelled else part.value.value
        found.setdefault(part.line, []).append(f"{part.quantity} {word}")
    return found
