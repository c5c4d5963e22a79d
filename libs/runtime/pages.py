"""Lists in pages: a limit, an opaque cursor, and the answer {"items", "next"}."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Query

from libs.runtime.problems import field_problem

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
CURSOR_CHARACTERS_MAX = 1_000

T = TypeVar("T")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page that is asked for."""

    limit: int
    cursor: str

    def after(self, kind: type[T]) -> T | None:
        """What the cursor stands for: the mark of the last row of the page before; None on the first page.

        Raises the Problem 422 when the cursor is not one that `cursor_of` made of this kind.
        """
        if not self.cursor:
            return None
        try:
            padded = self.cursor + "=" * (-len(self.cursor) % 4)
            return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
        except (binascii.Error, msgspec.MsgspecError, ValueError):
            raise field_problem(
                "cursor", "INVALID_CURSOR", "The cursor is not one that this list has given."
            ) from None


# A coroutine is called on the loop itself; a plain function would cost a thread per request.
async def _page_request(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many items at most")] = LIMIT_DEFAULT,
    cursor: Annotated[
        str, Query(max_length=CURSOR_CHARACTERS_MAX, description="`next` of the page before")
    ] = "",
) -> PageRequest:
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(_page_request)]


def cursor_of(mark: Any) -> str:
    """An opaque cursor that stands for the mark: a number, a text, or a tuple of them."""
    return base64.urlsafe_b64encode(msgspec.json.encode(mark)).decode().rstrip("=")


def page(items: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    """The answer of every list; `next` is null on the last page."""
    return {"items": items, "next": next_cursor}


def cut(rows: Sequence[Row], limit: int, mark: Callable[[Row], Any]) -> tuple[Sequence[Row], str | None]:
    """The rows of a page and the next one's cursor, of rows that were read with `limit + 1`."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], cursor_of(mark(rows[limit - 1]))
