"""HTTP in: drafts of manual orders (MN-1). No rule lives here; Buat is a command's door (commands_api.py)."""

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Header, Request, Response

from libs.runtime.asgi import IdempotencyKey
from libs.runtime.auth import Principal
from libs.runtime.errors import Transient
from libs.runtime.pages import Paging, cut, page
from services.orders.command_schemas import documented, draft_schema
from services.orders.drafts import Drafts, Moved, draft_not_found, faults_shown, fields_problem, shown
from services.orders.inputs import Unreadable, read_if_match, read_object
from services.orders.registry.doors import Doors, sellers_people

# How often a change is made anew because another came between, before its caller is told to try again.
TRIES_MAX: Final = 8
CONTACT: Final = "contact"
_ENCODER = msgspec.json.Encoder()
Writer = Annotated[Principal, Depends(sellers_people("orders:write"))]
Reader = Annotated[Principal, Depends(sellers_people("orders:read"))]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=40, description="The revision that the caller saw; another: 412"),
]


def draft_routes(drafts: Drafts, doors: Doors) -> APIRouter:
    """Drafts are made, read, changed and deleted by the seller's own people."""
    router = APIRouter(prefix="/v1/drafts")
    taken = documented(draft_schema(), keyed=False)

    @router.post("", status_code=201, summary="Open a draft of a manual order (MN-1)", **taken)
    async def make(request: Request, caller: Writer, key: IdempotencyKey) -> Response:
        work = await drafts.making(caller, await _patch(request))
        answer = await doors.write(request, caller, key, work)
        found = msgspec.json.decode(answer.body)
        answer.headers["Location"] = f"/v1/drafts/{found['id']}"
        return _revised(answer)

    @router.get("", summary="Drafts of the seller, the latest made first")
    async def listed(caller: Reader, paging: Paging) -> Response:
        rows = await drafts.page(caller.seller, limit=paging.limit + 1, before=paging.after(UUID))
        kept, following = cut(rows, paging.limit, lambda row: str(row.id))
        contact = caller.may(CONTACT)
        items = [
            shown(row, draft, contact=contact)
            for row, draft in zip(kept, await drafts.opened(kept), strict=True)
        ]
        return _private(page(items, following))

    @router.get("/{draft_id}", summary="One draft, and what is still missing for Buat (MN-3)")
    async def read(draft_id: str, caller: Reader) -> Response:
        row = await drafts.row(caller.seller, _draft_id(draft_id))
        if row is None:
            raise draft_not_found()
        draft = await drafts.of(row)
        lacking, total = await drafts.judged(caller.seller, draft)
        answer = _private(
            {
                **shown(row, draft, contact=caller.may(CONTACT)),
                "missing": faults_shown(lacking),
                "total": total,
            }
        )
        answer.headers["ETag"] = f'"{row.revision}"'
        return answer

    @router.patch("/{draft_id}", summary="Change what is named (RFC 7396); null takes a value away", **taken)
    async def change(
        request: Request, draft_id: str, caller: Writer, key: IdempotencyKey, if_match: IfMatch = None
    ) -> Response:
        expected, wanted = _expected(if_match), _draft_id(draft_id)
        patch = await _patch(request)
        for _ in range(TRIES_MAX):
            work = await drafts.changing(caller, wanted, patch, expected)
            try:
                return _revised(await doors.write(request, caller, key, work))
            except Moved:
                continue
        raise Transient("The draft was changed by others each time.")

    @router.delete("/{draft_id}", summary="Delete a draft")
    async def drop(
        request: Request, draft_id: str, caller: Writer, key: IdempotencyKey, if_match: IfMatch = None
    ) -> Response:
        work = drafts.dropping(caller, _draft_id(draft_id), _expected(if_match))
        return await doors.write(request, caller, key, work)

    return router


async def _patch(request: Request) -> dict[str, Any]:
    try:
        return read_object(await request.body())
    except Unreadable as unreadable:
        raise fields_problem(unreadable.faults) from None


def _expected(header: str | None) -> int | None:
    try:
        return read_if_match(header)
    except Unreadable as unreadable:
        raise fields_problem(unreadable.faults) from None


def _draft_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise draft_not_found() from None


def _private(body: Any) -> Response:
    """The body, which nothing between here and the caller may keep."""
    headers = {"cache-control": "no-store"}
    return Response(_ENCODER.encode(body), headers=headers, media_type="application/json")


def _revised(answer: Response) -> Response:
    answer.headers["ETag"] = f'"{msgspec.json.decode(answer.body)["revision"]}"'
    return answer
