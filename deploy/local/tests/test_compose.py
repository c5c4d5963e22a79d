"""docker-compose.yml: valid, closed to the network, without secrets in it, and the same system as the native stack."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.compose import variables
from deploy.local.layout import ROOT, Layout
from deploy.local.services import SERVICES, Demo, environment

FILE = ROOT / "docker-compose.yml"
SERVERS = {"kafka": "kafka:9092", "database": "postgresql://"}
# ${NAME:?message}, the one form the file may use: it has no default and stops with the message.
REQUIRED = re.compile(r"\$\{([A-Z_]+):\?[^{}]*\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def test_it_is_a_valid_compose_file() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    answer = subprocess.run(check, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_ports_are_published_on_loopback_only_and_each_once(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_every_variable_is_required_and_the_written_environment_has_them_all(tmp_path: Path) -> None:
    text = FILE.read_text(encoding="utf-8")

    assert "$" not in REQUIRED.sub("", text), "a variable in another form, or a brace in a message"
    assert set(REQUIRED.findall(text)) == set(variables(Layout(tmp_path)))


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert "build" in service or re.fullmatch(r"[a-z/]+:\d[\w.]*", service["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_told_what_the_native_stack_tells_it(
    name: str, compose: dict[str, Any], tmp_path: Path
) -> None:
    told = set(compose["services"][name]["environment"])

    assert told - {"HTTP_HOST"} == set(environment(Layout(tmp_path), name, **SERVERS))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_servers_schema_and_topics(name: str, compose: dict[str, Any]) -> None:
    waits = {part: wait["condition"] for part, wait in compose["services"][name]["depends_on"].items()}

    assert waits["kafka"] == waits["postgres"] == "service_healthy"
    assert waits[f"migrate-{name}"] == waits["topics"] == "service_completed_successfully"


@pytest.mark.parametrize("name", ["kafka", "postgres"])
def test_servers_have_a_health_check_that_gives_them_time(name: str, compose: dict[str, Any]) -> None:
    check = compose["services"][name]["healthcheck"]

    assert int(check["start_period"].removesuffix("s")) >= 60


@pytest.mark.parametrize("file", ["sandbox", "seed"])
def test_the_files_in_it_are_those_of_the_native_stack(
    file: str, compose: dict[str, Any], tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    values = variables(layout)
    text = REQUIRED.sub(lambda match: values[match.group(1)], compose["configs"][file]["content"])
    written = {"sandbox": Demo(layout).sandbox_config(), "seed": Demo(layout).seed()}[file]

    assert without_places(json.loads(text)) == without_places(written)


def without_places(value: Any) -> Any:
    """Leave out hosts and ports, which differ between containers and one machine."""
    if isinstance(value, dict):
        return {key: without_places(part) for key, part in value.items() if key != "ports"}
    if isinstance(value, list):
        return [without_places(part) for part in value]
    return re.sub(r"^http://[^/]+", "", value) if isinstance(value, str) else value


def test_the_image_names_the_same_uv_as_the_makefile() -> None:
    pinned = {
        re.search(pattern, (ROOT / file).read_text(encoding="utf-8")).group(1)  # type: ignore[union-attr] # else it fails
        for file, pattern in {"Makefile": r"UV_VERSION := (\S+)", "deploy/Dockerfile": r"uv==(\S+)"}.items()
    }

    assert len(pinned) == 1


def test_the_image_runs_as_a_numbered_user_that_is_not_root() -> None:
    users = re.findall(r"^USER (\S+)", (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)

    assert users == ["10001:10001"]
