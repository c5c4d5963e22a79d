"""The reduced machine: a SELLER order with one line and one package, amounts abstracted (PM-2 to PM-4).

Commands are refused by the table's own guards, over a `Situation` made of the reduced state; here stands only
where what is allowed may lead. What PM-2 leaves out (hold, negotiation, stock, contact, documents, windows,
cases) stands as `Situation` has it: nothing of it is in the way.

The counts of 16.2 come out under these readings. The 13 buttons are T2 to T15, ReopenOrder being one for T9
and T10: the nine columns of 5.1, and SendCustomerChat, ViewOrder, ChangeAgent and TagOrder. A courier's fact
applies from the values of its own row only; none skips a scan (GR-9 needs no state of its own). A success
rests as SUCCEEDED until it is allocated (HL-2), and is booked for a GATEWAY order in every state (T27c). The
bill of an order that becomes PAID is issued, and so PAID. A cancelled order has no active part: NOT_STARTED,
without AWB. Refund due is possible for a cancelled order of which anything was received, else when coverage
is PAID (MO-10).
"""

from collections.abc import Collection, Iterator

from msgspec import Struct
from msgspec.structs import replace

from services.orders.order.events import Method
from services.orders.order.guards import Goods, Situation
from services.orders.order.model import Billing, Coverage, Fulfilment, Status, Transaction
from services.orders.order.statuses import headline_of
from services.orders.order.table import COMMANDS, FACTS, applies, first_refusal

RECORDED_ONLY = "RECORDED_ONLY"

# PM-3: what depends on details that the reduced machine leaves out, or has no state, is not among the moves.
_OUTSIDE = {
    "PlaceOrder",
    "OpenReturnCase",
    "CloseReturnCase",
    "HoldOrder",
    "ReleaseOrder",
    "RecordCodRemittance",
    "AdoptChannelState",
    "CodCollected",
    "StockClaimed",
    "StockShort",
    "StockCovered",
}
MOVING_COMMANDS = tuple(name for name in COMMANDS if name not in _OUTSIDE)
MOVING_FACTS = tuple(name for name in FACTS if name not in _OUTSIDE)
# Legal in every state (5): they are left out of the matrices.
ALWAYS_LEGAL = ("SendCustomerChat", "ViewOrder", "ChangeAgent", "TagOrder")
BUTTONS = tuple(
    name for name in MOVING_COMMANDS if int(COMMANDS[name].number.removeprefix("T").rstrip("abcd")) <= 15
)

_LIVE = frozenset({Status.NEW, Status.CONFIRMED})
_SOME = (Coverage.PARTLY_PAID, Coverage.PAID)


class Reduced(Struct, frozen=True):
    """A state of the reduced machine, with the names of PM-3."""

    method: Method
    order: Status = Status.NEW
    request: bool = False
    coverage: Coverage = Coverage.UNPAID
    transaction: Transaction = Transaction.NONE
    bill: Billing = Billing.NONE
    fulfilment: Fulfilment = Fulfilment.NOT_STARTED
    awb: bool = False

    @property
    def headline(self) -> str:
        return headline_of(
            self.order,
            request=self.request,
            fulfilment=self.fulfilment,
            billing=self.bill,
            coverage=self.coverage,
            transaction=self.transaction,
        )

    @property
    def final(self) -> bool:
        """Cancelled, completed, or all goods lost or returned (INV-14)."""
        ended = {Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED}
        return self.order not in _LIVE or self.fulfilment in ended


# What each command or fact by name brings: the states it may lead to, or the code that refuses it.
Moves = dict[str, tuple[Reduced, ...] | str]


def situation_of(state: Reduced) -> Situation:
    """What the guards read of a reduced state."""
    cancelled = state.order is Status.CANCELLED
    received = state.coverage is not Coverage.UNPAID
    return Situation(
        method=state.method,
        status=state.order,
        request_open=state.request,
        coverage=state.coverage,
        transaction=state.transaction,
        billing=state.bill,
        refund_due=received if cancelled else state.coverage is Coverage.PAID,
        parts=() if cancelled else (Goods(state.fulfilment, state.awb),),
    )


