"""What the containers are told is what the settings read: no variable too many, none that is needed missing."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from deploy.local.layout import Layout
from deploy.local.services import SERVICES, environment
from libs.runtime.kafka import KafkaSettings
from libs.runtime.settings import describe
from libs.runtime.tracing import TracingSettings
from services.channels.settings import ChannelsSettings
from services.inventory.settings import InventorySettings
from services.notifications.settings import NotificationsSettings
from services.orders.settings import OrdersSettings

ROOT = Path(__file__).parents[1]
SETTINGS: dict[str, type[BaseSettings]] = {
    "orders": OrdersSettings,
    "channels": ChannelsSettings,
    "inventory": InventorySettings,
    "notifications": NotificationsSettings,
}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def told_by_compose(service: str) -> set[str]:
    told = compose()["services"][service]["environment"]
    return set(told) if isinstance(told, dict) else {each.partition("=")[0] for each in told}


@pytest.mark.parametrize("service", SERVICES)
def test_compose_tells_each_service_exactly_what_its_settings_read(service: str) -> None:
    read = describe(SETTINGS[service], KafkaSettings, TracingSettings)
    told = told_by_compose(service)
    assert told <= {variable.name for variable in read}, "A variable that nobody reads misleads."
    assert {variable.name for variable in read if variable.required} <= told


@pytest.mark.parametrize("service", SERVICES)
def test_the_native_stack_tells_each_service_the_same_as_compose(service: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for each in SERVICES:
        layout.free_port(each)
    for door in ("control", "lazada", "tokopedia"):
        layout.free_port(f"sandbox_{door}")
    native = environment(layout, service, kafka="127.0.0.1:1", database="postgresql://u:p@127.0.0.1:1/d")
    only_in_containers = {"HTTP_HOST"}
    assert set(native) == told_by_compose(service) - only_in_containers


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    names = {variable.name for variable in describe(KafkaSettings, TracingSettings, *SETTINGS.values())}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
