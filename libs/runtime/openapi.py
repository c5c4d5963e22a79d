"""The OpenAPI document of a service, made true: what each door answers, problems, and the bearer token.

Routes answer bytes that are encoded already, so that the framework knows nothing of their shape. It is told
here, beside the routes and not in their way.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from libs.runtime.asgi import is_open
from libs.runtime.problems import CODES, MEDIA_TYPE, SENTENCES

REFERENCES: Final = "#/components/schemas/{model}"
_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_TOKEN: Final = "bearer"  # noqa: S105 - the name of the scheme, no token.
# What the framework describes as its own answer to wrong fields; this shell answers a Problem.
_FRAMEWORKS: Final = ("HTTPValidationError", "ValidationError")


class Answer(BaseModel):
    """An answer of a door, as it is documented; members that are added later are no break."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="allow")


class FieldFault(Answer):
    """What is wrong with one field."""

    field: str
    """Its path in the request: lines.0.quantity; empty for the body as a whole."""
    code: str
    """What is wrong, for programs."""
    sentence: str | dict[str, str]
    """What is wrong and what to do, for people."""


class ProblemAnswer(Answer):
    """What went wrong, as problem+json (RFC 9457)."""

    type: str
    """A urn made of the code."""
    title: str
    """The HTTP status in words."""
    status: int
    """The HTTP status."""
    code: str
    """What went wrong, for programs; stable."""
    detail: str
    """What went wrong and what to do, for people."""
    request_id: str
    """Under this id the service has logged it; it stands in the header X-Request-Id as well."""
    sentence: dict[str, str] | None = None
    """The code's own sentence in English (`en`) and Indonesian (`id`), where the order rules give it one."""
    fields: list[FieldFault] | None = None
    """The fields that are wrong, all of them together."""


class StatusAnswer(Answer):
    """What is not drained yet; all 0 means that everything has had its effect and is published."""

    service: str
    lag_records: int = Field(ge=0)
    """Records without a durable effect."""
    unpublished_events: int = Field(ge=0)
    """Rows of the store and the outbox that Kafka has not acknowledged."""
    waiting: int = Field(ge=0)
    """What is accepted and not worked through."""
    parked: int = Field(ge=0)
    """Records that could not be handled."""


PROBLEM_EXAMPLE: Final = {
    "type": "urn:jejak:problem:field-invalid",
    "title": "Unprocessable Entity",
    "status": 422,
    "code": CODES[422],
    "detail": "The request has fields that are wrong.",
    "sentence": SENTENCES[CODES[422]],
    "request_id": "0199f2d4-6f43-7b52-9a07-3f5a3b0c8d11",
    "fields": [
        {
            "field": "limit",
            "code": "LESS_THAN_EQUAL",
            "sentence": "Input should be less than or equal to 500.",
        }
    ],
}
STATUS_EXAMPLE: Final = {
    "service": "orders",
    "lag_records": 0,
    "unpublished_events": 3,
    "waiting": 0,
    "parked": 0,
}


class Described(BaseModel):
    """What a door answers when it succeeds: the shape, a literal example, and what to say of it."""

    model: type[BaseModel]
    example: Any
    about: str = "Done."
    asked: Any = None
    """A literal body that the door takes, if it takes one."""
    links: dict[str, Any] = Field(default_factory=dict)
    """What can be asked next with what the answer tells, in OpenAPI's words."""


Answers = Mapping[str, Described]
"""`<METHOD> <path template>` -> its answer."""

EVERYWHERE: Final[Answers] = {
    "GET /v1/status": Described(model=StatusAnswer, example=STATUS_EXAMPLE, about="Where it stands."),
}


def describe(app: FastAPI, answers: Answers) -> None:
    """Have the app give its document with these answers, at /openapi.json too."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(_document(app, {**EVERYWHERE, **answers}))
        return made

    app.openapi = openapi  # type: ignore[method-assign]  # The framework's own documented way.


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation of a document under `<METHOD> <path template>`."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield f"{method.upper()} {path}", operation


def _document(app: FastAPI, answers: Answers) -> dict[str, Any]:
    document = get_openapi(title=app.title, version="1.0.0", routes=app.routes, description=app.description)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FRAMEWORKS:
        schemas.pop(name, None)
    schemas |= _schemas([ProblemAnswer, *dict.fromkeys(each.model for each in answers.values())])
    components["securitySchemes"] = {
        _TOKEN: {"type": "http", "scheme": "bearer", "description": "An API key, or a token of the issuer."}
    }
    for name, operation in operations(document):
        method, _, path = name.partition(" ")
        _complete(operation, answers.get(name), open_door=is_open(app, method, path))
    return document


def _schemas(models: list[type[BaseModel]]) -> dict[str, Any]:
    wanted: list[tuple[type[BaseModel], Literal["serialization"]]] = [
        (model, "serialization") for model in models
    ]
    _, whole = models_json_schema(wanted, ref_template=REFERENCES)
    found: dict[str, Any] = whole["$defs"]
    return found


def _complete(operation: dict[str, Any], answer: Described | None, *, open_door: bool) -> None:
    responses = operation.setdefault("responses", {})
    responses.pop("422", None)
    success = next((status for status in responses if status.startswith("2")), "200")
    if answer is not None:
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if answer.asked is not None:
                content["example"] = answer.asked
        responses[success] = {
            "description": answer.about,
            "content": {
                "application/json": {
                    "schema": {"$ref": REFERENCES.format(model=answer.model.__name__)},
                    "example": answer.example,
                }
            },
            **({"links": answer.links} if answer.links else {}),
        }
    responses["default"] = {
        "description": "A problem, told in its code.",
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": REFERENCES.format(model=ProblemAnswer.__name__)},
                "example": PROBLEM_EXAMPLE,
            }
        },
    }
    operation["security"] = [] if open_door else [{_TOKEN: []}]
