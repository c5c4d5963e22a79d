"""What outsiders learn of the events that only commands, couriers, gateways and timers bring (OM-12).

Storage warning: as in public_events.py, a field is added with a default, never renamed or removed. Texts that
are sealed, results of messages and stock claims are no concern of outsiders: those become OrderAdvanced.
"""

from msgspec import Struct

from services.orders.order import events as e
from services.orders.public_shapes import (
    Amount,
    GoodsPart,
    Line,
    Plain,
    Public,
    goods_parts,
    public_lines,
)


class Units(Struct, frozen=True, kw_only=True, gc=False):
    """Units of a line that an edit adds or takes away."""

    line: str
    sku: str
    quantity: int
    warehouse: str


class ShortLine(Struct, frozen=True, kw_only=True, gc=False):
    """A line that the stock does not cover."""

    line: str
    missing: int


class PaymentConfirmed(Public, frozen=True, kw_only=True, gc=False):
    """Money was confirmed by hand."""

    receipt: str
    amount: int
    reference: str | None


class PaymentReversed(Public, frozen=True, kw_only=True, gc=False):
    """A confirmation by hand was taken back."""

    receipt: str
    amount: int


class TransactionClosed(Public, frozen=True, kw_only=True, gc=False):
    """A running payment is no longer awaited."""

    reason: str
    reference: str | None


class CustomerChatRequested(Public, frozen=True, kw_only=True, gc=False):
    """A message to the buyer was asked for."""

    chat: str
    template: str | None


class OrderEdited(Public, frozen=True, kw_only=True, gc=False):
    """The order was changed."""

    revision: int
    fields: tuple[str, ...]
    total: int
    discount: int
    shipping_fee: int
    insurance_fee: int
    other_fees: int
    payment_method: str
    courier: str
    service: str
    city: str
    province: str
    lines: tuple[Line, ...]
    reserve: tuple[Units, ...]
    release: tuple[Units, ...]
    backorder: bool
    hold: str | None


class OrderReopened(Public, frozen=True, kw_only=True, gc=False):
    """A cancelled order is live again."""

    episode: int
    parts: tuple[GoodsPart, ...]
    backorder: bool
    hold: str | None


class AgentAssigned(Public, frozen=True, kw_only=True, gc=False):
    """Another agent handles the order."""

    agent: str | None
    before: str | None


