"""What every service reads from its environment, and how a wrong environment is said.

A service's own settings are a subclass with its own prefix; the names below are shared by all.
"""

import json
import re
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, overload

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretBytes,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

First = TypeVar("First", bound=BaseSettings)
Second = TypeVar("Second", bound=BaseSettings)
Third = TypeVar("Third", bound=BaseSettings)

EXIT_MISCONFIGURED = 2
EVERY_SCOPE = "*"
# The role of who runs the installation and belongs to no seller; roles else are the services' own.
OPERATOR = "OPERATOR"


class ApiKey(BaseModel):
    """One bearer key as it is configured: its hash, never the key itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$"), Field(repr=False)]
    scopes: frozenset[str]
    seller: Annotated[str, StringConstraints(max_length=128)] = ""
    role: Annotated[str, StringConstraints(pattern="^[A-Z]{1,32}$")] = ""
    stands_for: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    expires_at: AwareDatetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_a_seller_or_an_operator(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value.get("seller") and value.get("role") != OPERATOR:
            raise ValueError("needs a seller, unless its role is OPERATOR")
        return value

    @model_validator(mode="after")
    def _with_a_role(self) -> "ApiKey":
        # Keys were configured before there were roles; one that may everything is the owner's.
        if not self.role:
            object.__setattr__(self, "role", "OWNER" if EVERY_SCOPE in self.scopes else "AGENT")
        return self

    def expired(self, at: datetime) -> bool:
        """Whether the key opens nothing any more at this instant."""
        return self.expires_at is not None and at >= self.expires_at


class TrustedIssuer(BaseModel):
    """Whose signed tokens are taken: an OIDC provider, or orders' own door for tokens.

    `operates` is for the issuer of the installation itself: only its tokens may carry every scope, a scope of
    the operator, or no seller.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]{1,500}$")]
    audience: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    jwks_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s#]{1,1000}$")] | None = None
    operates: bool = False


