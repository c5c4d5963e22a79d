"""HTTP in: short-lived signed tokens against a key, and the public keys that they are verified by."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from libs.runtime import clock
from libs.runtime.auth import caller
from libs.runtime.problems import CODES, Problem, field_problem
from libs.runtime.tokens import TokenSigner
from services.orders.registry.bodies import TokenBody
from services.orders.registry.doors import answered

# A verifier may keep the keys this long; a new key is published this long before it signs.
JWKS_SECONDS = 600


def token_routes(signer: TokenSigner | None, exchange_keys: Sequence[dict[str, Any]] = ()) -> APIRouter:
    """The doors of tokens; without a signer none are made.

    `exchange_keys` are public keys of another use, shown beside those of tokens.
    """
    router = APIRouter()

    @router.post("/v1/tokens", summary="A short-lived signed token against a key", status_code=201)
    async def make_token(request: Request, body: TokenBody) -> Response:
        who = caller(request)
        if who.by_token:
            # Otherwise one token would give the next for ever, and taking back a key would end nothing.
            raise Problem(403, CODES[403], "A token is made against a key, not against another token.")
        if signer is None:
            raise Problem(503, CODES[503], "No key for tokens is configured here; set ORDERS_TOKEN_KEYS.")
        scopes = frozenset(body.scopes) or who.scopes
        if any(not who.may(scope) for scope in scopes):
            raise field_problem("scopes", "FIELD_INVALID", "Name scopes that the key holds, or none for all.")
        at = clock.now()
        lifetime = timedelta(seconds=body.seconds)
        token = signer.sign(who, scopes, token_id=str(clock.uuid7()), at=at, lifetime=lifetime)
        expires = (at + lifetime).replace(microsecond=0)
        answer = answered(
            {
                "token": token,
                "token_type": "Bearer",
                "expires_at": expires.isoformat().replace("+00:00", "Z"),
                "caller": who.id,
                "seller": who.seller,
                "role": who.role,
                "scopes": sorted(scopes),
            },
            201,
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @router.get(
        "/.well-known/jwks.json",
        summary="The public keys: those that tokens are verified by, and those to seal to",
    )
    async def jwks() -> Response:
        answer = answered({"keys": [*(signer.jwks() if signer is not None else ()), *exchange_keys]})
        answer.headers["Cache-Control"] = f"public, max-age={JWKS_SECONDS}"
        return answer

    return router
