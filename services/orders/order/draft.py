"""A manual order before Buat (MN-1): what it may say, how it is changed, and what it still lacks (MN-3)."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from services.orders.order.commands import (
    LINES_MAX,
    Command,
    Given,
    NewLine,
    PlaceOrder,
    Recipient,
    Text,
    Word,
)
from services.orders.order.decide_placing import phone_faults, place
from services.orders.order.deciding import AMOUNT_MAX, QUANTITY_MAX, Decided, Refusal, wrong
from services.orders.order.input import FieldFault, read_as
from services.orders.order.table import COMMANDS
from services.orders.order.words import Method

Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]


class DraftLine(Command, frozen=True, kw_only=True, gc=False):
    """A product of a draft; quantity and price may still be missing."""

    sku: Word = ""
    name: Text = ""
    product: Word = ""
    variant: Word = ""
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)] | None = None
    unit_price: Amount | None = None
    discount: Amount = 0
    warehouse: Word = ""


class Draft(Command, frozen=True, kw_only=True, gc=False):
    """What a draft says; None is not said yet. Source is MANUAL and the page empty (MN-5)."""

    # No free text: that could be data of a buyer (17.1).
    payment_method: Annotated[str, Meta(pattern=rf"^({'|'.join(Method)})?$")] = ""
    lines: Annotated[tuple[DraftLine, ...], Meta(max_length=LINES_MAX)] = ()
    recipient: Recipient = Recipient()
    discount: Amount = 0
    shipping_fee: Amount | None = None
    insured: bool | None = None
    insurance_fee: Amount | None = None
    other_fees: Amount = 0
    courier: Word = ""
    service: Word = ""
    agent: Word = ""


def changed(draft: Draft, patch: Mapping[str, Any]) -> Draft | tuple[FieldFault, ...]:
    """The draft with what the patch names (RFC 7396: null takes a value away, a list replaces all).

    Only what no order can have is a fault: a wrong type or length, a quantity or amount out of its bounds
    (MN-4), an unknown field, a phone number that is none (MN-6). `missing` says what is missing, or not
    allowed yet.
    """
    found = read_as(Draft, _merged(msgspec.to_builtins(draft), patch))
    if isinstance(found, tuple):
        return found
    return tuple(phone_faults(found.recipient)) or found


def _merged(target: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(target)
    for name, value in patch.items():
        held = merged.get(name)
        if value is None:
            # An unknown name stays, so that it is told.
            if name in merged:
                del merged[name]
            else:
                merged[name] = value
        elif isinstance(value, Mapping) and isinstance(held, dict):
            merged[name] = _merged(held, value)
        else:
            merged[name] = value
    return merged


def whole(draft: Draft) -> tuple[PlaceOrder, tuple[FieldFault, ...]]:
    """The placement that the draft asks for, and what it lacks for one that the placement cannot tell.

    Where something is lacking the placement says something harmless, so that all else of it is judged.
    """
    faults: list[FieldFault] = []
    lines = []
    for position, line in enumerate(draft.lines):
        at = f"lines[{position}]"
        if line.quantity is None:
            faults.append(wrong(f"{at}.quantity", "Name it, at least 1.", "QUANTITY_INVALID"))
        if line.unit_price is None:
            faults.append(wrong(f"{at}.unit_price", "Name it, 0 for a gift.", "PRICE_INVALID"))
        priced = line.quantity is not None and line.unit_price is not None
        lines.append(
            NewLine(
                sku=line.sku,
                name=line.name,
                product=line.product,
                variant=line.variant,
                quantity=1 if line.quantity is None else line.quantity,
                unit_price=line.unit_price or 0,
                # What it reduces is not known yet.
                discount=line.discount if priced else 0,
                warehouse=line.warehouse,
            )
        )
    faults += _insurance_faults(draft)
    command = PlaceOrder(
        source="MANUAL",
        payment_method=draft.payment_method,
        lines=tuple(lines),
        recipient=draft.recipient,
        discount=draft.discount,
        shipping_fee=draft.shipping_fee,
        insurance_fee=draft.insurance_fee or 0,
        other_fees=draft.other_fees,
        courier=draft.courier,
        service=draft.service,
        agent=draft.agent,
    )
    return command, tuple(faults)


def _insurance_faults(draft: Draft) -> list[FieldFault]:
    """MN-3: insurance yes or no, with its fee."""
    if draft.insured is None:
        return [wrong("insured", "Say whether the goods are insured.", "SHIPPING_INCOMPLETE")]
    if draft.insured and draft.insurance_fee is None:
        return [wrong("insurance_fee", "Name it, 0 if the insurance is free.", "SHIPPING_INCOMPLETE")]
    if not draft.insured and draft.insurance_fee:
        return [wrong("insurance_fee", "Without insurance there is none; take it away.", "PRICE_INVALID")]
    return []


def with_faults(found: Decided | Refusal, faults: tuple[FieldFault, ...]) -> Decided | Refusal:
    """A placement's answer together with what its draft lacks: one refusal, the first code of T1's row."""
    if not faults:
        return found
    fields = (*(found.fields if isinstance(found, Refusal) else ()), *faults)
    raised = {fault.code for fault in fields}
    row = ("FIELD_INVALID", *COMMANDS["PlaceOrder"].guards)
    return Refusal(next(code for code in row if code in raised), fields)


def missing(draft: Draft, given: Given) -> tuple[tuple[FieldFault, ...], int | None]:
    """What Buat would refuse now but for stock, which is asked for then (MN-2); and the total if nothing is.

    `given` must propose a number of ORDER; it is thrown away.
    """
    command, faults = whole(draft)
    found = with_faults(place(replace(command, allow_backorder=True), given), faults)
    if isinstance(found, Decided):
        return (), found.order.placed_total
    return found.fields or (wrong("total", "It must be at least Rp1.", found.code),), None
