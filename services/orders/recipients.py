"""Who receives an order's goods: what a command says of it, opened and sealed (PD-2, PD-4)."""

from typing import Any, Final
from uuid import UUID

import msgspec

from libs.runtime.jwe import EnvelopeRefused
from services.orders.buyers import Buyers, SealedBuyer, Told
from services.orders.inputs import FIELD_INVALID, Unreadable
from services.orders.order.commands import Command, Recipient
from services.orders.order.input import FieldFault
from services.orders.order.model import Order
from services.orders.order.words import Sealed

FIELD: Final = "recipient"
# By the field of a command, under which names a buyer's data is kept; who orders by hand is who receives.
_KEPT_AS: Final = {
    "name": ("name", "recipient"),
    "phone": ("phone", "recipient_phone"),
    "email": ("email",),
    "address": ("address",),
    "district": ("district",),
    "postal_code": ("postal_code",),
    "note": ("note",),
}

# Free text is a buyer's data, whatever it says (17.1): by command its field, and the name it is kept under.
_TEXTS: Final = {
    "SendCustomerChat": ("text", "note"),
    "RequestCancellation": ("note", "note"),
    "HoldOrder": ("reason", "reason"),
    "RecordCredit": ("reason", "reason"),
    "OpenReturnCase": ("reason", "reason"),
}


def opened(buyers: Buyers | None, body: dict[str, Any], subject: str) -> dict[str, Any]:
    """The body of a record with its recipient opened. Raises Unreadable.

    A recipient in clear is refused: topics carry no data of a buyer that readers of the topic could read.
    """
    told = body.get(FIELD)
    if told is None:
        return body
    if not isinstance(told, str) or buyers is None:
        sentence = "Seal it: one compact JWE of the object, to the key at /.well-known/jwks.json."
        raise Unreadable(FieldFault(FIELD, FIELD_INVALID, sentence))
    try:
        found = msgspec.json.decode(buyers.envelopes.open(told, subject))
    except EnvelopeRefused as fault:
        raise Unreadable(FieldFault(FIELD, FIELD_INVALID, str(fault))) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable(FieldFault(FIELD, FIELD_INVALID, "What was sealed is no JSON object.")) from None
    return {**body, FIELD: found}


async def sealed(buyers: Buyers | None, command: Command, order_id: UUID, seller: str) -> SealedBuyer | None:
    """What the command says of a recipient, sealed under the buyer's key; None when it says nothing.

    Raises Transient when the keys cannot be had.
    """
    recipient = getattr(command, FIELD, None)
    if buyers is None or not isinstance(recipient, Recipient):
        return None
    fields = {
        name: value
        for field, names in _KEPT_AS.items()
        if (value := getattr(recipient, field))
        for name in names
    }
    [found] = await buyers.seal([Told(order_id=order_id, seller=seller, fields=fields)])
    return found


async def sealed_text(
    buyers: Buyers | None, command: Command, order_id: UUID, order: Order | None, seller: str
) -> Sealed | None:
    """The free text of the command, sealed under the key of the order's buyer; None when there is none.

    Raises Transient when the keys cannot be had.
    """
    field, kept_as = _TEXTS.get(type(command).__name__, ("", ""))
    text = getattr(command, field, "") if field else ""
    if buyers is None or not text.strip():
        return None
    about = UUID(order.buyers[-1].key) if order is not None and order.buyers else None
    connection = "" if order is None else order.connection
    told = Told(order_id=order_id, seller=seller, connection=connection, fields={kept_as: text}, about=about)
    [found] = await buyers.seal([told])
    return None if found is None else found.sealed
