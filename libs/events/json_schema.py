"""The published JSON Schema of an event."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from libs.events.envelope import SCHEMA_BASE
from libs.events.wire import PublicEvent

Schema = dict[str, Any]

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Untitled(GenerateJsonSchema):
    """Fields have no title: it would only repeat their name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the base class's signature.
        return False


def schema_of(event: type[PublicEvent]) -> Schema:
    """The event's schema, closed: under an open one every later field would break those who check strictly.

    Readers of ours ignore fields they do not know all the same. A field that may be left out is never null.
    """
    made = event.model_json_schema(schema_generator=_Untitled)
    _close(made)
    return {"$schema": DRAFT, "$id": SCHEMA_BASE + event.ce_type(), **made}


def _close(node: Any) -> None:
    if isinstance(node, list):
        for each in node:
            _close(each)
    if not isinstance(node, dict):
        return
    for name, each in node.items():
        _close(list(each.values()) if name in {"properties", "$defs"} else each)
    if "properties" in node:
        node["additionalProperties"] = False
        required = node.get("required", [])
        node["properties"] = {
            name: each if name in required else _present(each) for name, each in node["properties"].items()
        }


def _present(optional: Schema) -> Schema:
    """A field that may be left out, without the null that only the model needs to say so."""
    kept = {name: value for name, value in optional.items() if name not in {"default", "anyOf"}}
    choices = [each for each in optional.get("anyOf", []) if each != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **kept}
    return {**kept, "anyOf": choices} if choices else kept


def inlined(schema: Schema) -> Schema:
    """The same schema with every reference replaced by what it names."""
    definitions: Mapping[str, Schema] = schema.get("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(each) for each in node]
        if not isinstance(node, dict):
            return node
        beside = {name: resolve(each) for name, each in node.items() if name not in {"$ref", "$defs"}}
        if "$ref" not in node:
            return beside
        return {**resolve(definitions[node["$ref"].removeprefix("#/$defs/")]), **beside}

    whole: Schema = resolve(schema)
    return whole
