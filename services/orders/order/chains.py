"""The places of news in the chains that settle equal times (MK-5)."""

from services.orders.order.model import Fulfilment, Part

# MK-5: the news chain; cancelled and completed parts stand at its end.
NEWS_RANK = {
    Fulfilment.NOT_STARTED: 0,
    Fulfilment.READY: 1,
    Fulfilment.BOOKED: 2,
    Fulfilment.IN_TRANSIT: 3,
    Fulfilment.PROBLEM: 4,
    Fulfilment.DELIVERED: 5,
    Fulfilment.RETURNING: 6,
    Fulfilment.LOST_OR_DAMAGED: 7,
    Fulfilment.RETURNED: 8,
}
NEWS_RANK_LAST = 9

# Facts that end a part; their place is the last one.
FINAL = frozenset({"OrderCancelled", "LinesCancelled", "OrderCompleted"})

# The value that a fact or event of this name stands for in the news chain (MK-5).
TARGETS = {
    "PackagePrepared": Fulfilment.READY,
    "ShipmentCancelled": Fulfilment.READY,
    "BookingFailed": Fulfilment.READY,
    "ShipmentBooked": Fulfilment.BOOKED,
    "AwbIssued": Fulfilment.BOOKED,
    "PackagePickedUp": Fulfilment.IN_TRANSIT,
    "DeliveryProblemSolved": Fulfilment.IN_TRANSIT,
    "DeliveryProblemReported": Fulfilment.PROBLEM,
    "PackageDelivered": Fulfilment.DELIVERED,
    "ReturnStarted": Fulfilment.RETURNING,
    "PackageLostOrDamaged": Fulfilment.LOST_OR_DAMAGED,
    "ReturnReceived": Fulfilment.RETURNED,
}

# The places of payment and request news in their own chains, for equal times: the later step counts.
PAYMENT_RANK = {"PaymentAwaited": 1, "PaymentProcessingStarted": 2, "PaymentFailed": 3}
PAYMENT_RANK_MONEY = 4
REQUEST_RANK = {"CancellationRequested": 1, "CancellationRequestClosed": 2}


def chain_rank(name: str) -> int:
    """The place of a fact about goods in the news chain."""
    target = TARGETS.get(name)
    return NEWS_RANK_LAST if target is None else NEWS_RANK[target]


def news_rank(part: Part) -> int:
    """The place of a part's present value."""
    if part.cancelled or part.accepted:
        return NEWS_RANK_LAST
    return NEWS_RANK[part.value]
