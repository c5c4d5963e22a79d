"""Signed tokens: made here and found good, and those of an OIDC issuer that the tests run themselves."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from pydantic import SecretStr

from libs.runtime import issuer_keys
from libs.runtime.auth import ApiKeys, Callers, Principal
from libs.runtime.errors import Transient
from libs.runtime.jwe import new_exchange_key
from libs.runtime.problems import Problem
from libs.runtime.settings import ApiKey, TrustedIssuer
from libs.runtime.tokens import TokenSigner, TokenVerifier

NOW = datetime(2026, 3, 5, 8, tzinfo=UTC)
OWN = "http://orders.example"
WHO = Principal("key-1", "seller-1", frozenset({"orders:read", "orders:write"}), "AGENT", "person-1")


def signer(*keys: str, issuer: str = OWN) -> TokenSigner:
    made = [SecretStr(key) for key in keys or (new_exchange_key("k1"),)]
    return TokenSigner(made, issuer=issuer, audience="jejak")


def signed(by: TokenSigner, *, seconds: int = 300, scopes: tuple[str, ...] = ("orders:read",)) -> str:
    return by.sign(WHO, frozenset(scopes), token_id="t1", at=NOW, lifetime=timedelta(seconds=seconds))


async def code_of(verifier: TokenVerifier, token: str, at: datetime = NOW) -> str:
    with pytest.raises(Problem) as caught:
        await verifier.of(token, at=at)
    assert caught.value.status_code == 401
    return caught.value.code


async def test_a_token_names_caller_seller_role_and_no_more_scopes_than_it_was_given() -> None:
    own = signer()
    found = await TokenVerifier([], own=own).of(signed(own), at=NOW)
    assert found == Principal(
        "key-1", "seller-1", frozenset({"orders:read"}), "AGENT", "person-1", by_token=True
    )


async def test_a_token_ends_a_minute_after_its_end_and_not_earlier() -> None:
    own = signer()
    verifier, token = TokenVerifier([], own=own), signed(own, seconds=300)
    for seconds in (-59, 0, 299, 359):
        assert (await verifier.of(token, at=NOW + timedelta(seconds=seconds))).id == "key-1"
    for seconds in (361, 400, 86_400):
        assert await code_of(verifier, token, NOW + timedelta(seconds=seconds)) == "TOKEN_EXPIRED"
    assert await code_of(TokenVerifier([], own=own), token, NOW - timedelta(seconds=61)) == "UNAUTHENTICATED"


async def test_a_remembered_token_still_ends_in_time() -> None:
    own = signer()
    verifier, token = TokenVerifier([], own=own), signed(own, seconds=10)
    assert (await verifier.of(token, at=NOW + timedelta(seconds=50))).id == "key-1"
    assert await code_of(verifier, token, NOW + timedelta(seconds=75)) == "TOKEN_EXPIRED"


async def test_a_changed_or_foreign_token_is_not_good() -> None:
    own = signer()
    verifier = TokenVerifier([], own=own)
    head, body, signature = signed(own).split(".")
    stolen = signed(signer(issuer=OWN))
    for token in (
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.",
        "a.b.c",
        "..",
        f"{head}.bm90IGpzb24.{signature}",
        stolen,
        signed(signer(issuer="http://somebody.example")),
    ):
        assert await code_of(verifier, token) == "UNAUTHENTICATED", token


async def test_neither_no_algorithm_nor_a_shared_secret_is_taken() -> None:
    own = signer()
    claims = {"iss": OWN, "aud": "jejak", "sub": "x", "seller": "s", "exp": int(NOW.timestamp()) + 60}
    from joserfc.jwk import OctKey

    public = json.dumps(own.jwks()[0]).encode()
    forged = jwt.encode({"alg": "HS256", "kid": "k1"}, claims, OctKey.import_key(public))
    assert await code_of(TokenVerifier([], own=own), forged) == "UNAUTHENTICATED"
    none = "eyJhbGciOiJub25lIn0." + forged.split(".")[1] + "."
    assert await code_of(TokenVerifier([], own=own), none) == "UNAUTHENTICATED"


async def test_keys_can_be_changed_one_after_the_other() -> None:
    old, new = new_exchange_key("old"), new_exchange_key("new")
    before = signed(signer(old))
    both = signer(new, old)
    assert [key["kid"] for key in both.jwks()] == ["new", "old"]
    assert all("d" not in key for key in both.jwks())
    verifier = TokenVerifier([], own=both)
    assert (await verifier.of(before, at=NOW)).id == "key-1"
    assert (await verifier.of(signed(both), at=NOW)).id == "key-1"
    assert await code_of(TokenVerifier([], own=signer(new)), before) == "UNAUTHENTICATED"


async def test_keys_and_tokens_come_through_one_door() -> None:
    import hashlib

    own = signer()
    keys = ApiKeys(
        [ApiKey(id="a", sha256=hashlib.sha256(b"jejak_a").hexdigest(), scopes=frozenset({"x"}), seller="s")]
    )
    callers = Callers([keys], TokenVerifier([], own=own), now=lambda: NOW)
    assert (await callers.of("jejak_a")).role == "AGENT"
    assert (await callers.of(signed(own))).by_token
    with pytest.raises(Problem, match="not known"):
        await callers.of("jejak_b")


class Issuer:
    """An OIDC provider on this machine: discovery, keys, and tokens signed with RSA."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.claimed: str | None = None
        self.down = False
        self.keys = [RSAKey.generate_key(2048, {"kid": "r1"})]
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                body = json.dumps(issuer.answer(self.path)).encode()
                self.send_response(503 if issuer.down else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.claimed or self.url, "jwks_uri": f"{self.url}/keys"}
        return {
            "keys": [
                {"kty": "unheard-of", "kid": "u"},
                *(key.as_dict(private=False) | {"use": "sig"} for key in self.keys),
            ]
        }

    def token(self, **changed: Any) -> str:
        claims = {
            "iss": self.url,
            "aud": ["jejak", "another"],
            "sub": "person@idp",
            "seller": "seller-1",
            "role": "OWNER",
            "scope": "orders:read registry * operator",
            "iat": int(NOW.timestamp()),
            "exp": int(NOW.timestamp()) + 300,
        } | changed
        key = self.keys[-1]
        header = {"alg": "RS256", "kid": key.kid}
        return jwt.encode(header, {name: each for name, each in claims.items() if each is not None}, key)

    def trusted(self, **more: Any) -> TrustedIssuer:
        return TrustedIssuer(issuer=self.url, audience="jejak", **more)


