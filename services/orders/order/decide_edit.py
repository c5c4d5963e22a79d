"""Editing an order (section 9): one decision over all named fields, its consequences with it."""

from msgspec import Struct
from msgspec.structs import replace

from services.orders.order import commands as c
from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.commands import Given
from services.orders.order.decide_placing import (
    amounts_faults,
    covers,
    fee_faults,
    link_fault,
    link_faults,
    method_faults,
    new_line_faults,
    phone_faults,
    placed_line,
    warehouse_of,
)
from services.orders.order.deciding import (
    Deciding,
    Handler,
    close_transaction,
    consequences,
    total_faults,
    unpack,
    wrong,
)
from services.orders.order.input import FieldFault
from services.orders.order.model import Billing, Coverage, Order, Part, Transaction
from services.orders.order.parts import active

_LINE_FIELDS = ("unit_price", "discount", "sku", "name", "product", "variant", "warehouse")
_GOODS_FIELDS = frozenset({"product", "variant", "sku", "quantity", "warehouse"})
_LINKED = ("sku", "product", "warehouse")
_FEES = ("discount", "shipping_fee", "insurance_fee", "other_fees")
_PRICED = frozenset({"quantity", "unit_price", "discount", "line", *_FEES})
_BUYER = ("name", "phone", "email", "address", "district", "postal_code", "note")


class Edited(Struct, frozen=True, gc=False):
    """What an edit makes of the lines: all of them, the changes, and the units that are new by product."""

    lines: tuple[e.PlacedLine, ...]
    quantities: dict[str, int]
    changes: tuple[e.Change, ...]
    raised: dict[str, int]
    goods_changed: frozenset[str]


def quantities_of(order: Order) -> dict[str, int]:
    """Active units by line."""
    found = {line.line: 0 for line in order.lines}
    for part in active(order):
        found[part.line] += part.quantity
    return found


def edited(order: Order, command: c.EditOrder, given: Given) -> Edited:
    """The lines after the edit; what it does not name stays as agreed (ED-10)."""
    before = quantities_of(order)
    after = dict(before)
    changes: list[e.Change] = []
    raised: dict[str, int] = {}
    goods: set[str] = set()
    told = {line.line: line for line in command.lines}
    lines: list[e.PlacedLine] = []
    for line in order.lines:
        edit = told.get(line.line)
        if line.line in command.remove_lines:
            after[line.line] = 0
            changes.append(e.Change(field="line", line=line.line, old=before[line.line], new=0))
            goods.add(line.line)
            gone = sum(part.quantity for part in order.parts if part.line == line.line and part.cancelled)
            if gone:
                # What was cancelled before stays in the history of the line (OM-6).
                lines.append(
                    replace(line, quantity=gone, discount=min(line.discount, line.unit_price * gone))
                )
            continue
        if edit is None:
            lines.append(line)
            continue
        new, found = _line_edited(line, edit, before[line.line], given)
        lines.append(new)
        changes += found
        after[line.line] = edit.quantity if edit.quantity is not None else before[line.line]
        named = {change.field for change in found}
        if named & _GOODS_FIELDS:
            goods.add(line.line)
        key = new.sku or new.product
        same = key == (line.sku or line.product)
        more = after[line.line] - (before[line.line] if same else 0)
        if more > 0:
            raised[key] = raised.get(key, 0) + more
    first = max((int(line.line) for line in order.lines if line.line.isdecimal()), default=0) + 1
    for number, added in enumerate(command.add_lines, start=first):
        line = placed_line(added, str(number), given.hold)
        lines.append(line)
        after[line.line] = added.quantity
        changes.append(e.Change(field="line", line=line.line, old=0, new=added.quantity))
        goods.add(line.line)
        key = line.sku or line.product
        raised[key] = raised.get(key, 0) + added.quantity
    return Edited(tuple(lines), after, tuple(changes), raised, frozenset(goods))


def _line_edited(
    line: e.PlacedLine, edit: c.LineEdit, active_units: int, given: Given
) -> tuple[e.PlacedLine, list[e.Change]]:
    changes = [
        e.Change(field=field, line=line.line, old=getattr(line, field), new=value)
        for field in _LINE_FIELDS
        if (value := getattr(edit, field)) is not None and value != getattr(line, field)
    ]
    new = replace(line, **{change.field: change.new for change in changes})
    if edit.quantity is not None and edit.quantity != active_units:
        changes.append(e.Change(field="quantity", line=line.line, old=active_units, new=edit.quantity))
        new = replace(new, quantity=line.quantity + edit.quantity - active_units)
        if edit.quantity > active_units and not edit.warehouse:
            new = replace(
                new, warehouse=new.warehouse or warehouse_of(given.hold, new.sku or new.product, "")
            )
    return new, changes


