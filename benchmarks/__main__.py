"""`make bench`: every row on the same servers in one run, each in an empty database.

Prints a table and writes the same as JSON.

`python -m benchmarks [row ...]` measures some rows only and keeps the others' last figures out of the file.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import psycopg
import uvloop

from benchmarks import append, commands, group_commit, latency, order_list, pipeline, projection, webhook
from benchmarks.servers import BENCH, Servers, empty, running
from libs.runtime.clock import now

# design figures: (ratio to the floor, ratio to the peer, other bars by name of the field and its maximum)
REACH: dict[str, dict[str, float]] = {
    "pipeline": {"ratio_to_floor": 1.0, "ratio_to_peer": 30.0},
    "append": {"ratio_to_floor": 0.85},
    "group_commit": {"ratio_to_floor": 8.0, "p99_ms": -50.0},
    "commands": {"ratio_to_floor": 0.5, "p99_ms": -50.0},
    "webhook": {"ratio_to_floor": 1.5, "p99_ms": -100.0},
    "latency": {"p50_ms": -25.0, "p99_ms": -120.0},
    "projection": {"ratio_to_floor": 0.5, "ratio_to_peer": 50.0},
    "order_list": {"query_ms_max": -50.0, "p99_ms": -100.0},
}
ROWS = {
    "pipeline": pipeline.measure,
    "append": append.measure,
    "group_commit": group_commit.measure,
    "commands": commands.measure,
    "webhook": webhook.measure,
    "latency": latency.measure,
    "projection": projection.measure,
    "order_list": order_list.measure,
}


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "measured_at": now().isoformat(),
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "python": sys.version.split()[0],
        "system": platform.system(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def settings(servers: Servers) -> dict[str, str]:
    """The settings of PostgreSQL that the figures depend on."""
    names = ("server_version", "fsync", "synchronous_commit", "shared_buffers", "max_wal_size")
    with psycopg.connect(servers.database) as connection:
        return {
            name: str((connection.execute(f"SHOW {name}".encode()).fetchone() or ("",))[0]) for name in names
        }


def verdict(name: str, row: dict[str, Any]) -> str:
    """Whether the row reaches its bars; a negative bar is a maximum."""
    missed = [
        field for field, bar in REACH[name].items() if (row[field] < bar if bar > 0 else row[field] > -bar)
    ]
    return "reached" if not missed else f"missed: {', '.join(missed)}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", choices=[*ROWS, []], help="rows to measure; all when none is named"
    )
    chosen = parser.parse_args().rows or list(ROWS)
    BENCH.mkdir(parents=True, exist_ok=True)
    with running() as servers:
        report: dict[str, Any] = {"machine": machine(), "settings": settings(servers), "rows": {}}
        for name in chosen:
            print(f"measuring {name} ...", flush=True)
            empty(servers)
            report["rows"][name] = uvloop.run(ROWS[name](servers))
            # A row that fails does not take the others' figures with it.
            (BENCH / "latest.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    _print(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    print(
        f"\n{'row':14}{'ours':>10}{'floor':>10}{'peer':>8}{'/floor':>9}{'/peer':>8}{'p50':>8}{'p99':>8}  unit"
    )
    for name, row in report["rows"].items():
        cells = [row.get("ours"), row.get("floor"), row.get("peer"), row.get("ratio_to_floor"),
                 row.get("ratio_to_peer"), row.get("p50_ms"), row.get("p99_ms")]  # fmt: skip
        texts = ["-" if cell is None else f"{cell:,}" for cell in cells]
        widths = (10, 10, 8, 9, 8, 8, 8)
        line = "".join(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))
        print(f"{name:14}{line}  {row['unit']}; {verdict(name, row)}")
    print(f"\nwritten to {BENCH / 'latest.json'}")


if __name__ == "__main__":
    sys.exit(main())
