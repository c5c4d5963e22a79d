"""HTTP in: the seller itself, its people and what its orders are decided by. No rule lives here."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from psycopg import AsyncConnection

from libs.runtime.asgi import IdempotencyKey
from libs.runtime.auth import Principal, require
from libs.runtime.clock import uuid7
from libs.runtime.pages import Paging
from libs.runtime.sealing import Sealer
from services.orders.registry import reading, store
from services.orders.registry.bodies import (
    CalendarBody,
    MethodsBody,
    PersonBody,
    PersonChangeBody,
    PoliciesBody,
    SellerBody,
    SellerChangeBody,
)
from services.orders.registry.doors import (
    Doors,
    NumberMark,
    Owner,
    PathId,
    Reader,
    answered,
    by_of,
    problem_of,
)
from services.orders.registry.model import BankAccount, Holiday, Person, Seller
from services.orders.registry.npwp import masked, npwp_of
from services.orders.registry.policies import Policies, PolicyVersion
from services.orders.registry.refusals import FieldRefused, RegistryRefused, invalid, not_found
from services.orders.registry.signing import number_place
from services.orders.registry.writing import Answer

Operator = Annotated[Principal, Depends(require("operator"))]


def seller_routes(doors: Doors, sealer: Sealer) -> APIRouter:
    """The seller, its registration and its history; `sealer` seals numbers of taxpayers."""
    router = APIRouter(prefix="/v1")

    @router.post("/sellers", status_code=201, summary="Register a seller with its first owner (operator)")
    async def register(request: Request, body: SellerBody, caller: Operator, key: IdempotencyKey) -> Response:
        seller, owner = new_seller(body)
        mask, sealed = _npwp(sealer, seller.id, body.npwp)
        named = msgspec.structs.replace(seller, npwp_masked=mask or "")

        async def work(connection: AsyncConnection) -> Answer:
            made = await store.register_seller(connection, by_of(caller), named, owner=owner, numbers=sealed)
            return Answer(201, seller_shown(made))

        return await doors.write(request, caller, key, work)

    @router.get("/seller", summary="The caller's seller")
    async def get_seller(caller: Reader) -> Response:
        async def read(connection: AsyncConnection) -> Seller:
            found = await reading.seller_of(connection, caller.seller)
            if found is None:
                raise not_found("registry; the operator registers sellers")
            return found

        return answered(seller_shown(await doors.read(read)))

    @router.patch("/seller", summary="Change fields of the seller; its code never changes (owner)")
    async def change_seller(
        request: Request, body: SellerChangeBody, caller: Owner, key: IdempotencyKey
    ) -> Response:
        changes = body.given()
        mask, sealed = _npwp(sealer, caller.seller, changes.pop("npwp", None))
        if mask is not None:
            changes["npwp_masked"] = mask

        async def work(connection: AsyncConnection) -> Answer:
            return Answer(
                200,
                seller_shown(await store.change_seller(connection, by_of(caller), changes, numbers=sealed)),
            )

        return await doors.write(request, caller, key, work)

    @router.get("/seller/history", summary="Who changed what in the registry, the latest first (owner)")
    async def history(caller: Owner, paging: Paging) -> Response:
        return await doors.listed(
            caller,
            paging,
            columns="subject, subject_id, change, caller, role, before, after, recorded_at",
            table="registry_history",
            mark="number",
            latest_first=True,
            mark_type=NumberMark,
            shown=lambda row: {
                **dict(
                    zip(
                        ("subject", "id", "change", "caller", "role", "before", "after"), row[:7], strict=True
                    )
                ),
                "at": row[7],
            },
        )

    return router


def people_routes(doors: Doors) -> APIRouter:
    """The people of the seller (SR-3)."""
    router = APIRouter(prefix="/v1/seller/people")

    @router.get("", summary="Everybody who works or has worked for the seller")
    async def list_people(caller: Reader, paging: Paging) -> Response:
        return await doors.listed(
            caller,
            paging,
            columns="id, name, role, active",
            table="people",
            mark="id",
            shown=lambda row: msgspec.to_builtins(Person(*row)),
        )

    @router.post("", status_code=201, summary="Take somebody on (owner)")
    async def add(request: Request, body: PersonBody, caller: Owner, key: IdempotencyKey) -> Response:
        person = Person(str(uuid7()), body.name, body.role, active=True)

        async def work(connection: AsyncConnection) -> Answer:
            return Answer(201, msgspec.to_builtins(await store.add_person(connection, by_of(caller), person)))

        return await doors.write(request, caller, key, work)

    @router.patch("/{person}", summary="Change name, role, or whether somebody still works here (owner)")
    async def change(
        request: Request, person: PathId, body: PersonChangeBody, caller: Owner, key: IdempotencyKey
    ) -> Response:
        async def work(connection: AsyncConnection) -> Answer:
            changed = await store.change_person(connection, by_of(caller), person, body.given())
            return Answer(200, msgspec.to_builtins(changed))

        return await doors.write(request, caller, key, work)

    return router


def decision_routes(doors: Doors) -> APIRouter:
    """What orders are decided by: policies, holidays and payment methods (SR-9 to SR-11)."""
    router = APIRouter(prefix="/v1/seller")

    @router.get("/policies", summary="The policies in force, with the number of their version")
    async def get_policies(caller: Reader) -> Response:
        await doors.known(caller)
        found = await doors.read(lambda connection: reading.policies_in_force(connection, caller.seller))
        return answered(_policies_shown(found))

    @router.put("/policies", summary="Record a whole new version of the policies (owner)")
    async def set_policies(
        request: Request, body: PoliciesBody, caller: Owner, key: IdempotencyKey
    ) -> Response:
        wanted = msgspec.convert(body.model_dump(), Policies)

        async def work(connection: AsyncConnection) -> Answer:
            return Answer(200, _policies_shown(await store.set_policies(connection, by_of(caller), wanted)))

        return await doors.write(request, caller, key, work)

    @router.get("/policies/versions", summary="Every version of the policies, the latest first")
    async def policy_versions(caller: Reader, paging: Paging) -> Response:
        return await _versions(doors, caller, paging, "policy_versions", "policies")

    @router.get("/calendars", summary="The holidays in force, with the number of their version")
    async def get_calendar(caller: Reader) -> Response:
        await doors.known(caller)
        return answered(
            await doors.read(lambda connection: reading.calendar_in_force(connection, caller.seller))
        )

    @router.put("/calendars", summary="Record a whole new version of the holidays (owner)")
    async def set_calendar(
        request: Request, body: CalendarBody, caller: Owner, key: IdempotencyKey
    ) -> Response:
        days = [Holiday(each.day, each.name) for each in body.days]

        async def work(connection: AsyncConnection) -> Answer:
            return Answer(200, msgspec.to_builtins(await store.set_calendar(connection, by_of(caller), days)))

        return await doors.write(request, caller, key, work)

    @router.get("/calendars/versions", summary="Every version of the holidays, the latest first")
    async def calendar_versions(caller: Reader, paging: Paging) -> Response:
        return await _versions(doors, caller, paging, "calendar_versions", "days")

    @router.get("/payment-methods", summary="The payment methods that the seller offers")
    async def get_methods(caller: Reader) -> Response:
        await doors.known(caller)
        found = await doors.read(lambda connection: reading.seller_of(connection, caller.seller))
        return answered(_methods_shown(found))

    @router.put("/payment-methods", summary="Offer these payment methods and no others (owner)")
    async def set_methods(
        request: Request, body: MethodsBody, caller: Owner, key: IdempotencyKey
    ) -> Response:
        accounts = [BankAccount(**each.model_dump()) for each in body.bank_accounts]

        async def work(connection: AsyncConnection) -> Answer:
            changed = await store.offer_methods(connection, by_of(caller), body.methods, accounts)
            return Answer(200, _methods_shown(changed))

        return await doors.write(request, caller, key, work)

    return router


async def _versions(doors: Doors, caller: Principal, paging: Paging, table: str, value: str) -> Response:
    return await doors.listed(
        caller,
        paging,
        columns=f"version, author, recorded_at, {value}",
        table=table,
        mark="version",
        latest_first=True,
        mark_type=NumberMark,
        shown=lambda row: dict(zip(("version", "author", "at", value), row, strict=True)),
    )


def new_seller(body: SellerBody) -> tuple[Seller, Person]:
    """The seller of a registration and its first owner, with ids of their own unless they bring some."""
    seller = Seller(
        id=body.id or str(uuid7()),
        code=body.code,
        name=body.name,
        address=body.address,
        zone=body.zone,
        tax_mode=body.tax_mode,
        tax_rate_basis_points=body.tax_rate_basis_points,
        payment_methods=frozenset(body.payment_methods),
        bank_accounts=tuple(BankAccount(**each.model_dump()) for each in body.bank_accounts),
    )
    return seller, Person(body.owner.id or str(uuid7()), body.owner.name, "OWNER", active=True)


def seller_shown(seller: Seller) -> dict[str, Any]:
    """The seller as the API answers it; of the NPWP the last four digits only (SD-08)."""
    return {
        "id": seller.id,
        "code": seller.code,
        "name": seller.name,
        "address": seller.address,
        "zone": seller.zone,
        "tax_mode": seller.tax_mode,
        "tax_rate_basis_points": seller.tax_rate_basis_points,
        "npwp": seller.npwp_masked or None,
        "documents": "COMPLETE" if seller.documents_complete else "INCOMPLETE",
        **_methods_shown(seller),
    }


def _methods_shown(seller: Seller) -> dict[str, Any]:
    return {
        "methods": sorted(seller.payment_methods),
        "bank_accounts": [msgspec.to_builtins(each) for each in seller.bank_accounts],
    }


def _policies_shown(found: PolicyVersion) -> dict[str, Any]:
    return {"version": found.version, **msgspec.to_builtins(found.policies)}


def seal_npwp(sealer: Sealer, seller: str, text: str | None) -> tuple[str | None, bytes | None]:
    """The number as it is shown, and sealed for this seller; both None when none was given (SD-07, SD-08)."""
    if text is None:
        return None, None
    number = npwp_of(text)
    if number is None:
        raise invalid([FieldRefused("npwp", "Give the 15 or 16 digits of an NPWP.")])
    return masked(number), sealer.seal(number.encode(), number_place(seller))


def _npwp(sealer: Sealer, seller: str, text: str | None) -> tuple[str | None, bytes | None]:
    try:
        return seal_npwp(sealer, seller, text)
    except RegistryRefused as refused:
        raise problem_of(refused) from None
