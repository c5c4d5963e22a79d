"""What a stack keeps: ports, secrets, files that only their owner reads."""

import socket
import stat
from pathlib import Path

import pytest

from deploy.local.layout import FIRST_PORT, LAST_PORT, LOCAL, Layout, default_directory, read_json, write_json


def taken(port: int) -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def test_a_port_is_chosen_once_and_kept(tmp_path: Path) -> None:
    first = {name: Layout(tmp_path).port(name) for name in ("kafka", "postgres", "orders")}

    assert {name: Layout(tmp_path).port(name) for name in first} == first
    assert len(set(first.values())) == 3
    assert all(FIRST_PORT <= port < LAST_PORT for port in first.values())


def test_ports_stay_below_those_that_clients_are_given() -> None:
    assert LAST_PORT < 32_768


def test_a_port_that_somebody_else_took_is_chosen_anew_and_kept(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    before = layout.port("kafka")

    with taken(before):
        assert layout.port("kafka") == before
        after = layout.free_port("kafka")

    assert after != before
    assert Layout(tmp_path).port("kafka") == after


def test_a_free_port_is_the_kept_one(tmp_path: Path) -> None:
    layout = Layout(tmp_path)

    assert layout.port("orders") == layout.free_port("orders")


def test_a_broken_ports_file_is_chosen_anew(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    (tmp_path / "ports.json").write_text('{"kafka": ')

    assert layout.port("kafka") == Layout(tmp_path).port("kafka")


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    made = iter(["first", "second"])

    assert Layout(tmp_path).secret("password", lambda: next(made)) == "first"
    assert Layout(tmp_path).secret("password", lambda: next(made)) == "first"
    assert stat.S_IMODE((tmp_path / "settings.json").stat().st_mode) == 0o600


def test_a_written_file_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    write_json(path, {"kafka": "a"})
    write_json(path, {"kafka": "b"}, mode=0o600)

    assert read_json(path) == {"kafka": "b"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["endpoints.json"]


def test_the_environment_names_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JEJAK_STACK_DIR", raising=False)
    assert default_directory() == LOCAL / "stack" / "main"

    monkeypatch.setenv("JEJAK_STACK_DIR", str(tmp_path))
    assert default_directory() == tmp_path