def relinked(line: e.PlacedLine, edit: c.LineEdit) -> e.PlacedLine | None:
    """The line as the edit makes it, if it is of another product or warehouse then; else None."""
    told = {name: value for name in _LINKED if (value := getattr(edit, name)) is not None}
    new = replace(line, **told)
    same = (new.sku or new.product, new.warehouse) == (line.sku or line.product, line.warehouse)
    return None if same else new


def _claims(order: Order, new: Edited) -> tuple[tuple[e.Units, ...], tuple[e.Units, ...]]:
    """CR-14: what the stock keeper is to reserve and to release, by line."""
    before, lines = quantities_of(order), {line.line: line for line in order.lines}
    reserve: list[e.Units] = []
    release: list[e.Units] = []

    def note(into: list[e.Units], line: e.PlacedLine, quantity: int) -> None:
        if quantity > 0:
            into.append(e.Units(line=line.line, quantity=quantity, sku=line.sku, warehouse=line.warehouse))

    for line in new.lines:
        old, after = lines.get(line.line), new.quantities[line.line]
        had = before.get(line.line, 0)
        if old is not None and _claimed(old) != _claimed(line):
            note(release, old, had)
            note(reserve, line, after)
        else:
            note(reserve, line, after - had)
            note(release, line, had - after)
    for gone in lines.keys() - {line.line for line in new.lines}:
        note(release, lines[gone], before[gone])
    return tuple(reserve), tuple(release)


def _claimed(line: e.PlacedLine) -> tuple[str, str, str, str]:
    return line.sku, line.product, line.variant, line.warehouse


def other_changes(order: Order, command: c.EditOrder) -> list[e.Change]:
    """Changes of fees, shipping, method and recipient; a buyer's fields by name alone (ED-4, PD-1)."""
    found = [
        e.Change(field=field, old=getattr(order, field), new=value)
        for field in (*_FEES, "courier", "service")
        if (value := getattr(command, field)) is not None and value != getattr(order, field)
    ]
    if command.payment_method is not None and command.payment_method != order.method.value:
        found.append(e.Change(field="payment_method", old=order.method.value, new=command.payment_method))
    recipient = command.recipient
    if recipient is not None:
        found += [
            e.Change(field=field, old=getattr(order, field), new=getattr(recipient, field))
            for field in ("city", "province")
            if getattr(recipient, field) and getattr(recipient, field) != getattr(order, field)
        ]
        found += [e.Change(field=f"recipient.{field}") for field in _BUYER if getattr(recipient, field)]
    return found


def _faults(order: Order, command: c.EditOrder, given: Given) -> list[FieldFault]:
    units = quantities_of(order)
    lines = {line.line: line for line in order.lines}
    found: list[FieldFault] = []
    names = [edit.line for edit in command.lines]
    for position, edit in enumerate(command.lines):
        at = f"lines[{position}]"
        line = lines.get(edit.line)
        if line is None or not units[edit.line]:
            found.append(wrong(f"{at}.line", "The order has no such line with goods left."))
            continue
        if names.index(edit.line) != position or edit.line in command.remove_lines:
            found.append(wrong(f"{at}.line", "Name each line once."))
            continue
        new, _ = _line_edited(line, edit, units[edit.line], given)
        quantity = units[edit.line] if edit.quantity is None else edit.quantity
        found += amounts_faults(at, quantity, new.unit_price, new.discount, ordered=new.quantity)
        # MN-3 holds for what an edit makes of a line; what it leaves as agreed may have lost its link since.
        moved = relinked(line, edit)
        found += link_fault(moved, given, at) if moved is not None else []
    for position, name in enumerate(command.remove_lines):
        if not units.get(name) or command.remove_lines.index(name) != position:
            found.append(wrong(f"remove_lines[{position}]", "The order has no such line with goods left."))
    found += new_line_faults(command.add_lines, "add_lines")
    found += link_faults(command.add_lines, given, "add_lines")
    for field in _FEES:
        found += fee_faults(field, getattr(command, field))
    if command.payment_method is not None and command.payment_method != order.method.value:
        found += method_faults(command.payment_method, given)
    if command.recipient is not None and order.source != "CHANNEL":
        # Only what is named changes (ED-1), so a recipient need not be named whole.
        found += phone_faults(command.recipient)
    if found:
        return found
    whole = edited(order, command, given)
    # What leaves nothing of the order is LAST_LINE, which is no fault of a field.
    return total_faults(_event(order, command, given, whole).total) if any(whole.quantities.values()) else []


