"""What Tokopedia's codes mean (tokopedia.md A5.3), as data: a code names its own facts and none before it.

A code that is not here (401, 800, 801, ...) is UnknownStatusReported, never the nearest one (R1). Code 0 is
valid and falsy (K3): rows are looked up by text. A change of any row is a new TRANSLATOR_VERSION (IN-12).
"""

from collections.abc import Mapping

import msgspec

TRANSLATOR_VERSION = 1


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one code states: its facts, who acts where the code itself says so, a hold begun or ended."""

    facts: tuple[str, ...]
    by: str | None = None
    on_hold: bool | None = None


_CANCELLED = Row(facts=("OrderCancelled",))
_PAID = Row(facts=("PaymentSucceeded",))
_PAYING = Row(facts=("PaymentProcessingStarted",))
_NOTE = Row(facts=("ChannelNote",))
_HELD = Row(facts=("ChannelNote",), on_hold=True)
_PROBLEM = Row(facts=("DeliveryProblemReported",))

ROWS: Mapping[str, Row] = {
    "0": _CANCELLED,
    "2": _CANCELLED,
    "3": _CANCELLED,
    "4": _CANCELLED,
    "5": _CANCELLED,
    "6": _CANCELLED,
    "10": Row(facts=("OrderCancelled",), by="SELLER"),
    "11": _NOTE,
    "15": Row(facts=("OrderCancelled",), by="BUYER"),
    "100": Row(facts=("PaymentAwaited",)),
    "103": _PAYING,
    "200": _PAYING,
    "220": _PAID,
    "221": Row(facts=("PaymentSucceeded", "ChannelNote")),
    "400": Row(facts=("OrderConfirmed",)),
    "450": Row(facts=("ShipmentBooked",)),
    "500": Row(facts=("PackagePickedUp",)),
    "501": _NOTE,
    "520": _PROBLEM,
    "530": _PROBLEM,
    "540": _NOTE,
    "550": Row(facts=("ReturnStarted",)),
    "600": Row(facts=("PackageDelivered",)),
    "601": _NOTE,
    "690": _HELD,
    "691": _HELD,
    "695": _HELD,
    "698": Row(facts=("ChannelNote",), on_hold=False),
    "699": _CANCELLED,
    "700": Row(facts=("OrderCompleted",)),
    "701": _NOTE,
}
UNKNOWN = Row(facts=("UnknownStatusReported",))

# The AWB is missing: a booking without AWB, where the history shows that nothing was shipped before.
AWB_MISSING = "501"
SHIPPED = "500"
BOOKED_WITHOUT_AWB = Row(facts=("ShipmentBooked",))

# `action_by` of a row of the history.
ACTORS: Mapping[str, str] = {
    "buyer": "BUYER",
    "seller": "SELLER",
    "system": "CHANNEL",
    "system-automatic": "CHANNEL",
    "tokopedia": "CHANNEL",
}

# The topic is in the path of the webhook (K1); these four are about an order, by the kind they translate as.
ORDER_TOPICS: Mapping[str, str] = {
    "order_notification": "notification",
    "order_status": "status",
    "order_cancellation": "cancellation",
    "order_request_cancellation": "cancel-request",
}
OTHER_TOPICS = frozenset(
    {
        "chat_notification",
        "product_changes",
        "product_creation",
        "product_edit",
        "campaign_notification",
        "product_discussion",
        "merge",
    }
)
