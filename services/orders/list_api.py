"""HTTP in: the order list, one order, its timeline and why its headline is what it is. No rule lives here."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from libs.runtime.auth import Principal, require
from libs.runtime.pages import Paging, cut, page
from libs.runtime.problems import CODES, Problem, field_problem
from services.orders.answers import refusal_problem
from services.orders.columns import STATUS_NAMES
from services.orders.facets import FILTERS, NONE, OPEN
from services.orders.list_query import Mark
from services.orders.list_query import Query as PageQuery
from services.orders.order.events import Method
from services.orders.order.model import Billing, Coverage, Fulfilment, Status, Transaction
from services.orders.order_list import NotBuilt
from services.orders.positions import AtLeast
from services.orders.viewing import viewed
from services.orders.views import NotPlacedByCaller, OrderViews

_ENCODER = msgspec.json.Encoder()
WORD_CHARACTERS_MAX: Final = 100
# PostgreSQL's text holds no NUL.
WITHOUT_NUL: Final = r"^[^\x00]*$"
# Who may see and search what is known of buyers: owner and agent have this scope (18.2).
CONTACT: Final = "contact"
READ: Final = "orders:read"
# Who lets buyers order reads the state of the orders it placed, and of no others (18.2).
INTAKE: Final = "intake"

FLAGS: Final = (
    "PARTLY_SHIPPED", "HAS_PROBLEM", "HAS_LOSS", "HAS_RETURN", "PARTLY_CANCELLED", "OVERPAID",
    "BILL_PARTLY_PAID", "REFUND_DUE", "MONEY_TO_SETTLE", "COD_DIFFERENCE", "ON_HOLD", "STOCK_SHORT",
    "CONSENT_NEEDED", "AWB_UNKNOWN", "TOTALS_DIFFER", "CHANNEL_CONFLICT", "UNRECOGNISED", "ACTION_PENDING",
    "ACTION_FAILED", "NEGOTIATION_OPEN",
)  # fmt: skip
# The words that a filter takes, where they are a closed set.
WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "headline": tuple(STATUS_NAMES),
    "flag": FLAGS,
    "order_status": tuple(Status),
    "request": (OPEN, NONE),
    "coverage": tuple(Coverage),
    "transaction": tuple(Transaction),
    "fulfilment": tuple(Fulfilment),
    "billing": tuple(Billing),
    "source": ("LANDING_PAGE", "STOREFRONT", "PRIVATE_ORDER", "MANUAL", "CHANNEL"),
    "method": tuple(Method),
}

Word = Annotated[str | None, Query(min_length=1, max_length=WORD_CHARACTERS_MAX, pattern=WITHOUT_NUL)]
Day = Annotated[date | None, Query(description="YYYY-MM-DD, a day in the shop's zone")]


class Filters(msgspec.Struct, frozen=True):
    """The filters of LS-2 as they were given."""

    words: tuple[tuple[str, str], ...]
    search: str
    since: date | None
    until: date | None


async def _filters(
    *,
    headline: Annotated[str | None, Query(description="One of the 21 headlines")] = None,
    flag: Word = None,
    order_status: Word = None,
    request: Annotated[str | None, Query(description="OPEN or NONE: a request to cancel")] = None,
    coverage: Word = None,
    transaction: Word = None,
    fulfilment: Word = None,
    billing: Word = None,
    channel: Word = None,
    shop: Word = None,
    source: Word = None,
    agent: Word = None,
    warehouse: Word = None,
    courier: Word = None,
    method: Word = None,
    tag: Word = None,
    marketplace_number: Word = None,
    date_from: Day = None,
    date_to: Day = None,
    search: Annotated[
        str,
        Query(
            max_length=WORD_CHARACTERS_MAX,
            pattern=WITHOUT_NUL,
            description="Order number, marketplace number or AWB, whole; or recipient, phone or address",
        ),
    ] = "",
) -> Filters:
    given = locals()
    words = tuple((name, given[name]) for name in FILTERS if given[name] is not None)
    for name, word in words:
        known = WORDS.get(name)
        if known is not None and word not in known:
            raise field_problem(
                name, "FIELD_INVALID", f"There is no such {name}; use one of {', '.join(known)}."
            )
    if date_from is not None and date_to is not None and date_to <= date_from:
        raise field_problem(
            "date_to", "FIELD_INVALID", "The day is not counted itself, so it must be after date_from."
        )
    return Filters(words, search.strip(), date_from, date_to)


def order_routes(views: OrderViews) -> APIRouter:
    """The queries about orders, each bounded to the seller of the caller's key."""
    router = APIRouter()
    read = Depends(require(READ))
    read_or_placed = Depends(require(READ, INTAKE))

    @router.get("/orders", summary="Orders of the seller, the latest placed first")
    async def list_orders(
        *,
        caller: Annotated[Principal, read],
        paging: Paging,
        filters: Annotated[Filters, Depends(_filters)],
        sort: Literal["-placed_at", "placed_at"] = "-placed_at",
        at_least: AtLeast,
    ) -> Response:
        after = paging.after(Mark)
        if after is not None and after.sort != sort:
            raise field_problem("cursor", "INVALID_CURSOR", "The cursor is of another order of sorting.")
        await views.reached(at_least)
        wanted = PageQuery(
            seller=caller.seller,
            limit=paging.limit + 1,
            words=filters.words,
            search=filters.search,
            since=filters.since,
            until=filters.until,
            sort=sort,
            after=after,
            buyers=caller.may(CONTACT),
        )
        try:
            rows = await views.orders(wanted)
        except NotBuilt:
            raise _later("READ_MODEL_BUILDING", "The order list is being built; try again.") from None
        shown, next_cursor = cut(rows, paging.limit, lambda row: row[0])
        return json_response(page([row[1] for row in shown], next_cursor))

    @router.get("/orders/{order_id}", summary="One order as its history says now")
    async def get_order(
        order_id: str, caller: Annotated[Principal, read_or_placed], at_least: AtLeast
    ) -> Response:
        reads = caller.may(READ)
        try:
            found = await views.order(
                caller.seller,
                order_id_in(order_id),
                min_position=at_least,
                buyers=reads and caller.may(CONTACT),
                placed_by=None if reads else caller.stands_as,
            )
        except NotPlacedByCaller:
            raise Problem(403, CODES[403], "An intake caller reads the orders that it placed.") from None
        if found is None:
            raise order_not_found()
        if not reads:
            # What people of the seller call things, their notes on it and its agent are not the buyer's.
            del found["columns"]
        viewed(order_id_in(order_id), caller.id)
        answer = json_response(found)
        answer.headers["ETag"] = f'"{found["sequence"]}"'
        return answer

    @router.get("/orders/{order_id}/timeline", summary="What happened to one order: who, when and why")
    async def order_timeline(
        order_id: str, caller: Annotated[Principal, read], paging: Paging, at_least: AtLeast
    ) -> Response:
        await views.stored(at_least)
        found = await views.timeline(
            caller.seller, order_id_in(order_id), limit=paging.limit + 1, after=paging.after(int) or 0
        )
        if found is None:
            raise order_not_found()
        shown, next_cursor = cut(found, paging.limit, lambda entry: entry["sequence"])
        return json_response(page(shown, next_cursor))

    @router.get("/orders/{order_id}/explain", summary="Why the headline is what it is")
    async def order_explained(
        order_id: str, caller: Annotated[Principal, read], at_least: AtLeast
    ) -> Response:
        await views.stored(at_least)
        found = await views.explanation(caller.seller, order_id_in(order_id))
        if found is None:
            raise order_not_found()
        return json_response(found)

    return router


def json_response(body: Any) -> Response:
    return Response(_ENCODER.encode(body), media_type="application/json")


def order_not_found() -> Problem:
    """The same answer for an order of another seller (RF-4)."""
    return refusal_problem("ORDER_NOT_FOUND")


def order_id_in(text: str) -> UUID:
    """The id in a path; raises the Problem 404 when it is none."""
    try:
        return UUID(text)
    except ValueError:
        raise order_not_found() from None


def _later(code: str, sentence: str) -> Problem:
    return Problem(503, code, sentence, headers={"Retry-After": "1"})
