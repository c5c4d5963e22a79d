"""Facts about marketplace orders, as they stand on `channels.orders.v1`: what the channel states, no more.

Storage warning: these bodies lie in topics, stores and archives; a field is added, never renamed, retyped or
removed. A breaking change is a new major with an upcast. Buyer data never stands here in clear.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from libs.events.wire import Amount, Count, Currency, Id, Instant, PublicEvent, Quantity, Stated, Wire

Party = Literal["BUYER", "SELLER", "CHANNEL"]
# One compact JWE with its five parts (RFC 7516), whose `sub` is the key of the record; orders alone opens it.
SealedBuyer = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){4}$")]


class LineScope(Wire):
    """The fact is about one line, by the marketplace's id."""

    line: Id


class PackageScope(Wire):
    """The fact is about one package, by the marketplace's id."""

    package: Id


class OrderScope(Wire):
    """The fact is about the whole order, by its external id."""

    order: Id


class NothingStated(Stated):
    """Everything the fact says is its type, scope and time."""


class PlacedLine(Stated):
    """One line as the channel sold it; amounts in minor units."""

    line: Id
    """The marketplace's id of the line."""
    product: str | None = None
    """The marketplace's id of the product."""
    variant: str | None = None
    """The marketplace's id of the variant."""
    sku: str | None = None
    """The seller's own SKU."""
    name: str | None = None
    """The product's name as sold."""
    quantity: Quantity
    """Units ordered."""
    unit_price: Amount | None = None
    """Price of one unit."""
    discount: Amount | None = None
    """What comes off the line."""


class Placement(Stated):
    """The order as the channel states it; amounts in minor units of `currency`."""

    reference: str | None = None
    """The number that people see."""
    payment_method: Literal["COD", "GATEWAY"]
    """COD where the channel says so, else GATEWAY."""
    currency: Currency
    """The one currency of the order."""
    total: Amount | None = None
    """What the buyer pays."""
    discount: Amount | None = None
    """Discount of the order beyond those of its lines."""
    shipping_fee: Amount | None = None
    """Shipping paid by the buyer."""
    insurance_fee: Amount | None = None
    """Insurance paid by the buyer."""
    other_fees: Amount | None = None
    """Any other fee paid by the buyer."""
    lines: Annotated[tuple[PlacedLine, ...], Field(min_length=1)]
    """What was ordered."""
    city: str | None = None
    """City of the destination."""
    province: str | None = None
    """Province of the destination."""
    courier: str | None = None
    """The courier chosen."""
    service: str | None = None
    """The courier's service chosen."""
    warehouse: str | None = None
    """The marketplace's code of the warehouse."""
    buyer: SealedBuyer | None = None
    """What is said of the buyer, sealed (PD-4)."""


class Money(Stated):
    """An amount that moved, where the channel says how much."""

    amount: Amount | None = None
    """In minor units of `currency`."""
    currency: Currency | None = None
    """The currency of the amount."""
    reference: str | None = None
    """The number of the payment or refund."""


class Goods(Stated):
    """The package that the news is about, as far as stated."""

    package: Id | None = None
    """The marketplace's id of the package."""
    awb: str | None = None
    """The tracking number."""
    courier: str | None = None
    """Who carries it."""
    service: str | None = None
    """The courier's service."""
    quantity: Quantity | None = None
    """Units concerned, if not the whole line."""
    case: Id | None = None
    """The reverse order."""


class Request(Stated):
    """Who ends or returns what, until when, and under which case."""

    by: Party | None = None
    """Who wants it."""
    deadline: Instant | None = None
    """Until when the channel awaits an answer."""
    case: Id | None = None
    """The reverse order."""
    buyer: SealedBuyer | None = None
    """The buyer's words on why, sealed (PD-4)."""


class Note(Stated):
    """What a note does to the hold of the order."""

    on_hold: bool | None = None
    """True where a hold starts, false where it ends, left out where neither does."""


class FeeBase(Wire):
    """What the fees of one line are reckoned on."""

    line: Id
    """The marketplace's id of the line."""
    base: Amount
    """Its base in minor units."""


class FeeComponent(Wire):
    """One fee that the channel is expected to take."""

    code: str
    """Which fee."""
    rate_bp: int | None
    """Its rate in basis points; null where lines differ or the fee is flat."""
    amount: Amount
    """What it comes to, in minor units."""


class ExpectedFees(Wire):
    """Expected fees with all that they were reckoned from (FE-08)."""

    schedule_version: str
    """The fee schedule in force."""
    settings_version: Count
    """The version of the shop's settings."""
    currency: Currency
    """The currency of all amounts."""
    bases: tuple[FeeBase, ...]
    """What each line's fees are reckoned on."""
    goods_value: Amount
    """The sum of the bases."""
    components: tuple[FeeComponent, ...]
    """One entry per fee."""
    fee_total: Amount | None
    """The sum of the fees; null when a flag says that they cannot be told."""
    net: int | None
    """Goods value without fees; null as `fee_total`."""
    flags: tuple[str, ...]
    """Why fees cannot be told; empty when they can."""


