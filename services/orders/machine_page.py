"""docs/order-machine.md: the machine for people, made of the publication alone so that it cannot differ."""

from collections.abc import Iterable, Iterator

from services.orders.order.publication import Json
from services.orders.order.reduced import ALWAYS_LEGAL, BUTTONS, MOVING_COMMANDS

# The dimensions that are drawn, and what each diagram leaves out: cancelling resets all of them at once.
_DRAWN = {
    "order": ("NEW", frozenset[str]()),
    "fulfilment": ("NOT_STARTED", frozenset({"CancelOrder"})),
    "coverage": ("UNPAID", frozenset[str]()),
    "transaction": ("NONE", frozenset({"CancelOrder"})),
    "bill": ("NONE", frozenset({"CancelOrder"})),
}
_ABOUT = {
    "order": "An open request to cancel lies over NEW or CONFIRMED and is drawn with its own two arrows.",
    "fulfilment": "Of one package. CancelOrder leaves no active part, so it is not drawn.",
    "coverage": "Of COD orders only CompleteOrder moves it.",
    "transaction": "GATEWAY orders only. CancelOrder closes or allocates what is open.",
    "bill": "INVOICE orders only. CancelOrder voids the bill.",
}

_HEAD = """\
# The order machine

<!-- Made by `python -m services.orders machine --write`; `make check` fails when it is stale. -->

Version {version}. This is the one table that decides: commands are refused by it, the API's `allowed` reads
it, and this page is made from it. `python -m services.orders machine --json` and `GET /v1/order-machine` give
it whole, the same as [order-machine.json](order-machine.json): statuses, values, commands, facts, refusals,
and every state of the reduced machine (an order with one line and one package) with every move.

A state or move taken away, or a code changed, makes a new first number of the version; any other change a new
second one.
"""
_DIAGRAMS = """\
## Diagrams

One per dimension, drawn from the moves of the reduced machine. An arrow stands where at least one state
allows it; the consequences of money and bills are among them.
"""
_MATRIX = """\
Y = allowed in every reachable state with that headline, c = in some, `.` = in none.
{always} are allowed in all and left out.
"""
_COMMANDS = """\
## Commands

The refusals are checked from left to right; the first that applies is the answer. The last column says what
the command does on an order that a marketplace owns: LOCAL as here, ACTION asks the marketplace for it, OWNED
is refused `CHANNEL_OWNED`.
"""
_ACTIONS = """\
## Actions at marketplaces

Version {version} of the table. SENT asks the marketplace; LOCAL is a step of ours, where the marketplace has
none such; MISSING is refused `ACTION_NOT_SUPPORTED`. Which command becomes which: [commands.md](commands.md).
"""
_FACTS = """\
## Facts

A fact is never refused: where it does not fit it is recorded and changes nothing (`RECORDED_ONLY`).
"""


