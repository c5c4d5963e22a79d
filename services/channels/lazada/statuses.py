"""What Lazada's words mean (lazada.md 5.4), as data: a status names its own fact and none before it.

A status that is in no table is UnknownStatusReported, never the nearest name (R1). A change of any row is a
new TRANSLATOR_VERSION (IN-12).
"""

from collections.abc import Mapping

import msgspec

TRANSLATOR_VERSION = 1

ITEM_FACTS: Mapping[str, str] = {
    "unpaid": "PaymentAwaited",
    "pending": "PaymentSucceeded",
    "packed": "PackagePrepared",
    "repacked": "ShipmentCancelled",
    "ready_to_ship_pending": "ShipmentBooked",
    "ready_to_ship": "ShipmentBooked",
    "shipped": "PackagePickedUp",
    "shipping": "PackagePickedUp",
    "delivered": "PackageDelivered",
    "confirmed": "OrderCompleted",
    "canceled": "OrderCancelled",
    "cancelled": "OrderCancelled",
    "failed": "DeliveryProblemReported",
    "failed_delivery": "DeliveryProblemReported",
    "shipped_back": "ReturnStarted",
    "shipped_back_success": "ReturnReceived",
    "shipped_back_failed": "ChannelNote",
    "package_scrapped": "PackageLostOrDamaged",
    "returned": "ReturnReceived",
    "lost": "PackageLostOrDamaged",
    "lost_by_3pl": "PackageLostOrDamaged",
    "damaged_by_3pl": "PackageLostOrDamaged",
}

REVERSE_FACTS: Mapping[str, str] = {
    "CANCEL_INIT": "CancellationRequested",
    "CANCEL_SUCCESS": "OrderCancelled",
    "CANCEL_REFUND_ISSUED": "RefundPaid",
    "RTM_INIT": "ReturnCaseOpened",
    "RTW_INIT": "ReturnCaseOpened",
    "RTM_SHIPPING_BACK": "ReturnStarted",
    "RTW_SHIPPING_BACK": "ReturnStarted",
    "RTM_RECEIVE_ITEM": "ReturnReceived",
    "RTM_CANCELED": "ReturnCaseClosed",
    "RTW_CANCELED": "ReturnCaseClosed",
    "RTW_REJECT": "ReturnCaseClosed",
    "RTW_REFUND_PENDING": "ChannelNote",
    "REFUND_INIT": "ChannelNote",
    "REFUND_PENDING": "ChannelNote",
    "REFUND_SUCCESS": "RefundPaid",
    "REFUND_REJECTED": "ChannelNote",
}

PACKAGE_FACTS: Mapping[str, str] = {"DELIVERED": "PackageDelivered"}

# The signed Verify probe of the console (lazada.md 3.2).
PROBE_SELLER = "9999"
PROBE_ORDER = "123456"
PROBE_TEXTS = frozenset({"This is a test message", "Initiated"})

# Message types that exist and are about no order (lazada.md 3.3).
OTHER_TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 19, 21, 35, 46})

# `cancel_return_initiator` is "<what>-<who>" or "<who>-cancel"; "null-null" means none (L21).
INITIATORS: Mapping[str, str] = {
    "buyer": "BUYER",
    "customer": "BUYER",
    "seller": "SELLER",
    "internal": "CHANNEL",
    "system": "CHANNEL",
}

CURRENCIES: Mapping[str, str] = {
    "my": "MYR",
    "sg": "SGD",
    "th": "THB",
    "vn": "VND",
    "id": "IDR",
    "ph": "PHP",
}


class PushShape(msgspec.Struct, frozen=True, kw_only=True):
    """Where a push about an order keeps its status and what it is about, and the table of its words."""

    status: str
    scope: str
    subject: str
    facts: Mapping[str, str]


ORDER_PUSHES: Mapping[int, PushShape] = {
    0: PushShape(status="order_status", scope="line", subject="trade_order_line_id", facts=ITEM_FACTS),
    10: PushShape(status="reverse_status", scope="line", subject="trade_order_line_id", facts=REVERSE_FACTS),
    14: PushShape(status="status", scope="package", subject="fulfillment_package_id", facts=PACKAGE_FACTS),
}
