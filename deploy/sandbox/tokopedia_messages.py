"""Tokopedia's words: webhook bodies, list and single order answers, each with its own names. Pure."""

import json
import random
from collections.abc import Mapping
from typing import Any

from deploy.sandbox.clock import wib_labelled_utc, wib_text
from deploy.sandbox.lives import REQUEST, Step
from deploy.sandbox.orders import Order
from deploy.sandbox.settings import TokopediaShop

UNSET = "0001-01-01T00:00:00Z"
CANCELLED = frozenset({"0", "3", "5", "10", "15"})

# Who acts, as `action_by` and `update_by` of the history say.
ACTORS: Mapping[str, tuple[str, str]] = {
    "100": ("buyer", "system"),
    "103": ("buyer", "system"),
    "220": ("buyer", "tokopedia"),
    "221": ("system-automatic", "tokopedia"),
    "400": ("seller", "seller"),
    "450": ("seller", "seller"),
    "500": ("seller", "seller"),
    "0": ("system-automatic", "system"),
    "3": ("seller", "seller"),
    "5": ("system-automatic", "tokopedia"),
    "10": ("seller", "seller"),
    "15": ("buyer", "buyer"),
    "530": ("buyer", "buyer"),
    "601": ("buyer", "buyer"),
}
MESSAGES: Mapping[str, str] = {"0": "Penjual telah melebihi batas waktu proses pesanan"}


def topic(step: Step) -> str:
    """The webhook, told apart by its address alone, that a step goes to."""
    if step.status == "220":
        return "notification"
    if step.status == REQUEST:
        return "cancel-request"
    return "cancellation" if step.status in CANCELLED else "status"


def push_body(order: Order, step: Step, fs_id: int) -> bytes:
    """The body of a step's webhook; status bodies carry neither invoice nor time."""
    style = random.Random(order.seed ^ 0x5A)
    as_text, old = style.random() < 0.3, style.random() < 0.15
    assert isinstance(order.shop, TokopediaShop)
    body: dict[str, Any]
    match topic(step):
        case "cancel-request":
            body = {"order_id": str(order.id) if as_text else order.id}
        case "notification":
            body = _notification(order, fs_id, old=old)
        case _:
            body = {
                "order_status": int(step.status),
                "fs_id": fs_id,
                "shop_id": order.shop.shop_id,
                "order_id": order.id,
                "product_details": _products(order, ("id", "Name", "notes", "currency"), {}),
            }
    return json.dumps(body, separators=(",", ":")).encode()


