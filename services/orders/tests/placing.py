"""Orders that tests place by hand, and the doors they come by."""

import hashlib
from typing import Any

from libs.runtime.settings import ApiKey
from services.orders.tests.test_consumer import SELLER

OWNER, THEIRS, AGENT, INTAKE, READER = (
    f"key-{name}" for name in ("owner", "theirs", "agent", "intake", "reader")
)


def key_of(name: str, seller: str, *scopes: str, role: str, stands_for: str | None = None) -> ApiKey:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ApiKey(
        id=name, sha256=digest, scopes=frozenset(scopes), seller=seller, role=role, stands_for=stands_for
    )


KEYS = (
    key_of(OWNER, SELLER, "*", role="OWNER"),
    key_of(THEIRS, "another-seller", "*", role="OWNER"),
    key_of(AGENT, SELLER, "orders:read", "orders:write", role="AGENT"),
    key_of(INTAKE, SELLER, "intake", role="INTAKE"),
    key_of(READER, SELLER, "orders:read", role="AGENT"),
)


def placement(**changed: Any) -> dict[str, Any]:
    """A manual order that is paid by transfer, without a hold but with leave to be short of stock."""
    return {
        "source": "MANUAL",
        "payment_method": "TRANSFER",
        "lines": [{"sku": "KOPI", "name": "Kopi 250 g", "quantity": 2, "unit_price": 45_000}],
        "recipient": {"name": "Sari", "phone": "+628123456789", "address": "Jl. Mawar 1", "city": "Bandung"},
        "courier": "JNE",
        "service": "REG",
        "shipping_fee": 18_000,
        "allow_backorder": True,
        **changed,
    }
