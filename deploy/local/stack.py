"""A real Kafka and a real PostgreSQL on loopback, in a directory of their own, for all that needs them."""

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from deploy.local.kafka import Kafka, answers
from deploy.local.layout import Layout, Say, StackError, silent
from deploy.local.postgres import Postgres


class NativeStack:
    """The two servers of one directory; `with NativeStack(directory) as stack` runs them for the block.

    Starting what runs changes nothing, starting after a kill finds the data again. `kafka` or `database`,
    when given, name servers that somebody else runs: they are used and never started, stopped or killed.
    """

    def __init__(
        self,
        directory: Path | str | None = None,
        *,
        kafka: str | None = None,
        database: str | None = None,
        say: Say = silent,
    ) -> None:
        self.layout = Layout(directory)
        self._say = say
        self._kafka_elsewhere = kafka
        self._database_elsewhere = database
        self._kafka = Kafka(self.layout, say)
        self._postgres = Postgres(self.layout, say)

    @property
    def kafka(self) -> str:
        """Give the broker's address, `127.0.0.1:port`; it holds once the broker has started."""
        return self._kafka_elsewhere or self._kafka.address

    @property
    def database(self) -> str:
        """Give the database's URL, password included; it holds once the server has started."""
        return self._database_elsewhere or self._postgres.url

    @property
    def processes(self) -> dict[str, int]:
        """Give the pids of the servers that this stack runs itself and that live."""
        found = {part.name: part.pid for part in (self._kafka, self._postgres)}
        return {name: pid for name, pid in found.items() if pid is not None}

    def start(self) -> None:
        """Start both servers, at the same time, and return when both answer."""
        with self.layout.lock():
            if self._kafka_elsewhere is None:
                self._kafka.launch()
            self._start_postgres()
            self._wait_for_kafka()

    def start_kafka(self) -> None:
        """Start the broker if it is not running; return when it answers."""
        with self.layout.lock():
            if self._kafka_elsewhere is None:
                self._kafka.launch()
            self._wait_for_kafka()

    def start_postgres(self) -> None:
        """Start the database server if it is not running; return when it answers."""
        with self.layout.lock():
            self._start_postgres()

    def _start_postgres(self) -> None:
        if self._database_elsewhere is None:
            self._postgres.launch()
            self._postgres.wait()
            return
        try:
            with psycopg.connect(self._database_elsewhere, connect_timeout=10) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as failure:
            raise StackError(f"DATABASE_URL names a server that does not answer: {failure}") from failure

    def _wait_for_kafka(self) -> None:
        if self._kafka_elsewhere is None:
            self._kafka.wait()
        elif not answers(self._kafka_elsewhere):
            raise StackError(f"KAFKA_BOOTSTRAP_SERVERS names {self._kafka_elsewhere}, which does not answer.")

    def stop_kafka(self, *, kill: bool = False) -> None:
        """Stop the broker in order, or kill it as a crash would."""
        self._own(self._kafka_elsewhere, "Kafka")
        with self.layout.lock():
            self._kafka.stop(kill=kill)

    def stop_postgres(self, *, kill: bool = False) -> None:
        """Stop the database server in order, or kill it as a crash would."""
        self._own(self._database_elsewhere, "PostgreSQL")
        with self.layout.lock():
            self._postgres.stop(kill=kill)

    def _own(self, elsewhere: str | None, what: str) -> None:
        if elsewhere is not None:
            raise StackError(f"This {what} belongs to somebody else and is not ours to stop.")

    def stop(self) -> None:
        """Stop what this stack runs; what it was only lent stays."""
        with self.layout.lock():
            self._kafka.stop()
            self._postgres.stop()

    def remove(self) -> None:
        """Stop and delete everything, data included."""
        self.stop()
        self._postgres.remove()
        shutil.rmtree(self.layout.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
