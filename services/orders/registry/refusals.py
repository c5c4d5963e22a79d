"""Why a change of the registry is refused: a code, sentences, and the fields that are wrong."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

FIELD_INVALID: Final = "FIELD_INVALID"


class FieldRefused(Struct, frozen=True):
    """What is wrong with one field and what to do; `field` is its path in the sender's words."""

    field: str
    sentence: str
    code: str = FIELD_INVALID


class RegistryRefused(Exception):
    """The registry does not take the change; `kind` is NOT_FOUND, CONFLICT or INVALID."""

    def __init__(self, kind: str, code: str, sentence: str, fields: Sequence[FieldRefused] = ()) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.code = code
        self.sentence = sentence
        self.fields = tuple(fields)


def invalid(faults: Sequence[FieldRefused]) -> RegistryRefused:
    """The refusal of fields that are wrong in themselves, all of them together."""
    return RegistryRefused("INVALID", FIELD_INVALID, "The request has fields that are wrong.", faults)


def not_found(what: str) -> RegistryRefused:
    """The refusal for something that this seller has not; another seller's answers the same (RF-4)."""
    return RegistryRefused("NOT_FOUND", "NOT_FOUND", f"This seller has no such {what}.")


def conflict(code: str, sentence: str) -> RegistryRefused:
    """The refusal of a change that what stands there does not allow."""
    return RegistryRefused("CONFLICT", code, sentence)
