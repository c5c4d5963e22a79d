"""What facts say of buyers: the JWEs of a batch, opened and sealed anew under the buyers' keys.

Nothing in clear leaves this module; a JWE that cannot be opened parks its fact.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from libs.runtime.errors import Malformed, Permanent
from libs.runtime.jwe import EnvelopeRefused
from services.orders.batch import Incoming, Place, place_of
from services.orders.buyers import Buyers, SealedBuyer, Told
from services.orders.order.buyer import LINE_NOTE
from services.orders.order.phone import HOME
from services.orders.order.state import Order

# Countries of the marketplaces' sites (design section 4).
_SITES: Final = frozenset({"my", "sg", "th", "vn", "id", "ph"})
_MENTIONED: Final = b'"buyer"'


class _Data(msgspec.Struct, frozen=True):
    buyer: str | None = None


class _Said(msgspec.Struct, frozen=True):
    """The object that `data.buyer` was before channels sealed it (design section 4)."""

    id: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    recipient: str | None = None
    recipient_phone: str | None = None
    address: str | None = None
    district: str | None = None
    postal_code: str | None = None
    note: str | None = None
    reason: str | None = None
    line_notes: dict[str, str] | None = None

    def fields(self) -> dict[str, str]:
        told = {
            name: value
            for name in self.__struct_fields__
            if name != "line_notes" and (value := getattr(self, name)) is not None
        }
        return told | {f"{LINE_NOTE}{line}": text for line, text in (self.line_notes or {}).items()}


_DATA: Final = msgspec.json.Decoder(_Data)
_SAID: Final = msgspec.json.Decoder(_Said)

Sealing = Mapping[Place, SealedBuyer | Permanent]


def mentions_buyer(incoming: Incoming) -> bool:
    """Whether the fact may say something of the buyer; cheap, since most facts say nothing."""
    return _MENTIONED in bytes(incoming.fact.data)


async def seal_buyers(
    buyers: Buyers | None,
    facts: Sequence[Incoming],
    states: Mapping[UUID, tuple[int, Order]],
) -> Sealing:
    """What each of the facts says of its buyer, sealed, or why it cannot be opened. Raises Transient."""
    outcome: dict[Place, SealedBuyer | Permanent] = {}
    told: list[tuple[Incoming, dict[str, str]]] = []
    for each in facts:
        try:
            fields = _opened(buyers, each)
        except Permanent as fault:
            outcome[place_of(each.record)] = fault
            continue
        if fields:
            told.append((each, fields))
    if buyers is None or not told:
        return outcome
    placed = {each.order_id: fields for each, fields in told if each.fact.type == "OrderPlaced"}
    sealed = await buyers.seal([_told(each, fields, placed, states) for each, fields in told])
    for (each, _), found in zip(told, sealed, strict=True):
        if found is not None:
            outcome[place_of(each.record)] = found
    return outcome


def _opened(buyers: Buyers | None, incoming: Incoming) -> dict[str, str]:
    """The fields that the fact's JWE holds; none where it has none. Raises EnvelopeRefused and Malformed."""
    try:
        token = _DATA.decode(incoming.fact.data).buyer
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # The library's sentence may quote what is there, which may be a buyer in clear.
        raise Malformed("What is said of the buyer is not one compact JWE.", field="data.buyer") from None
    if token is None:
        return {}
    if buyers is None:
        raise EnvelopeRefused("This process was given no keys to open what is said of the buyer.")
    plain = buyers.envelopes.open(token, incoming.record.key)
    try:
        return _SAID.decode(plain).fields()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed("What the JWE holds is not an object of texts.", field="data.buyer") from None


def _told(
    incoming: Incoming,
    fields: dict[str, str],
    placed: Mapping[UUID, dict[str, str]],
    states: Mapping[UUID, tuple[int, Order]],
) -> Told:
    fact, about = incoming.fact, None
    if fact.type != "OrderPlaced":
        # Words on a cancellation name nobody: they are of the buyer that the order has.
        about = _buyer_of(incoming.order_id, placed, states)
    return Told(
        order_id=incoming.order_id,
        seller=fact.seller,
        connection=fact.connection,
        fields=fields,
        region=fact.site.upper() if fact.site in _SITES else HOME,
        about=about,
    )


def _buyer_of(
    order_id: UUID, placed: Mapping[UUID, dict[str, str]], states: Mapping[UUID, tuple[int, Order]]
) -> Any:
    known = states.get(order_id)
    if known is not None and known[1].buyers:
        return UUID(known[1].buyers[-1].key)
    return placed.get(order_id)