def _owned_by_channel(order: Order, command: c.EditOrder) -> bool:
    """11.2: note and warehouse of a line are ours on a CHANNEL order, all else is the marketplace's."""
    recipient = command.recipient or c.Recipient()
    ours = c.EditOrder(
        lines=tuple(c.LineEdit(line=edit.line, warehouse=edit.warehouse) for edit in command.lines),
        recipient=None if command.recipient is None else c.Recipient(note=recipient.note),
        hold=command.hold,
        allow_backorder=command.allow_backorder,
    )
    return order.source == "CHANNEL" and ours != command


def _raised(order: Order, command: c.EditOrder, given: Given) -> set[str]:
    if _owned_by_channel(order, command):
        return {"CHANNEL_OWNED"}
    found: set[str] = set()
    new = edited(order, command, given)
    if command.payment_method not in {None, order.method.value} and (
        money.coverage(order) is not Coverage.UNPAID
        or order.billing is not Billing.NONE
        or order.transaction not in {Transaction.NONE, Transaction.AWAITING}
    ):
        found.add("METHOD_LOCKED")
    if not any(new.quantities.values()):
        found.add("LAST_LINE")
    elif _event(order, command, given, new).total < 1 and order.source != "CHANNEL":
        found.add("TOTAL_NOT_POSITIVE")
    needed = given.policies.hold_on_raise and not command.allow_backorder and order.source != "CHANNEL"
    if needed and new.raised and not covers(given.hold, new.raised, given):
        found.add("STOCK_NOT_AVAILABLE")
    return found


def _parts(order: Order, new: Edited, lines: set[str]) -> tuple[e.PartGiven, ...]:
    """The active parts of the edited lines: a raise is a part of its own, a lowering takes the last first."""
    given: list[e.PartGiven] = []
    made = order.parts_made
    skus = {line.line: line.sku for line in new.lines}
    for name in sorted(lines & skus.keys()):
        held: list[Part] = [part for part in active(order) if part.line == name]
        left = new.quantities[name]
        for part in held:
            if left:
                taken = min(part.quantity, left)
                given.append(e.PartGiven(part=part.id, line=name, quantity=taken, sku=skus[name]))
                left -= taken
        if left:
            made += 1
            given.append(e.PartGiven(part=made, line=name, quantity=left, sku=skus[name]))
    return tuple(given)


def _event(order: Order, command: c.EditOrder, given: Given, new: Edited) -> e.OrderEdited:
    changes = (*new.changes, *other_changes(order, command))
    told = {change.field: change.new for change in changes if not change.line}
    touched = {change.line for change in new.changes}
    owned = order.source == "CHANNEL"
    priced = any(change.field in _PRICED for change in changes)
    covered = covers(given.hold, new.raised, given)
    reserve, release = _claims(order, new)
    event = e.OrderEdited(
        at=given.at,
        actor=given.actor,
        caller=given.caller,
        policies=given.policies.version,
        changes=changes,
        revision=order.revision + priced,
        total=0,
        lines=new.lines,
        parts=() if owned else _parts(order, new, touched),
        edited_lines=() if owned else tuple(sorted(touched)),
        reserve=() if owned else reserve,
        release=() if owned else release,
        discount=order.discount if command.discount is None else command.discount,
        shipping_fee=order.shipping_fee if command.shipping_fee is None else command.shipping_fee,
        insurance_fee=order.insurance_fee if command.insurance_fee is None else command.insurance_fee,
        other_fees=order.other_fees if command.other_fees is None else command.other_fees,
        payment_method=e.Method(str(told.get("payment_method", order.method.value))),
        courier=order.courier if command.courier is None else command.courier,
        service=order.service if command.service is None else command.service,
        city=str(told.get("city", order.city)),
        province=str(told.get("province", order.province)),
        backorder=bool(new.raised) and not covered and given.policies.hold_on_raise and not owned,
        hold=given.hold.id if new.raised and covered and given.hold is not None else "",
        buyer=given.buyer,
    )
    d = Deciding(order, given)
    d.emit(event)
    return replace(event, total=money.total(d.order))


def _edit(d: Deciding, command: c.EditOrder) -> None:
    new = edited(d.order, command, d.given)
    if not new.changes and not other_changes(d.order, command):
        return
    if d.order.source == "CHANNEL":
        d.emit(_event(d.order, command, d.given, new))
        return
    packages = {part.package for part in active(d.order) if part.line in new.goods_changed}
    unpack(d, lambda package: package in packages)
    event = _event(d.order, command, d.given, new)
    changed = event.payment_method is not d.order.method
    d.emit(event)
    if changed and d.order.transaction is Transaction.AWAITING:
        close_transaction(d, e.Closed.METHOD_CHANGED)
    consequences(d)


HANDLERS = {"EditOrder": Handler(_edit, faults=_faults, raised=_raised)}
