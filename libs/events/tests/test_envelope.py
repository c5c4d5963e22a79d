"""CloudEvents headers: what is written is read back, what is missing or unusable is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.envelope import Envelope, EnvelopeInvalid, event_name, from_headers, to_headers, type_name

# Kafka's headers are bytes: any text that UTF-8 can write may stand there.
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
envelopes = st.builds(
    Envelope,
    id=words,
    type=words,
    source=words,
    subject=words,
    time=words,
    sequence=st.none() | st.integers(0, 2**63),
    correlationid=st.none() | words,
    causationid=st.none() | words,
    traceparent=st.none() | words,
)
strange = st.lists(
    st.tuples(words.map(lambda word: f"x-{word}"), st.none() | st.binary(max_size=20)), max_size=3
)


@given(envelopes, strange)
def test_an_envelope_comes_back_from_its_headers_whatever_stands_beside(
    envelope: Envelope, others: list[tuple[str, bytes | None]]
) -> None:
    assert from_headers([*others, *to_headers(envelope)]) == envelope


@given(envelopes)
def test_attributes_that_are_not_set_have_no_header(envelope: Envelope) -> None:
    names = {name for name, _ in to_headers(envelope)}
    assert ("ce_sequence" in names) == (envelope.sequence is not None)
    assert ("traceparent" in names) == (envelope.traceparent is not None)
    assert {"ce_specversion", "ce_dataschema", "ce_partitionkey", "content-type"} <= names


@given(st.lists(st.tuples(words, st.none() | st.binary(max_size=20)), max_size=8))
def test_whatever_the_headers_are_the_answer_is_an_envelope_or_a_named_fault(
    headers: list[tuple[str, bytes | None]],
) -> None:
    with pytest.raises(EnvelopeInvalid):
        from_headers(headers)


FULL = to_headers(
    Envelope(id="1", type="t", source="/s", subject="o", time="2026-03-05T07:59:26Z", sequence=3)
)


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source", "ce_subject"])
def test_a_missing_attribute_is_named(name: str) -> None:
    with pytest.raises(EnvelopeInvalid) as caught:
        from_headers(header for header in FULL if header[0] != name)
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("name", "value"),
    [("ce_specversion", b"0.3"), ("ce_sequence", b"-1"), ("ce_sequence", b"three"), ("ce_id", b"\xff\xfe")],
)
def test_an_unusable_attribute_is_named(name: str, value: bytes) -> None:
    with pytest.raises(EnvelopeInvalid) as caught:
        from_headers([*(header for header in FULL if header[0] != name), (name, value)])
    assert caught.value.field == name


def test_type_names_are_ours_and_lead_back_to_the_event() -> None:
    assert type_name("orders", "OrderPlaced") == "jejak.orders.OrderPlaced.v1"
    assert event_name("jejak.orders.OrderPlaced.v2") == "OrderPlaced"
    assert event_name("com.example.thing") == "com.example.thing"
