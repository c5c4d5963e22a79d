"""Which parts a command on goods is about (GR-7, OM-6, OM-8)."""

from msgspec import Struct
from msgspec.structs import replace

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order.deciding import wrong
from services.orders.order.guards import GoodsCheck, qualifying
from services.orders.order.input import FieldFault
from services.orders.order.model import Fulfilment, Order, Part
from services.orders.order.parts import UNNAMED, active, package_of
from services.orders.order.table import COMMANDS, Goods

Scoped = c.GoodsCommand | c.RequestCancellation


class Piece(Struct, frozen=True, gc=False):
    """A part, or the quantity taken off one (`of`)."""

    part: Part
    of: int = 0


def is_scoped(command: Scoped) -> bool:
    packages = command.packages if isinstance(command, c.GoodsCommand) else ()
    return bool(command.parts or packages)


def check_of(command: Scoped) -> GoodsCheck | None:
    return COMMANDS[type(command).__name__].goods


def _takes(order: Order, command: Scoped, part: Part) -> bool:
    """Whether the command can apply to the part."""
    check = check_of(command)
    held = package_of(order, part.package) if part.package else None
    goods = Goods(part.value, held is not None and held.live)
    if check is None:
        return not goods.picked_up
    return qualifying(check, goods)


def scope_of(order: Order, command: Scoped) -> list[Part] | None:
    """The parts that the command names, those that it cannot apply to included; None: it names none."""
    if not is_scoped(command):
        return None
    return [piece.part for piece in pieces_of(order, command)]


def pieces_of(order: Order, command: Scoped) -> list[Piece]:
    """What the command is about: what it names, else all that it can apply to."""
    alive = active(order)
    if not is_scoped(command):
        return [Piece(part) for part in alive if _takes(order, command, part)]
    packages = command.packages if isinstance(command, c.GoodsCommand) else ()
    found = [Piece(part) for part in alive if part.package and part.package in packages]
    taken = {piece.part.id for piece in found}
    made = order.parts_made
    for named in command.parts:
        left = [part for part in alive if part.line == named.line and part.id not in taken]
        fit = [part for part in left if _takes(order, command, part)]
        if named.quantity is None:
            chosen = [Piece(part) for part in fit or left]
        else:
            rest = [part for part in left if part not in fit]
            chosen, made = _counted(fit, rest, named.quantity, made)
        found += chosen
        taken |= {piece.of or piece.part.id for piece in chosen}
    return found


def _counted(fit: list[Part], rest: list[Part], quantity: int, made: int) -> tuple[list[Piece], int]:
    """Parts of this many units: one of just that size first, else whole ones, the last split (OM-6)."""
    exact = [part for part in fit if part.quantity == quantity]
    if exact:
        return [Piece(exact[0])], made
    chosen: list[Piece] = []
    for part in (*fit, *rest):
        if quantity == 0:
            break
        if part.quantity <= quantity:
            chosen.append(Piece(part))
            quantity -= part.quantity
            continue
        made += 1
        chosen.append(Piece(replace(part, id=made, quantity=quantity), of=part.id))
        quantity = 0
    return chosen, made


def moved(pieces: list[Piece]) -> tuple[e.MovedPart, ...]:
    return tuple(
        e.MovedPart(
            part=piece.part.id,
            line=piece.part.line,
            quantity=piece.part.quantity,
            sku=piece.part.sku,
            of=piece.of,
        )
        for piece in pieces
    )


def by_warehouse(order: Order, pieces: list[Piece]) -> dict[str, list[Piece]]:
    """OM-8: one package per warehouse."""
    groups: dict[str, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.part.warehouse or order.warehouse, []).append(piece)
    return groups


def next_package(order: Order) -> str:
    return f"{UNNAMED}{order.packages_made + 1}"


def scope_faults(order: Order, command: Scoped) -> list[FieldFault]:
    """Names of packages and lines that the order does not have, and quantities that are none (GR-3)."""
    found: list[FieldFault] = []
    packages = command.packages if isinstance(command, c.GoodsCommand) else ()
    homes = {part.package for part in active(order) if part.package}
    for position, package in enumerate(packages):
        if package not in homes:
            found.append(wrong(f"packages[{position}]", "The order has no such package with goods in it."))
    names = [named.line for named in command.parts]
    for position, named in enumerate(command.parts):
        at = f"parts[{position}]"
        left = sum(part.quantity for part in active(order) if part.line == named.line)
        if named.line not in {line.line for line in order.lines}:
            found.append(wrong(f"{at}.line", "The order has no such line."))
        elif names.index(named.line) != position:
            found.append(wrong(f"{at}.line", "Name each line once."))
        elif named.quantity is not None and named.quantity < 1:
            found.append(
                wrong(f"{at}.quantity", "It must be a whole number of at least 1.", "QUANTITY_INVALID")
            )
        elif not isinstance(command, c.CancelLines) and (named.quantity or 1) > left:
            found.append(wrong(f"{at}.quantity", f"Only {left} are left of this line."))
    return found


def whole_packages(order: Order, pieces: list[Piece]) -> dict[str, tuple[e.MovedPart, ...]]:
    """All goods of each package that the pieces are in: a booking is of a whole package (OM-7)."""
    packages = dict.fromkeys(piece.part.package for piece in pieces)
    return {
        package: moved([Piece(part) for part in active(order) if part.package == package])
        for package in packages
    }


def is_whole(order: Order, package: str, pieces: list[Piece]) -> bool:
    """Whether the pieces are all that the package holds."""
    held = {part.id for part in active(order) if part.package == package}
    return held == {piece.part.id for piece in pieces} and not any(piece.of for piece in pieces)


def ready(piece: Piece) -> bool:
    return piece.part.value is Fulfilment.READY
