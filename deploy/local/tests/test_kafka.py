"""The broker's settings and its Java, without a broker."""

from pathlib import Path

import pytest

from deploy.local.kafka import cluster_id, java, properties
from deploy.local.layout import StackError


def test_a_cluster_id_that_would_read_as_an_option_is_drawn_again() -> None:
    # 0xf8 begins with the six bits that URL-safe base64 writes as "-".
    draws = iter([b"\xf8" + bytes(15), bytes(16)])

    assert cluster_id(lambda _size: next(draws)) == "A" * 22


def test_the_node_listens_on_loopback_and_makes_no_topics_by_itself() -> None:
    told = properties(port=20_001, controller_port=20_002, data=Path("/data"))

    assert told["listeners"] == "PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert told["advertised.listeners"] == told["listeners"]
    assert told["auto.create.topics.enable"] == "false"
    assert {value for name, value in told.items() if name.endswith(("replication.factor", "min.isr"))} == {
        "1"
    }
    assert int(told["broker.session.timeout.ms"]) > 2 * int(told["broker.heartbeat.interval.ms"])


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("version", ["17.0.12", "21", "25.0.2"])
def test_a_named_java_is_used_when_it_is_new_enough(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = program(tmp_path / "java", f"echo 'openjdk version \"{version}\"' >&2")
    monkeypatch.setenv("JEJAK_JAVA", named)

    assert java() == Path(named)


@pytest.mark.parametrize(
    "says", ["echo 'java version \"1.8.0_401\"' >&2", "echo 'openjdk version \"11.0.2\"' >&2", "exit 1"]
)
def test_a_named_java_that_is_too_old_or_no_java_is_refused(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEJAK_JAVA", program(tmp_path / "java", says))

    with pytest.raises(StackError, match="not a Java 17 or newer"):
        java()


def test_a_named_java_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEJAK_JAVA", str(tmp_path / "missing"))

    with pytest.raises(StackError, match="not an executable"):
        java()
