"""What an order is made of now: the values that its events add up to.

Everything here is a frozen value that msgspec writes as JSON, since read models keep it between batches.
"""

from enum import StrEnum

from msgspec import Struct

from services.orders.order.seller_events import ActionLine, ShortLine
from services.orders.order.words import (
    Actor,
    CaseStep,
    Disposition,
    FactRef,
    Instant,
    Method,
    MovedPart,
    PlacedLine,
    ReceiptSource,
    Sealed,
    TaxMode,
)


class Status(StrEnum):
    """The order dimension (2.2)."""

    NEW = "NEW"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"


class Transaction(StrEnum):
    """The payment dimension, transaction (2.2)."""

    NONE = "NONE"
    AWAITING = "AWAITING"
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"


class Coverage(StrEnum):
    """The payment dimension, coverage (MO-8)."""

    UNPAID = "UNPAID"
    PARTLY_PAID = "PARTLY_PAID"
    PAID = "PAID"


class Billing(StrEnum):
    """The billing dimension (2.2)."""

    NONE = "NONE"
    PENDING = "PENDING"
    ISSUED = "ISSUED"
    PAID = "PAID"


class Fulfilment(StrEnum):
    """The fulfilment dimension of a part and of the order (2.2)."""

    NOT_STARTED = "NOT_STARTED"
    READY = "READY"
    BOOKED = "BOOKED"
    IN_TRANSIT = "IN_TRANSIT"
    PROBLEM = "PROBLEM"
    DELIVERED = "DELIVERED"
    LOST_OR_DAMAGED = "LOST_OR_DAMAGED"
    RETURNING = "RETURNING"
    RETURNED = "RETURNED"


class Mark(Struct, frozen=True, gc=False):
    """A watermark: the time of the newest news of a dimension, its reading, its place in the chain (MK-4)."""

    at: Instant
    read_at: Instant | None = None
    rank: int = 0


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A quantity of one line that moves together (OM-6)."""

    id: int
    line: str
    quantity: int
    sku: str = ""
    value: Fulfilment = Fulfilment.NOT_STARTED
    package: str = ""
    cancelled: bool = False
    accepted: bool = False
    mark: Mark | None = None
    # The number of the event that set the value, for "explain this status" (HL-3).
    since: int = 0
    picked_up_at: Instant | None = None
    cancelled_at: Instant | None = None
    # Of SELLER orders only: where the goods leave from, and when they arrived (T22, T34a).
    warehouse: str = ""
    delivered_at: Instant | None = None
    # Steps that no fact has told of yet: event name -> number of the implied event (MK-7).
    implied: dict[str, int] = {}


class PackageNews(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The newest fact about a package as a whole, for lines that turn out to be in it only later (MK-18)."""

    at: Instant
    fact: FactRef
    awb: str = ""


