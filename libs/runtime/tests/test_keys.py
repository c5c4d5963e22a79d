"""Keys under keys: what wraps, what unwraps, and that a wrong environment names no key (PD-3)."""

import base64
import os

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.runtime.keys import KeyCipher, KeyEncryptionKeys, KeyGone, NamedKey, NamedKeys
from libs.runtime.sealing import SealBroken

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def text(*keys: tuple[str, bytes]) -> str:
    return ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in keys)


class Holder(BaseSettings):
    model_config = SettingsConfigDict(hide_input_in_errors=True, populate_by_name=True)

    keks: NamedKeys


def ring(*keys: tuple[str, bytes]) -> KeyEncryptionKeys:
    return KeyEncryptionKeys(Holder.model_validate({"keks": text(*keys)}).keks)


def test_pd_3_the_first_wraps_and_all_unwrap() -> None:
    key = os.urandom(32)
    before, after = ring(("2026-01", OLD)), ring(("2026-02", NEW), ("2026-01", OLD))
    kek, wrapped = before.wrap(key, "a")
    assert kek == "2026-01"
    assert key not in wrapped
    assert after.unwrap(kek, wrapped, "a") == key
    assert after.wrap(key, "a")[0] == "2026-02"


def test_a_wrapped_key_opens_under_its_own_name_only() -> None:
    keks = ring(("k", OLD))
    kek, wrapped = keks.wrap(os.urandom(32), "a")
    with pytest.raises(SealBroken):
        keks.unwrap(kek, wrapped, "b")


def test_a_key_encryption_key_that_is_not_here_is_named() -> None:
    kek, wrapped = ring(("old", OLD)).wrap(os.urandom(32), "a")
    with pytest.raises(KeyGone, match="old"):
        ring(("new", NEW)).unwrap(kek, wrapped, "a")


@pytest.mark.parametrize(
    "wrong",
    ["", "MDEyMw==", "a:MDEyMw==", "a:***", "a b:" + "A" * 44, text(("a", OLD), ("a", NEW))],
)
def test_a_wrong_environment_is_refused_and_its_value_never_said(wrong: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Holder.model_validate({"keks": wrong})
    for part in wrong.replace(":", ",").split(","):
        assert len(part) < 4 or part not in str(refused.value)


def test_the_settings_never_show_their_keys() -> None:
    holder = Holder.model_validate({"keks": text(("a", OLD))})
    assert base64.b64encode(OLD).decode() not in repr(holder)
    assert OLD.decode("latin-1") not in repr(holder.keks)
    assert holder.keks == (NamedKey.model_validate({"id": "a", "key": OLD}),)


def test_two_sealings_of_one_text_differ_and_any_change_is_found() -> None:
    cipher = KeyCipher(OLD)
    one, other = cipher.seal(b"word", b"place"), cipher.seal(b"word", b"place")
    assert one != other
    assert cipher.open(one, b"place") == b"word"
    for changed in (one[:-1] + bytes([one[-1] ^ 1]), one[1:], b"", one + b"x"):
        with pytest.raises(SealBroken):
            cipher.open(changed, b"place")
    with pytest.raises(SealBroken):
        cipher.open(one, b"elsewhere")
