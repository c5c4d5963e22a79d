"""What schemathesis is told beside the document: the one 503 that is an answer, and which orders there are.

Loaded by schemathesis itself, in a process of its own.
"""

import itertools
import os
import re
import zlib
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response

# The doors wait up to 3 s for a position; one that is not there yet is told with 503, as documented.
NOT_THERE_YET = "POSITION_NOT_REACHED"


@schemathesis.check
def no_server_error(ctx: Any, response: Response, case: Any) -> None:
    """Nothing but a position that is not there yet is answered with 5xx."""
    if response.status_code >= 500 and not (
        response.status_code == 503 and response.json()["code"] == NOT_THERE_YET
    ):
        raise Failure(
            operation=case.operation.label,
            title="Server error",
            message=f"{response.status_code} {response.text[:500]}",
        )


@schemathesis.hook
def filter_query(context: Any, query: dict[str, Any] | None) -> bool:
    """Leave out positions far ahead: each costs the three seconds that the door waits."""
    wanted = str((query or {}).get("min_position", ""))
    return not (wanted.isdecimal() and int(wanted) > 10)


_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_fresh = itertools.count(1)


@schemathesis.hook
def map_headers(context: Any, headers: Any) -> Any:
    """Give a new key three times in four: short ones come again, and are told KEY_REUSED and no more."""
    key = str((headers or {}).get("Idempotency-Key", ""))
    if not _KEY.fullmatch(key) or zlib.crc32(key.encode()) % 4 == 0:
        return headers
    headers["Idempotency-Key"] = f"generated-{next(_fresh)}"
    return headers


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Ask three times in four for an order that there is; ids that nobody has are answered 404 and no more."""
    known = os.environ["JEJAK_ORDERS"].split(",")
    if path_parameters is None or "order_id" not in path_parameters:
        return path_parameters
    drawn = zlib.crc32(repr(path_parameters["order_id"]).encode())
    if drawn % 4 == 0:
        return path_parameters
    return {**path_parameters, "order_id": known[drawn % len(known)]}