class Package(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What goes to the courier together (OM-7); `live` tells a live AWB from one only announced (INV-9)."""

    id: str
    awb: str = ""
    live: bool = False
    courier: str = ""
    service: str = ""
    voided_at: Instant | None = None
    news: PackageNews | None = None
    # What the courier asks for at the door, and whether tax and fees are in it (MO-14).
    collect: int = 0
    with_fees: bool = False


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money that came in (MO-7); implied or assumed ones give way to what is told later (MK-9)."""

    amount: int
    at: Instant | None = None
    reference: str = ""
    implied: bool = False
    assumed: bool = False
    event: int = 0
    id: str = ""
    source: ReceiptSource = ReceiptSource.CHANNEL


class CodCash(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The ledger entry of a package's cash: to be collected, collected, remitted (MO-15)."""

    package: str
    awb: str = ""
    expected: int = 0
    collected: int = 0
    remitted: int | None = None
    reference: str = ""


class CodTold(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Cash that a courier reported before the order could be completed."""

    package: str
    amount: int


class Refund(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money that went back."""

    amount: int
    at: Instant | None = None
    reference: str = ""
    fact: FactRef | None = None

    @property
    def key(self) -> str:
        return "" if self.fact is None else fact_key(self.fact, self.at)


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An open request to cancel; no lines means the whole order (CR-4)."""

    lines: tuple[str, ...] = ()
    at: Instant | None = None
    by: Actor | None = None
    deadline: Instant | None = None
    event: int = 0
    # When the seller was last reminded of it (CR-5).
    reminded_at: Instant | None = None
    reason: str = ""
    # The quantities asked for, where a request names less than whole lines.
    parts: tuple[MovedPart, ...] = ()


class ReturnCase(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A return case with its own steps (T34)."""

    id: str
    lines: tuple[str, ...] = ()
    step: CaseStep = CaseStep.OPENED
    mark: Mark | None = None
    event: int = 0
    outcome: str = ""


class Doubt(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """News that raised a flag: a conflict (MK-14) or an unrecognised status (MK-15)."""

    disposition: Disposition
    type: str
    lines: tuple[str, ...] = ()
    at: Instant | None = None
    status: str | None = None
    event: int = 0


class ChannelAction(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An action that a marketplace was asked for; without an outcome it has not ended (AC-03).

    `raised`: it ended without success and nothing has taken its place, so that it shows (MA-4).
    """

    action: str
    id: str
    event: int
    lines: tuple[ActionLine, ...] = ()
    packages: tuple[str, ...] = ()
    reason: str = ""
    awb: str = ""
    courier: str = ""
    side_effects: tuple[str, ...] = ()
    actor: Actor = Actor.SYSTEM
    at: Instant | None = None
    not_after: Instant | None = None
    outcome: str = ""
    already: bool = False
    code: str = ""
    text: str = ""
    ended_at: Instant | None = None
    raised: bool = False


class Order(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An order as its events add up to it; `sequence` is the number of the last one (OM-9)."""

    sequence: int
    number: str
    seller: str
    channel: str
    site: str
    shop: str
    connection: str
    marketplace_number: str
    method: Method
    currency: str
    # The figures as the channel stated them (MO-6); money.py reckons with them.
    placed_total: int
    lines: tuple[PlacedLine, ...]
    parts: tuple[Part, ...]
    source: str = "CHANNEL"
    reference: str = ""
    placed_at: Instant | None = None
    # When the present episode began, if it is not the first.
    reopened_at: Instant | None = None
    # The versions of the seller's policies by which the episode began and by which the goods arrived: a timer
    # keeps the instant that they gave it (TI-7). Of SELLER orders only.
    began_under: int = 0
    arrived_under: int = 0
    discount: int = 0
    shipping_fee: int = 0
    insurance_fee: int = 0
    other_fees: int = 0
    city: str = ""
    province: str = ""
    courier: str = ""
    service: str = ""
    warehouse: str = ""
    # What is known of its buyers, sealed; of a field the last that names it counts (PD-2).
    buyers: tuple[Sealed, ...] = ()
    episode: int = 1
    revision: int = 1

    status: Status = Status.NEW
    status_since: int = 1
    cancelled_at: Instant | None = None
    completed_at: Instant | None = None
    # Order-wide steps that no fact has told of yet: event name -> number of the implied event (MK-7).
    implied: dict[str, int] = {}

    transaction: Transaction = Transaction.NONE
    transaction_since: int = 0
    coverage_since: int = 0
    payment_mark: Mark | None = None
    receipts: tuple[Receipt, ...] = ()
    refunds: tuple[Refund, ...] = ()
    # Refunds told of a COD order before its cash was collected; booked with the cash (MK-9).
    refunds_ahead: tuple[Refund, ...] = ()
    # Keys of refunds that stated no amount; the amount books them (MK-3, MK-9).
    refunds_unstated: tuple[str, ...] = ()
    # Cause -> amount.
    credits: dict[str, int] = {}
    refund_due: int = 0
    amounts_differ: bool = False

    billing: Billing = Billing.NONE
    packages: tuple[Package, ...] = ()
    packages_made: int = 0
    parts_made: int = 0
    void_awbs: tuple[str, ...] = ()

    request: Request | None = None
    request_mark: Mark | None = None
    cases: tuple[ReturnCase, ...] = ()
    on_hold: bool = False
    hold_mark: Mark | None = None
    doubts: tuple[Doubt, ...] = ()

    # What only SELLER orders and commands bring.
    page: str = ""
    agent: str = ""
    tags: tuple[str, ...] = ()
    tax_mode: TaxMode = TaxMode.NONE
    tax_rate: int = 0
    cancel_reason: str = ""
    cancel_label: str = ""
    cancelled_by: Actor | None = None
    reversals: tuple[Receipt, ...] = ()
    transaction_reference: str = ""
    transaction_amount: int = 0
    # References of gateway payments that are booked, so that the same one again is a duplicate (T27c).
    allocated: tuple[str, ...] = ()
    bill_amount: int = 0
    bill_number: str = ""
    bill_due_at: Instant | None = None
    billing_since: int = 0
    backordered: bool = False
    short: tuple[ShortLine, ...] = ()
    money_to_settle: bool = False
    cod: tuple[CodCash, ...] = ()
    cod_told: tuple[CodTold, ...] = ()
    # Actions at the marketplace in the order in which they were asked for; of ended ones the latest.
    actions: tuple[ChannelAction, ...] = ()
    # The key of every fact in the history (MK-3) -> number of the event that keeps it.
    seen: dict[str, int] = {}


def fact_key(fact: FactRef, at: Instant | None) -> str:
    """The key of a fact (MK-3); the order it belongs to is left out, being the same for all."""
    when = f"#{fact.occurrence}" if at is None else at.isoformat()
    return f"{fact.line or ''}/{fact.package or ''} {fact.type} {fact.status} {when}"


def newer(mark: Mark | None, at: Instant, read_at: Instant | None) -> bool | None:
    """Whether news is newer than a watermark; None: as new, so that the news chain decides (MK-5)."""
    if mark is None or at > mark.at:
        return True
    if at < mark.at:
        return False
    if read_at is None or mark.read_at is None or read_at == mark.read_at:
        return None
    return read_at > mark.read_at


def advanced(mark: Mark | None, at: Instant | None, read_at: Instant | None, rank: int = 0) -> Mark | None:
    """The watermark after news of this time; it never goes back, and without a time it stays (MK-10)."""
    if at is None or (mark is not None and newer(mark, at, read_at) is False):
        return mark
    return Mark(at, read_at, rank)
