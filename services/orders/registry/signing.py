"""What the registry seals and signs with, made of the settings."""

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from pydantic import SecretStr

from libs.runtime.keys import NamedKey
from libs.runtime.sealing import KEY_BYTES, Sealer
from libs.runtime.tokens import TokenSigner

# For whom tokens are that orders signs: all services of the installation.
AUDIENCE: Final = "jejak"
_PURPOSE: Final = b"jejak registry numbers"


def signer_of(keys: Sequence[SecretStr], issuer: str) -> TokenSigner | None:
    """What signs tokens; None when no key or no issuer is set."""
    return TokenSigner(keys, issuer=issuer, audience=AUDIENCE) if keys and issuer else None


def sealer_of(keys: Sequence[NamedKey]) -> Sealer:
    """What seals taxpayers' numbers, under keys of their own made of the key-encryption keys."""
    # A key-encryption key wraps keys; what seals something else is derived from it for that one purpose.
    return Sealer(
        [HKDFExpand(SHA256(), KEY_BYTES, _PURPOSE).derive(each.key.get_secret_value()) for each in keys]
    )
