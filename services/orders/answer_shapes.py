"""What the doors of orders answer, for their OpenAPI document: shapes with a literal example each.

Nothing here is on the way of a request. A test holds the examples and the running service against the shapes.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue

from libs.runtime.openapi import Answer, Answers, Described
from services.orders.action_shapes import ACTION_EXAMPLE, ActionObject, ActionOfEntry, QuantityOfLine
from services.orders.command_shapes import COMMAND_ANSWERS
from services.orders.draft_shapes import DRAFT_ANSWERS
from services.orders.registry.answer_shapes import REGISTRY_ANSWERS

Amount = int
"""In minor units of the order's currency."""
Quantity = Annotated[int, Field(ge=1)]


class OrderStatus(Answer):
    """Where the order itself stands."""

    status: Literal["NEW", "CONFIRMED", "COMPLETED", "CANCELLED"]
    request: bool
    """True while somebody's request to cancel is open."""


class PaymentState(Answer):
    """How far the order is paid."""

    method: Literal["COD", "TRANSFER", "GATEWAY", "INVOICE"]
    coverage: Literal["UNPAID", "PARTLY_PAID", "PAID"]
    transaction: str
    """How far the latest payment is; NONE where there is none."""


class PartOfLine(Answer):
    """A quantity of a line that shares one fate."""

    quantity: Quantity
    status: str
    """Its fulfilment, or CANCELLED."""
    cancelled: bool
    accepted: bool
    """True when the buyer has received it for good."""
    package: str | None
    warehouse: str | None = None
    """Where its units leave from (OM-5)."""


class OrderLine(Answer):
    """A line as sold, and what became of its units."""

    line: str
    product: str
    variant: str
    sku: str
    name: str
    quantity: Quantity
    unit_price: Amount
    discount: Amount
    parts: list[PartOfLine]


class PackagePart(Answer):
    """A quantity of a line in a package."""

    line: str
    quantity: Quantity
    status: str


class Package(Answer):
    """A package and its tracking number."""

    package: str
    awb: str | None
    """The tracking number (nomor resi) of a live booking."""
    announced_awb: str | None
    """One that is announced and not booked yet."""
    courier: str
    service: str
    parts: list[PackagePart]


class Money(Answer):
    """The order's money, in minor units of its one currency."""

    currency: str
    total: Amount
    payable: Amount
    net_paid: Amount
    outstanding: Amount
    refund_due: Amount


class OrderObject(Answer):
    """One order; `sequence` is what If-Match takes, `position` what min_position takes."""

    id: str
    number: str
    source: str
    channel: str
    shop: str
    marketplace_number: str
    headline: str
    """The one status that people see, of 21."""
    flags: list[str]
    order: OrderStatus
    payment: PaymentState
    fulfilment: str
    billing: str
    lines: list[OrderLine]
    packages: list[Package]
    money: Money
    actions: list[ActionObject]
    """What the marketplace was asked for: what has not ended, and the latest that ended; oldest first."""
    sequence: Annotated[int, Field(ge=1)]
    """How many events the order has had."""
    position: str
    """An opaque token of the point in the log that this shows."""
    allowed: list[str]
    """Commands that are allowed now."""


class ListedOrder(OrderObject):
    """An order as the list shows it."""

    columns: dict[str, str]
    """The 17 columns of the list by their names, as people read them."""


class Cause(Answer):
    """Why something happened: the fact behind it, or the command of this id."""

    id: str | None
    fact: str | None
    source_status: str | None
    approximate: bool
    reason: str | None


class TimelineEntry(Answer):
    """Something that happened to an order: who, when and why."""

    sequence: Annotated[int, Field(ge=1)]
    event: str
    actor: str
    caller: str | None
    at: datetime
    at_known: bool
    """False when `at` is only when it was recorded."""
    recorded_at: datetime
    implied: bool
    """True when it was concluded from later news."""
    late: bool
    """True when newer news was there already."""
    dates: int | None
    """The sequence of the implied event whose true time this tells."""
    disposition: str | None
    cause: Cause
    action: ActionOfEntry | None
    headline: str
    """What people saw from then on."""
    parts: list[QuantityOfLine]


class Timeline(Answer):
    """A page of what happened; `next` is the cursor of the next page, null on the last."""

    items: list[TimelineEntry]
    next: str | None


class Explanation(Answer):
    """Why the headline is what it is."""

    id: str
    sequence: Annotated[int, Field(ge=1)]
    headline: str
    dimension: str
    """The dimension that decides it."""
    part: QuantityOfLine | None
    """The part of the order that speaks for it."""
    events: list[TimelineEntry]
    """The events that set it."""


class Machine(Answer):
    """The published machine; docs/order-machine.md shows it whole."""

    version: str
    statuses: list[dict[str, JsonValue]]
    values: dict[str, JsonValue]
    commands: list[dict[str, JsonValue]]


