"""What the demo shows while it runs: a live board in a terminal, plain lines into anything else."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.local.doors import SERVICES, Json
from deploy.local.reconcile import STATUS_FIELDS, Verdict, flags_of

LABELS: Mapping[str, str] = {
    "NEW": "Baru",
    "CONFIRMED": "Dikonfirmasi",
    "PAID": "Dibayar",
    "PARTLY_PAID": "Dibayar Sebagian",
    "READY_TO_SHIP": "Siap Dikirim",
    "CANCELLATION_REQUESTED": "Meminta Pembatalan",
    "CANCELLED": "Dibatalkan",
    "AWAITING_PICKUP": "Menunggu Pengiriman",
    "IN_TRANSIT": "Dalam Pengiriman",
    "DELIVERED": "Terkirim",
    "DELIVERY_PROBLEM": "Kiriman Bermasalah",
    "LOST_OR_DAMAGED": "Paket Hilang/Rusak",
    "RETURNING": "Dalam Pengembalian",
    "RETURNED": "Dikembalikan",
    "AWAITING_PAYMENT": "Menunggu Pembayaran",
    "PAYMENT_IN_PROCESS": "Pembayaran Diproses",
    "PAYMENT_SUCCEEDED": "Pembayaran Selesai",
    "BILL_PENDING": "Tagihan Tertunda",
    "BILL_ISSUED": "Tagihan Diterbitkan",
    "BILL_PAID": "Tagihan Dibayar",
    "COMPLETED": "Selesai",
}
_GOOD = frozenset({"COMPLETED", "DELIVERED", "PAID"})
_BAD = frozenset({"CANCELLED", "DELIVERY_PROBLEM", "LOST_OR_DAMAGED", "RETURNING", "RETURNED"})

LATEST = 10
PLAIN_SECONDS = 5.0
# Differences that are printed; the rest is counted.
DIFFERENCES_MAX = 20
# Width of the report where there is no terminal to ask.
PLAIN_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Flow:
    """How much has gone through a stage since the run began, and how much goes through in a second now."""

    total: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The system at one moment, as its doors tell it."""

    elapsed: float
    phase: str
    run: Json
    flows: Mapping[str, Flow]
    # None: the service did not answer.
    statuses: Mapping[str, Json | None]
    latest: Sequence[Json] = field(default_factory=list)


class Board:
    """Shows snapshots; used as a context, so that the terminal is given back whatever happens."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._last_line = float("-inf")
        self._last_phase = ""

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            self._live = Live(auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Draw the snapshot, or print it as one line every few seconds and when the phase changes."""
        if self._live is not None:
            self._live.update(picture(snapshot), refresh=True)
            return
        due = snapshot.elapsed >= self._last_line + PLAIN_SECONDS
        if due or snapshot.phase != self._last_phase:
            self._last_line, self._last_phase = snapshot.elapsed, snapshot.phase
            print(line(snapshot), flush=True)


def line(snapshot: Snapshot) -> str:
    """The snapshot as one line of plain text."""
    run = snapshot.run
    flows = ", ".join(
        f"{flow.total} {name} ({flow.per_second:.0f}/s)" for name, flow in snapshot.flows.items()
    )
    work = []
    for service, status in snapshot.statuses.items():
        if status is None:
            work.append(f"{service} does not answer")
        elif left := [f"{status[name]} {_words(name)}" for name in STATUS_FIELDS if status.get(name)]:
            work.append(f"{service}: {', '.join(left)}")
    return (
        f"{snapshot.elapsed:4.0f} s  {snapshot.phase}: orders {run['orders']} begun,"
        f" {run.get('orders_ended', '?')} ended; {flows}; {'; '.join(work) or 'nothing left to do'}"
    )


def _words(name: str) -> str:
    return {"lag_records": "lag", "unpublished_events": "unpublished"}.get(name, name)