def page(machine: Json) -> str:
    """The whole page."""
    return "\n".join(
        [
            _HEAD.format(version=machine["version"]),
            *_statuses(machine),
            *_diagrams(machine),
            *_matrix(machine, "The buttons by headline", BUTTONS),
            *_matrix(machine, "Further commands by headline", MOVING_COMMANDS[len(BUTTONS) :]),
            *_commands(machine),
            *_channel_actions(machine),
            *_facts(machine),
            *_counts(machine),
            *_refusals(machine),
        ]
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    titles = list(head)
    return [
        f"| {' | '.join(titles)} |",
        f"|{'---|' * len(titles)}",
        *[f"| {' | '.join(row)} |" for row in rows],
        "",
    ]


def _codes(codes: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


def _statuses(machine: Json) -> list[str]:
    rows = [
        (str(row["number"]), row["indonesian"], f"`{row['code']}`", row["dimension"], row["meaning"])
        for row in machine["statuses"]
    ]
    return ["## The 21 statuses", "", *_table(("#", "status", "code", "dimension", "meaning"), rows)]


def _edges(machine: Json, dimension: str, without: frozenset[str]) -> dict[tuple[str, str], list[str]]:
    """Which commands and facts move a dimension from one value to another, in the order of the table."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, before, after in _steps(machine):
        if before[dimension] == after[dimension] or name in without:
            continue
        names = found.setdefault((before[dimension], after[dimension]), [])
        if name not in names:
            names.append(name)
    order = [row["name"] for row in (*machine["commands"], *machine["facts"])]
    values = [value["code"] for value in machine["values"][dimension]]
    return {
        edge: sorted(names, key=order.index)
        for edge, names in sorted(
            found.items(), key=lambda item: (values.index(item[0][0]), values.index(item[0][1]))
        )
    }


def _steps(machine: Json) -> Iterator[tuple[str, Json, Json]]:
    for each in machine["reduced"]["states"]:
        for name, move in each["moves"].items():
            for to in move.get("to", ()):
                yield name, each["state"], to


def _diagrams(machine: Json) -> list[str]:
    said = [_DIAGRAMS]
    for dimension, (start, without) in _DRAWN.items():
        said += [f"### {dimension}", "", _ABOUT[dimension], "", "```mermaid", "stateDiagram-v2"]
        said.append(f"    [*] --> {start}: PlaceOrder")
        said += [
            f"    {before} --> {after}: {', '.join(names)}"
            for (before, after), names in _edges(machine, dimension, without).items()
        ]
        if dimension == "order":
            said.append("    LIVE: NEW or CONFIRMED")
            said.append("    REQUESTED: NEW or CONFIRMED, request open")
            said += [f"    {line}" for line in _request_edges(machine)]
        said += ["```", ""]
    return said


def _request_edges(machine: Json) -> list[str]:
    opened: dict[str, None] = {}
    closed: dict[str, None] = {}
    for name, before, after in _steps(machine):
        if before["request"] and not after["request"] and after["order"] != "CANCELLED":
            closed[name] = None
        if after["request"] and not before["request"]:
            opened[name] = None
    return [f"LIVE --> REQUESTED: {', '.join(opened)}", f"REQUESTED --> LIVE: {', '.join(closed)}"]


def _matrix(machine: Json, title: str, names: Iterable[str]) -> list[str]:
    """Y: in every reachable state with the headline; c: in some; `.`: in none (5)."""
    shown = [name for name in names if name not in ALWAYS_LEGAL]
    answers: dict[tuple[str, str], set[bool]] = {}
    for each in machine["reduced"]["states"]:
        for name in shown:
            answers.setdefault((each["headline"], name), set()).add(each["moves"][name]["allowed"])
    signs = {(True,): "Y", (False,): ".", (False, True): "c"}
    rows = [
        (row["indonesian"], *[signs[tuple(sorted(answers[row["code"], name]))] for name in shown])
        for row in machine["statuses"]
    ]
    return [
        f"## {title}",
        "",
        _MATRIX.format(always=", ".join(ALWAYS_LEGAL)),
        *_table(("headline", *[f"`{name}`" for name in shown]), rows),
    ]


def _commands(machine: Json) -> list[str]:
    rows = [
        (
            ", ".join(row["numbers"]),
            f"`{row['name']}`",
            row["indonesian"],
            _codes(row["events"]) or "none",
            _codes(row["guards"]) or "none",
            _codes(row["inverses"]) or "none",
            row["on_channel"],
        )
        for row in machine["commands"]
    ]
    return [
        _COMMANDS,
        *_table(
            ("rule", "command", "Indonesian", "event", "refusals in order", "inverse", "marketplace order"),
            rows,
        ),
    ]


def _channel_actions(machine: Json) -> list[str]:
    channels = machine["channel_actions"]["channels"]
    rows = [
        (f"`{action}`", *[each["actions"][action] for each in channels]) for action in channels[0]["actions"]
    ]
    said = _ACTIONS.format(version=machine["channel_actions"]["version"])
    return [said, *_table(("action", *[each["channel"] for each in channels]), rows)]


def _facts(machine: Json) -> list[str]:
    rows = [
        (
            row["number"],
            f"`{row['name']}`",
            row["indonesian"],
            row["sender"],
            _codes(row["from"]) or "not about goods",
        )
        for row in machine["facts"]
    ]
    return [
        _FACTS,
        *_table(("rule", "fact", "Indonesian", "reported by", "a part's value before"), rows),
    ]


def _counts(machine: Json) -> list[str]:
    rows = [(name.replace("_", " "), f"{value:,}") for name, value in machine["reduced"]["counts"].items()]
    return ["## The reduced machine in figures", "", *_table(("figure", "value"), rows)]


def _refusals(machine: Json) -> list[str]:
    rows = [
        (f"`{row['code']}`", str(row["http"]), row["sentence"]["en"], row["sentence"]["id"])
        for row in machine["refusals"]
    ]
    return ["## Refusals", "", *_table(("code", "HTTP", "English", "Indonesian"), rows)]
