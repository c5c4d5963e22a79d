"""The guards: what each refusal code asks of an order, as predicates over a `Situation` (3.1 to 3.4).

A situation is all that guards read. The decider makes one from an order's state and the command's scope, the
published machine makes one from its reduced state (16), so both answer by the same predicates.
"""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from services.orders.order.events import Method
from services.orders.order.model import Billing, Coverage, Fulfilment, Status, Transaction

# 2.3: the least advanced part speaks for the order.
RANK = {
    Fulfilment.NOT_STARTED: 0,
    Fulfilment.READY: 1,
    Fulfilment.BOOKED: 2,
    Fulfilment.PROBLEM: 3,
    Fulfilment.IN_TRANSIT: 4,
    Fulfilment.RETURNING: 5,
    Fulfilment.DELIVERED: 6,
    Fulfilment.LOST_OR_DAMAGED: 7,
    Fulfilment.RETURNED: 8,
}
_UNSHIPPED = frozenset({Fulfilment.NOT_STARTED, Fulfilment.READY})
_ENDED = frozenset({Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED})
_BILLED = frozenset({Billing.ISSUED, Billing.PAID})


class Goods(Struct, frozen=True):
    """An active part as guards see it; `awb` says that its package has a live AWB."""

    value: Fulfilment
    awb: bool = False

    @property
    def in_shipping(self) -> bool:
        """From BOOKED on (AG-6)."""
        return self.value not in _UNSHIPPED

    @property
    def picked_up(self) -> bool:
        """From IN_TRANSIT on (AG-6)."""
        return self.in_shipping and self.value is not Fulfilment.BOOKED


class Situation(Struct, frozen=True, kw_only=True):
    """What the guards of one command read; the defaults are those of the reduced machine (PM-2).

    `parts` are the active parts of the order, `scope` those that the command names, or None where it names
    none (GR-7). `returns_open` says that the return window, or for a COMPLETED order the after-sale window,
    of the goods concerned has not ended; `case_open` that a return case for these goods is open.
    """

    method: Method
    status: Status
    request_open: bool = False
    # The command accepts the open request by naming it, so that the request does not stop it (T25).
    accepts_request: bool = False
    coverage: Coverage = Coverage.UNPAID
    transaction: Transaction = Transaction.NONE
    billing: Billing = Billing.NONE
    refund_due: bool = False
    parts: tuple[Goods, ...] = ()
    scope: tuple[Goods, ...] | None = None
    on_hold: bool = False
    negotiation_open: bool = False
    consent_needed: bool = False
    channel_owned: bool = False
    conflict: bool = False
    case_open: bool = False
    returns_open: bool = True
    shipping_complete: bool = True
    documents_complete: bool = True
    contact_usable: bool = True
    contact_permitted: bool = True

    @property
    def aggregate(self) -> Fulfilment:
        """The order's fulfilment (AG-2); NOT_STARTED when no part is active."""
        values = [part.value for part in self.parts]
        return min(values, key=RANK.__getitem__, default=Fulfilment.NOT_STARTED)

    @property
    def concerned(self) -> tuple[Goods, ...]:
        """The parts that the command is about: those it names, else all."""
        return self.parts if self.scope is None else self.scope

    @property
    def payment_condition(self) -> bool:
        """COD, or paid in full, or an invoice order with a bill ISSUED or PAID (GR-6)."""
        if self.method is Method.COD or self.coverage is Coverage.PAID:
            return True
        return self.method is Method.INVOICE and self.billing in _BILLED


Guard = Callable[[Situation], bool]


class GoodsCheck(StrEnum):
    """What a part must be for a command on goods (GR-7)."""

    UNSHIPPED = "UNSHIPPED"
    BOOKED = "BOOKED"
    NOT_STARTED = "NOT_STARTED"
    READY = "READY"


def _fault(check: GoodsCheck, part: Goods) -> str | None:
    """The code of a part that does not qualify."""
    match check:
        case GoodsCheck.BOOKED:
            if part.picked_up:
                return "ALREADY_PICKED_UP"
            if not part.in_shipping:
                return "NOT_IN_SHIPPING"
            return None if part.awb else "AWB_MISSING"
        case _ if part.in_shipping:
            return "IN_SHIPPING"
        case GoodsCheck.NOT_STARTED:
            return "ALREADY_PREPARED" if part.value is Fulfilment.READY else None
        case GoodsCheck.READY:
            return "NOT_PREPARED" if part.value is Fulfilment.NOT_STARTED else None
        case GoodsCheck.UNSHIPPED:
            return None


def goods_fault(check: GoodsCheck, situation: Situation) -> str | None:
    """The code by which goods refuse a command, if they do (GR-7).

    A named part that does not qualify refuses; without a scope only that none qualifies. The code is that of
    the least advanced part that does not qualify.
    """
    faults = {part: fault for part in situation.concerned if (fault := _fault(check, part)) is not None}
    named = situation.scope is not None
    if not faults or not (named or len(faults) == len(set(situation.concerned))):
        return None
    return faults[min(faults, key=lambda part: (RANK[part.value], part.awb))]


def goods_guard(check: GoodsCheck, code: str) -> Guard:
    """The predicate of a code that a command on goods answers for its parts."""
    return lambda s: goods_fault(check, s) == code


