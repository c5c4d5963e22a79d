"""Bodies of commands: read from JSON with every fault named by its field (GR-3 step 5)."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from services.orders.order.commands import COMMANDS, Command

Said = TypeVar("Said", bound=Command)

_PRICES = frozenset(
    {"unit_price", "discount", "shipping_fee", "insurance_fee", "other_fees"},
)
_SAID = {
    "QUANTITY_INVALID": "The quantity must be a whole number of at least 1.",
    "PRICE_INVALID": "Amounts must be whole minor units, not below 0.",
}


class FieldFault(Struct, frozen=True, gc=False):
    """What is wrong with one field, and what to do; the sentence never repeats what was sent."""

    field: str
    code: str
    sentence: str


def read_command(name: str, body: Mapping[str, Any]) -> Command | tuple[FieldFault, ...]:
    """The command of a JSON object, or every fault of it. Raises KeyError for a name that is no command."""
    return read_as(COMMANDS[name], body)


def read_as(wanted: type[Said], body: Mapping[str, Any]) -> Said | tuple[FieldFault, ...]:
    """The value of a JSON object, or every fault of it."""
    try:
        return msgspec.convert(dict(body), wanted)
    except msgspec.ValidationError:
        return tuple(_faults(wanted, body, ""))


def _faults(wanted: Any, value: Any, path: str) -> list[FieldFault]:
    """The faults of a value, each at the innermost field that has it."""
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as fault:
        inner = _inner(wanted, value, path)
        return inner or [_fault(path or "body", str(fault))]
    return []


def _inner(wanted: Any, value: Any, path: str) -> list[FieldFault]:
    shape = _shape(wanted, value)
    if isinstance(shape, type) and issubclass(shape, Struct) and isinstance(value, Mapping):
        fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
        dot = f"{path}." if path else ""
        found = [
            _fault(f"{dot}{name}", "There is no such field; leave it out.")
            for name in value
            if name not in fields
        ]
        for name, field in fields.items():
            if name in value:
                found += _faults(field.type, value[name], f"{dot}{name}")
            elif field.required:
                found.append(_fault(f"{dot}{name}", "It is missing; name it."))
        return found
    if get_origin(shape) is tuple and isinstance(value, list):
        item = get_args(shape)[0]
        return [
            fault
            for position, each in enumerate(value)
            for fault in _faults(item, each, f"{path}[{position}]")
        ]
    return []


def _shape(wanted: Any, value: Any) -> Any:
    """The type itself, without what is annotated to it and without None."""
    if hasattr(wanted, "__metadata__"):
        return _shape(wanted.__origin__, value)
    if value is not None and type(None) in get_args(wanted):
        left = [each for each in get_args(wanted) if each is not type(None)]
        return _shape(left[0], value) if len(left) == 1 else wanted
    return wanted


def _fault(path: str, said: str) -> FieldFault:
    name = path.rpartition(".")[2]
    if name == "quantity":
        code = "QUANTITY_INVALID"
    elif name in _PRICES:
        code = "PRICE_INVALID"
    else:
        code = "FIELD_INVALID"
    return FieldFault(path, code, _SAID.get(code, said.partition(" - at ")[0]))
