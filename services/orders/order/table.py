"""The one table of the machine: commands T1 to T37 and facts, with their guards in order (PM-1, 3.2 to 3.4).

The decider refuses by it, the API's `allowed` and the publication read it, and the documentation is generated
from it. Names and the order of guards are public: a change of them is a change of the machine (PM-5).
"""

from collections.abc import Collection
from enum import StrEnum

from msgspec import Struct

from services.orders.order.events import Method
from services.orders.order.guards import (
    GUARDS,
    GUARDS_OF,
    Goods,
    GoodsCheck,
    Guard,
    Situation,
    goods_guard,
)
from services.orders.order.model import Billing, Coverage, Fulfilment, Status, Transaction

__all__ = [
    "COMMANDS",
    "FACTS",
    "CommandRow",
    "FactRow",
    "Goods",
    "OnChannel",
    "Situation",
    "allowed",
    "applies",
    "first_refusal",
]

# GR-5.
OPEN = ("ORDER_IS_CANCELLED", "ORDER_IS_COMPLETED")
FREE = (*OPEN, "CANCELLATION_REQUEST_OPEN")

# GR-3 (6): ownership is asked before the table, MA-1 with it; MA-2 puts these behind a command's own checks.
_BEFORE = ("CHANNEL_OWNED", "ACTION_NOT_SUPPORTED")
_BEHIND = ("SIDE_EFFECTS_NOT_ACKNOWLEDGED", "ACTION_IN_FLIGHT")


class OnChannel(StrEnum):
    """What a command does on an order that the marketplace owns (11.2)."""

    LOCAL = "LOCAL"
    ACTION = "ACTION"
    OWNED = "OWNED"


class CommandRow(Struct, frozen=True, kw_only=True):
    """A command: its numbers, events, guards from left to right, and inverses (GR-10).

    ReopenOrder and CancelOrder each stand for two rows of the rules, hence several numbers and events.
    """

    name: str
    numbers: tuple[str, ...]
    events: tuple[str, ...]
    indonesian: str
    guards: tuple[str, ...]
    inverses: tuple[str, ...]
    on_channel: OnChannel
    goods: GoodsCheck | None

    @property
    def number(self) -> str:
        """The row of the rules that this is, the first where it is two."""
        return self.numbers[0]

    @property
    def event(self) -> str | None:
        """The event that the command brings, the first where it may be another; None for a mere reading."""
        return self.events[0] if self.events else None

    @property
    def inverse(self) -> str | None:
        """The command that takes this one back, if there is one."""
        return self.inverses[0] if self.inverses else None


class FactRow(Struct, frozen=True, kw_only=True):
    """A fact: a report that is applied or only recorded, never refused (GR-1, GR-8).

    `sender` says who reports it: COURIER, GATEWAY or SYSTEM (GR-13, GR-15). `values` are the fulfilments of a
    part that it applies to, nothing for facts that are not about goods.
    """

    name: str
    number: str
    indonesian: str
    sender: str
    values: tuple[Fulfilment, ...] = ()

    @property
    def event(self) -> str:
        """The event that an applied fact brings: its own name."""
        return self.name


def _row(
    numbers: str,
    name: str,
    events: str,
    indonesian: str,
    *guards: str,
    inverse: str = "",
    channel: OnChannel = OnChannel.OWNED,
    goods: GoodsCheck | None = None,
) -> CommandRow:
    return CommandRow(
        name=name,
        numbers=tuple(numbers.split()),
        events=tuple(events.split()),
        indonesian=indonesian,
        guards=guards,
        inverses=tuple(inverse.split()),
        on_channel=channel,
        goods=goods,
    )


_LOCAL, _ACTION = OnChannel.LOCAL, OnChannel.ACTION

