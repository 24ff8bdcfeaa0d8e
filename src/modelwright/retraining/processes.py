"""Who works, serves and schedules: a line for each process, with when it was seen last."""

from __future__ import annotations

import datetime as dt
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from modelwright.errors import ModelwrightError
from modelwright.store.database import Database

ProcessKind = Literal["worker", "scheduler", "server", "up"]


class ProcessLine(NamedTuple):
    """A process as it was seen last; ``told`` is what it says of itself."""

    id: str
    kind: str
    host: str
    pid: int
    started: str
    seen: str
    told: str


class Processes:
    """The processes of one home.

    Parameters
    ----------
    database : Database
    home : str
        What the database calls the home.
    clock : callable, optional
        Gives the moment that is written.
    """

    def __init__(
        self, database: Database, home: str, *, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    ) -> None:
        self._database, self._home, self._clock = database, home, clock

    def enter(self, name: str, kind: ProcessKind, told: str = "") -> None:
        """Say that this process begins; it takes the place of those of its kind on this machine that were killed."""
        values = {"host": socket.gethostname(), "pid": os.getpid(), "kind": kind, "told": told}
        killed = [line.id for line in self.lines() if (line.kind, line.host) == (kind, values["host"]) and not _runs(line.pid)]
        with self._database.writing() as connection:
            for each in killed:
                self._do(connection, "DELETE FROM processes WHERE id = :id", id=each)
            self._do(
                connection,
                "INSERT INTO processes (id, home, kind, host, pid, started, seen, told)"
                " VALUES (:id, :home, :kind, :host, :pid, :now, :now, :told) ON CONFLICT (id) DO UPDATE SET home = :home,"
                " kind = :kind, host = :host, pid = :pid, started = :now, seen = :now, told = :told",
                id=name, **values,
            )  # fmt: skip

    def seen(self, name: str) -> None:
        """Say that this process lives."""
        with self._database.writing() as connection:
            self._do(connection, "UPDATE processes SET seen = :now WHERE id = :id", id=name)

    def leave(self, name: str) -> None:
        """Say that this process ends."""
        with self._database.writing() as connection:
            self._do(connection, "DELETE FROM processes WHERE id = :id", id=name)

    def lines(self) -> list[ProcessLine]:
        """All processes of the home, also those that were not seen for long."""
        import sqlalchemy as sa

        wanted = "SELECT id, kind, host, pid, started, seen, told FROM processes WHERE home = :home ORDER BY kind, id"
        with self._database.reading() as connection:
            return [ProcessLine(*row) for row in connection.execute(sa.text(wanted), {"home": self._home})]

    def lives(self, line: ProcessLine, within_s: float) -> bool:
        """Whether a process is there: seen lately, and on this machine running too, for numbers are given again."""
        if (self._clock() - dt.datetime.fromisoformat(line.seen)).total_seconds() > within_s:
            return False
        return line.host != socket.gethostname() or _runs(line.pid)

    def lost(self, kind: ProcessKind, after_s: float) -> list[str]:
        """Processes of other machines that were not seen for so long."""
        here = socket.gethostname()
        return [line.id for line in self.lines() if line.kind == kind and line.host != here and not self.lives(line, after_s)]

    def _do(self, connection: Any, sql: str, **values: Any) -> None:
        import sqlalchemy as sa

        now = self._clock().isoformat(timespec="milliseconds")
        connection.execute(sa.text(sql), {"home": self._home, "now": now, **values})


class Presence:
    """This process among those of its home. A store that refuses is no reason to stop: others then think it gone.

    Parameters
    ----------
    processes : Processes
    name : str
    kind : {"worker", "scheduler", "server", "up"}
    told : str
        What it says of itself.
    every_s : float, default=5.0
        Seconds between its signs of life.
    """

    def __init__(self, processes: Processes, name: str, kind: ProcessKind, told: str = "", *, every_s: float = 5.0) -> None:
        self._processes, self._name, self._kind, self._told, self._every_s = processes, name, kind, told, every_s
        self._last: float | None = None

    def tell(self) -> None:
        """Give a sign of life, if one is due."""
        now = time.monotonic()
        if self._last is not None and now - self._last < self._every_s:
            return
        try:
            if self._last is None:
                self._processes.enter(self._name, self._kind, self._told)
            else:
                self._processes.seen(self._name)
            self._last = now
        except ModelwrightError:
            return

    def end(self) -> None:
        """Say that it is gone."""
        try:
            self._processes.leave(self._name)
        except ModelwrightError:
            return


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
