"""The words and small values that the stored events of an order are made of.

Storage warning: they lie in the store inside events and are frozen as those are (see events.py).
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

Instant = Annotated[datetime, Meta(tz=True)]
Minor = Annotated[int, Meta(ge=0)]
Quantity = Annotated[int, Meta(ge=1)]


class Actor(StrEnum):
    """Who acted or is said to have acted (CV-5)."""

    OWNER = "OWNER"
    AGENT = "AGENT"
    BUYER = "BUYER"
    SELLER = "SELLER"
    COURIER = "COURIER"
    GATEWAY = "GATEWAY"
    CHANNEL = "CHANNEL"
    SYSTEM = "SYSTEM"


class Method(StrEnum):
    """How the order is paid (OM-4)."""

    COD = "COD"
    TRANSFER = "TRANSFER"
    GATEWAY = "GATEWAY"
    INVOICE = "INVOICE"


class Disposition(StrEnum):
    """What became of a fact (11.3)."""

    APPLIED = "APPLIED"
    DUPLICATE = "DUPLICATE"
    REAFFIRMED = "REAFFIRMED"
    LATE = "LATE"
    CASE = "CASE"
    CONFLICT = "CONFLICT"
    UNRECOGNISED = "UNRECOGNISED"
    NOTE = "NOTE"


class Outcome(StrEnum):
    """How a request to cancel ended without a cancellation (T9)."""

    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"
    TOO_LATE = "TOO_LATE"
    CHANNEL = "CHANNEL"


class TaxMode(StrEnum):
    """How a seller's prices stand to tax (MO-4)."""

    NONE = "NONE"
    EXCLUSIVE = "EXCLUSIVE"
    INCLUSIVE = "INCLUSIVE"


class ReceiptSource(StrEnum):
    """Where money came from (MO-7)."""

    BY_HAND = "BY_HAND"
    GATEWAY = "GATEWAY"
    BILL = "BILL"
    COD = "COD"
    CHANNEL = "CHANNEL"


class Closed(StrEnum):
    """Why a transaction ended without money of its own (T4, T8, MO-12, MO-13, ED-7)."""

    SUPERSEDED = "SUPERSEDED"
    PAID = "PAID"
    TOTAL_CHANGED = "TOTAL_CHANGED"
    METHOD_CHANGED = "METHOD_CHANGED"
    CANCELLED = "CANCELLED"


class CaseStep(StrEnum):
    """How far a return case has come (T34a)."""

    OPENED = "OPENED"
    ON_THE_WAY = "ON_THE_WAY"
    RECEIVED = "RECEIVED"
    LOST = "LOST"
    CLOSED = "CLOSED"


class Dimension(StrEnum):
    """What a recorded fact spoke about, so that its watermark can move (MK-4)."""

    PAYMENT = "PAYMENT"
    REQUEST = "REQUEST"
    GOODS = "GOODS"
    ORDER = "ORDER"


class FactRef(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The fact behind an event.

    With `type` the event is the fact's own and holds its key (MK-3); without, a step that it implied (MK-7).
    """

    id: str
    type: str = ""
    line: str | None = None
    package: str | None = None
    status: str | None = None
    occurrence: int = 1
    approximate: bool = False
    read_at: Instant | None = None
    version: int = 0


class Sealed(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Fields of a buyer, sealed outside the model (PD-2): the id of the key, and base64 text by field name.

    `masked` names those that the channel shows in part only, so that a later reading may tell them.
    """

    key: str
    fields: dict[str, str]
    masked: tuple[str, ...] = ()


class MovedPart(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A part that an event moves; `of` names the part that it is split from by this event (OM-6)."""

    part: int
    line: str
    quantity: Quantity
    sku: str = ""
    of: int = 0


class PlacedLine(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A line as sold (OM-5)."""

    line: str
    quantity: Quantity
    unit_price: Minor
    discount: Minor = 0
    product: str = ""
    variant: str = ""
    sku: str = ""
    name: str = ""
    warehouse: str = ""


class LineDetails(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a later reading told of a line that was empty or masked before."""

    line: str
    product: str = ""
    variant: str = ""
    sku: str = ""
    name: str = ""


class Happened(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What every event says of itself: when it happened (none: when it was recorded), who, and which fact."""

    at: Instant | None = None
    implied: bool = False
    actor: Actor = Actor.CHANNEL
    fact: FactRef | None = None
    # Who gave the command (SR-5), and the version of the seller's policies that it was decided by (CV-6).
    caller: str = ""
    policies: int = 0


class Moved(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What every event on goods says: the parts it moved, and the package that holds them from now on."""

    parts: tuple[MovedPart, ...]
    package: str = ""