# fmt: off
_COMMANDS = (
    _row("T1", "PlaceOrder", "OrderPlaced", "Buat pesanan",
         "NO_LINES", "QUANTITY_INVALID", "PRICE_INVALID", "NO_LINKED_PRODUCT", "CUSTOMER_INCOMPLETE",
         "SHIPPING_INCOMPLETE", "METHOD_UNKNOWN", "TOTAL_NOT_POSITIVE", "STOCK_NOT_AVAILABLE",
         inverse="CancelOrder"),
    _row("T2", "ConfirmOrder", "OrderConfirmed", "Konfirmasi Pesanan",
         *FREE, "ALREADY_CONFIRMED", "ORDER_ON_HOLD", "NEGOTIATION_OPEN", "BUYER_CONSENT_NEEDED",
         inverse="UnconfirmOrder", channel=_ACTION),
    _row("T3", "UnconfirmOrder", "OrderUnconfirmed", "Batalkan Konfirmasi Pesanan",
         *FREE, "NOT_CONFIRMED", "IN_SHIPPING", "ALREADY_PREPARED", "PAYMENT_RECORDED", "BILL_EXISTS",
         "PAYMENT_RUNNING", "PAYMENT_UNALLOCATED",
         inverse="ConfirmOrder"),
    _row("T4", "ConfirmPayment", "PaymentConfirmed", "Konfirmasi Pembayaran",
         *FREE, "NEGOTIATION_OPEN", "COD_ORDER", "ALREADY_PAID", "RETURN_IN_PROGRESS", "FULFILMENT_FINAL",
         "PAYMENT_RUNNING", "AMOUNT_MISMATCH",
         inverse="ReversePayment"),
    _row("T5", "ReversePayment", "PaymentReversed", "Batalkan Konfirmasi Pembayaran",
         *FREE, "NOTHING_PAID", "IN_SHIPPING", "RECEIPT_NOT_REVERSIBLE",
         inverse="ConfirmPayment"),
    _row("T6", "SendCustomerChat", "CustomerChatRequested", "Kirim Chat Pelanggan",
         "CONTACT_UNAVAILABLE", "CONTACT_NOT_PERMITTED",
         channel=_LOCAL),
    _row("T7", "EditOrder", "OrderEdited", "Ubah Pesanan",
         *FREE, "IN_SHIPPING", "BILL_ALREADY_ISSUED", "PAYMENT_RUNNING", "METHOD_LOCKED", "LAST_LINE",
         "TOTAL_NOT_POSITIVE", "STOCK_NOT_AVAILABLE",
         inverse="EditOrder", channel=_LOCAL),
    _row("T8 T25", "CancelOrder", "OrderCancelled", "Batalkan Pesanan",
         *OPEN, "IN_SHIPPING", "PAYMENT_RUNNING",
         inverse="ReopenOrder", channel=_ACTION),
    _row("T9 T10", "ReopenOrder", "CancellationRequestClosed OrderReopened", "Buka Kembali Pesanan",
         "NOTHING_TO_REOPEN", "CANCELLED_BY_CHANNEL", "STOCK_NOT_AVAILABLE",
         inverse="RequestCancellation CancelOrder", channel=_ACTION),
    _row("T11", "ViewOrder", "", "Lihat Pesanan",
         channel=_LOCAL),
    _row("T12", "ShipOrder", "ShipmentBooked", "Kirim Pesanan",
         *FREE, "IN_SHIPPING", "NOT_CONFIRMED", "PAYMENT_INCOMPLETE", "ORDER_ON_HOLD", "SHIPPING_INCOMPLETE",
         inverse="CancelShipment", channel=_ACTION, goods=GoodsCheck.UNSHIPPED),
    _row("T13", "CancelShipment", "ShipmentCancelled", "Batalkan Pengiriman",
         *OPEN, "NOT_IN_SHIPPING", "ALREADY_PICKED_UP", "AWB_MISSING",
         inverse="ShipOrder", channel=_ACTION, goods=GoodsCheck.BOOKED),
    _row("T14", "ChangeAgent", "AgentAssigned", "Ganti Agen",
         "AGENT_UNKNOWN",
         inverse="ChangeAgent", channel=_LOCAL),
    _row("T15", "TagOrder", "OrderTagged", "Tag",
         "TAG_INVALID", "TOO_MANY_TAGS",
         inverse="TagOrder", channel=_LOCAL),
    _row("T16", "MarkReady", "PackagePrepared", "Tandai Siap Dikirim",
         *FREE, "IN_SHIPPING", "ALREADY_PREPARED", "NOT_CONFIRMED", "PAYMENT_INCOMPLETE", "ORDER_ON_HOLD",
         inverse="UnmarkReady", channel=_ACTION, goods=GoodsCheck.NOT_STARTED),
    _row("T24", "RequestCancellation", "CancellationRequested", "Ajukan pembatalan",
         *FREE, "ALREADY_PICKED_UP",
         inverse="ReopenOrder"),
    _row("T26", "CompleteOrder", "OrderCompleted", "Selesai",
         *OPEN, "NOT_DELIVERED", "PAYMENT_INCOMPLETE", "ORDER_ON_HOLD", "CASE_OPEN"),
    _row("T28a", "CreateBill", "BillCreated", "Buat tagihan",
         *FREE, "NOT_INVOICE_ORDER", "NOT_CONFIRMED", "BILL_EXISTS", "ALREADY_PAID", "FULFILMENT_FINAL",
         inverse="VoidBill"),
    _row("T28b", "IssueBill", "BillIssued", "Terbitkan tagihan",
         *FREE, "NOT_INVOICE_ORDER", "NO_BILL", "BILL_ALREADY_ISSUED", "DOCUMENTS_INCOMPLETE",
         inverse="VoidBill"),
    _row("T28d", "VoidBill", "BillVoided", "Batalkan tagihan",
         *FREE, "NOT_INVOICE_ORDER", "NO_BILL", "IN_SHIPPING", "BILL_HAS_PAYMENT",
         inverse="CreateBill"),
    _row("T29", "UnmarkReady", "PackageUnprepared", "Batalkan penyiapan",
         *FREE, "IN_SHIPPING", "NOT_PREPARED",
         inverse="MarkReady", channel=_ACTION, goods=GoodsCheck.READY),
    _row("T30", "CancelLines", "LinesCancelled", "Batalkan sebagian",
         *FREE, "IN_SHIPPING", "BILL_ALREADY_ISSUED", "PAYMENT_RUNNING", "QUANTITY_NOT_AVAILABLE",
         "LAST_LINE",
         channel=_ACTION, goods=GoodsCheck.UNSHIPPED),
    _row("T31", "RecordExtraReceipt", "ExtraReceiptRecorded", "Catat penerimaan lebih",
         "COD_ORDER", "USE_CONFIRM_PAYMENT",
         inverse="RecordRefund"),
    _row("T32", "RecordRefund", "RefundPaid", "Catat pengembalian dana",
         "NOTHING_TO_REFUND", "REFUND_EXCEEDS_DUE"),
    _row("T33", "RecordCredit", "CreditRecorded", "Catat kredit",
         "ORDER_IS_CANCELLED", "NOTHING_TO_CREDIT", "CREDIT_EXCEEDS_VALUE"),
    _row("T34a", "OpenReturnCase", "ReturnCaseOpened", "Buka kasus retur",
         "ORDER_IS_CANCELLED", "NOT_DELIVERED", "RETURN_WINDOW_CLOSED", "CASE_OPEN",
         inverse="CloseReturnCase", channel=_LOCAL),
    _row("T34b", "CloseReturnCase", "ReturnCaseClosed", "Tutup kasus retur",
         "NO_CASE",
         channel=_LOCAL),
    _row("T35a", "HoldOrder", "OrderHeld", "Sisihkan pesanan",
         *OPEN,
         inverse="ReleaseOrder", channel=_LOCAL),
    _row("T35b", "ReleaseOrder", "OrderReleased", "Lepas penahanan",
         *OPEN,
         inverse="HoldOrder", channel=_LOCAL),
    _row("T36", "RecordCodRemittance", "CodRemitted", "Catat setoran COD",
         "NOT_COD_ORDER", "NOT_COMPLETED", "ALREADY_REMITTED"),
    _row("T37", "AdoptChannelState", "ChannelStateAdopted", "Terima keadaan kanal",
         "NOT_CHANNEL_ORDER", "NO_CONFLICT", "READ_TOO_OLD",
         channel=_LOCAL),
)
# fmt: on

