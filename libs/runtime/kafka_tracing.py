"""Spans of Kafka: batches that are consumed, and records that are published.

Of our own making, since the instrumentations at hand end their spans before the handler runs (aiokafka's) or
leave a batch's span without its links (FastStream's): decision 0021.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Final

from opentelemetry.trace import SpanKind

from libs.runtime.kafka import Outgoing
from libs.runtime.records import Record
from libs.runtime.tracing import (
    NOTHING,
    Attributes,
    Traced,
    batch,
    checked_traceparent,
    current_batch,
    is_on,
    messaging,
    traceparent_in,
    traceparent_of,
)

_ID: Final = re.compile(rb"[0-9a-f-]{36}(?:/[0-9]{1,10})?")


def processing(topic: str, group: str, records: Sequence[Record]) -> AbstractContextManager[Traced]:
    """The spans of a batch of consumed records; a record's key in `Traced` is (partition, offset)."""
    if not is_on():
        return _NO_BATCH
    return batch(
        f"process {topic}",
        SpanKind.CONSUMER,
        messaging("process", topic) | {"messaging.consumer.group.name": group},
        records,
        traceparent=_of_record,
        describe=_describe_record,
    )


_NO_BATCH: Final[AbstractContextManager[Traced]] = nullcontext(NOTHING)


def traceparent_for_effects(record: Record) -> str | None:
    """What to store with whatever the record brings: its span in the batch under way, else its context."""
    span = current_batch().span((record.partition, record.offset))
    if span is not None:
        return traceparent_of(span)
    return checked_traceparent(traceparent_in(record.headers))


def _of_record(record: Record) -> bytes | None:
    return traceparent_in(record.headers)


def _describe_record(record: Record) -> tuple[object, Attributes]:
    return (record.partition, record.offset), {
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        **_message_id(record.headers),
    }


def _message_id(headers: Sequence[tuple[str, bytes | None]]) -> Attributes:
    found = next((value for name, value in headers if name == "ce_id"), None)
    # Ours are ids; a stranger's record may say anything in its place.
    if found is None or not _ID.fullmatch(found):
        return {}
    return {"messaging.message.id": found.decode("ascii")}


@contextmanager
def sending(records: Sequence[Outgoing]) -> Iterator[None]:
    """The spans of records that are published: beside what created them, whose context they keep."""
    if not is_on():
        yield
        return
    by_topic: dict[str, list[Outgoing]] = {}
    for record in records:
        by_topic.setdefault(record.topic, []).append(record)
    with ExitStack() as stack:
        for topic, group in by_topic.items():
            # CLIENT, as the conventions want it of a send whose own context does not travel.
            spans = batch(
                f"send {topic}",
                SpanKind.CLIENT,
                messaging("send", topic),
                group,
                traceparent=_of_outgoing,
                describe=_describe_outgoing,
            )
            stack.enter_context(spans)
        yield


def _of_outgoing(record: Outgoing) -> bytes | None:
    return traceparent_in(record.headers)


def _describe_outgoing(record: Outgoing) -> tuple[object, Attributes]:
    return id(record), _message_id(record.headers)
