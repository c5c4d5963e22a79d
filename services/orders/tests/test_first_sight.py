"""Buyers enter the register of customers by the events of their orders, once and without a word of theirs (SR-12)."""

import pytest

from libs.runtime.postgres import AsyncPool, Bell
from services.orders.registry.first_sight import CustomerRegister
from services.orders.tests.test_buyers import BUYER, MARKERS, Desk, buyers_in
from services.orders.tests.test_buyers import pool as pool  # noqa: PLC0414 - a fixture is found by its name
from services.orders.tests.test_consumer import SELLER, placed

pytestmark = pytest.mark.connected


async def customers(pool: AsyncPool) -> list[tuple[str, ...]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT seller, buyer, category, source, shop FROM orders.customers ORDER BY first_seen_at, buyer"
        )
        return await cursor.fetchall()


async def test_a_buyer_is_entered_once_and_says_nothing(pool: AsyncPool, database: str) -> None:
    desk = Desk(pool, buyers_in(pool))
    register = CustomerRegister(pool, database, Bell(database, "orders_events"))
    assert await register.step() == 0
    await desk.place("1", BUYER)
    assert await register.step() > 0
    [first] = await customers(pool)
    assert (first[0], first[2], first[3]) == (SELLER, "CUSTOMER", "CHANNEL")
    assert first[4] == placed("1")["shop"]
    assert all(marker not in str(first) for marker in MARKERS)
    await desk.place("2", BUYER)
    await desk.place("3", {**BUYER, "id": "300999", "phone": "081399077432"})
    assert await register.step() > 0
    assert await register.step() == 0
    found = await customers(pool)
    assert (len(found), found[0]) == (2, first)


async def test_an_order_without_a_buyer_enters_nobody(pool: AsyncPool, database: str) -> None:
    desk = Desk(pool, buyers_in(pool))
    register = CustomerRegister(pool, database, Bell(database, "orders_events"))
    await desk.take(desk.record(placed("1")))
    assert await register.step() > 0
    assert await customers(pool) == []


async def test_a_customer_that_was_taken_out_with_its_keys_does_not_come_back(
    pool: AsyncPool, database: str
) -> None:
    """PD-6, PD-8: reading the store again enters nobody whose key is gone."""
    import psycopg

    desk = Desk(pool, buyers_in(pool))
    register = CustomerRegister(pool, database, Bell(database, "orders_events"))
    await desk.place("1", BUYER)
    await register.step()
    assert len(await customers(pool)) == 1
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM orders.buyer_keys")
        connection.execute("DELETE FROM orders.customers")
        connection.execute("UPDATE orders.followers SET position = 0 WHERE name = 'customers.v1'")
    assert await register.step() > 0
    assert await customers(pool) == []
