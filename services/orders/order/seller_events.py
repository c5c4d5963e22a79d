"""The stored events that commands, couriers, gateways, inventory and timers bring, and marketplaces do not.

Storage warning: as in events.py, names and fields are frozen and a field is added with a default.
"""

from msgspec import Struct

from services.orders.order.words import (
    Closed,
    Happened,
    Instant,
    Method,
    Minor,
    Moved,
    MovedPart,
    PlacedLine,
    Quantity,
    Sealed,
)


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One field of an edit with its old and new value (ED-4); a line's field names the line."""

    field: str
    line: str = ""
    old: str | int | None = None
    new: str | int | None = None


class PartGiven(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A part as an edit leaves it."""

    part: int
    line: str
    quantity: Quantity
    sku: str = ""


class Units(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Units of a line that an edit asks the stock keeper to reserve or to release (CR-14)."""

    line: str
    quantity: Quantity
    sku: str = ""
    warehouse: str = ""


class PartWarehouse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The warehouse that a part's stock was claimed in (GR-15)."""

    line: str
    warehouse: str


class ShortLine(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Units of a line that the stock does not cover (GR-15)."""

    line: str
    missing: Quantity


class OrderUnconfirmed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The confirmation was taken back (T3)."""


class PaymentConfirmed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money was confirmed by hand, or a bill's money arrived (T4); `transaction`: it allocates that one."""

    receipt: str
    amount: Quantity
    reference: str = ""
    transaction: str = ""


class PaymentReversed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A confirmation by hand was taken back (T5); it is no refund."""

    receipt: str
    amount: Quantity


class TransactionClosed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A running payment is no longer awaited (MO-12, MO-13); a success that comes later still counts."""

    reason: Closed
    reference: str = ""


class CustomerChatRequested(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A message to the buyer was asked for (T6); its text is sealed (AT-5)."""

    chat: str
    template: str = ""
    text: Sealed | None = None


class CustomerChatDelivered(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The message reached the buyer."""

    chat: str


class CustomerChatFailed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The message did not reach the buyer; `reason` is a code."""

    chat: str
    reason: str = ""


class OrderEdited(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The order was changed (T7): the fields with old and new value, and what the order is made of now.

    A buyer's fields appear in `changes` by name alone; their values are in `buyer` (PD-1).
    """

    changes: tuple[Change, ...]
    revision: int
    total: Minor
    lines: tuple[PlacedLine, ...]
    # Parts as they stand after the edit; parts of lines that it leaves alone are not named.
    parts: tuple[PartGiven, ...] = ()
    edited_lines: tuple[str, ...] = ()
    reserve: tuple[Units, ...] = ()
    release: tuple[Units, ...] = ()
    discount: Minor = 0
    shipping_fee: Minor = 0
    insurance_fee: Minor = 0
    other_fees: Minor = 0
    payment_method: Method = Method.TRANSFER
    courier: str = ""
    service: str = ""
    city: str = ""
    province: str = ""
    backorder: bool = False
    hold: str = ""
    buyer: Sealed | None = None


class OrderReopened(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A cancelled order is live again in a new episode (T10); `parts` are active again."""

    episode: int
    parts: tuple[MovedPart, ...]
    backorder: bool = False
    hold: str = ""


class AgentAssigned(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Another agent handles the order, or none (T14)."""

    agent: str = ""
    before: str = ""


class OrderTagged(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Tags were put on the order or taken off it (T15)."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class PackageUnprepared(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Goods were unpacked: they wait for the seller again (T29, MO-12 d, ED-5)."""


class BookingFailed(Moved, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The courier did not take the booking; the goods are ready again (T17b). `reason` is a code."""

    reason: str = ""


class BillCreated(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A bill over what is outstanding was made (T28a)."""

    amount: Minor


class BillAmended(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The bill that is not issued yet is over another amount now (ED-8)."""

    amount: Minor


class BillIssued(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The bill was issued (T28b)."""

    number: str
    amount: Minor
    due_at: Instant


class BillPaid(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The bill is paid (T28c); `amount` is the receipt that comes with it, none if the money was there."""

    amount: Minor = 0
    receipt: str = ""
    reference: str = ""


class BillReopened(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A paid bill is issued again, because the order is no longer paid in full (MO-12 c)."""


class BillVoided(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The bill was withdrawn (T28d); its number stays used."""

    number: str = ""


class OrderHeld(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The order was set aside (T35a); why is free text, so it is sealed (17.1)."""

    text: Sealed | None = None


class OrderReleased(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The order is no longer set aside (T35b)."""


class CodRemitted(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The courier handed over the cash of a package (T36)."""

    package: str
    awb: str
    amount: Minor
    reference: str = ""


class StockClaimed(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The stock keeper reserved the goods (GR-15)."""

    warehouses: tuple[PartWarehouse, ...] = ()


class StockShort(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The stock keeper misses units (GR-15)."""

    lines: tuple[ShortLine, ...] = ()


class StockCovered(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The units that were missing are there (GR-15)."""


class ReminderDue(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody is to be reminded; no value changes (TI-8)."""

    about: str
    event: int = 0


class ActionLine(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Units of a line that an action is about."""

    line: str
    quantity: Quantity


class ChannelActionRequested(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The marketplace is asked to do something; no value changes before it says so (MA-2).

    Without lines it is about the whole order. `not_after` is when it lapses unsent (AC-03), `side_effects`
    what the caller said yes to (AC-07), `reason` the marketplace's own id of one (AC-08).
    """

    action: str
    id: str
    not_after: Instant
    lines: tuple[ActionLine, ...] = ()
    packages: tuple[str, ...] = ()
    reason: str = ""
    awb: str = ""
    courier: str = ""
    side_effects: tuple[str, ...] = ()


class ChannelActionEnded(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What became of an action (MA-4): `reason` and `text` are the marketplace's; no value changes.

    `already`: the marketplace was in the wanted state before it was asked (AC-05).
    """

    action: str
    id: str
    outcome: str
    already: bool = False
    reason: str = ""
    text: str = ""


class AdoptedPart(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A part with its values; `of` names the part that it is split from by this event (OM-6)."""

    part: int
    line: str
    quantity: Quantity
    value: str
    sku: str = ""
    package: str = ""
    awb: str = ""
    cancelled: bool = False
    accepted: bool = False
    of: int = 0


class AdoptedState(Struct, frozen=True, kw_only=True, gc=False):
    """Every value that an adoption may set; `received` is all money that came in (MO-7)."""

    order: str
    coverage: str
    received: Minor
    transaction: str
    request: bool
    parts: tuple[AdoptedPart, ...]


class ChannelStateAdopted(Happened, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The owner took over what a reading says, even against the news chain (T37, MK-14)."""

    reading: str
    read_at: Instant
    reason: str
    before: AdoptedState
    after: AdoptedState
