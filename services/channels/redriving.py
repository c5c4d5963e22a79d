"""The commands `redrive` and `redrive-actions`: let what is parked be tried again, dry run first.

The first takes raw messages and readings, by reason; the second the actions of orders, as every service does.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from libs.runtime.postgres import make_pool, transient_faults
from libs.runtime.redrive import redrive_command
from services.channels.consumer import ActionsHandler
from services.channels.reads import Reads
from services.channels.store import SCHEMA, Seal, Store

LIMIT_DEFAULT = 1_000


async def redrive(
    dsn: str, seal: Seal, *, reason: str | None, message: UUID | None, limit: int, dry_run: bool
) -> dict[str, int]:
    """How many messages and readings were released, or for a dry run would be."""
    async with make_pool(dsn, SCHEMA, name="channels redrive", size=1) as pool:
        messages = await Store(pool, seal).redrive(
            reason=reason, message=message, limit=limit, dry_run=dry_run
        )
        readings = 0
        if message is None:
            readings = await Reads(pool).unpark(reason=reason, limit=limit, dry_run=dry_run)
    return {"raw_messages": messages, "reads": readings}


def main(dsn: str, seal: Seal, argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m services.channels redrive", description=__doc__)
    parser.add_argument("--reason", help="only what was parked for this reason")
    parser.add_argument("--message", type=UUID, help="only the raw message of this id")
    parser.add_argument(
        "--limit", type=int, default=LIMIT_DEFAULT, help="at most so many of each, oldest first"
    )
    parser.add_argument("--dry-run", action="store_true", help="say how many it would be and change nothing")
    given = parser.parse_args(argv)
    counts = asyncio.run(
        redrive(
            dsn, seal, reason=given.reason, message=given.message, limit=given.limit, dry_run=given.dry_run
        )
    )
    sys.stdout.write(json.dumps({"dry_run": given.dry_run, **counts}) + "\n")
    return 0


def redrive_actions(dsn: Callable[[], str], argv: list[str]) -> int:
    """Run the command; the exit code. The settings are read once its arguments are found good."""

    @asynccontextmanager
    async def open_releaser() -> AsyncIterator[ActionsHandler]:
        pool = make_pool(dsn(), SCHEMA, name="channels redrive", size=2)
        async with transient_faults():
            await pool.open(wait=True)
        try:
            yield ActionsHandler(pool)
        finally:
            await pool.close(3)

    return redrive_command(argv, open_releaser, program="python -m services.channels redrive-actions")
