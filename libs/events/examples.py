"""One literal instance of every public event, for golden files, the event reference and tests.

Made-up orders, no personal data. Those of orders tell the life of one order, in its order.
"""

from datetime import UTC, datetime
from typing import Any, Final

from libs.events import actions, orders, products, selling
from libs.events.example_facts import FACT_EXAMPLES
from libs.events.orders import GoodsPart, Line, LineDetails
from libs.events.wire import PublicEvent

# The marketplace says it, or it follows from what the marketplace says.
SAID: Final[dict[str, Any]] = {"implied": False, "actor": "CHANNEL"}
IMPLIED: Final[dict[str, Any]] = {"implied": True, "actor": "CHANNEL"}

TEA: Final = GoodsPart(line="712345679001001", sku="TEH-HIJAU-250", quantity=1)
GLASS: Final = GoodsPart(line="712345679001002", sku="GELAS-01", quantity=1)
PACKAGE: Final = "FP055240000000001"

_PLACED: Final[tuple[PublicEvent, ...]] = (
    orders.OrderPlaced(
        **SAID,
        number="L5H0Q7ZK3MTX9W",
        source="CHANNEL",
        seller="0195d3a0-6f00-7c11-9a3e-5b2d8e4f1a01",
        channel="lazada",
        site="sg",
        shop="1000999001",
        marketplace_number="712345678901001",
        reference="712345678901001",
        payment_method="GATEWAY",
        currency="SGD",
        total=3790,
        discount=100,
        shipping_fee=299,
        insurance_fee=0,
        other_fees=0,
        lines=(
            Line(
                line="712345679001001",
                product="3200112233",
                variant="20044556677",
                sku="TEH-HIJAU-250",
                name="Teh Hijau Melati 250 g",
                quantity=1,
                unit_price=1890,
                discount=94,
            ),
            Line(
                line="712345679001002",
                product="3200112240",
                variant="",
                sku="GELAS-01",
                name="Gelas Teh 300 ml",
                quantity=1,
                unit_price=1795,
                discount=0,
            ),
        ),
        city="Singapore",
        province="",
        courier="",
        service="",
        warehouse="dropshipping",
    ),
    orders.OrderDetailsCompleted(
        **SAID,
        reference=None,
        city=None,
        province=None,
        courier="SG_Courier",
        service=None,
        warehouse=None,
        lines=(LineDetails(line="712345679001002", variant="20044556690"),),
        package=PACKAGE,
        parts=(TEA,),
        announced_awb="MYMPA000000001",
        payment_reference=None,
    ),
    orders.OrderConfirmed(**IMPLIED),
    orders.OrderAdvanced(),
)

_MONEY: Final[tuple[PublicEvent, ...]] = (
    orders.PaymentAwaited(**SAID),
    orders.PaymentProcessingStarted(**SAID),
    orders.PaymentFailed(**SAID),
    orders.PaymentSucceeded(**SAID, amount=3790, reference=None, assumed=False),
    orders.PaymentAllocated(**IMPLIED, amount=3790, reference=None, assumed=False),
    orders.ExtraReceiptRecorded(
        **SAID, amount=98500, reference="PYM/20260305/XII/III/1234567", assumed=False
    ),
    orders.ReceiptCorrected(**IMPLIED, amount=45000),
    orders.CodCollected(**IMPLIED, amount=152000),
    orders.RefundPaid(**SAID, amount=1796, reference="812345678901001"),
    orders.CreditRecorded(**IMPLIED, amount=1796, cause="refund:1"),
    orders.RefundDueChanged(**IMPLIED, amount=1795),
)

_GOODS: Final[tuple[PublicEvent, ...]] = (
    orders.PackagePrepared(
        **SAID, package=PACKAGE, parts=(TEA, GLASS), courier="SG_Courier", service="Standard"
    ),
    orders.ShipmentBooked(**SAID, package=PACKAGE, parts=(TEA,), courier="SG_Courier", service=None),
    orders.ShipmentCancelled(**SAID, package=PACKAGE, parts=(GLASS,)),
    orders.AwbIssued(
        **IMPLIED,
        package=PACKAGE,
        awb="MYMPA000000001",
        lines=("712345679001001",),
        courier="SG_Courier",
        service=None,
    ),
    orders.PackagePickedUp(**SAID, package=PACKAGE, parts=(TEA,)),
    orders.DeliveryProblemReported(**SAID, package=PACKAGE, parts=(TEA,)),
    orders.DeliveryProblemSolved(**SAID, package=PACKAGE, parts=(TEA,)),
    orders.PackageDelivered(**SAID, package=PACKAGE, parts=(TEA,)),
    orders.PackageLostOrDamaged(**SAID, package=PACKAGE, parts=(TEA,)),
    orders.ReturnStarted(**SAID, package=PACKAGE, parts=(TEA,)),
    orders.ReturnReceived(**SAID, package=None, parts=(GoodsPart(line="9000112", sku="", quantity=2),)),
)

