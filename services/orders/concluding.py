"""One command on one order: the checks of GR-3 in their order, the decision, and what it would append.

Nothing here has an effect; the doors differ only in how they load and append. The idempotency key (step 3) is
checked by the append itself, before anything else of the command is written: an answer to a key that is taken
is thrown away for the first one.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from libs.runtime.auth import Principal
from libs.runtime.clock import uuid7
from services.orders.action_requests import rows_going_out
from services.orders.answers import Answer, accepted, code_of, refused
from services.orders.buyers import Buyers, SealedBuyer
from services.orders.holds import HoldFalse, HoldKeys
from services.orders.inputs import FIELD_INVALID, Unreadable, read_object
from services.orders.order.allowing import allowed_now
from services.orders.order.commands import Command, Given, Hold
from services.orders.order.decide import decide
from services.orders.order.deciding import Decided, NumberNeeded, Refusal
from services.orders.order.draft import with_faults
from services.orders.order.events import Actor, Event
from services.orders.order.fact import FactInvalid
from services.orders.order.headline import headline
from services.orders.order.input import FieldFault, read_command
from services.orders.order.seller_facts import judge_seller_fact
from services.orders.order.state import Order
from services.orders.order.table import COMMANDS
from services.orders.order.timers import started
from services.orders.order.words import Sealed
from services.orders.recipients import opened, sealed, sealed_text
from services.orders.recorder import NewEvent, OutboxRow, SearchHashes
from services.orders.registry.roles import permitted
from services.orders.reported import is_channels, is_others_package, read_fact, reporter
from services.orders.series import Proposed, Series, series_of
from services.orders.store import encode, seller_order_number
from services.orders.surroundings import SellerTermsReader
from services.orders.timer_rows import timer_rows

# What is asked by the door of facts; which fact it is stands in its body.
FACT: Final = "ReportFact"
# Fresh ids that one decision may use: of lines, receipts, packages, cases.
IDS_PER_DECISION = 8


class OfDraft(Struct, frozen=True):
    """The draft of a placement: its revision, and what it lacks that the placement cannot tell."""

    revision: int
    faults: tuple[FieldFault, ...] = ()


class Asked(Struct, frozen=True, kw_only=True):
    """A command as it came: who asked, of which order, under which key; its body is not read yet.

    `expected` is the sequence that the caller saw (If-Match). `at` is the time of the decision.
    """

    command: str
    order_id: UUID
    caller: Principal
    key: str
    body: bytes
    at: datetime
    expected: int | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    # Whether the caller chose the order's id, so that it is part of what was asked.
    names_order: bool = True
    # Whether it came on a topic, where a buyer's data is sealed (PD-4).
    on_topic: bool = False
    # Only to be told, not to be done: nothing of it may have an effect (ED-3).
    is_preview: bool = False
    # What is wrong with the request's headers; told once the caller is known to be permitted (GR-3).
    header_faults: tuple[FieldFault, ...] = ()
    # The order takes the draft's id; `expected` is then the draft's revision (MN-3).
    draft: OfDraft | None = None

    @property
    def places(self) -> bool:
        return self.command == "PlaceOrder"

    @property
    def caller_name(self) -> str:
        """The caller, unique over all sellers: whose the idempotency key is, and what is kept with events."""
        return f"{self.caller.seller}/{self.caller.id}"

    @property
    def sha256(self) -> bytes:
        """What two requests with one key have in common: command, order and body, however it is spelt."""
        try:
            body = msgspec.json.encode(msgspec.json.decode(self.body or b"{}"), order="sorted")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body = self.body
        order = str(self.order_id) if self.names_order else ""
        return hashlib.sha256(b"\x00".join((self.command.encode(), order.encode(), body))).digest()


class Standing(Struct, frozen=True):
    """An order as it stands, the position of its last event, and the caller that placed it."""

    version: int
    order: Order
    position: int
    placed_by: str = ""


class Concluded(Struct, frozen=True, kw_only=True):
    """What came of a command, and what is to be appended with its answer; nothing when it is not kept.

    Not kept is what GR-3 answers before the key is looked at: no such order, and not permitted.
    """

    answer: Answer
    order_id: UUID
    is_kept: bool = True
    # Every stream that the decision rests on, with the version it was made at.
    streams: dict[UUID, int] = {}
    events: tuple[NewEvent, ...] = ()
    order: Order | None = None
    position: int = 0
    placed_by: str = ""
    search_hashes: tuple[SearchHashes, ...] = ()
    # The action of a marketplace that is to go out with this (MA-2).
    outbox: tuple[OutboxRow, ...] = ()
    timers: tuple[dict[str, Any], ...] = ()
    remove_timers: tuple[int, ...] = ()


class Numbers(Protocol):
    """Gives the next number of a series, for the decision in hand only."""

    async def propose(self, series: Series) -> Proposed: ...


class Decider:
    """Decides commands; the same for every door."""

    def __init__(self, terms: SellerTermsReader, holds: HoldKeys, buyers: Buyers | None = None) -> None:
        self._terms = terms
        self._holds = holds
        self._buyers = buyers

    async def conclude(self, asked: Asked, standing: Standing | None, numbers: Numbers) -> Concluded:
        """What comes of the command on the order as it stands. Raises Transient when the database fails."""
        body, unreadable = self._body(asked)
        stated = body.pop("actor", None)
        actor = _admitted(asked, standing, body, stated)
        if isinstance(actor, Concluded):
            return actor
        if asked.header_faults:
            return replace(_refusal(asked, standing, FIELD_INVALID, asked.header_faults), is_kept=False)
        if asked.expected is not None and asked.expected != _stands_at(asked, standing):
            return _refusal(asked, standing, "SEQUENCE_CONFLICT")
        if unreadable is not None:
            return _refusal(asked, standing, FIELD_INVALID, unreadable.faults)
        if asked.places and standing is not None:
            return _id_taken(asked, standing)
        if asked.command == FACT:
            assert standing is not None, "A fact is about an order that there is."
            return await self._reported(asked, standing, body, actor, numbers)
        command = read_command(asked.command, body)
        if isinstance(command, tuple):
            code = code_of(COMMANDS[asked.command].guards, command)
            return _refusal(asked, standing, code, command)
        try:
            hold = self._hold(asked, command)
        except HoldFalse as false:
            return _refusal(asked, standing, FIELD_INVALID, [FieldFault("hold", FIELD_INVALID, str(false))])
        given = await self._terms.given(
            command,
            asked.caller.seller,
            _given(asked, actor, hold),
            None if standing is None else standing.order,
        )
        return await self._decided(asked, standing, command, given, numbers)

    def barred(self, asked: Asked, standing: Standing | None) -> Answer | None:
        """What GR-3 answers before the key is looked at: no such order, or not permitted; None: neither."""
        body, _ = self._body(asked)
        actor = _admitted(asked, standing, body, body.pop("actor", None))
        return actor.answer if isinstance(actor, Concluded) else None

    async def _reported(
        self, asked: Asked, standing: Standing, body: dict[str, Any], actor: Actor, numbers: Numbers
    ) -> Concluded:
        """A fact is judged, never refused; its door refuses what cannot be read and what is not its own."""
        fact = read_fact(body, asked.causation_id or asked.key)
        if isinstance(fact, tuple):
            return _refusal(asked, standing, FIELD_INVALID, fact)
        if is_channels(standing.order, actor, fact.type):
            return _refusal(asked, standing, "CHANNEL_OWNED")
        order = standing.order
        given = await self._terms.given(None, order.seller, _given(asked, actor, None), order)
        proposed: Proposed | None = None
        try:
            try:
                judged = judge_seller_fact(order, fact, given)
            except NumberNeeded as needed:
                proposed = await numbers.propose(series_of(needed.series, given.seller, asked.at))
                given = replace(given, proposed_numbers={needed.series: proposed.number})
                judged = judge_seller_fact(order, fact, given)
        except FactInvalid as fault:
            return _refusal(
                asked, standing, FIELD_INVALID, [FieldFault(fault.field, FIELD_INVALID, fault.message)]
            )
        decided = Decided(judged.events, judged.order or order)
        concluded = _accepted(asked, standing, decided, proposed, None, given=given)
        answer = concluded.answer
        told = replace(answer, body={**answer.body, "disposition": judged.disposition.value})
        return replace(concluded, answer=told)

    def _body(self, asked: Asked) -> tuple[dict[str, Any], Unreadable | None]:
        try:
            body = read_object(asked.body)
        except Unreadable as fault:
            return {}, fault
        if not asked.on_topic:
            return body, None
        try:
            return opened(self._buyers, body, str(asked.order_id)), None
        except Unreadable as fault:
            return body, fault

    def _hold(self, asked: Asked, command: Command) -> Hold | None:
        token = getattr(command, "hold", "")
        return self._holds.verify(token, asked.caller.seller) if token else None

    async def _decided(
        self, asked: Asked, standing: Standing | None, command: Command, given: Given, numbers: Numbers
    ) -> Concluded:
        order = None if standing is None else standing.order
        proposed: Proposed | None = None
        try:
            found = decide(order, command, given)
        except NumberNeeded as needed:
            proposed = await numbers.propose(series_of(needed.series, given.seller, asked.at))
            given = replace(
                given, proposed_numbers={**given.proposed_numbers, needed.series: proposed.number}
            )
            found = decide(order, command, given)
        if asked.draft is not None:
            found = with_faults(found, asked.draft.faults)
        if isinstance(found, Refusal):
            return _refusal(asked, standing, found.code, found.fields)
        if asked.is_preview:
            return _accepted(asked, standing, found, proposed, None, given=given)
        # Only now, so that no key is made for a person of whom nothing is kept.
        told = await sealed(self._buyers, command, asked.order_id, asked.caller.seller)
        text = await sealed_text(self._buyers, command, asked.order_id, order, asked.caller.seller)
        if told is not None or text is not None:
            given = replace(given, buyer=None if told is None else told.sealed, text=text)
            found = decide(order, command, given)
            assert isinstance(found, Decided), "Sealed data is no ground for a refusal."
        return _accepted(asked, standing, found, proposed, told, given=given)


def _stands_at(asked: Asked, standing: Standing | None) -> int | None:
    """The sequence that If-Match is held against: the order's, of no order yet the draft's, else any."""
    if standing is not None:
        return standing.version
    return asked.expected if asked.draft is None else asked.draft.revision


def _admitted(
    asked: Asked, standing: Standing | None, body: dict[str, Any], stated: Any
) -> Actor | Concluded:
    """Who acts, or the refusal of steps 1 and 2 of GR-3, which is not kept."""
    order = None if standing is None else standing.order
    if not asked.places and (order is None or not _is_callers(asked, order)):
        return Concluded(answer=refused("ORDER_NOT_FOUND"), order_id=asked.order_id, is_kept=False)
    actor = _actor(asked, standing, body, None if stated is None else str(stated))
    if actor is None:
        return replace(_refusal(asked, standing, "NOT_PERMITTED"), is_kept=False)
    return actor


def _actor(asked: Asked, standing: Standing | None, body: dict[str, Any], stated: str | None) -> Actor | None:
    """Who acts, if the caller may have it so (GR-3, step 2); None: NOT_PERMITTED."""
    if asked.command != FACT:
        # Intake vouches for the buyers of the orders that came in through it, and of no others (18.2).
        vouches = asked.caller.role == "INTAKE" and not asked.places
        if vouches and standing is not None and standing.placed_by != asked.caller.stands_as:
            return None
        return permitted(asked.caller, asked.command, stated)
    if standing is not None and is_others_package(asked.caller, standing.order):
        return None
    return reporter(asked.caller, body, stated)


def _is_callers(asked: Asked, order: Order) -> bool:
    """Whether the order is one that the caller may know of (RF-4).

    Inventory belongs to the installation and tells every seller's orders what became of their stock (GR-15).
    """
    if not asked.caller.seller:
        return asked.command == FACT and asked.caller.may("facts:stock")
    return order.seller == asked.caller.seller


def _given(asked: Asked, actor: Actor, hold: Hold | None) -> Given:
    return Given(
        at=asked.at,
        actor=actor,
        caller=asked.caller.stands_as,
        ids=tuple(str(uuid7()) for _ in range(IDS_PER_DECISION)) if asked.places else (),
        hold=hold,
        proposed_numbers={"ORDER": seller_order_number(asked.order_id)} if asked.places else {},
    )


def _accepted(
    asked: Asked,
    standing: Standing | None,
    found: Decided,
    proposed: Proposed | None,
    told: SealedBuyer | None,
    *,
    given: Given,
) -> Concluded:
    version = 0 if standing is None else standing.version
    before = None if standing is None else standing.order
    answer = accepted(
        asked.order_id,
        status=201 if asked.places else 200,
        sequence=found.order.sequence,
        events=[type(event).__name__ for event in found.events],
        headline=headline(found.order),
        allowed=allowed_now(found.order),
    )
    streams = {asked.order_id: version}
    events = new_events(asked, version, found.events)
    if proposed is not None:
        # Before the order's own events, whose last one the answer's position is that of.
        streams[proposed.stream_id] = proposed.version
        events = (proposed.event(asked.order_id, asked.correlation_id, asked.causation_id), *events)
    return Concluded(
        answer=answer,
        order_id=asked.order_id,
        streams=streams,
        events=events,
        order=found.order,
        position=0 if standing is None else standing.position,
        placed_by=asked.caller.stands_as if standing is None else standing.placed_by,
        search_hashes=_hashes(asked.order_id, found.events, told),
        outbox=rows_going_out(
            asked.order_id,
            before,
            found.order,
            correlation=asked.correlation_id,
            causation=asked.causation_id,
            traceparent=asked.traceparent,
        ),
        timers=timer_rows(asked.order_id, started(before, found.order, given.policies_of)),
    )


def _hashes(order_id: UUID, events: Sequence[Event], told: SealedBuyer | None) -> tuple[SearchHashes, ...]:
    """What the order is found by, of what its events keep of the buyer (PD-5)."""
    if told is None:
        return ()
    kept: list[Sealed | None] = [getattr(event, "buyer", None) for event in events]
    return tuple(told.search_hashes(order_id, each) for each in kept if each is not None)


def new_events(asked: Asked, version: int, events: Sequence[Event]) -> tuple[NewEvent, ...]:
    """The events as they are stored, numbered from the version on."""
    stored = []
    for number, event in enumerate(events, version + 1):
        name, state = encode(event)
        stored.append(
            NewEvent(
                asked.order_id,
                number,
                name,
                state,
                asked.correlation_id,
                asked.causation_id,
                asked.traceparent,
            )
        )
    return tuple(stored)


def key_reused(asked: Asked, standing: Standing | None) -> Answer:
    """What a key that was used for something else is answered; `standing` is an order of the caller's."""
    return _refusal(asked, standing, "KEY_REUSED").answer


def _id_taken(asked: Asked, standing: Standing) -> Concluded:
    """A caller chose an id that an order has, whosever it is; nothing of that order is told."""
    fault = FieldFault("order", FIELD_INVALID, "An order of this id exists; choose a new id.")
    return replace(_refusal(asked, None, FIELD_INVALID, [fault]), streams={asked.order_id: standing.version})


def _refusal(
    asked: Asked, standing: Standing | None, code: str, faults: Sequence[FieldFault] = ()
) -> Concluded:
    """A refusal is checked against the order's version like a decision, and kept with the key (GR-2)."""
    order = None if standing is None else standing.order
    answer = refused(
        code,
        order_id=None if order is None else asked.order_id,
        headline=None if order is None else headline(order),
        sequence=None if standing is None else standing.version,
        allowed=[] if order is None else allowed_now(order),
        faults=faults,
    )
    return Concluded(
        answer=answer,
        order_id=asked.order_id,
        streams={asked.order_id: 0 if standing is None else standing.version},
        order=order,
        position=0 if standing is None else standing.position,
        placed_by=asked.caller.stands_as if standing is None else standing.placed_by,
    )
