"""Tokopedia's encrypted buyer data (tokopedia.md A3.5): opened with our keys and merged into the order.

Our public key is public, so anyone can seal a block: only the objects about people are taken from one.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.channels.marketplace import Malformed, parse

_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)

# The plaintext mirrors the order's own keys; these are about people in the three shapes of an order.
_PERSONAL = frozenset({"customer", "buyer", "recipient", "buyer_info"})
_DESTINATION = ("order_info", "destination")


def opened(
    order: Mapping[str, Any], private_keys: Sequence[rsa.RSAPrivateKey]
) -> tuple[dict[str, Any], bool]:
    """The order with its buyer's data in clear, and whether all of it could be read.

    Old keys are tried too, newest first. A block that no key opens leaves the order as it is: its personal
    data is missing, the order goes on (IN-15). Blank values never overwrite (CN-06).
    """
    block = order.get("encryption")
    if not isinstance(block, Mapping) or not (block.get("secret") or block.get("content")):
        return dict(order), True
    for key in private_keys:
        plain = _plaintext(block, key)
        if plain is not None:
            return _with_people(order, plain), True
    return dict(order), False


def _plaintext(block: Mapping[str, Any], key: rsa.RSAPrivateKey) -> Mapping[str, Any] | None:
    """What the block holds, or None if this key does not open it or it is no JSON object."""
    secret, content = block.get("secret"), block.get("content")
    if not isinstance(secret, str) or not isinstance(content, str):
        return None
    try:
        aes_key = key.decrypt(base64.b64decode(secret, validate=True), _OAEP)
        sealed = base64.b64decode(content, validate=True)
        if len(aes_key) != _KEY_BYTES or len(sealed) < _NONCE_BYTES + _TAG_BYTES:
            return None
        # The nonce stands at the end (K11).
        value = parse(AESGCM(aes_key).decrypt(sealed[-_NONCE_BYTES:], sealed[:-_NONCE_BYTES], None))
    except (ValueError, InvalidTag, Malformed):
        return None
    return value if isinstance(value, dict) else None


def _with_people(order: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    people = {name: value for name, value in plain.items() if name.lower() in _PERSONAL}
    outer, inner = _DESTINATION
    around = plain.get(outer)
    if isinstance(around, dict) and inner in around:
        people[outer] = {inner: around[inner]}
    return _merged(order, people)


def _merged(clear: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Merged key by key, without regard to case; an object is never replaced as a whole."""
    names = {name.lower(): name for name in clear}
    merged = dict(clear)
    for name, value in plain.items():
        own = names.get(name.lower(), name)
        known = merged.get(own)
        if isinstance(value, dict):
            if known is None or isinstance(known, dict):
                merged[own] = _merged(known or {}, value)
        elif (
            isinstance(known, dict | list) or value is None or (isinstance(value, str) and not value.strip())
        ):
            continue
        else:
            merged[own] = value
    return merged
