"""Roles, their scopes, and who may give which command as whom (18.2, SR-4, SR-5, GR-11, GR-13, NG-7).

The token names the caller; the command may name its actor. What is not granted here is not permitted.
"""

from enum import StrEnum
from typing import Final, Protocol

from services.orders.order.events import Actor


class Role(StrEnum):
    """What a caller is to the seller (18.2)."""

    OWNER = "OWNER"
    AGENT = "AGENT"
    BUYER = "BUYER"
    INTAKE = "INTAKE"
    COURIER = "COURIER"
    GATEWAY = "GATEWAY"
    ANALYST = "ANALYST"
    OPERATOR = "OPERATOR"


# The scopes that a key of a role may hold. Reading beside orders is the other services' part of "list".
_OF_AGENTS: Final = frozenset(
    {"orders:read", "orders:write", "contact", "channels:read", "inventory:read", "notifications:read"}
)
SCOPES: Final[dict[Role, frozenset[str]]] = {
    Role.OWNER: _OF_AGENTS | {"registry", "intake", "facts:courier", "facts:gateway", "analyst"},
    Role.AGENT: _OF_AGENTS,
    Role.BUYER: frozenset(),
    Role.INTAKE: frozenset({"intake"}),
    Role.COURIER: frozenset({"facts:courier"}),
    Role.GATEWAY: frozenset({"facts:gateway"}),
    Role.ANALYST: frozenset({"analyst"}),
    Role.OPERATOR: frozenset({"operator", "channels:operate"}),
}
# The roles that an owner may give a key; a buyer calls by a link, an operator is of no seller.
KEY_ROLES: Final = tuple(role for role in Role if role not in {Role.BUYER, Role.OPERATOR})

OWNER_ONLY: Final = frozenset({"AdoptChannelState", "RecordCredit", "EraseBuyer"})
# What owner and agent may give for a buyer, with a note of how the buyer asked (GR-11, NG-7).
NOTE_NEEDED: Final = frozenset({"RequestCancellation", "RecordBuyerConsent"})
# The buyer's moves in a negotiation: owner and agent make none of them.
BUYER_ONLY: Final = frozenset(
    {"RequestNegotiation", "AcceptCounterOffer", "RejectCounterOffer", "MakeOffer", "WithdrawOffer"}
)
OF_BUYERS: Final = BUYER_ONLY | NOTE_NEEDED | {"CompleteOrder"}
# What owner and agent give: T1 to T37 but facts, the seller's moves in a negotiation, and papers.
# fmt: off
OF_SELLERS: Final = frozenset({
    "PlaceOrder", "ConfirmOrder", "UnconfirmOrder", "ConfirmPayment", "ReversePayment",
    "SendCustomerChat", "EditOrder", "CancelOrder", "ReopenOrder", "ViewOrder", "ShipOrder",
    "CancelShipment", "ChangeAgent", "TagOrder", "MarkReady", "RequestCancellation",
    "CompleteOrder", "CreateBill", "IssueBill", "VoidBill", "UnmarkReady", "CancelLines",
    "RecordExtraReceipt", "RecordRefund", "RecordCredit", "OpenReturnCase", "CloseReturnCase",
    "HoldOrder", "ReleaseOrder", "RecordCodRemittance", "AdoptChannelState", "AcceptOffer",
    "RejectOffer", "SendCounterOffer", "ApplyAgreement", "RecordBuyerConsent", "IssueInvoice",
    "EraseBuyer", "ReadOrder",
})
# fmt: on
# GR-13: T17 to T23 and CodCollected.
# fmt: off
FACTS_OF_COURIERS: Final = frozenset({
    "AwbIssued", "BookingFailed", "PackagePickedUp", "PackageDelivered", "DeliveryProblemReported",
    "DeliveryProblemSolved", "PackageLostOrDamaged", "ReturnStarted", "ReturnReceived",
    "CodCollected",
})
# fmt: on
# GR-8: what owner and agent may record by hand; cash is the courier's word.
FACTS_BY_HAND: Final = FACTS_OF_COURIERS - {"CodCollected"}
# GR-13: T27a to T27d and T28c.
FACTS_OF_GATEWAYS: Final = frozenset(
    {"PaymentAwaited", "PaymentProcessingStarted", "PaymentSucceeded", "PaymentFailed", "BillPaid"}
)
# GR-15: inventory's news, of the installation and not of the seller.
FACTS_OF_STOCK: Final = frozenset({"StockClaimed", "StockShort", "StockCovered"})


class Caller(Protocol):
    """What a principal tells about itself."""

    @property
    def role(self) -> str: ...

    def may(self, scope: str) -> bool: ...


def permitted(principal: Caller, command_name: str, stated: str | None = None) -> Actor | None:
    """The actor by whom this caller gives this command or reports this fact; None: NOT_PERMITTED.

    `stated` is the actor that the command names, if it names one; another than the caller may act as is not
    permitted. Of a command in NOTE_NEEDED whose actor is OWNER or AGENT a note is still to be asked. That
    the order is the caller's to see (another seller's, an intake caller's own, a courier's packages) is not
    answered here.
    """
    actors = _actors(principal, command_name)
    if stated is None:
        return actors[0] if actors else None
    return next((actor for actor in actors if actor.value == stated), None)


def _actors(principal: Caller, name: str) -> list[Actor]:
    """As whom the caller may act, the likeliest first."""
    role = principal.role
    seller = {"OWNER": Actor.OWNER, "AGENT": Actor.AGENT}.get(role)
    at_work = seller if seller is not None and principal.may("orders:write") else None
    vouches = role in {Role.INTAKE, Role.OWNER} and principal.may("intake")
    if name in FACTS_OF_STOCK:
        return [Actor.SYSTEM] if principal.may("facts:stock") else []
    if name in FACTS_OF_GATEWAYS:
        sends = role in {Role.GATEWAY, Role.OWNER} and principal.may("facts:gateway")
        return [Actor.GATEWAY] if sends else []
    if name in FACTS_OF_COURIERS:
        sends = role in {Role.COURIER, Role.OWNER} and principal.may("facts:courier")
        by_hand = [at_work] if at_work is not None and name in FACTS_BY_HAND else []
        return [*([Actor.COURIER] if sends else []), *by_hand]
    found: list[Actor] = []
    if at_work is not None and name in OF_SELLERS and (name not in OWNER_ONLY or at_work is Actor.OWNER):
        found.append(at_work)
    if vouches and (name in OF_BUYERS or name == "PlaceOrder"):
        # Who vouches for buyers speaks for the buyer where it is the buyer who asks.
        found.insert(0 if name in NOTE_NEEDED else len(found), Actor.BUYER)
    return found
