"""What couriers, gateways and inventory report by the doors of facts: read, permitted, of whose orders.

The door refuses, never the fact (GR-13): what is read is judged, and applied or recorded.
"""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from libs.runtime.auth import Principal
from services.orders.inputs import FIELD_INVALID
from services.orders.order.events import Actor
from services.orders.order.input import FieldFault
from services.orders.order.model import Order
from services.orders.order.seller_facts import SellerFact
from services.orders.order.table import FACTS
from services.orders.registry.roles import permitted

FIELDS: Final = ("type", "scope", "occurred_at", "data")
# 11.2: what may be recorded by hand of an order that a marketplace owns.
BY_HAND_ON_CHANNEL: Final = frozenset({"ReturnReceived"})
_FACT = msgspec.json.Decoder(SellerFact)
_ENCODER = msgspec.json.Encoder()


def reporter(caller: Principal, body: dict[str, Any], stated: str | None) -> Actor | None:
    """Who reports the fact that a body names, if the caller may; where it names none: who may report any."""
    name = body.get("type")
    if isinstance(name, str) and name in FACTS:
        return permitted(caller, name, stated)
    return next((actor for fact in FACTS if (actor := permitted(caller, fact)) is not None), None)


def is_others_package(caller: Principal, order: Order) -> bool:
    """Whether a courier reports of an order that has no package booked with it (18.2)."""
    if caller.role != "COURIER" or not caller.stands_for:
        return False
    booked = {order.courier, *(package.courier for package in order.packages)}
    return caller.stands_for.casefold() not in {name.casefold() for name in booked if name}


def is_channels(order: Order, actor: Actor, name: str) -> bool:
    """Whether only the marketplace may tell this of the order (GR-13)."""
    by_hand = actor in {Actor.OWNER, Actor.AGENT} and name in BY_HAND_ON_CHANNEL
    return order.source == "CHANNEL" and not by_hand


def read_fact(body: dict[str, Any], fact_id: str) -> SellerFact | tuple[FieldFault, ...]:
    """The fact of a body, or what is wrong with it; an absent or null part counts as not stated."""
    faults = [
        FieldFault(name, FIELD_INVALID, "There is no such field; leave it out.")
        for name in body
        if name not in FIELDS
    ]
    name = body.get("type")
    if not isinstance(name, str) or name not in FACTS:
        faults.append(FieldFault("type", FIELD_INVALID, f"Name one of {', '.join(FACTS)}."))
    data = body.get("data")
    if data is not None and not isinstance(data, dict):
        faults.append(FieldFault("data", FIELD_INVALID, "Give an object."))
    if faults:
        return tuple(faults)
    stated = {field: body[field] for field in FIELDS if body.get(field) is not None}
    try:
        return replace(_FACT.decode(_ENCODER.encode(stated)), id=fact_id)
    except msgspec.ValidationError as fault:
        said, _, path = str(fault).partition(" - at `$")
        field = path.strip("`.") or "body"
        return (FieldFault(field, FIELD_INVALID, f"{said.replace('`', '')}."),)
