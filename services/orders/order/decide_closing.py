"""Confirming, cancelling whole or in part, reopening, completing (T2, T3, T8 to T10, T24 to T26, T30)."""

from typing import Any

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.commands import Given
from services.orders.order.decide_placing import covers
from services.orders.order.deciding import (
    Deciding,
    Handler,
    Making,
    allocate,
    close_transaction,
    consequences,
    wrong,
)
from services.orders.order.goods_scope import Piece, moved, pieces_of, scope_faults
from services.orders.order.input import FieldFault
from services.orders.order.model import Billing, Fulfilment, Order, Part, Request, Status, Transaction
from services.orders.order.parts import active, package_of

# WF-5: the reason of the policy "unpaid lapses" is built in (SR-8).
UNPAID = "UNPAID"
_PARTIES = {"BUYER": e.Actor.BUYER, "SELLER": e.Actor.SELLER, "SYSTEM": e.Actor.SYSTEM}


def _confirm(d: Deciding, _command: c.ConfirmOrder) -> None:
    d.emit(e.OrderConfirmed(**d.said))


def _unconfirm(d: Deciding, _command: c.UnconfirmOrder) -> None:
    d.emit(e.OrderUnconfirmed(**d.said))


def _reason_faults(order: Order, command: c.CancelOrder | c.CancelLines, given: Given) -> list[FieldFault]:
    """CR-1, SR-8; the reasons of a marketplace's order are the marketplace's (AC-08)."""
    found: list[FieldFault] = []
    known = (
        order.source == "CHANNEL"
        or given.reasons is None
        or command.reason in given.reasons
        or command.reason == UNPAID
    )
    if (not command.reason and order.source != "CHANNEL") or not known:
        found.append(wrong("reason", "Choose one of the seller's reasons to cancel."))
    if command.by not in _PARTIES:
        found.append(wrong("by", "Say who wants it: BUYER or SELLER."))
    return found


def _label(given: Given, reason: str) -> str:
    return "" if given.reasons is None else given.reasons.get(reason, "")


def _cancel_faults(order: Order, command: c.CancelOrder, given: Given) -> list[FieldFault]:
    return _reason_faults(order, command, given)


def _cancel(d: Deciding, command: c.CancelOrder) -> None:
    accepted = d.order.request is not None
    if d.order.transaction is Transaction.SUCCEEDED:
        allocate(d)
    elif d.order.transaction is Transaction.AWAITING:
        close_transaction(d, e.Closed.CANCELLED)
    if d.order.billing is not Billing.NONE:
        d.emit(e.BillVoided(**d.implied, number=d.order.bill_number))
    d.emit(
        e.OrderCancelled(
            **d.said,
            parts=moved([Piece(part) for part in active(d.order)]),
            by=_PARTIES[command.by],
            accepted=accepted,
            reason=command.reason,
            label=_label(d.given, command.reason),
        )
    )
    consequences(d)


def _reopen_faults(order: Order, command: c.ReopenOrder, _given: Given) -> list[FieldFault]:
    if order.request is None or command.outcome in {"REFUSED", "WITHDRAWN"}:
        return []
    return [wrong("outcome", "A request ends as REFUSED or WITHDRAWN.")]


def restored(order: Order) -> list[Part]:
    """CR-7: the parts that the cancellation took, not those cancelled before it."""
    return [part for part in order.parts if part.cancelled and part.since == order.status_since]


def _held(order: Order, given: Given) -> bool:
    skus = {line.line: line.sku or line.product for line in order.lines}
    wanted: dict[str, int] = {}
    for part in restored(order):
        wanted[skus[part.line]] = wanted.get(skus[part.line], 0) + part.quantity
    return covers(given.hold, wanted, given)


def _reopen_raised(order: Order, command: c.ReopenOrder, given: Given) -> set[str]:
    if order.request is not None or order.status is not Status.CANCELLED:
        return set()
    needed = given.policies.hold_on_reopening and not command.allow_backorder
    return {"STOCK_NOT_AVAILABLE"} if needed and not _held(order, given) else set()


def _reopen(d: Deciding, command: c.ReopenOrder) -> None:
    if d.order.request is not None:
        d.emit(e.CancellationRequestClosed(**d.said, outcome=e.Outcome(command.outcome), by=d.given.actor))
        return
    held = _held(d.order, d.given)
    d.emit(
        e.OrderReopened(
            **d.said,
            episode=d.order.episode + 1,
            parts=moved([Piece(part) for part in restored(d.order)]),
            backorder=not held and d.given.policies.hold_on_reopening,
            hold=d.given.hold.id if held and d.given.hold is not None else "",
        )
    )
    consequences(d)


