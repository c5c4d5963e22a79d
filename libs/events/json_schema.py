"""The published JSON Schema of an event, and what of a changed one would break its readers or its history."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from libs.events.envelope import SCHEMA_BASE
from libs.events.wire import PublicEvent

Schema = dict[str, Any]

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
# What only explains; it may change freely.
_EXPLAINING: Final = frozenset({"$comment", "$defs", "$id", "$schema", "description", "examples", "title"})
_WALKED: Final = frozenset(
    {"additionalProperties", "anyOf", "const", "enum", "items", "oneOf", "properties", "required"}
)


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


def breaking(old: Schema, new: Schema) -> list[str]:
    """What in the new schema breaks the old one, one phrase each; empty when the change is compatible.

    Compatible is: a new field that may be left out, a new value of a closed set, any explanation.
    """
    return list(_differences(inlined(old), inlined(new), ""))


def _differences(old: Schema, new: Schema, path: str) -> Iterator[str]:
    shown = path or "the event"
    for keyword in sorted((old.keys() | new.keys()) - _EXPLAINING - _WALKED):
        if old.get(keyword) != new.get(keyword):
            yield f"{shown} changes its {keyword} from {old.get(keyword)} to {new.get(keyword)}"
    yield from _lost_values(old, new, shown)
    yield from _fields(old, new, path)
    for keyword in ("items", "additionalProperties"):
        before, after = old.get(keyword), new.get(keyword)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{path}[]")
        elif before != after:
            yield f"{shown} changes its {keyword}"
    for keyword in ("anyOf", "oneOf"):
        yield from _choices(old.get(keyword, []), new.get(keyword, []), path)


def _lost_values(old: Schema, new: Schema, shown: str) -> Iterator[str]:
    before, after = _values(old), _values(new)
    if before is None and after is not None:
        yield f"{shown} becomes a closed set"
    elif before is not None and after is None:
        yield f"{shown} stops being a closed set"
    else:
        for value in before or ():
            if value not in (after or ()):
                yield f"{shown} loses the value {value}"


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _fields(old: Schema, new: Schema, path: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    required_before, required_after = set(old.get("required", ())), set(new.get("required", ()))
    for name in before.keys() - after.keys():
        yield f"{_at(path, name)} is lost"
    for name in sorted(after):
        if name in required_after and name not in required_before:
            yield f"{_at(path, name)} becomes required"
        if name in required_before and name not in required_after:
            yield f"{_at(path, name)} becomes optional"
        if name in before:
            yield from _differences(before[name], after[name], _at(path, name))


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _choices(old: list[Schema], new: list[Schema], path: str) -> Iterator[str]:
    """Every choice there was must still be one; a further choice is another type and breaks readers."""
    if len(new) > len(old):
        yield f"{path or 'the event'} gains a type"
    for choice in old:
        found = [list(_differences(choice, each, path)) for each in new]
        if [] not in found:
            yield f"{path or 'the event'} loses or changes one of its types ({choice.get('type', 'any')})"
