"""What the doors of the registry answer, for the OpenAPI document: shapes with a literal example each."""

from datetime import date, datetime
from typing import Any, Final, Literal

from pydantic import Field, JsonValue

from libs.runtime.openapi import Answer, Answers, Described


class BankAccountShape(Answer):
    """An account of the seller that is shown to a buyer who pays by transfer."""

    bank: str
    number: str
    holder: str


class PaymentMethodsShape(Answer):
    """How the seller may be paid."""

    methods: list[Literal["COD", "TRANSFER", "GATEWAY", "INVOICE"]]
    bank_accounts: list[BankAccountShape]


class SellerShape(PaymentMethodsShape):
    """The seller; of its tax number only the last digits are shown."""

    id: str
    code: str
    name: str
    address: str
    zone: str
    """The name of an IANA zone."""
    tax_mode: Literal["NONE", "EXCLUSIVE", "INCLUSIVE"]
    tax_rate_basis_points: int
    npwp: str | None
    documents: Literal["COMPLETE", "INCOMPLETE"]


class PersonShape(Answer):
    """Somebody who works or has worked for the seller."""

    id: str
    name: str
    role: str
    active: bool


class PoliciesShape(Answer):
    """The policies in force and the number of their version; 0 is the defaults."""

    version: int = Field(ge=0)


class HolidayShape(Answer):
    """A day on which nobody need answer."""

    day: date
    name: str


class CalendarShape(Answer):
    """The holidays in force and the number of their version; 0 is none."""

    version: int = Field(ge=0)
    days: list[HolidayShape]


class VersionShape(Answer):
    """One recorded version, who recorded it and when."""

    version: int
    author: str
    at: datetime


class TagShape(Answer):
    """A tag to choose from."""

    id: str
    tag: str


class ReasonShape(Answer):
    """A reason to cancel; who gives it, and whether it is still offered."""

    code: str
    label: str
    given_by: str
    active: bool


class FirstSeen(Answer):
    """Where and when a customer was first seen."""

    source: str
    shop: str | None
    at: datetime


class CustomerShape(Answer):
    """A customer by the id of its buyer, without contact data."""

    buyer: str
    category: str
    first_seen: FirstSeen


class CategoryShape(Answer):
    """A category of customers."""

    code: str
    label: str


class KeyShape(Answer):
    """A key; it is shown itself only in the answer that makes it, and there once."""

    id: str
    name: str
    role: str
    scopes: list[str]


class ChangeShape(Answer):
    """Who changed what in the registry."""

    subject: str
    id: str
    change: str
    caller: str
    role: str | None
    before: JsonValue
    after: JsonValue
    at: datetime


class TokenShape(Answer):
    """A short-lived signed token."""

    token: str
    token_type: Literal["Bearer"]
    expires_at: datetime
    caller: str
    seller: str
    scopes: list[str]


class KeySet(Answer):
    """Public keys (RFC 7517)."""

    keys: list[dict[str, JsonValue]]


class PeoplePage(Answer):
    """A page of people; `next` is the cursor of the next page, null on the last."""

    items: list[PersonShape]
    next: str | None


class VersionPage(Answer):
    """A page of versions; `next` is the cursor of the next page, null on the last."""

    items: list[VersionShape]
    next: str | None


class TagPage(Answer):
    """A page of tags; `next` is the cursor of the next page, null on the last."""

    items: list[TagShape]
    next: str | None


class ReasonPage(Answer):
    """All reasons; `next` is null."""

    items: list[ReasonShape]
    next: str | None


class CustomerPage(Answer):
    """A page of customers; `next` is the cursor of the next page, null on the last."""

    items: list[CustomerShape]
    next: str | None


class CategoryPage(Answer):
    """All categories; `next` is null."""

    items: list[CategoryShape]
    next: str | None


class KeyPage(Answer):
    """A page of keys; `next` is the cursor of the next page, null on the last."""

    items: list[KeyShape]
    next: str | None


class ChangePage(Answer):
    """A page of changes; `next` is the cursor of the next page, null on the last."""

    items: list[ChangeShape]
    next: str | None


