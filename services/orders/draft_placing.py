"""Buat: a draft becomes the placement of its order (T1, MN-3)."""

from typing import Final

import msgspec
from msgspec.structs import replace

from services.orders.concluding import Asked, OfDraft
from services.orders.drafts import Drafts
from services.orders.inputs import FIELD_INVALID, Unreadable, read_object
from services.orders.order.draft import whole
from services.orders.order.input import FieldFault

# What is said at Buat and not in the draft; `actor` beside it as with every command.
TAKEN: Final = ("hold", "allow_backorder", "actor")


class DraftPlacing:
    """Makes placements of drafts, each time of what the draft says then."""

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts

    async def placement(self, asked: Asked, *, settled: bool) -> Asked | None:
        """The placement of the draft that has the order's id; None when the caller has no such draft.

        `settled`: as the draft is once whoever is changing it now is done. Raises Transient.
        """
        row = await self._drafts.row(asked.caller.seller, asked.order_id, settled=settled)
        if row is None:
            return None
        command, lacking = whole(await self._drafts.of(row))
        try:
            given = read_object(asked.body)
        except Unreadable:
            # What is wrong with the body is told in its turn.
            return replace(asked, draft=OfDraft(row.revision))
        unknown = tuple(
            FieldFault(name, FIELD_INVALID, "The draft says the rest; leave it out.")
            for name in given
            if name not in TAKEN
        )
        said = msgspec.to_builtins(command)
        body = {**said, **{name: given[name] for name in TAKEN if name in given}}
        return replace(
            asked, body=msgspec.json.encode(body), draft=OfDraft(row.revision, (*unknown, *lacking))
        )