@contextmanager
def running() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.server.shutdown()
        issuer.server.server_close()
        thread.join()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    with running() as started:
        yield started


async def test_a_token_of_an_oidc_issuer_is_taken_and_its_keys_are_asked_for_once(issuer: Issuer) -> None:
    verifier = TokenVerifier([issuer.trusted()])
    found = await asyncio.gather(*(verifier.of(issuer.token(jti=str(n)), at=NOW) for n in range(20)))
    assert {(each.id, each.seller, each.role) for each in found} == {("person@idp", "seller-1", "OWNER")}
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_an_issuer_of_people_grants_nothing_of_the_installation(issuer: Issuer) -> None:
    found = await TokenVerifier([issuer.trusted()]).of(issuer.token(), at=NOW)
    assert found.scopes == {"orders:read", "registry"}
    assert await code_of(TokenVerifier([issuer.trusted()]), issuer.token(seller=None)) == "UNAUTHENTICATED"
    assert (
        await code_of(TokenVerifier([issuer.trusted()]), issuer.token(role="OPERATOR")) == "UNAUTHENTICATED"
    )
    operating = await TokenVerifier([issuer.trusted(operates=True)]).of(issuer.token(seller=None), at=NOW)
    assert operating.may("anything")


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("aud", "another"),
        ("aud", None),
        ("exp", None),
        ("exp", "soon"),
        ("sub", None),
        ("sub", 7),
        ("sub", "a\x00b"),
        ("nbf", int(NOW.timestamp()) + 120),
        ("scope", 7),
        ("seller", ["seller-1"]),
        ("iss", "http://somebody.example"),
    ],
)
async def test_a_token_with_a_wrong_claim_is_not_good(issuer: Issuer, claim: str, value: Any) -> None:
    verifier = TokenVerifier([issuer.trusted()])
    assert await code_of(verifier, issuer.token(**{claim: value})) == "UNAUTHENTICATED"


