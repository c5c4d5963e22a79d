"""The machine as it is published (PM-1, PM-3): made of the table, the statuses and the reduced machine alone.

Programs of others read it, so its form is a contract. A change of the machine changes `VERSION` (PM-5): the
number before the point when a state, move or code is taken away or changed, the one behind it otherwise.
"""

from typing import Any

from services.orders.order.channel_actions import CHANNELS, Action
from services.orders.order.channel_actions import VERSION as ACTIONS_VERSION
from services.orders.order.reduced import (
    BUTTONS,
    MOVING_COMMANDS,
    MOVING_FACTS,
    RECORDED_ONLY,
    Moves,
    Reduced,
    enumerate_states,
)
from services.orders.order.refusals import CODES
from services.orders.order.statuses import DIMENSIONS, STATUSES
from services.orders.order.table import COMMANDS, FACTS, CommandRow, FactRow

VERSION = "1.1"

Json = dict[str, Any]


def publication() -> Json:
    """The whole machine as JSON values: the same bytes for the same version."""
    machine = enumerate_states()
    return {
        "version": VERSION,
        "statuses": [
            {
                "number": row.number,
                "code": row.code,
                "indonesian": row.indonesian,
                "dimension": row.dimension,
                "meaning": row.meaning,
            }
            for row in STATUSES
        ],
        "values": {
            dimension: [{"code": value.value, "indonesian": word} for value, word in words.items()]
            for dimension, words in DIMENSIONS.items()
        },
        "commands": [_command(row) for row in COMMANDS.values()],
        "facts": [_fact(row) for row in FACTS.values()],
        "channel_actions": {"version": ACTIONS_VERSION, "channels": [_channel(name) for name in CHANNELS]},
        "refusals": [
            {"code": code.code, "sentence": code.sentence, "http": code.http, "input": code.on_input}
            for code in CODES.values()
        ],
        "reduced": {
            "counts": counts(machine),
            "states": [_state(state, found) for state, found in machine.items()],
        },
    }


def _command(row: CommandRow) -> Json:
    return {
        "name": row.name,
        "numbers": list(row.numbers),
        "events": list(row.events),
        "indonesian": row.indonesian,
        "guards": list(row.guards),
        "inverse": row.inverse,
        "inverses": list(row.inverses),
        "on_channel": row.on_channel.value,
    }


def _channel(name: str) -> Json:
    """What becomes of each action at a marketplace (AC-01)."""
    has = CHANNELS[name]
    return {"channel": name, "actions": {action.value: has.how(action).value for action in Action}}


def _fact(row: FactRow) -> Json:
    """A fact has no guards but this one: where it does not fit it is recorded and changes nothing (GR-8)."""
    return {
        "name": row.name,
        "number": row.number,
        "events": [row.event],
        "indonesian": row.indonesian,
        "guards": [RECORDED_ONLY],
        "inverse": None,
        "sender": row.sender,
        "from": [value.value for value in row.values],
    }


def _state(state: Reduced, found: Moves) -> Json:
    return {
        "state": _plain(state),
        "headline": state.headline,
        "moves": {
            name: {"allowed": False, "code": to}
            if isinstance(to, str)
            else {"allowed": True, "to": [_plain(each) for each in to]}
            for name, to in found.items()
        },
    }


def _plain(state: Reduced) -> Json:
    return {
        "method": state.method.value,
        "order": state.order.value,
        "request": state.request,
        "coverage": state.coverage.value,
        "transaction": state.transaction.value,
        "bill": state.bill.value,
        "fulfilment": state.fulfilment.value,
        "awb": state.awb,
    }


def counts(machine: dict[Reduced, Moves]) -> dict[str, int]:
    """The figures of 16.2 that are sums over the whole machine."""
    triples = [
        (state, to)
        for state, found in machine.items()
        for ends in found.values()
        if not isinstance(ends, str)
        for to in ends
    ]

    def legal(names: tuple[str, ...]) -> int:
        return sum(not isinstance(found[name], str) for found in machine.values() for name in names)

    return {
        "states": len(machine),
        "moves": len(triples),
        "moves_that_change_the_state": sum(state != to for state, to in triples),
        "headlines": len({state.headline for state in machine}),
        "state_button_pairs": len(machine) * len(BUTTONS),
        "legal_state_button_pairs": legal(BUTTONS),
        "state_command_pairs": len(machine) * len(MOVING_COMMANDS),
        "legal_state_command_pairs": legal(MOVING_COMMANDS),
        "state_fact_pairs": len(machine) * len(MOVING_FACTS),
        "state_fact_pairs_that_apply": legal(MOVING_FACTS),
    }


def taken_away(before: Json, now: Json) -> list[str]:
    """One sentence for each state, move or code of a published machine that is gone or other now (PM-5)."""
    said = [
        f"{kind[:-1]} {name} is gone"
        for kind, key in (("statuses", "code"), ("commands", "name"), ("facts", "name"), ("refusals", "code"))
        for name in (row[key] for row in before[kind])
        if name not in {row[key] for row in now[kind]}
    ]
    states = {_key(each["state"]): each["moves"] for each in now["reduced"]["states"]}
    for each in before["reduced"]["states"]:
        key = _key(each["state"])
        if key not in states:
            said.append(f"state {key} is gone")
            continue
        for name, move in each["moves"].items():
            if not _keeps(move, states[key].get(name)):
                said.append(f"in state {key} {name} no longer answers as it did")
    return said


def _key(state: Json) -> str:
    return " ".join(str(value) for value in state.values())


def _keeps(before: Json, now: Json | None) -> bool:
    """Whether a move still answers what it did; it may lead to more states than before, not to fewer."""
    if now is None or before["allowed"] != now["allowed"]:
        return False
    if not before["allowed"]:
        return bool(before["code"] == now["code"])
    return all(to in now["to"] for to in before["to"])
