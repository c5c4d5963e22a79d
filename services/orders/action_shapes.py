"""How the detail and the timeline of an order show actions at marketplaces, for the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from libs.runtime.openapi import Answer

Quantity = Annotated[int, Field(ge=1)]


class QuantityOfLine(Answer):
    """A quantity of a line."""

    line: str
    quantity: Quantity


class ActionObject(Answer):
    """Something that the marketplace was asked to do with its order, and what came of it."""

    id: str
    action: str
    state: Literal["REQUESTED", "WAITING", "SUCCEEDED", "REFUSED", "FAILED", "UNCERTAIN", "LAPSED"]
    """WAITING until the one before it has ended."""
    lines: list[QuantityOfLine]
    """None: the whole order."""
    packages: list[str]
    reason: str | None
    awb: str | None
    actor: str
    requested_at: datetime
    not_after: datetime
    """When it lapses unsent."""
    already: bool
    """True when the marketplace was there before it was asked."""
    code: str | None
    """The marketplace's own code of the end."""
    text: str | None
    """The marketplace's own words."""
    ended_at: datetime | None


class ActionOfEntry(Answer):
    """What the marketplace was asked for, or how that ended."""

    id: str
    action: str
    outcome: str | None
    """Null while it is only asked for."""
    already: bool
    text: str | None


ACTION_EXAMPLE: Final[dict[str, Any]] = {
    "id": "a4",
    "action": "ready_to_ship",
    "state": "SUCCEEDED",
    "lines": [{"line": "712345679001001", "quantity": 1}],
    "packages": ["FP055240000000001"],
    "reason": None,
    "awb": None,
    "actor": "AGENT",
    "requested_at": "2026-03-05T07:03:00Z",
    "not_after": "2026-03-06T07:03:00Z",
    "already": False,
    "code": "0",
    "text": None,
    "ended_at": "2026-03-05T07:03:02Z",
}
