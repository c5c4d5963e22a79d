"""Parts and packages: ranks, the aggregate, and how an event moves goods (OM-6 to OM-8, AG-1 to AG-7)."""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from services.orders.order.chains import NEWS_RANK
from services.orders.order.events import Instant, MovedPart
from services.orders.order.model import Fulfilment, Order, Package, Part

# 2.3: the part that speaks for the order is the least advanced in this order.
AGGREGATE_RANK = {
    Fulfilment.NOT_STARTED: 0,
    Fulfilment.READY: 1,
    Fulfilment.BOOKED: 2,
    Fulfilment.PROBLEM: 3,
    Fulfilment.IN_TRANSIT: 4,
    Fulfilment.RETURNING: 5,
    Fulfilment.DELIVERED: 6,
    Fulfilment.LOST_OR_DAMAGED: 7,
    Fulfilment.RETURNED: 8,
}

# Packages that the marketplace has not named carry a number of the order's own behind this sign.
UNNAMED = "#"


def active(order: Order) -> list[Part]:
    """The parts that count (AG-1)."""
    return [part for part in order.parts if not part.cancelled]


def aggregate(order: Order) -> Fulfilment:
    """The least advanced value among the active parts (AG-2); NOT_STARTED when none is left."""
    speaking = speaker(order)
    return Fulfilment.NOT_STARTED if speaking is None else speaking.value


def arrived_at(part: Part) -> Instant | None:
    """When a delivered part arrived; at a marketplace the newest news of it says so."""
    if part.delivered_at is not None:
        return part.delivered_at
    return None if part.mark is None else part.mark.at


def last_arrival(order: Order) -> Instant | None:
    """The latest delivery among the active parts, once the aggregate is DELIVERED (WF-3)."""
    if aggregate(order) is not Fulfilment.DELIVERED:
        return None
    times = [arrived_at(part) for part in active(order) if part.value is Fulfilment.DELIVERED]
    return max((time for time in times if time is not None), default=None)


def speaker(order: Order) -> Part | None:
    """The part that speaks for the order's fulfilment (HL-3)."""
    return min(active(order), key=lambda part: AGGREGATE_RANK[part.value], default=None)


def in_shipping(part: Part) -> bool:
    """From BOOKED on (AG-6)."""
    return NEWS_RANK[part.value] >= NEWS_RANK[Fulfilment.BOOKED]


def picked_up(part: Part) -> bool:
    """From IN_TRANSIT on (AG-6)."""
    return NEWS_RANK[part.value] >= NEWS_RANK[Fulfilment.IN_TRANSIT]


def package_of(order: Order, package: str) -> Package | None:
    for each in order.packages:
        if each.id == package:
            return each
    return None


def is_named(package: str) -> bool:
    """Whether the marketplace has given the package its id."""
    return package != "" and not package.startswith(UNNAMED)


def merged(parts: Iterable[Part]) -> list[Part]:
    """The parts with those of equal line, package and value as one (OM-6).

    The state keeps them apart, because each has a watermark of its own.
    """
    together: dict[tuple[str, str, Fulfilment, bool, bool], Part] = {}
    for part in parts:
        key = (part.line, part.package, part.value, part.cancelled, part.accepted)
        before = together.get(key)
        together[key] = part if before is None else replace(before, quantity=before.quantity + part.quantity)
    return list(together.values())


def split(parts: tuple[Part, ...], moved: MovedPart) -> tuple[Part, ...]:
    """The parts with the named quantity taken off as a part of its own (OM-6)."""
    result: list[Part] = []
    for part in parts:
        if part.id == moved.of:
            result.append(replace(part, quantity=part.quantity - moved.quantity))
            result.append(replace(part, id=moved.part, quantity=moved.quantity))
        else:
            result.append(part)
    return tuple(result)


def with_pieces(order: Order, moved: tuple[MovedPart, ...]) -> Order:
    """The order in which every part that an event names exists."""
    for piece in moved:
        if piece.of:
            parts = split(order.parts, piece)
            order = replace(order, parts=parts, parts_made=max(order.parts_made, piece.part))
    return order


