"""Keys of the environment: whose they are, in which role, and what opens a door."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.requests import Request

from libs.runtime.auth import ApiKeys, Principal, require
from libs.runtime.problems import Problem
from libs.runtime.settings import ApiKey, ServiceSettings, TrustedIssuer

NOW = datetime(2026, 3, 5, 8, tzinfo=UTC)


def configured(**given: Any) -> ApiKey:
    digest = hashlib.sha256(b"jejak_x").hexdigest()
    return ApiKey.model_validate({"id": "x", "sha256": digest, "scopes": ["orders:read"], **given})


def asked_by(principal: Principal) -> Request:
    return Request({"type": "http", "headers": [], "state": {"principal": principal}})


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ({"scopes": ["*"]}, "OWNER"),
        ({}, "AGENT"),
        ({"role": "INTAKE", "scopes": ["intake"]}, "INTAKE"),
        ({"role": "GATEWAY", "scopes": ["*"]}, "GATEWAY"),
    ],
)
async def test_a_key_without_a_role_is_the_owners_if_it_may_everything(
    given: dict[str, Any], role: str
) -> None:
    found = await ApiKeys([configured(seller="s", **given)]).of("jejak_x", at=NOW)
    assert (found.role, found.seller, found.by_token) == (role, "s", False)


async def test_only_an_operators_key_is_of_no_seller() -> None:
    for given in ({}, {"seller": ""}, {"role": "OWNER"}):
        with pytest.raises(ValidationError, match="needs a seller"):
            configured(**given)
    found = await ApiKeys([configured(role="OPERATOR", scopes=["operator"])]).of("jejak_x", at=NOW)
    assert (found.role, found.seller) == ("OPERATOR", "")


async def test_a_key_is_looked_at_as_of_the_instant_that_is_asked_for() -> None:
    keys = ApiKeys([configured(seller="s", expires_at=NOW)], now=lambda: NOW)
    assert (await keys.of("jejak_x", at=NOW.replace(hour=7))).id == "x"
    with pytest.raises(Problem) as caught:
        await keys.of("jejak_x")
    assert (caught.value.status_code, caught.value.code) == (401, "TOKEN_EXPIRED")


async def test_a_door_opens_to_any_one_of_its_scopes_and_to_no_other() -> None:
    door = require("orders:read", "analyst")
    for scopes in ({"orders:read"}, {"analyst"}, {"*"}):
        caller = Principal("x", "s", frozenset(scopes))
        assert await door(asked_by(caller)) is caller
    for scopes in (set[str](), {"orders:write"}, {"orders"}):
        with pytest.raises(Problem) as caught:
            await door(asked_by(Principal("x", "s", frozenset(scopes))))
        assert (caught.value.status_code, caught.value.code) == (403, "NOT_PERMITTED")


def test_issuers_are_read_from_json_and_named_once() -> None:
    one = {"issuer": "https://id.example", "audience": "jejak"}
    given: dict[str, Any] = {"database_url": "postgresql://u:p@h/d", "api_keys": "[]"}
    found = ServiceSettings(**given | {"token_issuers": json.dumps([one])})
    assert found.token_issuers == (TrustedIssuer.model_validate(one),)
    assert not found.token_issuers[0].operates
    for wrong in ([one, one], [{**one, "issuer": "ftp://id.example"}], [{**one, "audience": ""}]):
        with pytest.raises(ValidationError):
            ServiceSettings(**given | {"token_issuers": json.dumps(wrong)})
