"""Tokopedia's encrypted buyer data: opened with any of our keys, and an order never lost for it (A3.5)."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.channels.tokopedia.encryption import opened

OWN = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
AES_KEY = b"abcdefghijklmnopqrstuvwxyz012345"
NONCE = b"nonce-of-12b"
CLEAR = {
    "order_id": 1,
    "amt": {"ttl_amount": 5},
    "buyer": {"id": 7, "Name": "", "phone": "*******4321"},
    "recipient": {"Name": "", "address": {"address_full": "", "city": "Kota Surabaya"}},
}
PLAIN = {
    "buyer": {"name": "Budi", "phone": "6281200004321", "email": " "},
    "recipient": {"Name": "Ani", "address": {"address_full": "Jl. Contoh 7"}},
}


def sealed(plain: object, *, nonce: bytes = NONCE) -> dict[str, str]:
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    content = AESGCM(AES_KEY).encrypt(nonce, json.dumps(plain).encode(), None) + nonce
    return {
        "secret": base64.b64encode(OWN.public_key().encrypt(AES_KEY, oaep)).decode(),
        "content": base64.b64encode(content).decode(),
    }


def order(block: object) -> dict[str, Any]:
    return CLEAR | {"encryption": block}


def test_an_opened_block_is_merged_key_by_key() -> None:
    found, readable = opened(order(sealed(PLAIN)), [OTHER, OWN])
    assert readable
    assert found["buyer"] == {"id": 7, "Name": "Budi", "phone": "6281200004321"}
    assert found["recipient"] == {
        "Name": "Ani",
        "address": {"address_full": "Jl. Contoh 7", "city": "Kota Surabaya"},
    }


def test_a_block_changes_nothing_but_people() -> None:
    forged = {"order_id": 2, "amt": {"ttl_amount": 0}, "order_info": {"shipping_info": {"awb": "X"}}}
    found, _ = opened(order(sealed(forged)), [OWN])
    assert {name: found.get(name) for name in CLEAR} == CLEAR
    assert "order_info" not in found


def test_the_destination_of_a_single_order_is_opened() -> None:
    single = {"order_info": {"destination": {"receiver_name": ""}, "order_history": []}}
    block = sealed({"order_info": {"destination": {"receiver_name": "Ani"}, "order_history": [1]}})
    found, _ = opened(single | {"encryption": block}, [OWN])
    assert found["order_info"] == {"destination": {"receiver_name": "Ani"}, "order_history": []}


@pytest.mark.parametrize("block", [None, {}, {"secret": "", "content": ""}])
def test_an_order_without_a_block_is_whole(block: object) -> None:
    assert opened(order(block), [OWN]) == (order(block), True)


def broken() -> list[object]:
    good = sealed(PLAIN)
    raw = base64.b64decode(good["content"])
    flipped = raw[:-13] + bytes([raw[-13] ^ 1]) + raw[-12:]
    return [
        good | {"content": base64.b64encode(flipped).decode()},
        good | {"content": base64.b64encode(raw[:27]).decode()},
        good | {"content": "not base64!"},
        good | {"secret": "AAAA"},
        good | {"secret": 5},
        sealed(["no object"]),
    ]


@pytest.mark.parametrize("block", broken())
def test_a_block_that_cannot_be_opened_leaves_the_order_and_says_so(block: object) -> None:
    assert opened(order(block), [OWN]) == (order(block), False)


def test_a_block_for_another_key_leaves_the_order_and_says_so() -> None:
    block = sealed(PLAIN)
    assert opened(order(block), [OTHER]) == (order(block), False)
    assert opened(order(block), []) == (order(block), False)
