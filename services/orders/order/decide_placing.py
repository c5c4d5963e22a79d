"""Placing an order (T1): what it needs, and the stock hold that it carries (CR-15)."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from services.orders.order import events as e
from services.orders.order import money
from services.orders.order.commands import Given, Hold, NewLine, PlaceOrder, Recipient
from services.orders.order.deciding import (
    AMOUNT_MAX,
    QUANTITY_MAX,
    Decided,
    Refusal,
    number_of,
    said,
    total_faults,
    wrong,
)
from services.orders.order.input import FieldFault
from services.orders.order.model import Status
from services.orders.order.phone import international
from services.orders.order.state import evolve
from services.orders.order.table import Situation, first_refusal

SOURCES = frozenset({"LANDING_PAGE", "STOREFRONT", "PRIVATE_ORDER", "MANUAL"})
# Orders of sellers are in rupiah (CV-2).
CURRENCY = "IDR"


def place(command: PlaceOrder, given: Given) -> Decided | Refusal:
    """T1: the order as NEW, or the first code of its row with every faulty field. Raises NumberNeeded."""
    faults = _faults(command, given)
    unknown = [fault for fault in faults if fault.code == "FIELD_INVALID"]
    if unknown:
        return Refusal("FIELD_INVALID", tuple(faults))
    raised = {fault.code for fault in faults}
    covered = covers(given.hold, wanted_of(command.lines), given)
    if not covered and given.policies.hold_on_placement and not command.allow_backorder:
        raised.add("STOCK_NOT_AVAILABLE")
    placed = None
    if not faults:
        placed = _placed(command, given, covered=covered)
        if placed.total < 1:
            raised.add("TOTAL_NOT_POSITIVE")
        faults = total_faults(placed.total)
        raised |= {fault.code for fault in faults}
    situation = Situation(method=e.Method.TRANSFER, status=Status.NEW)
    code = first_refusal("PlaceOrder", situation, raised)
    if code is not None or placed is None:
        return Refusal(code or "FIELD_INVALID", tuple(faults))
    return Decided((placed,), evolve(None, placed))


def _faults(command: PlaceOrder, given: Given) -> list[FieldFault]:
    found: list[FieldFault] = []
    if command.source not in SOURCES:
        found.append(wrong("source", f"The source is one of {', '.join(sorted(SOURCES))}."))
    if command.currency != CURRENCY:
        found.append(wrong("currency", "Orders of sellers are in IDR."))
    if command.agent and given.agents is not None and command.agent not in given.agents:
        found.append(wrong("agent", "There is no such active agent of this seller."))
    found += new_line_faults(command.lines, "lines")
    if not command.lines:
        found.append(wrong("lines", "Name at least one product.", "NO_LINES"))
    for field in ("discount", "shipping_fee", "insurance_fee", "other_fees"):
        found += fee_faults(field, getattr(command, field))
    found += link_faults(command.lines, given, "lines")
    found += recipient_faults(command.recipient)
    for field in ("courier", "service"):
        if not getattr(command, field):
            found.append(wrong(field, "Choose it first.", "SHIPPING_INCOMPLETE"))
    if not command.recipient.city:
        found.append(wrong("recipient.city", "Name the destination.", "SHIPPING_INCOMPLETE"))
    if command.shipping_fee is None:
        found.append(wrong("shipping_fee", "Name it, 0 for free shipping.", "SHIPPING_INCOMPLETE"))
    found += method_faults(command.payment_method, given)
    return found


def method_faults(method: str, given: Given) -> list[FieldFault]:
    offered = [each.value for each in given.policies.methods]
    if method in offered:
        return []
    return [wrong("payment_method", f"The seller offers {', '.join(offered)}.", "METHOD_UNKNOWN")]


def recipient_faults(recipient: Recipient) -> list[FieldFault]:
    return [
        wrong(f"recipient.{field}", "Name it.", "CUSTOMER_INCOMPLETE")
        for field in ("name", "phone", "address")
        if not getattr(recipient, field).strip()
    ] + phone_faults(recipient)


def phone_faults(recipient: Recipient) -> list[FieldFault]:
    """MN-6."""
    if not recipient.phone.strip() or international(recipient.phone) is not None:
        return []
    return [wrong("recipient.phone", "It is no phone number; write it as +62 and the rest.")]


def fee_faults(field: str, amount: int | None) -> list[FieldFault]:
    if amount is None or 0 <= amount <= AMOUNT_MAX:
        return []
    return [wrong(field, "It must be whole rupiah, from 0 to 10^12.", "PRICE_INVALID")]


def new_line_faults(lines: Iterable[NewLine], path: str) -> list[FieldFault]:
    found: list[FieldFault] = []
    for position, line in enumerate(lines):
        at = f"{path}[{position}]"
        if not (line.sku or line.product):
            found.append(wrong(f"{at}.sku", "Name the SKU or the product."))
        if not line.name.strip():
            found.append(wrong(f"{at}.name", "Name the product as it is sold."))
        found += amounts_faults(at, line.quantity, line.unit_price, line.discount, ordered=line.quantity)
    return found


def amounts_faults(at: str, quantity: int, price: int, discount: int, *, ordered: int) -> list[FieldFault]:
    """OM-5: quantity, price, and a discount of at most what it reduces."""
    found: list[FieldFault] = []
    if not 1 <= quantity <= QUANTITY_MAX:
        found.append(
            wrong(f"{at}.quantity", "It must be a whole number from 1 to 1,000,000.", "QUANTITY_INVALID")
        )
    if not 0 <= price <= AMOUNT_MAX:
        found.append(wrong(f"{at}.unit_price", "It must be whole rupiah, from 0 to 10^12.", "PRICE_INVALID"))
    elif not 0 <= discount <= price * max(0, ordered):
        found.append(wrong(f"{at}.discount", "It must be from 0 to price times quantity.", "PRICE_INVALID"))
    return found


def link_faults(lines: Iterable[NewLine], given: Given, path: str) -> list[FieldFault]:
    """MN-3: each line names a product linked to the warehouse it names, or to any."""
    return [
        fault
        for position, line in enumerate(lines)
        for fault in link_fault(line, given, f"{path}[{position}]")
    ]


def link_fault(line: NewLine | e.PlacedLine, given: Given, at: str) -> list[FieldFault]:
    """The same of one line, which stands at this place; none where the door has no list of links."""
    if given.links is None:
        return []
    linked = given.links.get(line.sku or line.product, frozenset())
    if linked and (not line.warehouse or line.warehouse in linked):
        return []
    return [wrong(at, "Link the product to the warehouse first.", "NO_LINKED_PRODUCT")]


def wanted_of(lines: Iterable[NewLine]) -> dict[str, int]:
    """The units of each product, by SKU."""
    wanted: dict[str, int] = {}
    for line in lines:
        key = line.sku or line.product
        wanted[key] = wanted.get(key, 0) + line.quantity
    return wanted


def covers(hold: Hold | None, wanted: Mapping[str, int], given: Given) -> bool:
    """Whether a hold is still running and covers every unit (CR-15)."""
    if hold is None or hold.expires_at <= given.at:
        return False
    held: dict[str, int] = {}
    for line in hold.lines:
        held[line.key] = held.get(line.key, 0) + line.quantity
    return all(held.get(key, 0) >= quantity for key, quantity in wanted.items())


def warehouse_of(hold: Hold | None, key: str, chosen: str) -> str:
    """CR-15: the hold's warehouse becomes the line's."""
    if hold is None:
        return chosen
    told = [line.warehouse for line in hold.lines if line.key == key and line.warehouse]
    return chosen if chosen in told or not told else told[0]


def _placed(command: PlaceOrder, given: Given, *, covered: bool) -> e.OrderPlaced:
    number = number_of(given, "ORDER")
    hold = given.hold if covered else None
    agent = command.agent
    # MN-5: an agent who makes an order by hand becomes its agent.
    if not agent and command.source == "MANUAL" and given.actor is e.Actor.AGENT:
        agent = given.caller
    placed = e.OrderPlaced(
        **said(given),
        number=number,
        source=command.source,
        seller=given.seller.id,
        channel="",
        site="",
        shop="",
        connection="",
        marketplace_number="",
        payment_method=e.Method(command.payment_method),
        currency=command.currency,
        total=0,
        lines=tuple(
            placed_line(line, str(position), hold) for position, line in enumerate(command.lines, start=1)
        ),
        discount=command.discount,
        shipping_fee=command.shipping_fee or 0,
        insurance_fee=command.insurance_fee,
        other_fees=command.other_fees,
        city=command.recipient.city,
        province=command.recipient.province,
        courier=command.courier,
        service=command.service,
        page="" if command.source == "MANUAL" else command.page,
        agent=agent,
        tax_mode=given.seller.tax_mode,
        tax_rate=given.seller.tax_rate,
        # Where the hold is waived the claim follows from the event, so nothing is known to be short.
        backorder=not covered and given.policies.hold_on_placement,
        hold="" if hold is None else hold.id,
        buyer=given.buyer,
    )
    return with_total(placed)


def with_total(placed: e.OrderPlaced) -> e.OrderPlaced:
    """The placement with its total by MO-3."""
    return replace(placed, total=money.total(evolve(None, placed)))


def placed_line(line: NewLine, name: str, hold: Hold | None) -> e.PlacedLine:
    return e.PlacedLine(
        line=name,
        quantity=line.quantity,
        unit_price=line.unit_price,
        discount=line.discount,
        product=line.product,
        variant=line.variant,
        sku=line.sku,
        name=line.name,
        warehouse=warehouse_of(hold, line.sku or line.product, line.warehouse),
    )