COMMANDS = {row.name: row for row in _COMMANDS}

_F = Fulfilment


def _fact(number: str, name: str, indonesian: str, sender: str, *values: Fulfilment) -> FactRow:
    return FactRow(name=name, number=number, indonesian=indonesian, sender=sender, values=values)


# fmt: off
_FACTS = (
    _fact("T17a", "AwbIssued", "Resi terbit", "COURIER", _F.BOOKED),
    _fact("T17b", "BookingFailed", "Pemesanan kurir gagal", "COURIER", _F.BOOKED),
    _fact("T18", "PackagePickedUp", "Diambil kurir", "COURIER", _F.BOOKED),
    _fact("T19", "PackageDelivered", "Tiba di tujuan", "COURIER", _F.IN_TRANSIT, _F.PROBLEM),
    _fact("T20a", "DeliveryProblemReported", "Kendala pengiriman", "COURIER", _F.IN_TRANSIT),
    _fact("T20b", "DeliveryProblemSolved", "Kendala selesai", "COURIER", _F.PROBLEM),
    _fact("T21", "PackageLostOrDamaged", "Hilang atau rusak", "COURIER",
          _F.IN_TRANSIT, _F.PROBLEM, _F.RETURNING),
    _fact("T22", "ReturnStarted", "Mulai pengembalian", "COURIER", _F.IN_TRANSIT, _F.PROBLEM, _F.DELIVERED),
    _fact("T23", "ReturnReceived", "Diterima kembali", "COURIER", _F.RETURNING),
    _fact("WF-3", "CodCollected", "Uang COD ditagih kurir", "COURIER"),
    _fact("T27a", "PaymentAwaited", "Menunggu pembayaran", "GATEWAY"),
    _fact("T27b", "PaymentProcessingStarted", "Pembayaran diproses", "GATEWAY"),
    _fact("T27c", "PaymentSucceeded", "Pembayaran berhasil", "GATEWAY"),
    _fact("T27d", "PaymentFailed", "Pembayaran gagal / kedaluwarsa", "GATEWAY"),
    _fact("T27e", "PaymentAllocated", "Pembayaran dialokasikan", "SYSTEM"),
    _fact("T28c", "BillPaid", "Tagihan dibayar", "GATEWAY"),
    _fact("GR-15", "StockClaimed", "Stok dipesan", "SYSTEM"),
    _fact("GR-15", "StockShort", "Stok kurang", "SYSTEM"),
    _fact("GR-15", "StockCovered", "Stok terpenuhi", "SYSTEM"),
)
# fmt: on

