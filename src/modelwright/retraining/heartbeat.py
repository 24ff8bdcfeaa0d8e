"""Who watches policies at this moment: each scheduler says so in the store, again and again.

A policy that nobody watches does nothing; every command that touches one can therefore ask, and say so.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.errors import StorageError
from modelwright.store.database import Database

if TYPE_CHECKING:
    import sqlalchemy as sa

#: Signs of life that may be missed before a scheduler counts as gone.
MISSED = 3
#: The least that is waited for one: a machine may be busy, and clocks of two machines differ.
LEAST_S = 30.0
_FORGOTTEN = dt.timedelta(days=1)


class Scheduler(msgspec.Struct, frozen=True):
    """A process that watches policies.

    Parameters
    ----------
    host : str
    pid : int
    beat_at : str
        Its last sign of life, in UTC, ISO 8601.
    every_s : float
        Seconds between two of them.
    models : tuple of str
        Models whose policies it watches.
    """

    host: str
    pid: int
    beat_at: str
    every_s: float
    models: tuple[str, ...]

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def beat(
    database: Database,
    home: str,
    models: Iterable[str],
    now: dt.datetime,
    *,
    every_s: float = 15.0,
    host: str | None = None,
    pid: int | None = None,
) -> None:
    """Give a sign of life.

    Parameters
    ----------
    database : Database
    home : str
        Which home, as `runs.index.key_of` names it.
    models : iterable of str
        Models whose policies this process watches.
    now : datetime
    every_s : float, default=15.0
        Seconds until the next sign.
    host, pid : optional
        This process, if not given.
    """
    values = {
        "home": home, "host": host or socket.gethostname(), "pid": pid or os.getpid(), "beat_at": _iso(now),
        "every_s": every_s, "models": msgspec.json.encode(sorted(set(models))).decode(),
    }  # fmt: skip
    with database.writing() as connection:
        _run(
            connection,
            "INSERT INTO schedulers (home, host, pid, beat_at, every_s, models)"
            " VALUES (:home, :host, :pid, :beat_at, :every_s, :models) ON CONFLICT (home, host, pid)"
            " DO UPDATE SET beat_at = excluded.beat_at, every_s = excluded.every_s, models = excluded.models",
            **values,
        )
        _run(connection, "DELETE FROM schedulers WHERE home = :home AND beat_at < :old", home=home, old=_iso(now - _FORGOTTEN))


class Beats:
    """Signs of life from a thread, so that a long check of windows is no silence; a context that leaves at its end.

    Whoever hangs is not alive: the signs cease when `looked` was not called for ``limit_s``.

    Parameters
    ----------
    database : Database
    home : str
    every_s : float, default=15.0
        Seconds between two signs.
    limit_s : float, default=1800.0
        The longest that one look may take.
    """

    def __init__(self, database: Database, home: str, *, every_s: float = 15.0, limit_s: float = 1800.0) -> None:
        self._database, self._home, self._every_s, self._limit_s = database, home, every_s, limit_s
        self._models: tuple[str, ...] = ()
        self._looked = time.monotonic()
        self._ending, self._due = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def __enter__(self) -> Beats:
        self._thread.start()
        return self

    def looked(self, models: Iterable[str]) -> None:
        """Say that policies are looked at now, and of which models."""
        now_watched = tuple(sorted(set(models)))
        changed, self._models, self._looked = now_watched != self._models, now_watched, time.monotonic()
        if changed:
            self._due.set()

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._due.set()
        self._thread.join()
        with suppress(StorageError):  # then the line is out of date by itself
            leave(self._database, self._home)

    def _work(self) -> None:
        while not self._ending.is_set():
            if self._models and time.monotonic() - self._looked < self._limit_s:
                with suppress(StorageError):  # a database that is away for a while: the next sign says that we still live
                    beat(self._database, self._home, self._models, dt.datetime.now(dt.UTC), every_s=self._every_s)
            self._due.wait(self._every_s)
            self._due.clear()


def leave(database: Database, home: str, *, host: str | None = None, pid: int | None = None) -> None:
    """Say that this process watches no more, at an orderly end."""
    with database.writing() as connection:
        _run(
            connection,
            "DELETE FROM schedulers WHERE home = :home AND host = :host AND pid = :pid",
            home=home, host=host or socket.gethostname(), pid=pid or os.getpid(),
        )  # fmt: skip


def alive(database: Database, home: str, now: dt.datetime, *, model: str | None = None) -> list[Scheduler]:
    """Schedulers that live, the one heard of last first.

    Parameters
    ----------
    database : Database
    home : str
    now : datetime
    model : str, optional
        Only those that watch the policy of this model.
    """
    with database.reading() as connection:
        sql = "SELECT host, pid, beat_at, every_s, models FROM schedulers WHERE home = :home ORDER BY beat_at DESC, host, pid"
        rows: list[Any] = list(_run(connection, sql, home=home))
    found = [Scheduler(row[0], row[1], row[2], row[3], tuple(msgspec.json.decode(row[4]))) for row in rows]
    return [each for each in found if _lives(each, now) and (model is None or model in each.models)]


def unwatched(database: Database, home: str, model: str, now: dt.datetime) -> str | None:
    """What to say of a policy that no scheduler watches; None if one does.

    Parameters
    ----------
    database : Database
    home, model : str
    now : datetime
    """
    if alive(database, home, now, model=model):
        return None
    if others := alive(database, home, now):
        return (
            f"No scheduler watches the policy of {model}: {others[0]} watches {', '.join(others[0].models) or 'none'};"
            " start it again so that it reads this one."
        )
    return f"No scheduler watches the policy of {model}; start `modelwright up`."


def _lives(scheduler: Scheduler, now: dt.datetime) -> bool:
    """A sign of life from the future counts as one as long as it is near: clocks differ, and are set."""
    away = abs((now - dt.datetime.fromisoformat(scheduler.beat_at)).total_seconds())
    return away <= max(MISSED * scheduler.every_s, LEAST_S)


def _run(connection: sa.Connection, sql: str, **values: Any) -> sa.CursorResult[Any]:
    import sqlalchemy as sa

    return connection.execute(sa.text(sql), values)


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds")
