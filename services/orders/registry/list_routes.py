"""HTTP in: the seller's own lists, its customers and its keys. No rule lives here."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from psycopg import AsyncConnection

from libs.runtime import clock
from libs.runtime.asgi import IdempotencyKey
from libs.runtime.auth import Principal, require
from libs.runtime.pages import Paging, page
from services.orders.positions import AtLeast, followed
from services.orders.registry import customers, keys, reading, store
from services.orders.registry.bodies import (
    CategoryBody,
    CustomerBody,
    KeyBody,
    ReasonBody,
    ReasonChangeBody,
    TagBody,
)
from services.orders.registry.doors import Doors, Owner, PathId, Reader, answered, by_of
from services.orders.registry.first_sight import FOLLOWER
from services.orders.registry.keys import KeyWish
from services.orders.registry.model import UNPAID, Reason
from services.orders.registry.writing import Answer

# Who may read buyers' contact data may read the register of customers.
ContactReader = Annotated[Principal, Depends(require("contact"))]


def tag_routes(doors: Doors) -> APIRouter:
    """The tags to choose from (SR-7)."""
    router = APIRouter(prefix="/v1/seller/tags")

    @router.get("", summary="The tags to choose from")
    async def list_tags(caller: Reader, paging: Paging) -> Response:
        return await doors.listed(
            caller,
            paging,
            columns="id, tag",
            table="tags",
            mark="folded",
            shown=lambda row: {"id": row[0], "tag": row[1]},
        )

    @router.post("", status_code=201, summary="Put a tag on the list (owner)")
    async def add(request: Request, body: TagBody, caller: Owner, key: IdempotencyKey) -> Response:
        async def work(connection: AsyncConnection) -> Answer:
            return Answer(201, await store.add_tag(connection, by_of(caller), str(clock.uuid7()), body.tag))

        return await doors.write(request, caller, key, work)

    @router.patch("/{tag}", summary="Write a tag otherwise; orders keep theirs (owner)")
    async def rename(
        request: Request, tag: PathId, body: TagBody, caller: Owner, key: IdempotencyKey
    ) -> Response:
        async def work(connection: AsyncConnection) -> Answer:
            return Answer(200, await store.rename_tag(connection, by_of(caller), tag, body.tag))

        return await doors.write(request, caller, key, work)

    @router.delete("/{tag}", summary="Take a tag off the list; orders keep theirs (owner)")
    async def delete(request: Request, tag: PathId, caller: Owner, key: IdempotencyKey) -> Response:
        async def work(connection: AsyncConnection) -> Answer:
            return Answer(200, await store.delete_tag(connection, by_of(caller), tag))

        return await doors.write(request, caller, key, work)

    return router


def reason_routes(doors: Doors) -> APIRouter:
    """The reasons to cancel (SR-8)."""
    router = APIRouter(prefix="/v1/seller/reasons")

    @router.get("", summary="The reasons to cancel, retired ones and the built-in one too")
    async def list_reasons(caller: Reader) -> Response:
        found = await doors.read(lambda connection: reading.reasons(connection, caller.seller))
        own = sorted((each for each in found.values() if each != UNPAID), key=lambda each: each.code)
        return answered(page([msgspec.to_builtins(each) for each in (UNPAID, *own)], None))

    @router.post("", status_code=201, summary="Offer a reason (owner)")
    async def add(request: Request, body: ReasonBody, caller: Owner, key: IdempotencyKey) -> Response:
        reason = Reason(**body.model_dump())

        async def work(connection: AsyncConnection) -> Answer:
            return Answer(201, msgspec.to_builtins(await store.add_reason(connection, by_of(caller), reason)))

        return await doors.write(request, caller, key, work)

    @router.patch("/{code}", summary="Change a reason's label, or retire it (owner)")
    async def change(
        request: Request, code: PathId, body: ReasonChangeBody, caller: Owner, key: IdempotencyKey
    ) -> Response:
        async def work(connection: AsyncConnection) -> Answer:
            changed = await store.change_reason(connection, by_of(caller), code, body.given())
            return Answer(200, msgspec.to_builtins(changed))

        return await doors.write(request, caller, key, work)

    return router


def customer_routes(doors: Doors) -> APIRouter:
    """The register of customers and its categories (SR-12)."""
    router = APIRouter(prefix="/v1/seller")

    @router.get("/customers", summary="The customers, by the ids of their buyers, without contact data")
    async def list_customers(caller: ContactReader, paging: Paging, at_least: AtLeast) -> Response:
        await followed(doors.pool, FOLLOWER, at_least)
        return await doors.listed(
            caller,
            paging,
            columns=customers.COLUMNS,
            table="customers",
            mark="buyer",
            shown=customers.shown,
        )

    @router.get("/customers/{customer}", summary="One customer")
    async def get_customer(customer: PathId, caller: ContactReader, at_least: AtLeast) -> Response:
        await followed(doors.pool, FOLLOWER, at_least)
        return answered(
            await doors.read(lambda connection: customers.customer(connection, caller.seller, customer))
        )

    @router.patch("/customers/{customer}", summary="Give a customer another category (owner)")
    async def categorise(
        request: Request, customer: PathId, body: CustomerBody, caller: Owner, key: IdempotencyKey
    ) -> Response:
        async def work(connection: AsyncConnection) -> Answer:
            return Answer(200, await customers.categorise(connection, by_of(caller), customer, body.category))

        return await doors.write(request, caller, key, work)

    @router.get("/customer-categories", summary="The categories of customers, the built-in ones first")
    async def list_categories(caller: Reader) -> Response:
        found = await doors.read(lambda connection: reading.categories(connection, caller.seller))
        return answered(page([{"code": code, "label": label} for code, label in found.items()], None))

    @router.post("/customer-categories", status_code=201, summary="Make or rename a category (owner)")
    async def set_category(
        request: Request, body: CategoryBody, caller: Owner, key: IdempotencyKey
    ) -> Response:
        async def work(connection: AsyncConnection) -> Answer:
            return Answer(201, await store.set_category(connection, by_of(caller), body.code, body.label))

        return await doors.write(request, caller, key, work)

    return router


def key_routes(doors: Doors) -> APIRouter:
    """The keys that owners make (18.2, SR-13)."""
    router = APIRouter(prefix="/v1/seller/keys")

    @router.get("", summary="The keys of the seller, without the keys themselves (owner)")
    async def list_keys(caller: Owner, paging: Paging) -> Response:
        return await doors.listed(
            caller, paging, columns=keys.COLUMNS, table="api_keys", mark="id", shown=keys.shown
        )

    @router.post("", status_code=201, summary="Make a key; it is shown this once (owner)")
    async def make(request: Request, body: KeyBody, caller: Owner, key: IdempotencyKey) -> Response:
        wish = KeyWish(
            name=body.name,
            role=body.role,
            scopes=tuple(body.scopes),
            stands_for=body.stands_for,
            days=body.days,
        )

        async def work(connection: AsyncConnection) -> Answer:
            made, secret = await keys.make_key(
                connection, by_of(caller), caller, wish, key_id=str(clock.uuid7()), at=clock.now()
            )
            # A repeat says that there is such a key, and no more: it is kept nowhere.
            return Answer(201, made | {"key": None}, {"key": secret})

        return await doors.write(request, caller, key, work)

    @router.delete("/{key_id}", summary="Take a key back for good (owner)")
    async def revoke(request: Request, key_id: PathId, caller: Owner, key: IdempotencyKey) -> Response:
        async def work(connection: AsyncConnection) -> Answer:
            return Answer(200, await keys.revoke_key(connection, by_of(caller), key_id))

        return await doors.write(request, caller, key, work)

    return router
