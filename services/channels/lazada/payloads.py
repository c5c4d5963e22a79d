"""The shapes of Lazada's payloads: the envelope of an answer, a push, the lines of orders."""

from datetime import datetime

import msgspec

from services.channels.lazada.statuses import (
    ORDER_PUSHES,
    OTHER_TYPES,
    PROBE_ORDER,
    PROBE_SELLER,
    PROBE_TEXTS,
    PushShape,
)
from services.channels.marketplace import (
    STATED_ZONE,
    Fields,
    Malformed,
    PushCategory,
    PushClass,
    objects,
    site_code,
    wire_time,
)

_MESSAGE_LENGTH_MAX = 300


class OrderPush(msgspec.Struct, frozen=True, kw_only=True):
    """A push of type 0, 10 or 14, its ids and its status as they arrived."""

    shape: PushShape
    seller: str | None
    site: str | None
    order: str
    subject: str
    status: str | None
    at: datetime | None
    reverse: str | None
    reverse_line: str | None


def answer(payload: object, path: str) -> object:
    """What an answer carries, without its envelope; an error answer is Malformed with Lazada's code."""
    if not isinstance(payload, dict):
        return payload
    envelope = Fields(payload, path)
    code = envelope.raw_text("code")
    if code is not None and code != "0":
        said = (envelope.text("message") or "no message")[:_MESSAGE_LENGTH_MAX]
        raise Malformed("MARKETPLACE_ERROR", envelope.at("code"), f"Lazada answered {code[:64]}: {said}")
    if "data" not in payload and code is None:
        return payload
    if not envelope.has("data"):
        raise Malformed("MISSING", envelope.at("data"), "The answer carries no data.")
    return envelope.get("data")


def message_type(push: Fields) -> int:
    found = push.integer("message_type")
    if found is None:
        raise Malformed("MISSING", "message_type", "message_type is missing.")
    return found


def order_push(push: Fields, shape: PushShape) -> OrderPush:
    """The push as its documented shape has it: an id that is missing is Malformed, never made up."""
    said = Fields(push.get("data"), "data")
    return OrderPush(
        shape=shape,
        seller=push.optional_id("seller_id"),  # Of type 10's two sellers the top-level one (L14).
        site=site_code(push.text("site"), "site"),
        order=said.id("trade_order_id"),
        subject=said.id(shape.subject),
        status=said.raw_text(shape.status),
        at=said.time("status_update_time", STATED_ZONE),
        reverse=said.optional_id("reverse_order_id"),
        reverse_line=said.optional_id("reverse_order_line_id"),
    )


def is_probe(push: Fields) -> bool:
    """Whether this is the console's Verify probe, which names an impossible order (L12)."""
    data = push.get("data")
    if not isinstance(data, dict) or message_type(push) != 0:
        return False
    said = Fields(data, "data")
    if said.raw_text("order_status") in PROBE_TEXTS:
        return True
    return said.optional_id("trade_order_id") == PROBE_ORDER and push.optional_id("seller_id") == PROBE_SELLER


def classify(payload: object) -> PushClass:
    """What a push is about and the parts of its delivery key (channels.md 13); Malformed if unreadable."""
    push = Fields(payload, "")
    kind = message_type(push)
    seller = push.optional_id("seller_id")
    shape = ORDER_PUSHES.get(kind)
    if shape is None or is_probe(push):
        known = PushCategory.OTHER_TYPE if kind in OTHER_TYPES else PushCategory.UNKNOWN_TYPE
        return PushClass(
            category=known if shape is None else PushCategory.PROBE,
            topic=str(kind),
            shop=seller,
            site=None,
            order=None,
            key=(seller or "-", str(kind)),
            keyed_by_body=True,
        )
    found = order_push(push, shape)
    subject = found.subject if kind != 10 else found.reverse_line or "-"
    tail = (found.reverse_line or "-",) if kind == 0 else ()
    return PushClass(
        category=PushCategory.ORDER,
        topic=str(kind),
        shop=found.seller,
        site=found.site,
        order=found.order,
        key=(str(kind), found.seller or "-", subject, found.status or "-", wire_time(found.at) or "-", *tail),
        keyed_by_body=False,
    )


def lines_by_order(data: object, path: str) -> dict[str, list[Fields]]:
    """The lines of `/order/items/get` or `/orders/items/get`, by order in the order of the payload."""
    if isinstance(data, dict) and "order_items" in data:
        data = [data]
    if not isinstance(data, list):
        raise Malformed("WRONG_TYPE", path or "payload", "The items are not a list.")
    grouped: dict[str, list[Fields]] = {}
    for each in objects(data, path):
        order = each.id("order_id")
        items = each.children("order_items") if each.has("order_items") else [each]
        for item in items:
            if (item.optional_id("order_id") or order) != order:
                raise Malformed("OTHER_ORDER", item.at("order_id"), f"The line is not one of order {order}.")
        grouped.setdefault(order, []).extend(items)
    return grouped


def listed_orders(data: object) -> list[Fields]:
    """The orders of a page of `/orders/get`; on an empty page the list itself may be absent (L35)."""
    if isinstance(data, list):
        return objects(data, "")
    page = Fields(data, "")
    if not page.has("orders"):
        if page.integer("count") != 0:
            raise Malformed("MISSING", "orders", "The page has no orders and does not say that it is empty.")
        return []
    return page.children("orders")