def moves(state: Reduced) -> Moves:
    """All that may follow from a state, for each command and fact of PM-3, in the order of the table."""
    situation = situation_of(state)
    found: Moves = {}
    for name in MOVING_COMMANDS:
        code = first_refusal(name, situation)
        found[name] = _next(name, state) if code is None else code
    for name in MOVING_FACTS:
        found[name] = _next(name, state) if applies(name, situation) else RECORDED_ONLY
    return found


def enumerate_states(offered: Collection[Method] = tuple(Method)) -> dict[Reduced, Moves]:
    """Every state that can be reached by a seller who offers these methods, with its moves.

    The order is always the same: breadth first, methods and moves in the order of the table.
    """
    found: dict[Reduced, Moves] = {}
    waiting = [Reduced(method) for method in offered]
    for state in waiting:
        if state in found:
            continue
        found[state] = {
            name: to if isinstance(to, str) else tuple([each for each in to if each.method in offered])
            for name, to in moves(state).items()
        }
        for to in found[state].values():
            if not isinstance(to, str):
                waiting += [each for each in to if each not in found]
    return found


def _next(name: str, state: Reduced) -> tuple[Reduced, ...]:
    """The possible next states, each once, after the consequences of MO-12."""
    return tuple(dict.fromkeys(settled(each) for each in _outcomes(name, state)))


def settled(state: Reduced) -> Reduced:
    """The state after the consequences of a change of money, method or bill of a live order (MO-12)."""
    if state.order not in _LIVE:
        return state
    transaction, bill = state.transaction, state.bill
    if state.coverage is Coverage.PAID:
        if transaction in {Transaction.AWAITING, Transaction.SUCCEEDED}:
            transaction = Transaction.NONE
        if bill is not Billing.NONE:
            bill = Billing.PAID
    elif bill is Billing.PAID:
        bill = Billing.ISSUED
    state = replace(state, transaction=transaction, bill=bill)
    if state.fulfilment is Fulfilment.READY and not situation_of(state).payment_condition:
        return replace(state, fulfilment=Fulfilment.NOT_STARTED)
    return state


# The moves that lead to exactly one state, before MO-12.
_CHANGES: dict[str, dict[str, object]] = {
    "ConfirmOrder": {"order": Status.CONFIRMED},
    "UnconfirmOrder": {"order": Status.NEW},
    "ShipOrder": {"fulfilment": Fulfilment.BOOKED},
    "CancelShipment": {"fulfilment": Fulfilment.READY, "awb": False},
    "MarkReady": {"fulfilment": Fulfilment.READY},
    "UnmarkReady": {"fulfilment": Fulfilment.NOT_STARTED},
    "RequestCancellation": {"request": True},
    "CompleteOrder": {"order": Status.COMPLETED, "coverage": Coverage.PAID},
    "CreateBill": {"bill": Billing.PENDING},
    "IssueBill": {"bill": Billing.ISSUED},
    "VoidBill": {"bill": Billing.NONE},
    "AwbIssued": {"awb": True},
    "BookingFailed": {"fulfilment": Fulfilment.READY},
    "PackagePickedUp": {"fulfilment": Fulfilment.IN_TRANSIT, "request": False},
    "PackageDelivered": {"fulfilment": Fulfilment.DELIVERED},
    "DeliveryProblemReported": {"fulfilment": Fulfilment.PROBLEM},
    "DeliveryProblemSolved": {"fulfilment": Fulfilment.IN_TRANSIT},
    "PackageLostOrDamaged": {"fulfilment": Fulfilment.LOST_OR_DAMAGED},
    "ReturnStarted": {"fulfilment": Fulfilment.RETURNING},
    "ReturnReceived": {"fulfilment": Fulfilment.RETURNED},
    "PaymentAwaited": {"transaction": Transaction.AWAITING},
    "PaymentProcessingStarted": {"transaction": Transaction.PROCESSING},
    "PaymentFailed": {"transaction": Transaction.NONE},
    "BillPaid": {"coverage": Coverage.PAID},
}


