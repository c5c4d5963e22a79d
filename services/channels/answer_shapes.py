"""What the doors of channels answer, for its OpenAPI document: shapes with a literal example each.

Webhooks are not among them: what they take and answer is the marketplaces' own contract.
"""

from datetime import datetime
from typing import Any, Final, Literal

from libs.runtime.openapi import Answer, Answers, Described


class ConnectedShop(Answer):
    """A seller's link to one shop at one channel."""

    id: str
    """The id of the connection."""
    channel: str
    site: str
    shop: str
    """The marketplace's id of the shop."""
    name: str
    state: str


class RawMessage(Answer):
    """What a marketplace sent and what became of it, without its content."""

    id: str
    received_at: datetime
    route: str
    verdict: str
    state: Literal["PENDING", "HANDLED", "SKIPPED", "PARKED"]
    reason: str | None
    connection: str | None
    order: str | None
    """The marketplace's id of the order."""


class ShopPage(Answer):
    """A page of shops; `next` is the cursor of the next page, null on the last."""

    items: list[ConnectedShop]
    next: str | None


class RawMessagePage(Answer):
    """A page of raw messages; `next` is the cursor of the next page, null on the last."""

    items: list[RawMessage]
    next: str | None


SHOP_EXAMPLE: Final[dict[str, Any]] = {
    "id": "7b0c8f4e-93d1-5b7e-8a55-0f3d9a2b6c11",
    "channel": "lazada",
    "site": "id",
    "shop": "1000999001",
    "name": "Toko Teh",
    "state": "CONNECTED",
}
MESSAGE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "0199f2d4-6f43-7b52-9a07-3f5a3b0c8d11",
    "received_at": "2026-03-05T07:59:27Z",
    "route": "lazada",
    "verdict": "SIGNED",
    "state": "HANDLED",
    "reason": None,
    "connection": "7b0c8f4e-93d1-5b7e-8a55-0f3d9a2b6c11",
    "order": "712345678901001",
}

ANSWERS: Final[Answers] = {
    "GET /v1/shops": Described(
        model=ShopPage, example={"items": [SHOP_EXAMPLE], "next": None}, about="A page of shops."
    ),
    "GET /v1/raw-messages": Described(
        model=RawMessagePage, example={"items": [MESSAGE_EXAMPLE], "next": None}, about="A page of messages."
    ),
}
"""`<METHOD> <path template>` -> what the door answers."""
