"""Preparing and shipping (T12, T13, T16, T29), and what the courier asks for at the door (MO-14)."""

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.commands import Given
from services.orders.order.deciding import Deciding, Handler
from services.orders.order.goods_scope import (
    Piece,
    by_warehouse,
    is_whole,
    moved,
    next_package,
    pieces_of,
    ready,
    scope_faults,
    whole_packages,
)
from services.orders.order.input import FieldFault
from services.orders.order.model import Fulfilment, Order, Part
from services.orders.order.parts import active, in_shipping


def _scope(order: Order, command: c.GoodsCommand, _given: Given) -> list[FieldFault]:
    return scope_faults(order, command)


def _mark_ready(d: Deciding, command: c.MarkReady) -> None:
    for pieces in by_warehouse(d.order, pieces_of(d.order, command)).values():
        d.emit(e.PackagePrepared(**d.said, parts=moved(pieces), package=next_package(d.order)))


def _unmark_ready(d: Deciding, command: c.UnmarkReady) -> None:
    packages: dict[str, list[Piece]] = {}
    for piece in pieces_of(d.order, command):
        packages.setdefault(piece.part.package, []).append(piece)
    for package, pieces in packages.items():
        d.emit(e.PackageUnprepared(**d.said, parts=moved(pieces), package=package))


def _ship(d: Deciding, command: c.ShipOrder) -> None:
    pieces = pieces_of(d.order, command)
    packages: dict[str, list[Piece]] = {}
    for piece in pieces:
        if ready(piece):
            packages.setdefault(piece.part.package, []).append(piece)
    for package, held in packages.items():
        # What is booked without the rest of its package travels in one of its own (OM-7).
        name = package if is_whole(d.order, package, held) else next_package(d.order)
        _book(d, command, name, moved(held))
    waiting = [piece for piece in pieces if not ready(piece)]
    for held in by_warehouse(d.order, waiting).values():
        name = next_package(d.order)
        d.emit(e.PackagePrepared(**d.said, parts=moved(held), package=name))
        # Once split off, a piece is a part like any other.
        _book(d, command, name, moved([Piece(piece.part) for piece in held]))


def _book(d: Deciding, command: c.ShipOrder, package: str, parts: tuple[e.MovedPart, ...]) -> None:
    collect, with_fees = to_collect(d.order, parts)
    d.emit(
        e.ShipmentBooked(
            **d.said,
            parts=parts,
            package=package,
            courier=command.courier,
            service=command.service,
            collect=collect,
            with_fees=with_fees,
        )
    )


def _cancel_shipment(d: Deciding, command: c.CancelShipment) -> None:
    for package, parts in whole_packages(d.order, pieces_of(d.order, command)).items():
        d.emit(e.ShipmentCancelled(**d.said, parts=parts, package=package))


def to_collect(order: Order, parts: tuple[e.MovedPart, ...]) -> tuple[int, bool]:
    """MO-14: the cash of a COD package about to be booked, and whether tax and fees are in it.

    The last package takes the remainder, so that all of them together collect what is payable.
    """
    if not money.is_cod(order):
        return 0, False
    sent = [package for package in order.packages if _travels(order, package.id)]
    with_fees = not any(package.with_fees for package in sent)
    taken = {piece.of or piece.part: piece.quantity for piece in parts}
    waiting = sum(part.quantity - taken.get(part.id, 0) for part in active(order) if not in_shipping(part))
    credited = sum(order.credits.values())
    if waiting == 0:
        rest = money.total(order) - sum(package.collect for package in sent)
        return max(0, min(rest, money.total(order) - credited)), with_fees
    goods = goods_of(order, [(piece.line, piece.quantity) for piece in parts])
    share = _less_discount(order, goods)
    if not with_fees:
        return share, False
    return share + money.total(order) - money.taxable(order), True


def _travels(order: Order, package: str) -> bool:
    """Whether a package is booked or farther, lost and returned ones included."""
    return any(part.package == package and in_shipping(part) for part in active(order))


def goods_of(order: Order, pieces: list[tuple[str, int]]) -> int:
    """MO-1 for some units of some lines."""
    lines = {line.line: line for line in order.lines}
    amount = 0
    for name, quantity in pieces:
        line = lines[name]
        amount += money.line_amount(line.unit_price, line.discount, line.quantity, quantity)
    return amount


def _less_discount(order: Order, goods: int) -> int:
    whole = money.goods_total(order)
    if whole == 0:
        return goods
    return goods - min(goods, money.rounded(min(order.discount, whole), goods, whole))


def seller_credits(order: Order) -> dict[str, int]:
    """MO-14: what lost and returned COD packages no longer collect, by cause."""
    if not money.is_cod(order):
        return {}
    gone = (Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED)
    ended = [part for part in active(order) if part.value in gone]
    return {
        f"package:{package.id}": package.collect
        for package in order.packages
        if any(part.package == package.id for part in ended)
    }


def parts_value(order: Order, parts: list[Part]) -> int:
    """What parts add to the total: goods less their share of the discount, with the tax on it (MO-3)."""
    taxable = _less_discount(order, goods_of(order, [(part.line, part.quantity) for part in parts]))
    on_top = order.tax_mode is e.TaxMode.EXCLUSIVE
    return taxable + (money.tax_on(taxable, order.tax_mode, order.tax_rate) if on_top else 0)


HANDLERS = {
    "MarkReady": Handler(_mark_ready, faults=_scope),
    "UnmarkReady": Handler(_unmark_ready, faults=_scope),
    "ShipOrder": Handler(_ship, faults=_scope),
    "CancelShipment": Handler(_cancel_shipment, faults=_scope),
}
