"""The owner takes over what a reading of the marketplace says of an order in conflict (T37, MK-14).

An order keeps no readings, for a fact that a reading repeats is no event (MK-3); so the command carries what
the reading stated. What it states must be an order that can be: the invariants of section 6 hold after it.
"""

from msgspec.structs import replace

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.adopting import closes
from services.orders.order.commands import Given
from services.orders.order.deciding import Deciding, Handler, wrong
from services.orders.order.decision import Decision
from services.orders.order.fact import Fact
from services.orders.order.input import FieldFault
from services.orders.order.model import Coverage, Fulfilment, Order, Part, Status
from services.orders.order.parts import UNNAMED, active, in_shipping, package_of, picked_up
from services.orders.order.state import evolve

CANCELLED = "CANCELLED"
_VALUES = frozenset({*(value.value for value in Fulfilment), CANCELLED})
_ENDED = frozenset({Fulfilment.LOST_OR_DAMAGED, Fulfilment.RETURNED})


class _Settling(Decision):
    """What an adoption brings with it by the money rules of a marketplace's order (MK-9, MO-10)."""

    __slots__ = ("given",)

    def __init__(self, order: Order, reading: Fact, given: Given) -> None:
        super().__init__(order, reading)
        self.given = given

    def emit(self, event: e.Event) -> None:
        given = self.given
        super().emit(replace(event, actor=given.actor, caller=given.caller, policies=given.policies.version))


def _faults(order: Order, command: c.AdoptChannelState, given: Given) -> list[FieldFault]:
    found = [
        wrong(field, sentence)
        for field, missing, sentence in (
            ("reading", not command.reading.strip(), "Name the reading."),
            ("reason", not command.reason, "Give the code of a reason."),
            ("read_at", command.read_at is None, "Say when the marketplace was read."),
            ("status", command.status not in set(Status), f"Name one of {', '.join(Status)}."),
            ("coverage", command.coverage not in set(Coverage), f"Name one of {', '.join(Coverage)}."),
        )
        if missing
    ]
    if command.read_at is not None and command.read_at > given.at:
        found.append(wrong("read_at", "A reading is not from the future."))
    if (command.paid is not None) != (command.coverage == Coverage.PARTLY_PAID):
        found.append(wrong("paid", "State it for PARTLY_PAID, and for nothing else."))
    elif command.paid is not None and command.paid < 1:
        found.append(wrong("paid", "It is at least Rp1.", "AMOUNT_NOT_POSITIVE"))
    found += _part_faults(order, command)
    if found or order.source != "CHANNEL":
        return found
    return _contradictions(adoption(order, command, given), command)


def _part_faults(order: Order, command: c.AdoptChannelState) -> list[FieldFault]:
    ordered: dict[str, int] = {}
    for part in order.parts:
        ordered[part.line] = ordered.get(part.line, 0) + part.quantity
    found: list[FieldFault] = []
    awbs: dict[str, str] = {}
    for position, told in enumerate(command.parts):
        path = f"parts[{position}]"
        if told.line not in ordered:
            found.append(wrong(f"{path}.line", "The order has no such line."))
        if told.value not in _VALUES:
            found.append(wrong(f"{path}.value", f"Name one of {', '.join(sorted(_VALUES))}."))
        if told.quantity is not None and told.quantity < 1:
            found.append(wrong(f"{path}.quantity", "A quantity is at least 1.", "QUANTITY_INVALID"))
        if told.package.startswith(UNNAMED) and package_of(order, told.package) is None:
            found.append(wrong(f"{path}.package", "The order has no such package."))
        if told.awb and told.awb in order.void_awbs:
            found.append(wrong(f"{path}.awb", "This AWB is void."))
        if told.awb and told.package and awbs.setdefault(told.package, told.awb) != told.awb:
            found.append(wrong(f"{path}.awb", "A package has one AWB."))
    for line, quantity in ordered.items():
        stated = [told for told in command.parts if told.line == line]
        whole = len(stated) == 1 and stated[0].quantity is None
        if not whole and sum(told.quantity or 0 for told in stated) != quantity:
            found.append(wrong("parts", f"State all {quantity} units of each line; a line is missing some."))
    return found


