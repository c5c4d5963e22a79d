"""CloudEvents 1.0 in Kafka's binary mode: attributes travel as `ce_` headers, the body is the data.

Source: the CloudEvents Kafka protocol binding 1.0.2, section 3.2. Names in code are the attributes' own.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"
SCHEMA_BASE: Final = "urn:jejak:schema:"

# A fact is at most 256 KiB (rule IN-01 and the facts' contract); the topics take 1 MiB.
FACT_BYTES_MAX: Final = 262_144

Headers = list[tuple[str, bytes]]


class EnvelopeInvalid(ValueError):
    """A header that CloudEvents needs is missing or unusable; `field` names the attribute."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The attributes of one event. `time` is RFC 3339 in UTC; `sequence` counts within the subject from 1."""

    id: str
    type: str
    source: str
    subject: str
    time: str
    sequence: int | None = None
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None


def type_name(service: str, event: str, major: int = 1) -> str:
    """The CloudEvents type of an event: `jejak.<service>.<Event>.v<major>`."""
    return f"jejak.{service}.{event}.v{major}"


def event_name(ce_type: str) -> str:
    """The event's name within its type; the type itself when it is not one of ours."""
    parts = ce_type.split(".")
    return parts[2] if len(parts) == 4 and parts[0] == "jejak" else ce_type


def rfc3339(instant: datetime) -> str:
    """The instant in UTC, to the microsecond where it has one, with `Z`."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_headers(envelope: Envelope) -> Headers:
    """The Kafka headers of an event; attributes that are not set have no header."""
    subject = envelope.subject.encode()
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_subject", subject),
        ("ce_time", envelope.time.encode()),
        ("ce_dataschema", (SCHEMA_BASE + envelope.type).encode()),
        ("ce_partitionkey", subject),
        ("content-type", b"application/json"),
    ]
    if envelope.sequence is not None:
        headers.append(("ce_sequence", str(envelope.sequence).encode()))
    if envelope.correlationid is not None:
        headers.append(("ce_correlationid", envelope.correlationid.encode()))
    if envelope.causationid is not None:
        headers.append(("ce_causationid", envelope.causationid.encode()))
    if envelope.traceparent is not None:
        headers.append(("traceparent", envelope.traceparent.encode()))
    return headers


def from_headers(headers: Iterable[tuple[str, bytes | None]]) -> Envelope:
    """The envelope that the headers state; unknown headers are tolerated.

    Raises EnvelopeInvalid when `ce_id`, `ce_type`, `ce_source` or `ce_subject` is missing or not UTF-8,
    when the version is not 1.x, or when `ce_sequence` is not a number.
    """
    given: dict[str, str] = {}
    for name, value in headers:
        if value is None or not name.startswith(("ce_", "traceparent")):
            continue
        try:
            given[name] = value.decode()
        except UnicodeDecodeError:
            raise EnvelopeInvalid(name, f"Header {name} is not UTF-8; send text.") from None
    for name in ("ce_id", "ce_type", "ce_source", "ce_subject"):
        if not given.get(name):
            raise EnvelopeInvalid(name, f"Header {name} is missing; every event names it.")
    if not given.get("ce_specversion", SPEC_VERSION).startswith("1."):
        raise EnvelopeInvalid("ce_specversion", "Only CloudEvents 1.x is understood.")
    sequence = given.get("ce_sequence")
    if sequence is not None and not sequence.isdecimal():
        raise EnvelopeInvalid("ce_sequence", "Header ce_sequence is not a decimal number.")
    return Envelope(
        id=given["ce_id"],
        type=given["ce_type"],
        source=given["ce_source"],
        subject=given["ce_subject"],
        time=given.get("ce_time", ""),
        sequence=None if sequence is None else int(sequence),
        correlationid=given.get("ce_correlationid"),
        causationid=given.get("ce_causationid"),
        traceparent=given.get("traceparent"),
    )