_ENDINGS: Final[tuple[PublicEvent, ...]] = (
    orders.LinesCancelled(**SAID, parts=(GLASS,), by="SELLER", accepted=False),
    orders.OrderCancelled(**SAID, parts=(TEA, GLASS), by="BUYER", accepted=True),
    orders.LinesAccepted(**SAID, parts=(TEA,)),
    orders.OrderCompleted(**SAID, parts=(GLASS,)),
    orders.CancellationRequested(
        **SAID,
        lines=("712345679001002",),
        by="BUYER",
        deadline=datetime(2026, 3, 7, 16, 0, tzinfo=UTC),
    ),
    orders.CancellationRequestClosed(**IMPLIED, outcome="TOO_LATE", by=None),
    orders.ReturnCaseOpened(**SAID, case="812345678901001", lines=("712345679001001",), step="OPENED"),
    orders.ReturnCaseAdvanced(**SAID, case="812345678901001", lines=("712345679001001",), step="ON_THE_WAY"),
    orders.ReturnCaseClosed(**SAID, case="812345678901001", lines=("712345679001001",), step="CLOSED"),
    orders.FactRecorded(
        **SAID,
        fact="PaymentSucceeded",
        disposition="REAFFIRMED",
        source_status="pending",
        lines=(),
        package=None,
        dates=3,
        flags=(),
        on_hold=None,
    ),
)

_ACTIONS: Final[tuple[PublicEvent, ...]] = (
    actions.OrderReadRequested(
        action="read_order",
        connection="0195d3a0-6f00-7c11-9a3e-5b2d8e4f1b02",
        order="712345678901001",
        reason="CONFLICT",
        requested_at=datetime(2026, 3, 5, 7, 59, 27, tzinfo=UTC),
    ),
    actions.OrderActionRequested(
        id="01890b5e-8c1f-5a10-9d6b-3f2a1c4e5b60/a7",
        action="ready_to_ship",
        seller="0195d3a0-6f00-7c11-9a3e-5b2d8e4f1a01",
        connection="0195d3a0-6f00-7c11-9a3e-5b2d8e4f1b02",
        channel="lazada",
        order="712345678901001",
        lines=(actions.ActionLine(line="712345679001001", quantity=1),),
        packages=(PACKAGE,),
        reason=None,
        awb=None,
        courier=None,
        side_effects=(),
        actor="AGENT",
        requested_at=datetime(2026, 3, 5, 8, 3, 11, tzinfo=UTC),
        not_after=datetime(2026, 3, 6, 8, 3, 11, tzinfo=UTC),
    ),
    actions.OrderActionEnded(
        action_id="01890b5e-8c1f-5a10-9d6b-3f2a1c4e5b60/a7",
        outcome="REFUSED",
        already=False,
        code="700026",
        text="item current status not allow to pack",
        ended_at=datetime(2026, 3, 5, 8, 3, 12, tzinfo=UTC),
    ),
)

_PRODUCTS: Final[tuple[PublicEvent, ...]] = (
    products.ProductChanged(
        product="01890b5e-8c1f-5a10-9d6b-3f2a1c4e5b60",
        seller="toko-baju",
        sku="KAOS-M",
        name="Kaos hitam M",
        warehouses=("GUDANG-1", "GUDANG-2"),
        floor=85000,
        currency="IDR",
        negotiable=True,
    ),
)

# What commands bring; a second order, sold by its owner without a marketplace.
ASKED: Final[dict[str, Any]] = {"implied": False, "actor": "AGENT"}
FOLLOWS: Final[dict[str, Any]] = {"implied": True, "actor": "AGENT"}
SHIRT: Final = GoodsPart(line="1", sku="KAOS-M", quantity=2)

