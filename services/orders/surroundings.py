"""What a decision is given of the seller beside order and command: terms, policies, lists (CV-4, CV-6).

Values of the registry are read once and kept until its history says that something changed; that question is
asked for every decision, so that a new version holds from its recording on (SR-9).
"""

import asyncio
import hashlib
from typing import Final

import psycopg
from msgspec import Struct
from msgspec.structs import replace

from libs.runtime.errors import Transient
from libs.runtime.postgres import AsyncPool, transient_faults
from services.orders.order.commands import Command, Given, PlaceOrder, Policies, SellerTerms
from services.orders.order.state import Order
from services.orders.order.timers import versions
from services.orders.order.words import Method, TaxMode
from services.orders.product_links import links_of, names_of, products_named
from services.orders.registry import reading
from services.orders.registry.model import UNPAID, Seller
from services.orders.registry.policies import AT_ONCE, HoldNeeded, PolicyVersion

SELLERS_KEPT: Final = 1_000
_EVERY_METHOD: Final = tuple(Method)


class Terms(Struct, frozen=True):
    """All that decisions read of one seller, as of a number of the registry's history."""

    number: int
    seller: SellerTerms
    policies: Policies
    hold_needed: HoldNeeded
    agents: frozenset[str] | None
    reasons: dict[str, str] | None
    # Whether inventory has stated any product of the seller; unlike the rest it is asked each time.
    has_products: bool = False


class SellerTermsReader:
    """The terms of sellers; of many who ask for one seller at once, all have the answer of one question."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool
        self._kept: dict[str, Terms] = {}
        # A version never changes (SR-9), so what was read of one stays true.
        self._earlier_kept: dict[tuple[str, int], Policies] = {}
        self._next: dict[str, asyncio.Future[Terms]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def given(
        self, command: Command | None, seller: str, given: Given, order: Order | None = None
    ) -> Given:
        """`given` with the seller's terms, policies and lists as they hold now. Raises Transient.

        It has earlier policies where the order's timers were set by them (TI-7). Of products it has those
        that the command's new and moved lines name, and of a seller of whom inventory has stated none,
        nothing: then links are not checked (MN-3).
        """
        terms = await self._of(seller)
        policies = terms.policies
        if isinstance(command, PlaceOrder):
            needed = getattr(terms.hold_needed, command.source.lower(), True)
            policies = replace(policies, hold_on_placement=bool(needed))
        links = None
        if terms.has_products and (names := names_of(command, order)):
            async with transient_faults(), self._pool.connection() as connection:
                links = links_of(await products_named(connection, seller, names))
        return replace(
            given,
            seller=terms.seller,
            policies=policies,
            earlier_policies={} if order is None else await self._earlier(order, policies.version),
            agents=terms.agents,
            reasons=terms.reasons,
            links=links,
        )

    async def _earlier(self, order: Order, in_force: int) -> dict[int, Policies]:
        found = {}
        for version in versions(order) - {in_force}:
            policies = self._earlier_kept.get((order.seller, version))
            if policies is None:
                async with transient_faults(), self._pool.connection() as connection:
                    read = await reading.policies_of_version(connection, order.seller, version)
                policies = decided_by(read)
                if len(self._earlier_kept) >= SELLERS_KEPT:
                    self._earlier_kept.clear()
                self._earlier_kept[order.seller, version] = policies
            found[version] = policies
        return found

    async def _of(self, seller: str) -> Terms:
        wanted = self._next.get(seller)
        if wanted is None:
            # Whoever comes while a question is on its way needs a newer answer than that one.
            wanted = self._next[seller] = asyncio.get_running_loop().create_future()
            if seller not in self._asking:
                self._asking[seller] = asyncio.create_task(self._ask(seller), name="seller's terms")
        return await asyncio.shield(wanted)

    async def _ask(self, seller: str) -> None:
        try:
            while (wanted := self._next.pop(seller, None)) is not None:
                try:
                    async with transient_faults(), self._pool.connection() as connection:
                        terms = await self._read(connection, seller)
                except Exception as fault:  # noqa: BLE001  # Whoever asked gets it.
                    wanted.set_exception(fault)
                    # Whoever asked may be gone.
                    wanted.exception()
                except BaseException:
                    wanted.set_exception(Transient("The process is stopping."))
                    wanted.exception()
                    raise
                else:
                    wanted.set_result(terms)
        finally:
            del self._asking[seller]

    async def _read(self, connection: psycopg.AsyncConnection, seller: str) -> Terms:
        cursor = await connection.execute(
            "SELECT coalesce(max(number), 0), EXISTS (SELECT FROM orders.products WHERE seller = %s)"
            " FROM orders.registry_history WHERE seller = %s",
            [seller, seller],
            prepare=True,
            binary=True,
        )
        row = await cursor.fetchone()
        assert row is not None, "An aggregate answers one row."
        kept = self._kept.get(seller)
        if kept is not None and kept.number == row[0]:
            return kept if kept.has_products == row[1] else replace(kept, has_products=row[1])
        found = await reading.seller_of(connection, seller)
        version = await reading.policies_in_force(connection, seller)
        agents, reasons = None, None
        if found is not None:
            agents = await reading.agents(connection, seller)
            reasons = {
                reason.code: reason.label
                for reason in (await reading.reasons(connection, seller)).values()
                if reason.active and reason.code != UNPAID.code
            } or None
        terms = Terms(
            row[0],
            _seller_terms(seller, found),
            decided_by(version, found),
            version.policies.hold_needed,
            agents,
            reasons,
            row[1],
        )
        if len(self._kept) >= SELLERS_KEPT:
            self._kept.clear()
        self._kept[seller] = terms
        return terms


def _seller_terms(seller: str, found: Seller | None) -> SellerTerms:
    if found is None:
        # A seller that the registry does not know yet: a code that no other seller is likely to have.
        code = f"X{hashlib.sha256(seller.encode()).hexdigest()[:7].upper()}"
        return SellerTerms(id=seller, code=code)
    return SellerTerms(
        id=seller,
        code=found.code,
        zone=found.zone,
        tax_mode=TaxMode(found.tax_mode.value),
        tax_rate=found.tax_rate_basis_points,
        documents_complete=found.documents_complete,
    )


def decided_by(version: PolicyVersion, found: Seller | None = None) -> Policies:
    """The policies of a version as decisions read them, with the payment methods that the seller offers."""
    chosen = version.policies
    methods = _EVERY_METHOD
    if found is not None and found.payment_methods:
        methods = tuple(Method(method.value) for method in sorted(found.payment_methods))
    return Policies(
        version=version.version,
        return_window_days=chosen.return_window_days,
        completion_days=chosen.automatic_completion_days,
        after_sale_days=chosen.after_sale_window_days,
        unpaid_lapse_days=chosen.unpaid_lapses_days,
        allocate_at_once=chosen.payment_allocation == AT_ONCE,
        hold_on_raise=chosen.hold_needed.raised_quantity,
        hold_on_reopening=chosen.hold_needed.reopening,
        bill_term_days=chosen.bill_term_days,
        methods=methods,
    )
