"""Lazada's words: signatures, pushes of type 0, order and item answers with their live types. Pure."""

import hmac
import json
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from deploy.sandbox.content import VENTURES, Content, Row, Venture, masked
from deploy.sandbox.orders import Order
from deploy.sandbox.settings import LazadaShop

# What every item says alike: nothing here depends on its life.
ALIKE: Mapping[str, str | int] = {
    "purchase_order_id": "",
    "voucher_code_seller": "",
    "voucher_code": "",
    "voucher_code_platform": "",
    "purchase_order_number": "",
    "order_type": "Normal",
    "invoice_number": "",
    "is_reroute": 0,
    "stage_pay_status": "",
    "tracking_code_pre": "",
    "shop_id": "Example Shop",
    "order_flag": "NORMAL",
    "is_fbl": 0,
    "delivery_option_sof": 0,
    "product_main_image": "https://images.example.com/p.jpg",
    "warehouse_code": "dropshipping",
    "promised_shipping_time": "",
    "shipping_type": "Dropshipping",
    "voucher_seller_lpi": 0,
    "shipping_provider_type": "standard",
    "voucher_platform_lpi": 0,
    "is_digital": 0,
    "shipping_service_cost": 0,
    "reason_detail": "",
    "return_status": "",
    "extra_attributes": "",
}


def request_signature(app_secret: str, path: str, parameters: Mapping[str, str]) -> str:
    """Doc 108068: HMAC-SHA256 over path, sorted names and values; empty ones and `sign` left out."""
    joined = "".join(
        name + parameters[name] for name in sorted(parameters) if name != "sign" and parameters[name]
    )
    return hmac.digest(app_secret.encode(), (path + joined).encode(), "sha256").hex().upper()


def push_signature(app_key: str, app_secret: str, body: bytes) -> str:
    """Doc 120168: lower-case hex HMAC-SHA256 over app key and raw body."""
    return hmac.digest(app_secret.encode(), app_key.encode() + body, "sha256").hex()


def push_body(order: Order, line: int, status: str, at: int, sent_at: int) -> bytes:
    """A push about one line. Its typing varies from order to order as the documented examples do."""
    assert isinstance(order.shop, LazadaShop)
    style = random.Random(order.seed ^ 0x5A)
    numeric, milliseconds, buyer = style.random() < 0.2, style.random() < 0.3, style.random() < 0.6
    site = style.choices(("lazada_{}", "LAZADA_{}", "lazada-{}"), (80, 10, 10))[0].format(order.site)
    reverse = order.life.reverse and status in {"canceled", "returned"}
    ids: dict[str, int] = {"trade_order_id": order.id, "trade_order_line_id": order.line_id(line)}
    if reverse:
        ids["reverse_order_id"] = reverse_id(order)
        ids["reverse_order_line_id"] = reverse_id(order) + 1 + line
    elif buyer:
        ids["buyer_id"] = order.content.buyer.id
    fields: dict[str, Any] = {"order_status": status, "status_update_time": at}
    fields |= ids if numeric else {name: str(value) for name, value in ids.items()}
    message = {
        "seller_id": order.shop.seller_id,
        "message_type": 0,
        "data": fields,
        "timestamp": sent_at * 1000 if milliseconds else sent_at,
        "site": site.upper() if site.startswith("LAZADA") else site,
    }
    return json.dumps(message, separators=style.choice(((",", ":"), (", ", ": ")))).encode()


def reverse_id(order: Order) -> int:
    return 720_000_000_000_000 + order.number * 10


def probe_body(seller_id: str) -> bytes:
    """The console's Verify button: correctly signed, about an order that cannot be."""
    fields = {
        "order_status": "This is a test message",
        "trade_order_id": "123456",
        "trade_order_line_id": "12345",
        "status_update_time": 1,
    }
    return json.dumps(
        {"seller_id": seller_id, "message_type": 0, "data": fields, "timestamp": 1, "site": "lazada_id"}
    ).encode()


def answer(content: Mapping[str, Any]) -> bytes:
    """JSON with amounts as live answers print them: numbers with two decimals."""
    return re.sub(rb'"~(-?\d+\.\d\d)~"', rb"\1", json.dumps(content).encode())


def amount(minor: int, venture: Venture) -> str:
    """`288.00`; IDR and VND come with `.00` as well."""
    return f"{minor}.00" if venture.exponent == 0 else f"{minor // 100}.{minor % 100:02d}"


def _number(minor: int, venture: Venture) -> str:
    return f"~{amount(minor, venture)}~"


def venture_time(seconds: int, venture: Venture) -> str:
    """`2026-03-05 10:59:26 +0800`, as every capture prints times."""
    return _local(seconds, venture).strftime("%Y-%m-%d %H:%M:%S %z")


def _local(seconds: int, venture: Venture) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone(timezone(timedelta(hours=venture.offset_hours)))


