"""The 21 statuses and the values of the dimensions as data (2.1, 2.2), and which status shows (HL-1)."""

from enum import StrEnum

from msgspec import Struct

from services.orders.order.events import Method
from services.orders.order.model import Billing, Coverage, Fulfilment, Status, Transaction


class StatusRow(Struct, frozen=True):
    """One of the 21 statuses: number, what sellers read, code, the dimension it is of, and meaning."""

    number: int
    indonesian: str
    code: str
    dimension: str
    meaning: str


_COVERAGE, _TRANSACTION = "payment (coverage)", "payment (transaction)"
STATUSES = (
    StatusRow(1, "Baru", "NEW", "order", "created, nothing done yet"),
    StatusRow(2, "Dikonfirmasi", "CONFIRMED", "order", "checked by the seller, may be processed"),
    StatusRow(3, "Dibayar", "PAID", _COVERAGE, "the order is paid in full (lunas)"),
    StatusRow(4, "Dibayar Sebagian", "PARTLY_PAID", _COVERAGE, "part is paid, the rest is awaited"),
    StatusRow(5, "Siap Dikirim", "READY_TO_SHIP", "fulfilment", "packed, may go to the courier"),
    StatusRow(
        6, "Meminta Pembatalan", "CANCELLATION_REQUESTED", "order (overlay)", "the buyer asks to cancel"
    ),
    StatusRow(7, "Dibatalkan", "CANCELLED", "order", "cancelled by buyer or seller"),
    StatusRow(
        8,
        "Menunggu Pengiriman",
        "AWAITING_PICKUP",
        "fulfilment",
        "processed, waits for hand-over to the courier",
    ),
    StatusRow(9, "Dalam Pengiriman", "IN_TRANSIT", "fulfilment", "on the way to the buyer"),
    StatusRow(10, "Terkirim", "DELIVERED", "fulfilment", "arrived at the destination"),
    StatusRow(
        11, "Kiriman Bermasalah", "DELIVERY_PROBLEM", "fulfilment", "the delivery has run into trouble"
    ),
    StatusRow(12, "Paket Hilang/Rusak", "LOST_OR_DAMAGED", "fulfilment", "package lost or damaged"),
    StatusRow(13, "Dalam Pengembalian", "RETURNING", "fulfilment", "on the way back to the seller"),
    StatusRow(14, "Dikembalikan", "RETURNED", "fulfilment", "received back by the seller"),
    StatusRow(
        15, "Menunggu Pembayaran", "AWAITING_PAYMENT", _TRANSACTION, "a payment by the buyer is awaited"
    ),
    StatusRow(16, "Pembayaran Diproses", "PAYMENT_IN_PROCESS", _TRANSACTION, "a payment is being processed"),
    StatusRow(17, "Pembayaran Selesai", "PAYMENT_SUCCEEDED", _TRANSACTION, "one payment succeeded"),
    StatusRow(18, "Tagihan Tertunda", "BILL_PENDING", "billing", "bill made, not issued"),
    StatusRow(19, "Tagihan Diterbitkan", "BILL_ISSUED", "billing", "bill issued"),
    StatusRow(20, "Tagihan Dibayar", "BILL_PAID", "billing", "bill paid by the buyer"),
    StatusRow(21, "Selesai", "COMPLETED", "order", "received by the buyer, finished"),
)

FULFILMENT_HEADLINES = {
    Fulfilment.READY: "READY_TO_SHIP",
    Fulfilment.BOOKED: "AWAITING_PICKUP",
    Fulfilment.IN_TRANSIT: "IN_TRANSIT",
    Fulfilment.PROBLEM: "DELIVERY_PROBLEM",
    Fulfilment.DELIVERED: "DELIVERED",
    Fulfilment.LOST_OR_DAMAGED: "LOST_OR_DAMAGED",
    Fulfilment.RETURNING: "RETURNING",
    Fulfilment.RETURNED: "RETURNED",
}
BILLING_HEADLINES = {
    Billing.PENDING: "BILL_PENDING",
    Billing.ISSUED: "BILL_ISSUED",
    Billing.PAID: "BILL_PAID",
}
TRANSACTION_HEADLINES = {
    Transaction.AWAITING: "AWAITING_PAYMENT",
    Transaction.PROCESSING: "PAYMENT_IN_PROCESS",
    Transaction.SUCCEEDED: "PAYMENT_SUCCEEDED",
}


def headline_of(
    order: Status,
    *,
    request: bool,
    fulfilment: Fulfilment,
    billing: Billing,
    coverage: Coverage,
    transaction: Transaction,
) -> str:
    """The one status that shows: the first dimension that has something to say (HL-1)."""
    if order in {Status.CANCELLED, Status.COMPLETED}:
        return order.value
    if request:
        return "CANCELLATION_REQUESTED"
    if fulfilment is not Fulfilment.NOT_STARTED:
        return FULFILMENT_HEADLINES[fulfilment]
    if billing is not Billing.NONE:
        return BILLING_HEADLINES[billing]
    if coverage is not Coverage.UNPAID:
        return coverage.value
    if transaction is not Transaction.NONE:
        return TRANSACTION_HEADLINES[transaction]
    return order.value


# What people read for the values of each dimension that the API and the machine speak of (2.2, OM-4).
DIMENSIONS: dict[str, dict[StrEnum, str]] = {
    "method": {
        Method.COD: "COD",
        Method.TRANSFER: "Bank Transfer",
        Method.GATEWAY: "Payment Gateway",
        Method.INVOICE: "Tempo",
    },
    "order": {
        Status.NEW: "Baru",
        Status.CONFIRMED: "Dikonfirmasi",
        Status.CANCELLED: "Dibatalkan",
        Status.COMPLETED: "Selesai",
    },
    "coverage": {
        Coverage.UNPAID: "belum dibayar",
        Coverage.PARTLY_PAID: "Dibayar Sebagian",
        Coverage.PAID: "Dibayar",
    },
    "transaction": {
        Transaction.NONE: "tidak ada",
        Transaction.AWAITING: "Menunggu Pembayaran",
        Transaction.PROCESSING: "Pembayaran Diproses",
        Transaction.SUCCEEDED: "Pembayaran Selesai",
    },
    "fulfilment": {
        Fulfilment.NOT_STARTED: "belum",
        Fulfilment.READY: "Siap Dikirim",
        Fulfilment.BOOKED: "Menunggu Pengiriman",
        Fulfilment.IN_TRANSIT: "Dalam Pengiriman",
        Fulfilment.PROBLEM: "Kiriman Bermasalah",
        Fulfilment.DELIVERED: "Terkirim",
        Fulfilment.LOST_OR_DAMAGED: "Paket Hilang/Rusak",
        Fulfilment.RETURNING: "Dalam Pengembalian",
        Fulfilment.RETURNED: "Dikembalikan",
    },
    "bill": {
        Billing.NONE: "tidak ada",
        Billing.PENDING: "Tagihan Tertunda",
        Billing.ISSUED: "Tagihan Diterbitkan",
        Billing.PAID: "Tagihan Dibayar",
    },
}
