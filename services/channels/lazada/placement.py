"""OrderPlaced from a Lazada order and its items: one line per unit, amounts in minor units."""

from services.channels.lazada.statuses import CURRENCIES
from services.channels.marketplace import STATED_ZONE, Element, Fields, Malformed, Source, exponent_of, stated


def order_placed(source: Source, order: Fields, lines: list[Fields]) -> Element:
    """The placement as the channel states it, at the order's creation (design section 4)."""
    currency = _currency(source, lines)
    placed_lines = [_line(line, currency) for line in lines]
    price = order.amount("price", currency)
    voucher = _voucher(order, currency)
    shipping = order.amount("shipping_fee", currency)
    address = order.child("address_shipping")
    data = stated(
        reference=order.text("order_number"),
        payment_method="COD" if (order.text("payment_method") or "").strip().upper() == "COD" else "GATEWAY",
        currency=currency,
        total=_total(price, voucher, shipping),
        discount=_order_discount(voucher, placed_lines),
        shipping_fee=shipping,
        lines=placed_lines,
        city=address.text("city"),
        courier=_agreed(lines, "shipment_provider"),
        service=_agreed(lines, "shipping_provider_type"),
        warehouse=order.text("warehouse_code"),
        buyer=_buyer(order, lines),
    )
    return source.fact(
        "OrderPlaced", scope=source.whole, at=order.time("created_at", STATED_ZONE), status=None, data=data
    )


def _currency(source: Source, lines: list[Fields]) -> str:
    """The one currency of the order (CN-01): what its lines say, else that of the site."""
    said = {(line.text("currency") or "").strip().upper() for line in lines} - {""}
    if len(said) > 1:
        raise Malformed("UNKNOWN_CURRENCY", "items", "The lines of the order are in several currencies.")
    currency = said.pop() if said else CURRENCIES.get(source.site or "")
    if currency is None:
        raise Malformed("UNKNOWN_CURRENCY", "items", "Neither the lines nor the site say the currency.")
    exponent_of(currency, "items[0].currency")
    return currency


def _line(line: Fields, currency: str) -> Element:
    # One object is one unit: there is no quantity at Lazada (L5).
    return stated(
        line=line.id("order_item_id"),
        product=line.optional_id("product_id"),
        variant=line.optional_id("sku_id"),
        sku=line.text("sku"),
        name=line.text("name"),
        quantity=1,
        unit_price=line.amount("item_price", currency),
        discount=line.amount("voucher_amount", currency),
    )


def _voucher(order: Fields, currency: str) -> int | None:
    """The order's vouchers: as stated, else the sum of its two parts."""
    voucher = order.amount("voucher", currency)
    parts = [order.amount(name, currency) for name in ("voucher_platform", "voucher_seller")]
    known = [part for part in parts if part is not None]
    return voucher if voucher is not None or not known else sum(known)


def _total(price: int | None, voucher: int | None, shipping: int | None) -> int | None:
    """What the buyer pays: price - voucher + shipping_fee (lazada.md 4.5), canceled lines included."""
    if price is None:
        return None
    total = price - (voucher or 0) + (shipping or 0)
    if total < 0:
        raise Malformed("UNREADABLE_AMOUNT", "order.voucher", "The vouchers exceed price and shipping fee.")
    return total


def _order_discount(voucher: int | None, lines: list[Element]) -> int | None:
    """What the vouchers take off beyond the discounts of the lines."""
    if voucher is None:
        return None
    of_lines: int = sum(line.get("discount", 0) for line in lines)
    return max(voucher - of_lines, 0)


def _agreed(lines: list[Fields], name: str) -> str | None:
    """What all lines that state it agree on; lines not yet packed leave it blank."""
    said = {found for line in lines if (found := line.text(name)) is not None}
    return said.pop() if len(said) == 1 else None


def _buyer(order: Fields, lines: list[Fields]) -> Element:
    """The buyer's data as it came, masked or not; the e-mail in digital_delivery_info is left (L22)."""
    billing, shipping = order.child("address_billing"), order.child("address_shipping")
    street = [found for number in range(1, 6) if (found := shipping.text(f"address{number}")) is not None]
    return stated(
        id=next((found for line in lines if (found := line.optional_id("buyer_id")) is not None), None),
        name=_full_name(order, "customer_first_name", "customer_last_name"),
        phone=billing.text("phone", "phone2"),
        email=billing.text("customer_email") or shipping.text("customer_email"),
        recipient=_full_name(shipping, "first_name", "last_name"),
        recipient_phone=shipping.text("phone", "phone2"),
        address=", ".join(street) or None,
        district=order.text("addressDistrict", "addressDsitrict")
        or shipping.text("addressDistrict", "addressDsitrict"),
        postal_code=shipping.text("post_code"),
        note=order.text("buyer_note", "remarks"),
    )


def _full_name(fields: Fields, first: str, last: str) -> str | None:
    return " ".join(found for name in (first, last) if (found := fields.text(name)) is not None) or None
