"""Keys that protect keys: the key-encryption keys of the environment, and what is wrapped under them (PD-3).

    key-encryption key -> key of a shop or a seller -> key of a buyer -> a field

Several key-encryption keys may live: the first wraps, all of them unwrap, so that they can be rotated.
"""

import base64
import binascii
import os
import re
from collections.abc import Sequence
from typing import Annotated, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretBytes
from pydantic_settings import NoDecode

from libs.runtime.errors import Transient
from libs.runtime.sealing import KEY_BYTES, NONCE_BYTES, TAG_BYTES, SealBroken, associated

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
_PURPOSE = b"jejak wraps keys"


class NamedKey(BaseModel):
    """A key-encryption key with the id that envelopes and wrapped keys name it by."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str
    key: Annotated[SecretBytes, Field(repr=False)]


def _named(value: Any) -> Any:
    """The keys of a text `id:base64,id:base64`; what a caller gives as objects passes."""
    if not isinstance(value, str):
        return value
    found = [_one(part.strip()) for part in value.split(",") if part.strip()]
    if len({each["id"] for each in found}) < len(found):
        raise ValueError("names one id twice")
    return found


def _one(part: str) -> dict[str, Any]:
    name, colon, text = part.partition(":")
    if not colon or not _KEY_ID.fullmatch(name):
        raise ValueError("holds a key without an id: write id:base64, the id of letters, digits, . _ and -")
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("holds a key that is not base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError("holds a key that is not 32 bytes")
    return {"id": name, "key": key}


# The field that orders and channels share: both must hold the same keys.
NamedKeys = Annotated[
    tuple[NamedKey, ...],
    NoDecode,
    BeforeValidator(_named),
    Field(
        min_length=1, validation_alias="KEY_ENCRYPTION_KEYS", repr=False, json_schema_extra={"secret": True}
    ),
]


class KeyGone(Transient):
    """What is wrapped here needs a key-encryption key that this process was not given."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"The key-encryption key {key_id} is not among KEY_ENCRYPTION_KEYS.")
        self.key_id = key_id


class KeyCipher:
    """AES-256-GCM under one key, which the place of the bytes names: nonce (12) | ciphertext | tag (16)."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 random bytes; raises ValueError on any other."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"A key has {KEY_BYTES} bytes.")
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """The plain bytes, so that they open only under this key and with the same place."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What was sealed for this place; raises SealBroken, which says nothing of the content."""
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise SealBroken("These bytes were never sealed here.")
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except InvalidTag:
            raise SealBroken("The bytes were changed, or sealed for another place.") from None


class KeyEncryptionKeys:
    """Wraps keys under the first key-encryption key and unwraps under any of them."""

    def __init__(self, keys: Sequence[NamedKey]) -> None:
        """Take the keys as the settings hold them, the one to wrap with first; raises ValueError on none."""
        if not keys:
            raise ValueError("At least one key-encryption key is needed.")
        self.first = keys[0].id
        self.raw = {each.id: each.key.get_secret_value() for each in keys}
        self._ciphers = {name: KeyCipher(_derived(key)) for name, key in self.raw.items()}

    def wrap(self, key: bytes, name: str) -> tuple[str, bytes]:
        """The id of the key-encryption key used, and the key wrapped; it opens under this name only."""
        return self.first, self._ciphers[self.first].seal(key, associated("wrapped key", name, self.first))

    def unwrap(self, key_id: str, wrapped: bytes, name: str) -> bytes:
        """The key that was wrapped under this name.

        Raises KeyGone when the key-encryption key is not here, SealBroken when the bytes are another's.
        """
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyGone(key_id)
        return cipher.open(wrapped, associated("wrapped key", name, key_id))


def _derived(key: bytes) -> bytes:
    # The key itself wraps the keys of JWEs (A256KW); no key serves two algorithms (SP 800-57, 5.2).
    return HKDFExpand(SHA256(), KEY_BYTES, _PURPOSE).derive(key)
