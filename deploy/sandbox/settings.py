"""The configuration file of the sandbox, read and checked once.

Every mistake is reported with the field it is in; nothing has a secret as its default.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SITES = ("my", "sg", "th", "vn", "id", "ph")
TOPICS = ("notification", "status", "cancellation", "cancel-request")


class SettingsError(ValueError):
    """The configuration cannot be used; `field` says where."""

    def __init__(self, field_name: str, problem: str) -> None:
        super().__init__(f"{field_name}: {problem}")
        self.field = field_name
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Buyer:
    """Values that every order shows in clear, so that a privacy test can look for them elsewhere."""

    name: str | None = None
    phone: str | None = None
    address: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class LazadaShop:
    site: str
    seller_id: str
    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Lazada:
    app_key: str
    app_secret: str
    webhook_url: str
    shops: tuple[LazadaShop, ...]
    calls_per_second: int
    access_token_seconds: int
    answer_seconds: float


@dataclass(frozen=True, slots=True)
class TokopediaShop:
    shop_id: int


@dataclass(frozen=True, slots=True)
class Tokopedia:
    fs_id: int
    client_id: str
    client_secret: str
    webhooks: Mapping[str, str]
    shops: tuple[TokopediaShop, ...]
    calls_per_second: int
    token_seconds: int


@dataclass(frozen=True, slots=True)
class Settings:
    control_port: int
    lazada_port: int
    tokopedia_port: int
    lazada: Lazada
    tokopedia: Tokopedia
    buyer: Buyer = field(default_factory=Buyer)
    api_error: float = 0.0
    api_timeout: float = 0.0
    timeout_seconds: float = 15.0
    seed: int = 1


class Section:
    """One JSON object of the configuration, which names its fields in every complaint."""

    def __init__(self, content: Any, path: str) -> None:
        if not isinstance(content, dict):
            raise SettingsError(path or "(file)", "must be a JSON object")
        self._content = content
        self._path = path

    def section(self, name: str, *, optional: bool = False) -> "Section":
        missing: Any = {} if optional else None
        return Section(self._content.get(name, missing), self.path(name))

    def rows(self, name: str) -> list["Section"]:
        rows = self._content.get(name)
        if not isinstance(rows, list) or not rows:
            raise SettingsError(self.path(name), "must be a list of at least one row")
        return [Section(row, f"{self.path(name)}[{n}]") for n, row in enumerate(rows)]

    def text(self, name: str) -> str:
        found = self._content.get(name)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if not isinstance(found, str) or not found:
            raise SettingsError(self.path(name), "must be a text that is not empty")
        return found

    def text_or_none(self, name: str) -> str | None:
        return None if self._content.get(name) is None else self.text(name)

    def url(self, name: str) -> str:
        found = self.text(name)
        if not found.startswith(("http://", "https://")):
            raise SettingsError(self.path(name), "must be an http or https address")
        return found

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        found = self._content.get(name, default)
        if isinstance(found, str) and found.isdigit():
            found = int(found)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise SettingsError(self.path(name), f"must be a whole number from {low} to {high}")
        return found

    def number(self, name: str, low: float, high: float, default: float) -> float:
        found = self._content.get(name, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
            raise SettingsError(self.path(name), f"must be a number from {low} to {high}")
        return float(found)

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def read(path: Path) -> Settings:
    """The settings in a file; SettingsError when it is missing, is no JSON or lacks a field."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise SettingsError(str(path), f"cannot be read as JSON: {fault}") from fault
    return parse(content)


def parse(content: Any) -> Settings:
    """The settings in a JSON value; port 0 lets the system choose one."""
    file = Section(content, "")
    ports = file.section("ports")
    faults = file.section("faults", optional=True)
    return Settings(
        control_port=ports.whole("control", 0, 65535),
        lazada_port=ports.whole("lazada", 0, 65535),
        tokopedia_port=ports.whole("tokopedia", 0, 65535),
        lazada=_lazada(file.section("lazada")),
        tokopedia=_tokopedia(file.section("tokopedia")),
        buyer=buyer(file.section("buyer", optional=True)),
        api_error=faults.number("api_error", 0, 1, 0),
        api_timeout=faults.number("api_timeout", 0, 1, 0),
        timeout_seconds=file.number("timeout_seconds", 0.01, 600, 15),
        seed=file.whole("seed", 0, 2**63, 1),
    )


def buyer(found: Section) -> Buyer:
    """Planted buyer values; what is absent stays made up."""
    return Buyer(
        name=found.text_or_none("name"),
        phone=found.text_or_none("phone"),
        address=found.text_or_none("address"),
        email=found.text_or_none("email"),
    )


def _lazada(found: Section) -> Lazada:
    return Lazada(
        app_key=found.text("app_key"),
        app_secret=found.text("app_secret"),
        webhook_url=found.url("webhook_url"),
        shops=tuple(_lazada_shop(row) for row in found.rows("shops")),
        calls_per_second=found.whole("calls_per_second", 1, 1_000_000, 200),
        # An online app's access token lives 30 days (doc 121098).
        access_token_seconds=found.whole("access_token_seconds", 0, 10**9, 30 * 86400),
        # Lazada counts an answer after 500 ms as none (doc 120168).
        answer_seconds=found.number("answer_seconds", 0.01, 600, 0.5),
    )


def _lazada_shop(row: Section) -> LazadaShop:
    site = row.text("site").lower()
    if site not in SITES:
        raise SettingsError(row.path("site"), f"must be one of {', '.join(SITES)}")
    return LazadaShop(site, row.text("seller_id"), row.text("access_token"), row.text("refresh_token"))


def _tokopedia(found: Section) -> Tokopedia:
    webhooks = found.section("webhooks")
    return Tokopedia(
        fs_id=found.whole("fs_id", 1, 2**53),
        client_id=found.text("client_id"),
        client_secret=found.text("client_secret"),
        webhooks={topic: webhooks.url(topic) for topic in TOPICS},
        shops=tuple(TokopediaShop(row.whole("shop_id", 1, 2**53)) for row in found.rows("shops")),
        calls_per_second=found.whole("calls_per_second", 1, 1_000_000, 100),
        # The guide's example answers 2592000 seconds; the real figure varies, so a caller must read it.
        token_seconds=found.whole("token_seconds", 0, 10**9, 30 * 86400),
    )
