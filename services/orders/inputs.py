"""The body of a command before its fields are read: one JSON object that the store can keep."""

import re
from typing import Any, Final

import msgspec

from services.orders.order.input import FieldFault

FIELD_INVALID: Final = "FIELD_INVALID"
_SEQUENCE: Final = re.compile(r'"(\d{1,18})"|(\d{1,18})', re.ASCII)


class Unreadable(ValueError):
    """The body is no object that a command can be read from; `faults` say why and what to do."""

    def __init__(self, *faults: FieldFault) -> None:
        super().__init__(", ".join(fault.field for fault in faults))
        self.faults = faults


def read_if_match(header: str | None) -> int | None:
    """The sequence that If-Match names; None: any. Raises Unreadable."""
    given = (header or "*").strip()
    if given == "*":
        return None
    found = _SEQUENCE.fullmatch(given)
    if found is None:
        raise Unreadable(FieldFault("If-Match", FIELD_INVALID, 'Name one sequence, as in "3", or *.'))
    return int(found[1] or found[2])


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; an empty body is an empty object. Raises Unreadable.

    U+0000 is refused everywhere in it: PostgreSQL's text cannot keep it.
    """
    try:
        value = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable(
            FieldFault("body", FIELD_INVALID, "The body is not JSON; send one JSON object.")
        ) from None
    if not isinstance(value, dict):
        raise Unreadable(FieldFault("body", FIELD_INVALID, "The body is not a JSON object; send one."))
    # As JSON writes it; a raw one is no JSON.
    if rb"\u0000" in body:
        place = _nul(value, "")
        if place is not None:
            sentence = "The text holds the character U+0000; leave it out."
            raise Unreadable(FieldFault(place or "body", FIELD_INVALID, sentence))
    return value


def _nul(value: Any, path: str) -> str | None:
    """Where a text or a name holds U+0000; None when none does."""
    if isinstance(value, str):
        return path if "\x00" in value else None
    if isinstance(value, dict):
        if any("\x00" in name for name in value):
            return path
        parts = [(each, f"{path}.{name}" if path else name) for name, each in value.items()]
    elif isinstance(value, list):
        parts = [(each, f"{path}.{number}") for number, each in enumerate(value)]
    else:
        return None
    return next((found for each, at in parts if (found := _nul(each, at)) is not None), None)