def _from_json(value: Any) -> Any:
    """Parse text of the environment; what a caller gives as objects passes."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        # The parser's own message quotes what it met.
        raise ValueError("is not JSON") from None


def _lowered(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class ServiceSettings(BaseSettings):
    """The settings that all services share; a subclass sets `env_prefix` for the fields of its own.

    An empty variable counts as one that is not set. Docstrings under fields are their meaning in the docs.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    database_url: Annotated[SecretStr, Field(validation_alias="DATABASE_URL")]
    """Where PostgreSQL is and who logs in there: postgresql://user:password@host:port/database"""

    api_keys: Annotated[
        tuple[ApiKey, ...],
        NoDecode,
        BeforeValidator(_from_json),
        Field(validation_alias="API_KEYS", repr=False, json_schema_extra={"secret": True}),
    ]
    """Who may call: a JSON list of {"id", "sha256" (of the key, in hexadecimal), "scopes", "seller", "role"
    (optional: OWNER with every scope, else AGENT), "stands_for" and "expires_at" (optional)}"""

    token_issuers: Annotated[
        tuple[TrustedIssuer, ...],
        NoDecode,
        BeforeValidator(_from_json),
        Field(validation_alias="TOKEN_ISSUERS"),
    ] = ()
    """Whose signed tokens are taken beside keys: a JSON list of {"issuer", "audience", "jwks_url" (else by
    OIDC discovery), "operates" (true for the issuer of the installation only)}"""

    http_host: Annotated[str, Field(validation_alias="HTTP_HOST")] = "127.0.0.1"
    """The address that HTTP is answered on"""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(_lowered),
        Field(validation_alias="LOG_LEVEL"),
    ] = "info"
    """The least level that is logged: debug, info, warning or error; debug shows the texts of unknown
    errors too, which may quote what was being handled"""

    @field_validator("database_url")
    @classmethod
    def _is_a_database(cls, value: SecretStr) -> SecretStr:
        try:
            conninfo_to_dict(value.get_secret_value())
        except psycopg.ProgrammingError:
            raise ValueError("is not a PostgreSQL connection string") from None
        return value

    @field_validator("api_keys")
    @classmethod
    def _ids_differ(cls, value: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        if len({key.id for key in value}) < len(value):
            raise ValueError("names one id twice")
        return value

    @field_validator("token_issuers")
    @classmethod
    def _issuers_differ(cls, value: tuple[TrustedIssuer, ...]) -> tuple[TrustedIssuer, ...]:
        if len({each.issuer for each in value}) < len(value):
            raise ValueError("names one issuer twice")
        return value

    @property
    def dsn(self) -> str:
        """The connection string in clear; for opening connections only."""
        return self.database_url.get_secret_value()


class FollowerSettings(ServiceSettings):
    """The settings of every service that libs.runtime.follower makes; a subclass sets `env_prefix`."""

    http_port: Annotated[int, Field(ge=0, le=65_535)]
    """The port that HTTP is answered on; 0 takes a free one"""

    parked_max: Annotated[int, Field(ge=1)] = 1_000
    """How many records may be parked by a fault of their own before consumption stops on purpose"""


class BadSettings(Exception):
    """The environment lacks something or holds something wrong; `sentences` has one per variable."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable as the documentation shows it."""

    name: str
    meaning: str
    required: bool
    secret: bool


def describe(*classes: type[BaseSettings]) -> list[Variable]:
    """Every variable that these settings read, each once, in the order of the fields."""
    found: dict[str, Variable] = {}
    for kind in classes:
        for field_name, field in kind.model_fields.items():
            name = variable_of(kind, field_name)
            found.setdefault(
                name,
                Variable(
                    name,
                    " ".join((field.description or field_name).split()),
                    field.is_required(),
                    _is_secret(field),
                ),
            )
    return list(found.values())


def variable_of(kind: type[BaseSettings], field_name: str) -> str:
    """The environment variable that a field is read from."""
    field = kind.model_fields.get(field_name)
    alias = field.validation_alias if field is not None else field_name
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    if isinstance(alias, str) and field is not None:
        return alias.upper()
    return f"{kind.model_config.get('env_prefix', '')}{field_name}".upper()


def _is_secret(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and extra.get("secret"):
        return True
    return any(kind.__name__ in repr(field.annotation) for kind in (SecretStr, SecretBytes))


def load(kind: type[First]) -> First:
    """Read the settings from the environment, or raise BadSettings; no value is in what it says."""
    try:
        return kind()
    except ValidationError as fault:
        raise BadSettings(_sentences(kind, fault)) from None
    except SettingsError as fault:
        # A complex field whose JSON does not parse; pydantic-settings names it in its message only.
        named = re.search(r'field "(\w+)"', str(fault))
        name = variable_of(kind, named[1]) if named else kind.__name__
        raise BadSettings([f"{name} is wrong: it is not JSON."]) from None


@overload
def load_or_exit(first: type[First], /) -> First: ...
@overload
def load_or_exit(first: type[First], second: type[Second], /) -> tuple[First, Second]: ...
@overload
def load_or_exit(
    first: type[First], second: type[Second], third: type[Third], /
) -> tuple[First, Second, Third]: ...
def load_or_exit(*classes: type[BaseSettings]) -> Any:
    """Read the settings, or say on standard error what is wrong with all of them and exit with 2."""
    loaded: list[BaseSettings] = []
    sentences: list[str] = []
    for kind in classes:
        try:
            loaded.append(load(kind))
        except BadSettings as fault:
            sentences += [sentence for sentence in fault.sentences if sentence not in sentences]
    if sentences:
        sys.stderr.write("".join(f"{sentence}\n" for sentence in sentences))
        raise SystemExit(EXIT_MISCONFIGURED)
    return loaded[0] if len(loaded) == 1 else tuple(loaded)


def _sentences(kind: type[BaseSettings], fault: ValidationError) -> list[str]:
    variables = {variable_of(kind, name): field for name, field in kind.model_fields.items()}
    by_variable: dict[str, str] = {}
    for error in fault.errors(include_url=False, include_input=False, include_context=False):
        location = [str(part) for part in error["loc"]] or [kind.__name__]
        name = location[0] if location[0] in variables else variable_of(kind, location[0])
        field = variables.get(name)
        if error["type"] == "missing" and len(location) == 1:
            by_variable.setdefault(name, f"{name} is not set: {_meaning(field)}.")
        elif error["type"] == "value_error":
            by_variable.setdefault(name, f"{name} {error['msg'].removeprefix('Value error, ')}.")
        else:
            inside = "".join(f"[{part}]" for part in location[1:])
            by_variable.setdefault(name, f"{name}{inside} is wrong: {_lower_first(error['msg'])}.")
    return list(by_variable.values())


def _meaning(field: FieldInfo | None) -> str:
    described = field.description if field is not None else None
    return _lower_first(" ".join(described.split())) if described else "it has no default"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
