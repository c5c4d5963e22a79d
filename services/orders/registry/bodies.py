"""The bodies that the registry's routes take: shapes and sizes only; what values mean is the model's."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from services.orders.registry.keys import DAYS_DEFAULT
from services.orders.registry.model import (
    BANK_ACCOUNTS_MAX,
    CALENDAR_DAYS_MAX,
    PaymentMethod,
    TaxMode,
)

# Letters of any script in one line: no control character, so none that PostgreSQL cannot keep.
Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"),
]
# Lines of an address.
Lines = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]+$"
    ),
]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Body(BaseModel):
    """A body; a name that it does not know is refused, since it would be meant and not done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self) -> dict[str, Any]:
        """The fields that the sender gave; one that is null is not given."""
        return {name: value for name in self.model_fields_set if (value := getattr(self, name)) is not None}


class OwnerBody(Body):
    """The first owner of a seller."""

    name: Line
    id: Word | None = None


class AccountBody(Body):
    """A bank account that buyers transfer to."""

    bank: Line
    number: Annotated[str, StringConstraints(pattern=r"^[0-9][0-9 .\-]{2,39}$")]
    holder: Line


class SellerBody(Body):
    """A seller to register."""

    id: Word | None = None
    code: Word
    name: Line
    address: Lines
    zone: Word = "Asia/Jakarta"
    tax_mode: TaxMode = TaxMode.NONE
    tax_rate_basis_points: StrictInt = 0
    npwp: Word | None = None
    payment_methods: Annotated[list[PaymentMethod], Field(max_length=len(PaymentMethod))] = [
        PaymentMethod.COD
    ]
    bank_accounts: Annotated[list[AccountBody], Field(max_length=BANK_ACCOUNTS_MAX)] = []
    owner: OwnerBody


class SellerChangeBody(Body):
    """Fields of the seller to change; those left out stay."""

    code: Word | None = None
    name: Line | None = None
    address: Lines | None = None
    zone: Word | None = None
    tax_mode: TaxMode | None = None
    tax_rate_basis_points: StrictInt | None = None
    npwp: Word | None = None


class PersonBody(Body):
    """Somebody who is taken on."""

    name: Line
    role: Word = "AGENT"


class PersonChangeBody(Body):
    """What changes of a person."""

    name: Line | None = None
    role: Word | None = None
    active: StrictBool | None = None


class TagBody(Body):
    """A tag for the list."""

    tag: Annotated[str, StringConstraints(max_length=200)]


class ReasonBody(Body):
    """A reason to cancel."""

    code: Word
    label: Line
    given_by: Word
    active: StrictBool = True


class ReasonChangeBody(Body):
    """What changes of a reason; its code does not."""

    label: Line | None = None
    given_by: Word | None = None
    active: StrictBool | None = None


class HoldNeededBody(Body):
    """For which cases a signed hold is needed (CR-15)."""

    landing_page: StrictBool = True
    storefront: StrictBool = True
    private_order: StrictBool = True
    manual: StrictBool = True
    raised_quantity: StrictBool = True
    reopening: StrictBool = True


class PoliciesBody(Body):
    """All policies, whole: one left out has its default (18.3)."""

    return_window_days: StrictInt = 7
    automatic_completion_days: StrictInt = 7
    after_sale_window_days: StrictInt = 15
    unpaid_lapses_days: StrictInt | None = None
    payment_allocation: Word = "AT_ONCE"
    hold_needed: HoldNeededBody = HoldNeededBody()
    bill_term_days: StrictInt = 14
    buyer_link_days: StrictInt = 30
    negotiation_rounds: StrictInt = 6
    negotiation_answer_business_days: StrictInt = 3
    negotiation_minimum: StrictInt = 0
    negotiation_applying: Word = "AT_ONCE"


class HolidayBody(Body):
    """A day on which nobody need answer."""

    day: date
    name: Line


class CalendarBody(Body):
    """All holidays, whole."""

    days: Annotated[list[HolidayBody], Field(max_length=CALENDAR_DAYS_MAX)]


class MethodsBody(Body):
    """The payment methods that the seller offers from now on, and no others."""

    methods: Annotated[list[PaymentMethod], Field(max_length=2 * len(PaymentMethod))]
    bank_accounts: Annotated[list[AccountBody], Field(max_length=BANK_ACCOUNTS_MAX)] = []


class CategoryBody(Body):
    """A customer category of the seller's own."""

    code: Word
    label: Line


class CustomerBody(Body):
    """The category that a customer has from now on."""

    category: Word


class KeyBody(Body):
    """A key to make; without scopes it gets all that its role may hold."""

    name: Line
    role: Word
    scopes: Annotated[list[Word], Field(max_length=32)] = []
    stands_for: Word | None = None
    days: StrictInt = DAYS_DEFAULT


class TokenBody(Body):
    """A token to sign; without scopes it carries those of the key."""

    scopes: Annotated[list[Word], Field(max_length=64)] = []
    seconds: Annotated[StrictInt, Field(ge=10, le=900)] = 300
