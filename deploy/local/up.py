"""Bring the whole system up on this machine, take it down, and say how it stands."""

import os
import time

from deploy.local.layout import Layout
from deploy.local.stack import NativeStack


def stack(layout: Layout) -> NativeStack:
    """Give the servers to use: those the environment names, else our own."""
    return NativeStack(
        layout.directory,
        kafka=os.environ.get("KAFKA_BOOTSTRAP_SERVERS"),
        database=os.environ.get("DATABASE_URL"),
        say=print,
    )


def up_servers(layout: Layout) -> NativeStack:
    """Start Kafka and PostgreSQL, and return when both answer."""
    began = time.monotonic()
    servers = stack(layout)
    servers.start()
    print(f"kafka      {servers.kafka}")
    print(f"postgres   {servers.database.rpartition('@')[2]}")
    print(f"servers ready after {time.monotonic() - began:.1f} s")
    return servers


def down(layout: Layout) -> None:
    """Stop every process of the stack; the data stays."""
    stack(layout).stop()
    print("everything is stopped; the data stays in", layout.directory)
