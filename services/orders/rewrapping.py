"""The command `rewrap-keys`: wraps keys of sellers and shops anew under the first key-encryption key (PD-3).

Run it after a new key-encryption key was put first; when it says that none is left, the old one may go from
the settings once no topic and no parked record holds what was sealed under it (docs/privacy.md).
"""

import argparse
import asyncio
import json
import sys

from libs.runtime.keys import KeyEncryptionKeys, KeyGone
from libs.runtime.postgres import make_pool
from libs.runtime.sealing import SealBroken
from libs.runtime.settings import load_or_exit
from services.orders.buyer_keys import BuyerKeys
from services.orders.registry.signing import reseal_numbers, sealer_of
from services.orders.settings import OrdersSettings


async def rewrap(dsn: str, keks: KeyEncryptionKeys) -> int:
    """Wrap all keys under the first key-encryption key; how many were under another. Raises KeyGone."""
    keys, total = BuyerKeys(keks), 0
    async with (
        make_pool(dsn, "orders", name="orders rewrap", size=1) as pool,
        pool.connection() as connection,
    ):
        while done := await keys.rewrap(connection):
            total += done
    return total


def main(argv: list[str]) -> int:
    """Run the command; the exit code."""
    argparse.ArgumentParser(prog="python -m services.orders rewrap-keys", description=__doc__).parse_args(
        argv
    )
    settings = load_or_exit(OrdersSettings)
    keks = KeyEncryptionKeys(settings.key_encryption_keys)
    try:
        done = asyncio.run(rewrap(settings.dsn, keks))
        # Numbers of taxpayers are sealed under keys made of the same, so they must not stay behind.
        done += asyncio.run(reseal_numbers(settings.dsn, sealer_of(settings.key_encryption_keys)))
    except (KeyGone, SealBroken) as fault:
        error = {"code": "KEY_GONE", "field": "KEY_ENCRYPTION_KEYS", "message": str(fault)}
        sys.stderr.write(json.dumps(error) + "\n")
        return 2
    sys.stdout.write(json.dumps({"rewrapped": done, "under": keks.first}) + "\n")
    return 0
