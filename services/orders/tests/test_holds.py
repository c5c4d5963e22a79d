"""Signed stock holds (CR-15): whose signature counts, for whom, and what a false one tells."""

import json
import warnings
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey

from services.orders.holds import HOLD_CHARACTERS_MAX, HoldFalse, HoldKeys
from services.orders.order.commands import HeldLine

ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
STRANGER = OKPKey.generate_key("Ed25519", {"kid": "ed"})
KEYS = HoldKeys([ED.as_dict(private=False), EC.as_dict(private=False)])
SELLER = "seller-1"


def hold(**changed: Any) -> dict[str, Any]:
    return {
        "id": "hold-1", "seller": SELLER, "expires_at": "2026-03-05T08:00:00Z",
        "lines": [{"sku": "KOPI", "quantity": 2, "warehouse": "BDG"}], **changed,
    }  # fmt: skip


def signed(payload: dict[str, Any] | bytes, key: Any = ED, algorithm: str = "Ed25519", **header: Any) -> str:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jws.serialize_compact(
            {"alg": algorithm, "kid": key.kid, **header}, body, key, registry=registry
        )


@pytest.mark.parametrize(("key", "algorithm"), [(ED, "Ed25519"), (ED, "EdDSA"), (EC, "ES256")])
def test_cr_15_a_hold_says_what_inventory_has_signed(key: Any, algorithm: str) -> None:
    found = KEYS.verify(signed(hold(), key, algorithm), SELLER)
    assert found.id == "hold-1"
    assert found.lines == (HeldLine(key="KOPI", quantity=2, warehouse="BDG"),)
    assert found.expires_at == datetime(2026, 3, 5, 8, tzinfo=UTC)


def test_cr_15_a_line_without_a_sku_is_known_by_its_product() -> None:
    found = KEYS.verify(signed(hold(lines=[{"product": "p-1", "quantity": 1, "warehouse": "BDG"}])), SELLER)
    assert found.lines[0].key == "p-1"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "none",
        "a.b.c",
        "..",
        signed(hold())[:-4] + "AAAA",
        signed(hold(), STRANGER),
        signed(hold(), OctKey.generate_key(256, {"kid": "ed"}), "HS256"),
        signed(hold(seller="seller-2")),
        signed(hold(lines=[])),
        signed(hold(expires_at="2026-03-05T08:00:00")),
        signed(hold(lines=[{"sku": "KOPI", "quantity": 0, "warehouse": "BDG"}])),
        signed(b"[]"),
        signed(b"\xff"),
    ],
)
def test_cr_15_a_false_hold_or_another_sellers_is_refused_without_a_word_of_it(token: str) -> None:
    with pytest.raises(HoldFalse) as fault:
        KEYS.verify(token, SELLER)
    assert "seller" not in str(fault.value)
    assert "KOPI" not in str(fault.value)


def test_an_unsigned_hold_is_false() -> None:
    head, payload, _ = signed(hold()).split(".")
    assert head
    none = "eyJhbGciOiJub25lIn0"
    with pytest.raises(HoldFalse):
        KEYS.verify(f"{none}.{payload}.", SELLER)


def test_a_hold_is_bounded_in_length_and_needs_a_configured_key() -> None:
    with pytest.raises(HoldFalse, match="characters"):
        KEYS.verify("x" * (HOLD_CHARACTERS_MAX + 1), SELLER)
    with pytest.raises(HoldFalse, match="configured"):
        HoldKeys([]).verify(signed(hold()), SELLER)


@pytest.mark.parametrize("keys", [[{"kty": "none"}], [{}], [{"kty": "EC", "crv": "P-256"}]])
def test_a_key_that_is_none_is_refused_and_not_quoted(keys: Any) -> None:
    with pytest.raises(ValueError, match="no public JWK"):
        HoldKeys(keys)