class OrderTagged(Public, frozen=True, kw_only=True, gc=False):
    """Tags were put on the order or taken off it."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


class PackageUnprepared(Public, frozen=True, kw_only=True, gc=False):
    """Goods were unpacked."""

    package: str | None
    parts: tuple[GoodsPart, ...]


class BookingFailed(Public, frozen=True, kw_only=True, gc=False):
    """The courier did not take the booking."""

    package: str | None
    parts: tuple[GoodsPart, ...]
    reason: str | None


class BillIssued(Public, frozen=True, kw_only=True, gc=False):
    """The bill was issued."""

    number: str
    amount: int
    due_at: e.Instant


class BillPaid(Public, frozen=True, kw_only=True, gc=False):
    """The bill is paid."""

    amount: int
    reference: str | None


class BillVoided(Public, frozen=True, kw_only=True, gc=False):
    """The bill was withdrawn."""

    number: str | None


class CodRemitted(Public, frozen=True, kw_only=True, gc=False):
    """The courier handed over the cash of a package."""

    package: str
    awb: str
    amount: int
    reference: str | None


class StockShort(Public, frozen=True, kw_only=True, gc=False):
    """The stock does not cover the order."""

    lines: tuple[ShortLine, ...]


class ReminderDue(Public, frozen=True, kw_only=True, gc=False):
    """Somebody is to be reminded."""

    about: str
    event: int | None


class AdoptedPart(Struct, frozen=True, kw_only=True, gc=False):
    """A quantity of a line as it stands now."""

    line: str
    sku: str
    quantity: int
    value: str
    package: str | None


class ChannelStateAdopted(Public, frozen=True, kw_only=True, gc=False):
    """The owner took over what the marketplace says."""

    reading: str
    read_at: e.Instant
    reason: str
    order: str
    coverage: str
    parts: tuple[AdoptedPart, ...]


class ActionLine(Struct, frozen=True, kw_only=True, gc=False):
    """Units of a line that an action is about."""

    line: str
    quantity: int


class ChannelActionRequested(Public, frozen=True, kw_only=True, gc=False):
    """The marketplace is asked to do something."""

    id: str
    action: str
    lines: tuple[ActionLine, ...]
    reason: str | None
    not_after: e.Instant


class ChannelActionEnded(Public, frozen=True, kw_only=True, gc=False):
    """What the marketplace did with an action."""

    id: str
    action: str
    outcome: str
    already: bool
    reason: str | None
    text: str | None


SellingData = (
    Plain
    | Amount
    | PaymentConfirmed
    | PaymentReversed
    | TransactionClosed
    | CustomerChatRequested
    | OrderEdited
    | OrderReopened
    | AgentAssigned
    | OrderTagged
    | PackageUnprepared
    | BookingFailed
    | BillIssued
    | BillPaid
    | BillVoided
    | CodRemitted
    | StockShort
    | ReminderDue
    | ChannelStateAdopted
    | ChannelActionRequested
    | ChannelActionEnded
)

SELLING_TYPES: dict[str, type[SellingData]] = {
    "OrderUnconfirmed": Plain,
    "PaymentConfirmed": PaymentConfirmed,
    "PaymentReversed": PaymentReversed,
    "TransactionClosed": TransactionClosed,
    "CustomerChatRequested": CustomerChatRequested,
    "OrderEdited": OrderEdited,
    "OrderReopened": OrderReopened,
    "AgentAssigned": AgentAssigned,
    "OrderTagged": OrderTagged,
    "PackageUnprepared": PackageUnprepared,
    "BookingFailed": BookingFailed,
    "BillCreated": Amount,
    "BillAmended": Amount,
    "BillIssued": BillIssued,
    "BillPaid": BillPaid,
    "BillReopened": Plain,
    "BillVoided": BillVoided,
    "OrderHeld": Plain,
    "OrderReleased": Plain,
    "CodRemitted": CodRemitted,
    "StockShort": StockShort,
    "StockCovered": Plain,
    "ReminderDue": ReminderDue,
    "ChannelStateAdopted": ChannelStateAdopted,
    "ChannelActionRequested": ChannelActionRequested,
    "ChannelActionEnded": ChannelActionEnded,
}


def selling_data(event: e.Event) -> SellingData | None:
    """The public data of an event; None for one that outsiders need not know."""
    implied, actor = event.implied, event.actor.value
    match event:
        case e.OrderUnconfirmed() | e.BillReopened() | e.OrderHeld() | e.OrderReleased() | e.StockCovered():
            return Plain(implied=implied, actor=actor)
        case e.BillCreated() | e.BillAmended():
            return Amount(implied=implied, actor=actor, amount=event.amount)
        case e.OrderEdited():
            return _edited(event)
        case e.OrderReopened():
            return OrderReopened(
                implied=implied,
                actor=actor,
                episode=event.episode,
                parts=goods_parts(event.parts),
                backorder=event.backorder,
                hold=event.hold or None,
            )
        case e.PackageUnprepared():
            return PackageUnprepared(
                implied=implied, actor=actor, package=event.package or None, parts=goods_parts(event.parts)
            )
        case e.BookingFailed():
            return BookingFailed(
                implied=implied,
                actor=actor,
                package=event.package or None,
                parts=goods_parts(event.parts),
                reason=event.reason or None,
            )
        case e.AgentAssigned():
            return AgentAssigned(
                implied=implied, actor=actor, agent=event.agent or None, before=event.before or None
            )
        case e.OrderTagged():
            return OrderTagged(implied=implied, actor=actor, added=event.added, removed=event.removed)
        case e.CustomerChatRequested():
            return CustomerChatRequested(
                implied=implied, actor=actor, chat=event.chat, template=event.template or None
            )
        case e.StockShort():
            lines = tuple(ShortLine(line=each.line, missing=each.missing) for each in event.lines)
            return StockShort(implied=implied, actor=actor, lines=lines)
        case e.ChannelStateAdopted():
            return _adopted(event)
        case e.ReminderDue():
            return ReminderDue(implied=implied, actor=actor, about=event.about, event=event.event or None)
        case e.ChannelActionRequested() | e.ChannelActionEnded():
            return _action(event)
        case _:
            return _money(event)


def _money(event: e.Event) -> SellingData | None:
    implied, actor = event.implied, event.actor.value
    match event:
        case e.PaymentConfirmed():
            return PaymentConfirmed(
                implied=implied,
                actor=actor,
                receipt=event.receipt,
                amount=event.amount,
                reference=event.reference or None,
            )
        case e.PaymentReversed():
            return PaymentReversed(implied=implied, actor=actor, receipt=event.receipt, amount=event.amount)
        case e.TransactionClosed():
            return TransactionClosed(
                implied=implied, actor=actor, reason=event.reason.value, reference=event.reference or None
            )
        case e.BillIssued():
            return BillIssued(
                implied=implied, actor=actor, number=event.number, amount=event.amount, due_at=event.due_at
            )
        case e.BillPaid():
            return BillPaid(
                implied=implied, actor=actor, amount=event.amount, reference=event.reference or None
            )
        case e.BillVoided():
            return BillVoided(implied=implied, actor=actor, number=event.number or None)
        case e.CodRemitted():
            return CodRemitted(
                implied=implied,
                actor=actor,
                package=event.package,
                awb=event.awb,
                amount=event.amount,
                reference=event.reference or None,
            )
        case _:
            return None


def _action(event: e.ChannelActionRequested | e.ChannelActionEnded) -> SellingData:
    implied, actor = event.implied, event.actor.value
    if isinstance(event, e.ChannelActionRequested):
        return ChannelActionRequested(
            implied=implied,
            actor=actor,
            id=event.id,
            action=event.action,
            lines=tuple(ActionLine(line=each.line, quantity=each.quantity) for each in event.lines),
            reason=event.reason or None,
            not_after=event.not_after,
        )
    return ChannelActionEnded(
        implied=implied,
        actor=actor,
        id=event.id,
        action=event.action,
        outcome=event.outcome,
        already=event.already,
        reason=event.reason or None,
        text=event.text or None,
    )


def _adopted(event: e.ChannelStateAdopted) -> ChannelStateAdopted:
    after = event.after
    return ChannelStateAdopted(
        implied=event.implied,
        actor=event.actor.value,
        reading=event.reading,
        read_at=event.read_at,
        reason=event.reason,
        order=after.order,
        coverage=after.coverage,
        parts=tuple(
            AdoptedPart(
                line=part.line,
                sku=part.sku,
                quantity=part.quantity,
                value="CANCELLED" if part.cancelled else part.value,
                package=part.package or None,
            )
            for part in after.parts
        ),
    )


def _edited(event: e.OrderEdited) -> OrderEdited:
    return OrderEdited(
        implied=event.implied,
        actor=event.actor.value,
        revision=event.revision,
        fields=tuple(dict.fromkeys(change.field for change in event.changes)),
        total=event.total,
        discount=event.discount,
        shipping_fee=event.shipping_fee,
        insurance_fee=event.insurance_fee,
        other_fees=event.other_fees,
        payment_method=event.payment_method.value,
        courier=event.courier,
        service=event.service,
        city=event.city,
        province=event.province,
        lines=public_lines(event.lines),
        reserve=_units(event.reserve),
        release=_units(event.release),
        backorder=event.backorder,
        hold=event.hold or None,
    )


def _units(units: tuple[e.Units, ...]) -> tuple[Units, ...]:
    return tuple(
        Units(line=each.line, sku=each.sku, quantity=each.quantity, warehouse=each.warehouse)
        for each in units
    )