FACTS = {row.name: row for row in _FACTS}


def _guard(row: CommandRow, code: str) -> Guard | None:
    """The predicate of a code in a row; None for a code that only the decider can find."""
    if row.goods is not None and code in _GOODS_CODES:
        return goods_guard(row.goods, code)
    return GUARDS_OF.get((row.name, code)) or GUARDS.get(code)


_GOODS_CODES = frozenset(
    {"IN_SHIPPING", "NOT_IN_SHIPPING", "ALREADY_PICKED_UP", "AWB_MISSING", "ALREADY_PREPARED", "NOT_PREPARED"}
)
_CHECKS = {row.name: tuple((code, _guard(row, code)) for code in row.guards) for row in _COMMANDS}


def first_refusal(
    command: str, situation: Situation, raised: Collection[str] = frozenset[str]()
) -> str | None:
    """The code that refuses a command, or None: ownership first, then the row from left to right (GR-3).

    A code counts if its predicate says so or if it is in `raised`: those that hang on what the command
    carries (AMOUNT_MISMATCH, LAST_LINE ...) are found by the decider. Raises KeyError for an unknown command,
    and ValueError for a raised code that is not in its row: no refusal is ever dropped.
    """
    row = COMMANDS[command]
    strange = set(raised).difference(row.guards, _BEFORE, _BEHIND)
    if strange:
        raise ValueError(f"{command} has no refusal {', '.join(sorted(strange))} in its row of the table")
    if situation.channel_owned and row.on_channel is OnChannel.OWNED:
        return "CHANNEL_OWNED"
    for code in _BEFORE:
        if code in raised:
            return code
    for code, guard in _CHECKS[command]:
        if code in raised or (guard is not None and guard(situation)):
            return code
    return next((code for code in _BEHIND if code in raised), None)


