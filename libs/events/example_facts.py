"""One literal instance of every fact, for golden files, the event reference and tests of consumers.

All are about made-up shops and orders and hold no personal data.
"""

from datetime import UTC, datetime
from typing import Any, Final

from libs.events import channels
from libs.events.channels import (
    ExpectedFees,
    Fact,
    FeeBase,
    FeeComponent,
    Goods,
    LineScope,
    Money,
    Note,
    NothingStated,
    OrderScope,
    PackageScope,
    PlacedLine,
    Placement,
    Request,
)

_SELLER: Final = "0195d3a0-6f00-7c11-9a3e-5b2d8e4f1a01"
_RAW: Final = ("0195663c-8e58-7d20-b6a1-3f0c9d7e2b14",)

LAZADA: Final[dict[str, Any]] = {
    "channel": "lazada",
    "site": "sg",
    "shop": "1000999001",
    "order": "712345678901001",
    "approximate": False,
    "occurrence": 1,
    "translator_version": 1,
    "seller": _SELLER,
    "connection": "0195d3a1-02b0-7e42-8c55-7d1f6a90c3e2",
    "read_at": None,
    "raw": _RAW,
}
TOKOPEDIA: Final[dict[str, Any]] = {
    "channel": "tokopedia",
    "site": "id",
    "shop": "479573",
    "order": "2024050712345",
    "approximate": False,
    "occurrence": 1,
    "translator_version": 1,
    "seller": _SELLER,
    "connection": "0195d3a1-1d48-7b07-a1f0-2c64e85b9d73",
    "read_at": datetime(2026, 3, 5, 8, 0, 4, tzinfo=UTC),
    "raw": _RAW,
}
TIKTOK: Final[dict[str, Any]] = {
    "channel": "tiktok",
    "site": "id",
    "shop": "7494049642642441621",
    "order": "576461413038785752",
    "approximate": False,
    "occurrence": 1,
    "translator_version": 1,
    "seller": _SELLER,
    "connection": "0195d3a1-3a9c-7f51-9e08-b47c15d2e860",
    "read_at": datetime(2026, 3, 6, 2, 11, 45, tzinfo=UTC),
    "raw": _RAW,
}
# A channel that is served by somebody else's connector (IN-16).
OTHER: Final[dict[str, Any]] = {
    "channel": "bukalapak",
    "site": "id",
    "shop": "3318842",
    "order": "SO-2026-000871",
    "approximate": False,
    "occurrence": 1,
    "translator_version": 4,
    "seller": _SELLER,
    "connection": "0195d3a1-5be0-7d19-8f27-6a03c8d4e1b5",
    "read_at": None,
    "raw": (),
}

_LINE: Final = LineScope(line="712345679001001")
_LAZADA_ORDER: Final = OrderScope(order="712345678901001")
_TOKOPEDIA_ORDER: Final = OrderScope(order="2024050712345")
_TIKTOK_ORDER: Final = OrderScope(order="576461413038785752")
_PACKAGE: Final = PackageScope(package="1153163297384236632")
_PACKED: Final = Goods(
    package="FP055240000000001", awb="MYMPA000000001", courier="Pickup: SG_Courier, Delivery: SG_Courier"
)


def _at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, second, tzinfo=UTC)


_PLACED = channels.OrderPlaced(
    **LAZADA | {"read_at": _at(5, 3, 15, 9)},
    type="OrderPlaced",
    scope=_LAZADA_ORDER,
    occurred_at=_at(5, 3, 14, 22),
    source_status=None,
    data=Placement(
        reference="712345678901001",
        payment_method="GATEWAY",
        currency="SGD",
        total=3790,
        discount=100,
        shipping_fee=299,
        lines=(
            PlacedLine(
                line="712345679001001",
                product="3200112233",
                variant="20044556677",
                sku="TEH-HIJAU-250",
                name="Teh Hijau Melati 250 g",
                quantity=1,
                unit_price=1890,
                discount=94,
            ),
            PlacedLine(
                line="712345679001002",
                product="3200112240",
                sku="GELAS-01",
                name="Gelas Teh 300 ml",
                quantity=1,
                unit_price=1795,
            ),
        ),
        city="Singapore",
        courier="SG_Courier",
        warehouse="dropshipping",
    ),
)

