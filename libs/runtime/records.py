"""A consumed record as the services see it, whatever its bytes are."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

KEY_BYTES_MAX = 1_024

RawHeaders = Sequence[tuple[str, bytes | None]]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of one partition; nothing of it has been decoded or judged.

    `key` is the record's key as text: UTF-8 where it is, else hexadecimal; a record without a key has
    one of its own, so that it can wait or be parked without holding up any other.
    """

    source: str
    topic: str
    partition: int
    offset: int
    key: str
    raw_key: bytes | None
    headers: RawHeaders
    value: bytes | None
    produced_at: datetime


def from_kafka(source: str, raw: Any) -> Record:
    """The record of an aiokafka ConsumerRecord."""
    raw_key: bytes | None = raw.key
    return Record(
        source=source,
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        key=key_text(raw_key, raw.partition, raw.offset),
        raw_key=raw_key,
        headers=raw.headers,
        value=raw.value,
        produced_at=datetime.fromtimestamp(max(raw.timestamp, 0) / 1000, UTC),
    )


def key_text(raw_key: bytes | None, partition: int, offset: int) -> str:
    """The key as text: two different keys never give the same text. A very long one is its SHA-256."""
    if raw_key is None:
        return f"none:{partition}:{offset}"
    try:
        text = raw_key.decode()
    except UnicodeDecodeError:
        text = "\x00"
    # PostgreSQL's text holds no NUL, and its index no row of more than 2,704 bytes.
    if len(raw_key) > KEY_BYTES_MAX:
        return f"sha256:{hashlib.sha256(raw_key).hexdigest()}"
    return f"hex:{raw_key.hex()}" if "\x00" in text else text


def frame_headers(headers: RawHeaders) -> bytes:
    """The headers as bytes that `unframe_headers` turns back, null and non-UTF-8 values included."""
    return msgspec.msgpack.encode([(name, value) for name, value in headers])


def unframe_headers(framed: bytes) -> list[tuple[str, bytes | None]]:
    return msgspec.msgpack.decode(framed, type=list[tuple[str, bytes | None]])
