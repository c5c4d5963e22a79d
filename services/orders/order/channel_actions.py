"""Which actions each marketplace has, as data (AC-01, section 15 of the channels page).

An action is sent to the marketplace, or it is a local step of ours, or the marketplace has none such: then
the command that would become one is refused at once (MA-1). How one is carried out is no concern of this.
"""

from enum import StrEnum

from msgspec import Struct


class Action(StrEnum):
    """What orders may ask a marketplace to do with an order; `read_order` is asked for beside these."""

    ACCEPT = "accept"
    REJECT = "reject"
    PACK = "pack"
    READY_TO_SHIP = "ready_to_ship"
    CONFIRM_SHIPPING = "confirm_shipping"
    UNDO_SHIPMENT = "undo_shipment"
    CANCEL = "cancel"
    ACCEPT_CANCELLATION = "accept_cancellation"
    REFUSE_CANCELLATION = "refuse_cancellation"


class How(StrEnum):
    """What becomes of an action at a channel."""

    SENT = "SENT"
    LOCAL = "LOCAL"
    MISSING = "MISSING"


class SideEffect(StrEnum):
    """What a cancellation does beyond what was asked, which the caller must say yes to (AC-07)."""

    WHOLE_PACKAGE = "WHOLE_PACKAGE"
    STOCK_TO_ZERO = "STOCK_TO_ZERO"


class ChannelActions(Struct, frozen=True, kw_only=True):
    """The actions of one channel; what is in neither set it does not have.

    `reasons` are the only ones that it takes to reject or cancel, or None where its list is read freshly for
    each order (AC-08). `stock_to_zero` are the reasons that set the stock of the SKU to 0 there.
    """

    sent: frozenset[Action] = frozenset()
    local: frozenset[Action] = frozenset()
    # Rejecting an order that is not accepted yet is the same call as cancelling it.
    rejects_by_cancelling: bool = False
    # It cancels and rejects orders only whole, so that single lines cannot be taken out.
    cancels_whole_orders_only: bool = False
    # Cancelling one packed line cancels its whole package.
    cancels_whole_packages: bool = False
    # An AWB of the seller's own courier comes with the name of that courier.
    needs_courier_with_awb: bool = False
    needs_reason_to_refuse: bool = False
    reasons: frozenset[str] | None = None
    stock_to_zero: frozenset[str] = frozenset()

    def how(self, action: Action) -> How:
        """What becomes of the action here."""
        if action in self.sent:
            return How.SENT
        return How.LOCAL if action in self.local else How.MISSING


# A change of the table is a new version, as a change of the machine is (PM-5).
VERSION = 1

_ANSWERS = {Action.ACCEPT_CANCELLATION, Action.REFUSE_CANCELLATION}

CHANNELS: dict[str, ChannelActions] = {
    "lazada": ChannelActions(
        sent=frozenset(
            {Action.PACK, Action.READY_TO_SHIP, Action.UNDO_SHIPMENT, Action.CANCEL, *_ANSWERS},
        ),
        local=frozenset({Action.ACCEPT}),
        rejects_by_cancelling=True,
        cancels_whole_packages=True,
        # Out of stock and wrong price, as Lazada's own page numbers them; the numbers differ per country, so
        # whoever carries the action out asks again where the freshly read list names such a reason.
        stock_to_zero=frozenset({"10000021", "10000023"}),
    ),
    "tokopedia": ChannelActions(
        sent=frozenset(
            {
                Action.ACCEPT,
                Action.REJECT,
                Action.READY_TO_SHIP,
                Action.CONFIRM_SHIPPING,
                Action.CANCEL,
                *_ANSWERS,
            }
        ),
        local=frozenset({Action.PACK}),
        # Its rejection is of an order; taking out single lines is another call, which is no action of ours.
        cancels_whole_orders_only=True,
        reasons=frozenset(str(code) for code in range(9)),
    ),
    "tiktok": ChannelActions(
        sent=frozenset({Action.READY_TO_SHIP, Action.CONFIRM_SHIPPING, Action.CANCEL, *_ANSWERS}),
        local=frozenset({Action.ACCEPT, Action.PACK}),
        rejects_by_cancelling=True,
        cancels_whole_orders_only=True,
        needs_courier_with_awb=True,
        needs_reason_to_refuse=True,
    ),
}

_NONE = ChannelActions()


def actions_of(channel: str) -> ChannelActions:
    """The actions of a channel; one that the table does not name, such as another connector's, has none."""
    return CHANNELS.get(channel, _NONE)
