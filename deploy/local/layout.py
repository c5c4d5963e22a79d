"""Where a native stack keeps things: folders, ports and secrets, each chosen once and kept.

A stack is one directory: `data/`, `logs/`, `run/` (one file per process), `ports.json` and `settings.json`.
What every stack can share (the jars of Kafka) lies under `.local/cache`.
"""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
CACHE = LOCAL / "cache"

# Below 32768, where Linux starts to hand out ports to clients: a client that reconnects to a stopped server
# in that range can be given the server's own port, and the server could never bind it again.
FIRST_PORT, LAST_PORT = 20_000, 32_000

Say = Callable[[str], None]


class StackError(RuntimeError):
    """The native stack cannot do what was asked; the message says what to do about it."""


def silent(_text: str) -> None:
    """Say nothing: the default for callers that are not a terminal."""


def default_directory() -> Path:
    """Give the directory that `JEJAK_STACK_DIR` names, else `.local/stack/main`."""
    named = os.environ.get("JEJAK_STACK_DIR")
    return Path(named).expanduser().resolve() if named else LOCAL / "stack" / "main"


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Replace a file in one step: a reader sees the old content or the new, and only whom `mode` lets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named after the process, so that two writers never share a half-written file.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as out:
        json.dump(value, out, indent=1, sort_keys=True)
        out.write("\n")
    fresh.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a file that is missing or broken reads as empty."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel releases it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_answers(port: int) -> bool:
    """Tell whether something accepts connections on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Layout:
    """The folders, ports and secrets of one stack. Creating it creates its directory."""

    def __init__(self, directory: Path | str | None = None) -> None:
        self.directory = Path(directory).resolve() if directory else default_directory()
        self.data = self.directory / "data"
        self.logs = self.directory / "logs"
        self.run = self.directory / "run"
        for folder in (self.directory, self.data, self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        self._ports = self.directory / "ports.json"
        self._settings = self.directory / "settings.json"

    def lock(self) -> Any:
        """Keep other starters and stoppers of this stack out while the context lasts."""
        return locked(self.directory / "stack.lock")

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def port(self, name: str) -> int:
        """Give the port kept for a part; the first call chooses a free one."""
        kept = read_json(self._ports).get(name)
        return kept if isinstance(kept, int) else self._choose(name)

    def free_port(self, name: str) -> int:
        """Give the port on which a stopped part can start: the kept one, unless somebody else took it."""
        port = self.port(name)
        return port if port_is_free(port) else self._choose(name)

    def _choose(self, name: str) -> int:
        ports = read_json(self._ports)
        for _ in range(1000):
            port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
            if port not in ports.values() and port_is_free(port):
                write_json(self._ports, {**ports, name: port})
                return port
        raise StackError(f"No free port between {FIRST_PORT} and {LAST_PORT} for {name}.")

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """Give a generated value (a password, a key, an id): made once, kept where only the owner reads."""
        settings = read_json(self._settings)
        if not isinstance(settings.get(name), str):
            settings[name] = make()
            write_json(self._settings, settings, mode=0o600)
        return str(settings[name])
