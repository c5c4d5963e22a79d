"""What may be asked of an order (T1 to T37), and what a decision is given beside the order (CV-4).

Fields are in snake_case, amounts in minor units of the order's currency, times aware. Values that the rules
bound are bounded by the decider, so that every fault of a body is answered together with its code (GR-3).
"""

from typing import Annotated

from msgspec import Meta, Struct

from services.orders.order.words import Actor, Instant, Method, Sealed, TaxMode

# Limits of a command's body; a longer one is a fault of input.
LINES_MAX = 200
Text = Annotated[str, Meta(max_length=500)]
Note = Annotated[str, Meta(max_length=2000)]
Word = Annotated[str, Meta(max_length=128)]
# A code of one of the seller's lists; free text would be data of a buyer (17.1) and is sealed by the door.
Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}$")]


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What every command is: a value without a clock or an id of its own."""


class Recipient(Command, frozen=True, kw_only=True, gc=False):
    """Who receives the goods: all but city and province is data of the buyer and never stored in clear."""

    name: Text = ""
    phone: Word = ""
    email: Text = ""
    address: Text = ""
    district: Word = ""
    city: Word = ""
    province: Word = ""
    postal_code: Word = ""
    note: Note = ""


class NewLine(Command, frozen=True, kw_only=True, gc=False):
    """A line to be sold (OM-5)."""

    quantity: int
    unit_price: int
    sku: Word = ""
    name: Text = ""
    product: Word = ""
    variant: Word = ""
    discount: int = 0
    warehouse: Word = ""


class ScopedPart(Command, frozen=True, kw_only=True, gc=False):
    """A quantity of a line; without a quantity all of it that the command can apply to (GR-7)."""

    line: Word
    quantity: int | None = None


Lines = Annotated[tuple[NewLine, ...], Meta(max_length=LINES_MAX)]
Parts = Annotated[tuple[ScopedPart, ...], Meta(max_length=LINES_MAX)]
Names = Annotated[tuple[Word, ...], Meta(max_length=LINES_MAX)]


class GoodsCommand(Command, frozen=True, kw_only=True, gc=False):
    """A command on packages, or parts with quantities, or all it can apply to (GR-7)."""

    packages: Names = ()
    parts: Parts = ()


class PlaceOrder(Command, frozen=True, kw_only=True, gc=False):
    """T1 Buat pesanan."""

    source: str = "MANUAL"
    payment_method: str = ""
    lines: Lines = ()
    recipient: Recipient = Recipient()
    currency: str = "IDR"
    discount: int = 0
    shipping_fee: int | None = None
    insurance_fee: int = 0
    other_fees: int = 0
    courier: Word = ""
    service: Word = ""
    page: Text = ""
    agent: Word = ""
    # The signed hold (CR-15); the door verifies it and hands what it says in with `Given`.
    hold: Annotated[str, Meta(max_length=65_536)] = ""
    allow_backorder: bool = False


class ConfirmOrder(Command, frozen=True, kw_only=True, gc=False):
    """T2 Konfirmasi Pesanan."""


class UnconfirmOrder(Command, frozen=True, kw_only=True, gc=False):
    """T3 Batalkan Konfirmasi Pesanan."""


class ConfirmPayment(Command, frozen=True, kw_only=True, gc=False):
    """T4 Konfirmasi Pembayaran; without an amount what is outstanding, or what a success brought."""

    amount: int | None = None
    reference: Word = ""


class ReversePayment(Command, frozen=True, kw_only=True, gc=False):
    """T5 Batalkan Konfirmasi Pembayaran; without a receipt the latest one confirmed by hand."""

    receipt: Word = ""


class SendCustomerChat(Command, frozen=True, kw_only=True, gc=False):
    """T6 Kirim Chat Pelanggan: a template or a free text."""

    template: Word = ""
    text: Note = ""


class LineEdit(Command, frozen=True, kw_only=True, gc=False):
    """A change of one line; `quantity` is what is active afterwards, the discount that for all of it."""

    line: Word
    quantity: int | None = None
    unit_price: int | None = None
    discount: int | None = None
    sku: Word | None = None
    name: Text | None = None
    product: Word | None = None
    variant: Word | None = None
    warehouse: Word | None = None


class EditOrder(Command, frozen=True, kw_only=True, gc=False):
    """T7 Ubah Pesanan: only what is named changes (ED-1)."""

    lines: Annotated[tuple[LineEdit, ...], Meta(max_length=LINES_MAX)] = ()
    add_lines: Lines = ()
    remove_lines: Names = ()
    discount: int | None = None
    shipping_fee: int | None = None
    insurance_fee: int | None = None
    other_fees: int | None = None
    courier: Word | None = None
    service: Word | None = None
    payment_method: str | None = None
    recipient: Recipient | None = None
    hold: Annotated[str, Meta(max_length=65_536)] = ""
    allow_backorder: bool = False


class CancelOrder(Command, frozen=True, kw_only=True, gc=False):
    """T8 Batalkan Pesanan, T25 Setujui pembatalan: a reason of the seller's list and who wanted it (CR-1).

    Of a marketplace's order the reason is the marketplace's (AC-08), and `side_effects` names those that the
    caller says yes to (AC-07).
    """

    reason: Code = ""
    by: str = "SELLER"
    side_effects: Names = ()


class ReopenOrder(Command, frozen=True, kw_only=True, gc=False):
    """T9 and T10 Buka Kembali Pesanan; `outcome` says how an open request ended (REFUSED, WITHDRAWN).

    `reason` is the marketplace's, for refusing a request there (AC-08).
    """

    outcome: str = "REFUSED"
    reason: Code = ""
    hold: Annotated[str, Meta(max_length=65_536)] = ""
    allow_backorder: bool = False


class ViewOrder(Command, frozen=True, kw_only=True, gc=False):
    """T11 Lihat Pesanan: no event."""


class ShipOrder(GoodsCommand, frozen=True, kw_only=True, gc=False):
    """T12 Kirim Pesanan; courier and service of these packages where they are not the order's.

    `awb` is that of the seller's own courier, where the seller ships a marketplace's order.
    """

    courier: Word = ""
    service: Word = ""
    awb: Word = ""


class CancelShipment(GoodsCommand, frozen=True, kw_only=True, gc=False):
    """T13 Batalkan Pengiriman."""


class ChangeAgent(Command, frozen=True, kw_only=True, gc=False):
    """T14 Ganti Agen; empty is none (AT-2)."""

    agent: Word | None = None


class TagOrder(Command, frozen=True, kw_only=True, gc=False):
    """T15 Tag."""

    add: Names = ()
    remove: Names = ()


class MarkReady(GoodsCommand, frozen=True, kw_only=True, gc=False):
    """T16 Tandai Siap Dikirim."""


class RequestCancellation(Command, frozen=True, kw_only=True, gc=False):
    """T24 Ajukan pembatalan; without parts for the whole order (CR-4).

    `note` says how the buyer asked; owner and agent must give one (GR-11).
    """

    reason: Code = ""
    parts: Parts = ()
    note: Note = ""


class CompleteOrder(Command, frozen=True, kw_only=True, gc=False):
    """T26 Selesai."""


class CreateBill(Command, frozen=True, kw_only=True, gc=False):
    """T28a Buat tagihan."""


class IssueBill(Command, frozen=True, kw_only=True, gc=False):
    """T28b Terbitkan tagihan."""


class VoidBill(Command, frozen=True, kw_only=True, gc=False):
    """T28d Batalkan tagihan."""


class UnmarkReady(GoodsCommand, frozen=True, kw_only=True, gc=False):
    """T29 Batalkan penyiapan."""


class CancelLines(GoodsCommand, frozen=True, kw_only=True, gc=False):
    """T30 Batalkan sebagian; `accept_request` names the open request, which then does not stop it (T25).

    `reason` and `side_effects` as in CancelOrder.
    """

    reason: Code = ""
    by: str = "SELLER"
    accept_request: bool = False
    side_effects: Names = ()


class RecordExtraReceipt(Command, frozen=True, kw_only=True, gc=False):
    """T31 Catat penerimaan lebih; `claim`: a courier's claim was paid (MO-16)."""

    amount: int
    reference: Word = ""
    claim: bool = False