_PAYMENTS: Final[tuple[Fact, ...]] = (
    channels.PaymentAwaited(
        **LAZADA,
        type="PaymentAwaited",
        scope=_LAZADA_ORDER,
        occurred_at=_at(5, 3, 14, 22),
        source_status="unpaid",
        data=NothingStated(),
    ),
    channels.PaymentProcessingStarted(
        **TOKOPEDIA,
        type="PaymentProcessingStarted",
        scope=_TOKOPEDIA_ORDER,
        occurred_at=_at(5, 7, 41, 10),
        source_status="103",
        data=NothingStated(),
    ),
    channels.PaymentSucceeded(
        **TOKOPEDIA,
        type="PaymentSucceeded",
        scope=_TOKOPEDIA_ORDER,
        occurred_at=_at(5, 7, 42, 31),
        source_status="220",
        data=Money(amount=98500, currency="IDR", reference="PYM/20260305/XII/III/1234567"),
    ),
    channels.PaymentFailed(
        **OTHER,
        type="PaymentFailed",
        scope=OrderScope(order="SO-2026-000871"),
        occurred_at=_at(6, 7, 42),
        source_status="payment_expired",
        data=NothingStated(),
    ),
    channels.RefundPaid(
        **LAZADA,
        type="RefundPaid",
        scope=_LAZADA_ORDER,
        occurred_at=_at(14, 9, 30),
        source_status="REFUND_SUCCESS",
        data=Money(amount=1796, currency="SGD", reference="812345678901001"),
    ),
)

_GOODS: Final[tuple[Fact, ...]] = (
    channels.OrderConfirmed(
        **TOKOPEDIA,
        type="OrderConfirmed",
        scope=_TOKOPEDIA_ORDER,
        occurred_at=_at(5, 7, 59, 50),
        source_status="400",
        data=NothingStated(),
    ),
    channels.PackagePrepared(
        **LAZADA,
        type="PackagePrepared",
        scope=_LINE,
        occurred_at=_at(5, 7, 30),
        source_status="packed",
        data=_PACKED,
    ),
    channels.ShipmentBooked(
        **LAZADA,
        type="ShipmentBooked",
        scope=_LINE,
        occurred_at=_at(5, 7, 59, 26),
        source_status="ready_to_ship",
        data=Goods(),
    ),
    channels.ShipmentCancelled(
        **LAZADA | {"occurrence": 2},
        type="ShipmentCancelled",
        scope=_LINE,
        occurred_at=_at(5, 8, 20),
        source_status="repacked",
        data=Goods(),
    ),
    channels.PackagePickedUp(
        **TIKTOK,
        type="PackagePickedUp",
        scope=_PACKAGE,
        occurred_at=_at(6, 2, 10, 1),
        source_status="IN_TRANSIT",
        data=Goods(
            package="1153163297384236632", awb="JX0000000001", courier="J&T Express", service="Standard"
        ),
    ),
    channels.DeliveryProblemReported(
        **LAZADA,
        type="DeliveryProblemReported",
        scope=_LINE,
        occurred_at=_at(7, 11, 3),
        source_status="failed_delivery",
        data=Goods(),
    ),
    channels.DeliveryProblemSolved(
        **TIKTOK | {"approximate": True},
        type="DeliveryProblemSolved",
        scope=_PACKAGE,
        occurred_at=_at(6, 2, 11, 45),
        source_status=None,
        data=Goods(package="1153163297384236632"),
    ),
    channels.PackageDelivered(
        **TOKOPEDIA,
        type="PackageDelivered",
        scope=_TOKOPEDIA_ORDER,
        occurred_at=_at(7, 6, 12),
        source_status="600",
        data=Goods(awb="CM0000000001"),
    ),
    channels.PackageLostOrDamaged(
        **LAZADA,
        type="PackageLostOrDamaged",
        scope=_LINE,
        occurred_at=_at(9, 4),
        source_status="lost_by_3pl",
        data=Goods(),
    ),
    channels.ReturnStarted(
        **LAZADA,
        type="ReturnStarted",
        scope=_LINE,
        occurred_at=_at(10, 5, 45),
        source_status="shipped_back",
        data=Goods(),
    ),
    channels.ReturnReceived(
        **LAZADA,
        type="ReturnReceived",
        scope=_LINE,
        occurred_at=_at(13, 2, 5),
        source_status="returned",
        data=Goods(quantity=1, case="812345678901001"),
    ),
)

