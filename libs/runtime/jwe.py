"""Personal data on topics: one compact JWE per record, bound to the record's key (PD-4, RFC 7516).

Our services seal to the key-encryption key that they share (A256KW), senders outside to our public key
(ECDH-ES+A256KW over P-256); the content is sealed by A256GCM. Nothing else is opened.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from libs.runtime.errors import Permanent
from libs.runtime.keys import KeyEncryptionKeys

OURS: Final = "A256KW"
THEIRS: Final = "ECDH-ES+A256KW"
CONTENT: Final = "A256GCM"
CURVE: Final = "P-256"
# `zip` is not among them: what is small when sealed stays small when opened.
# The subject is a claim that the header repeats (RFC 7519, 5.3), which this registry has not registered.
_REGISTRY: Final = jwe.JWERegistry(algorithms=[OURS, THEIRS, CONTENT], strict_check_header=False)


class EnvelopeRefused(Permanent):
    """The JWE cannot be opened here; the sentence says why and nothing of the content."""

    def __init__(self, message: str) -> None:
        super().__init__("BUYER_NOT_OPENED", message)


def _private_keys(value: Any) -> Any:
    """The private JWKs of a JSON list; what a caller gives as a tuple passes."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
        keys = [exchange_key(json.dumps(each)) for each in found]
    except (ValueError, TypeError, JoseError):
        raise ValueError("is not a JSON list of private EC keys (JWK, P-256) with a kid each") from None
    if len({key.kid for key in keys}) < len(keys):
        raise ValueError("names one kid twice")
    return tuple(SecretStr(json.dumps(each)) for each in found)


# Private keys that senders outside seal to, each a JWK; the first is the one to use, all of them open.
ExchangeKeys = Annotated[
    tuple[SecretStr, ...],
    NoDecode,
    BeforeValidator(_private_keys),
    Field(repr=False, json_schema_extra={"secret": True}),
]


def exchange_key(text: str) -> ECKey:
    """The private key of a JWK in JSON; raises ValueError on any but an EC key over P-256 with a kid."""
    key = ECKey.import_key(json.loads(text))
    if not key.is_private or key.curve_name != CURVE or not key.kid:
        raise ValueError("A private EC key over P-256 with a kid is needed.")
    return key


def new_exchange_key(kid: str) -> str:
    """A new private key as JWK in JSON, for the settings."""
    return json.dumps(ECKey.generate_key(CURVE, {"kid": kid}).as_dict(private=True))


class Envelopes:
    """Makes and opens the JWEs of personal data."""

    def __init__(self, keys: KeyEncryptionKeys, exchange: Sequence[SecretStr] = ()) -> None:
        self._first = keys.first
        self._ours = {name: OctKey.import_key(raw, {"kid": name}) for name, raw in keys.raw.items()}
        self._exchange = [exchange_key(each.get_secret_value()) for each in exchange]
        self._theirs = {str(key.kid): key for key in self._exchange}

    def seal(self, plain: bytes, subject: str) -> str:
        """The plain bytes as a compact JWE of the record with this key, under our first key."""
        header = {"alg": OURS, "enc": CONTENT, "kid": self._first, "sub": subject}
        return jwe.encrypt_compact(header, plain, self._ours[self._first], registry=_REGISTRY)

    def open(self, token: str, subject: str) -> bytes:
        """What was sealed for the record with this key; raises EnvelopeRefused."""
        try:
            opened = jwe.decrypt_compact(token, self._key_of, registry=_REGISTRY)
        except EnvelopeRefused:
            raise
        # Whatever a forged token makes the library stumble over: nothing of it was opened.
        except Exception:  # noqa: BLE001  # The same refusal for all: which one it was may help a forger.
            raise EnvelopeRefused("This is no JWE, or it was changed or sealed under another key.") from None
        if opened.protected.get("sub") != subject:
            raise EnvelopeRefused("The JWE was made for another record: its sub is not the record's key.")
        assert opened.plaintext is not None, "What was decrypted has a plain text."
        return opened.plaintext

    def _key_of(self, recipient: Any) -> OctKey | ECKey:
        """The key that the header names, of the kind that its algorithm takes."""
        header = recipient.headers()
        algorithm, kid = header.get("alg"), header.get("kid")
        found: OctKey | ECKey | None = None
        if isinstance(kid, str) and algorithm == OURS:
            found = self._ours.get(kid)
        elif isinstance(kid, str) and algorithm == THEIRS:
            found = self._theirs.get(kid)
        if found is None:
            raise EnvelopeRefused("The JWE names an algorithm or a key (kid) that is not known here.")
        return found

    def public_keys(self) -> list[dict[str, Any]]:
        """The public keys that senders outside seal to, as JWKs, the one to use first (RFC 7517)."""
        return [{**key.as_dict(private=False), "use": "enc", "alg": THEIRS} for key in self._exchange]