class RecordRefund(Command, frozen=True, kw_only=True, gc=False):
    """T32 Catat pengembalian dana."""

    amount: int
    reference: Word = ""
    refunded_at: Instant | None = None


class RecordCredit(Command, frozen=True, kw_only=True, gc=False):
    """T33 Catat kredit; 0 with a reason settles the money of lost or returned goods (MO-16)."""

    amount: int
    reason: Text = ""


class OpenReturnCase(Command, frozen=True, kw_only=True, gc=False):
    """T34a Buka kasus retur; without lines for all of them."""

    lines: Names = ()
    reason: Text = ""


class CloseReturnCase(Command, frozen=True, kw_only=True, gc=False):
    """T34b Tutup kasus retur; the open case where none is named, with the units counted."""

    case: Word = ""
    outcome: str = "CLOSED"
    good: int | None = None
    damaged: int | None = None


class HoldOrder(Command, frozen=True, kw_only=True, gc=False):
    """T35a Sisihkan pesanan."""

    reason: Text = ""


class ReleaseOrder(Command, frozen=True, kw_only=True, gc=False):
    """T35b Lepas penahanan."""


class RecordCodRemittance(Command, frozen=True, kw_only=True, gc=False):
    """T36 Catat setoran COD; the package by AWB or id, which an order of one package may leave out."""

    amount: int
    awb: Word = ""
    package: Word = ""
    reference: Word = ""


