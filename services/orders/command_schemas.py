"""What the doors of commands take, for the OpenAPI document: made of the types that bodies are read by."""

from typing import Any, Final

import msgspec

from services.orders.order.commands import COMMANDS, Command
from services.orders.order.draft import Draft
from services.orders.order.table import FACTS

ORDERS_MAX: Final = 1_000
_ACTOR: Final = {
    "type": "string",
    "description": "Who acts, where it is not who calls; what is not granted is NOT_PERMITTED (SR-5).",
}

FACT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "enum": list(FACTS)},
        "scope": {
            "type": ["object", "null"],
            "description": "Lines, parts or packages that the fact is about; without it all it can apply to.",
        },
        "occurred_at": {"type": ["string", "null"], "format": "date-time"},
        "data": {"type": ["object", "null"]},
        "actor": _ACTOR,
    },
}


def command_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a command's body."""
    return _with_actor(_plain(COMMANDS[name]))


def bulk_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a bulk command's body: the orders, and the command's own fields beside them."""
    schema = command_schema(name)
    orders = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": ORDERS_MAX}
    return {
        **schema,
        "properties": {"orders": orders, **schema["properties"]},
        "required": ["orders", *schema.get("required", [])],
    }


def draft_schema() -> dict[str, Any]:
    """The JSON Schema of what a draft is made of or changed by (RFC 7396): null takes a value away."""
    schema = _plain(Draft)
    schema["properties"] = {name: _nullable(each) for name, each in schema["properties"].items()}
    recipient = schema["properties"]["recipient"]["anyOf"][0]
    recipient["properties"] = {name: _nullable(each) for name, each in recipient["properties"].items()}
    return schema


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return schema if "anyOf" in schema else {"anyOf": [schema, {"type": "null"}]}


def documented(schema: dict[str, Any], *, keyed: bool = True, if_match: bool = False) -> dict[str, Any]:
    """What FastAPI is told of a door that reads its body and headers by itself."""
    parameters: list[dict[str, Any]] = []
    if keyed:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21-\\x7e]+$"},
                "description": "The same key and body: the first answer again. Another body: KEY_REUSED.",
            }
        )
    if if_match:
        parameters.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": '^("[0-9]{1,18}"|[0-9]{1,18}|\\*)$'},
                "description": "The sequence that the caller saw; another one now is SEQUENCE_CONFLICT.",
            }
        )
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"openapi_extra": {"parameters": parameters, "requestBody": body}}


def _with_actor(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {**schema.get("properties", {}), "actor": _ACTOR}}


def _plain(kind: type[Command]) -> dict[str, Any]:
    """The schema with its definitions written where they are used, since OpenAPI keeps them elsewhere."""
    schema = msgspec.json.schema(kind)
    definitions = schema.pop("$defs", {})
    resolved = _resolved(schema, definitions)
    assert isinstance(resolved, dict), "A struct's schema is an object."
    return resolved


def _resolved(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            return _resolved(definitions[reference.rpartition("/")[2]], definitions)
        return {name: _resolved(each, definitions) for name, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, definitions) for each in value]
    return value


PLACE_DRAFT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        name: _plain(COMMANDS["PlaceOrder"])["properties"][name] for name in ("hold", "allow_backorder")
    }
    | {"actor": _ACTOR},
}
