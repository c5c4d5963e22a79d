"""Writes the OpenAPI document of every service to docs/openapi: `python -m deploy.openapi [--check]`.

A document is that of the app which the service's composition root makes, as it is at /openapi.json. Nothing
is started or opened.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import ASGIApp

from deploy.local.layout import Layout
from deploy.local.services import environment
from libs.runtime.kafka import KafkaSettings
from libs.runtime.serving import Process
from libs.runtime.settings import ServiceSettings, load_or_exit

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = Path("docs/openapi")
# Nobody is there; pools and clients are made and never opened.
KAFKA: Final = "127.0.0.1:1"
DATABASE: Final = "postgresql://nobody@127.0.0.1:1/none"

Compose = Callable[[Any, KafkaSettings, str], Callable[[Process], None]]


class _AppOnly(Process):
    """A process that is never run: it keeps the app that it is given."""

    app: ASGIApp

    def http(self, app: ASGIApp, host: str, port: int) -> None:  # noqa: ARG002 - nobody listens.
        self.app = app


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Exit 0 when everything is fresh or written anew, 1 with a sentence for each stale document."""
    parser = argparse.ArgumentParser(prog="python -m deploy.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; say what is stale")
    asked = parser.parse_args(arguments)
    stale = [
        (path, text)
        for path, text in generated().items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if asked.check:
            sys.stderr.write(f"{path} is stale. Run `python -m deploy.openapi`.\n")
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")
    return 1 if asked.check and stale else 0


@cache
def generated() -> Mapping[Path, str]:
    """Every document and its content; made once in a process, whose code does not change."""
    found = asyncio.run(_documents())
    return {
        FOLDER / f"{service}.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for service, document in found.items()
    }


# Pools and clients ask for a running loop when they are made.
async def _documents() -> dict[str, Mapping[str, Any]]:
    from services.channels.app import compose as channels
    from services.channels.settings import ChannelsSettings
    from services.inventory.app import FOLLOWER as INVENTORY
    from services.notifications.app import FOLLOWER as NOTIFICATIONS
    from services.orders.app import compose as orders
    from services.orders.settings import OrdersSettings

    return {
        "orders": _document("orders", orders, OrdersSettings, "api"),
        # A role without webhooks: they answer past the framework, and are the marketplaces' own contract.
        "channels": _document("channels", channels, ChannelsSettings, "relay"),
        "inventory": _document("inventory", INVENTORY.compose, INVENTORY.settings, "consumer"),
        "notifications": _document(
            "notifications", NOTIFICATIONS.compose, NOTIFICATIONS.settings, "consumer"
        ),
    }


def _document(
    service: str, compose: Compose, settings: type[ServiceSettings], role: str
) -> Mapping[str, Any]:
    with _told(service):
        process = _AppOnly(service)
        compose(*load_or_exit(settings, KafkaSettings), role)(process)
    assert isinstance(process.app, FastAPI), "A role without webhooks answers by the framework alone."
    return process.app.openapi()


@contextmanager
def _told(service: str) -> Iterator[None]:
    """What the native stack would tell the service, with secrets of its own; for the block."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(environment(Layout(folder), service, kafka=KAFKA, database=DATABASE))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


if __name__ == "__main__":
    sys.exit(main())