async def test_the_clock_of_the_issuer_may_be_a_minute_off(issuer: Issuer) -> None:
    verifier = TokenVerifier([issuer.trusted()])
    ahead = issuer.token(nbf=int(NOW.timestamp()) + 59, iat=int(NOW.timestamp()) + 59)
    assert (await verifier.of(ahead, at=NOW)).id == "person@idp"
    assert await code_of(verifier, issuer.token(exp=int(NOW.timestamp()) - 61)) == "TOKEN_EXPIRED"


async def test_a_new_key_of_the_issuer_is_found_but_not_at_the_bidding_of_anybody(issuer: Issuer) -> None:
    passed = 0.0
    keys = issuer_keys.IssuerKeys(issuer.trusted(), monotonic=lambda: passed)
    assert {key.kid for key in (await keys.of("r1")).keys} == {"r1"}
    issuer.keys.append(RSAKey.generate_key(2048, {"kid": "r2"}))
    for _ in range(5):
        assert {key.kid for key in (await keys.of("r2")).keys} == {"r1"}
    assert issuer.asked.count("/keys") == 1
    passed += issuer_keys.AGAIN_SECONDS
    assert {key.kid for key in (await keys.of("r2")).keys} == {"r1", "r2"}
    assert issuer.asked.count("/keys") == 2


async def test_keys_outlive_a_fault_of_their_issuer_but_not_for_ever(issuer: Issuer) -> None:
    passed = 0.0
    keys = issuer_keys.IssuerKeys(issuer.trusted(), monotonic=lambda: passed)
    await keys.of("r1")
    issuer.down = True
    passed += issuer_keys.FRESH_SECONDS + 1
    assert {key.kid for key in (await keys.of("r1")).keys} == {"r1"}
    passed += issuer_keys.STALE_SECONDS_MAX
    with pytest.raises(Transient):
        await keys.of("r1")


async def test_an_issuer_that_never_answered_is_no_fault_of_the_caller(issuer: Issuer) -> None:
    issuer.down = True
    with pytest.raises(Transient):
        await TokenVerifier([issuer.trusted()]).of(issuer.token(), at=NOW)


async def test_a_document_of_another_issuer_is_not_believed(issuer: Issuer) -> None:
    issuer.claimed = "http://somebody.example"
    with pytest.raises(Transient):
        await TokenVerifier([issuer.trusted()]).of(issuer.token(), at=NOW)


async def test_keys_may_stand_at_an_address_of_their_own(issuer: Issuer) -> None:
    verifier = TokenVerifier([issuer.trusted(jwks_url=f"{issuer.url}/elsewhere")])
    assert (await verifier.of(issuer.token(), at=NOW)).id == "person@idp"
    assert issuer.asked == ["/elsewhere"]


def test_a_signer_takes_private_keys_of_one_kind_only() -> None:
    public = json.dumps(ECKey.generate_key("P-256", {"kid": "p"}).as_dict(private=False))
    for wrong in (public, json.dumps(ECKey.generate_key("P-384", {"kid": "p"}).as_dict(private=True))):
        with pytest.raises(ValueError, match="private EC key"):
            signer(wrong)
