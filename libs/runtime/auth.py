"""Who calls and what they may: bearer keys, known by their hash only, and signed tokens.

Every caller has an id, a seller (an operator has none), a role and scopes. What a role may do is for the
service to say.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from starlette.requests import Request

from libs.runtime import clock
from libs.runtime.problems import Problem
from libs.runtime.settings import EVERY_SCOPE, ApiKey

# A key is 43 characters of base64url; a JWT is a few kilobytes at most.
TOKEN_CHARACTERS_MAX = 8_192


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose key or token was found good.

    `stands_for` is the person, courier or gateway that a key was made for. `by_token` says that the caller
    brought a signed token and not a key.
    """

    id: str
    seller: str
    scopes: frozenset[str]
    role: str = ""
    stands_for: str | None = None
    by_token: bool = False

    @property
    def stands_as(self) -> str:
        """Who is kept with what the caller does: whom its key is for, else the key itself."""
        return self.stands_for or self.id

    def may(self, scope: str) -> bool:
        return EVERY_SCOPE in self.scopes or scope in self.scopes


class Principals(Protocol):
    """Whatever can tell the caller of a bearer token."""

    async def of(self, token: str, *, at: datetime | None = None) -> Principal:
        """The caller that this token speaks for at this instant, now without one.

        Raises the Problem 401 when there is none, and Transient when that cannot be known now.
        """


class KeySource(Protocol):
    """A place where keys are kept."""

    async def find(self, key: str, at: datetime) -> Principal | None:
        """The caller of this key, None if it is not kept here; the Problem 401 if it is no longer good."""


class ApiKeys:
    """Callers by API key. Keys carry at least 128 random bits, so one plain SHA-256 is enough."""

    def __init__(self, keys: Sequence[ApiKey], *, now: Callable[[], datetime] = clock.now) -> None:
        self._keys = tuple(keys)
        self._now = now

    async def of(self, token: str, *, at: datetime | None = None) -> Principal:
        found = await self.find(token, at or self._now())
        if found is None:
            raise unauthenticated("The bearer token is not known.")
        return found

    async def find(self, key: str, at: datetime) -> Principal | None:
        digest = hashlib.sha256(key.encode()).hexdigest()
        found: ApiKey | None = None
        # Every key is compared, each in constant time, so that time tells nothing of which was close.
        for each in self._keys:
            if hmac.compare_digest(each.sha256, digest):
                found = each
        if found is None:
            return None
        if found.expired(at):
            raise expired()
        return Principal(found.id, found.seller, found.scopes, found.role, found.stands_for)


class Callers:
    """Callers by key, from several places, and by signed token."""

    def __init__(
        self,
        keys: Sequence[KeySource],
        tokens: Principals,
        *,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._keys = tuple(keys)
        self._tokens = tokens
        self._now = now

    async def of(self, token: str, *, at: datetime | None = None) -> Principal:
        instant = at or self._now()
        # A key is base64url and holds no point; a signed token has three parts with points between them.
        if token.count(".") == 2:
            return await self._tokens.of(token, at=instant)
        for source in self._keys:
            found = await source.find(token, instant)
            if found is not None:
                return found
        raise unauthenticated("The bearer token is not known.")


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header; raises the Problem 401 when it holds none."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > TOKEN_CHARACTERS_MAX:
        raise unauthenticated("A bearer token is needed.")
    return token


def unauthenticated(detail: str, *, code: str = "UNAUTHENTICATED") -> Problem:
    return Problem(401, code, detail, headers={"WWW-Authenticate": "Bearer"})


def expired() -> Problem:
    return unauthenticated("The bearer token has expired.", code="TOKEN_EXPIRED")


def caller(request: Request) -> Principal:
    """The caller of this request; the shell has let in nobody without one but at the open doors."""
    principal = request.scope.get("state", {}).get("principal")
    if not isinstance(principal, Principal):
        raise unauthenticated("A bearer token is needed.")
    return principal


def require(*scopes: str) -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency: the caller, who holds one of the scopes; raises NOT_PERMITTED (403) otherwise."""

    # A coroutine is called on the loop itself; a plain function would cost a thread per request.
    async def permitted(request: Request) -> Principal:
        principal = caller(request)
        if not any(principal.may(scope) for scope in scopes):
            raise Problem(403, "NOT_PERMITTED", f"The scope {' or '.join(scopes)} is needed.")
        return principal

    return permitted