_ID: Final = "0199f2d4-6f43-7b52-9a07-3f5a3b0c8d11"
_SELLER_ID: Final = "0f6e1b8e-2f5d-5c1a-9a57-3f1f0f6e1b8e"
_AT: Final = "2026-03-05T07:00:00Z"
METHODS: Final[dict[str, Any]] = {
    "methods": ["COD", "TRANSFER"],
    "bank_accounts": [{"bank": "BCA", "number": "0123456789", "holder": "Toko Teh"}],
}
SELLER: Final[dict[str, Any]] = {
    "id": _SELLER_ID,
    "code": "TEH",
    "name": "Toko Teh",
    "address": "Bandung",
    "zone": "Asia/Jakarta",
    "tax_mode": "INCLUSIVE",
    "tax_rate_basis_points": 1_100,
    "npwp": "************0000",
    "documents": "COMPLETE",
    **METHODS,
}
PERSON: Final[dict[str, Any]] = {"id": _ID, "name": "Agen 1", "role": "AGENT", "active": True}
POLICIES: Final[dict[str, Any]] = {"version": 1, "return_window_days": 7, "automatic_completion_days": 7}
CALENDAR: Final[dict[str, Any]] = {"version": 1, "days": [{"day": "2026-08-17", "name": "Kemerdekaan"}]}
VERSION: Final[dict[str, Any]] = {"version": 1, "author": "owner", "at": _AT}
TAG: Final[dict[str, Any]] = {"id": _ID, "tag": "hadiah"}
REASON: Final[dict[str, Any]] = {
    "code": "OUT_OF_STOCK",
    "label": "Stok habis",
    "given_by": "SELLER",
    "active": True,
}
CUSTOMER: Final[dict[str, Any]] = {
    "buyer": "01f3a9",
    "category": "CUSTOMER",
    "first_seen": {"source": "LANDING_PAGE", "shop": None, "at": _AT},
}
CATEGORY: Final[dict[str, Any]] = {"code": "RESELLER", "label": "Reseller"}
KEY: Final[dict[str, Any]] = {"id": _ID, "name": "kasir", "role": "AGENT", "scopes": ["orders:read"]}
CHANGE: Final[dict[str, Any]] = {
    "subject": "tag",
    "id": _ID,
    "change": "deleted",
    "caller": "owner",
    "role": "OWNER",
    "before": {"tag": "hadiah"},
    "after": None,
    "at": _AT,
}
TOKEN: Final[dict[str, Any]] = {
    "token": "eyJ...",
    "token_type": "Bearer",
    "expires_at": _AT,
    "caller": "kasir",
    "seller": _SELLER_ID,
    "role": "AGENT",
    "scopes": ["orders:read"],
}


def _page(example: dict[str, Any]) -> dict[str, Any]:
    return {"items": [example], "next": None}


_SELLER = Described(model=SellerShape, example=SELLER, about="The seller.")
_PERSON = Described(model=PersonShape, example=PERSON, about="The person.")
_POLICIES = Described(model=PoliciesShape, example=POLICIES, about="The policies in force.")
_CALENDAR = Described(model=CalendarShape, example=CALENDAR, about="The holidays in force.")
_VERSIONS = Described(model=VersionPage, example=_page(VERSION), about="A page of versions.")
_METHODS = Described(model=PaymentMethodsShape, example=METHODS, about="The payment methods.")
_TAG = Described(model=TagShape, example=TAG, about="The tag.")
_REASON = Described(model=ReasonShape, example=REASON, about="The reason.")
_CUSTOMER = Described(model=CustomerShape, example=CUSTOMER, about="The customer.")
_KEY = Described(model=KeyShape, example=KEY, about="The key.")