_SOLD: Final[tuple[PublicEvent, ...]] = (
    selling.OrderUnconfirmed(**ASKED),
    selling.OrderEdited(
        **ASKED,
        revision=2,
        fields=("quantity", "shipping_fee", "recipient.phone"),
        total=198000,
        discount=0,
        shipping_fee=18000,
        insurance_fee=0,
        other_fees=0,
        payment_method="TRANSFER",
        courier="JNE",
        service="REG",
        city="Bandung",
        province="Jawa Barat",
        lines=(
            Line(
                line="1",
                product="",
                variant="",
                sku="KAOS-M",
                name="Kaos Polos M",
                quantity=2,
                unit_price=90000,
                discount=0,
                warehouse="GUDANG-1",
            ),
        ),
        reserve=(selling.Units(line="1", sku="KAOS-M", quantity=1, warehouse="GUDANG-1"),),
        release=(),
        backorder=False,
        hold="0195d3a0-6f00-7c11-9a3e-5b2d8e4f1c03",
    ),
    selling.OrderReopened(**ASKED, episode=2, parts=(SHIRT,), backorder=True, hold=None),
    selling.AgentAssigned(**ASKED, agent="0195d3a0-6f00-7c11-9a3e-5b2d8e4f1d04", before=None),
    selling.OrderTagged(**ASKED, added=("VIP",), removed=("baru",)),
    selling.OrderHeld(**ASKED),
    selling.OrderReleased(**ASKED),
    selling.CustomerChatRequested(**ASKED, chat="m7", template="tagihan"),
    selling.ReminderDue(implied=False, actor="SYSTEM", about="CANCELLATION_REQUEST", event=9),
    selling.StockShort(implied=False, actor="SYSTEM", lines=(selling.ShortLine(line="1", missing=1),)),
    selling.StockCovered(implied=False, actor="SYSTEM"),
    selling.PaymentConfirmed(**ASKED, receipt="r4", amount=198000, reference="BCA 05/03"),
    selling.PaymentReversed(**ASKED, receipt="r4", amount=198000),
    selling.TransactionClosed(**FOLLOWS, reason="TOTAL_CHANGED", reference="GW-20260305-17"),
    selling.BillCreated(**ASKED, amount=198000),
    selling.BillAmended(**FOLLOWS, amount=180000),
    selling.BillIssued(
        **ASKED,
        number="BILL-TOKO-2026-000001",
        amount=180000,
        due_at=datetime(2026, 3, 19, 7, 59, 27, tzinfo=UTC),
    ),
    selling.BillPaid(implied=False, actor="GATEWAY", amount=180000, reference="GW-20260306-04"),
    selling.BillReopened(**FOLLOWS),
    selling.BillVoided(**ASKED, number="BILL-TOKO-2026-000001"),
    selling.PackageUnprepared(**FOLLOWS, package="#1", parts=(SHIRT,)),
    selling.BookingFailed(implied=False, actor="COURIER", package="#1", parts=(SHIRT,), reason="NO_CAPACITY"),
    selling.CodRemitted(**ASKED, package="#1", awb="JNE0000000001", amount=198000, reference=None),
    selling.ChannelStateAdopted(
        implied=False,
        actor="OWNER",
        reading="0195d3a0-6f00-7c11-9a3e-5b2d8e4f1a07",
        read_at=datetime(2026, 3, 5, 7, 59, 27, tzinfo=UTC),
        reason="CHANNEL_IS_RIGHT",
        order="CANCELLED",
        coverage="PAID",
        parts=(selling.AdoptedPart(line="1", sku="KAOS-M", quantity=2, value="CANCELLED", package=None),),
    ),
    selling.ChannelActionRequested(
        **ASKED,
        id="a7",
        action="cancel",
        lines=(selling.ActionLine(line="712345679001001", quantity=1),),
        reason="10000019",
        not_after=datetime(2026, 3, 6, 8, 3, 11, tzinfo=UTC),
    ),
    selling.ChannelActionEnded(
        **SAID, id="a7", action="cancel", outcome="SUCCEEDED", already=True, reason="0", text=None
    ),
)

EXAMPLES: Final[dict[str, PublicEvent]] = {
    example.ce_type(): example
    for example in (*FACT_EXAMPLES, *_PLACED, *_MONEY, *_GOODS, *_ENDINGS, *_SOLD, *_ACTIONS, *_PRODUCTS)
}
"""By `ce_type`."""
