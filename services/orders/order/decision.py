"""One decision in the making: the order as it stands after the events found so far.

Each event is folded as soon as it is made, so every later one is decided on what the earlier ones left.
"""

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.fact import Fact, Judgement, News, news_of
from services.orders.order.model import Coverage, Order, Part, Refund, Status
from services.orders.order.state import evolve


class Decision:
    """The events of one judgement and the order they add up to."""

    __slots__ = ("before", "events", "fact", "news", "order", "read_wanted")

    def __init__(self, order: Order, fact: Fact) -> None:
        self.before = order
        self.order = order
        self.fact = fact
        self.news = news_of(fact)
        self.events: list[e.Event] = []
        self.read_wanted = False

    def emit(self, event: e.Event) -> None:
        self.events.append(event)
        self.order = evolve(self.order, event)

    def record(
        self,
        disposition: e.Disposition,
        news: News,
        *,
        dimension: e.Dimension | None = None,
        parts: tuple[e.MovedPart, ...] = (),
        dates: int = 0,
        raises: tuple[str, ...] = (),
        lines: tuple[str, ...] = (),
    ) -> e.Disposition:
        """Keep news that changes no value as what it is (GR-8)."""
        self.emit(
            e.FactRecorded(
                at=news.at,
                fact=news.ref,
                disposition=disposition,
                dimension=dimension,
                parts=parts,
                dates=dates,
                raises=raises,
                lines=lines,
                awb=news.data.awb or "",
            )
        )
        return disposition

    def late(self, news: News, *, dates: int = 0, dimension: e.Dimension | None = None) -> e.Disposition:
        """MK-5; without a time a fresh read is asked for (MK-10)."""
        self.read_wanted = self.read_wanted or news.at is None
        return self.record(e.Disposition.LATE, news, dates=dates, dimension=dimension)

    def conflict(self, news: News, lines: tuple[str, ...]) -> e.Disposition:
        """MK-14."""
        self.read_wanted = True
        return self.record(
            e.Disposition.CONFLICT,
            news,
            raises=("CHANNEL_CONFLICT",),
            lines=lines,
            dimension=e.Dimension.GOODS,
        )

    def imply_confirmation(self, news: News) -> None:
        """MK-7: goods move only in a paid and confirmed order."""
        self.imply_payment(news)
        if self.order.status is Status.NEW:
            self.emit(e.OrderConfirmed(at=news.at, implied=True, fact=news.step))

    def imply_payment(self, news: News) -> None:
        """MK-7: a prepaid order must have been paid in full, where nothing told of it yet."""
        order = self.order
        if not money.is_cod(order) and money.coverage(order) is not Coverage.PAID:
            in_full = money.total_at(order, news.at) - money.received(order)
            self._imply_receipt(news.at, news.step, max(money.outstanding(order), in_full))

    def imply_before_cancellation(self, news: News) -> None:
        """MK-17: news from before a cancellation moves no goods, yet the order was paid and confirmed then.

        Every other newer news of goods has implied as much already.
        """
        if self.order.status is Status.CANCELLED:
            self.imply_payment(news)
        elif self.order.status is not Status.COMPLETED:
            self.imply_confirmation(news)

    def _imply_receipt(self, at: e.Instant | None, step: e.FactRef, amount: int) -> None:
        if closes_transaction(self.order):
            self.emit(e.ExtraReceiptRecorded(at=at, implied=True, fact=step, amount=amount))
            return
        self.emit(e.PaymentSucceeded(at=at, implied=True, fact=step, amount=amount))
        self.emit(e.PaymentAllocated(at=at, implied=True, fact=step, amount=amount))

    def refund(self, refund: Refund, ref: e.FactRef) -> None:
        """Book a refund, with the credit it brings and the receipt it shows to have been there (MK-9)."""
        missing = refund.amount - money.net_paid(self.order)
        if missing > 0:
            in_full = money.total_at(self.order, refund.at) - money.received(self.order)
            step = e.FactRef(id=ref.id, read_at=ref.read_at)
            self._imply_receipt(refund.at, step, max(missing, in_full))
        if self.order.status is not Status.CANCELLED:
            with_it = replace(self.order, refunds=(*self.order.refunds, refund))
            self.credit(money.credits_wanted(with_it), refund.at, ref)
        self.emit(e.RefundPaid(at=refund.at, fact=ref, amount=refund.amount, reference=refund.reference))

    def credit(self, wanted: dict[str, int], at: e.Instant | None, ref: e.FactRef | None) -> None:
        """Bring the credits to what refunds and lost goods make of them."""
        step = None if ref is None else e.FactRef(id=ref.id, read_at=ref.read_at)
        for cause in sorted({*wanted, *self.order.credits}):
            amount = wanted.get(cause, 0)
            if amount != self.order.credits.get(cause, 0):
                self.emit(e.CreditRecorded(at=at, implied=True, fact=step, amount=amount, cause=cause))

    def collect(self, news: News) -> None:
        """MK-8: completion means that the courier has the cash; refunds told before are booked now."""
        order = self.order
        if not money.is_cod(order):
            return
        self.credit(money.credits_wanted(order), news.at, news.step)
        amount = money.outstanding(self.order)
        self.emit(e.CodCollected(at=news.at, implied=True, fact=news.step, amount=amount))

    def settle(self) -> None:
        """What a change of goods or money brings with it: credits, then the refund due (MK-9, MO-10)."""
        order = self.order
        if order.status is Status.COMPLETED:
            for refund in order.refunds_ahead:
                if refund.fact is not None:
                    self.refund(refund, refund.fact)
        excess = money.overstated(self.order)
        if excess:
            self.emit(e.ReceiptCorrected(at=self.news.at, implied=True, fact=self.news.step, amount=excess))
        if (order.refunds or money.is_cod(order)) and order.status is not Status.CANCELLED:
            self.credit(money.credits_wanted(self.order), self.news.at, self.news.step)
        due = money.refund_due(self.order)
        if due != self.order.refund_due:
            self.emit(e.RefundDueChanged(at=self.news.at, implied=True, fact=self.news.step, amount=due))

    def permitted(self, part: Part, news: News, letter: str) -> str:
        """The letter of table 11.4 for a part, where the owner of the order limits it; here it does not."""
        del part, news
        return letter

    def judged(self, disposition: e.Disposition) -> Judgement:
        return Judgement(disposition, tuple(self.events), self.read_wanted, self.order)


def closes_transaction(order: Order) -> bool:
    """Whether news of a running payment can no longer count (MK-6, INV-7)."""
    return (
        money.is_cod(order)
        or order.status in {Status.CANCELLED, Status.COMPLETED}
        or money.coverage(order) is Coverage.PAID
    )