def _outcomes(name: str, state: Reduced) -> Iterator[Reduced]:
    """Where an allowed move leads before MO-12: one state, or every outcome of the amounts (16.3)."""
    if name in _CHANGES:
        yield replace(state, **_CHANGES[name])
        return
    if name in ALWAYS_LEGAL:
        yield state
        return
    match name:
        case "ConfirmPayment" | "PaymentAllocated":
            yield from _receiving(replace(state, transaction=Transaction.NONE))
        case "ReversePayment":
            yield replace(state, coverage=Coverage.UNPAID)
            yield replace(state, coverage=Coverage.PARTLY_PAID)
        case "EditOrder":
            yield from _edited(state)
        case "CancelOrder":
            yield from _cancelled(state)
        case "ReopenOrder":
            yield replace(state, request=False) if state.request else replace(state, order=Status.NEW)
        case "CancelLines":
            yield state
            yield _closed(state)
            if state.coverage is Coverage.PARTLY_PAID:
                yield replace(_closed(state), coverage=Coverage.PAID)
        case "RecordExtraReceipt":
            yield from _extra(state)
        case "RecordRefund":
            yield from _refunded(state)
        case "RecordCredit":
            yield from _credited(state)
        case "PaymentSucceeded":
            yield from _succeeded(state)
        case _:
            raise KeyError(name)


def _receiving(state: Reduced) -> Iterator[Reduced]:
    for coverage in _SOME:
        yield replace(state, coverage=coverage)


def _closed(state: Reduced) -> Reduced:
    """After a change of the total: an AWAITING transaction asks for the wrong amount (MO-13)."""
    if state.transaction is Transaction.AWAITING:
        return replace(state, transaction=Transaction.NONE)
    return state


def _edited(state: Reduced) -> Iterator[Reduced]:
    """Goods changed or not, times one change of total or method (ED-5, ED-7)."""
    for base in (state, replace(state, fulfilment=Fulfilment.NOT_STARTED)):
        yield base
        yield _closed(base)
        match base.coverage:
            case Coverage.PAID:
                yield replace(_closed(base), coverage=Coverage.PARTLY_PAID)
            case Coverage.PARTLY_PAID:
                yield replace(_closed(base), coverage=Coverage.PAID)
            case Coverage.UNPAID:
                free = base.transaction in {Transaction.NONE, Transaction.AWAITING}
                if base.bill is Billing.NONE and free:
                    yield from [replace(_closed(base), method=other) for other in Method]


def _cancelled(state: Reduced) -> Iterator[Reduced]:
    """Parts cancelled, request closed, bill voided, transaction closed or, if SUCCEEDED, allocated (T8)."""
    empty = Reduced(state.method, order=Status.CANCELLED, coverage=state.coverage)
    if state.transaction is Transaction.SUCCEEDED:
        yield from _receiving(empty)
    else:
        yield empty


def _extra(state: Reduced) -> Iterator[Reduced]:
    if state.order is Status.COMPLETED or state.coverage is Coverage.PAID:
        yield state
    else:
        yield from _receiving(state)


def _refunded(state: Reduced) -> Iterator[Reduced]:
    yield state
    if state.order is Status.CANCELLED:
        yield replace(state, coverage=Coverage.UNPAID)
        if state.coverage is Coverage.PAID:
            yield replace(state, coverage=Coverage.PARTLY_PAID)


def _credited(state: Reduced) -> Iterator[Reduced]:
    yield state
    if state.order is Status.COMPLETED:
        return
    if state.coverage is Coverage.PARTLY_PAID:
        yield replace(state, coverage=Coverage.PAID)
    if state.coverage is Coverage.UNPAID and state.bill is not Billing.NONE:
        yield replace(state, bill=Billing.NONE)


def _succeeded(state: Reduced) -> Iterator[Reduced]:
    """It rests SUCCEEDED; one before it is allocated first; else it is an extra receipt (T27c)."""
    if state.order not in _LIVE or state.coverage is Coverage.PAID:
        yield from _extra(state)
    elif state.transaction is Transaction.SUCCEEDED:
        yield from _receiving(state)
    else:
        yield replace(state, transaction=Transaction.SUCCEEDED)