def picture(snapshot: Snapshot) -> Group:
    """The snapshot as a picture for a terminal."""
    return Group(
        Panel(
            Group(_flow_table(snapshot), _run_text(snapshot.run)),
            title=f"Jejak demo, {snapshot.elapsed:.0f} s: {snapshot.phase}",
            title_align="left",
        ),
        Panel(_service_table(snapshot.statuses), title="What is left to do", title_align="left"),
        Panel(_order_table(snapshot.latest), title="Orders that moved last", title_align="left"),
    )


def _flow_table(snapshot: Snapshot) -> Table:
    table = Table.grid(padding=(0, 3))
    for name, flow in snapshot.flows.items():
        table.add_row(name, f"[bold]{flow.total}[/]", f"{flow.per_second:.1f} a second", style="cyan")
    return table


def _run_text(run: Json) -> Text:
    asked = run.get("orders_asked", "?")
    faults = ", ".join(
        f"{run[name]} {word}" for name, word in _FAULTS.items() if isinstance(run.get(name), int)
    )
    return Text(f"orders: {run['orders']} of {asked} begun, {run.get('orders_ended', '?')} ended; {faults}")


# The counters of a run's pushes that tell what went wrong on purpose.
_FAULTS: Mapping[str, str] = {
    "pushes_lost": "pushes lost",
    "pushes_duplicated": "doubled",
    "pushes_reordered": "out of order",
    "pushes_delayed": "late",
    "pushes_retried": "tried again",
}


def _service_table(statuses: Mapping[str, Json | None]) -> Table:
    table = Table(box=None, padding=(0, 2))
    table.add_column("service")
    for name in STATUS_FIELDS:
        table.add_column(_words(name), justify="right")
    for service in SERVICES:
        status = statuses.get(service)
        if status is None:
            table.add_row(service, "[red]no answer[/]")
        else:
            cells = [status.get(name) for name in STATUS_FIELDS]
            table.add_row(service, *(f"[yellow]{cell}[/]" if cell else str(cell) for cell in cells))
    return table


def _order_table(latest: Sequence[Json]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for name in ("order", "channel", "marketplace number", "status", "flags"):
        table.add_column(name, no_wrap=name != "flags")
    for order in latest:
        headline = str(order["headline"])
        style = "green" if headline in _GOOD else "red" if headline in _BAD else "yellow"
        table.add_row(
            Text(str(order["number"])),
            Text(str(order["channel"])),
            Text(str(order["marketplace_number"])),
            Text(f"{LABELS.get(headline, '?')} ({headline})", style=style),
            Text(", ".join(flags_of(order)), style="dim"),
        )
    return table


# ---- the report


def report(verdict: Verdict, counts: Mapping[str, Any]) -> None:
    """Print what was compared, what differs (a bounded list) and what the run was like."""
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH, no_color=True)
    table = Table(box=None, padding=(0, 2))
    table.add_column("compared")
    table.add_column("expected", justify="right")
    table.add_column("found", justify="right")
    table.add_column("")
    for check in verdict.checks:
        word = Text("agrees", style="green") if check.agrees else Text("DIFFERS", style="bold red")
        table.add_row(check.about, str(check.expected), str(check.found), word)
    console.print(Text("\nWhat is true at the marketplaces, and what Jejak holds:", style="bold"))
    console.print(table)
    console.print(Text("\nWhat the system went through:", style="bold"))
    told = Table(box=None, padding=(0, 2), show_header=False)
    told.add_column()
    told.add_column(justify="right")
    for name, value in counts.items():
        told.add_row(name, str(value))
    console.print(told)
    for name in verdict.unknowable:
        console.print(
            Text(
                f"\n{name} was cancelled unpaid and is not known here: Tokopedia lists paid orders only, so"
                " that nothing tells of it when every push about it is lost."
            )
        )
    if verdict.differences:
        console.print(Text("\nDifferences:", style="bold red"))
    for sentence in verdict.differences[:DIFFERENCES_MAX]:
        console.print(Text(f"  {sentence}"), soft_wrap=True)
    if len(verdict.differences) > DIFFERENCES_MAX:
        console.print(f"  ... and {len(verdict.differences) - DIFFERENCES_MAX} more.")