def order_object(order: Order) -> dict[str, Any]:
    """An order as /order/get and /orders/get show it; `updated_at` is real time."""
    venture = VENTURES[order.site]
    held = order.content
    platform = sum(row.voucher_platform for row in held.rows)
    address = _address(held, venture)
    hidden = masked(held.buyer.name) if held.buyer.masked else held.buyer.name
    return {
        "voucher_platform": _number(platform, venture),
        "voucher": _number(held.voucher, venture),
        "warehouse_code": "dropshipping",
        "order_number": order.id,
        "voucher_seller": _number(held.voucher - platform, venture),
        "created_at": venture_time(order.created, venture),
        "voucher_code": "",
        "gift_option": False,
        "shipping_fee_discount_platform": _number(0, venture),
        "customer_last_name": "",
        "promised_shipping_times": "",
        "updated_at": venture_time(order.updated, venture),
        "price": amount(held.price, venture),
        "national_registration_number": "",
        "shipping_fee_original": _number(held.shipping, venture),
        "payment_method": "COD" if order.life.cod else "MIXEDCARD",
        "address_updated_at": "",
        "customer_first_name": hidden,
        "shipping_fee_discount_seller": _number(0, venture),
        "shipping_fee": _number(held.shipping, venture),
        "branch_number": "",
        "tax_code": "",
        "items_count": order.life.lines,
        "delivery_info": "",
        "statuses": sorted(set(order.statuses)),
        "address_billing": address,
        "extra_attributes": '{"TaxInvoiceRequested":false}',
        "order_id": order.id,
        "gift_message": "",
        "remarks": "",
        "address_shipping": address,
    }


def _address(held: Content, venture: Venture) -> dict[str, str]:
    buyer = held.buyer

    def shown(text: str) -> str:
        return masked(text) if buyer.masked else text

    return {
        "country": venture.country,
        "address3": shown(buyer.province),
        "address2": "",
        "city": buyer.city,
        "address1": shown(buyer.address),
        "phone2": "",
        "last_name": "",
        "phone": buyer.phone[:2] + "******" + buyer.phone[-2:] if buyer.masked else buyer.phone,
        "customer_email": "",
        "post_code": buyer.postal_code,
        "address5": shown(buyer.district),
        "address4": shown(buyer.city),
        # The captures show the first name in clear here even where all else is masked.
        "first_name": buyer.name,
    }


def item_objects(order: Order) -> list[dict[str, Any]]:
    """The order's items, one object per unit; `updated_at` is the time of the item's status."""
    return [_item(order, line, row) for line, row in enumerate(order.content.rows)]


def _item(order: Order, line: int, row: Row) -> dict[str, Any]:
    venture = VENTURES[order.site]
    status = order.statuses[line]
    package, tracking = _package(order, line)
    product = row.product
    cancelled = status in {"canceled", "returned"}
    paid = next((step.at for step in order.past if step.status == "pending"), None)
    due = _local(order.created + 2 * 86400, venture).replace(hour=23, minute=59, second=59)
    item: dict[str, Any] = {
        **ALIKE,
        "tax_amount": _number(0, venture),
        "reason": "Berubah pikiran"
        if cancelled and order.site == "id"
        else "Change of mind"
        if cancelled
        else "",
        "sla_time_stamp": due.isoformat(),
        "voucher_seller": _number(row.voucher_seller, venture),
        "package_id": package,
        "buyer_id": order.content.buyer.id,
        "variation": product.variation,
        "product_id": str(product.product_id),
        "sku": product.sku,
        "cancel_return_initiator": "buyer-cancel" if status == "canceled" else "null-null",
        "shop_sku": f"{product.product_id}_{order.site.upper()}AMZ-{product.sku_id}",
        "sku_id": str(product.sku_id),
        "order_item_id": order.line_id(line),
        "name": product.name,
        "order_id": order.id,
        "status": status,
        "voucher_platform": _number(row.voucher_platform, venture),
        "paid_price": _number(row.price - row.voucher_platform - row.voucher_seller, venture),
        "product_detail_url": f"https://{venture.domain}/products/i{product.product_id}-s{product.sku_id}.html",
        "created_at": venture_time(order.created, venture),
        "shipping_fee_discount_platform": _number(0, venture),
        "wallet_credits": _number(0, venture),
        "updated_at": venture_time(order.times[line], venture),
        "currency": venture.currency,
        "shipping_fee_original": _number(row.shipping, venture),
        "item_price": _number(row.price, venture),
        "tracking_code": tracking,
        "shipping_fee_discount_seller": _number(0, venture),
        "shipping_amount": _number(row.shipping, venture),
        "shipment_provider": f"LEX {order.site.upper()}" if tracking else "",
        "voucher_amount": _number(row.voucher_platform + row.voucher_seller, venture),
        # The buyer's e-mail stands here in clear, even on physical goods.
        "digital_delivery_info": order.content.buyer.email if line == 0 else "",
    }
    if paid is not None and not order.life.cod:
        item["payment_time"] = paid * 1000
    if cancelled and order.life.reverse:
        item["reverse_order_id"] = str(reverse_id(order))
    return item


def _package(order: Order, line: int) -> tuple[str, str]:
    """Package and tracking code: given by `packed`, gone after `repacked` or before a cancellation."""
    own = [step.status for step in order.past if line in step.lines]
    if not own or own[-1] in {"canceled", "repacked"} or "packed" not in own:
        return "", ""
    number = order.number * 100 + order.life.packages[line] * 10 + own.count("packed")
    return f"FP{number:017d}", f"LEX{order.site.upper()}{number:013d}"
