"""What is where: the database with its tables, the run folders of a home, and the published ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from modelwright.errors import ModelwrightError
from modelwright.runs.entries import is_run
from modelwright.runs.listing import run_folders
from modelwright.runs.moving import HomeNote, read_note
from modelwright.runs.removal import TRASH
from modelwright.store import moves
from modelwright.store.copying import count_rows
from modelwright.store.database import Database
from modelwright.store.folders import unfinished
from modelwright.store.migrations import MIGRATIONS
from modelwright.store.published import Published
from modelwright.version import __version__


class DatabaseShown(msgspec.Struct, frozen=True):
    """``version`` is that of the schema; ``tables`` has the rows of each; ``notes`` are moves from and to here."""

    place: str
    kind: str
    version: int
    n_bytes: int
    tables: dict[str, int]
    notes: list[moves.Note]


class HomeShown(msgspec.Struct, frozen=True):
    """Run folders of the home; ``unfinished`` can be resumed; ``trash`` is left of deletions that were killed."""

    place: str
    n_runs: int
    n_bytes: int
    unfinished: int
    unfinished_bytes: int
    trash_bytes: int
    moved: HomeNote | None


class ArtifactsShown(msgspec.Struct, frozen=True):
    """Published runs; ``versions`` counts them by the version that published them; ``gone`` were published once."""

    place: str
    n_runs: int
    n_files: int
    n_bytes: int
    n_here: int
    versions: dict[str, int]
    waiting: list[str]
    gone: list[str]
    leftovers: list[str]
    verified: int | None = None


class StorageShown(msgspec.Struct, frozen=True):
    """Everything; ``troubles`` says what could not be looked at, or differs."""

    modelwright: str
    schema_version: int
    database: DatabaseShown | None
    home: HomeShown
    artifacts: ArtifactsShown | None
    troubles: list[str]


def storage(
    home: Path,
    store: str | None,
    artifacts: str | None,
    *,
    verify: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> StorageShown:
    """Look at everything; nothing is changed.

    Parameters
    ----------
    home : Path
    store, artifacts : str or None
        As for a run; None is the home.
    verify : bool, default=False
        Read every published file and compare its digest.
    tell : callable, optional
        Is told which run is being read.
    """
    troubles: list[str] = []
    database = published = None
    if store is not None or Database.of(home).file.is_file():  # type: ignore[union-attr]
        try:
            database = _database(Database.of(home, store))
        except ModelwrightError as error:
            troubles.append(str(error))
    if artifacts is not None:
        try:
            published = _artifacts(home, artifacts, verify, troubles, tell)
        except ModelwrightError as error:
            troubles.append(str(error))
    return StorageShown(__version__, len(MIGRATIONS), database, _home(home), published, troubles)


def _database(database: Database) -> DatabaseShown:
    with database.reading() as connection:
        version = int(connection.exec_driver_sql("SELECT max(version) FROM schema_version").scalar() or 0)
        tables, notes = count_rows(connection), moves.read(connection)
        kind, n_bytes = connection.dialect.name, 0
        if kind == "postgresql":
            n_bytes = int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar() or 0)
    if database.file is not None:
        parts = (database.file.with_name(database.file.name + end) for end in ("", "-wal", "-shm"))
        n_bytes = sum(part.stat().st_size for part in parts if part.is_file())
    return DatabaseShown(database.shown, kind, version, n_bytes, tables, notes)


def _home(home: Path) -> HomeShown:
    runs = [run for run, _ in run_folders(home) if is_run(home / "runs" / run)]
    return HomeShown(
        place=str(home),
        n_runs=len(runs),
        n_bytes=sum(_size(home / "runs" / run) for run in runs),
        unfinished=len(unfinished(home)),
        unfinished_bytes=_size(home / "tmp"),
        trash_bytes=_size(home / TRASH),
        moved=read_note(home),
    )


def _artifacts(home: Path, url: str, verify: bool, troubles: list[str], tell: Callable[[str], None]) -> ArtifactsShown:
    published = Published(home, url)
    before = published.known()
    markers = published.markers()
    here = {run for run, _ in run_folders(home) if is_run(home / "runs" / run)}
    versions: dict[str, int] = {}
    verified = 0
    for run, marker in markers.items():
        versions[marker.modelwright] = versions.get(marker.modelwright, 0) + 1
        if verify:
            tell(run)
            try:
                published.store.verify(marker)
                verified += 1
            except ModelwrightError as error:
                troubles.append(str(error))
    return ArtifactsShown(
        place=published.store.shown,
        n_runs=len(markers),
        n_files=sum(len(marker.files) for marker in markers.values()),
        n_bytes=sum(marker.n_bytes for marker in markers.values()),
        n_here=len(here & set(markers)),
        versions=versions,
        waiting=sorted(here - set(markers) - before),
        gone=sorted(before - set(markers)),
        leftovers=published.store.leftovers(),
        verified=verified if verify else None,
    )


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # gone since it was listed
    return total
