"""OrderPlaced from Tokopedia's two vocabularies: the single order, and the notification and list."""

from collections import Counter

from services.channels.marketplace import Element, Fields, Malformed, Source, stated
from services.channels.tokopedia.payloads import time_of

CURRENCY = "IDR"


def placed_from_single(source: Source, order: Fields) -> Element:
    """The placement as the single order states it; its lines have ids of their own (IN-06)."""
    info = order.child("order_info")
    shipping = info.child("shipping_info")
    destination = info.child("destination")
    details = info.children("order_detail")
    data = stated(
        reference=order.text("invoice_number"),
        payment_method=_method(order),
        currency=CURRENCY,
        total=order.amount("open_amt", CURRENCY),
        shipping_fee=shipping.amount("shipping_price", CURRENCY),
        insurance_fee=shipping.amount("insurance_price", CURRENCY),
        lines=_some([_single_line(detail) for detail in details], info.at("order_detail")),
        city=destination.text("address_city"),
        province=destination.text("address_province"),
        courier=shipping.text("logistic_name"),
        service=shipping.text("logistic_service"),
        warehouse=order.child("order_warehouse").optional_id("warehouse_id"),
        buyer=_single_buyer(order, details),
    )
    return _placed(source, order, data)


def placed_from_list(source: Source, order: Fields) -> Element:
    """The placement as a notification or a row of the list states it; bundled items count once (K9)."""
    amounts = order.child("amt")
    logistics = order.child("logistics")
    address = order.child("recipient").child("address")
    discount = order.child("promo_order_detail").amount("total_discount", CURRENCY)
    if discount is None:
        discount = amounts.amount("voucher_amount", CURRENCY)
    products = _named_lines(order.children("products"))
    data = stated(
        reference=order.text("invoice_ref_num", "invoice_num", "invoice_number"),
        payment_method=_method(order),
        currency=CURRENCY,
        total=_total(amounts, discount),
        discount=discount,
        shipping_fee=amounts.amount("shipping_cost", CURRENCY),
        insurance_fee=amounts.amount("insurance_cost", CURRENCY),
        lines=_some([_listed_line(line, product) for line, product in products], "products"),
        city=address.text("city"),
        province=address.text("province"),
        courier=logistics.text("shipping_agency"),
        service=logistics.text("service_type"),
        warehouse=order.optional_id("warehouse_id"),
        buyer=_listed_buyer(order, products),
    )
    return _placed(source, order, data)


def is_cod(order: Fields) -> bool:
    return order.flag("is_cod_mitra")


def payment_reference(order: Fields) -> str | None:
    """The number of the payment: its reference where stated, else its id."""
    return order.child("payment_info").text("payment_ref_num") or order.optional_id("payment_id")


def _placed(source: Source, order: Fields, data: Element) -> Element:
    at = time_of(order, "create_time")
    return source.fact("OrderPlaced", scope=source.whole, at=at, status=None, data=data)


def _method(order: Fields) -> str:
    return "COD" if is_cod(order) else "GATEWAY"


def _some(lines: list[Element], path: str) -> list[Element]:
    if not lines:
        raise Malformed("MISSING", path, "The order has no lines.")
    return lines


def _total(amounts: Fields, discount: int | None) -> int | None:
    """What the buyer pays: ttl_amount is before promos (K25)."""
    before = amounts.amount("ttl_amount", CURRENCY)
    if before is None:
        return None
    if (discount or 0) > before:
        raise Malformed(
            "UNREADABLE_AMOUNT", amounts.at("ttl_amount"), "The promos exceed the order's amount."
        )
    return before - (discount or 0)


def _single_line(detail: Fields) -> Element:
    return stated(
        line=detail.id("order_detail_id"),
        product=detail.optional_id("product_id"),
        sku=detail.text("sku"),
        name=detail.text("product_name"),
        quantity=_quantity(detail),
        unit_price=detail.amount("product_price", CURRENCY),
    )


def _named_lines(products: list[Fields]) -> list[tuple[str, Fields]]:
    """Each product with the line id `<product id>/<n>`: n counts the same product's rows from 1 (IN-06)."""
    seen: Counter[str] = Counter()
    named: list[tuple[str, Fields]] = []
    for product in products:
        own = product.optional_id("order_detail_id")
        key = product.id("id")
        seen[key] += 1
        named.append((own or f"{key}/{seen[key]}", product))
    return named


def _listed_line(line: str, product: Fields) -> Element:
    return stated(
        line=line,
        product=product.id("id"),
        sku=product.text("sku"),
        name=product.text("name"),
        quantity=_quantity(product),
        unit_price=product.amount("price", CURRENCY),
    )


def _quantity(line: Fields) -> int:
    found = line.integer("quantity")
    if not found:
        raise Malformed("MISSING", line.at("quantity"), f"{line.at('quantity')} is not a positive number.")
    return found


def _single_buyer(order: Fields, details: list[Fields]) -> Element:
    person = order.child("buyer_info")
    destination = order.child("order_info").child("destination")
    notes = {detail.id("order_detail_id"): detail.text("notes") for detail in details}
    return stated(
        id=person.optional_id("buyer_id") or order.optional_id("buyer_id"),
        name=person.text("buyer_fullname"),
        phone=person.text("buyer_phone"),
        email=person.text("buyer_email"),
        recipient=destination.text("receiver_name"),
        recipient_phone=destination.text("receiver_phone"),
        address=destination.text("address_street"),
        district=destination.text("address_district"),
        postal_code=destination.text("address_postal"),
        line_notes=stated(**notes),
    )


def _listed_buyer(order: Fields, products: list[tuple[str, Fields]]) -> Element:
    # The list and the payloads of 2017 say `buyer` where the notification says `customer` (K8).
    person = order.child("customer") if order.has("customer") else order.child("buyer")
    recipient = order.child("recipient")
    address = recipient.child("address")
    return stated(
        id=person.optional_id("id"),
        name=person.text("name"),
        phone=person.text("phone"),
        email=person.text("email"),
        recipient=recipient.text("name"),
        recipient_phone=recipient.text("phone"),
        address=address.text("address_full"),
        district=address.text("district"),
        postal_code=address.text("postal_code"),
        line_notes=stated(**{line: product.text("notes") for line, product in products}),
    )