class EventObject(Answer):
    """A public event as a CloudEvent in JSON; docs/events.md says what `data` holds by type."""

    specversion: Literal["1.0"]
    id: str
    """`<order id>/<sequence>`."""
    type: Annotated[str, Field(pattern=r"^jejak\.orders\.[A-Za-z]+\.v[0-9]+$")]
    source: Literal["/jejak/orders"]
    subject: str
    """The order's id."""
    time: datetime
    """When it happened, else when it was recorded."""
    dataschema: str
    sequence: Annotated[str, Field(pattern="^[1-9][0-9]*$")]
    """Counts 1, 2, 3 ... within the order without gaps."""
    partitionkey: str
    datacontenttype: Literal["application/json"]
    correlationid: str = ""
    causationid: str = ""
    traceparent: str = ""
    data: dict[str, JsonValue]
    position: str
    """An opaque token of its place in the log."""


class ParkedRecord(Answer):
    """A record that could not be handled, without its content."""

    id: int
    source: str
    partition: int
    position: int
    key: str
    reason: str
    fingerprint: str
    detail: str
    attempts: int
    parked_at: datetime


class OrderPage(Answer):
    """A page of orders; `next` is the cursor of the next page, null on the last."""

    items: list[ListedOrder]
    next: str | None


class OrderEventPage(Answer):
    """A page of one order's events; `next` is the cursor of the next page, null on the last."""

    items: list[EventObject]
    next: str | None


class EventPage(Answer):
    """A page of events; it may be empty before the end, which is where `next` stays the same."""

    items: list[EventObject]
    next: str
    """The `after` of the next call."""


class ParkedPage(Answer):
    """A page of parked records; `next` is the cursor of the next page, null on the last."""

    items: list[ParkedRecord]
    next: str | None


_ID: Final = "8f0f3f0a-4a7e-5c0e-9a3b-0d7b5c2f6a10"
ORDER_EXAMPLE: Final[dict[str, Any]] = {
    "id": _ID,
    "number": "712345678901001",
    "source": "CHANNEL",
    "seller": "0f6e1b8e-2f5d-5c1a-9a57-3f1f0f6e1b8e",
    "channel": "lazada",
    "site": "id",
    "shop": "1000999001",
    "marketplace_number": "712345678901001",
    "reference": "LZD-712345678901001",
    "placed_at": "2026-03-05T07:00:00Z",
    "headline": "IN_TRANSIT",
    "flags": [],
    "order": {"status": "CONFIRMED", "request": False},
    "payment": {"method": "GATEWAY", "coverage": "PAID", "transaction": "SUCCEEDED"},
    "fulfilment": "IN_TRANSIT",
    "billing": "NONE",
    "lines": [
        {
            "line": "712345679001001",
            "product": "3200112233",
            "variant": "20044556677",
            "sku": "TEH-HIJAU-250",
            "name": "Teh Hijau 250 g",
            "quantity": 1,
            "unit_price": 50_000,
            "discount": 0,
            "parts": [
                {
                    "quantity": 1,
                    "status": "IN_TRANSIT",
                    "cancelled": False,
                    "accepted": False,
                    "package": "FP055240000000001",
                }
            ],
        }
    ],
    "packages": [
        {
            "package": "FP055240000000001",
            "awb": "JNE0000000001",
            "announced_awb": None,
            "courier": "JNE",
            "service": "REG",
            "parts": [{"line": "712345679001001", "quantity": 1, "status": "IN_TRANSIT"}],
        }
    ],
    "money": {
        "currency": "IDR",
        "total": 50_000,
        "payable": 50_000,
        "net_paid": 50_000,
        "outstanding": 0,
        "refund_due": 0,
    },
    "actions": [ACTION_EXAMPLE],
    "sequence": 6,
    "position": "1042",
    "allowed": ["CancelOrder"],
}
LISTED_EXAMPLE: Final[dict[str, Any]] = {
    **ORDER_EXAMPLE,
    "columns": {
        "Tanggal": "05/03/2026 14:00",
        "ID Pesanan": "712345678901001",
        "Item": "Teh Hijau 250 g × 1",  # noqa: RUF001 - the sign of the list (section 14).
        "Status": "Dalam Pengiriman",
        "Penerima": "",
        "Telepon": "",
        "Asal": "",
        "Tujuan": "Bandung, Jawa Barat",
        "Agen": "",
        "Halaman": "Lazada: 1000999001",
        "Gudang": "",
        "Kurir": "JNE REG",
        "Nomor Resi/AWB": "JNE0000000001",
        "Biaya Kirim": "Rp0",
        "Metode Pembayaran": "Payment Gateway",
        "Total": "Rp50.000",
        "Tag": "",
    },
}
ENTRY_EXAMPLE: Final[dict[str, Any]] = {
    "sequence": 6,
    "event": "PackagePickedUp",
    "actor": "CHANNEL",
    "caller": None,
    "at": "2026-03-05T07:09:00Z",
    "at_known": True,
    "recorded_at": "2026-03-05T07:09:02.100Z",
    "implied": False,
    "late": False,
    "dates": None,
    "disposition": None,
    "cause": {
        "id": "0199f2d4-6f43-7b52-9a07-3f5a3b0c8d11",
        "fact": "PackagePickedUp",
        "source_status": "shipped",
        "approximate": False,
        "reason": None,
    },
    "action": None,
    "headline": "IN_TRANSIT",
    "parts": [{"line": "712345679001001", "quantity": 1}],
}
EXPLANATION_EXAMPLE: Final[dict[str, Any]] = {
    "id": _ID,
    "sequence": 6,
    "headline": "IN_TRANSIT",
    "dimension": "fulfilment",
    "part": {"line": "712345679001001", "quantity": 1},
    "events": [ENTRY_EXAMPLE],
}
MACHINE_EXAMPLE: Final[dict[str, Any]] = {
    "version": "1.0",
    "statuses": [{"number": 1, "code": "NEW", "indonesian": "Baru"}],
    "values": {"method": [{"code": "COD", "indonesian": "COD"}]},
    "commands": [{"name": "ConfirmOrder", "events": ["OrderConfirmed"], "inverse": "UnconfirmOrder"}],
}
EVENT_EXAMPLE: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": f"{_ID}/6",
    "type": "jejak.orders.PackagePickedUp.v1",
    "source": "/jejak/orders",
    "subject": _ID,
    "time": "2026-03-05T07:09:00Z",
    "dataschema": "urn:jejak:schema:jejak.orders.PackagePickedUp.v1",
    "sequence": "6",
    "partitionkey": _ID,
    "datacontenttype": "application/json",
    "data": {
        "implied": False,
        "actor": "CHANNEL",
        "package": "FP055240000000001",
        "parts": [{"line": "712345679001001", "sku": "TEH-HIJAU-250", "quantity": 1}],
    },
    "position": "1042",
}
PARKED_EXAMPLE: Final[dict[str, Any]] = {
    "id": 7,
    "source": "orders:channels.orders.v1",
    "partition": 3,
    "position": 1288,
    "key": "7b0c8f4e-93d1-5b7e-8a55-0f3d9a2b6c11:712345678901001",
    "reason": "MALFORMED",
    "fingerprint": "3f2a9c0d1e4b5a69",
    "detail": "occurrence: Expected `int`, got `str`.",
    "attempts": 1,
    "parked_at": "2026-03-05T07:59:27.120Z",
}

