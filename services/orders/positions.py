"""Positions as callers hold them (LS-5): opaque tokens, and readings that have at least one of them."""

import asyncio
from typing import Annotated, Final

from fastapi import Depends, Query

from libs.runtime.postgres import AsyncPool, transient_faults
from libs.runtime.problems import Problem, field_problem

# How long a read waits for what follows the store to have a position.
POSITION_SECONDS_MAX: Final = 3.0
POSITION_DIGITS_MAX: Final = 18
_POLL_SECONDS: Final = (0.005, 0.01, 0.02, 0.05)
_STORED: Final = b"SELECT max(position) FROM orders.events"
_FOLLOWED: Final = b"SELECT position FROM orders.followers WHERE name = %s"


def position_in(token: str, field: str) -> int:
    """The position that a token stands for; raises the Problem 422 when it is not one that was given."""
    if not (token.isascii() and token.isdecimal()) or len(token) > POSITION_DIGITS_MAX:
        raise field_problem(
            field, "FIELD_INVALID", "Not a position that an answer has given; leave it out to begin."
        )
    return int(token)


# A coroutine is called on the loop itself; a plain function would cost a thread per request.
async def _at_least(
    min_position: Annotated[
        str,
        Query(max_length=200, description="`position` of an earlier answer: the answer has at least that"),
    ] = "",
) -> int:
    return position_in(min_position, "min_position") if min_position else 0


# What `min_position` asks for; 0: nothing.
AtLeast = Annotated[int, Depends(_at_least)]


async def stored(pool: AsyncPool, position: int) -> None:
    """Return if the store has this position, for readings of the store itself; else raise the Problem 503."""
    if position and await _at(pool, _STORED) < position:
        raise _not_there_yet()


async def followed(pool: AsyncPool, follower: str, position: int) -> None:
    """Return when this follower of the store has the position; raise the Problem 503 if not within 3 s."""
    if not position:
        return
    deadline = asyncio.get_running_loop().time() + POSITION_SECONDS_MAX
    tries = 0
    while await _at(pool, _FOLLOWED, follower) < position:
        if asyncio.get_running_loop().time() >= deadline:
            raise _not_there_yet()
        await asyncio.sleep(_POLL_SECONDS[min(tries, len(_POLL_SECONDS) - 1)])
        tries += 1


async def _at(pool: AsyncPool, statement: bytes, *values: str) -> int:
    async with transient_faults(), pool.connection() as connection:
        found = await (await connection.execute(statement, values, prepare=True)).fetchone()
    return 0 if found is None else int(found[0] or 0)


def _not_there_yet() -> Problem:
    sentence = "The position is not there yet; try again, or read the order itself."
    return Problem(503, "POSITION_NOT_REACHED", sentence, headers={"Retry-After": "1"})
