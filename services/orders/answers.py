"""What a command is answered: success or refusal, as it is kept with its key and as it is shown (RF-1, GR-2).

One form serves HTTP, the answers topic and the repeat of a key. No answer holds data of a buyer: it names
commands, events and fields only.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from libs.runtime.problems import MEDIA_TYPE, Problem
from services.orders.order.input import FieldFault
from services.orders.order.refusals import CODES

PROBLEM: Final = MEDIA_TYPE
JSON: Final = "application/json"
_ENCODER = msgspec.json.Encoder()


class Answer(Struct, frozen=True):
    """An answer without what is known only after its append: the position of its order.

    `order` and `sequence` say which event the position is that of; a refusal shows none.
    """

    status: int
    body: dict[str, Any]
    order: UUID | None = None
    sequence: int = 0

    @property
    def refused(self) -> bool:
        return self.status >= 400

    @property
    def code(self) -> str:
        """The refusal's code, empty when the command was accepted."""
        return str(self.body.get("code", ""))

    def kept(self) -> str:
        """The text that is stored with the command's key."""
        return _ENCODER.encode(self).decode()

    def shown(self, position: int | None = None) -> dict[str, Any]:
        """The object that is answered."""
        if self.refused or position is None:
            return self.body
        return {**self.body, "position": str(position)}


_DECODER = msgspec.json.Decoder(Answer)


def kept_answer(text: str) -> Answer:
    """The answer of a stored text."""
    return _DECODER.decode(text)


def accepted(
    order_id: UUID,
    *,
    status: int,
    sequence: int,
    events: Sequence[str],
    headline: str,
    allowed: Sequence[str],
) -> Answer:
    """What an accepted command is answered; no events: there was nothing to do (GR-4)."""
    body = {
        "order": str(order_id),
        "sequence": sequence,
        "events": list(events),
        "headline": headline,
        "allowed": list(allowed),
    }
    return Answer(status, body, order_id, sequence)


def refused(
    code: str,
    *,
    order_id: UUID | None = None,
    headline: str | None = None,
    sequence: int | None = None,
    allowed: Sequence[str] = (),
    faults: Sequence[FieldFault] = (),
) -> Answer:
    """A refusal with its sentences, what the decision saw, and what is allowed now (RF-1, RF-2)."""
    row = CODES[code]
    status = row.http
    body = {
        "type": f"urn:jejak:problem:{code.lower().replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": row.en,
        "sentence": row.sentence,
        "order": None if order_id is None else str(order_id),
        "headline": headline,
        "sequence": sequence,
        "allowed": list(allowed),
        "fields": [
            {"field": path_of(fault.field), "code": fault.code, "sentence": fault.sentence}
            for fault in faults
        ],
    }
    return Answer(status, body, order_id, sequence or 0)


def refusal_problem(
    code: str, *, headline: str | None = None, sequence: int | None = None, allowed: Sequence[str] = ()
) -> Problem:
    """The refusal of a reading: the same members as that of a command (RF-1)."""
    body = refused(code, headline=headline, sequence=sequence, allowed=allowed).body
    members = {name: body[name] for name in ("sentence", "order", "headline", "sequence", "allowed")}
    return Problem(body["status"], code, body["detail"], **members)


def path_of(field: str) -> str:
    """A field's path as all services write it: lines.0.quantity."""
    return field.replace("[", ".").replace("]", "")


def code_of(command_guards: Sequence[str], faults: Sequence[FieldFault]) -> str:
    """The code of several input faults: the first of the command's row that one of them has, else theirs."""
    given = [fault.code for fault in faults]
    return next((code for code in command_guards if code in given), given[0])
