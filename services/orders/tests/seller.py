"""One builder per value for the tests of sellers' orders; times are minutes after one fixed instant."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from services.orders.order import commands as c
from services.orders.order import money
from services.orders.order.commands import Command, Given
from services.orders.order.decide import Decided, Refusal, decide
from services.orders.order.events import Actor, Disposition
from services.orders.order.fact import Scope
from services.orders.order.headline import headline
from services.orders.order.model import Order
from services.orders.order.parts import active
from services.orders.order.seller_facts import SellerFact, judge_seller_fact

START = datetime(2026, 3, 5, 8, 0, 0, tzinfo=UTC)
BUYER = c.Recipient(
    name="Ibu Contoh", phone="0812-0000-0000", address="Jalan Contoh 1", city="Bandung", province="Jawa Barat"
)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def given(minutes: float = 0, **changed: Any) -> Given:
    numbers = {"ORDER": "J000001", "BILL": "BILL-TOKO-2026-000001"}
    around = {"proposed_numbers": numbers, "seller": c.SellerTerms(id="s1", code="TOKO"), **changed}
    return Given(at=at(minutes), **around)


def line(quantity: int = 1, price: int = 150_000, sku: str = "KAOS", **changed: Any) -> c.NewLine:
    return c.NewLine(quantity=quantity, unit_price=price, sku=sku, name=f"Barang {sku}", **changed)


def order_of(*lines: c.NewLine, method: str = "TRANSFER", **changed: Any) -> c.PlaceOrder:
    wanted: dict[str, Any] = {
        "recipient": BUYER,
        "shipping_fee": 0,
        "courier": "JNE",
        "service": "REG",
        "allow_backorder": True,
        **changed,
    }
    return c.PlaceOrder(lines=lines or (line(),), payment_method=method, **wanted)


def fact(type_: str, minutes: float | None = None, package: str | None = None, **data: Any) -> SellerFact:
    return SellerFact(
        id=f"{type_}/{minutes}/{package}/{data or ''}",
        type=type_,
        scope=None if package is None else Scope(package=package),
        occurred_at=None if minutes is None else at(minutes),
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


class Story:
    """An order to which commands and facts came one after the other, a minute apart."""

    def __init__(self, placing: c.PlaceOrder | None = None, **told: Any) -> None:
        self.told = told
        self.minutes = 0.0
        self.events: list[Any] = []
        self.last: list[Any] = []
        self.headlines: list[str] = []
        self.order: Order | None = None
        self.disposition: Disposition | None = None
        self.do(placing or order_of())

    @property
    def state(self) -> Order:
        assert self.order is not None
        return self.order

    def tried(self, command: Command, **told: Any) -> Decided | Refusal:
        return decide(self.order, command, given(self.minutes + 1, **{**self.told, **told}))

    def do(self, *commands: Command, **told: Any) -> "Story":
        for command in commands:
            decided = self.tried(command, **told)
            assert isinstance(decided, Decided), f"{type(command).__name__}: {decided}"
            self.minutes += 1
            self._take(list(decided.events), decided.order)
        return self

    def refused(self, command: Command, **told: Any) -> str:
        answer = self.tried(command, **told)
        assert isinstance(answer, Refusal), f"{type(command).__name__} was allowed: {answer}"
        return answer.code

    def fields(self, command: Command, **told: Any) -> dict[str, str]:
        answer = self.tried(command, **told)
        assert isinstance(answer, Refusal)
        return {fault.field: fault.code for fault in answer.fields}

    def tell(self, *facts: SellerFact, actor: Actor = Actor.COURIER, **told: Any) -> "Story":
        for each in facts:
            judged = judge_seller_fact(
                self.state, each, given(self.minutes + 1, **{**self.told, "actor": actor, **told})
            )
            assert judged.order is not None
            self.minutes += 1
            self.disposition = judged.disposition
            self._take(list(judged.events), judged.order)
        return self

    def _take(self, events: list[Any], order: Order) -> None:
        self.last = events
        self.events += events
        self.order = order
        self.headlines.append(headline(order))

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.last]

    @property
    def figures(self) -> tuple[int, str, int, int]:
        order = self.state
        return (
            money.net_paid(order),
            money.coverage(order).value,
            money.outstanding(order),
            money.refund_due(order),
        )

    @property
    def parts(self) -> list[str]:
        return [f"{part.quantity} {part.value.value}" for part in active(self.state)]


def confirmed(*lines: c.NewLine, method: str = "TRANSFER", **changed: Any) -> Story:
    return Story(order_of(*lines, method=method, **changed)).do(c.ConfirmOrder())


def paid(*lines: c.NewLine, **changed: Any) -> Story:
    return confirmed(*lines, **changed).do(c.ConfirmPayment())


def shipped(*lines: c.NewLine, **changed: Any) -> Story:
    """Booked and with an AWB."""
    return paid(*lines, **changed).do(c.ShipOrder()).tell(fact("AwbIssued", awb="JNE001"))


def cod_shipped(*lines: c.NewLine, **changed: Any) -> Story:
    story = confirmed(*lines, method="COD", **changed).do(c.ShipOrder())
    return story.tell(fact("AwbIssued", awb="JNE001"))
