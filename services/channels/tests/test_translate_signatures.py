"""Lazada's signatures: the official vector for requests, vectors of our own for pushes (lazada.md 2, 3.2)."""

import json
from pathlib import Path

import pytest

from services.channels.lazada.signing import push_is_genuine, push_signature, sign_request

SAMPLES = Path(__file__).parent / "samples" / "lazada"
KEY, SECRET = "123456", "3412gyo124goi3124"
BODY = b'{"seller_id": "1", "message_type":0}'


def test_a_request_is_signed_as_the_official_vector() -> None:
    assert (
        "4190D32361CFB9581350222F345CB77F3B19F0E31D162316848A2C1FFD5FAB4A"
        in (SAMPLES / "vectors_request_signing.json").read_text()
    )
    parameters = {
        "access_token": "test",
        "app_key": "123456",
        "order_id": "1234",
        "sign_method": "sha256",
        "timestamp": "1517820392000",
    }
    expected = "4190D32361CFB9581350222F345CB77F3B19F0E31D162316848A2C1FFD5FAB4A"
    assert sign_request("/order/get", parameters, "helloworld") == expected
    assert sign_request("/order/get", parameters | {"sign": "x", "empty": ""}, "helloworld") == expected
    assert sign_request("/order/get", dict(reversed(parameters.items())), "helloworld") == expected


def test_names_are_signed_in_ascii_order() -> None:
    names = {"foobar": "4", "foo_bar": "3", "foo": "1", "bar": "2"}
    joined = {"bar": "2foo1foo_bar3foobar4"}
    assert sign_request("/x", names, "s") == sign_request("/x", joined, "s")


def test_values_are_signed_as_they_are() -> None:
    raw = {"payload": "<a>+&é ไทย</a>", "update_after": "2018-02-10T16:00:00+08:00"}
    encoded = {"payload": "%3Ca%3E", "update_after": "2018-02-10T16%3A00%3A00%2B08%3A00"}
    assert sign_request("/x", raw, "s") != sign_request("/x", encoded, "s")


def test_a_push_is_genuine_under_either_live_secret_and_in_either_case() -> None:
    signature = push_signature(KEY, BODY, SECRET)
    assert signature == signature.lower()
    for given in (signature, signature.upper(), f" {signature} "):
        assert push_is_genuine(KEY, BODY, given, [SECRET])
        assert push_is_genuine(KEY, BODY, given, ["new secret", SECRET])


@pytest.mark.parametrize("given", [None, "", "ไทย", "\ud800", "0" * 64])
def test_a_missing_or_wrong_signature_is_not_genuine(given: str | None) -> None:
    assert not push_is_genuine(KEY, BODY, given, [SECRET, "other"])


def test_a_push_signed_for_another_body_app_or_secret_is_not_genuine() -> None:
    signature = push_signature(KEY, BODY, SECRET)
    reserialised = json.dumps(json.loads(BODY)).encode()
    assert reserialised != BODY
    assert not push_is_genuine(KEY, reserialised, signature, [SECRET])
    assert not push_is_genuine("654321", BODY, signature, [SECRET])
    assert not push_is_genuine(KEY, BODY, signature, ["other"])
    assert not push_is_genuine(KEY, BODY, signature, [])
