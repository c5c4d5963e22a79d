"""Who calls and what they may: bearer keys, known by their hash only, with scopes and a seller."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from starlette.requests import Request

from libs.runtime import clock
from libs.runtime.problems import Problem
from libs.runtime.settings import ApiKey

EVERY_SCOPE = "*"
# A key is 43 characters of base64url; a JWT is a few kilobytes at most.
TOKEN_CHARACTERS_MAX = 8_192


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose key or token was found good."""

    id: str
    seller: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return EVERY_SCOPE in self.scopes or scope in self.scopes


class Principals(Protocol):
    """Whatever can tell the caller of a bearer token."""

    async def of(self, token: str) -> Principal:
        """The caller that this token speaks for; raises the Problem 401 when there is none."""


class ApiKeys:
    """Callers by API key. Keys carry at least 128 random bits, so one plain SHA-256 is enough."""

    def __init__(self, keys: Sequence[ApiKey], *, now: Callable[[], datetime] = clock.now) -> None:
        self._keys = tuple(keys)
        self._now = now

    async def of(self, token: str) -> Principal:
        digest = hashlib.sha256(token.encode()).hexdigest()
        found: ApiKey | None = None
        # Every key is compared, each in constant time, so that time tells nothing of which was close.
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        if found is None:
            raise unauthenticated("The bearer token is not known.")
        if found.expired(self._now()):
            raise unauthenticated("The bearer token has expired.", code="TOKEN_EXPIRED")
        return Principal(found.id, found.seller, found.scopes)


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header; raises the Problem 401 when it holds none."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > TOKEN_CHARACTERS_MAX:
        raise unauthenticated("A bearer token is needed.")
    return token


def unauthenticated(detail: str, *, code: str = "UNAUTHENTICATED") -> Problem:
    return Problem(401, code, detail, headers={"WWW-Authenticate": "Bearer"})


def caller(request: Request) -> Principal:
    """The caller of this request; the shell has let in nobody without one but at the open doors."""
    principal = request.scope.get("state", {}).get("principal")
    if not isinstance(principal, Principal):
        raise unauthenticated("A bearer token is needed.")
    return principal


def require(scope: str) -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency: the caller, who may do this; raises NOT_PERMITTED (403) otherwise."""

    # A coroutine is called on the loop itself; a plain function would cost a thread per request.
    async def permitted(request: Request) -> Principal:
        principal = caller(request)
        if not principal.may(scope):
            raise Problem(403, "NOT_PERMITTED", f"The scope {scope} is needed.")
        return principal

    return permitted
