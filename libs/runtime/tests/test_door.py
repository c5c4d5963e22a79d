"""The door of a service judges arguments first, then settings, and opens to one role or command."""

import json
from collections.abc import Callable

import pytest

from libs.runtime.door import Service, enter
from libs.runtime.kafka import KafkaSettings
from libs.runtime.serving import Process
from libs.runtime.settings import FollowerSettings

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "API_KEYS": "[]",
    "HTTP_PORT": "0",
}


class Things:
    """A service that writes down what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def load(self) -> Service[FollowerSettings]:
        self.asked.append("loaded")
        return Service(FollowerSettings, self.migrate, self.compose)

    def migrate(self, dsn: str) -> list[str]:
        self.asked.append(dsn)
        return ["things/0001_things.sql"]

    def compose(
        self, settings: FollowerSettings, kafka: KafkaSettings, role: str
    ) -> Callable[[Process], None]:
        self.asked += [settings.dsn, kafka.bootstrap_servers, role]
        return lambda process: process.stop()

    def count(self, argv: list[str]) -> int:
        self.asked.append(argv)
        return 7

    def enter(self, *argv: str) -> int:
        return enter(
            list(argv), "things", "About.", self.load, roles=("serve",), commands={"count": self.count}
        )


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> Things:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return Things()


@pytest.mark.parametrize("argv", [[], ["bogus"], ["serve", "more"], ["migrate", "more"], ["--more"]])
def test_a_wrong_argument_is_exit_2_before_anything_is_loaded(
    things: Things, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        things.enter(*argv)
    assert (ended.value.code, things.asked) == (2, [])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: python -m services.things" in captured.err


def test_a_wrong_environment_is_exit_2_with_a_sentence_for_each_variable(
    things: Things, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("API_KEYS")
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")
    with pytest.raises(SystemExit) as ended:
        things.enter("serve")
    assert (ended.value.code, things.asked) == (2, ["loaded"])
    names = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert names == ["API_KEYS", "KAFKA_BOOTSTRAP_SERVERS"]


def test_a_command_gets_the_rest_of_the_arguments_and_gives_the_exit_code(things: Things) -> None:
    assert things.enter("count", "--all", "-h") == 7
    assert things.asked == [["--all", "-h"]]


@pytest.mark.usefixtures("own_logs")
def test_migrate_prints_nothing_but_what_was_applied(
    things: Things, capsys: pytest.CaptureFixture[str]
) -> None:
    assert things.enter("migrate") == 0
    assert json.loads(capsys.readouterr().out) == {"applied": ["things/0001_things.sql"]}
    assert things.asked == ["loaded", ENVIRONMENT["DATABASE_URL"]]


@pytest.mark.usefixtures("own_logs")
def test_a_role_runs_until_it_is_stopped(things: Things) -> None:
    assert things.enter("serve") == 0
    assert things.asked[-1] == "serve"
