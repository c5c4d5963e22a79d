"""Shapes that several public events of an order share; the storage warning of public_events.py holds."""

from msgspec import Struct

from services.orders.order import events as e


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A line as sold; amounts in minor units."""

    line: str
    product: str
    variant: str
    sku: str
    name: str
    quantity: int
    unit_price: int
    discount: int
    warehouse: str | None = None


class GoodsPart(Struct, frozen=True, kw_only=True, gc=False):
    """A quantity of a line that an event is about."""

    line: str
    sku: str
    quantity: int


class Public(Struct, frozen=True, kw_only=True, gc=False):
    """What every public event says: whether the step is concluded from later news (MK-7), and who acted."""

    implied: bool
    actor: str


class Plain(Public, frozen=True, kw_only=True, gc=False):
    """An event whose name says it all."""


class Amount(Public, frozen=True, kw_only=True, gc=False):
    """Money that came in or is due, in minor units of the order's currency."""

    amount: int


def goods_parts(parts: tuple[e.MovedPart, ...]) -> tuple[GoodsPart, ...]:
    return tuple([GoodsPart(line=part.line, sku=part.sku, quantity=part.quantity) for part in parts])


def public_lines(lines: tuple[e.PlacedLine, ...]) -> tuple[Line, ...]:
    return tuple(
        [
            Line(
                line=line.line,
                product=line.product,
                variant=line.variant,
                sku=line.sku,
                name=line.name,
                quantity=line.quantity,
                unit_price=line.unit_price,
                discount=line.discount,
                warehouse=line.warehouse or None,
            )
            for line in lines
        ]
    )
