"""One command for many orders: each is decided alone and answered in the order given (GR-12).

The whole has one idempotency key; each order's part is kept under a key of its own, so that a repeat after a
crash gives what was answered and does what was not yet done.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from libs.runtime.errors import Transient
from libs.runtime.problems import CODES
from services.orders.answers import Answer, refused
from services.orders.command_schemas import ORDERS_MAX
from services.orders.concluding import Asked
from services.orders.dispatch import Dispatcher
from services.orders.inputs import FIELD_INVALID, Unreadable, read_object
from services.orders.order.input import FieldFault
from services.orders.registry.roles import permitted

# Decided at once; the group writer appends them together.
AT_ONCE: Final = 200
_ENCODER = msgspec.json.Encoder()


class Selection(Struct, frozen=True):
    """The orders of a bulk command as they were named, and the command's own fields."""

    orders: tuple[str, ...]
    body: bytes


def read_selection(body: bytes) -> Selection | Answer:
    """What a bulk body asks for, or why it asks for nothing."""
    try:
        fields = read_object(body)
    except Unreadable as fault:
        return refused(FIELD_INVALID, faults=fault.faults)
    orders = fields.pop("orders", None)
    if orders is None or orders == []:
        return refused("NOTHING_SELECTED", faults=[_fault("NOTHING_SELECTED", "Name at least one order.")])
    if not isinstance(orders, list) or not all(isinstance(each, str) for each in orders):
        return refused(FIELD_INVALID, faults=[_fault(FIELD_INVALID, "Name the orders as a list of ids.")])
    if len(orders) > ORDERS_MAX:
        sentence = f"Name at most {ORDERS_MAX:,} orders; this has {len(orders):,}."
        return refused("TOO_MANY_ORDERS", faults=[_fault("TOO_MANY_ORDERS", sentence)])
    return Selection(tuple(orders), _ENCODER.encode(fields))


def _fault(code: str, sentence: str) -> FieldFault:
    return FieldFault("orders", code, sentence)


async def answer_all(dispatcher: Dispatcher, asked: Asked) -> Answer | list[dict[str, Any]]:
    """The result of each order in the order given, or the refusal of the whole.

    An order whose result is not known is answered 503: the same key asks for it again.
    """
    if permitted(asked.caller, asked.command) is None:
        return refused("NOT_PERMITTED")
    faults = asked.header_faults
    if asked.expected is not None:
        # Passed over, it would let through what the caller meant to be stopped.
        sentence = "Leave it out: many orders have no one sequence."
        faults = (*faults, FieldFault("If-Match", FIELD_INVALID, sentence))
    if faults:
        return refused(FIELD_INVALID, faults=faults)
    selection = read_selection(asked.body)
    begun = await dispatcher.begin(asked, selection if isinstance(selection, Answer) else None)
    if begun is not None:
        return begun
    assert isinstance(selection, Selection), "A refusal has been answered."
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(place: int, name: str) -> dict[str, Any]:
        async with gate:
            return await _answer_one(dispatcher, asked, selection, place, name)

    return await asyncio.gather(*(one(place, name) for place, name in enumerate(selection.orders)))


async def _answer_one(
    dispatcher: Dispatcher, asked: Asked, selection: Selection, place: int, name: str
) -> dict[str, Any]:
    try:
        order_id = UUID(name)
    except ValueError:
        return _result(name, refused("ORDER_NOT_FOUND"), None)
    # No caller's key holds a space, so that none is taken for the part of a bulk command.
    part = replace(
        asked, order_id=order_id, key=f"{asked.key} {place}", body=selection.body, names_order=True
    )
    try:
        answer, position = await dispatcher.answer(part)
    except Transient as fault:
        return {"order": name, "status": 503, "code": CODES[503], "detail": str(fault)}
    return _result(name, answer, position)


def _result(name: str, answer: Answer, position: int | None) -> dict[str, Any]:
    return {**answer.shown(position), "order": name, "status": answer.status}


def results(found: Sequence[dict[str, Any]]) -> bytes:
    """The body that answers a bulk command."""
    return _ENCODER.encode({"results": found})
