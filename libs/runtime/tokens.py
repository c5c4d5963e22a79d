"""Signed tokens (JWT): made against a key, and found good or not.

A token names its caller (`sub`), seller, role and scopes (`scope`, parted by blanks, or a list). It is good
for the audience it names, from `nbf` to `exp`, and cannot be taken back: it is short-lived instead.
"""

import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, KeySet
from pydantic import SecretStr

from libs.runtime.auth import ApiKeys, Callers, Principal, expired, unauthenticated
from libs.runtime.issuer_keys import IssuerKeys
from libs.runtime.jwe import exchange_key
from libs.runtime.settings import EVERY_SCOPE, OPERATOR, ServiceSettings, TrustedIssuer

SIGNED_WITH: Final = "ES256"
# Signatures only, by public keys only: with HMAC a public key could be taken for a shared secret.
ALGORITHMS: Final = [
    "ES256",
    "ES384",
    "ES512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "Ed25519",
]
# Clocks of two machines that are kept by NTP differ by less; RFC 7519 allows a few minutes.
SKEW_SECONDS: Final = 60
# Found good once, a token is not verified again for a minute at most: a signature costs more than all else.
REMEMBERED_SECONDS: Final = 60
REMEMBERED_MAX: Final = 1_024
TEXT_CHARACTERS_MAX: Final = 128
SCOPES_MAX: Final = 64
# What only the installation itself may grant, and never a seller's own identity provider.
INSTALLATION_SCOPES: Final = frozenset({EVERY_SCOPE, "operator", "channels:operate", "facts:stock"})


class TokenSigner:
    """Signs tokens of one issuer with the first of its keys; all of them verify, for rotation."""

    def __init__(self, keys: Sequence[SecretStr], *, issuer: str, audience: str) -> None:
        """Take private keys, each a JWK (EC, P-256, with a kid); raises ValueError on any other."""
        if not keys:
            raise ValueError("At least one key is needed.")
        self._keys = [exchange_key(key.get_secret_value()) for key in keys]
        self.public_keys = KeySet([ECKey.import_key(key.as_dict(private=False)) for key in self._keys])
        self.issuer = issuer
        self.audience = audience

    def sign(
        self, caller: Principal, scopes: frozenset[str], *, token_id: str, at: datetime, lifetime: timedelta
    ) -> str:
        """A token of the caller with these scopes, from `at` on; the caller's own are not looked at."""
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": caller.id,
            "jti": token_id,
            "iat": int(at.timestamp()),
            "nbf": int(at.timestamp()),
            "exp": int((at + lifetime).timestamp()),
            "seller": caller.seller,
            "role": caller.role,
            "scope": " ".join(sorted(scopes)),
            **({"stands_for": caller.stands_for} if caller.stands_for else {}),
        }
        key = self._keys[0]
        return jwt.encode({"alg": SIGNED_WITH, "kid": key.kid, "typ": "JWT"}, claims, key, [SIGNED_WITH])

    def jwks(self) -> list[dict[str, Any]]:
        """The public keys that its tokens are verified by, as JWKs (RFC 7517)."""
        return [
            {**key.as_dict(private=False), "use": "sig", "alg": SIGNED_WITH} for key in self.public_keys.keys
        ]


@dataclass(frozen=True, slots=True)
class _Good:
    """A token that was found good."""

    principal: Principal
    from_time: float
    until: float
    remembered_until: float


class TokenVerifier:
    """Callers by signed token, of the issuers that are trusted; implements Principals."""

    def __init__(self, issuers: Sequence[TrustedIssuer], *, own: TokenSigner | None = None) -> None:
        """`own` signs in this process: its keys need not be asked for."""
        self._own = own
        self._issuers = {each.issuer: each for each in issuers if own is None or each.issuer != own.issuer}
        self._keys = {name: IssuerKeys(each) for name, each in self._issuers.items()}
        self._good: OrderedDict[bytes, _Good] = OrderedDict()

    async def of(self, token: str, *, at: datetime | None = None) -> Principal:
        """The caller whom the token names at this instant.

        Raises the Problem 401: TOKEN_EXPIRED, or UNAUTHENTICATED with no word on what was wrong. Transient
        when the issuer's keys cannot be had.
        """
        if at is None:
            raise ValueError("A token is good or not at an instant.")
        digest = hashlib.sha256(token.encode()).digest()
        instant = at.timestamp()
        remembered = self._good.get(digest)
        if remembered is not None and remembered.from_time <= instant < remembered.remembered_until:
            if instant >= remembered.until:
                raise expired()
            return remembered.principal
        good = await self._verify(token, int(instant))
        self._good[digest] = good
        while len(self._good) > REMEMBERED_MAX:
            self._good.popitem(last=False)
        return good.principal

    async def _verify(self, token: str, instant: int) -> _Good:
        issuer, key_id = _unverified(token)
        if self._own is not None and issuer == self._own.issuer:
            keys, audience, operates = self._own.public_keys, self._own.audience, True
        elif issuer in self._issuers:
            trusted = self._issuers[issuer]
            keys, audience, operates = await self._keys[issuer].of(key_id), trusted.audience, trusted.operates
        else:
            raise _bad()
        registry = jwt.JWTClaimsRegistry(
            now=instant,
            leeway=SKEW_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            registry.validate(claims)
        except ExpiredTokenError:
            raise expired() from None
        except (JoseError, ValueError, TypeError, KeyError):
            raise _bad() from None
        return _Good(
            _principal(claims, operates=operates),
            float(claims.get("nbf", instant)) - SKEW_SECONDS,
            float(claims["exp"]) + SKEW_SECONDS,
            float(instant + REMEMBERED_SECONDS),
        )


def callers(settings: ServiceSettings) -> Callers:
    """Who may call a service that keeps no keys of its own: by the keys and issuers of its environment."""
    return Callers([ApiKeys(settings.api_keys)], TokenVerifier(settings.token_issuers))


def _unverified(token: str) -> tuple[str, str | None]:
    """The issuer and the key that the token names; nothing of it is believed yet."""
    header, claims = (_part(part) for part in token.split(".")[:2])
    issuer, key_id = claims.get("iss"), header.get("kid")
    if not isinstance(issuer, str) or not isinstance(key_id, str | None):
        raise _bad()
    return issuer, key_id


def _part(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        raise _bad() from None
    if not isinstance(found, dict):
        raise _bad()
    return found


def _principal(claims: Mapping[str, Any], *, operates: bool) -> Principal:
    scope = claims.get("scope", "")
    scopes = scope.split(" ") if isinstance(scope, str) else scope
    if not isinstance(scopes, list) or not all(isinstance(each, str) for each in scopes):
        raise _bad()
    granted = frozenset(each for each in scopes[:SCOPES_MAX] if each and len(each) <= TEXT_CHARACTERS_MAX)
    role, seller = _text(claims, "role") or "AGENT", _text(claims, "seller") or ""
    if not operates:
        granted -= INSTALLATION_SCOPES
        if not seller or role == OPERATOR:
            raise _bad()
    subject = _text(claims, "sub")
    if subject is None:
        raise _bad()
    return Principal(subject, seller, granted, role, _text(claims, "stands_for"), by_token=True)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None or value == "":
        return None
    # NUL and other controls would end in logs and in the database.
    if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX or not value.isprintable():
        raise _bad()
    return value


def _bad() -> Exception:
    # What exactly was wrong would help who guesses; the issuer's own log tells its owner.
    return unauthenticated("The bearer token is not good here.")
