"""HTTP in: commands, reported facts and bulk commands. No rule lives here.

Every write needs an Idempotency-Key and takes If-Match: <sequence>. What a key was answered once it is
answered again, a refusal included; GR-3 says what is checked before what.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec.structs import replace

from libs.runtime.auth import caller
from libs.runtime.clock import now, uuid7
from libs.runtime.tracing import checked_traceparent, current_traceparent
from services.orders.answers import JSON, PROBLEM, Answer, refused
from services.orders.bulk import answer_all, results
from services.orders.command_schemas import (
    FACT_SCHEMA,
    PLACE_DRAFT_SCHEMA,
    bulk_schema,
    command_schema,
    documented,
)
from services.orders.concluding import FACT, Asked
from services.orders.dispatch import Dispatcher, DraftGone, Placing
from services.orders.drafts import draft_not_found
from services.orders.inputs import FIELD_INVALID, Unreadable, read_if_match
from services.orders.order.commands import COMMANDS
from services.orders.order.input import FieldFault
from services.orders.registry.doors import sellers_people

_ENCODER = msgspec.json.Encoder()
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_sellers_people = sellers_people("orders:write")
Handler = Callable[..., Awaitable[Response]]


def kebab(command: str) -> str:
    """ConfirmOrder as the path writes it: confirm-order."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", command).lower()


# PlaceOrder has a door of its own.
ON_ORDERS: Final = {kebab(name): name for name in COMMANDS if name != "PlaceOrder"}


def command_routes(dispatcher: Dispatcher, drafts: Placing | None = None) -> APIRouter:
    """The doors by which commands reach orders; each command has a path of its own."""
    router = APIRouter(prefix="/v1")
    doors = _Doors(dispatcher)
    if drafts is not None:
        router.add_api_route(
            "/drafts/{draft_id}/place",
            doors.place_draft(drafts),
            methods=["POST"],
            status_code=201,
            name="PlaceDraft",
            summary="Buat: place the order that a draft asks for (T1, MN-3)",
            **documented(PLACE_DRAFT_SCHEMA, if_match=True),
        )
    router.add_api_route(
        "/orders",
        doors.place,
        methods=["POST"],
        status_code=201,
        name="PlaceOrder",
        summary="Place an order (T1)",
        **documented(command_schema("PlaceOrder")),
    )
    for path, name in ON_ORDERS.items():
        about = (COMMANDS[name].__doc__ or name).split("\n", maxsplit=1)[0]
        router.add_api_route(
            f"/orders/{{order_id}}/commands/{path}",
            doors.command(name),
            methods=["POST"],
            name=name,
            summary=f"{name}: {about}",
            **documented(command_schema(name), if_match=True),
        )
        router.add_api_route(
            f"/bulk/{path}",
            doors.bulk(name),
            methods=["POST"],
            name=f"Bulk{name}",
            summary=f"{name} for 1 to 1,000 orders, each decided alone (GR-12)",
            **documented(bulk_schema(name)),
        )
    router.add_api_route(
        "/orders/{order_id}/commands/preview-edit",
        doors.preview_edit,
        methods=["POST"],
        name="PreviewEdit",
        summary="What EditOrder would do now, without doing it (ED-3)",
        **documented(command_schema("EditOrder"), keyed=False, if_match=True),
    )
    router.add_api_route(
        "/orders/{order_id}/facts",
        doors.command(FACT),
        methods=["POST"],
        name="ReportFact",
        summary="Report what a courier or a gateway saw (GR-13)",
        **documented(FACT_SCHEMA, if_match=True),
    )
    return router


class _Doors:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def place(self, request: Request) -> Response:
        return await self._answered(request, await _asked(request, "PlaceOrder", uuid7(), names_order=False))

    def place_draft(self, drafts: Placing) -> Handler:
        async def place(request: Request, draft_id: str) -> Response:
            found = _uuid(draft_id)
            if found is None:
                raise draft_not_found()
            # An intake caller places orders and knows no drafts.
            await _sellers_people(request)
            try:
                asked = await _asked(request, "PlaceOrder", found)
                return _shown(request, *await self._dispatcher.answer(asked, drafts))
            except DraftGone:
                raise draft_not_found() from None

        return place

    def command(self, name: str) -> Handler:
        async def give(request: Request, order_id: str) -> Response:
            found = _uuid(order_id)
            if found is None:
                return _shown(request, refused("ORDER_NOT_FOUND"))
            return await self._answered(request, await _asked(request, name, found))

        return give

    async def preview_edit(self, request: Request, order_id: str) -> Response:
        found = _uuid(order_id)
        if found is None:
            return _shown(request, refused("ORDER_NOT_FOUND"))
        asked = replace(await _asked(request, "EditOrder", found, keyed=False), is_preview=True)
        return _shown(request, await self._dispatcher.preview(asked))

    def bulk(self, name: str) -> Handler:
        async def give_to_all(request: Request) -> Response:
            found = await answer_all(
                self._dispatcher, await _asked(request, name, uuid7(), names_order=False)
            )
            if isinstance(found, Answer):
                return _shown(request, found)
            return Response(results(found), media_type=JSON)

        return give_to_all

    async def _answered(self, request: Request, asked: Asked) -> Response:
        answer, position = await self._dispatcher.answer(asked)
        return _shown(request, answer, position)


async def _asked(
    request: Request, name: str, order_id: UUID, *, names_order: bool = True, keyed: bool = True
) -> Asked:
    state, headers = request.state, request.headers
    key, faults = headers.get("idempotency-key", ""), []
    if keyed and not _KEY.fullmatch(key):
        sentence = "Name a key of 1 to 200 visible ASCII characters; a repeat names the same."
        faults.append(FieldFault("Idempotency-Key", FIELD_INVALID, sentence))
    expected = None
    try:
        expected = read_if_match(headers.get("if-match"))
    except Unreadable as unreadable:
        faults += unreadable.faults
    return Asked(
        command=name,
        order_id=order_id,
        caller=caller(request),
        key=key,
        body=await request.body(),
        at=now(),
        expected=expected,
        correlation_id=state.correlation_id,
        causation_id=state.request_id,
        traceparent=current_traceparent() or checked_traceparent(headers.get("traceparent", "").encode()),
        names_order=names_order,
        header_faults=tuple(faults),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _shown(request: Request, answer: Answer, position: int | None = None) -> Response:
    body = answer.shown(position)
    if answer.refused:
        body = {**body, "request_id": request.state.request_id}
        return Response(_ENCODER.encode(body), answer.status, media_type=PROBLEM)
    headers = {"ETag": f'"{answer.sequence}"'}
    if answer.status == 201:
        headers["Location"] = f"/v1/orders/{answer.order}"
    return Response(_ENCODER.encode(body), answer.status, headers, JSON)
