"""Detached processes with a log and a record each: started once, recognised later, stopped only when ours.

A record holds the pid and the moment the kernel started it, so that a pid that was given to somebody else
since is neither taken for ours nor killed.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deploy.local.layout import Layout, StackError, read_json, write_json

# Children of this very process: polled, so that one that died does not stay a zombie that looks alive.
_children: dict[int, subprocess.Popen[bytes]] = {}

# In the environment of everything a stack starts, and of what that starts in turn: the stack's directory.
MARK = "JEJAK_STARTED_BY_STACK"

_COLLECT_SECONDS = 2
_LOG_LIMIT_BYTES = 20 * 1024 * 1024


def start_time(pid: int) -> str | None:
    """Give the moment a live process started, in the kernel's words; None when there is no such process."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self").exists() else _start_time_elsewhere(pid)
    # The name in brackets may hold spaces; after it come the state and, as 22nd field, the start in ticks.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        if child is not None:
            child.wait()
        return None
    return fields[19]


def _start_time_elsewhere(pid: int) -> str | None:
    """Ask `ps` where there is no /proc."""
    answer = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None


def _boot() -> str:
    """Name this run of the machine: start times count from its boot."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _record(layout: Layout, name: str) -> Path:
    return layout.run / f"{name}.json"


def running(layout: Layout, name: str) -> int | None:
    """Give the pid of the part if the very process that was started for it still lives."""
    record = read_json(_record(layout, name))
    pid, started = record.get("pid"), record.get("started")
    if not isinstance(pid, int) or not isinstance(started, str) or record.get("boot") != _boot():
        return None
    return pid if start_time(pid) == started else None


def adopt(layout: Layout, name: str, pid: int, *, told: str = "") -> None:
    """Record a live process as the part's own."""
    write_json(_record(layout, name), {"pid": pid, "started": start_time(pid), "boot": _boot(), "told": told})


def told(layout: Layout, name: str) -> str:
    """Give the fingerprint that the part was started with."""
    return str(read_json(_record(layout, name)).get("told", ""))


def fingerprint(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Give a digest of a command and what it is told: another one means that a restart is due."""
    content = json.dumps([list(command), dict(environment)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def spawn(
    layout: Layout,
    name: str,
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    user: tuple[int, int] | None = None,
    told: str = "",
) -> int:
    """Start a part in a session of its own, so that it outlives the terminal; its output goes to its log.

    `user` is the uid and gid to become. The pid comes back at once; readiness is the caller's business.
    """
    log = layout.log(name)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        output.write(f"---- {' '.join(map(str, command))[:200]}\n".encode())
        output.flush()
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**(environment if environment is not None else os.environ), MARK: str(layout.directory)},
            cwd=directory or layout.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
        )
    _children[process.pid] = process
    adopt(layout, name, process.pid, told=told)
    return process.pid


def stop(
    layout: Layout,
    name: str,
    *,
    first: signal.Signals = signal.SIGTERM,
    patience: float = 30,
    kill: bool = False,
) -> bool:
    """End the part and wait until it is gone; True if it was running.

    It is asked with `first` and killed when it is still there after `patience` seconds; `kill` does not ask.
    """
    pid = running(layout, name)
    if pid is not None:
        if not kill:
            with suppress(ProcessLookupError):
                os.kill(pid, first)
            _wait_until_gone(layout, name, pid, patience)
        if running(layout, name) is not None:
            _kill_group(pid)
            if not _wait_until_gone(layout, name, pid, 10):
                raise StackError(f"{name} (pid {pid}) does not die, not even by SIGKILL.")
    _record(layout, name).unlink(missing_ok=True)
    return pid is not None


def stop_all(layout: Layout, names: Sequence[str], *, patience: float) -> None:
    """End several parts at the same time, so that the slowest drain sets the pace and not their sum."""
    found = {name: pid for name in names if (pid := running(layout, name)) is not None}
    for pid in found.values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    for name, pid in found.items():
        _wait_until_gone(layout, name, pid, max(0, deadline - time.monotonic()))
    for name in names:
        stop(layout, name, kill=True)


def sweep(layout: Layout) -> list[int]:
    """Kill what this stack once started and no record names any more (a folder `run/` that was deleted)."""
    mark = f"{MARK}={layout.directory}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(int(folder.name))
                os.kill(int(folder.name), signal.SIGKILL)
    return found


def _kill_group(pid: int) -> None:
    """Kill the process with what it started; it leads its own session, so the group is its own too."""
    with suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def _wait_until_gone(layout: Layout, name: str, pid: int, seconds: float) -> bool:
    """Wait until the process has ended and its pid is free; False when it still runs after `seconds`."""
    deadline = time.monotonic() + seconds
    while running(layout, name) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    # What has ended keeps its pid until its parent has collected it; in some containers nobody ever does.
    deadline = time.monotonic() + _COLLECT_SECONDS
    while _is_listed(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return True


def _is_listed(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def tail(layout: Layout, name: str, lines: int = 25) -> str:
    """Give the last lines of the part's log, for a message that says why it did not start."""
    try:
        text = layout.log(name).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "(no log)"
    width = min(shutil.get_terminal_size((160, 24)).columns, 240)
    return "\n".join(line[:width] for line in text.splitlines()[-lines:])


def failed(layout: Layout, name: str, what: str) -> StackError:
    """Make the error for a part that did not start: what happened, where the log is and how it ends."""
    return StackError(f"{name} {what}. Its log, {layout.log(name)}, ends:\n{tail(layout, name)}")
