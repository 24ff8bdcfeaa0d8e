"""Is everything there and whole? The store, the chains of the ledger, every run folder, and the index.

Nothing is changed here but, where asked, the index, which is made anew from the folders.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from modelwright.artifacts.bundle import verify_bundle
from modelwright.errors import ModelwrightError, StorageError
from modelwright.runs.entries import is_run
from modelwright.runs.folder import RECORD
from modelwright.runs.index import RunIndex
from modelwright.runs.listing import read_folders, run_folders
from modelwright.runs.removal import TRASH
from modelwright.runs.run import Run
from modelwright.splits.looks import Look
from modelwright.splits.vault import Vault
from modelwright.store.database import FILE_NAME, Database
from modelwright.store.ledger import Ledger

#: Files that every training has beside its record and its model.
_FILES = (
    "plan.json",
    "findings.json",
    "environment.json",
    "evaluation.json",
    "trials.parquet",
    "curves.parquet",
    "report.html",
)


class Trouble(msgspec.Struct, frozen=True):
    """One thing that is wrong; ``part`` is "store", "ledger", "run" or "index", ``what`` what, ``mend`` what to do."""

    part: Literal["store", "ledger", "run", "index"]
    where: str
    what: str
    mend: str


class Examined(msgspec.Struct, frozen=True):
    """What was looked at, and what was wrong with it."""

    n_runs: int
    n_vaults: int
    troubles: list[Trouble]
    rebuilt: int | None = None


def examine(
    home: Path, store: str | None = None, *, rebuild: bool = False, tell: Callable[[str], None] = lambda _: None
) -> Examined:
    """Look everything in a home over.

    Parameters
    ----------
    home : Path
    store : str or None
        URL of the store; None is SQLite in the home.
    rebuild : bool, default=False
        Make the index anew from the folders.
    tell : callable, optional
        Is told the name of each run before it is looked at.

    Returns
    -------
    Examined
    """
    troubles: list[Trouble] = []
    looks: list[Look] = []
    names = [name for name, _ in run_folders(home)]
    runs = [name for name in sorted(names) if is_run(home / "runs" / name)]
    for name in sorted(set(names) - set(runs)):
        where = str(home / "runs" / name)
        troubles.append(
            Trouble("run", where, "The folder has no record of a run.", "Copy it again from its source, or remove it.")
        )
    for name in runs:
        tell(name)
        troubles += _of_run(home / "runs" / name, looks)
    if any((home / TRASH).glob("*")):
        troubles.append(
            Trouble("run", str(home / TRASH), "A deletion was cut short.", "Remove this folder; its runs are deleted.")
        )
    n_vaults, rebuilt = 0, None
    try:
        database = Database.of(home, store)
        vaults = _vaults(database)
        n_vaults = len(vaults)
        troubles += _of_ledger(Ledger(database), vaults, looks)
        index = RunIndex.of(home, store)
        if rebuild:
            lines, notes = read_folders(home)
            index.replace_all(lines)
            rebuilt = len(lines)
            # What cannot be read was said above, folder by folder, for trainings; of jobs it is said here.
            troubles += [Trouble("run", str(home / "runs"), note, "Copy the folder again.") for note in notes]
        else:
            troubles += _of_index(home, index)
    except StorageError as error:
        where = error.where or str(home / FILE_NAME)
        troubles.append(Trouble("store", where, error.what, error.mend))
    return Examined(len(runs), n_vaults, _once(troubles), rebuilt)


def _of_run(folder: Path, looks: list[Look]) -> list[Trouble]:
    """What is wrong with a run folder; looks found in its record are added to ``looks``."""
    if not (folder / RECORD).is_file():
        return _readable(folder)
    try:
        record = Run(folder).record
    except ModelwrightError as error:
        return [_trouble(folder, error)]
    found = []
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        found.append(Trouble("run", str(folder), f"Files are missing: {', '.join(missing)}.", "Copy the run folder again."))
    try:
        verify_bundle(folder / "model")
    except ModelwrightError as error:
        found.append(_trouble(folder, error))
    look = None if record.evaluation is None else record.evaluation.look
    if look is not None:
        looks.append(look)
    for part in ("evaluation", "reserve"):
        if (folder / "vault" / f"{part}.json").is_file():
            try:
                Vault.of(folder / "vault", part).check()
            except ModelwrightError as error:
                found.append(_trouble(folder, error))
    return found


def _readable(folder: Path) -> list[Trouble]:
    """A job is looked at by reading its entry."""
    from modelwright.runs.entries import entry_of

    try:
        entry_of(folder)
    except ModelwrightError as error:
        return [_trouble(folder, error)]
    return []


def _vaults(database: Database) -> list[str]:
    with database.reading() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT DISTINCT vault FROM vaults ORDER BY vault")]


def _of_ledger(ledger: Ledger, vaults: list[str], looks: list[Look]) -> list[Trouble]:
    """Chains that are broken, and looks of run records that the ledger does not have."""
    found = []
    for vault in sorted({*vaults, *(look.vault for look in looks)}):
        known = [look for look in looks if look.vault == vault]
        if vault not in vaults:
            runs = ", ".join(sorted({look.run for look in known}))
            found.append(
                Trouble(
                    "ledger", vault[:12], f"The openings of these sealed rows, recorded by {runs}, are not in this store.",
                    "Give the store that the runs were made with (--store), or restore it; openings are counted anew here.",
                )
            )  # fmt: skip
            continue
        for wrong in ledger.verify(vault, known):
            mend = "Restore the store from a backup; scores of these sealed rows are counted wrongly."
            found.append(Trouble("ledger", vault[:12], wrong, mend))
    return found


def _of_index(home: Path, index: RunIndex) -> list[Trouble]:
    known = {line.entry.id: line for line in index.lines()}
    there, notes = read_folders(home)
    folders = {line.entry.id: line for line in there}
    mend = "The next list mends it, or --rebuild."
    found = [Trouble("run", str(home / "runs"), note, "Copy the folder again.") for note in notes]
    if lacking := sorted(set(folders) - set(known)):
        found.append(Trouble("index", "index", f"Runs are not in it: {_some(lacking)}.", mend))
    if gone := sorted(set(known) - set(folders)):
        found.append(Trouble("index", "index", f"Runs are gone or cannot be read: {_some(gone)}.", mend))
    if old := sorted(run for run in set(known) & set(folders) if known[run].entry != folders[run].entry):
        found.append(Trouble("index", "index", f"Entries differ from their folders: {_some(old)}.", "Give --rebuild."))
    pinned = sorted({pin.run for pin in index.pins()} - set(folders))
    if pinned:
        found.append(Trouble("index", "pins", f"Runs that are needed are gone: {_some(pinned)}.", "Copy their folders back."))
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _trouble(folder: Path, error: ModelwrightError) -> Trouble:
    return Trouble("run", error.where or str(folder), error.what, error.mend)


def _once(troubles: list[Trouble]) -> list[Trouble]:
    return list(dict.fromkeys(troubles))
