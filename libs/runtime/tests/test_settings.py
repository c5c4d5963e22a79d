"""Settings come from the environment, and what is wrong with it is said without its values."""

import json

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from libs.runtime.kafka import KafkaSettings
from libs.runtime.settings import BadSettings, ServiceSettings, describe, load, load_or_exit

KEY = {"id": "a", "sha256": "0" * 64, "scopes": ["*"], "seller": "seller-1"}


class OrdersSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="ORDERS_")

    http_port: int
    """The port that HTTP is answered on"""

    seal_key: SecretStr | None = None
    """The key that seals"""

    sites: tuple[str, ...] = ()
    """The sites that are served"""


GOOD = {
    "DATABASE_URL": "postgresql://jejak:hunter2@db:5432/jejak",
    "API_KEYS": json.dumps([KEY]),
    "ORDERS_HTTP_PORT": "8080",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_HOST", "LOG_LEVEL", "ORDERS_SEAL_KEY", "ORDERS_SITES", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_shared_names_have_no_prefix_and_own_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    settings = load(OrdersSettings)
    assert (settings.http_port, settings.http_host, settings.log_level) == (8080, "127.0.0.1", "warning")
    assert settings.dsn == GOOD["DATABASE_URL"]
    assert settings.api_keys[0].seller == "seller-1"


def test_secrets_are_not_shown() -> None:
    shown = repr(load(OrdersSettings))
    assert "hunter2" not in shown
    assert "0" * 64 not in shown


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", None, "DATABASE_URL is not set: where PostgreSQL is"),
        ("DATABASE_URL", "", "DATABASE_URL is not set"),
        ("DATABASE_URL", "hunter2", "DATABASE_URL is not a PostgreSQL connection string."),
        ("API_KEYS", "{hunter2", "API_KEYS is not JSON."),
        ("API_KEYS", json.dumps([KEY | {"sha256": "hunter2"}]), "API_KEYS[0][sha256] is wrong"),
        ("API_KEYS", json.dumps([KEY, KEY]), "API_KEYS names one id twice."),
        ("ORDERS_HTTP_PORT", "hunter2", "ORDERS_HTTP_PORT is wrong: input should be a valid integer"),
        ("ORDERS_SITES", "[hunter2", "ORDERS_SITES is wrong: it is not JSON."),
        (
            "LOG_LEVEL",
            "hunter2",
            "LOG_LEVEL is wrong: input should be 'debug', 'info', 'warning' or 'error'.",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence_without_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, sentence: str
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as caught:
        load(OrdersSettings)
    [said] = caught.value.sentences
    assert said.startswith(sentence)
    assert "hunter2" not in said


def test_all_that_is_wrong_is_said_at_once_and_the_exit_code_is_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("ORDERS_HTTP_PORT", "hunter2")
    with pytest.raises(SystemExit) as caught:
        load_or_exit(OrdersSettings, KafkaSettings)
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == [
        "DATABASE_URL",
        "ORDERS_HTTP_PORT",
        "KAFKA_BOOTSTRAP_SERVERS",
    ]


def test_every_variable_is_described() -> None:
    described = {variable.name: variable for variable in describe(OrdersSettings, KafkaSettings)}
    assert described["DATABASE_URL"].required
    assert described["DATABASE_URL"].secret
    assert described["API_KEYS"].secret
    assert not described["HTTP_HOST"].required
    assert described["ORDERS_HTTP_PORT"].meaning == "The port that HTTP is answered on"
    assert described["ORDERS_SEAL_KEY"].secret
    assert described["KAFKA_SASL_PASSWORD"].secret
    assert described["KAFKA_BOOTSTRAP_SERVERS"].required


def test_settings_do_not_change() -> None:
    settings = load(OrdersSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.http_port = 1
