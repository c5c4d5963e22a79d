"""What the registry seals and signs with, made of the settings, and sealing anew under other keys."""

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from pydantic import SecretStr

from libs.runtime.keys import NamedKey
from libs.runtime.postgres import make_pool, transaction
from libs.runtime.sealing import KEY_BYTES, Sealer, associated
from libs.runtime.tokens import TokenSigner
from services.orders.registry.writing import SCHEMA

# For whom tokens are that orders signs: all services of the installation.
AUDIENCE: Final = "jejak"
RESEALED_AT_ONCE: Final = 500
_PURPOSE: Final = b"jejak registry numbers"


def signer_of(keys: Sequence[SecretStr], issuer: str) -> TokenSigner | None:
    """What signs tokens; None when no key or no issuer is set."""
    return TokenSigner(keys, issuer=issuer, audience=AUDIENCE) if keys and issuer else None


def sealer_of(keys: Sequence[NamedKey]) -> Sealer:
    """What seals taxpayers' numbers, under keys of their own made of the key-encryption keys."""
    # A key-encryption key wraps keys; what seals something else is derived from it for that one purpose.
    return Sealer(
        [HKDFExpand(SHA256(), KEY_BYTES, _PURPOSE).derive(each.key.get_secret_value()) for each in keys]
    )


def number_place(seller: str) -> bytes:
    """Where a seller's sealed number belongs: it opens nowhere else."""
    return associated("seller", seller, "npwp")


async def reseal_numbers(dsn: str, sealer: Sealer) -> int:
    """Seal the numbers of all sellers under the sealer's first key; how many were under another.

    Raises SealBroken when one was sealed under a key that the sealer has not, and Transient.
    """
    resealed, after = 0, ""
    async with make_pool(dsn, SCHEMA, name="orders reseal", size=1) as pool:
        while True:
            async with transaction(pool) as connection:
                cursor = await connection.execute(
                    f"SELECT id, npwp_sealed FROM {SCHEMA}.sellers WHERE npwp_sealed IS NOT NULL AND id > %s"
                    " ORDER BY id LIMIT %s FOR UPDATE",
                    [after, RESEALED_AT_ONCE],
                )
                rows = await cursor.fetchall()
                for seller, sealed in rows:
                    if sealer.is_current(sealed):
                        continue
                    place = number_place(seller)
                    await connection.execute(
                        f"UPDATE {SCHEMA}.sellers SET npwp_sealed = %s WHERE id = %s",
                        [sealer.seal(sealer.open(sealed, place), place), seller],
                    )
                    resealed += 1
            if not rows:
                return resealed
            after = rows[-1][0]
