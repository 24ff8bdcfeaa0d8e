"""The index of runs in the store: what lists are made of, so that ten thousand runs are listed without opening a folder.

The folders are the truth. The index remembers of each the state in which it was read (`stamp`), and `listing` repairs what
differs. Pins say which runs somebody needs; whoever deletes asks within the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelwright.runs.entry import RunEntry
from modelwright.store.database import Database, key_of

if TYPE_CHECKING:
    import sqlalchemy as sa

_COLUMNS = ("home", "run", "name", "kind", "state", "created", "stamp", "entry")
_DECODER = msgspec.json.Decoder(RunEntry)
#: Lines of one INSERT; SQLite takes 32,766 values at most.
_BATCH = 1000


class Indexed(NamedTuple):
    """One line of the index: the entry, and the state of the folder that it was read from."""

    entry: RunEntry
    stamp: str


class Pin(msgspec.Struct, frozen=True):
    """Somebody needs a run to stay: ``holder`` is what points to it, such as "model churn, version 3"."""

    run: str
    holder: str
    why: str = ""


class RunIndex:
    """The runs of one home in a database.

    Parameters
    ----------
    database : Database
    home : str, default=""
        Which home the runs lie in, where several share the database; empty where the database lies in the home.
    of_all_homes : bool, default=False
        Whether pins of other homes hold a run too: they do where runs are published.
    """

    def __init__(self, database: Database, home: str = "", *, of_all_homes: bool = False) -> None:
        self.database = database
        self.home = home
        self.of_all_homes = of_all_homes

    @classmethod
    def of(cls, home: Path, store: str | None = None, *, of_all_homes: bool = False) -> RunIndex:
        """The index of a home.

        Parameters
        ----------
        home : Path
        store : str or None
            URL of the store; None is SQLite in the home.
        of_all_homes : bool, default=False
            As for the class.
        """
        return cls(Database.of(home, store), key_of(home, store), of_all_homes=of_all_homes)

    def put(self, entry: RunEntry, stamp: str) -> None:
        """Enter a run, or replace what is known of it."""
        self.put_all([Indexed(entry, stamp)])

    def put_all(self, lines: Iterable[Indexed]) -> None:
        """Enter runs in one transaction."""
        lines = list(lines)
        if lines:
            with self.database.writing() as connection:
                self._put(connection, lines)

    def remove(self, runs: Iterable[str]) -> None:
        """Forget runs; unknown ones are no error."""
        runs = list(runs)
        if runs:
            with self.database.writing() as connection:
                self._remove(connection, runs)

    def replace_all(self, lines: Iterable[Indexed]) -> None:
        """Forget everything of this home and enter these, in one transaction."""
        import sqlalchemy as sa

        with self.database.writing() as connection:
            connection.execute(sa.text("DELETE FROM runs WHERE home = :home"), {"home": self.home})
            self._put(connection, list(lines))

    def entries(self) -> list[RunEntry]:
        """All runs, newest first."""
        return [line.entry for line in self.lines()]

    def lines(self) -> list[Indexed]:
        """All runs with their stamps, newest first. A line that cannot be read is left out, as if it were not there."""
        import sqlalchemy as sa

        wanted = sa.text("SELECT stamp, entry FROM runs WHERE home = :home ORDER BY created DESC, run DESC")
        with self.database.reading() as connection:
            rows = connection.execute(wanted, {"home": self.home}).fetchall()
        found = []
        for stamp, entry in rows:
            try:
                found.append(Indexed(_DECODER.decode(entry), stamp))
            except msgspec.MsgspecError:
                continue  # of another version, or damaged: the folder tells
        return found

    def pin(self, run: str, holder: str, why: str = "") -> None:
        """Say that a run is needed; the same holder again replaces its reason."""
        import sqlalchemy as sa

        values = {"home": self.home, "run": run, "holder": holder, "why": why}
        with self.database.writing() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO pins (home, run, holder, why) VALUES (:home, :run, :holder, :why)"
                    " ON CONFLICT (home, run, holder) DO UPDATE SET why = excluded.why"
                ),
                values,
            )

    def unpin(self, run: str, holder: str) -> None:
        """Say that this holder needs the run no longer."""
        import sqlalchemy as sa

        with self.database.writing() as connection:
            connection.execute(
                sa.text("DELETE FROM pins WHERE home = :home AND run = :run AND holder = :holder"),
                {"home": self.home, "run": run, "holder": holder},
            )

    def pins(self) -> list[Pin]:
        """Who needs which run."""
        with self.database.reading() as connection:
            return self._pins(connection)

    @contextmanager
    def removing(self) -> Iterator[Removal]:
        """A transaction in which runs are deleted: pins read in it stay as they are until it ends."""
        with self.database.writing() as connection:
            if connection.dialect.name == "postgresql":
                # On SQLite nobody else writes meanwhile; here a pin could come between the look and the deletion.
                connection.exec_driver_sql("LOCK TABLE pins IN SHARE ROW EXCLUSIVE MODE")
            yield Removal(self, connection)

    def _put(self, connection: sa.Connection, lines: list[Indexed]) -> None:
        import sqlalchemy as sa

        places = ", ".join(f":{name}" for name in _COLUMNS)
        changed = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[2:])
        statement = sa.text(
            f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES ({places}) ON CONFLICT (home, run) DO UPDATE SET {changed}"
        )
        for start in range(0, len(lines), _BATCH):
            connection.execute(statement, [self._row(line) for line in lines[start : start + _BATCH]])

    def _row(self, line: Indexed) -> dict[str, Any]:
        entry = line.entry
        return {
            "home": self.home, "run": entry.id, "name": entry.name.replace("\0", ""), "kind": entry.kind, "state": entry.state,
            "created": entry.created, "stamp": line.stamp, "entry": msgspec.json.encode(entry),
        }  # fmt: skip

    def _remove(self, connection: sa.Connection, runs: list[str]) -> None:
        import sqlalchemy as sa

        statement = sa.text("DELETE FROM runs WHERE home = :home AND run = :run")
        connection.execute(statement, [{"home": self.home, "run": run} for run in runs])

    def _pins(self, connection: sa.Connection) -> list[Pin]:
        import sqlalchemy as sa

        homes = "" if self.of_all_homes else "WHERE home = :home "
        wanted = sa.text(f"SELECT run, holder, why FROM pins {homes}ORDER BY run, holder")
        return [Pin(*row) for row in connection.execute(wanted, {} if self.of_all_homes else {"home": self.home})]


class Removal:
    """A deletion under way; see `RunIndex.removing`."""

    def __init__(self, index: RunIndex, connection: sa.Connection) -> None:
        self._index, self._connection = index, connection

    def pins(self) -> list[Pin]:
        """Who needs which run, for as long as this lasts."""
        return self._index._pins(self._connection)

    def remove(self, run: str) -> None:
        """Forget a run."""
        self._index._remove(self._connection, [run])
