"""The contact door: a buyer's contact at the moment of need, for who may see it, each reading kept (PD-4)."""

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from libs.runtime.auth import Principal, require
from libs.runtime.postgres import AsyncPool, transient_faults
from services.orders.answers import refusal_problem
from services.orders.buyers import Buyers
from services.orders.order.allowing import allowed_now
from services.orders.order.buyer import LINE_NOTE, newest
from services.orders.order.headline import headline
from services.orders.order.state import Order
from services.orders.positions import AtLeast, stored
from services.orders.store import load

# What is shown of a buyer: all but the marketplace's id and the words on a cancellation.
SHOWN: Final = (
    "name", "phone", "email", "recipient", "recipient_phone", "address", "district", "postal_code", "note",
)  # fmt: skip
# One of these at least, or there is nobody to reach and nowhere to ship.
REACHING: Final = ("name", "phone", "email", "recipient", "recipient_phone", "address")

UNSTATED: Final = "unstated"
Purpose = Annotated[
    str,
    Query(
        min_length=3,
        max_length=80,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.:-]*$",
        description="What the contact is read for, e.g. shipping; kept with the reading, so nothing personal."
        " Left out, it is kept as unstated",
    ),
]

_ENCODER = msgspec.json.Encoder()


class Contacts:
    """Readings of contacts; each is kept before it is answered."""

    def __init__(self, pool: AsyncPool, buyers: Buyers) -> None:
        self._pool = pool
        self._buyers = buyers

    async def read(
        self, caller: Principal, order_id: UUID, purpose: str, *, min_position: int = 0
    ) -> dict[str, Any]:
        """What is known of who to reach and where to ship.

        Raises the Problem ORDER_NOT_FOUND, also for another seller's order (RF-4), and CONTACT_UNAVAILABLE
        when there is nothing, or its keys are gone; the reading is kept then too. A position that the store
        does not have yet is the Problem 503, and nothing is read.
        """
        await stored(self._pool, min_position)
        async with transient_faults(), self._pool.connection() as connection:
            found = (await load(connection, [order_id])).get(order_id)
            if found is None or found[1].seller != caller.seller:
                raise refusal_problem("ORDER_NOT_FOUND")
            order = found[1]
            (opened,) = await self._buyers.open_within(connection, [(order_id, order.buyers)])
            reachable = any(name in opened for name in REACHING)
            shown: dict[str, str] = (
                {name: opened[name] for name in SHOWN if name in opened} if reachable else {}
            )
            notes = {
                name.removeprefix(LINE_NOTE): text
                for name, text in opened.items()
                if reachable and name.startswith(LINE_NOTE)
            }
            await connection.execute(
                "INSERT INTO orders.contact_readings (order_id, seller, caller, purpose, fields)"
                " VALUES (%s, %s, %s, %s, %s)",
                [order_id, caller.seller, caller.id, purpose, [*shown, *(["line_notes"] if notes else [])]],
            )
        if not reachable:
            raise refusal_problem(
                "CONTACT_UNAVAILABLE",
                headline=headline(order),
                sequence=order.sequence,
                allowed=allowed_now(order),
            )
        return _contact(order_id, order, shown, notes)


def _contact(order_id: UUID, order: Order, shown: dict[str, str], notes: dict[str, str]) -> dict[str, Any]:
    held = newest(order.buyers)
    return {
        "order": str(order_id),
        **{name: shown.get(name) for name in SHOWN},
        "line_notes": notes,
        "city": order.city or None,
        "province": order.province or None,
        # Shown as the channel masks them; they reach nobody.
        "masked": [name for name in shown if name in held[name].masked],
    }


def contact_routes(contacts: Contacts) -> APIRouter:
    """The one door by which contacts leave."""
    router = APIRouter(prefix="/v1")

    @router.get(
        "/orders/{order_id}/contact",
        summary="The buyer's contact, for who must reach the buyer or ship; each reading is kept",
        responses={409: {"description": "CONTACT_UNAVAILABLE: nothing is known, or it was erased"}},
    )
    async def read_contact(
        order_id: str,
        caller: Annotated[Principal, Depends(require("contact"))],
        at_least: AtLeast,
        purpose: Purpose = UNSTATED,
    ) -> Response:
        try:
            wanted = UUID(order_id)
        except ValueError:
            raise refusal_problem("ORDER_NOT_FOUND") from None
        found = await contacts.read(caller, wanted, purpose, min_position=at_least)
        # Nothing between here and the caller may keep it.
        headers = {"cache-control": "no-store"}
        return Response(_ENCODER.encode(found), media_type="application/json", headers=headers)

    return router
