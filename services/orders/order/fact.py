"""A fact about a marketplace order as it stands on `channels.orders.v1`, and what judging it answers (MK-1).

NotPlacedYet     the order has no placement yet: the caller lets the fact wait (MK-2)
FactInvalid      the fact breaks its contract: `field` names the part, the message never its content
"""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from services.orders.order.events import (
    Actor,
    Disposition,
    Event,
    FactRef,
    Instant,
    Minor,
    Sealed,
)
from services.orders.order.model import Order

Count = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]


class NotPlacedYet(Exception):
    """A fact came before the placement of its order."""

    def __init__(self, fact_type: str) -> None:
        super().__init__(f"{fact_type} came before the order was placed.")
        self.fact_type = fact_type


class FactInvalid(ValueError):
    """A fact breaks its contract; it is parked, never guessed at."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Scope(Struct, frozen=True, gc=False):
    """What a fact is about, with the marketplace's ids; nothing or the order means all of it."""

    line: Text | None = None
    package: Text | None = None
    order: str | None = None


class Fact(Struct, frozen=True, kw_only=True, gc=False):
    """What the marketplace stated (MK-1); `id` is the record's `ce_id`, set by the caller."""

    type: Text
    channel: Text
    shop: Text
    connection: Text
    order: Text
    seller: Text
    site: str | None = None
    scope: Scope | None = None
    occurred_at: Instant | None = None
    approximate: bool = False
    source_status: str | None = None
    occurrence: Count | None = None
    translator_version: int = 0
    data: Raw = Raw(b"{}")
    read_at: Instant | None = None
    raw: tuple[str, ...] | None = None
    id: str = ""
    # What `data.buyer` said, sealed under the buyer's key by the caller; never what a record says here.
    buyer: Sealed | None = None


class PlacedLineData(Struct, frozen=True, kw_only=True, gc=False):
    """What OrderPlaced states of a line."""

    line: Text
    quantity: Count
    unit_price: Minor | None = None
    discount: Minor | None = None
    product: str | None = None
    variant: str | None = None
    sku: str | None = None
    name: str | None = None


class PlacedData(Struct, frozen=True, kw_only=True, gc=False):
    """What OrderPlaced states; a total not stated is reckoned (MO-3)."""

    payment_method: Literal["COD", "GATEWAY"]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    lines: Annotated[tuple[PlacedLineData, ...], Meta(min_length=1)]
    total: Minor | None = None
    reference: str | None = None
    discount: Minor | None = None
    shipping_fee: Minor | None = None
    insurance_fee: Minor | None = None
    other_fees: Minor | None = None
    city: str | None = None
    province: str | None = None
    courier: str | None = None
    service: str | None = None
    warehouse: str | None = None
    # Sealed; what it says comes opened and sealed anew in `Fact.buyer`.
    buyer: str | None = None


class MoneyData(Struct, frozen=True, kw_only=True, gc=False):
    """What PaymentSucceeded and RefundPaid state."""

    amount: Minor | None = None
    currency: str | None = None
    reference: str | None = None


class GoodsData(Struct, frozen=True, kw_only=True, gc=False):
    """What facts on goods, requests and return cases state."""

    package: str | None = None
    awb: str | None = None
    courier: str | None = None
    service: str | None = None
    quantity: Count | None = None
    case: str | None = None
    by: Actor | None = None
    deadline: Instant | None = None
    buyer: str | None = None


class NoteData(Struct, frozen=True, kw_only=True, gc=False):
    """What a note states."""

    on_hold: bool | None = None


class News(Struct, frozen=True, kw_only=True, gc=False):
    """A fact ready to be judged: `ref` is kept with its own event, `step` with the steps it implies."""

    type: str
    at: Instant | None
    read_at: Instant | None
    ref: FactRef
    step: FactRef
    data: GoodsData = GoodsData()


class Judgement(Struct, frozen=True, gc=False):
    """What became of a fact: its events, all or none to be stored, and the order after them."""

    disposition: Disposition
    events: tuple[Event, ...] = ()
    read_wanted: bool = False
    order: Order | None = None


Data = TypeVar("Data")

_PLACED = msgspec.json.Decoder(PlacedData)
_MONEY = msgspec.json.Decoder(MoneyData)
_GOODS = msgspec.json.Decoder(GoodsData)
_NOTE = msgspec.json.Decoder(NoteData)
_FEES: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_FACT = msgspec.json.Decoder(Fact)
_NOTHING = GoodsData()


def decode_fact(body: bytes, fact_id: str) -> Fact:
    """The fact of a record's body. Raises FactInvalid."""
    try:
        return msgspec.structs.replace(_FACT.decode(body), id=fact_id, buyer=None)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise FactInvalid("body", str(fault)) from None


def _decoded(decoder: "msgspec.json.Decoder[Data]", fact: Fact) -> Data:
    try:
        return decoder.decode(fact.data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise FactInvalid("data", str(fault)) from None


def placed_data(fact: Fact) -> PlacedData:
    """What a placement states. Raises FactInvalid, also when two lines have one id (OM-5)."""
    data = _decoded(_PLACED, fact)
    if len({line.line for line in data.lines}) < len(data.lines):
        raise FactInvalid("data.lines", "two lines have the same id")
    return data


def money_data(fact: Fact) -> MoneyData:
    return _decoded(_MONEY, fact)


def goods_data(fact: Fact) -> GoodsData:
    return _NOTHING if bytes(fact.data) == b"{}" else _decoded(_GOODS, fact)


def note_data(fact: Fact) -> NoteData:
    return _decoded(_NOTE, fact)


def fees_data(fact: Fact) -> dict[str, Any]:
    return _decoded(_FEES, fact)


def reference_of(fact: Fact) -> FactRef:
    """What is kept of a fact with its own event; its time stands in the event."""
    scope = fact.scope
    return FactRef(
        id=fact.id,
        type=fact.type,
        line=None if scope is None else scope.line,
        package=None if scope is None else scope.package,
        status=fact.source_status,
        occurrence=fact.occurrence or 1,
        approximate=fact.approximate,
        read_at=fact.read_at,
        version=fact.translator_version,
    )


def news_of(fact: Fact) -> News:
    return News(
        type=fact.type,
        at=fact.occurred_at,
        read_at=fact.read_at,
        ref=reference_of(fact),
        step=FactRef(id=fact.id, read_at=fact.read_at),
    )
