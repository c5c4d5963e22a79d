"""What the doors of notifications answer, for its OpenAPI document: shapes with a literal example each."""

from datetime import datetime
from typing import Any, Final

from libs.runtime.openapi import Answer, Answers, Described


class Sentence(Answer):
    """What is told, in words, in both languages."""

    en: str
    id: str


class Delivery(Answer):
    """Something that the seller is to be told, and the event it came of."""

    id: str
    kind: str
    state: str
    medium: str
    recipient: str
    order: str
    event: str
    event_id: str
    text: str
    """The id of the sentence."""
    sentence: Sentence
    happened_at: datetime
    written_at: datetime


class DeliveryPage(Answer):
    """A page of deliveries; `next` is the cursor of the next page, null on the last."""

    items: list[Delivery]
    next: str | None


DELIVERY_EXAMPLE: Final[dict[str, Any]] = {
    "id": "0199f2d4-6f43-7b52-9a07-3f5a3b0c8d11",
    "kind": "ORDER_PLACED",
    "state": "DUE",
    "medium": "DEFAULT",
    "recipient": "0f6e1b8e-2f5d-5c1a-9a57-3f1f0f6e1b8e",
    "order": "8f0f3f0a-4a7e-5c0e-9a3b-0d7b5c2f6a10",
    "event": "OrderPlaced",
    "event_id": "8f0f3f0a-4a7e-5c0e-9a3b-0d7b5c2f6a10/1",
    "text": "order_placed",
    "sentence": {
        "en": "New order 712345678901001 from lazada.",
        "id": "Pesanan baru 712345678901001 dari lazada.",
    },
    "happened_at": "2026-03-05T07:00:00Z",
    "written_at": "2026-03-05T07:00:02.100Z",
}

ANSWERS: Final[Answers] = {
    "GET /v1/deliveries": Described(
        model=DeliveryPage, example={"items": [DELIVERY_EXAMPLE], "next": None}, about="A page of deliveries."
    ),
}
"""`<METHOD> <path template>` -> what the door answers."""
