"""Order ids and numbers: derived the same for ever."""

import uuid
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orders.store import ORDER_NAMESPACE, order_id_of, order_number


@settings(max_examples=200)
@given(st.uuids(), st.text(min_size=1, max_size=40))
def test_a_channel_order_has_the_uuid5_of_its_connection_and_number(connection: UUID, number: str) -> None:
    assert order_id_of(str(connection), number) == uuid.uuid5(ORDER_NAMESPACE, f"{connection}:{number}")


def test_ids_and_numbers_never_change() -> None:
    order_id = order_id_of("7b0c8f4e-93d1-5b7e-8a55-0f3d9a2b6c11", "712345678901001")
    assert order_id == UUID("c35b609c-f6a7-514a-bc42-3fcb6148d6cd")
    number = order_number("lazada", order_id)
    assert number == "LRDDP177PMX8MN"
    assert number[0] == "L"
    assert len(number) == 14
    assert set(number[1:]) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
