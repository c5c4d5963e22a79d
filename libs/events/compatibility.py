"""Whether the contract of today still serves those who know a released one, and the history written under it.

`libs/events/released/<type>.json` are the schemas that others rely on; they change by a release only. Between
releases an event may be tried freely; against a released one a change is a breaking one when a reader of the
released schema could stumble over a new record, or a reader of today over an old one. Readers ignore fields
that they do not know, and treat a value that they do not know of a closed set as one that does not concern
them; so these pass: a new event, a new field that may be left out, a new value, any explanation.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from libs.events.json_schema import Schema, inlined

# What only explains; it may change freely.
_EXPLAINING: Final = frozenset(
    {"$comment", "$defs", "$id", "$schema", "deprecated", "description", "examples", "title"}
)
_WALKED: Final = frozenset(
    {"additionalProperties", "anyOf", "const", "enum", "items", "oneOf", "properties", "required"}
)


def broken(
    released: Mapping[str, Schema], current: Mapping[str, Schema], lifted: Collection[str]
) -> list[str]:
    """One sentence for each change that breaks a released type; empty when all of them still hold.

    A released type that is current no more breaks too, unless it is `lifted`: an upcast leads on from it,
    which is what a new major is.
    """
    said: list[str] = []
    for ce_type, old in sorted(released.items()):
        if ce_type in current:
            said += [f"{ce_type}: {each}." for each in breaking(old, current[ce_type])]
        elif ce_type not in lifted:
            said.append(f"{ce_type} is gone, and no step in upcasts.py leads on from it.")
    return said


def breaking(old: Schema, new: Schema) -> list[str]:
    """What in the new schema breaks the old one, one phrase each; empty when the change is compatible."""
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
    for name in sorted(before.keys() - after.keys()):
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
