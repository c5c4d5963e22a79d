"""The dashboards ask only for metrics and labels that the services have."""

import importlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

ROOT = Path(__file__).parents[1]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
MODULES = (
    "libs.runtime.metrics",
    *(f"services.{name}.metrics" for name in ("orders", "channels", "inventory")),
)
_SELECTOR = re.compile(r"\b([a-z]+(?:_[a-z0-9]+)+)(\{[^}]*\})?(?=[\[\s)]|$)")
# What prometheus makes of a histogram or counter beside its own name.
_ENDINGS = re.compile(r"_(bucket|count|sum|total)$")
_FUNCTIONS = {"histogram_quantile"}


def metrics() -> dict[str, set[str]]:
    """The labels of each metric by its name without ending."""
    found: dict[str, set[str]] = {}
    for name in MODULES:
        for held in vars(importlib.import_module(name)).values():
            if not isinstance(held, type) and hasattr(held, "collect") and hasattr(held, "describe"):
                labels: Sequence[str] = getattr(held, "_labelnames", ()) or getattr(held, "label_names", ())
                found |= {family.name: set(labels) for family in held.describe()}
    return found


def expressions(path: Path) -> list[str]:
    dashboard: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_every_expression_asks_for_metrics_that_there_are(path: Path) -> None:
    known = metrics()
    assert known, REGISTRY
    for expression in expressions(path):
        asked = [found for found in _SELECTOR.finditer(expression) if found[1] not in _FUNCTIONS]
        assert asked, expression
        for found in asked:
            name = _ENDINGS.sub("", found[1])
            assert name in known, f"{found[1]} in {expression}"
            labels = set(re.findall(r"(\w+)=", found[2] or "")) | {
                label.strip()
                for group in re.findall(r"by \(([^)]*)\)", expression)
                for label in group.split(",")
            }
            assert labels - {"le"} <= known[name], expression


def test_there_is_a_dashboard() -> None:
    assert [path.name for path in DASHBOARDS] == ["freshness.json"]
