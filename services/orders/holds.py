"""Signed stock holds: what inventory vouches for, checked without asking anybody (CR-15).

A hold is a compact JWS with the payload {"id", "seller", "expires_at", "lines": [{"sku" (else "product"),
"quantity", "warehouse"}]}, signed with EdDSA or ES256 by one of the keys that the settings name.
"""

import warnings
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet
from msgspec import Meta, Struct
from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from services.orders.order.commands import HeldLine, Hold

# Inventory signs holds of at most this size; a longer text is none of its.
HOLD_CHARACTERS_MAX: Final = 65_536
ALGORITHMS: Final = ["EdDSA", "Ed25519", "ES256"]
Text = Annotated[str, Meta(min_length=1, max_length=128)]


class _Line(Struct, frozen=True, kw_only=True):
    """Units of one product that are claimed in one warehouse."""

    quantity: Annotated[int, Meta(ge=1)]
    warehouse: Text
    sku: str = ""
    product: str = ""


class _Signed(Struct, frozen=True, kw_only=True):
    """What inventory signs."""

    id: Text
    seller: Text
    expires_at: Annotated[datetime, Meta(tz=True)]
    lines: Annotated[tuple[_Line, ...], Meta(min_length=1, max_length=1_000)]


class HoldFalse(ValueError):
    """The text is not a hold that inventory signed for this seller; the message never quotes it."""


def _keys(value: Any) -> Any:
    """The public keys of a JSON list; what a caller gives as a tuple passes."""
    if not isinstance(value, str):
        return value
    try:
        found = msgspec.json.decode(value, type=list[dict[str, str | list[str]]])
    except msgspec.DecodeError:
        raise ValueError("is not a JSON list of public keys (JWK)") from None
    HoldKeys(found)
    return tuple(found)


# The public keys that inventory signs holds with, for the settings.
PublicKeys = Annotated[tuple[dict[str, str | list[str]], ...], NoDecode, BeforeValidator(_keys)]

_DECODER = msgspec.json.Decoder(_Signed)


class HoldKeys:
    """The public keys that holds are signed with; several, so that they can be rotated."""

    def __init__(self, keys: Sequence[dict[str, str | list[str]]]) -> None:
        """Take public keys as JWK objects; raises ValueError, which quotes no key, on any that is none."""
        try:
            self._keys = KeySet.import_key_set({"keys": list(keys)}) if keys else None
        except (JoseError, KeyError, TypeError, ValueError):
            raise ValueError("holds a key that is no public JWK") from None

    def verify(self, token: str, seller: str) -> Hold:
        """The hold, if its signature is good and it is this seller's. Raises HoldFalse.

        Whether it still runs and covers the lines is the decider's question.
        """
        if self._keys is None:
            raise HoldFalse("No key is configured that a hold could be verified with.")
        if len(token) > HOLD_CHARACTERS_MAX:
            raise HoldFalse(f"A hold has at most {HOLD_CHARACTERS_MAX} characters.")
        try:
            with warnings.catch_warnings():
                # RFC 9864 has renamed EdDSA to Ed25519; many libraries sign under the old name still.
                warnings.simplefilter("ignore", SecurityWarning)
                signed = jws.deserialize_compact(token, self._keys, algorithms=ALGORITHMS)
            said = _DECODER.decode(signed.payload)
        except (JoseError, ValueError, TypeError, KeyError):
            raise HoldFalse("The hold is not signed by inventory; ask it for a new one.") from None
        if said.seller != seller:
            # Another seller's hold reads like a false one, so that nothing is learnt of it.
            raise HoldFalse("The hold is not signed by inventory; ask it for a new one.")
        held = tuple(
            HeldLine(key=line.sku or line.product, quantity=line.quantity, warehouse=line.warehouse)
            for line in said.lines
        )
        return Hold(id=said.id, lines=held, expires_at=said.expires_at)