def _contradictions(after: Order, command: c.AdoptChannelState) -> list[FieldFault]:
    """What of the reading cannot be so together (INV-1 to INV-5)."""
    alive = active(after)
    if (after.status is Status.CANCELLED) == bool(alive):
        return [wrong("status", "An order is cancelled when all of its goods are, and only then.")]
    if after.status is Status.NEW and any(part.value is not Fulfilment.NOT_STARTED for part in alive):
        return [wrong("status", "Goods of a new order are not prepared.")]
    if after.status is Status.COMPLETED:
        values = {part.value for part in alive}
        if Fulfilment.DELIVERED not in values or values - _ENDED - {Fulfilment.DELIVERED}:
            return [wrong("status", "Goods of a completed order are delivered, lost or returned.")]
    covered = money.coverage(after)
    if covered != command.coverage:
        return [wrong("coverage", f"With these goods and this status it is {covered.value}.")]
    moved = any(part.value not in {Fulfilment.NOT_STARTED, *_ENDED} for part in alive)
    if moved and not money.is_cod(after) and covered is not Coverage.PAID:
        return [wrong("coverage", "Goods are prepared and sent only when they are paid.")]
    return []


def _too_old(order: Order, command: c.AdoptChannelState, _given: Given) -> set[str]:
    """Whether any news is as young as the reading (MK-14)."""
    marks = [order.payment_mark, order.request_mark, order.hold_mark]
    marks += [part.mark for part in order.parts]
    marks += [case.mark for case in order.cases]
    times = [time for mark in marks if mark is not None for time in (mark.at, mark.read_at)]
    times += [doubt.at for doubt in order.doubts]
    for package in order.packages:
        if package.news is not None:
            times += [package.news.at, package.news.fact.read_at]
    read_at = command.read_at
    assert read_at is not None, "It was missing in the input otherwise."
    return {"READ_TOO_OLD"} if any(time is not None and time >= read_at for time in times) else set()


def adoption(order: Order, command: c.AdoptChannelState, given: Given) -> Order:
    """The order after the adoption and all it brings with it."""
    for event in _events(order, command, given):
        order = evolve(order, event)
    return order


def _adopt(d: Deciding, command: c.AdoptChannelState) -> None:
    for event in _events(d.order, command, d.given):
        d.emit(event)


def _events(order: Order, command: c.AdoptChannelState, given: Given) -> list[e.Event]:
    assert command.read_at is not None, "It was missing in the input otherwise."
    status = Status(command.status)
    parts = _stated(order, command, status)
    hypothetical = evolve(order, _event(order, command, given, parts, money.received(order)))
    received = _received(hypothetical, command)
    reading = Fact(
        id=command.reading,
        type="AdoptChannelState",
        channel=order.channel,
        shop=order.shop,
        connection=order.connection,
        order=order.marketplace_number,
        seller=order.seller,
        occurred_at=command.read_at,
        read_at=command.read_at,
    )
    settling = _Settling(order, reading, given)
    settling.emit(_event(order, command, given, parts, received))
    settling.settle()
    return settling.events


def _received(after: Order, command: c.AdoptChannelState) -> int:
    """All the money that must have come in for the coverage that the reading says (MO-7, MO-8)."""
    held, back = money.received(after), money.refunded(after)
    if command.paid is not None:
        return back + command.paid
    if command.coverage == Coverage.UNPAID:
        return min(held, back)
    credits_ = {**after.credits, **money.credits_wanted(after)}
    return max(held, back + money.payable(replace(after, credits=credits_)))


def _event(
    order: Order,
    command: c.AdoptChannelState,
    given: Given,
    parts: tuple[e.AdoptedPart, ...],
    received: int,
) -> e.ChannelStateAdopted:
    assert command.read_at is not None, "It was missing in the input otherwise."
    status, coverage = Status(command.status), Coverage(command.coverage)
    before = state_of(order)
    after = e.AdoptedState(
        order=status.value,
        coverage=coverage.value,
        received=received,
        transaction="NONE" if closes(status, coverage) else before.transaction,
        request=before.request and _stays_open(order, status, parts),
        parts=parts,
    )
    return e.ChannelStateAdopted(
        at=given.at,
        actor=given.actor,
        caller=given.caller,
        policies=given.policies.version,
        reading=command.reading,
        read_at=command.read_at,
        reason=command.reason,
        before=before,
        after=after,
    )


