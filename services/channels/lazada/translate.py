"""Lazada's payloads as facts: what a push, a list, a read of items or of a whole order states, and no more.

Pure. Orders implies the steps between, judges lateness and repeats (IN-08, IN-09); the channels service
decides what is trusted and published (IN-05).
"""

from datetime import datetime

from services.channels.lazada.payloads import (
    OrderPush,
    answer,
    classify,
    is_probe,
    lines_by_order,
    listed_orders,
    message_type,
    order_push,
)
from services.channels.lazada.placement import order_placed
from services.channels.lazada.statuses import INITIATORS, ITEM_FACTS, ORDER_PUSHES, TRANSLATOR_VERSION
from services.channels.marketplace import (
    CASE_FACTS,
    GOODS_FACTS,
    PAYMENT_FACTS,
    STATED_ZONE,
    UNKNOWN_STATUS,
    Element,
    Fields,
    Malformed,
    Source,
    earliest,
    parse,
    site_code,
    stated,
    unknown_kind,
    wire_time,
)

__all__ = ["KINDS", "TRANSLATOR_VERSION", "classify", "parse", "translate"]

KINDS = frozenset({"push", "order", "orders", "items", "read"})

# A payment fact is stated once however many lines state it, with the earliest of their times.
Payments = dict[tuple[str, str | None], list[datetime | None]]


def translate(kind: str, payload: object, *, site: str | None, shop: str | None) -> list[Element]:
    """The elements that the payload states, in wire form; Malformed if it cannot be read.

    What the payload does not name of site and shop comes from the arguments.
    """
    site = site_code(site, "site")
    if kind == "push":
        return _push(payload, site=site, shop=shop)
    if kind == "order":
        return [_source(_order(payload, ""), site, shop).fetch()]
    if kind == "orders":
        orders = listed_orders(answer(payload, ""))
        ids = dict.fromkeys(order.id("order_id") for order in orders)
        return [_source_of(order, site, shop).fetch() for order in ids]
    if kind == "items":
        return _items(payload, site=site, shop=shop)
    if kind == "read":
        return _read(payload, site=site, shop=shop)
    raise unknown_kind(kind, KINDS)


def _source_of(order: str, site: str | None, shop: str | None) -> Source:
    return Source(channel="lazada", site=site, shop=shop, order=order, version=TRANSLATOR_VERSION)


def _source(order: Fields, site: str | None, shop: str | None) -> Source:
    return _source_of(order.id("order_id"), site, shop)


def _order(payload: object, path: str) -> Fields:
    return Fields(answer(payload, path), path)


def _push(payload: object, *, site: str | None, shop: str | None) -> list[Element]:
    push = Fields(payload, "")
    shape = ORDER_PUSHES.get(message_type(push))
    if shape is None or is_probe(push):
        return []
    said = order_push(push, shape)
    source = _source_of(said.order, said.site or site, said.seller or shop)
    fact = shape.facts.get(said.status or "", UNKNOWN_STATUS)
    if fact == "PaymentSucceeded":
        # A push does not say whether the order is COD: only a read of the whole order states the payment.
        return [source.fetch()]
    scope = source.whole if fact in PAYMENT_FACTS else {shape.scope: said.subject}
    stated_fact = source.fact(fact, scope=scope, at=said.at, status=said.status, data=_push_data(fact, said))
    return [stated_fact, source.fetch()]


def _push_data(fact: str, said: OrderPush) -> Element:
    if fact in GOODS_FACTS:
        package = said.subject if said.shape.scope == "package" else None
        return stated(package=package, case=said.reverse)
    if fact in CASE_FACTS:
        return stated(case=said.reverse)
    if fact == "RefundPaid":
        return stated(reference=said.reverse)
    return {}


def _items(payload: object, *, site: str | None, shop: str | None) -> list[Element]:
    elements: list[Element] = []
    fetches: list[Element] = []
    for order, lines in lines_by_order(answer(payload, ""), "").items():
        source = _source_of(order, site, shop)
        payments, facts = _lines(source, lines)
        payments = {key: times for key, times in payments.items() if key[0] != "PaymentSucceeded"}
        elements += _payment_facts(source, payments, {}) + facts
        fetches.append(source.fetch())
    return elements + fetches


def _read(payload: object, *, site: str | None, shop: str | None) -> list[Element]:
    both = Fields(payload, "")
    order = _order(both.get("order"), "order")
    source = _source(order, site, shop)
    grouped = lines_by_order(answer(both.get("items"), "items"), "items")
    if list(grouped) != [source.order]:
        raise Malformed("OTHER_ORDER", "items", f"The items are not those of order {source.order}.")
    lines = grouped[source.order]
    placed = order_placed(source, order, lines)
    payments, facts = _lines(source, lines)
    if placed["data"]["payment_method"] == "COD":
        payments = {}  # No payment fact before a COD order is completed (R3).
    paid = stated(amount=placed["data"].get("total"), currency=placed["data"]["currency"])
    return [placed, *_payment_facts(source, payments, paid), *facts]


def _payment_facts(source: Source, payments: Payments, paid: Element) -> list[Element]:
    facts = [
        source.fact(
            fact,
            scope=source.whole,
            at=earliest(times),
            status=status,
            data=paid if fact == "PaymentSucceeded" else {},
        )
        for (fact, status), times in payments.items()
    ]
    return sorted(facts, key=lambda each: (each["occurred_at"] is None, each["occurred_at"] or ""))


def _lines(source: Source, lines: list[Fields]) -> tuple[Payments, list[Element]]:
    payments: Payments = {}
    facts: list[Element] = []
    for line in lines:
        status = line.raw_text("status")
        at = line.time("updated_at", STATED_ZONE)
        fact = ITEM_FACTS.get(status or "", UNKNOWN_STATUS)
        scope = {"line": line.id("order_item_id")}
        if fact in PAYMENT_FACTS:
            payments.setdefault((fact, status), []).append(at)
        else:
            facts.append(source.fact(fact, scope=scope, at=at, status=status, data=_line_data(fact, line)))
        if line.flag("need_cancel_confirm") or line.flag("is_cancel_pending"):
            facts.append(
                source.fact(
                    "CancellationRequested", scope=scope, at=at, status=None, data=_request_data(line)
                )
            )
    return payments, facts


def _line_data(fact: str, line: Fields) -> Element:
    if fact in GOODS_FACTS:
        return stated(
            package=line.optional_id("package_id"),
            awb=line.text("tracking_code"),
            courier=line.text("shipment_provider"),
            service=line.text("shipping_provider_type"),
            case=line.optional_id("reverse_order_id"),
        )
    if fact == "OrderCancelled":
        return stated(
            by=_initiator(line),
            case=line.optional_id("reverse_order_id"),
            buyer=stated(reason=line.text("reason")),
        )
    return {}


def _request_data(line: Fields) -> Element:
    # Only a buyer's request waits for the seller's answer (lazada.md 7.2).
    return stated(
        by=_initiator(line) or "BUYER",
        deadline=wire_time(line.time("cancel_trigger_time", STATED_ZONE)),
        case=line.optional_id("reverse_order_id"),
        buyer=stated(reason=line.text("reason")),
    )


def _initiator(line: Fields) -> str | None:
    words = (line.text("cancel_return_initiator") or "").lower().split("-")
    return next((INITIATORS[word] for word in words if word in INITIATORS), None)
