"""The command `redrive`: lets what is parked be tried again, by reason, with a limit, dry run first."""

import argparse
import asyncio
import json
import sys
from uuid import UUID

from libs.runtime.postgres import make_pool
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
