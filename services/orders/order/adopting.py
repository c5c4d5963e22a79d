"""What a reading that the owner adopts makes true of a marketplace's order (T37, MK-14)."""

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order.chains import PAYMENT_RANK_MONEY
from services.orders.order.model import (
    Coverage,
    Fulfilment,
    Mark,
    Order,
    Package,
    Part,
    Receipt,
    Status,
    Transaction,
)
from services.orders.order.parts import UNNAMED, in_shipping, picked_up


def adopted(order: Order, event: e.ChannelStateAdopted, number: int) -> Order:
    """The order with parts, coverage and status as the reading says, and without its conflicts.

    The watermarks of goods and payment are the instant of the reading: older news is late from now on. What
    the reading does not speak of stays: holds, return cases, and a request whose goods nobody has picked up.
    """
    before, after = event.before, event.after
    mark = Mark(event.read_at, event.read_at)
    parts = _parts(order, event, number)
    status = Status(after.order)
    known = {part.id: part.cancelled for part in order.parts}
    recounted = any(told.cancelled != known[told.of or told.part] for told in after.parts)
    done = Transaction(after.transaction)
    order = _packaged(order, event, parts)
    order = _receipted(order, event, number)
    return replace(
        order,
        parts=parts,
        parts_made=max(order.parts_made, *(part.id for part in parts)),
        revision=order.revision + 1 if recounted else order.revision,
        status=status,
        status_since=number if after.order != before.order else order.status_since,
        cancelled_at=(order.cancelled_at or event.read_at) if status is Status.CANCELLED else None,
        completed_at=(order.completed_at or event.read_at) if status is Status.COMPLETED else None,
        cancel_reason=order.cancel_reason if status is Status.CANCELLED else "",
        cancel_label=order.cancel_label if status is Status.CANCELLED else "",
        cancelled_by=order.cancelled_by if status is Status.CANCELLED else None,
        transaction=done,
        transaction_since=number if after.transaction != before.transaction else order.transaction_since,
        coverage_since=number if after.coverage != before.coverage else order.coverage_since,
        payment_mark=replace(mark, rank=PAYMENT_RANK_MONEY),
        request=order.request if after.request else None,
        implied={},
        doubts=tuple(doubt for doubt in order.doubts if doubt.disposition is not e.Disposition.CONFLICT),
    )


def _parts(order: Order, event: e.ChannelStateAdopted, number: int) -> tuple[Part, ...]:
    known = {part.id: part for part in order.parts}
    return tuple(_part(known[told.of or told.part], told, event, number) for told in event.after.parts)


def _part(was: Part, told: e.AdoptedPart, event: e.ChannelStateAdopted, number: int) -> Part:
    value = Fulfilment(told.value)
    same = (was.value, was.cancelled, was.accepted) == (value, told.cancelled, told.accepted)
    part = replace(
        was,
        id=told.part,
        quantity=told.quantity,
        value=value,
        package=told.package,
        cancelled=told.cancelled,
        accepted=told.accepted,
        mark=Mark(event.read_at, event.read_at),
        since=was.since if same else number,
        implied=was.implied if same else {},
        cancelled_at=(was.cancelled_at or event.read_at) if told.cancelled else None,
    )
    return replace(part, picked_up_at=(was.picked_up_at or event.read_at) if picked_up(part) else None)


def _packaged(order: Order, event: e.ChannelStateAdopted, parts: tuple[Part, ...]) -> Order:
    """The order with the packages that the parts are in; an AWB that lives no more is void (OM-7, INV-9)."""
    awbs = {told.package: told.awb for told in event.after.parts if told.package}
    known = {package.id: package for package in order.packages}
    made: list[Package] = []
    for name in dict.fromkeys((*known, *awbs)):
        held = known.get(name) or Package(id=name)
        inside = [part for part in parts if part.package == name]
        if not inside and held.news is None:
            continue
        awb = awbs.get(name, "")
        live = any(picked_up(part) or (awb != "" and in_shipping(part)) for part in inside)
        voided_at = event.read_at if held.live and not live else held.voided_at
        made.append(replace(held, awb=awb, live=live, voided_at=voided_at))
    living = {package.awb for package in made if package.live}
    gone = {package.awb for package in order.packages if package.live and package.awb} - living
    numbers = [int(name[1:]) for name in awbs if name.startswith(UNNAMED)]
    return replace(
        order,
        packages=tuple(made),
        packages_made=max([order.packages_made, *numbers]),
        void_awbs=(*order.void_awbs, *sorted(gone - set(order.void_awbs))),
    )


def _receipted(order: Order, event: e.ChannelStateAdopted, number: int) -> Order:
    """The order with as much money in as the reading says; what came in by no receipt is assumed (MK-9)."""
    missing = event.after.received - event.before.received
    if missing > 0:
        told = Receipt(amount=missing, at=event.read_at, assumed=True, event=number)
        return replace(order, receipts=(*order.receipts, told))
    kept: list[Receipt] = []
    gone: list[Receipt] = []
    left = -missing
    for receipt in reversed(order.receipts):
        taken = min(left, receipt.amount)
        left -= taken
        if taken:
            gone.append(replace(receipt, amount=taken))
        if taken < receipt.amount:
            kept.append(replace(receipt, amount=receipt.amount - taken))
    return replace(order, receipts=tuple(reversed(kept)), reversals=(*order.reversals, *reversed(gone)))


def closes(status: Status, coverage: Coverage) -> bool:
    """Whether no transaction can run any more (INV-7)."""
    return coverage is Coverage.PAID or status in {Status.CANCELLED, Status.COMPLETED}