def _request_faults(order: Order, command: c.RequestCancellation, given: Given) -> list[FieldFault]:
    found = scope_faults(order, command)
    if given.actor in {e.Actor.OWNER, e.Actor.AGENT} and not command.note.strip():
        found.append(wrong("note", "Say how the buyer asked."))
    return found


def _request(d: Deciding, command: c.RequestCancellation) -> None:
    named = moved(pieces_of(d.order, command)) if command.parts else ()
    d.emit(
        e.CancellationRequested(
            **d.said,
            lines=tuple(dict.fromkeys(piece.line for piece in named)),
            by=e.Actor.BUYER,
            reason=command.reason,
            text=d.given.text,
            parts=tuple(e.MovedPart(part=0, line=each.line, quantity=each.quantity) for each in named),
        )
    )


def _asked(request: Request, command: c.CancelLines) -> c.CancelLines:
    """The command with the scope of the request that it accepts, where it names none itself (T25)."""
    if not command.accept_request or command.parts or command.packages or not request.lines:
        return command
    return c.CancelLines(
        parts=tuple(c.ScopedPart(line=piece.line, quantity=piece.quantity) for piece in request.parts)
        or tuple(c.ScopedPart(line=line) for line in request.lines),
        reason=command.reason,
        by=command.by,
        accept_request=True,
        side_effects=command.side_effects,
    )


def scoped(order: Order, command: c.CancelLines) -> c.CancelLines:
    """The command as it is decided: one that accepts a request takes its scope (T25)."""
    return command if order.request is None else _asked(order.request, command)


def _lines_faults(order: Order, command: c.CancelLines, given: Given) -> list[FieldFault]:
    return _reason_faults(order, command, given) + scope_faults(order, command)


def _lines_raised(order: Order, command: c.CancelLines, _given: Given) -> set[str]:
    found: set[str] = set()
    for named in command.parts:
        left = sum(part.quantity for part in active(order) if part.line == named.line)
        if (named.quantity or 1) > left:
            found.add("QUANTITY_NOT_AVAILABLE")
    cancelled = sum(piece.part.quantity for piece in pieces_of(order, command))
    if cancelled >= sum(part.quantity for part in active(order)):
        found.add("LAST_LINE")
    return found


def _cancel_lines(d: Deciding, command: c.CancelLines) -> None:
    d.emit(
        e.LinesCancelled(
            **d.said,
            parts=moved(pieces_of(d.order, command)),
            by=_PARTIES[command.by],
            accepted=command.accept_request,
            reason=command.reason,
            label=_label(d.given, command.reason),
        )
    )
    consequences(d)


def _complete(d: Deciding, _command: c.CompleteOrder) -> None:
    complete(d, d.said)


def complete(d: Making, said_of_it: dict[str, Any], cash: tuple[str, int, e.FactRef] | None = None) -> None:
    """T26: of a COD order the cash of every delivered package is booked in the same decision (MO-15).

    `cash` is what a courier reports now: the package, the amount and the fact.
    """
    order = d.order
    arrived = [part for part in active(order) if part.value is Fulfilment.DELIVERED]
    if money.is_cod(order):
        told = {each.package: each.amount for each in order.cod_told}
        for package in dict.fromkeys(part.package for part in arrived):
            held = package_of(order, package)
            assert held is not None, "A delivered part travels in a package."
            stamp = d.implied
            if cash is not None and package == cash[0]:
                stamp = {**stamp, "implied": False, "fact": cash[2]}
                told[package] = cash[1]
            d.emit(
                e.CodCollected(
                    **stamp,
                    amount=told.get(package, held.collect),
                    expected=held.collect,
                    package=package,
                    awb=held.awb,
                )
            )
    d.emit(e.OrderCompleted(**said_of_it, parts=moved([Piece(part) for part in arrived])))
    consequences(d)


HANDLERS = {
    "ConfirmOrder": Handler(_confirm),
    "UnconfirmOrder": Handler(_unconfirm),
    "CancelOrder": Handler(_cancel, faults=_cancel_faults),
    "ReopenOrder": Handler(_reopen, faults=_reopen_faults, raised=_reopen_raised),
    "RequestCancellation": Handler(_request, faults=_request_faults),
    "CancelLines": Handler(_cancel_lines, faults=_lines_faults, raised=_lines_raised),
    "CompleteOrder": Handler(_complete),
}
