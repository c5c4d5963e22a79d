"""The JWE of personal data: who can open it, for which record, and what else is refused (PD-4)."""

import base64
import json
import os
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey
from pydantic import SecretBytes, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.runtime.jwe import EnvelopeRefused, Envelopes, ExchangeKeys, new_exchange_key
from libs.runtime.keys import KeyEncryptionKeys, NamedKey

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PLAIN, RECORD = b'{"name":"Sari Contoh"}', "connection:712345678901001"
REGISTRY = jwe.JWERegistry(
    algorithms=["A256KW", "A128KW", "dir", "ECDH-ES", "ECDH-ES+A256KW", "A256GCM", "A128GCM", "DEF"],
    strict_check_header=False,
)


def envelopes(*keys: tuple[str, bytes], exchange: tuple[str, ...] = ()) -> Envelopes:
    named = [NamedKey(id=name, key=SecretBytes(key)) for name, key in keys]
    return Envelopes(KeyEncryptionKeys(named), [SecretStr(each) for each in exchange])


def header_of(token: str) -> dict[str, Any]:
    part = token.partition(".")[0]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_a_sealed_body_is_one_compact_jwe_bound_to_its_record() -> None:
    token = envelopes(("2026-01", OLD)).seal(PLAIN, RECORD)
    assert token.count(".") == 4
    assert header_of(token) == {"alg": "A256KW", "enc": "A256GCM", "kid": "2026-01", "sub": RECORD}
    assert envelopes(("2026-01", OLD)).open(token, RECORD) == PLAIN


def test_any_live_key_opens_and_the_first_seals() -> None:
    token = envelopes(("a", OLD)).seal(PLAIN, RECORD)
    both = envelopes(("b", NEW), ("a", OLD))
    assert both.open(token, RECORD) == PLAIN
    assert header_of(both.seal(PLAIN, RECORD))["kid"] == "b"


def test_it_opens_for_no_other_record() -> None:
    token = envelopes(("a", OLD)).seal(PLAIN, RECORD)
    with pytest.raises(EnvelopeRefused, match="another record"):
        envelopes(("a", OLD)).open(token, "connection:other")


@pytest.mark.parametrize("part", range(5))
def test_any_change_is_found_and_told_without_content(part: int) -> None:
    parts = envelopes(("a", OLD)).seal(PLAIN, RECORD).split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
    raw[-1] ^= 1
    parts[part] = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    with pytest.raises(EnvelopeRefused) as refused:
        envelopes(("a", OLD)).open(".".join(parts), RECORD)
    assert refused.value.reason == "BUYER_NOT_OPENED"
    assert "Sari" not in str(refused.value)


@pytest.mark.parametrize(
    "token", ["", "a.b.c.d.e", "....", "x" * 100_000, "e30.AAAA", '{"name": "Sari"}', "é.é.é.é.é"]
)
def test_what_is_no_jwe_is_refused(token: str) -> None:
    with pytest.raises(EnvelopeRefused):
        envelopes(("a", OLD)).open(token, RECORD)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "dir", "enc": "A256GCM"},
        {"alg": "A256KW", "enc": "A128GCM"},
        {"alg": "A256KW", "enc": "A256GCM", "zip": "DEF"},
        {"alg": "A256KW", "enc": "A256GCM", "kid": "unknown"},
    ],
)
def test_other_algorithms_and_keys_are_not_opened(header: dict[str, Any]) -> None:
    full = {"kid": "a", "sub": RECORD} | header
    token = jwe.encrypt_compact(full, PLAIN, OctKey.import_key(OLD), registry=REGISTRY)
    with pytest.raises(EnvelopeRefused):
        envelopes(("a", OLD)).open(token, RECORD)


def test_pd_4_a_sender_outside_seals_to_the_public_key() -> None:
    ours = envelopes(("a", OLD), exchange=(new_exchange_key("2026-e1"),))
    (public,) = ours.public_keys()
    assert public.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": "2026-e1", "sub": RECORD}
    token = jwe.encrypt_compact(header, PLAIN, ECKey.import_key(public), registry=REGISTRY)
    assert ours.open(token, RECORD) == PLAIN
    with pytest.raises(EnvelopeRefused):
        envelopes(("a", OLD)).open(token, RECORD)


def test_a_public_key_opens_nothing_under_the_algorithm_of_secret_keys() -> None:
    ours = envelopes(("a", OLD), exchange=(new_exchange_key("e"),))
    header = {"alg": "A256KW", "enc": "A256GCM", "kid": "e", "sub": RECORD}
    token = jwe.encrypt_compact(header, PLAIN, OctKey.import_key(os.urandom(32)), registry=REGISTRY)
    with pytest.raises(EnvelopeRefused):
        ours.open(token, RECORD)


class Holder(BaseSettings):
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    keys: ExchangeKeys = ()


def test_exchange_keys_are_read_from_a_json_list() -> None:
    one = new_exchange_key("e1")
    held = Holder.model_validate({"keys": f"[{one}]"})
    assert [json.loads(each.get_secret_value())["kid"] for each in held.keys] == ["e1"]
    assert json.loads(one)["d"] not in repr(held)


@pytest.mark.parametrize("wrong", ["{", "[1]", "[{}]", '[{"kty":"oct","k":"AAAA","kid":"a"}]'])
def test_wrong_exchange_keys_are_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"keys": wrong})
