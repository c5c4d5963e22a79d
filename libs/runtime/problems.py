"""What went wrong with a request, as RFC 9457 problem+json; nothing of the inside of the service is told."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypedDict

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from libs.runtime.errors import Malformed, Transient

MEDIA_TYPE = "application/problem+json"

# Codes of what the shell itself answers; a service's refusals bring their own.
CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "NOT_PERMITTED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "TOO_SLOW",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "FIELD_INVALID",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
FIELDS_MAX = 100
# The sentences of the order rules (4.2), for the codes of theirs that the shell answers too.
SENTENCES: Mapping[str, Mapping[str, str]] = {
    "FIELD_INVALID": {
        "en": "The named field is missing or not valid.",
        "id": "Isian yang disebut kosong atau tidak sah.",
    },
    "KEY_REUSED": {
        "en": "This idempotency key was used for a different request.",
        "id": "Kunci idempotensi ini sudah dipakai untuk permintaan lain.",
    },
    "NOT_PERMITTED": {
        "en": "Your role may not give this command.",
        "id": "Peran Anda tidak boleh memberi perintah ini.",
    },
}


class FieldProblem(TypedDict):
    """What is wrong with one field; `field` is its path in the sender's words: lines.0.quantity."""

    field: str
    code: str
    sentence: str


class Problem(HTTPException):
    """An answer that is a problem: raised anywhere below the shell, it becomes problem+json.

    `members` are further members of the object, such as a refusal's sentence and allowed commands.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        fields: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.code = code
        self.fields = list(fields)
        self.members = members

    def response(self, request_id: str) -> Response:
        """The problem as an answer to the request of this id."""
        body = {
            "type": f"urn:jejak:problem:{self.code.lower().replace('_', '-')}",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
            **({"sentence": SENTENCES[self.code]} if self.code in SENTENCES else {}),
            "fields": self.fields,
            **self.members,
        }
        return Response(orjson.dumps(body), self.status_code, self.headers, MEDIA_TYPE)


def field_problem(field: str, code: str, sentence: str) -> Problem:
    """The problem of one field that is wrong in itself (422)."""
    return invalid([FieldProblem(field=field, code=code, sentence=sentence)])


def invalid(fields: Sequence[FieldProblem]) -> Problem:
    """The problem of a request whose fields are wrong, all of them reported together (422)."""
    return Problem(422, CODES[422], "The request has fields that are wrong.", fields=fields)


def problem_of(fault: Exception) -> Problem:
    """The problem that an error is to the caller; what nobody expected is told as INTERNAL only."""
    if isinstance(fault, Problem):
        return fault
    if isinstance(fault, RequestValidationError):
        return invalid([_field_of(error) for error in fault.errors()[:FIELDS_MAX]])
    if isinstance(fault, HTTPException):
        status = fault.status_code
        code = CODES.get(status, HTTPStatus(status).name)
        return Problem(status, code, f"{HTTPStatus(status).phrase}.", headers=fault.headers)
    if isinstance(fault, Malformed):
        return field_problem(fault.field, fault.reason, str(fault))
    if isinstance(fault, Transient):
        return Problem(
            503,
            CODES[503],
            "A server that is needed does not answer; try again.",
            headers={"Retry-After": "1"},
        )
    return Problem(500, CODES[500], "Something went wrong here; it is logged under the request's id.")


def _field_of(error: Mapping[str, Any]) -> FieldProblem:
    kind = str(error["type"])
    # The first part says where the field stands (body, query, path, header); its name says enough.
    path = [] if kind == "json_invalid" else [str(part) for part in error["loc"][1:]]
    code = "REQUIRED" if kind == "missing" else kind.upper()
    message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    return FieldProblem(field=".".join(path), code=code, sentence=f"{message}.")