def move(order: Order, moved: tuple[MovedPart, ...], change: Callable[[Part], Part]) -> Order:
    """The order with the named parts changed."""
    order = with_pieces(order, moved)
    named = {piece.part for piece in moved}
    return replace(order, parts=tuple([change(part) if part.id in named else part for part in order.parts]))


def housed(order: Order, package: str, before: Order) -> Order:
    """The order with the package that parts were put in, and without those that were left empty (OM-8).

    Parts in shipping bring their live AWB along (INV-9), and a package that only gets its name keeps all of
    the one its parts came from.
    """
    if package:
        order = _received(order, package, before)
    held = {part.package for part in order.parts}
    kept = tuple(each for each in order.packages if each.id in held or each.news is not None)
    if len(kept) == len(order.packages):
        return order
    carried = {each.awb for each in kept if each.live}
    void = tuple(
        each.awb
        for each in order.packages
        if each not in kept and each.live and each.awb and each.awb not in carried
    )
    return replace(order, packages=kept, void_awbs=(*order.void_awbs, *void))


def _received(order: Order, package: str, before: Order) -> Order:
    """The order after a package took in parts, some of them from other packages."""
    inside = {part.id: part for part in order.parts if part.package == package}
    origins = {
        part.package: inside[part.id]
        for part in before.parts
        if part.id in inside and part.package not in {"", package}
    }
    if package_of(order, package) is None:
        made = Package(id=package)
        for origin in origins:
            left = package_of(before, origin)
            emptied = all(part.package != origin for part in order.parts)
            if left is not None and emptied and not is_named(origin):
                made = replace(left, id=package, news=None)
        number = int(package[1:]) if package.startswith(UNNAMED) else 0
        order = replace(
            order,
            packages=(*order.packages, made),
            packages_made=max(order.packages_made, number),
        )
    for origin, part in origins.items():
        left, target = package_of(before, origin), package_of(order, package)
        if left is None or target is None or not left.live or not in_shipping(part):
            continue
        if not target.live:
            order = _put(order, replace(target, live=True, awb=left.awb or target.awb))
        stays = package_of(order, origin)
        travels = any(each.package == origin and in_shipping(each) for each in active(order))
        if stays is not None and not travels:
            # What is left behind waits for a booking of its own.
            order = _put(order, replace(stays, live=False, awb=""))
    return order


def _put(order: Order, package: Package) -> Order:
    packages = tuple(package if each.id == package.id else each for each in order.packages)
    return replace(order, packages=packages)


def change_package(order: Order, package: str, change: Callable[[Package], Package]) -> Order:
    return replace(
        order,
        packages=tuple([change(each) if each.id == package else each for each in order.packages]),
    )


def announced(order: Order, package: str, awb: str) -> Order:
    """The order with an AWB kept until the booking (INV-9); a void one is not taken up again (OM-7)."""
    if not awb or awb in order.void_awbs:
        return order
    return change_package(order, package, lambda each: each if each.live else replace(each, awb=awb))


def _void(order: Order, held: Package) -> Order:
    """The order with a live AWB noted as void, unless parts that were split off travel on under it."""
    shared = any(each.live and each.awb == held.awb and each.id != held.id for each in order.packages)
    if not held.live or not held.awb or shared:
        return order
    return replace(order, void_awbs=(*order.void_awbs, held.awb))


def unbooked(order: Order, package: str, at: Instant | None) -> Order:
    """The order with the package's AWB void, unless other parts of it are still in shipping."""
    if any(part.package == package and in_shipping(part) for part in active(order)):
        return order
    held = package_of(order, package)
    if held is None:
        return order
    order = _void(order, held)
    awb = "" if held.live else held.awb
    return change_package(
        order,
        package,
        lambda each: replace(each, awb=awb, live=False, voided_at=at or each.voided_at),
    )


def issued(order: Order, package: str, awb: str) -> Order:
    """The order with the package's AWB live; a number that takes the place of another voids it."""
    held = package_of(order, package)
    if held is None:
        return order
    if awb and awb != held.awb:
        order = _void(order, held)
    return change_package(order, package, lambda each: replace(each, awb=awb or each.awb, live=True))
