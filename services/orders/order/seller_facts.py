"""What couriers, gateways and inventory report of an order, judged by the rows of 3.3 (GR-8, GR-13, GR-15).

Courier facts follow table 11.4 with the limits of SELLER orders; nothing outside fulfilment is ever implied
(GR-9). A fact that does not fit is recorded, never refused, and raises no flag: only a marketplace's conflict
has a command that ends it (T37).
"""

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order.channel_goods import judge_goods
from services.orders.order.commands import Given
from services.orders.order.decide_goods import seller_credits
from services.orders.order.deciding import consequences, number_of, said
from services.orders.order.decision import Decision
from services.orders.order.fact import Fact, FactInvalid, Judgement, News, Scope
from services.orders.order.model import Fulfilment, Order, Part, fact_key
from services.orders.order.parts import active, in_shipping, package_of
from services.orders.order.seller_payment_facts import judge_bill, judge_cash, judge_gateway
from services.orders.order.table import FACTS

_COURIER = frozenset(name for name, row in FACTS.items() if row.values)
_GATEWAY = frozenset(name for name, row in FACTS.items() if row.number.startswith("T27"))
# What becomes of a message to the buyer (T6); the order keeps it, no dimension changes.
_CHAT = frozenset({"CustomerChatDelivered", "CustomerChatFailed"})


class SellerFact(Struct, frozen=True, kw_only=True, gc=False):
    """A fact as it comes by `POST /v1/orders/{id}/facts` or on `orders.commands.v1`; the caller sets `id`."""

    type: str
    scope: Scope | None = None
    occurred_at: e.Instant | None = None
    data: Raw = Raw(b"{}")
    id: str = ""


class GoodsTold(Struct, frozen=True, kw_only=True, gc=False):
    """What a courier states; `good` and `damaged` are the units counted of a return (T23)."""

    awb: str | None = None
    package: str | None = None
    quantity: e.Quantity | None = None
    good: e.Minor | None = None
    damaged: e.Minor | None = None
    # A code: free text would be data of a buyer (17.1).
    reason: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""


class ChatTold(Struct, frozen=True, kw_only=True, gc=False):
    """What became of a message; `reason` is a code."""

    chat: Annotated[str, Meta(min_length=1, max_length=64)]
    reason: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""


class StockTold(Struct, frozen=True, kw_only=True, gc=False):
    """What inventory states of a claim."""

    warehouses: tuple[e.PartWarehouse, ...] = ()
    lines: tuple[e.ShortLine, ...] = ()


class SellerDecision(Decision):
    """A fact about an order that no marketplace owns, being judged."""

    __slots__ = ("given", "told")

    def __init__(self, order: Order, fact: Fact, given: Given, told: GoodsTold) -> None:
        super().__init__(order, fact)
        self.given = given
        self.told = told

    def emit(self, event: e.Event) -> None:
        event = replace(
            event,
            actor=self.given.actor,
            caller=self.given.caller,
            policies=self.given.policies.version,
        )
        if isinstance(event, e.ReturnReceived):
            event = replace(event, good=self.told.good, damaged=self.told.damaged)
        if isinstance(event, e.BookingFailed):
            event = replace(event, reason=self.told.reason)
        super().emit(event)

    @property
    def implied(self) -> dict[str, Any]:
        return {**said(self.given), "at": self.news.at, "implied": True, "fact": self.news.step}

    def named(self, letter: str) -> str:
        return f"{letter}{self.order.sequence + 1}"

    def number(self, series: str) -> str:
        return number_of(self.given, series)

    def imply_payment(self, news: News) -> None:
        """Nothing outside fulfilment is implied (GR-9)."""

    def imply_confirmation(self, news: News) -> None:
        """Nothing outside fulfilment is implied (GR-9)."""

    def conflict(self, news: News, lines: tuple[str, ...]) -> e.Disposition:
        return self.record(e.Disposition.CONFLICT, news, lines=lines, dimension=e.Dimension.GOODS)

    def permitted(self, part: Part, news: News, letter: str) -> str:
        if letter == "X":
            return letter
        if news.type == "BookingFailed":
            return "B" if part.value is Fulfilment.BOOKED and not self._live(part) else "X"
        if letter == "=":
            return letter
        if not in_shipping(part):
            return "X"
        known = self._live(part) or bool(news.data.awb)
        if part.value is Fulfilment.BOOKED and not known:
            return "X"
        back = news.type in {"ReturnStarted", "ReturnReceived", "PackageLostOrDamaged"}
        if part.value is Fulfilment.DELIVERED and back and not self._returnable(part, news):
            return "X"
        return letter

    def _live(self, part: Part) -> bool:
        held = package_of(self.order, part.package)
        return held is not None and held.live

    def _returnable(self, part: Part, news: News) -> bool:
        """T22: within the return window from the delivery."""
        at, window = news.at or self.given.at, timedelta(days=self.given.policies.return_window_days)
        return part.delivered_at is None or at <= part.delivered_at + window

    def settle(self) -> None:
        """MO-14: lost and returned COD packages are credited at once; then MO-12 and the refund due.

        What is recorded by hand of a marketplace's order (11.2) leaves its money to the rules of that order.
        """
        if self.order.source == "CHANNEL":
            super().settle()
            return
        self.credit({**self.order.credits, **seller_credits(self.order)}, self.news.at, self.news.ref)
        consequences(self)


