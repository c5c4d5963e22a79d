"""Orders that tests place by hand, and the doors they come by."""

import hashlib
from typing import Any

from libs.runtime.settings import ApiKey
from services.orders.tests.test_consumer import SELLER

OWNER, THEIRS, AGENT, INTAKE, READER = (
    f"key-{name}" for name in ("owner", "theirs", "agent", "intake", "reader")
)


def _key(name: str, seller: str, *scopes: str, role: str) -> ApiKey:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ApiKey(id=name, sha256=digest, scopes=frozenset(scopes), seller=seller, role=role)


KEYS = (
    _key(OWNER, SELLER, "*", role="OWNER"),
    _key(THEIRS, "another-seller", "*", role="OWNER"),
    _key(AGENT, SELLER, "orders:read", "orders:write", role="AGENT"),
    _key(INTAKE, SELLER, "intake", role="INTAKE"),
    _key(READER, SELLER, "orders:read", role="AGENT"),
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