class Fact(PublicEvent):
    """What every fact states: whose order, which part of it, since when, and from which reading."""

    publisher: ClassVar[str] = "channels"

    type: str
    """The name of the fact."""
    channel: Id
    """The marketplace."""
    site: str | None
    """Its country site; null where it has none."""
    shop: Id | None
    """The marketplace's id of the shop."""
    order: Id
    """The marketplace's id of the order."""
    scope: LineScope | PackageScope | OrderScope
    """What part of the order the fact is about."""
    occurred_at: Instant | None
    """When it happened, as the marketplace says; null when it does not."""
    approximate: bool
    """True when `occurred_at` is the time of the reading."""
    source_status: str | None
    """The marketplace's own text of the status; null where there is none."""
    occurrence: Annotated[int, Field(ge=1)]
    """How often the line or package has entered that status."""
    translator_version: Count
    """The version of the translation that read the message."""
    data: Wire
    """What else is stated."""
    seller: Id
    """Whose shop it is."""
    connection: Id
    """The authorisation under which the shop is connected."""
    read_at: Instant | None
    """When the order was read; null for a push."""
    raw: tuple[Id, ...]
    """Ids of the raw messages that say so."""


class OrderPlaced(Fact):
    """A buyer has ordered at the marketplace."""

    type: Literal["OrderPlaced"]
    data: Placement


class PaymentAwaited(Fact):
    """The marketplace awaits the buyer's payment."""

    type: Literal["PaymentAwaited"]
    data: NothingStated


class PaymentProcessingStarted(Fact):
    """The marketplace is processing the buyer's payment."""

    type: Literal["PaymentProcessingStarted"]
    data: NothingStated


class PaymentSucceeded(Fact):
    """The buyer's payment has arrived at the marketplace."""

    type: Literal["PaymentSucceeded"]
    data: Money


class PaymentFailed(Fact):
    """The buyer's payment has failed or lapsed."""

    type: Literal["PaymentFailed"]
    data: NothingStated


class RefundPaid(Fact):
    """The marketplace has paid money back to the buyer."""

    type: Literal["RefundPaid"]
    data: Money


class OrderConfirmed(Fact):
    """The order has been accepted at the marketplace."""

    type: Literal["OrderConfirmed"]
    data: NothingStated


class PackagePrepared(Fact):
    """Goods have been packed."""

    type: Literal["PackagePrepared"]
    data: Goods


class ShipmentBooked(Fact):
    """The courier has been asked to fetch a package."""

    type: Literal["ShipmentBooked"]
    data: Goods


class ShipmentCancelled(Fact):
    """The booking of the courier has been undone; the package is with the seller."""

    type: Literal["ShipmentCancelled"]
    data: Goods


class PackagePickedUp(Fact):
    """The courier has taken a package over."""

    type: Literal["PackagePickedUp"]
    data: Goods


class DeliveryProblemReported(Fact):
    """The delivery of a package has run into trouble."""

    type: Literal["DeliveryProblemReported"]
    data: Goods


class DeliveryProblemSolved(Fact):
    """The trouble is over and the package is on its way again."""

    type: Literal["DeliveryProblemSolved"]
    data: Goods


class PackageDelivered(Fact):
    """A package has arrived at the buyer's address."""

    type: Literal["PackageDelivered"]
    data: Goods


class PackageLostOrDamaged(Fact):
    """A package is lost or damaged."""

    type: Literal["PackageLostOrDamaged"]
    data: Goods


class ReturnStarted(Fact):
    """Goods are on their way back to the seller."""

    type: Literal["ReturnStarted"]
    data: Goods


class ReturnReceived(Fact):
    """Goods are back at the seller."""

    type: Literal["ReturnReceived"]
    data: Goods


class OrderCancelled(Fact):
    """The order, or the line or package in scope, has been cancelled at the marketplace."""

    type: Literal["OrderCancelled"]
    data: Request


class OrderCompleted(Fact):
    """The buyer has accepted the order, or the line in scope, and the marketplace has closed it."""

    type: Literal["OrderCompleted"]
    data: NothingStated


class CancellationRequested(Fact):
    """Somebody asks that the order, or the line in scope, be cancelled."""

    type: Literal["CancellationRequested"]
    data: Request


class CancellationRequestClosed(Fact):
    """A request to cancel has ended without a cancellation."""

    type: Literal["CancellationRequestClosed"]
    data: Request


class ReturnCaseOpened(Fact):
    """The buyer wants to return delivered goods and the marketplace has opened a case."""

    type: Literal["ReturnCaseOpened"]
    data: Request


class ReturnCaseClosed(Fact):
    """The marketplace has closed a return case."""

    type: Literal["ReturnCaseClosed"]
    data: Request


class UnknownStatusReported(Fact):
    """The marketplace names a status that we do not know; its text is in `source_status`."""

    type: Literal["UnknownStatusReported"]
    data: NothingStated


class ChannelNote(Fact):
    """Known news without a step of its own; it may start or end a hold."""

    type: Literal["ChannelNote"]
    data: Note


class ExpectedFeesFrozen(Fact):
    """The fees that the marketplace is expected to take are fixed with their grounds."""

    type: Literal["ExpectedFeesFrozen"]
    data: ExpectedFees


FACTS: Final[dict[str, type[Fact]]] = {
    fact.__name__: fact
    for fact in (
        OrderPlaced,
        PaymentAwaited,
        PaymentProcessingStarted,
        PaymentSucceeded,
        PaymentFailed,
        RefundPaid,
        OrderConfirmed,
        PackagePrepared,
        ShipmentBooked,
        ShipmentCancelled,
        PackagePickedUp,
        DeliveryProblemReported,
        DeliveryProblemSolved,
        PackageDelivered,
        PackageLostOrDamaged,
        ReturnStarted,
        ReturnReceived,
        OrderCancelled,
        OrderCompleted,
        CancellationRequested,
        CancellationRequestClosed,
        ReturnCaseOpened,
        ReturnCaseClosed,
        UnknownStatusReported,
        ChannelNote,
        ExpectedFeesFrozen,
    )
}
