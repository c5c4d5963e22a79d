"""Lazada's two signatures: of our requests (lazada.md 2) and of its pushes (lazada.md 3.2)."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence


def sign_request(path: str, parameters: Mapping[str, str], app_secret: str) -> str:
    """The `sign` of a call: upper-case hex HMAC-SHA256 over the path without `/rest` and name+value, sorted.

    Values are taken un-encoded. `sign` itself and empty names or values are not signed; do not send those.
    """
    pairs = sorted((name, value) for name, value in parameters.items() if name and value and name != "sign")
    message = path + "".join(name + value for name, value in pairs)
    return hmac.new(app_secret.encode(), message.encode(), hashlib.sha256).hexdigest().upper()


def push_signature(app_key: str, raw: bytes, app_secret: str) -> str:
    """The `Authorization` of a push: lower-case hex HMAC-SHA256 over app key and body as received."""
    return hmac.new(app_secret.encode(), app_key.encode() + raw, hashlib.sha256).hexdigest()


def push_is_genuine(app_key: str, raw: bytes, authorization: str | None, app_secrets: Sequence[str]) -> bool:
    """Whether one of the live secrets (IN-02: at most two) signed these very bytes.

    Constant time in the secrets, hex in either case. A genuine push may be a repeat: the recipe holds no
    time.
    """
    given = (authorization or "").strip().lower().encode("utf-8", "replace")
    genuine = False
    for secret in app_secrets:
        genuine |= hmac.compare_digest(push_signature(app_key, raw, secret).encode(), given)
    return genuine
