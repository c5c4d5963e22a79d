"""The command `translate`: one JSON array on standard output, or exit 2 and one JSON object on standard error."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.channels.translate_command import main

SAMPLES = Path(__file__).parent / "samples"


def run(monkeypatch: pytest.MonkeyPatch, argv: str, raw: bytes) -> int:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
    return main(argv.split())


def test_a_push_prints_its_facts_as_one_array(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = (SAMPLES / "lazada" / "push_trade_05_ready_to_ship.json").read_bytes()
    assert run(monkeypatch, "--marketplace lazada --kind push", raw) == 0
    out, err = capsys.readouterr()
    expected = SAMPLES / "lazada" / "push_trade_05_ready_to_ship.expected.json"
    assert json.loads(out) == json.loads(expected.read_text())
    assert err == ""


@pytest.mark.parametrize(
    ("argv", "raw", "code", "field"),
    [
        ("--marketplace lazada --kind push", b"<html>", "NOT_JSON", "payload"),
        ("--marketplace lazada --kind push", b"[]", "WRONG_TYPE", "payload"),
        ("--marketplace lazada --kind order", b'{"code": "16", "message": "x"}', "MARKETPLACE_ERROR", "code"),
        ("--marketplace lazada --kind parcel", b"{}", "UNKNOWN_KIND", "--kind"),
        ("--marketplace amazon --kind push", b"{}", "UNKNOWN_MARKETPLACE", "--marketplace"),
        ("--marketplace tiktok --kind push", b"{}", "NOT_TRANSLATED_YET", "--marketplace"),
        ("--marketplace lazada --kind push --site xx", b"{}", "SITE_NOT_SUPPORTED", "site"),
        ("--marketplace tokopedia --kind status --site sg", b"{}", "SITE_NOT_SUPPORTED", "site"),
        ("--marketplace lazada", b"{}", "BAD_ARGUMENTS", "arguments"),
        ("--marketplace lazada --kind push --colour red", b"{}", "BAD_ARGUMENTS", "arguments"),
    ],
)
def test_malformed_input_is_exit_2_and_one_object_on_standard_error(
    argv: str,
    raw: bytes,
    code: str,
    field: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, argv, raw) == 2
    out, err = capsys.readouterr()
    error = json.loads(err)
    assert out == ""
    assert (error["code"], error["field"]) == (code, field)
    assert sorted(error) == ["code", "field", "message"]
