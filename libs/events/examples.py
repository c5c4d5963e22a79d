"""One literal instance of every public event, for golden files, the event reference and tests.

Made-up orders, no personal data. Those of orders tell the life of one order, in its order.
"""

from datetime import UTC, datetime
from typing import Any, Final

from libs.events import orders
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

EXAMPLES: Final[dict[str, PublicEvent]] = {
    example.ce_type(): example for example in (*FACT_EXAMPLES, *_PLACED, *_MONEY, *_GOODS, *_ENDINGS)
}
"""By `ce_type`."""
