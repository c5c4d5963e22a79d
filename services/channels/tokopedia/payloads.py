"""The shapes of Tokopedia's payloads: the envelope, a topic's notice, the rows of a history, times."""

from datetime import datetime, timedelta, timezone

import msgspec

from services.channels.marketplace import (
    Fields,
    Malformed,
    PushCategory,
    PushClass,
    Zone,
    instant,
    objects,
    scalar_text,
)
from services.channels.tokopedia.statuses import ORDER_TOPICS, OTHER_TOPICS

# Asia/Jakarta has kept UTC+7 since 1964. Tokopedia's `Z` is a label on Jakarta's wall clock (K14).
_JAKARTA = timezone(timedelta(hours=7), "Asia/Jakarta")
ZONE = Zone(naive=_JAKARTA, zulu=_JAKARTA)

_MESSAGE_LENGTH_MAX = 300


class HistoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `order_history`: the only place with times and actors (A4)."""

    status: str | None
    at: datetime | None
    actor: str | None
    reason: str | None


def answer(payload: object) -> object:
    """What an answer carries, without its envelope; an error answer is Malformed with Tokopedia's code.

    None for an empty answer that is no error: a list may be empty as null (K13).
    """
    if not isinstance(payload, dict):
        return payload
    outer = Fields(payload, "", fold=True)
    if not outer.has("header") and "data" not in {key.lower() for key in payload}:
        return payload
    header = outer.child("header")
    _refuse_error(outer, header)
    return outer.get("data")


def _refuse_error(outer: Fields, header: Fields) -> None:
    said = _said(header.get("reason")) or _said(header.get("messages")) or _said(outer.get("error_message"))
    code = header.text("error_code")
    # Code 0 is no error beside data, and one without (A8).
    if code is not None and (code != "0" or not outer.has("data")):
        raise Malformed("MARKETPLACE_ERROR", "header.error_code", f"Tokopedia answered {code[:64]}: {said}")
    status = outer.text("status") if outer.has("error_message") else None
    if status is not None and not status.startswith("2"):
        raise Malformed("MARKETPLACE_ERROR", "status", f"Tokopedia answered {status[:64]}: {said}")
    success = "success" in (_said(header.get("messages")) or "success").lower()
    if not outer.has("data") and not success:
        raise Malformed("MARKETPLACE_ERROR", "header.messages", f"Tokopedia answered without data: {said}")


def _said(value: object) -> str | None:
    """A message of Tokopedia's, which may be a text or a list of texts."""
    texts = value if isinstance(value, list) else [value]
    said = "; ".join(each for each in texts if isinstance(each, str) and each.strip())
    return said[:_MESSAGE_LENGTH_MAX] or None


def one(payload: object) -> Fields:
    """The one object that an answer or a notice carries."""
    return Fields(answer(payload), "", fold=True)


def many(payload: object) -> list[Fields]:
    """The objects of a list answer; null and [] are empty (K13)."""
    return objects(answer(payload), "", fold=True)


def time_of(fields: Fields, name: str) -> datetime | None:
    """A time of Tokopedia's: a number, a text, or `{Time, Valid}`; unset dates are absent (IN-10)."""
    value = fields.get(name)
    if isinstance(value, dict):
        wrapped = Fields(value, fields.at(name), fold=True)
        return wrapped.time("time", ZONE) if wrapped.flag("valid") else None
    return instant(value, ZONE, fields.at(name))


def status_of(fields: Fields, name: str) -> str | None:
    """A status code as text: 220, "220" and 220.0 are one code."""
    found = scalar_text(fields.get(name), fields.at(name))
    return None if found is None else found.strip()


def history(order: Fields) -> list[HistoryRow]:
    """The rows in the order of their times, those without a time last; the payload has the newest first."""
    rows = [
        HistoryRow(
            status=status_of(row, "hist_status_code"),
            at=time_of(row, "timestamp"),
            actor=row.text("action_by"),
            reason=row.text("comment", "message"),
        )
        for row in reversed(order.child("order_info").children("order_history"))
    ]
    # Sorted with the fraction of the second, which the wire cuts; equal times keep the payload's order.
    return sorted(rows, key=lambda row: (row.at is None, row.at.timestamp() if row.at else 0))


def classify(topic: str, payload: object) -> PushClass:
    """What a notice is about and the parts of its delivery key (channels.md 13); Malformed if unreadable.

    The other topics are kept by path and body, so that `update_time` needs no part of its own.
    """
    kind = ORDER_TOPICS.get(topic)
    if kind is None:
        known = PushCategory.OTHER_TYPE if topic in OTHER_TOPICS else PushCategory.UNKNOWN_TYPE
        shop = Fields(payload, "", fold=True).optional_id("shop_id") if isinstance(payload, dict) else None
        return _push_class(known, topic, shop=shop, order=None, key=(topic,), keyed_by_body=True)
    notice = one(payload)
    order = notice.id("order_id")
    shop = notice.optional_id("shop_id")
    if kind == "cancel-request":
        return _push_class(
            PushCategory.ORDER, topic, shop=shop, order=order, key=(topic, order), keyed_by_body=False
        )
    key = (
        notice.optional_id("fs_id") or "-",
        shop or "-",
        topic,
        order,
        status_of(notice, "order_status") or "-",
    )
    return _push_class(PushCategory.ORDER, topic, shop=shop, order=order, key=key, keyed_by_body=True)


def _push_class(
    category: PushCategory,
    topic: str,
    *,
    shop: str | None,
    order: str | None,
    key: tuple[str, ...],
    keyed_by_body: bool,
) -> PushClass:
    return PushClass(
        category=category,
        topic=topic,
        shop=shop,
        site="id",
        order=order,
        key=key,
        keyed_by_body=keyed_by_body,
    )
