"""What schemathesis is told beside the document: the one 503 that is an answer, and positions that may come.

Loaded by schemathesis itself, in a process of its own.
"""

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
