"""What can have happened to an order: the stored events.

Stored names, fields and codes are frozen: an event once written is read for ever. A field may be added with a
default; anything else is a new version of the name. No field here holds data of a buyer (PD-1): city and
province are the only words about the destination.
"""

from services.orders.order.lifecycle_events import (
    AwbIssued,
    CancellationRequestClosed,
    CancellationRequested,
    CodCollected,
    CreditRecorded,
    DeliveryProblemReported,
    DeliveryProblemSolved,
    ExpectedFeesFrozen,
    ExtraReceiptRecorded,
    FactRecorded,
    LinesAccepted,
    LinesCancelled,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDetailsCompleted,
    OrderPlaced,
    PackageDelivered,
    PackageLostOrDamaged,
    PackagePickedUp,
    PackagePrepared,
    PaymentAllocated,
    PaymentAwaited,
    PaymentFailed,
    PaymentProcessingStarted,
    PaymentSucceeded,
    ReceiptCorrected,
    RefundDueChanged,
    RefundPaid,
    ReturnCaseAdvanced,
    ReturnCaseClosed,
    ReturnCaseOpened,
    ReturnReceived,
    ReturnStarted,
    ShipmentBooked,
    ShipmentCancelled,
)
from services.orders.order.seller_events import (
    ActionLine,
    AdoptedPart,
    AdoptedState,
    AgentAssigned,
    BillAmended,
    BillCreated,
    BillIssued,
    BillPaid,
    BillReopened,
    BillVoided,
    BookingFailed,
    Change,
    ChannelActionEnded,
    ChannelActionRequested,
    ChannelStateAdopted,
    CodRemitted,
    CustomerChatDelivered,
    CustomerChatFailed,
    CustomerChatRequested,
    OrderEdited,
    OrderHeld,
    OrderReleased,
    OrderReopened,
    OrderTagged,
    OrderUnconfirmed,
    PackageUnprepared,
    PartGiven,
    PartWarehouse,
    PaymentConfirmed,
    PaymentReversed,
    ReminderDue,
    ShortLine,
    StockClaimed,
    StockCovered,
    StockShort,
    TransactionClosed,
    Units,
)
from services.orders.order.words import (
    Actor,
    CaseStep,
    Closed,
    Dimension,
    Disposition,
    FactRef,
    Happened,
    Instant,
    LineDetails,
    Method,
    Minor,
    Moved,
    MovedPart,
    Outcome,
    PlacedLine,
    Quantity,
    ReceiptSource,
    Sealed,
    TaxMode,
)

__all__ = [
    "EVENTS",
    "ActionLine",
    "Actor",
    "AdoptedPart",
    "AdoptedState",
    "AgentAssigned",
    "AwbIssued",
    "BillAmended",
    "BillCreated",
    "BillIssued",
    "BillPaid",
    "BillReopened",
    "BillVoided",
    "BookingFailed",
    "CancellationRequestClosed",
    "CancellationRequested",
    "CaseStep",
    "Change",
    "ChannelActionEnded",
    "ChannelActionRequested",
    "ChannelStateAdopted",
    "Closed",
    "CodCollected",
    "CodRemitted",
    "CreditRecorded",
    "CustomerChatDelivered",
    "CustomerChatFailed",
    "CustomerChatRequested",
    "DeliveryProblemReported",
    "DeliveryProblemSolved",
    "Dimension",
    "Disposition",
    "Event",
    "ExpectedFeesFrozen",
    "ExtraReceiptRecorded",
    "FactRecorded",
    "FactRef",
    "Happened",
    "Instant",
    "LineDetails",
    "LinesAccepted",
    "LinesCancelled",
    "Method",
    "Minor",
    "Moved",
    "MovedPart",
    "OrderCancelled",
    "OrderCompleted",
    "OrderConfirmed",
    "OrderDetailsCompleted",
    "OrderEdited",
    "OrderHeld",
    "OrderPlaced",
    "OrderReleased",
    "OrderReopened",
    "OrderTagged",
    "OrderUnconfirmed",
    "Outcome",
    "PackageDelivered",
    "PackageLostOrDamaged",
    "PackagePickedUp",
    "PackagePrepared",
    "PackageUnprepared",
    "PartGiven",
    "PartWarehouse",
    "PaymentAllocated",
    "PaymentAwaited",
    "PaymentConfirmed",
    "PaymentFailed",
    "PaymentProcessingStarted",
    "PaymentReversed",
    "PaymentSucceeded",
    "PlacedLine",
    "Quantity",
    "ReceiptCorrected",
    "ReceiptSource",
    "RefundDueChanged",
    "RefundPaid",
    "ReminderDue",
    "ReturnCaseAdvanced",
    "ReturnCaseClosed",
    "ReturnCaseOpened",
    "ReturnReceived",
    "ReturnStarted",
    "Sealed",
    "ShipmentBooked",
    "ShipmentCancelled",
    "ShortLine",
    "StockClaimed",
    "StockCovered",
    "StockShort",
    "TaxMode",
    "TransactionClosed",
    "Units",
]

