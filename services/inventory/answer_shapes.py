"""What the doors of inventory answer, for its OpenAPI document: shapes with a literal example each."""

from datetime import datetime
from typing import Any, Final, Literal

from libs.runtime.openapi import Answer, Answers, Described


class StockLevel(Answer):
    """Units of one SKU that are promised to orders, and units that have left."""

    sku: str
    reserved: int
    shipped: int
    updated_at: datetime


class Movement(Answer):
    """What moved units of a SKU, and the event it came of."""

    id: str
    sku: str
    kind: Literal["RESERVED", "RELEASED", "SHIPPED"]
    quantity: int
    order: str
    line: str
    event: str
    """The id of the order's event."""
    at: datetime
    recorded_at: datetime


class StockPage(Answer):
    """A page of SKUs; `next` is the cursor of the next page, null on the last."""

    items: list[StockLevel]
    next: str | None


class MovementPage(Answer):
    """A page of movements; `next` is the cursor of the next page, null on the last."""

    items: list[Movement]
    next: str | None


LEVEL_EXAMPLE: Final[dict[str, Any]] = {
    "sku": "TEH-HIJAU-250",
    "reserved": 3,
    "shipped": 41,
    "updated_at": "2026-03-05T07:09:02.100Z",
}
MOVEMENT_EXAMPLE: Final[dict[str, Any]] = {
    "id": "0199f2d4-6f43-7b52-9a07-3f5a3b0c8d11",
    "sku": "TEH-HIJAU-250",
    "kind": "SHIPPED",
    "quantity": 1,
    "order": "8f0f3f0a-4a7e-5c0e-9a3b-0d7b5c2f6a10",
    "line": "712345679001001",
    "event": "8f0f3f0a-4a7e-5c0e-9a3b-0d7b5c2f6a10/6",
    "at": "2026-03-05T07:09:00Z",
    "recorded_at": "2026-03-05T07:09:02.100Z",
}

ANSWERS: Final[Answers] = {
    "GET /v1/stock": Described(
        model=StockPage, example={"items": [LEVEL_EXAMPLE], "next": None}, about="A page of SKUs."
    ),
    "GET /v1/stock/{sku}/movements": Described(
        model=MovementPage, example={"items": [MOVEMENT_EXAMPLE], "next": None}, about="A page of movements."
    ),
}
"""`<METHOD> <path template>` -> what the door answers."""