_SHOWN: Final[Answers] = {
    "POST /v1/sellers": _SELLER,
    "GET /v1/seller": _SELLER,
    "PATCH /v1/seller": _SELLER,
    "GET /v1/seller/history": Described(model=ChangePage, example=_page(CHANGE), about="A page of changes."),
    "GET /v1/seller/people": Described(model=PeoplePage, example=_page(PERSON), about="A page of people."),
    "POST /v1/seller/people": _PERSON,
    "PATCH /v1/seller/people/{person}": _PERSON,
    "GET /v1/seller/policies": _POLICIES,
    "PUT /v1/seller/policies": _POLICIES,
    "GET /v1/seller/policies/versions": _VERSIONS,
    "GET /v1/seller/calendars": _CALENDAR,
    "PUT /v1/seller/calendars": _CALENDAR,
    "GET /v1/seller/calendars/versions": _VERSIONS,
    "GET /v1/seller/payment-methods": _METHODS,
    "PUT /v1/seller/payment-methods": _METHODS,
    "GET /v1/seller/tags": Described(model=TagPage, example=_page(TAG), about="A page of tags."),
    "POST /v1/seller/tags": _TAG,
    "PATCH /v1/seller/tags/{tag}": _TAG,
    "DELETE /v1/seller/tags/{tag}": _TAG,
    "GET /v1/seller/reasons": Described(model=ReasonPage, example=_page(REASON), about="All reasons."),
    "POST /v1/seller/reasons": _REASON,
    "PATCH /v1/seller/reasons/{code}": _REASON,
    "GET /v1/seller/customers": Described(
        model=CustomerPage, example=_page(CUSTOMER), about="A page of customers."
    ),
    "GET /v1/seller/customers/{customer}": _CUSTOMER,
    "PATCH /v1/seller/customers/{customer}": _CUSTOMER,
    "GET /v1/seller/customer-categories": Described(
        model=CategoryPage, example=_page(CATEGORY), about="All categories."
    ),
    "POST /v1/seller/customer-categories": Described(
        model=CategoryShape, example=CATEGORY, about="The category."
    ),
    "GET /v1/seller/keys": Described(model=KeyPage, example=_page(KEY), about="A page of keys."),
    "POST /v1/seller/keys": _KEY,
    "DELETE /v1/seller/keys/{key_id}": _KEY,
    "POST /v1/tokens": Described(model=TokenShape, example=TOKEN, about="The token."),
    "GET /.well-known/jwks.json": Described(model=KeySet, example={"keys": []}, about="The public keys."),
}
_ASKED: Final[dict[str, Any]] = {
    "POST /v1/sellers": {
        "code": "TEH",
        "name": "Toko Teh",
        "address": "Bandung",
        "zone": "Asia/Jakarta",
        "payment_methods": METHODS["methods"],
        "bank_accounts": METHODS["bank_accounts"],
        "owner": {"name": "Pemilik"},
    },
    "PATCH /v1/seller": {"name": "Toko Teh", "address": "Bandung"},
    "POST /v1/seller/people": {"name": "Agen 1", "role": "AGENT"},
    "PATCH /v1/seller/people/{person}": {"active": False},
    "PUT /v1/seller/policies": {"return_window_days": 7, "unpaid_lapses_days": 3},
    "PUT /v1/seller/calendars": {"days": CALENDAR["days"]},
    "PUT /v1/seller/payment-methods": METHODS,
    "POST /v1/seller/tags": {"tag": "hadiah"},
    "PATCH /v1/seller/tags/{tag}": {"tag": "hadiah besar"},
    "POST /v1/seller/reasons": {"code": "WRONG_PRICE", "label": "Harga salah", "given_by": "SELLER"},
    "PATCH /v1/seller/reasons/{code}": {"active": False},
    "PATCH /v1/seller/customers/{customer}": {"category": "RESELLER"},
    "POST /v1/seller/customer-categories": {"code": "GROSIR", "label": "Grosir"},
    "POST /v1/seller/keys": {"name": "kasir", "role": "AGENT", "scopes": ["orders:read"], "days": 90},
    "POST /v1/tokens": {"scopes": ["orders:read"], "seconds": 300},
}

REGISTRY_ANSWERS: Final[Answers] = {
    door: answer.model_copy(update={"asked": _ASKED.get(door)}) for door, answer in _SHOWN.items()
}
"""`<METHOD> <path template>` -> what the door takes and answers."""