def _products(order: Order, first: tuple[str, ...], more: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for row in order.content.rows:
        product = row.product
        every: dict[str, Any] = {
            "id": product.product_id,
            "Name": product.name,
            "quantity": row.quantity,
            "notes": row.note,
            "currency": "Rp",
            "weight": product.weight,
            "total_weight": round(product.weight * row.quantity, 3),
            "price": row.price,
            "total_price": row.price * row.quantity,
            "sku": product.sku,
        }
        rows.append({name: every[name] for name in first} | every | dict(more))
    return rows


def _notification(order: Order, fs_id: int, *, old: bool) -> dict[str, Any]:
    """The full order at 220. The older flavour writes invoice, names and creation time in other words."""
    buyer = order.content.buyer
    products = _products(order, ("id", "Name"), {"is_eligible_pof": False})
    if old:
        products = [{"name" if key == "Name" else key: row[key] for key in row} for row in products]
    return {
        "fs_id": fs_id,
        "order_id": order.id,
        "accept_partial": False,
        ("invoice_ref_num" if old else "invoice_num"): invoice(order),
        "products": products,
        "customer": {
            "id": buyer.id,
            "Name": buyer.name,
            "phone": _phone(order),
            "email": "" if buyer.masked else buyer.email,
        },
        "recipient": _recipient(order),
        **_shop(order),
        "shop_name": "Toko Contoh",
        "payment_id": _payment_id(order),
        "logistics": _logistics(),
        "amt": _amounts(order),
        "dropshipper_info": {"Name": "", "phone": ""},
        "voucher_info": {"voucher_type": 0, "voucher_code": ""},
        "device_type": "android-3.220",
        "create_time": wib_text(order.created) if old else order.created,
        "order_status": 220,
        "custom_fields": {},
        "is_plus": False,
    }


def invoice(order: Order) -> str:
    day = wib_text(order.created)[:10].replace("-", "")
    return f"INV/{day}/MPL/{order.number}"


def invoice_number(text: str) -> int | None:
    """The order in an invoice number, or None."""
    tail = text.rpartition("/")[2]
    return int(tail) if tail.isdigit() else None


def list_object(order: Order, fs_id: int) -> dict[str, Any]:
    """An order as /v2/order/list shows it: `fs_id` as text, `buyer` where the webhook has `customer`."""
    buyer = order.content.buyer
    shipped = _awb(order)
    return {
        "fs_id": str(fs_id),
        "order_id": order.id,
        "is_cod_mitra": order.life.cod,
        "accept_partial": False,
        "invoice_ref_num": invoice(order),
        "have_product_bundle": False,
        "products": _products(order, ("id", "Name"), {"is_wholesale": False}),
        "products_fulfilled": [
            {"product_id": row.product.product_id, "quantity_deliver": row.quantity, "quantity_reject": 0}
            for row in order.content.rows
        ],
        "device_type": "",
        "buyer": {"id": buyer.id, "Name": buyer.name, "phone": _phone(order), "email": " "},
        **_shop(order),
        "payment_id": _payment_id(order),
        "recipient": _recipient(order),
        "logistics": _logistics(),
        "amt": _amounts(order),
        "dropshipper_info": {},
        "voucher_info": {"voucher_code": "", "voucher_type": 0},
        "order_status": int(order.statuses[0]),
        "fulfill_by": 0,
        "create_time": order.created,
        "custom_fields": {"awb": shipped},
        "promo_order_detail": {
            "order_id": order.id,
            "total_cashback": 0,
            "total_discount": 0,
            "total_discount_product": 0,
            "total_discount_shipping": 0,
            "total_discount_details": [],
            "summary_promo": [],
        },
        "shipment_fulfillment": {
            "accept_deadline": wib_labelled_utc(order.created + 86400),
            "confirm_shipping_deadline": wib_labelled_utc(order.created + 3 * 86400),
        },
        "is_plus": False,
    }


def single_object(order: Order) -> dict[str, Any]:
    """An order as the single order answer shows it: another vocabulary, and the only one with times."""
    held = order.content
    past = {step.status: step for step in order.past}
    paid = past.get("220")
    shipped, delivered = past.get("500"), past.get("600")
    assert isinstance(order.shop, TokopediaShop)
    paid_text = None if paid is None or order.life.cod else _stamp(order, paid)
    return {
        "order_id": order.id,
        "buyer_id": held.buyer.id,
        "seller_id": order.shop.shop_id,
        "payment_id": _payment_id(order),
        "is_affiliate": False,
        "is_fulfillment": False,
        "is_cod_mitra": order.life.cod,
        "order_warehouse": {"warehouse_id": _warehouse(order), "fulfill_by": 0},
        "order_status": int(order.statuses[0]),
        "invoice_number": invoice(order),
        "open_amt": held.total,
        "lp_amt": 0,
        "cashback_amt": 0,
        "info": "",
        "comment": "",
        "item_price": held.price,
        "buyer_info": {
            "buyer_id": held.buyer.id,
            "buyer_fullname": held.buyer.name,
            "buyer_email": " " if held.buyer.masked else held.buyer.email,
            "buyer_phone": _phone(order),
        },
        "shop_info": {"shop_name": "Toko Contoh", "shop_domain": "tokocontoh", "shop_id": order.shop.shop_id},
        "shipment_fulfillment": _fulfilment(order, past),
        "order_info": _order_info(order),
        "payment_info": {
            "payment_id": _payment_id(order),
            "payment_ref_num": f"PYM/{_payment_id(order)}",
            "payment_date": paid_text or UNSET,
            "payment_method": 0,
            "payment_status": "Verified" if paid_text else "Pending",
            "payment_status_id": 2 if paid_text else 1,
            "create_time": wib_labelled_utc(order.created),
            "pg_id": 12,
            "gateway_name": "COD" if order.life.cod else "Virtual Account",
            "discount_amount": 0,
            "voucher_code": "",
            "voucher_id": 0,
        },
        "insurance_info": {"insurance_type": 0},
        "hold_info": None,
        "cancel_request_info": _request(order),
        "create_time": wib_labelled_utc(order.created, ".061156"),
        "shipping_date": None if shipped is None else _stamp(order, shipped),
        "update_time": _stamp(order, order.past[-1]),
        "payment_date": paid_text or UNSET,
        "delivered_date": None if delivered is None else _stamp(order, delivered),
        "related_invoices": None,
        "custom_fields": None,
    }


def _stamp(order: Order, step: Step) -> str:
    """A history time: 0 to 6 fractional digits, the wall clock of Jakarta labelled Z."""
    digits = (order.seed + step.at) % 7
    fraction = f"{(order.seed ^ step.at) % 10**6:06d}"[:digits].rstrip("0")
    return wib_labelled_utc(step.at, f".{fraction}" if fraction else "")


def _order_info(order: Order) -> dict[str, Any]:
    held = order.content
    return {
        "order_detail": [
            {
                "order_detail_id": order.line_id(line),
                "product_id": row.product.product_id,
                "product_name": row.product.name,
                "product_price": row.price,
                "subtotal_price": row.price * row.quantity,
                "weight": row.product.weight,
                "total_weight": round(row.product.weight * row.quantity, 3),
                "quantity": row.quantity,
                "quantity_deliver": row.quantity,
                "quantity_reject": 0,
                "insurance_price": 0,
                "normal_price": 0,
                "currency_id": 1,
                "campaign_id": "",
                "sku": row.product.sku,
            }
            for line, row in enumerate(held.rows)
        ],
        "order_history": [
            _history_row(order, step) for step in reversed(order.past) if step.status != REQUEST
        ],
        "shipping_info": {
            "sp_id": 27,
            "shipping_id": 14,
            "logistic_name": "J&T",
            "logistic_service": "Reguler",
            "shipping_price": held.shipping,
            "shipping_price_rate": held.shipping,
            "insurance_price": held.insurance,
            "awb": _awb(order),
            "autoresi_awb": "",
            "isCashless": False,
        },
        "destination": {
            "receiver_name": held.buyer.name,
            "receiver_phone": _phone(order),
            "address_street": held.buyer.address,
            "address_district": held.buyer.district,
            "address_city": held.buyer.city,
            "address_province": held.buyer.province,
            "address_postal": held.buyer.postal_code,
        },
        "is_replacement": False,
        "is_plus": False,
    }


def _history_row(order: Order, step: Step) -> dict[str, Any]:
    actor, writer = ACTORS.get(step.status, ("system-automatic", "system"))
    return {
        "action_by": actor,
        "hist_status_code": int(step.status),
        "message": MESSAGES.get(step.status, ""),
        "timestamp": _stamp(order, step),
        "comment": "",
        "create_by": 0,
        "update_by": writer,
    }


def _fulfilment(order: Order, past: Mapping[str, Step]) -> dict[str, Any]:
    return {
        "id": 500_000_000 + order.number % 10**8,
        "order_id": order.id,
        "payment_date_time": _stamp(order, past["220"]) if "220" in past else UNSET,
        "is_same_day": False,
        "accept_deadline": wib_labelled_utc(order.created + 86400),
        "confirm_shipping_deadline": wib_labelled_utc(order.created + 3 * 86400),
        "item_delivered_deadline": {"Time": UNSET, "Valid": False},
        "is_accepted": "400" in past,
        "is_confirm_shipping": "500" in past,
        "is_item_delivered": "600" in past,
        "fulfillment_status": 0,
    }


def _request(order: Order) -> dict[str, Any] | None:
    """The open request to cancel. Its shape is not documented; the time stands as in the history."""
    asked = next((step for step in order.past if step.status == REQUEST), None)
    if asked is None or not order.request_open:
        return None
    return {"create_time": _stamp(order, asked), "reason": "Ingin mengubah pesanan", "status": 0}


def _recipient(order: Order) -> dict[str, Any]:
    buyer = order.content.buyer
    return {
        "Name": buyer.name,
        "phone": _phone(order),
        "address": {
            "address_full": buyer.address,
            "district": buyer.district,
            "city": buyer.city,
            "province": buyer.province,
            "country": "Indonesia",
            "postal_code": buyer.postal_code,
            "district_id": 3573,
            "city_id": 252,
            "province_id": 15,
            "geo": "-7.2574719,112.7520883",
        },
    }


def _logistics() -> dict[str, Any]:
    return {
        "shipping_id": 14,
        "district_id": 3573,
        "city_id": 252,
        "province_id": 15,
        "geo": "-7.2574719,112.7520883",
        "shipping_agency": "J&T",
        "service_type": "Reguler",
    }


def _amounts(order: Order) -> dict[str, int]:
    held = order.content
    return {
        "ttl_product_price": held.price,
        "shipping_cost": held.shipping,
        "insurance_cost": held.insurance,
        "ttl_amount": held.total,
        "voucher_amount": 0,
        "toppoints_amount": 0,
    }


def _shop(order: Order) -> dict[str, int]:
    return {"shop_id": int(order.shop_id), "warehouse_id": _warehouse(order)}


def _warehouse(order: Order) -> int:
    return 111_031 + int(order.shop_id)


def _payment_id(order: Order) -> int:
    return 2_000_000_000 + order.number % 10**9


def _phone(order: Order) -> str:
    buyer = order.content.buyer
    return "*" * (len(buyer.phone) - 4) + buyer.phone[-4:] if buyer.masked else buyer.phone


def _awb(order: Order) -> str:
    return f"JX{order.number:012d}" if any(step.status == "500" for step in order.past) else ""
