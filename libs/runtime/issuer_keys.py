"""The public keys of an issuer: found by OIDC discovery or at a given address, and kept for a while.

A token that names an unknown key makes them be read again, but not oftener than every 30 s: otherwise anybody
could make this service ask the issuer at will.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx
import orjson
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from libs.runtime import clock
from libs.runtime.errors import Transient
from libs.runtime.settings import TrustedIssuer

log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 600.0
AGAIN_SECONDS: Final = 30.0
# While the issuer does not answer, keys that were good are so for a day: its fault is not the caller's.
STALE_SECONDS_MAX: Final = 86_400.0
ANSWER_SECONDS_MAX: Final = 3.0
ANSWER_BYTES_MAX: Final = 262_144


class IssuerKeys:
    """The keys of one issuer; `of` may be called by many tasks at once, and one of them asks."""

    def __init__(self, issuer: TrustedIssuer, *, monotonic: Callable[[], float] = clock.monotonic) -> None:
        self._issuer = issuer
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._keys: KeySet | None = None
        self._read_at = 0.0
        self._asked_at: float | None = None

    async def of(self, key_id: str | None) -> KeySet:
        """The issuer's keys, read anew when this one is not among them.

        Raises Transient when there are none and the issuer does not give them.
        """
        if (keys := self._fresh(key_id)) is not None:
            return keys
        async with self._lock:
            # Another task may have read them while this one waited.
            if (keys := self._fresh(key_id)) is not None:
                return keys
            if self._may_ask():
                await self._ask()
            if self._keys is None or self._monotonic() - self._read_at > STALE_SECONDS_MAX:
                raise Transient("The issuer of the token does not give its keys.")
            return self._keys

    def _fresh(self, key_id: str | None) -> KeySet | None:
        if self._keys is None or self._monotonic() - self._read_at > FRESH_SECONDS:
            return None
        known = key_id is None or any(key.kid == key_id for key in self._keys.keys)
        return self._keys if known or not self._may_ask() else None

    def _may_ask(self) -> bool:
        return self._asked_at is None or self._monotonic() - self._asked_at >= AGAIN_SECONDS

    async def _ask(self) -> None:
        self._asked_at = self._monotonic()
        try:
            async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, follow_redirects=False) as client:
                address = self._issuer.jwks_url or await self._discover(client)
                self._keys = _public_keys(await _get(client, address))
        except (httpx.HTTPError, httpx.InvalidURL, JoseError, ValueError, TypeError, KeyError) as fault:
            # An answer may quote anything; the kind of fault is enough.
            log.warning("issuer_keys_not_read", issuer=self._issuer.issuer, fault=type(fault).__name__)
            return
        self._read_at = self._monotonic()

    async def _discover(self, client: httpx.AsyncClient) -> str:
        base = self._issuer.issuer
        found = await _get(client, f"{base.rstrip('/')}/.well-known/openid-configuration")
        address = found["jwks_uri"]
        # OIDC Discovery 4.3: a document of another issuer is none of this one.
        if found["issuer"] != base:
            raise ValueError("The document names another issuer.")
        if not isinstance(address, str) or not address.startswith(
            ("https://", "http://") if base.startswith("http://") else "https://"
        ):
            raise ValueError("The keys are not where an issuer may keep them.")
        return address


async def _get(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    """The JSON object at the address; raises ValueError or an httpx.HTTPError."""
    read = bytearray()
    async with client.stream("GET", address, headers={"accept": "application/json"}) as answer:
        answer.raise_for_status()
        async for part in answer.aiter_bytes():
            read += part
            if len(read) > ANSWER_BYTES_MAX:
                raise ValueError("The answer is too large.")
    found = orjson.loads(bytes(read))
    if not isinstance(found, dict):
        raise ValueError("The answer is no object.")  # noqa: TRY004 - what came is wrong, not this program
    return found


def _public_keys(found: dict[str, Any]) -> KeySet:
    """The signing keys of a set; those of a kind that is not known here are passed over (RFC 7517, 5)."""
    usable = [
        key
        for key in found["keys"]
        if key.get("kty") in {"RSA", "EC", "OKP"} and key.get("use", "sig") == "sig"
    ]
    if not usable:
        raise ValueError("The issuer has no key for signatures.")
    return KeySet.import_key_set({"keys": usable})
