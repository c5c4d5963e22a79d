"""One literal body of every command, for the OpenAPI document; a test has every one read as its command."""

from collections.abc import Mapping
from typing import Any, Final

Body = dict[str, Any]

_LINE: Final[Body] = {"sku": "TEH-HIJAU-250", "name": "Teh Hijau 250 g", "quantity": 2, "unit_price": 50_000}
_PART: Final[Body] = {"line": "1", "quantity": 1}

COMMAND_EXAMPLES: Final[Mapping[str, Body]] = {
    "PlaceOrder": {
        "source": "MANUAL",
        "payment_method": "TRANSFER",
        "lines": [_LINE],
        "recipient": {
            "name": "Penerima Contoh",
            "phone": "+6281200000000",
            "address": "Jl. Contoh 1",
            "district": "Coblong",
            "city": "Bandung",
            "province": "Jawa Barat",
            "postal_code": "40132",
        },
        "shipping_fee": 9_000,
        "courier": "JNE",
        "service": "REG",
        "allow_backorder": True,
    },
    "ConfirmOrder": {},
    "UnconfirmOrder": {},
    "ConfirmPayment": {"amount": 109_000, "reference": "TRF-20260305-17"},
    "ReversePayment": {"receipt": "r3"},
    "SendCustomerChat": {"template": "order_confirmed"},
    "EditOrder": {"lines": [{"line": "1", "quantity": 3}], "discount": 5_000, "allow_backorder": True},
    "CancelOrder": {"reason": "OUT_OF_STOCK", "by": "SELLER"},
    "ReopenOrder": {"outcome": "REFUSED", "allow_backorder": True},
    "ViewOrder": {},
    "ShipOrder": {"parts": [_PART], "courier": "JNE", "service": "REG"},
    "CancelShipment": {"packages": ["#1"]},
    "ChangeAgent": {"agent": "0199f2d4-6f43-7b52-9a07-3f5a3b0c8d11"},
    "TagOrder": {"add": ["hadiah"], "remove": []},
    "MarkReady": {"parts": [_PART]},
    "RequestCancellation": {"reason": "CHANGED_MIND", "parts": [_PART], "note": "by telephone"},
    "CompleteOrder": {},
    "CreateBill": {},
    "IssueBill": {},
    "VoidBill": {},
    "UnmarkReady": {"parts": [_PART]},
    "CancelLines": {"parts": [_PART], "reason": "OUT_OF_STOCK"},
    "RecordExtraReceipt": {"amount": 5_000, "reference": "TRF-20260306-02"},
    "RecordRefund": {"amount": 5_000, "reference": "TRF-20260307-01", "refunded_at": "2026-03-07T03:00:00Z"},
    "RecordCredit": {"amount": 5_000, "reason": "late delivery"},
    "OpenReturnCase": {"lines": ["1"], "reason": "wrong size"},
    "CloseReturnCase": {"case": "c9", "outcome": "CLOSED", "good": 1, "damaged": 0},
    "HoldOrder": {"reason": "address to be checked"},
    "ReleaseOrder": {},
    "RecordCodRemittance": {"amount": 109_000, "awb": "JNE0000000001", "reference": "COD-20260310-4"},
    "AdoptChannelState": {
        "reading": "0195d3a0-6f00-7c11-9a3e-5b2d8e4f1a07",
        "read_at": "2026-03-10T03:00:00Z",
        "reason": "CHANNEL_IS_RIGHT",
        "status": "CANCELLED",
        "coverage": "PAID",
        "parts": [{"line": "1", "value": "CANCELLED"}],
    },
}
"""Command -> a body that HTTP takes."""

FACT_EXAMPLE: Final[Body] = {
    "type": "PackagePickedUp",
    "scope": {"package": "#1"},
    "occurred_at": "2026-03-05T07:09:00Z",
    "data": {},
}
