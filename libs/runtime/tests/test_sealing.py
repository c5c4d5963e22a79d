"""Sealed bytes open in their own place only, and keys can be rotated."""

import base64

import pytest

from libs.runtime.sealing import OVERHEAD_BYTES, SealBroken, Sealer, associated

OLD = bytes(range(32))
NEW = bytes(range(32, 64))
PLACE = associated("shops", "shop-1", "token")


def test_what_was_sealed_opens_in_its_place() -> None:
    sealer = Sealer([OLD])
    sealed = sealer.seal(b"secret", PLACE)
    assert len(sealed) == len(b"secret") + OVERHEAD_BYTES
    assert sealer.open(sealed, PLACE) == b"secret"
    assert sealer.open(sealer.seal(b"", PLACE), PLACE) == b""
    assert sealer.seal(b"secret", PLACE) != sealed


def test_it_opens_nowhere_else() -> None:
    sealer = Sealer([OLD])
    sealed = sealer.seal(b"secret", PLACE)
    with pytest.raises(SealBroken):
        sealer.open(sealed, associated("shops", "shop-2", "token"))
    with pytest.raises(SealBroken, match="not here"):
        Sealer([NEW]).open(sealed, PLACE)


@pytest.mark.parametrize("place", range(0, 44, 3))
def test_any_changed_byte_breaks_the_seal(place: int) -> None:
    sealer = Sealer([OLD])
    sealed = bytearray(sealer.seal(b"secret", PLACE))
    sealed[place] ^= 1
    with pytest.raises(SealBroken):
        sealer.open(bytes(sealed), PLACE)


@pytest.mark.parametrize(
    "sealed", [b"", b"J1", b"J2" + bytes(60), b"plain text that was never sealed by anyone"]
)
def test_bytes_never_sealed_are_broken_too(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        Sealer([OLD]).open(sealed, PLACE)


def test_a_rotation_opens_the_old_and_seals_under_the_new() -> None:
    sealed = Sealer([OLD]).seal(b"secret", PLACE)
    rotated = Sealer.from_base64([base64.b64encode(key).decode() for key in (NEW, OLD)])
    assert rotated.open(sealed, PLACE) == b"secret"
    assert not rotated.is_current(sealed)
    anew = rotated.seal(rotated.open(sealed, PLACE), PLACE)
    assert rotated.is_current(anew)
    assert Sealer([NEW]).open(anew, PLACE) == b"secret"


@pytest.mark.parametrize("keys", [[], ["AAAA"], ["not base64!"], [base64.b64encode(bytes(31)).decode()]])
def test_a_bad_key_is_refused_without_being_shown(keys: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        Sealer.from_base64(keys)
    assert all(key not in str(caught.value) for key in keys)


def test_places_are_named_without_ambiguity() -> None:
    assert associated("ab", "c") != associated("a", "bc")
