"""Tokopedia's payloads as facts: what a notice, a list or a single order states, and no more.

Pure. All of Tokopedia is unsigned: the channels service publishes only what a read has confirmed (IN-05).
Every fact is about the whole order, for no payload states a status per line.
"""

from collections import Counter
from datetime import datetime

from services.channels.marketplace import (
    GOODS_FACTS,
    PAYMENT_FACTS,
    Element,
    Fields,
    Malformed,
    Source,
    parse,
    stated,
    unknown_kind,
)
from services.channels.tokopedia.payloads import HistoryRow, classify, history, many, one, status_of, time_of
from services.channels.tokopedia.placement import (
    is_cod,
    payment_reference,
    placed_from_list,
    placed_from_single,
)
from services.channels.tokopedia.statuses import (
    ACTORS,
    AWB_MISSING,
    BOOKED_WITHOUT_AWB,
    ORDER_TOPICS,
    ROWS,
    SHIPPED,
    TRANSLATOR_VERSION,
    UNKNOWN,
    Row,
)

__all__ = ["KINDS", "ORDER_TOPICS", "TRANSLATOR_VERSION", "classify", "parse", "translate"]

KINDS = frozenset({"notification", "status", "cancellation", "cancel-request", "order", "orders"})
SITE = "id"


def translate(kind: str, payload: object, *, site: str | None, shop: str | None) -> list[Element]:
    """The elements that the payload states, in wire form; Malformed if it cannot be read.

    Tokopedia has the one site `id`; a shop that the payload does not name comes from the argument.
    """
    if site is not None and site.strip().lower() != SITE:
        raise Malformed("SITE_NOT_SUPPORTED", "site", f"Tokopedia is at site {SITE} only.")
    if kind in {"status", "cancellation"}:
        return _thin(one(payload), shop)
    if kind == "cancel-request":
        return _cancel_request(one(payload), shop)
    if kind == "notification":
        return _listed(one(payload), shop)
    if kind == "orders":
        return [element for order in many(payload) for element in _listed(order, shop)]
    if kind == "order":
        return _single(one(payload), shop)
    raise unknown_kind(kind, KINDS)


def _source(order: Fields, named: str | None) -> Source:
    return Source(
        channel="tokopedia", site=SITE, shop=named, order=order.id("order_id"), version=TRANSLATOR_VERSION
    )


def _thin(notice: Fields, shop: str | None) -> list[Element]:
    source = _source(notice, notice.optional_id("shop_id") or shop)
    status = status_of(notice, "order_status")
    row = ROWS.get(status or "", UNKNOWN)
    # A thin notice does not say whether the order is COD: the payment is stated by whole orders only.
    facts = [
        source.fact(fact, scope=source.whole, at=None, status=status, data=_data(fact, row, {}))
        for fact in row.facts
        if fact != "PaymentSucceeded"
    ]
    return [*facts, source.fetch()]


def _cancel_request(notice: Fields, shop: str | None) -> list[Element]:
    source = _source(notice, notice.optional_id("shop_id") or shop)
    # The topic is the buyer's; a repeated request is counted by the channels service (IN-11).
    request = source.fact(
        "CancellationRequested", scope=source.whole, at=None, status=None, data={"by": "BUYER"}
    )
    return [request, source.fetch()]


def _listed(order: Fields, shop: str | None) -> list[Element]:
    source = _source(order, order.optional_id("shop_id") or shop)
    placed = placed_from_list(source, order)
    logistics = order.child("logistics")
    goods = stated(
        awb=order.child("custom_fields").text("awb"),
        courier=logistics.text("shipping_agency"),
        service=logistics.text("service_type"),
    )
    now = HistoryRow(status=status_of(order, "order_status"), at=None, actor=None, reason=None)
    return [placed, *_facts(source, order, placed, [now], goods)]


def _single(order: Fields, shop: str | None) -> list[Element]:
    named = (
        order.child("shop_info").optional_id("shop_id") or order.optional_id("seller_id", "shop_id") or shop
    )
    source = _source(order, named)
    placed = placed_from_single(source, order)
    shipping = order.child("order_info").child("shipping_info")
    goods = stated(
        awb=shipping.text("awb"),
        courier=shipping.text("logistic_name"),
        service=shipping.text("logistic_service"),
    )
    rows = history(order)
    status = status_of(order, "order_status")
    if not rows or (status is not None and status not in {row.status for row in rows}):
        # The history may lag behind the status, or be missing: then the status stands without a time.
        rows.append(HistoryRow(status=status, at=None, actor=None, reason=None))
    return [placed, *_facts(source, order, placed, rows, goods)]


def _facts(
    source: Source, order: Fields, placed: Element, rows: list[HistoryRow], goods: Element
) -> list[Element]:
    paid = stated(
        amount=placed["data"].get("total"),
        currency=placed["data"]["currency"],
        reference=payment_reference(order),
    )
    seen: Counter[str | None] = Counter()
    facts: list[Element] = []
    for said in rows:
        seen[said.status] += 1
        row = _row(said, seen)
        for fact in row.facts:
            if fact in PAYMENT_FACTS and is_cod(order):
                continue  # No payment fact before a COD order is completed (R3).
            at = said.at or (_payment_date(order) if fact == "PaymentSucceeded" else None)
            data = paid if fact == "PaymentSucceeded" else _data(fact, row, goods, said)
            facts.append(
                source.fact(
                    fact,
                    scope=source.whole,
                    at=at,
                    status=said.status,
                    occurrence=seen[said.status],
                    data=data,
                )
            )
    return facts


def _row(said: HistoryRow, seen: Counter[str | None]) -> Row:
    """The row of the table; 501 books without AWB where the history so far has no 500, else it is a note.

    A status outside a history has no time and shows no "so far": it is a note as well.
    """
    if said.status == AWB_MISSING and said.at is not None and not seen[SHIPPED]:
        return BOOKED_WITHOUT_AWB
    return ROWS.get(said.status or "", UNKNOWN)


def _payment_date(order: Fields) -> datetime | None:
    return time_of(order, "payment_date")


def _data(fact: str, row: Row, goods: Element, said: HistoryRow | None = None) -> Element:
    if fact in GOODS_FACTS:
        return {
            name: value for name, value in goods.items() if row is not BOOKED_WITHOUT_AWB or name != "awb"
        }
    if fact == "OrderCancelled":
        actor = ACTORS.get((said.actor or "").strip().lower()) if said else None
        return stated(by=actor or row.by, buyer=stated(reason=said.reason if said else None))
    if fact == "ChannelNote":
        return stated(on_hold=row.on_hold)
    return {}
