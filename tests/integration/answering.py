"""What schemathesis is told beside the document: which orders there are, whose keys, what was followed.

Loaded by schemathesis itself, in a process of its own.
"""

import itertools
import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.generation.meta import TestPhase

from services.orders.command_examples import COMMAND_EXAMPLES
from services.orders.commands_api import kebab

# The doors wait up to 3 s for a position; one that is not there yet is told with 503, as documented.
NOT_THERE_YET = "POSITION_NOT_REACHED"
KEY = "Idempotency-Key"
VALID_KEY = re.compile(r"[\x21-\x7e]{1,200}")
LEADING = {
    "POST /v1/orders": COMMAND_EXAMPLES["PlaceOrder"],
    **{
        f"POST /v1/orders/{{order_id}}/commands/{kebab(name)}": COMMAND_EXAMPLES[name]
        for name in ("ConfirmOrder", "HoldOrder", "CancelOrder")
    },
}

_calls = itertools.count(1)


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


@schemathesis.check
def link_followed(ctx: Any, response: Response, case: Any) -> None:
    """Write down what was asked of what an answer had named, and how it was answered; it fails nothing."""
    before = ctx.internals.find_parent(case_id=case.id)
    if before is not None:
        with Path(os.environ["JEJAK_FOLLOWED"]).open("a") as followed:
            followed.write(json.dumps([before.operation.label, case.operation.label, response.status_code]))
            followed.write("\n")


@schemathesis.hook
def before_call(context: Any, case: Any, **_: Any) -> None:
    """Say who asks, the owner or for sellers the operator, and give most requests a key of their own.

    In chains every command is the document's example, at whatever sequence the order has: a refusal leads
    nowhere. What else a door may be asked is asked of it alone.
    """
    who = "JEJAK_OPERATOR" if case.operation.label == "POST /v1/sellers" else "JEJAK_BEARER"
    case.headers["Authorization"] = os.environ[who]
    drawn = str(case.headers.get(KEY, ""))
    # Of a key that is used again the answer says only that.
    phase = None if case.meta is None else case.meta.phase.name
    always = phase in {TestPhase.EXAMPLES, TestPhase.STATEFUL}
    if VALID_KEY.fullmatch(drawn) and (always or zlib.crc32(drawn.encode()) % 4):
        case.headers[KEY] = f"{os.environ['JEJAK_RUN']}-{next(_calls)}"
    if phase == TestPhase.STATEFUL and case.operation.label in LEADING:
        case.headers.pop("If-Match", None)
        case.body = LEADING[case.operation.label]


@schemathesis.hook
def filter_query(context: Any, query: dict[str, Any] | None) -> bool:
    """Leave out positions far ahead: each costs the three seconds that the door waits."""
    wanted = str((query or {}).get("min_position", ""))
    return not (wanted.isdecimal() and int(wanted) > 10)


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Ask three times in four for an order that there is; ids that nobody has are answered 404 and no more."""
    known = os.environ["JEJAK_ORDERS"].split(",")
    if path_parameters is None or "order_id" not in path_parameters:
        return path_parameters
    drawn = zlib.crc32(repr(path_parameters["order_id"]).encode())
    if path_parameters["order_id"] in known or drawn % 4 == 0:
        return path_parameters
    return {**path_parameters, "order_id": known[drawn % len(known)]}
