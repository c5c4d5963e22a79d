"""The messages of `orders.commands.v1` and `orders.answers.v1`, for the AsyncAPI document.

Their bodies are those that HTTP takes and answers: docs/openapi/orders.json has the shape of every one. Here
stands what all of them have in common.
"""

from collections.abc import Mapping
from typing import Any, Final

from libs.events.envelope import CONTENT_TYPE, SPEC_VERSION
from libs.events.topics import ORDERS_ANSWERS, ORDERS_COMMANDS

Message = dict[str, Any]

_ORDER: Final = "01890b5e-8c1f-5a10-9d6b-3f2a1c4e5b60"
_KEY: Final = "confirm-20260305-17"
_TEXT: Final = {"type": "string", "minLength": 1}


def _headers(*required: str, **more: Any) -> dict[str, Any]:
    named = {
        "ce_specversion": {"type": "string", "const": SPEC_VERSION},
        "ce_id": _TEXT,
        "ce_type": {"type": "string", "pattern": r"^jejak\.orders\.[A-Za-z]+\.v[0-9]+$"},
        "ce_source": _TEXT,
        "ce_subject": {**_TEXT, "description": "The order's id, which is the key."},
        "content-type": {"type": "string", "const": CONTENT_TYPE},
        **more,
    }
    always = ["ce_id", "ce_type", "ce_source", "ce_subject", *required]
    return {"type": "object", "required": always, "properties": named}


COMMAND: Final[Message] = {
    "name": "Command",
    "title": "A command or fact of another system",
    "summary": (
        "`ce_type` is `jejak.orders.<Name>.v1`, `ce_id` its idempotency key; the body is what HTTP takes,"
        " with `actor`."
    ),
    "contentType": CONTENT_TYPE,
    "headers": _headers(
        "authorization",
        authorization={
            **_TEXT,
            "description": "Bearer and a short-lived JWT that was valid at the record's time; without one the"
            " record is refused NOT_PERMITTED.",
        },
    ),
    "payload": {
        "type": "object",
        "description": "The body of POST /v1/orders/{order_id}/commands/{command} or of .../facts.",
        "properties": {"actor": {"type": "string", "description": "Who acts, if not who calls."}},
    },
    "examples": [
        {
            "name": "ConfirmOrder",
            "headers": {
                "ce_specversion": SPEC_VERSION,
                "ce_id": _KEY,
                "ce_type": "jejak.orders.ConfirmOrder.v1",
                "ce_source": "/back-office",
                "ce_subject": _ORDER,
                "content-type": CONTENT_TYPE,
                "authorization": "Bearer eyJ...",
            },
            "payload": {"actor": "OWNER"},
        }
    ],
}
ANSWER: Final[Message] = {
    "name": "jejak.orders.CommandAnswered.v1",
    "title": "CommandAnswered",
    "summary": "What became of a command or fact: HTTP's answer with its status, a refusal included.",
    "contentType": CONTENT_TYPE,
    "headers": _headers(
        "ce_causationid",
        ce_causationid={**_TEXT, "description": "The ce_id of the record that is answered."},
    ),
    "payload": {
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {"type": "integer", "minimum": 200, "maximum": 599},
            "order": {"type": ["string", "null"]},
            "sequence": {"type": ["integer", "null"]},
            "events": {"type": "array", "items": {"type": "string"}},
            "headline": {"type": ["string", "null"]},
            "allowed": {"type": "array", "items": {"type": "string"}},
            "code": {"type": "string", "description": "Of a refusal: why, for programs."},
        },
    },
    "correlationId": {"location": "$message.header#/ce_causationid"},
    "examples": [
        {
            "name": "CommandAnswered",
            "headers": {
                "ce_specversion": SPEC_VERSION,
                "ce_id": f"answer-{_KEY}",
                "ce_type": "jejak.orders.CommandAnswered.v1",
                "ce_source": "/jejak/orders",
                "ce_subject": _ORDER,
                "ce_causationid": _KEY,
                "content-type": CONTENT_TYPE,
            },
            "payload": {
                "status": 200,
                "order": _ORDER,
                "sequence": 2,
                "events": ["OrderConfirmed"],
                "headline": "CONFIRMED",
                "allowed": ["UnconfirmOrder", "CancelOrder"],
            },
        }
    ],
}

COMMAND_MESSAGES: Final[Mapping[str, Message]] = {
    ORDERS_COMMANDS.name: COMMAND,
    ORDERS_ANSWERS.name: ANSWER,
}
"""Topic -> its one message."""