def qualifying(check: GoodsCheck, part: Goods) -> bool:
    """Whether a command with this check can apply to the part; one without a scope takes all such (GR-7)."""
    return _fault(check, part) is None


# The predicate of each code that a situation can answer. A code that is not here is found by the decider,
# from what the command carries, and raised by it.
GUARDS: dict[str, Guard] = {
    "ORDER_IS_CANCELLED": lambda s: s.status is Status.CANCELLED,
    "ORDER_IS_COMPLETED": lambda s: s.status is Status.COMPLETED,
    "CANCELLATION_REQUEST_OPEN": lambda s: s.request_open and not s.accepts_request,
    "ALREADY_CONFIRMED": lambda s: s.status is Status.CONFIRMED,
    "NOT_CONFIRMED": lambda s: s.status is Status.NEW,
    "NOT_COMPLETED": lambda s: s.status is not Status.COMPLETED,
    "ORDER_ON_HOLD": lambda s: s.on_hold,
    "NEGOTIATION_OPEN": lambda s: s.negotiation_open,
    "BUYER_CONSENT_NEEDED": lambda s: s.consent_needed,
    "NOTHING_TO_REOPEN": lambda s: not s.request_open and s.status is not Status.CANCELLED,
    "CANCELLED_BY_CHANNEL": lambda s: s.channel_owned and s.status is Status.CANCELLED,
    "IN_SHIPPING": lambda s: any(part.in_shipping for part in s.parts),
    "ALREADY_PREPARED": lambda s: any(part.value is not Fulfilment.NOT_STARTED for part in s.parts),
    "NOT_DELIVERED": lambda s: s.aggregate is not Fulfilment.DELIVERED,
    "RETURN_IN_PROGRESS": lambda s: s.aggregate is Fulfilment.RETURNING,
    "FULFILMENT_FINAL": lambda s: s.aggregate in _ENDED,
    "RETURN_WINDOW_CLOSED": lambda s: not s.returns_open,
    "CASE_OPEN": lambda s: s.case_open,
    "NO_CASE": lambda s: not s.case_open,
    "COD_ORDER": lambda s: s.method is Method.COD,
    "NOT_COD_ORDER": lambda s: s.method is not Method.COD,
    "ALREADY_PAID": lambda s: s.coverage is Coverage.PAID,
    "NOTHING_PAID": lambda s: s.coverage is Coverage.UNPAID,
    "PAYMENT_RECORDED": lambda s: s.coverage is not Coverage.UNPAID,
    "PAYMENT_INCOMPLETE": lambda s: not s.payment_condition,
    "PAYMENT_RUNNING": lambda s: s.transaction is Transaction.PROCESSING,
    "PAYMENT_UNALLOCATED": lambda s: s.transaction is Transaction.SUCCEEDED,
    "USE_CONFIRM_PAYMENT": lambda s: not _is_extra(s),
    "NOTHING_TO_REFUND": lambda s: not s.refund_due,
    "NOTHING_TO_CREDIT": lambda s: not _is_creditable(s),
    "NOT_INVOICE_ORDER": lambda s: s.method is not Method.INVOICE,
    "BILL_EXISTS": lambda s: s.billing is not Billing.NONE,
    "NO_BILL": lambda s: s.billing is Billing.NONE,
    "BILL_ALREADY_ISSUED": lambda s: s.billing in _BILLED,
    "BILL_HAS_PAYMENT": lambda s: s.billing in _BILLED and s.coverage is not Coverage.UNPAID,
    "DOCUMENTS_INCOMPLETE": lambda s: not s.documents_complete,
    "SHIPPING_INCOMPLETE": lambda s: not s.shipping_complete,
    "CONTACT_UNAVAILABLE": lambda s: not s.contact_usable,
    "CONTACT_NOT_PERMITTED": lambda s: not s.contact_permitted,
    "NOT_CHANNEL_ORDER": lambda s: not s.channel_owned,
    "NO_CONFLICT": lambda s: not s.conflict,
}

# Codes whose meaning is that of 4.2 but which these commands ask about other goods or with other bounds.
GUARDS_OF: dict[tuple[str, str], Guard] = {
    # T26: a bill that stands for the payment lets goods go, but does not complete the order.
    ("CompleteOrder", "PAYMENT_INCOMPLETE"): lambda s: (
        s.method is not Method.COD and s.coverage is not Coverage.PAID
    ),
    # T24, INV-6: the request is about its scope.
    ("RequestCancellation", "ALREADY_PICKED_UP"): lambda s: any(part.picked_up for part in s.concerned),
    # T34a: of a completed order everything counts as delivered.
    ("OpenReturnCase", "NOT_DELIVERED"): lambda s: (
        s.status is not Status.COMPLETED
        and not any(part.value is Fulfilment.DELIVERED for part in s.concerned)
    ),
}


def _is_extra(s: Situation) -> bool:
    """Whether money that arrives cannot be confirmed by ConfirmPayment (T31)."""
    if s.status in {Status.CANCELLED, Status.COMPLETED} or s.coverage is Coverage.PAID:
        return True
    return s.aggregate in _ENDED or s.aggregate is Fulfilment.RETURNING


def _is_creditable(s: Situation) -> bool:
    """Completed, or goods lost or returned; of a COD order only once its cash was collected (T33)."""
    if s.status is Status.COMPLETED:
        return True
    return s.method is not Method.COD and any(part.value in _ENDED for part in s.parts)
