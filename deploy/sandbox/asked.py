"""What a caller of the control door asked for, read field by field.

A refusal says the field, the problem and what to do.
"""

import json
import math
from collections.abc import Sequence
from typing import Any


class Refused(Exception):
    """A call that cannot be carried out."""

    def __init__(self, field: str, problem: str, remedy: str, status: int = 422) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem
        self.remedy = remedy
        self.status = status

    def as_json(self) -> dict[str, str]:
        return {"field": self.field, "problem": self.problem, "what_to_do": self.remedy}


class Asked:
    """A JSON object of a caller's."""

    def __init__(self, body: bytes | dict[str, Any], path: str = "") -> None:
        if isinstance(body, bytes):
            try:
                content = json.loads(body)
            except ValueError as fault:
                raise Refused("(body)", f"is no JSON: {fault}", "send a JSON object") from fault
        else:
            content = body
        if not isinstance(content, dict):
            raise Refused(path or "(body)", "must be a JSON object", "send a JSON object")
        self._content = content
        self._path = path
        self._known: list[str] = []

    def get(self, name: str, default: Any = None) -> Any:
        self._known.append(name)
        found = self._content.get(name)
        return default if found is None else found

    def inner(self, name: str) -> "Asked":
        return Asked(self.get(name, {}), self._named(name))

    def text(self, name: str, default: str | None) -> str | None:
        found = self.get(name, default)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if found is not None and not isinstance(found, str):
            raise Refused(self._named(name), "must be a text", "send a text or leave it out")
        return found

    def one_of(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        found = self.get(name, default)
        if found not in choices:
            problem = "is missing" if found is None else f"{found!r} is unknown"
            raise Refused(self._named(name), problem, f"use one of {', '.join(choices)}")
        return str(found)

    def whole(self, name: str, low: int, high: int, default: int | None) -> int | None:
        found = self.get(name, default)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise Refused(
                self._named(name), f"{found!r} is refused", f"use a whole number from {low} to {high}"
            )
        return found

    def number(self, name: str, low: float, high: float, default: float) -> float:
        found = self.get(name, default)
        good = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
        if not good or not low <= found <= high:
            raise Refused(self._named(name), f"{found!r} is refused", f"use a number from {low} to {high}")
        return float(found)

    def nothing_else(self) -> None:
        """Refuse names that nobody reads, since a misspelt fault would silently not happen."""
        unknown = sorted(set(self._content) - set(self._known))
        if unknown:
            raise Refused(self._named(unknown[0]), "is not known", f"use {', '.join(self._known)}")

    def _named(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name
