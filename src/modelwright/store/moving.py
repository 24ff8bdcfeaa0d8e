"""A database moved to another one of either kind: frozen, copied in one transaction, compared, and only then left.

::

    1  source   note "moving": writers are refused from here on
    2  target   every row, every row compared, note "arrived": one transaction
    3  source   note "moved"

Killed before 2 is committed the target is empty and the source frozen; killed after it both notes have the same number.
The same command then goes on where it was. An error before 2 is committed takes the note of 1 back.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from modelwright.errors import InvalidInputError, StorageError
from modelwright.store import moves
from modelwright.store.copying import Change, Copied, copy_rows, count_rows, digests
from modelwright.store.database import Database
from modelwright.store.moves import Note


@dataclass(frozen=True)
class DatabaseMoved:
    """What went: tables with their rows and digests, tables that stayed because the target's schema lacks them.

    ``already`` says that everything had been moved before; ``aside`` is where an earlier state of the target lies now.
    """

    tables: list[Copied]
    stayed: list[str] = field(default_factory=list)
    already: bool = False
    aside: str = ""


def move_database(
    source: Database,
    target: Database,
    *,
    at: str,
    change: Change = dict,
    artifacts: str = "",
    frozen: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda _: None,
) -> DatabaseMoved:
    """Move everything from one database to another.

    Parameters
    ----------
    source, target : Database
    at : str
        When (ISO 8601).
    change : callable, optional
        From a row of the source to the row of the target.
    artifacts : str
        Where the run folders went, for the note.
    frozen : callable, optional
        Is called when nobody writes to the source any more; an error in it ends the move.
    tell : callable, optional
        Is told what is being done.

    Raises
    ------
    InvalidInputError
        If the target holds something else, or the source went elsewhere.
    StorageError
        If either database fails, or a row came back otherwise than it was written. The source is then as it was.
    """
    _refuse_other_databases(target)
    aside = _set_aside(source, target)
    note = _begin(source, Note(uuid.uuid4().hex, "moving", _place(target), artifacts, at))
    at_commit: list[bool] = []
    here: Note | None = None
    try:
        with target.reading() as connection:
            notes = moves.read(connection)
        if any(each.id == note.id and each.state != "arrived" for each in notes):
            raise InvalidInputError("Source and target are the same.", where=target.shown, mend="Give another address.")
        here = next((each for each in notes if each.id == note.id), None)
        if here is None:
            if note.state == "moved":
                raise InvalidInputError(
                    f"The store was moved to {note.place} on {note.at[:10]}, and is not there any more.",
                    where=source.shown,
                    mend="Move it from there, or restore it.",
                )
            _refuse_rows(target)
            frozen()
            tables, stayed = _copy(source, target, note, change, tell, at_commit)
        else:
            tables, stayed = _compared(source, target, change, strict=note.state == "moving"), []
    except BaseException as error:
        if note.state == "moving" and not ((here or at_commit) and _arrived(target, note)):
            _take_back(source, note, error)
        raise
    already = note.state == "moved"
    if not already:
        with source.exclusively() as connection:
            moves.leave(connection, _with_state(note, "moved"))
    return DatabaseMoved(tables, stayed, already, aside)


def cancel(source: Database) -> Note | None:
    """Let a store whose move was killed be written again; None if none was."""
    with source.exclusively() as connection:
        note = moves.departure(moves.read(connection))
        if note is not None and note.state == "moved":
            raise InvalidInputError(
                f"The move to {note.place} is done.", where=source.shown, mend="Move the store back from there."
            )
        if note is not None:
            moves.take_back(connection, note.id)
        return note


def _begin(source: Database, note: Note) -> Note:
    """Freeze the source; the note of an earlier attempt at the same move is taken up."""
    with source.exclusively() as connection:
        earlier = moves.departure(moves.read(connection))
        if earlier is None:
            moves.leave(connection, note)
            return note
    if earlier.place != note.place:
        word = "is being moved" if earlier.state == "moving" else "was moved"
        raise InvalidInputError(
            f"The store {word} to {earlier.place}.",
            where=source.shown,
            mend="Give that address"
            + (
                ", or: modelwright store move --cancel"
                if earlier.state == "moving"
                else " with --store to move it on from there"
            )
            + ".",
        )
    return earlier


def _copy(
    source: Database, target: Database, note: Note, change: Change, tell: Callable[[str], None], at_commit: list[bool]
) -> tuple[list[Copied], list[str]]:
    with source.reading() as rows, target.exclusively() as connection:
        tables, stayed = copy_rows(rows, connection, change, lambda table: tell(f"copying {table}"))
        moves.leave(connection, Note(note.id, "arrived", _place(source), note.artifacts, note.at))
        at_commit.append(True)
    return tables, stayed


def _compared(source: Database, target: Database, change: Change, *, strict: bool) -> list[Copied]:
    """Both sides of a move whose rows have arrived. Once the move is done the target lives on, and may differ."""
    with source.reading() as connection:
        before = digests(connection, change)
    with target.reading() as connection:
        after = digests(connection)
    differ = sorted(name for name, copied in before.items() if name in after and after[name] != copied)
    if strict and differ:
        raise StorageError(
            f"Tables of the target differ from the source: {', '.join(differ)}.",
            where=target.shown,
            mend="Empty the target, cancel with modelwright store move --cancel, and move again.",
        )
    return sorted(copied for name, copied in before.items() if name in after)


def _arrived(target: Database, note: Note) -> bool:
    """Whether the rows are there although an error was raised; also where that cannot be told."""
    try:
        with target.reading() as connection:
            return any(each.id == note.id and each.state == "arrived" for each in moves.read(connection))
    except StorageError:
        # Out of reach since. Only the error of a commit leaves it open whether the rows are there.
        return True


def _take_back(source: Database, note: Note, error: BaseException) -> None:
    try:
        with source.exclusively() as connection:
            moves.take_back(connection, note.id)
    except StorageError:
        error.add_note("The source is still closed to writers; open it with: modelwright store move --cancel")


def _refuse_other_databases(target: Database) -> None:
    """A database that another program made; asked before the tables of the schema would be made in it."""
    with target.untouched() as connection:
        names = sa.inspect(connection).get_table_names()
    if names and "schema_version" not in names:
        some = ", ".join(sorted(names)[:3])
        raise InvalidInputError(
            f"The target holds tables of something else ({some}).", where=target.shown, mend="Give an empty database."
        )


def _refuse_rows(target: Database) -> None:
    with target.reading() as connection:
        full = {name: n for name, n in count_rows(connection).items() if n}
    if full:
        listed = ", ".join(f"{name} {n:,}" for name, n in full.items())
        raise InvalidInputError(
            f"The target is another store that is in use (rows: {listed}).", where=target.shown, mend="Give an empty database."
        )


def _set_aside(source: Database, target: Database) -> str:
    """A file from which this very store was once moved away gives way to it when it comes back."""
    path = target.file
    if path is None or not path.is_file() or source.file == path:
        return ""
    with source.reading() as connection:
        came = {note.id for note in moves.read(connection) if note.state == "arrived"}
    with target.exclusively() as connection:
        gone = moves.departure(moves.read(connection))
        if gone is None or gone.state != "moved" or gone.id not in came:
            return ""
    target.close_file()
    aside = path.with_name(f"{path.stem}-moved-{gone.at[:10]}-{gone.id[:8]}{path.suffix}")
    os.replace(path, aside)
    return str(aside)


def _place(database: Database) -> str:
    """The address for notes: a file by its full path."""
    return database.shown if database.file is None else f"sqlite:///{database.file}"


def _with_state(note: Note, state: moves.State) -> Note:
    return Note(note.id, state, note.place, note.artifacts, note.at)