class StatedPart(Command, frozen=True, kw_only=True, gc=False):
    """What a reading says of a line, or of a quantity of it; `value` is a fulfilment, or CANCELLED."""

    line: Word = ""
    quantity: int | None = None
    value: Word = ""
    package: Word = ""
    awb: Word = ""


class AdoptChannelState(Command, frozen=True, kw_only=True, gc=False):
    """T37 Terima keadaan kanal: what a reading of the marketplace says, with its instant and reference.

    Every line is stated in full. `paid` is the money that the marketplace holds for a PARTLY_PAID order.
    """

    reading: Word = ""
    read_at: Instant | None = None
    reason: Code = ""
    status: Word = ""
    coverage: Word = ""
    paid: int | None = None
    parts: Annotated[tuple[StatedPart, ...], Meta(max_length=LINES_MAX)] = ()


COMMANDS: dict[str, type[Command]] = {
    command.__name__: command
    for command in (
        PlaceOrder,
        ConfirmOrder,
        UnconfirmOrder,
        ConfirmPayment,
        ReversePayment,
        SendCustomerChat,
        EditOrder,
        CancelOrder,
        ReopenOrder,
        ViewOrder,
        ShipOrder,
        CancelShipment,
        ChangeAgent,
        TagOrder,
        MarkReady,
        RequestCancellation,
        CompleteOrder,
        CreateBill,
        IssueBill,
        VoidBill,
        UnmarkReady,
        CancelLines,
        RecordExtraReceipt,
        RecordRefund,
        RecordCredit,
        OpenReturnCase,
        CloseReturnCase,
        HoldOrder,
        ReleaseOrder,
        RecordCodRemittance,
        AdoptChannelState,
    )
}
"""Every command by its name."""


class HeldLine(Struct, frozen=True, kw_only=True, gc=False):
    """What a hold claims of a product in a warehouse; `key` is the SKU, or the product where it has none."""

    key: str
    quantity: int
    warehouse: str = ""


class Hold(Struct, frozen=True, kw_only=True, gc=False):
    """A stock hold whose signature and seller the door has verified (CR-15)."""

    id: str
    lines: tuple[HeldLine, ...]
    expires_at: Instant


class Policies(Struct, frozen=True, kw_only=True, gc=False):
    """The seller's policy values in force (18.3), with their version; days are 24 hours (CV-6)."""

    version: int = 0
    return_window_days: int = 7
    completion_days: int = 7
    after_sale_days: int = 15
    unpaid_lapse_days: int | None = None
    allocate_at_once: bool = True
    hold_on_placement: bool = True
    hold_on_raise: bool = True
    hold_on_reopening: bool = True
    bill_term_days: int = 14
    methods: tuple[Method, ...] = tuple(Method)


class SellerTerms(Struct, frozen=True, kw_only=True, gc=False):
    """What a decision uses of the seller (SR-1, SR-2); the tax rate in basis points."""

    id: str = ""
    code: str = ""
    zone: str = "Asia/Jakarta"
    tax_mode: TaxMode = TaxMode.NONE
    tax_rate: int = 0
    documents_complete: bool = True


class Contact(Struct, frozen=True, kw_only=True, gc=False):
    """Whether the buyer can and may be written to (AT-5)."""

    usable: bool = True
    permitted: bool = True


class Given(Struct, frozen=True, kw_only=True, gc=False):
    """What a decision gets beside order and command (CV-4).

    `ids` are fresh ids that it may use, `proposed_numbers` the next of each series (ORDER, BILL), `buyer` and
    `text` what the door sealed of the recipient and of the free text. What is None is not checked: the door
    has no list of it.
    """

    at: Instant
    actor: Actor = Actor.OWNER
    caller: str = ""
    ids: tuple[str, ...] = ()
    policies: Policies = Policies()
    seller: SellerTerms = SellerTerms()
    hold: Hold | None = None
    proposed_numbers: dict[str, str] = {}
    buyer: Sealed | None = None
    text: Sealed | None = None
    contact: Contact = Contact()
    # Agents of the seller that are active; reasons to cancel by code with their label.
    agents: frozenset[str] | None = None
    reasons: dict[str, str] | None = None
    # Warehouses that each product is linked to, by SKU (or product where a line has no SKU).
    links: dict[str, frozenset[str]] | None = None
    # The buyer of the order was erased, so that it has no recipient (PD-6).
    recipient_gone: bool = False
    # Policies that no longer hold, by the number of their version: those that the order's timers were set by.
    earlier_policies: dict[int, Policies] = {}

    def policies_of(self, version: int) -> Policies:
        """The policies of a version: the one in force, or an earlier one. Raises KeyError if not given."""
        return self.policies if version == self.policies.version else self.earlier_policies[version]
