"""The command `register-seller`: makes the seller of a file exist; a repeat changes nothing."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from libs.runtime.postgres import make_pool, transaction
from libs.runtime.sealing import Sealer
from services.orders.registry import store
from services.orders.registry.bodies import SellerBody
from services.orders.registry.refusals import RegistryRefused
from services.orders.registry.seller_routes import new_seller, seal_npwp, seller_shown
from services.orders.registry.writing import SCHEMA, By

# Who the history says it was.
CALLER = "register-seller"
_UNREADABLE = 2


async def register(dsn: str, sealer: Sealer, body: SellerBody) -> dict[str, Any]:
    """Make the seller exist and give it; raises RegistryRefused, and Transient without the database."""
    seller, owner = new_seller(body)
    mask, sealed = seal_npwp(sealer, seller.id, body.npwp)
    named = msgspec.structs.replace(seller, npwp_masked=mask or "")
    async with (
        make_pool(dsn, SCHEMA, name="orders register-seller", size=1) as pool,
        transaction(pool) as connection,
    ):
        made = await store.register_seller(
            connection, By(seller.id, CALLER, "OPERATOR"), named, owner=owner, numbers=sealed
        )
    return seller_shown(made)


def main(dsn: str, sealer: Sealer, argv: list[str]) -> int:
    """Run the command; the exit code: 0, or 2 when the file is wrong."""
    parser = argparse.ArgumentParser(prog="python -m services.orders register-seller", description=__doc__)
    parser.add_argument("--file", required=True, type=Path)
    try:
        body = SellerBody.model_validate_json(parser.parse_args(argv).file.read_bytes())
        if body.id is None or body.owner.id is None:
            return _refuse("FIELD_INVALID", "id", "The file names no id of the seller or of its owner.")
        made = asyncio.run(register(dsn, sealer, body))
    except OSError as fault:
        return _refuse("UNREADABLE", "file", f"The file cannot be read: {fault.strerror}.")
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        return _refuse("FIELD_INVALID", field, f"{first['msg']}.")
    except RegistryRefused as refused:
        field = refused.fields[0].field if refused.fields else ""
        sentence = refused.fields[0].sentence if refused.fields else refused.sentence
        return _refuse(refused.code, field, sentence)
    sys.stdout.write(json.dumps({"seller": made}) + "\n")
    return 0


def _refuse(code: str, field: str, message: str) -> int:
    sys.stderr.write(json.dumps({"code": code, "field": field, "message": message}) + "\n")
    return _UNREADABLE