def state_of(order: Order) -> e.AdoptedState:
    """Every value of the order that an adoption may set."""
    return e.AdoptedState(
        order=order.status.value,
        coverage=money.coverage(order).value,
        received=money.received(order),
        transaction=order.transaction.value,
        request=order.request is not None,
        parts=tuple(
            e.AdoptedPart(
                part=part.id,
                line=part.line,
                quantity=part.quantity,
                sku=part.sku,
                value=part.value.value,
                package=part.package,
                awb=_awb_of(order, part.package),
                cancelled=part.cancelled,
                accepted=part.accepted,
            )
            for part in order.parts
        ),
    )


def _awb_of(order: Order, package: str) -> str:
    held = package_of(order, package) if package else None
    return "" if held is None else held.awb


def _stays_open(order: Order, status: Status, parts: tuple[e.AdoptedPart, ...]) -> bool:
    """Whether the open request still has goods that nobody has picked up (INV-6)."""
    request = order.request
    if request is None or status in {Status.CANCELLED, Status.COMPLETED}:
        return False
    asked = [part for part in parts if not part.cancelled and part.line in (request.lines or {part.line})]
    return bool(asked) and not any(_is_picked_up(part) for part in asked)


def _is_picked_up(told: e.AdoptedPart) -> bool:
    return picked_up(Part(id=told.part, line=told.line, quantity=1, value=Fulfilment(told.value)))


def _stated(order: Order, command: c.AdoptChannelState, status: Status) -> tuple[e.AdoptedPart, ...]:
    """The parts as the reading says, made of those that there are; a smaller quantity is split off (OM-6)."""
    made, packages = order.parts_made, order.packages_made
    left = {part.id: part.quantity for part in order.parts}
    split: set[int] = set()
    found: list[e.AdoptedPart] = []
    for told in command.parts:
        own = [part for part in order.parts if part.line == told.line]
        wanted = told.quantity or sum(part.quantity for part in own)
        # Parts that stand there already come first, so that no unit is moved without need.
        own.sort(key=lambda part: _word(part) != told.value)
        new_home = ""
        for part in own:
            taken = min(wanted, left[part.id])
            if not taken:
                continue
            wanted, left[part.id] = wanted - taken, left[part.id] - taken
            name, of = part.id, 0
            if part.id in split:
                made += 1
                name, of = made, part.id
            split.add(part.id)
            home = told.package or part.package
            if told.value in {CANCELLED, Fulfilment.NOT_STARTED}:
                home = ""
            elif not home:
                if not new_home:
                    packages += 1
                    new_home = f"{UNNAMED}{packages}"
                home = new_home
            found.append(_adopted_part(part, told, status, (name, of, taken, home)))
    return _with_awbs(order, tuple(found))


def _word(part: Part) -> str:
    return CANCELLED if part.cancelled else part.value.value


def _adopted_part(
    part: Part, told: c.StatedPart, status: Status, piece: tuple[int, int, int, str]
) -> e.AdoptedPart:
    name, of, quantity, home = piece
    cancelled = told.value == CANCELLED
    value = Fulfilment.NOT_STARTED if cancelled else Fulfilment(told.value)
    return e.AdoptedPart(
        part=name,
        of=of,
        line=part.line,
        quantity=quantity,
        sku=part.sku,
        value=value.value,
        package=home,
        awb=told.awb if home else "",
        cancelled=cancelled,
        # The reading says of lines where they are; that they are accepted only a completion says (MK-13).
        accepted=status is Status.COMPLETED and value is Fulfilment.DELIVERED,
    )


def _with_awbs(order: Order, parts: tuple[e.AdoptedPart, ...]) -> tuple[e.AdoptedPart, ...]:
    """One AWB for each package: the stated one, else the one that it had and keeps (INV-9)."""
    awbs: dict[str, str] = {}
    for part in parts:
        held = package_of(order, part.package) if part.package else None
        travels = any(
            in_shipping(Part(id=0, line="", quantity=1, value=Fulfilment(each.value)))
            for each in parts
            if each.package == part.package
        )
        kept = held.awb if held is not None and (travels or not held.live) else ""
        awbs[part.package] = part.awb or awbs.get(part.package) or kept
    return tuple(replace(part, awb=awbs[part.package] if part.package else "") for part in parts)


HANDLERS = {"AdoptChannelState": Handler(_adopt, faults=_faults, raised=_too_old)}