def judge_seller_fact(order: Order, fact: SellerFact, given: Given) -> Judgement:
    """What a fact does to an order; all its events are stored or none.

    Raises FactInvalid for a type that is no fact of this door, and for a scope or data that name nothing.
    """
    if fact.type not in FACTS and fact.type not in _CHAT:
        raise FactInvalid("type", f"{fact.type} is no fact that couriers, gateways or inventory report")
    told = _decoded(fact, GoodsTold) if fact.type in _COURIER or fact.type == "CodCollected" else GoodsTold()
    d = SellerDecision(order, _as_fact(order, fact, told, given), given, told)
    known = fact_key(d.news.ref, d.news.at) in order.seen
    return d.judged(_judged(d, fact, known=known))


def _judged(d: SellerDecision, fact: SellerFact, *, known: bool) -> e.Disposition:
    if fact.type == "AwbIssued":
        return e.Disposition.DUPLICATE if known else _awb_issued(d)
    if fact.type in _COURIER:
        return judge_goods(d, known=known)
    if known:
        return e.Disposition.DUPLICATE
    if fact.type in _GATEWAY:
        return judge_gateway(d)
    if fact.type == "BillPaid":
        return judge_bill(d)
    if fact.type == "CodCollected":
        return judge_cash(d)
    if fact.type in _CHAT:
        return _chat(d, _decoded(fact, ChatTold))
    return _stock(d, _decoded(fact, StockTold))


def _decoded(fact: SellerFact, wanted: Any) -> Any:
    try:
        return msgspec.json.decode(fact.data, type=wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise FactInvalid("data", str(fault)) from None


def _as_fact(order: Order, fact: SellerFact, told: GoodsTold, given: Given) -> Fact:
    """The fact in the form that all facts are judged in; without a time it happened when it was told."""
    stated = {"awb": told.awb, "quantity": told.quantity}
    goods = {name: value for name, value in stated.items() if value is not None}
    return Fact(
        id=fact.id,
        type=fact.type,
        channel="",
        shop="",
        connection="",
        order="",
        seller=order.seller,
        scope=_scope(order, fact.scope, told),
        occurred_at=fact.occurred_at or given.at,
        approximate=fact.occurred_at is None,
        data=Raw(msgspec.json.encode(goods)) if fact.type in _COURIER else fact.data,
    )


def _scope(order: Order, scope: Scope | None, told: GoodsTold) -> Scope:
    """The package that is named by its id or AWB, or the line. Raises FactInvalid for an unknown one."""
    line = None if scope is None else scope.line
    package = told.package if scope is None or scope.package is None else scope.package
    if line is not None and line not in {each.line for each in order.lines}:
        raise FactInvalid("scope.line", "the order has no such line")
    homes = {part.package for part in active(order) if part.package}
    for held in order.packages:
        if held.id in homes and package in {held.id, held.awb} - {""}:
            return Scope(line=line, package=held.id)
        if package is None and told.awb and held.live and held.awb == told.awb:
            return Scope(line=line, package=held.id)
    if package is not None:
        raise FactInvalid("scope.package", "the order has no such package with goods in it")
    return Scope(line=line)


def _awb_issued(d: SellerDecision) -> e.Disposition:
    """T17a: the AWB of a package that is booked without one; a void one is not taken up again (OM-7)."""
    awb = d.told.awb or ""
    wanted = None if d.fact.scope is None else d.fact.scope.package
    waiting = [
        package
        for package in d.order.packages
        if (wanted is None or package.id == wanted)
        and not package.live
        and any(part.package == package.id and part.value is Fulfilment.BOOKED for part in active(d.order))
    ]
    if not awb:
        raise FactInvalid("data.awb", "name the AWB")
    if not waiting or awb in d.order.void_awbs:
        return d.record(e.Disposition.CONFLICT, d.news, dimension=e.Dimension.GOODS)
    package = waiting[0].id
    lines = tuple(dict.fromkeys(part.line for part in active(d.order) if part.package == package))
    d.emit(e.AwbIssued(at=d.news.at, fact=d.news.ref, package=package, awb=awb, lines=lines))
    return e.Disposition.APPLIED


def _chat(d: SellerDecision, told: ChatTold) -> e.Disposition:
    """T6, AT-5: the result of a message; replaying sends none (AT-6)."""
    at, ref = d.news.at, d.news.ref
    if d.fact.type == "CustomerChatDelivered":
        d.emit(e.CustomerChatDelivered(at=at, fact=ref, chat=told.chat))
    else:
        d.emit(e.CustomerChatFailed(at=at, fact=ref, chat=told.chat, reason=told.reason))
    return e.Disposition.APPLIED


def _stock(d: SellerDecision, told: StockTold) -> e.Disposition:
    """GR-15: what became of the order's claim; no dimension changes."""
    at, ref = d.news.at, d.news.ref
    known = {line.line for line in d.order.lines}
    named = {claimed.line for claimed in told.warehouses} | {short.line for short in told.lines}
    if not named <= known:
        raise FactInvalid("data", "it names a line that the order does not have")
    match d.fact.type:
        case "StockClaimed":
            d.emit(e.StockClaimed(at=at, fact=ref, warehouses=told.warehouses))
        case "StockShort":
            d.emit(e.StockShort(at=at, fact=ref, lines=told.lines))
        case _:
            d.emit(e.StockCovered(at=at, fact=ref))
    return e.Disposition.APPLIED
