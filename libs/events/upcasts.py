"""Reads any version of any public event: old bodies are lifted step by step to the current one.

A breaking change adds one entry to `STEPS`; the golden file of the old version stays and proves the step.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from libs.events.actions import ACTIONS, ENDS
from libs.events.channels import FACTS
from libs.events.orders import EVENTS
from libs.events.products import PRODUCTS
from libs.events.wire import PublicEvent

Body = dict[str, Any]
# The type a step leads to, and the function that makes its body; a function never changes its argument.
Step = tuple[str, Callable[[Body], Body]]

STEPS: Final[Mapping[str, Step]] = {}
"""Old `ce_type` -> one step towards the current one; empty as long as every event is in its first version."""

CURRENT: Final[Mapping[str, type[PublicEvent]]] = {
    event.ce_type(): event
    for event in (
        *FACTS.values(),
        *EVENTS.values(),
        *ACTIONS.values(),
        *ENDS.values(),
        *PRODUCTS.values(),
    )
}
"""Every current `ce_type` and the class of its body."""


def lift(ce_type: str, body: Body, steps: Mapping[str, Step] = STEPS) -> tuple[str, Body]:
    """The newest type and body that the steps lead to; what has no step is given back as it is."""
    while ce_type in steps:
        ce_type, step = steps[ce_type]
        body = step(body)
    return ce_type, body


def read(
    ce_type: str,
    body: bytes,
    *,
    steps: Mapping[str, Step] = STEPS,
    current: Mapping[str, type[PublicEvent]] = CURRENT,
) -> PublicEvent | None:
    """The event that a record carries, in its current version; None for a type that we do not know.

    Raises pydantic's ValidationError, which is a ValueError, for a body that breaks the contract.
    """
    if ce_type in steps:
        ce_type, lifted = lift(ce_type, json.loads(body), steps)
        body = json.dumps(lifted).encode()
    event = current.get(ce_type)
    return None if event is None else event.model_validate_json(body)
