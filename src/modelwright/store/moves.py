"""Where a store went, and where it came from: notes in the database itself, and who may still write.

A store that is being moved, or was, refuses writers, so that no look at sealed rows is ever counted in two places. Every
writer takes a shared lock and looks for the note; whoever leaves the note takes the lock alone, after the last writer and
before the next. On SQLite the one lock of all writers does that.

The table is made by the first move and is no part of the schema: older programs need not know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from modelwright.errors import StorageError

if TYPE_CHECKING:
    import sqlalchemy as sa

TABLE = "store_moves"
#: Any number that only we use, for Postgres' advisory lock of writers against moves.
_LOCK = 6_021_970

State = Literal["moving", "moved", "arrived"]


class Note(msgspec.Struct, frozen=True):
    """One move. ``id`` is the same at both ends; ``place`` is the other end as it may be shown; ``at`` is ISO 8601."""

    id: str
    state: State
    place: str
    artifacts: str
    at: str


def refuse_if_moved(connection: sa.Connection, shown: str) -> None:
    """Let the writer of this transaction through, unless the store is being moved or was.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction that writes.
    shown : str
        The address of the store, for the message.

    Raises
    ------
    StorageError
        Saying where it went.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
    for note in read(connection):
        if note.state == "moved":
            raise StorageError(
                f"This store was moved to {note.place} on {note.at[:10]}; it is only read here.",
                where=shown,
                mend="Give the new one with --store, or as store = in modelwright.toml.",
            )
        if note.state == "moving":
            raise StorageError(
                f"This store is being moved to {note.place}.",
                where=shown,
                mend="Wait for it. If the move was killed, give the same command again: it goes on (or: modelwright store move"
                " --cancel).",
            )


def lock_out_writers(connection: sa.Connection) -> None:
    """Wait for writers that are at work, and let no other one begin until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def read(connection: sa.Connection) -> list[Note]:
    """The notes of a store, oldest first."""
    import sqlalchemy as sa

    if connection.dialect.name == "postgresql":
        there = connection.exec_driver_sql(f"SELECT to_regclass('{TABLE}')").scalar()
    else:
        there = connection.exec_driver_sql(f"SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{TABLE}'").scalar()
    if not there:
        return []
    found = connection.execute(sa.text(f"SELECT id, state, place, artifacts, at FROM {TABLE} ORDER BY at, id"))
    return [Note(*row) for row in found]


def leave(connection: sa.Connection, note: Note) -> None:
    """Write a note, or replace the one of the same move."""
    import sqlalchemy as sa

    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS {TABLE} (id VARCHAR(32) NOT NULL, state VARCHAR(10) NOT NULL, place TEXT NOT NULL,"
        " artifacts TEXT NOT NULL, at VARCHAR(40) NOT NULL, PRIMARY KEY (id))"
    )
    values: dict[str, Any] = msgspec.structs.asdict(note)
    connection.execute(sa.text(f"DELETE FROM {TABLE} WHERE id = :id"), {"id": note.id})
    connection.execute(
        sa.text(f"INSERT INTO {TABLE} (id, state, place, artifacts, at) VALUES (:id, :state, :place, :artifacts, :at)"), values
    )


def take_back(connection: sa.Connection, id_: str) -> None:
    """Remove the note of a move that did not take place; writers may then write again."""
    import sqlalchemy as sa

    connection.execute(sa.text(f"DELETE FROM {TABLE} WHERE id = :id"), {"id": id_})


def departure(notes: list[Note]) -> Note | None:
    """The note that says that the store is being moved, or was."""
    return next((note for note in notes if note.state in ("moving", "moved")), None)
