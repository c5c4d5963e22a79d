"""Seals bytes under keys from the environment: AES-256-GCM, bound to the names of the place they stand in.

    sealed = "J1" | key id (8) | nonce (12) | ciphertext and tag (16)

The key id is public: it says which key opens, so that keys can be rotated one after the other.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.runtime.errors import Permanent

VERSION = b"J1"
KEY_BYTES = 32
KEY_ID_BYTES = 8
# 96 bits, random: a key may seal 2^32 times before two nonces meet with a chance of 2^-32 (SP 800-38D).
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = len(VERSION) + KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES


class SealBroken(Permanent):
    """The bytes are not what was sealed here: another place, another key, or changed."""

    def __init__(self, message: str) -> None:
        super().__init__("SEAL_BROKEN", message)


class Sealer:
    """Seals under the first key and opens under any of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take keys of 32 random bytes, the one to seal with first; raises ValueError on any other."""
        if not keys:
            raise ValueError("At least one key is needed.")
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"A key has {KEY_BYTES} bytes.")
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._first = key_id(keys[0])

    @classmethod
    def from_base64(cls, keys: Sequence[str]) -> "Sealer":
        """Make a sealer of keys as the environment holds them; raises ValueError, which names no key."""
        try:
            return cls([base64.b64decode(key, validate=True) for key in keys])
        except binascii.Error:
            raise ValueError("A key is not base64.") from None

    def seal(self, plain: bytes, associated: bytes) -> bytes:
        """The plain bytes, so that they open only here, together with the same associated bytes."""
        nonce = os.urandom(NONCE_BYTES)
        head = VERSION + self._first
        return head + nonce + self._ciphers[self._first].encrypt(nonce, plain, head + associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """What was sealed; raises SealBroken, which says nothing of the content."""
        sealed_under = _key_id_of(sealed)
        cipher = self._ciphers.get(sealed_under)
        if cipher is None:
            raise SealBroken(f"Sealed under the key {sealed_under.hex()}, which is not here.")
        head, nonce, body = sealed[:10], sealed[10:22], sealed[22:]
        try:
            return cipher.decrypt(nonce, body, head + associated)
        except InvalidTag:
            raise SealBroken("The bytes were changed, or sealed for another place.") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the bytes are under the first key; those that are not are sealed anew in a rotation."""
        return _key_id_of(sealed) == self._first


def key_id(key: bytes) -> bytes:
    """The public name of a key, which tells nothing of it."""
    return hashlib.sha256(b"jejak key id\x00" + key).digest()[:KEY_ID_BYTES]


def associated(*names: str) -> bytes:
    """The names of a place as associated data; two different lists never give the same bytes."""
    parts = [name.encode() for name in names]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _key_id_of(sealed: bytes) -> bytes:
    if len(sealed) < OVERHEAD_BYTES or sealed[:2] != VERSION:
        raise SealBroken("These bytes were never sealed here.")
    return sealed[2:10]