# An order of the page can be asked for, with its history.
_LINKS: Final[dict[str, Any]] = {
    name: {
        "operationRef": f"#/paths/~1v1~1orders~1{{order_id}}{path}/get",
        "parameters": {"order_id": "$response.body#/items/0/id"},
    }
    for name, path in {"order": "", "events": "~1events", "timeline": "~1timeline"}.items()
}

ANSWERS: Final[Answers] = {
    **COMMAND_ANSWERS,
    **DRAFT_ANSWERS,
    **REGISTRY_ANSWERS,
    "GET /v1/orders": Described(
        model=OrderPage,
        example={"items": [LISTED_EXAMPLE], "next": None},
        about="A page of orders.",
        links=_LINKS,
    ),
    "GET /v1/orders/{order_id}": Described(
        model=OrderObject, example=ORDER_EXAMPLE, about="The order; its sequence is the ETag."
    ),
    "GET /v1/orders/{order_id}/events": Described(
        model=OrderEventPage, example={"items": [EVENT_EXAMPLE], "next": None}, about="A page of its events."
    ),
    "GET /v1/orders/{order_id}/timeline": Described(
        model=Timeline, example={"items": [ENTRY_EXAMPLE], "next": None}, about="A page of what happened."
    ),
    "GET /v1/orders/{order_id}/explain": Described(
        model=Explanation, example=EXPLANATION_EXAMPLE, about="Why the headline is what it is."
    ),
    "GET /v1/order-machine": Described(
        model=Machine, example=MACHINE_EXAMPLE, about="The machine; its version is the ETag."
    ),
    "GET /v1/events": Described(
        model=EventPage, example={"items": [EVENT_EXAMPLE], "next": "1042"}, about="A page of events."
    ),
    "GET /v1/parked": Described(
        model=ParkedPage, example={"items": [PARKED_EXAMPLE], "next": None}, about="A page of what is parked."
    ),
}
"""`<METHOD> <path template>` -> what the door answers."""
