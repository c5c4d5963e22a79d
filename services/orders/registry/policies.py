"""A seller's policies: one value for each row of 18.3, its default and its limits (SR-9, CV-6)."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from services.orders.registry.refusals import FieldRefused

# The largest amount that a JSON reader of any language keeps exactly: 2^53 - 1.
MINOR_MAX: Final = 9_007_199_254_740_991

AT_ONCE: Final = "AT_ONCE"
BY_HAND: Final = "BY_HAND"


class HoldNeeded(Struct, frozen=True, forbid_unknown_fields=True):
    """For which cases of CR-15 a signed hold is needed."""

    landing_page: bool = True
    storefront: bool = True
    private_order: bool = True
    manual: bool = True
    raised_quantity: bool = True
    reopening: bool = True


class Policies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All policies of a seller, whole; times in days of 24 hours from the instant that the rule names."""

    return_window_days: int = 7
    automatic_completion_days: int = 7
    after_sale_window_days: int = 15
    # None: an order that is not paid stays (WF-5).
    unpaid_lapses_days: int | None = None
    payment_allocation: str = AT_ONCE
    hold_needed: HoldNeeded = HoldNeeded()
    bill_term_days: int = 14
    buyer_link_days: int = 30
    negotiation_rounds: int = 6
    negotiation_answer_business_days: int = 3
    # Minor units of IDR: negotiation is IDR only (CV-2).
    negotiation_minimum: int = 0
    negotiation_applying: str = AT_ONCE


class PolicyVersion(Struct, frozen=True):
    """What holds, and its number, which an event keeps (CV-6); 0 is the defaults."""

    version: int
    policies: Policies


DEFAULTS: Final = PolicyVersion(0, Policies())

LIMITS: Final[dict[str, tuple[int, int]]] = {
    "return_window_days": (0, 60),
    "automatic_completion_days": (1, 60),
    "after_sale_window_days": (0, 365),
    "unpaid_lapses_days": (1, 30),
    "bill_term_days": (0, 180),
    "buyer_link_days": (1, 90),
    "negotiation_rounds": (1, 20),
    "negotiation_answer_business_days": (1, 14),
    "negotiation_minimum": (0, MINOR_MAX),
}
_WAYS: Final = ("payment_allocation", "negotiation_applying")


def faults_of(policies: Policies) -> list[FieldRefused]:
    """Every policy that is out of its limits, all reported together (SR-9)."""
    found = [
        FieldRefused(name, f"Give a whole number from {least} to {most}.")
        for name, (least, most) in LIMITS.items()
        if (value := getattr(policies, name)) is not None and not least <= value <= most
    ]
    found += [
        FieldRefused(name, f"Give {AT_ONCE} or {BY_HAND}.")
        for name in _WAYS
        if getattr(policies, name) not in {AT_ONCE, BY_HAND}
    ]
    return found


def read(stored: Any) -> Policies:
    """The policies of stored JSON; what a version did not know yet has its default."""
    return msgspec.convert(stored, Policies)