Event = (
    OrderPlaced
    | OrderDetailsCompleted
    | OrderConfirmed
    | PaymentAwaited
    | PaymentProcessingStarted
    | PaymentFailed
    | PaymentSucceeded
    | PaymentAllocated
    | ExtraReceiptRecorded
    | ReceiptCorrected
    | CodCollected
    | RefundPaid
    | CreditRecorded
    | RefundDueChanged
    | PackagePrepared
    | ShipmentBooked
    | ShipmentCancelled
    | AwbIssued
    | PackagePickedUp
    | DeliveryProblemReported
    | DeliveryProblemSolved
    | PackageDelivered
    | PackageLostOrDamaged
    | ReturnStarted
    | ReturnReceived
    | LinesCancelled
    | OrderCancelled
    | LinesAccepted
    | OrderCompleted
    | CancellationRequested
    | CancellationRequestClosed
    | ReturnCaseOpened
    | ReturnCaseAdvanced
    | ReturnCaseClosed
    | ExpectedFeesFrozen
    | FactRecorded
    | AgentAssigned
    | BillAmended
    | BillCreated
    | BillIssued
    | BillPaid
    | BillReopened
    | BillVoided
    | BookingFailed
    | ChannelActionEnded
    | ChannelActionRequested
    | CodRemitted
    | CustomerChatDelivered
    | CustomerChatFailed
    | CustomerChatRequested
    | OrderEdited
    | OrderHeld
    | OrderReleased
    | OrderReopened
    | OrderTagged
    | OrderUnconfirmed
    | PackageUnprepared
    | PaymentConfirmed
    | PaymentReversed
    | ReminderDue
    | StockClaimed
    | StockCovered
    | StockShort
    | TransactionClosed
    | ChannelStateAdopted
)

# Append only: the name stands in the store.
EVENTS: dict[str, type[Event]] = {
    "OrderPlaced.v1": OrderPlaced,
    "OrderDetailsCompleted.v1": OrderDetailsCompleted,
    "OrderConfirmed.v1": OrderConfirmed,
    "PaymentAwaited.v1": PaymentAwaited,
    "PaymentProcessingStarted.v1": PaymentProcessingStarted,
    "PaymentFailed.v1": PaymentFailed,
    "PaymentSucceeded.v1": PaymentSucceeded,
    "PaymentAllocated.v1": PaymentAllocated,
    "ExtraReceiptRecorded.v1": ExtraReceiptRecorded,
    "ReceiptCorrected.v1": ReceiptCorrected,
    "CodCollected.v1": CodCollected,
    "RefundPaid.v1": RefundPaid,
    "CreditRecorded.v1": CreditRecorded,
    "RefundDueChanged.v1": RefundDueChanged,
    "PackagePrepared.v1": PackagePrepared,
    "ShipmentBooked.v1": ShipmentBooked,
    "ShipmentCancelled.v1": ShipmentCancelled,
    "AwbIssued.v1": AwbIssued,
    "PackagePickedUp.v1": PackagePickedUp,
    "DeliveryProblemReported.v1": DeliveryProblemReported,
    "DeliveryProblemSolved.v1": DeliveryProblemSolved,
    "PackageDelivered.v1": PackageDelivered,
    "PackageLostOrDamaged.v1": PackageLostOrDamaged,
    "ReturnStarted.v1": ReturnStarted,
    "ReturnReceived.v1": ReturnReceived,
    "LinesCancelled.v1": LinesCancelled,
    "OrderCancelled.v1": OrderCancelled,
    "LinesAccepted.v1": LinesAccepted,
    "OrderCompleted.v1": OrderCompleted,
    "CancellationRequested.v1": CancellationRequested,
    "CancellationRequestClosed.v1": CancellationRequestClosed,
    "ReturnCaseOpened.v1": ReturnCaseOpened,
    "ReturnCaseAdvanced.v1": ReturnCaseAdvanced,
    "ReturnCaseClosed.v1": ReturnCaseClosed,
    "ExpectedFeesFrozen.v1": ExpectedFeesFrozen,
    "FactRecorded.v1": FactRecorded,
    "AgentAssigned.v1": AgentAssigned,
    "BillAmended.v1": BillAmended,
    "BillCreated.v1": BillCreated,
    "BillIssued.v1": BillIssued,
    "BillPaid.v1": BillPaid,
    "BillReopened.v1": BillReopened,
    "BillVoided.v1": BillVoided,
    "BookingFailed.v1": BookingFailed,
    "ChannelActionEnded.v1": ChannelActionEnded,
    "ChannelActionRequested.v1": ChannelActionRequested,
    "CodRemitted.v1": CodRemitted,
    "CustomerChatDelivered.v1": CustomerChatDelivered,
    "CustomerChatFailed.v1": CustomerChatFailed,
    "CustomerChatRequested.v1": CustomerChatRequested,
    "OrderEdited.v1": OrderEdited,
    "OrderHeld.v1": OrderHeld,
    "OrderReleased.v1": OrderReleased,
    "OrderReopened.v1": OrderReopened,
    "OrderTagged.v1": OrderTagged,
    "OrderUnconfirmed.v1": OrderUnconfirmed,
    "PackageUnprepared.v1": PackageUnprepared,
    "PaymentConfirmed.v1": PaymentConfirmed,
    "PaymentReversed.v1": PaymentReversed,
    "ReminderDue.v1": ReminderDue,
    "StockClaimed.v1": StockClaimed,
    "StockCovered.v1": StockCovered,
    "StockShort.v1": StockShort,
    "TransactionClosed.v1": TransactionClosed,
    "ChannelStateAdopted.v1": ChannelStateAdopted,
}
