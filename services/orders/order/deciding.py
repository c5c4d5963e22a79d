"""One command being decided: the order after the events so far, and what each event says of it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from msgspec import Struct

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.commands import Given
from services.orders.order.input import FieldFault
from services.orders.order.model import Billing, Coverage, Fulfilment, Order, Status, Transaction
from services.orders.order.parts import active
from services.orders.order.state import evolve

LIVE = frozenset({Status.NEW, Status.CONFIRMED})


class Refusal(Struct, frozen=True, gc=False):
    """A command was refused: nothing is written (GR-2); the code's sentences stand in refusals.py."""

    code: str
    fields: tuple[FieldFault, ...] = ()


class Decided(Struct, frozen=True, gc=False):
    """The events of a decision, all or none to be stored, and the order after them; none: nothing to do."""

    events: tuple[e.Event, ...]
    order: Order


class NumberNeeded(Exception):
    """The decision takes a number of a series that was not proposed (IV-1): propose it, decide again."""

    def __init__(self, series: str) -> None:
        super().__init__(f"The decision needs the next number of the series {series}.")
        self.series = series


class Deciding:
    """The events of one command and the order they add up to."""

    __slots__ = ("before", "events", "given", "order")

    def __init__(self, order: Order, given: Given) -> None:
        self.before = order
        self.order = order
        self.given = given
        self.events: list[e.Event] = []

    def emit(self, event: e.Event) -> None:
        self.events.append(event)
        self.order = evolve(self.order, event)

    @property
    def said(self) -> dict[str, Any]:
        """What every event of the command says of itself (CV-5, CV-6)."""
        return said(self.given)

    @property
    def implied(self) -> dict[str, Any]:
        """What an event says that follows from the command without being asked for."""
        return {**self.said, "implied": True}

    def named(self, letter: str) -> str:
        """An id within the order: the letter of its kind and the number of the event that makes it."""
        return f"{letter}{self.order.sequence + 1}"

    def number(self, series: str) -> str:
        """The proposed number of a series. Raises NumberNeeded."""
        return number_of(self.given, series)


def number_of(given: Given, series: str) -> str:
    """The proposed number of a series. Raises NumberNeeded."""
    found = given.proposed_numbers.get(series)
    if found is None:
        raise NumberNeeded(series)
    return found


def said(given: Given) -> dict[str, Any]:
    return {
        "at": given.at,
        "actor": given.actor,
        "caller": given.caller,
        "policies": given.policies.version,
    }


class Making(Protocol):
    """What consequences are made in: a command or a fact being decided."""

    order: Order
    before: Order
    given: Given

    def emit(self, event: e.Event) -> None: ...

    @property
    def implied(self) -> dict[str, Any]: ...

    def named(self, letter: str) -> str: ...

    def number(self, series: str) -> str: ...


class Handler(Struct, frozen=True):
    """How one command is decided: faults of its input, codes that hang on it, and its events."""

    act: Callable[[Deciding, Any], None]
    faults: Callable[[Order, Any, Given], list[FieldFault]] = lambda _order, _command, _given: []
    raised: Callable[[Order, Any, Given], set[str]] = lambda _order, _command, _given: set()


def wrong(field: str, sentence: str, code: str = "FIELD_INVALID") -> FieldFault:
    return FieldFault(field, code, sentence)


def amount_faults(amount: int | None) -> list[FieldFault]:
    if amount is None or 1 <= amount <= AMOUNT_MAX:
        return []
    return [wrong("amount", "The amount must be at least Rp1, and at most 10^12.", "AMOUNT_NOT_POSITIVE")]


def total_faults(total: int) -> list[FieldFault]:
    """A total that readers of JSON could not hold is no total."""
    if total <= TOTAL_MAX:
        return []
    return [wrong("lines", "Prices and fees must not add up to more than 10^15.", "PRICE_INVALID")]


# Bounds that no sale reaches; a total is one that every reader of JSON holds exactly (2^53 is 9 × 10^15).
AMOUNT_MAX = 10**12
QUANTITY_MAX = 1_000_000
TOTAL_MAX = 10**15


def issue_bill(d: Making, said_of_it: dict[str, Any], amount: int) -> None:
    """BillIssued with the next number and the due date of the seller's term (T28b)."""
    d.emit(
        e.BillIssued(
            **said_of_it,
            number=d.number("BILL"),
            amount=amount,
            due_at=d.given.at + timedelta(days=d.given.policies.bill_term_days),
        )
    )


def payment_condition(order: Order) -> bool:
    """GR-6."""
    if order.method is e.Method.COD or money.coverage(order) is Coverage.PAID:
        return True
    return order.method is e.Method.INVOICE and order.billing in {Billing.ISSUED, Billing.PAID}


def allocate(d: Making) -> None:
    """T27e: the money of a succeeded transaction becomes a receipt."""
    order = d.order
    d.emit(
        e.PaymentAllocated(
            **d.implied,
            amount=order.transaction_amount,
            reference=order.transaction_reference,
            receipt=d.named("r"),
            source=e.ReceiptSource.GATEWAY,
        )
    )


def close_transaction(d: Making, reason: e.Closed) -> None:
    d.emit(e.TransactionClosed(**d.implied, reason=reason, reference=d.order.transaction_reference))


def consequences(d: Making) -> None:
    """MO-12 and MO-13 in their order, then the refund due (MO-10), in the decision that brings them."""
    if d.order.status in LIVE:
        if d.order.transaction is Transaction.AWAITING and money.total(d.order) != money.total(d.before):
            close_transaction(d, e.Closed.TOTAL_CHANGED)
        if money.coverage(d.order) is Coverage.PAID:
            _paid(d)
        else:
            _not_paid(d)
        if not payment_condition(d.order):
            unpack(d, lambda _part: True)
    due = money.refund_due(d.order)
    if due != d.order.refund_due:
        d.emit(e.RefundDueChanged(**d.implied, amount=due))


def _paid(d: Making) -> None:
    """MO-12 (b)."""
    if d.order.transaction is Transaction.AWAITING:
        close_transaction(d, e.Closed.PAID)
    if d.order.transaction is Transaction.SUCCEEDED:
        allocate(d)
    if d.order.billing is Billing.PENDING:
        if d.given.seller.documents_complete:
            issue_bill(d, d.implied, d.order.bill_amount)
        else:
            d.emit(e.BillVoided(**d.implied))
    if d.order.billing is Billing.ISSUED:
        d.emit(e.BillPaid(**d.implied))


def _not_paid(d: Making) -> None:
    """MO-12 (c), and ED-8 for a bill that is not issued yet."""
    if d.order.billing is Billing.PAID:
        d.emit(e.BillReopened(**d.implied))
    outstanding = money.outstanding(d.order)
    if d.order.billing is Billing.PENDING and d.order.bill_amount != outstanding:
        d.emit(e.BillAmended(**d.implied, amount=outstanding))


def unpack(d: Making, concerns: Callable[[str], bool]) -> None:
    """READY packages that are concerned are dissolved and their parts wait again (MO-12 d, ED-5)."""
    packages = dict.fromkeys(
        part.package for part in active(d.order) if part.value is Fulfilment.READY and concerns(part.package)
    )
    for package in packages:
        held = [part for part in active(d.order) if part.package == package]
        parts = tuple(
            e.MovedPart(part=part.id, line=part.line, quantity=part.quantity, sku=part.sku) for part in held
        )
        d.emit(e.PackageUnprepared(**d.implied, parts=parts, package=package))
