"""What the doors of drafts answer, for the OpenAPI document: shapes with an example each."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field

from libs.runtime.openapi import Answer, Answers, Described, FieldFault
from services.orders.command_examples import COMMAND_EXAMPLES
from services.orders.command_shapes import COMMAND_EXAMPLE, LINKS, CommandAnswer

Amount = int
"""In minor units of rupiah."""


class DraftLine(Answer):
    """A product of a draft; quantity and price are null until they are named."""

    sku: str
    name: str
    product: str
    variant: str
    quantity: int | None
    unit_price: Amount | None
    discount: Amount
    warehouse: str


class DraftRecipient(Answer):
    """Who receives the goods; without the scope `contact` city and province only."""

    name: str = ""
    phone: str = ""
    email: str = ""
    address: str = ""
    district: str = ""
    city: str
    province: str
    postal_code: str = ""
    note: str = ""


class ListedDraft(Answer):
    """A draft as it stands; its id becomes the order's."""

    id: str
    revision: Annotated[int, Field(ge=1)]
    """Counts its changes; what If-Match takes."""
    made_by: str
    created_at: datetime
    changed_at: datetime
    expires_at: datetime
    """It ends then, unless it is changed before."""
    payment_method: str
    lines: list[DraftLine]
    recipient: DraftRecipient
    discount: Amount
    shipping_fee: Amount | None
    insured: bool | None
    insurance_fee: Amount | None
    other_fees: Amount
    courier: str
    service: str
    agent: str


class DraftObject(ListedDraft):
    """A draft, and what Buat would refuse now."""

    missing: list[FieldFault]
    """What is missing or not allowed; stock is asked for at Buat."""
    total: Amount | None
    """What the order would come to; null while something is missing."""


class DraftPage(Answer):
    """A page of drafts; `next` is the cursor of the next page, null on the last."""

    items: list[ListedDraft]
    next: str | None


class DraftWritten(Answer):
    """What has become of a draft; it says nothing that the draft says."""

    id: str
    revision: Annotated[int, Field(ge=1)]
    changed_at: datetime
    expires_at: datetime
    missing: list[FieldFault]


class DraftDeleted(Answer):
    """The draft that is gone."""

    id: str


_ID: Final = "0199f2d4-6f43-7b52-9a07-3f5a3b0c8d21"
_PLACED: Final = COMMAND_EXAMPLES["PlaceOrder"]
_RECIPIENT: Final[dict[str, Any]] = {**_PLACED["recipient"], "email": "", "note": ""}
ASKED_EXAMPLE: Final[dict[str, Any]] = {
    "payment_method": "TRANSFER",
    "lines": _PLACED["lines"],
    "recipient": _PLACED["recipient"],
    "courier": "JNE",
    "service": "REG",
    "shipping_fee": 9_000,
    "insured": True,
}
CHANGE_EXAMPLE: Final[dict[str, Any]] = {"insurance_fee": 500, "recipient": {"note": None}}
_MISSING: Final[list[dict[str, str]]] = [
    {
        "field": "insurance_fee",
        "code": "SHIPPING_INCOMPLETE",
        "sentence": "Name it, 0 if the insurance is free.",
    }
]
WRITTEN_EXAMPLE: Final[dict[str, Any]] = {
    "id": _ID,
    "revision": 1,
    "changed_at": "2026-03-05T07:00:00Z",
    "expires_at": "2026-04-04T07:00:00Z",
    "missing": _MISSING,
}
_LINE: Final[dict[str, Any]] = {
    **_PLACED["lines"][0], "product": "", "variant": "", "discount": 0, "warehouse": "",
}  # fmt: skip
LISTED_EXAMPLE: Final[dict[str, Any]] = {
    "id": _ID,
    "revision": 1,
    "made_by": "0199f2d4-6f43-7b52-9a07-3f5a3b0c8d11",
    "created_at": "2026-03-05T07:00:00Z",
    "changed_at": "2026-03-05T07:00:00Z",
    "expires_at": "2026-04-04T07:00:00Z",
    **ASKED_EXAMPLE,
    "lines": [_LINE],
    "recipient": _RECIPIENT,
    "discount": 0,
    "insurance_fee": None,
    "other_fees": 0,
    "agent": "",
}
# What is made can be read, changed and placed.
_LINKS: Final[dict[str, Any]] = {
    "draft": {
        "operationRef": "#/paths/~1v1~1drafts~1{draft_id}/get",
        "parameters": {"draft_id": "$response.body#/id"},
    },
    "place": {
        "operationRef": "#/paths/~1v1~1drafts~1{draft_id}~1place/post",
        "parameters": {"draft_id": "$response.body#/id"},
    },
}


def _written(about: str, asked: dict[str, Any]) -> Described:
    return Described(model=DraftWritten, example=WRITTEN_EXAMPLE, about=about, asked=asked, links=_LINKS)


DRAFT_ANSWERS: Final[Answers] = {
    "POST /v1/drafts": _written("The draft, and what it still lacks.", ASKED_EXAMPLE),
    "PATCH /v1/drafts/{draft_id}": _written("Its new revision, and what it still lacks.", CHANGE_EXAMPLE),
    "GET /v1/drafts": Described(
        model=DraftPage, example={"items": [LISTED_EXAMPLE], "next": None}, about="A page of drafts."
    ),
    "GET /v1/drafts/{draft_id}": Described(
        model=DraftObject,
        example={**LISTED_EXAMPLE, "missing": _MISSING, "total": None},
        about="The draft; its revision is the ETag.",
    ),
    "DELETE /v1/drafts/{draft_id}": Described(
        model=DraftDeleted, example={"id": _ID}, about="It is gone, with all that was sealed in it."
    ),
    "POST /v1/drafts/{draft_id}/place": Described(
        model=CommandAnswer,
        example={
            **COMMAND_EXAMPLE,
            "order": _ID,
            "sequence": 1,
            "events": ["OrderPlaced"],
            "headline": "NEW",
            "allowed": ["ConfirmOrder", "CancelOrder"],
        },
        about="The order, under the draft's id.",
        asked={"allow_backorder": True},
        links=LINKS,
    ),
}
"""`<METHOD> <path template>` -> what the door answers."""