def allowed(situation: Situation, *, unsupported: Collection[str] = frozenset[str]()) -> list[str]:
    """The commands that nothing in the situation refuses, in the order of the table (LS-3, RF-1).

    `unsupported` are the commands that become actions which this order's channel does not have (MA-1).
    PlaceOrder is never among the allowed: it is about an order that there is not yet.
    """
    return [
        name
        for name in COMMANDS
        if name != "PlaceOrder" and name not in unsupported and first_refusal(name, situation) is None
    ]


def applies(fact: str, situation: Situation) -> bool:
    """Whether a fact about a SELLER order is applied, by the rows of 3.3; otherwise it is recorded (GR-8).

    A fact about goods applies if one of the parts it concerns can take it. Raises KeyError for a fact that
    there is not.
    """
    row = FACTS[fact]
    if row.values:
        return any(_takes(row, part, situation) for part in situation.concerned)
    match fact:
        case "CodCollected":
            return first_refusal("CompleteOrder", situation) is None and situation.method is Method.COD
        case "StockClaimed" | "StockShort" | "StockCovered":
            return situation.status in _LIVE
        case "BillPaid":
            return situation.billing is Billing.ISSUED and situation.status in _LIVE
        case _:
            return situation.method is Method.GATEWAY and _applies_to_transaction(fact, situation)


_LIVE = frozenset({Status.NEW, Status.CONFIRMED})


def _takes(row: FactRow, part: Goods, situation: Situation) -> bool:
    """Whether a part stands where a courier's fact finds it (T17 to T23)."""
    if part.value not in row.values or situation.status is not Status.CONFIRMED:
        return False
    match row.name:
        case "AwbIssued" | "BookingFailed":
            return not part.awb
        case "PackagePickedUp":
            return part.awb
        case "ReturnStarted":
            return part.value is not Fulfilment.DELIVERED or situation.returns_open
        case _:
            return True


def _applies_to_transaction(fact: str, s: Situation) -> bool:
    """Whether a gateway's fact finds the transaction that it is about (T27)."""
    match fact:
        case "PaymentAwaited":
            return (
                s.status in _LIVE
                and not s.request_open
                and s.coverage is not Coverage.PAID
                and s.transaction is Transaction.NONE
                and not s.negotiation_open
            )
        case "PaymentProcessingStarted":
            return s.transaction is Transaction.AWAITING
        case "PaymentSucceeded":
            # A success is money: it is booked in every state, as transaction or as extra receipt (T27c).
            return True
        case "PaymentFailed":
            return s.transaction in {Transaction.AWAITING, Transaction.PROCESSING}
        case "PaymentAllocated":
            return s.transaction is Transaction.SUCCEEDED
        case _:
            raise KeyError(fact)
