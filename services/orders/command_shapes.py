"""What the doors of commands and facts answer, for the OpenAPI document: shapes with an example each."""

import re
from typing import Annotated, Any, Final

from pydantic import Field

from libs.runtime.openapi import Answer, Answers, Described
from services.orders.command_examples import COMMAND_EXAMPLES, FACT_EXAMPLE


class CommandAnswer(Answer):
    """What an accepted command or fact has come to; no events: there was nothing to do."""

    order: str
    """The order's id."""
    sequence: Annotated[int, Field(ge=0)]
    """How many events the order has had; what If-Match takes."""
    position: str = ""
    """An opaque token of the point in the log; what min_position takes."""
    events: list[str]
    """The names of the events that it made, in their order."""
    headline: str
    allowed: list[str]
    """Commands that are allowed now."""


class BulkResult(Answer):
    """What became of the command for one order: a command's answer or a problem, with its status."""

    order: str
    status: int
    """The HTTP status that the same command for this order alone would have had."""


class BulkAnswer(Answer):
    """A result for each order, in the order given."""

    results: list[BulkResult]


class Contact(Answer):
    """How the buyer is reached and where the goods go; what is not known is null."""

    order: str
    line_notes: dict[str, str]
    """The buyer's notes by line."""
    city: str | None
    province: str | None
    masked: list[str]
    """The fields that are as the channel masks them; they reach nobody."""


_ID: Final = "8f0f3f0a-4a7e-5c0e-9a3b-0d7b5c2f6a10"
COMMAND_EXAMPLE: Final[dict[str, Any]] = {
    "order": _ID,
    "sequence": 2,
    "position": "1043",
    "events": ["OrderConfirmed"],
    "headline": "CONFIRMED",
    "allowed": ["UnconfirmOrder", "CancelOrder"],
}
BULK_EXAMPLE: Final[dict[str, Any]] = {
    "results": [
        {**COMMAND_EXAMPLE, "status": 200},
        {
            "order": "8f0f3f0a-4a7e-5c0e-9a3b-0d7b5c2f6a11",
            "status": 409,
            "type": "urn:jejak:problem:already-confirmed",
            "title": "Conflict",
            "code": "ALREADY_CONFIRMED",
            "detail": "The order is confirmed already.",
            "headline": "CONFIRMED",
            "sequence": 2,
            "allowed": ["UnconfirmOrder", "CancelOrder"],
            "fields": [],
        },
    ]
}
CONTACT_EXAMPLE: Final[dict[str, Any]] = {
    "order": _ID,
    "recipient": "A*** B***",
    "recipient_phone": None,
    "address": None,
    "line_notes": {},
    "city": "Bandung",
    "province": "Jawa Barat",
    "masked": ["recipient"],
}
# The order that an answer names can be asked for at once.
LINKS: Final[dict[str, Any]] = {
    "order": {
        "operationRef": "#/paths/~1v1~1orders~1{order_id}/get",
        "parameters": {"order_id": "$response.body#/order"},
    },
    "its_events": {
        "operationRef": "#/paths/~1v1~1orders~1{order_id}~1events/get",
        "parameters": {"order_id": "$response.body#/order"},
    },
}


# What can be asked of an order that was just placed, beside.
PLACED_LINKS: Final[dict[str, Any]] = {
    **LINKS,
    **{
        name: {
            "operationRef": f"#/paths/~1v1~1orders~1{{order_id}}~1commands~1{name}/post",
            "parameters": {"order_id": "$response.body#/order"},
            "requestBody": COMMAND_EXAMPLES[command],
        }
        for name, command in {
            "confirm-order": "ConfirmOrder",
            "hold-order": "HoldOrder",
            "cancel-order": "CancelOrder",
        }.items()
    },
}


def _answered(asked: Any, links: dict[str, Any] = LINKS) -> Described:
    return Described(
        model=CommandAnswer, example=COMMAND_EXAMPLE, about="What it has come to.", links=links, asked=asked
    )


def _of_all(asked: dict[str, Any]) -> Described:
    return Described(
        model=BulkAnswer,
        example=BULK_EXAMPLE,
        about="A result for each order, in the order given.",
        asked={"orders": [_ID], **asked},
    )


def _kebab(command: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", command).lower()


_ON_ORDERS: Final = {_kebab(name): asked for name, asked in COMMAND_EXAMPLES.items() if name != "PlaceOrder"}
COMMAND_ANSWERS: Final[Answers] = {
    "POST /v1/orders": _answered(COMMAND_EXAMPLES["PlaceOrder"], PLACED_LINKS),
    **{
        f"POST /v1/orders/{{order_id}}/commands/{path}": _answered(asked)
        for path, asked in _ON_ORDERS.items()
    },
    "POST /v1/orders/{order_id}/commands/preview-edit": _answered(COMMAND_EXAMPLES["EditOrder"]),
    "POST /v1/orders/{order_id}/facts": _answered(FACT_EXAMPLE),
    **{f"POST /v1/bulk/{path}": _of_all(asked) for path, asked in _ON_ORDERS.items()},
    "GET /v1/orders/{order_id}/contact": Described(
        model=Contact, example=CONTACT_EXAMPLE, about="The contact; the reading is kept."
    ),
}