_ENDINGS: Final[tuple[Fact, ...]] = (
    channels.CancellationRequested(
        **TOKOPEDIA,
        type="CancellationRequested",
        scope=_TOKOPEDIA_ORDER,
        occurred_at=None,
        source_status=None,
        data=Request(by="BUYER"),
    ),
    channels.CancellationRequestClosed(
        **TIKTOK,
        type="CancellationRequestClosed",
        scope=_TIKTOK_ORDER,
        occurred_at=_at(5, 9, 30),
        source_status="CANCELLATION_REQUEST_CANCELLED",
        data=Request(case="4035313036570301644"),
    ),
    channels.OrderCancelled(
        **LAZADA,
        type="OrderCancelled",
        scope=LineScope(line="712345679001002"),
        occurred_at=_at(5, 10, 2),
        source_status="canceled",
        data=Request(by="SELLER"),
    ),
    channels.OrderCompleted(
        **TOKOPEDIA,
        type="OrderCompleted",
        scope=_TOKOPEDIA_ORDER,
        occurred_at=_at(9, 6, 12),
        source_status="700",
        data=NothingStated(),
    ),
    channels.ReturnCaseOpened(
        **TIKTOK,
        type="ReturnCaseOpened",
        scope=_TIKTOK_ORDER,
        occurred_at=_at(11, 1, 7),
        source_status="RETURN_OR_REFUND_REQUEST_PENDING",
        data=Request(by="BUYER", deadline=_at(13, 1, 7), case="4035313036570301752"),
    ),
    channels.ReturnCaseClosed(
        **TIKTOK,
        type="ReturnCaseClosed",
        scope=_TIKTOK_ORDER,
        occurred_at=_at(15, 4, 40),
        source_status="RETURN_OR_REFUND_REQUEST_COMPLETE",
        data=Request(case="4035313036570301752"),
    ),
)

_NEWS: Final[tuple[Fact, ...]] = (
    channels.UnknownStatusReported(
        **LAZADA,
        type="UnknownStatusReported",
        scope=_LINE,
        occurred_at=_at(6, 12, 0, 1),
        source_status="handover_paused",
        data=NothingStated(),
    ),
    channels.ChannelNote(
        **TIKTOK,
        type="ChannelNote",
        scope=_TIKTOK_ORDER,
        occurred_at=_at(5, 13, 20),
        source_status="ON_HOLD",
        data=Note(on_hold=True),
    ),
    channels.ExpectedFeesFrozen(
        **TOKOPEDIA,
        type="ExpectedFeesFrozen",
        scope=_TOKOPEDIA_ORDER,
        occurred_at=_at(5, 7, 40, 2),
        source_status=None,
        data=ExpectedFees(
            schedule_version="TOKOPEDIA-AWAL",
            settings_version=3,
            currency="IDR",
            bases=(FeeBase(line="20240507123450", base=80000),),
            goods_value=80000,
            components=(
                FeeComponent(code="SERVICE", rate_bp=125, amount=1000),
                FeeComponent(code="BEBAS_ONGKIR", rate_bp=225, amount=1800),
            ),
            fee_total=2800,
            net=77200,
            flags=(),
        ),
    ),
)

FACT_EXAMPLES: Final[tuple[Fact, ...]] = (_PLACED, *_PAYMENTS, *_GOODS, *_ENDINGS, *_NEWS)
