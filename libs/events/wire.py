"""What all public events have in common: how they are read and written, and the values that recur.

Reading ignores fields it does not know and never converts one type into another; what is written holds
every key, save in a fact's `data`, where only what is stated stands.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from libs.events.envelope import type_name


def _in_utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Amount = Annotated[int, Field(ge=0)]
Quantity = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
# Ids of other sources have 1 to 128 characters (IN-16); ours are shorter.
Id = Annotated[str, Field(min_length=1, max_length=128)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Wire(BaseModel):
    """An immutable value of the contract."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, use_attribute_docstrings=True)

    def to_json(self) -> bytes:
        """The body of the record that carries this value."""
        return self.model_dump_json().encode()


class Stated(Wire):
    """An object in which only what is stated stands: a field without a value has no key."""

    @model_serializer(mode="wrap")
    def _only_what_is_stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        whole: dict[str, Any] = handler(self)
        return {name: value for name, value in whole.items() if value is not None}


class PublicEvent(Wire):
    """One event of the contract; its class name is its name, its docstring its meaning."""

    publisher: ClassVar[str]
    major: ClassVar[int] = 1

    @classmethod
    def ce_type(cls) -> str:
        """The CloudEvents type under which this event travels."""
        return type_name(cls.publisher, cls.__name__, cls.major)
