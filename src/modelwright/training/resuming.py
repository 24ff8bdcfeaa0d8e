"""One attempt at a run: the first one, or one that takes up where a killed process stopped.

The flow is the same both times, from its first step on, with the same spec, seed and identifier; the workers' answers come
from the journal (`search.journal`) as far as they are there. So nothing of the flow has to be stored but what was asked,
and what the clock or the memory of the machine decided before the search.

::

    spec.json                      `Asked`; no rows and no passwords
    data.arrow, evaluation.arrow   tables that were given in memory, up to `KEPT_BYTES` each
"""

from __future__ import annotations

import errno
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from modelwright.errors import DataError, InvalidInputError, StorageError
from modelwright.features.expressions import from_plain, to_plain
from modelwright.masking import literals, masked
from modelwright.provenance.secrets import redacted, remember
from modelwright.search.budget import REFIT_SHARES, Budget
from modelwright.search.journal import Journal, Line, TableRead, read_lines
from modelwright.spec import DEFAULT_HOME, Spec, describe_source
from modelwright.store.folders import RunFolder
from modelwright.tables.read import read
from modelwright.tables.table import Table
from modelwright.training.environment import libraries

#: Bytes up to which a table in memory is kept for the time after a kill; a larger one is given again with --data.
KEPT_BYTES = 500_000_000
_OPTIONS = ("data", "evaluation")


class Asked(msgspec.Struct, frozen=True):
    """What was asked of a run, as it is kept until the run is published.

    ``memory`` says of tables in memory what they were; ``hidden`` names options whose URL holds a password, which is
    masked here; relative paths are as seen from ``cwd``.
    """

    run: str
    created: str
    cwd: str
    spec: Spec
    memory: dict[str, str] = {}
    hidden: list[str] = []


@dataclass(frozen=True)
class Attempt:
    """What a process works with that makes a run, or takes it up again.

    Attributes
    ----------
    spec : Spec
        With the tables to be read.
    plain : Spec
        The same without tables, as the record shows it.
    folder : RunFolder
        Locked.
    journal : Journal
    budget : Budget
    created : datetime
        When the run was first begun.
    earlier_s : float
        Seconds that the run has taken besides those that the budget counts.
    """

    spec: Spec
    plain: Spec
    folder: RunFolder
    journal: Journal
    budget: Budget
    created: datetime
    earlier_s: float = 0.0

    @property
    def resumed(self) -> list[str]:
        """When the run was taken up again, this time included."""
        moments = [line.at for line in self.journal.earlier[1:]]
        return [*moments, _now().isoformat(timespec="seconds")] if self.journal.earlier else []

    @property
    def known_table(self) -> TableRead | None:
        """The table as a killed process read it."""
        return self.journal.table

    def check_table(self, fingerprint: str) -> None:
        """Refuse other rows than those that the finished trials were fitted on.

        Raises
        ------
        DataError
        """
        if self.known_table is not None and self.known_table.fingerprint != fingerprint:
            raise DataError(
                "The rows are not those that the run began with: "
                f"their fingerprint is {fingerprint[:12]}, not {self.known_table.fingerprint[:12]}.",
                where=describe_source(self.plain.data),
                mend="Give the rows as they were, with --data, or train anew.",
            )

    def end(self, error: BaseException) -> None:
        """Keep what is finished of a run that failed, or remove it where nothing is worth keeping; the error tells."""
        n = self.journal.n_finished
        self.journal.close()
        # Input that is refused is refused the next time too. But a resumed run keeps what it has, whatever was given now.
        if not self.journal.earlier and (n == 0 or isinstance(error, InvalidInputError)):
            self.folder.discard()
            return
        self.folder.leave()
        home = "" if self.plain.home == DEFAULT_HOME else f" --home {self.plain.home}"
        error.add_note(f"{n} finished trials are kept. Go on with: modelwright resume {self.folder.run}{home}")


def begin(spec: Spec, name: str, *, started: float) -> Attempt:
    """Make the folder of a new run.

    Parameters
    ----------
    spec : Spec
    name : str
        Name of the run, from which its identifier is made.
    started : float
        Moment of the call on the ``time.monotonic`` clock.

    Raises
    ------
    DataError
        If a table in memory cannot be read.
    StorageError
        If the folder cannot be made.
    """
    created = _now()
    tables = {
        option: read(getattr(spec, option), query=spec.query if option == "data" else None)
        for option in _OPTIONS
        if not isinstance(getattr(spec, option), (str, Path, float))
    }
    plain = spec.without_tables()

    def asked(run: str) -> bytes:
        return _encoded(_asked(spec, plain, run, created, {option: table.source for option, table in tables.items()}))

    folder = RunFolder.new(Path(spec.home), name, created.strftime("%Y%m%d-%H%M%S"), asked)
    budget = Budget(spec.budget_s, started)
    try:
        for option, table in tables.items():
            _keep(table.frame, folder.tmp / f"{option}.arrow")
        journal = _journal(folder, budget, [], 0.0)
    except OSError as error:
        folder.discard()
        raise StorageError(
            f"{error.strerror or error}.", where=spec.home, mend="Free space, or give another --home."
        ) from error
    return Attempt(msgspec.structs.replace(spec, **tables), plain, folder, journal, budget, created)


def take_up(home: Path, run: str, *, started: float, data: Any = None, store: str | None = None) -> Attempt:
    """Take up a run that was killed, or that failed.

    Parameters
    ----------
    home : Path
    run : str
        Its identifier.
    started : float
        Moment of the call on the ``time.monotonic`` clock.
    data : str, Path or table, optional
        The rows, where they are no longer where the run read them.
    store : str, optional
        URL of the database, where it holds a password.

    Raises
    ------
    InvalidInputError
        If there is no such run, or it is finished; if an option must be given again.
    StorageError
        If another process works on it, or its folder is damaged.
    """
    folder = RunFolder.resumed(home, run)
    try:
        try:
            asked = _decoded(folder.spec.read_bytes())
        except (OSError, msgspec.MsgspecError) as error:
            raise StorageError(
                f"What was asked of the run cannot be read: {error}.", where=str(folder.spec), mend="Train anew."
            ) from error
        spec, plain = _restored(asked, folder, home, data, store)
        lines = read_lines(folder.journal)
        used_s = max((line.elapsed_s for line in lines), default=0.0)
        read_s = next((line.elapsed_s for line in lines if isinstance(line, TableRead)), used_s)
        budget = resumed_budget(plain.budget_s, used_s, read_s, started)
        earlier_s = max(0.0, used_s - (started - budget.started))
        try:
            journal = _journal(folder, budget, lines, earlier_s)
        except OSError as error:
            raise StorageError(f"{error.strerror}.", where=str(folder.tmp), mend="Free space, or make it writable.") from error
    except BaseException:
        folder.leave()
        raise
    return Attempt(spec, plain, folder, journal, budget, datetime.fromisoformat(asked.created), earlier_s)


def resumed_budget(total_s: float | None, used_s: float, read_s: float, started: float) -> Budget:
    """The budget of a resumed run: what was left of it, or what finishing takes if that is more.

    Reading and auditing the table comes again and is not charged twice. Finishing takes what the search reserves: time
    for the final fit, and for what follows it.

    Parameters
    ----------
    total_s : float or None
    used_s : float
        Seconds that the run had taken when its last step or trial ended.
    read_s : float
        Seconds until its search began.
    started : float
        Moment of the call on the ``time.monotonic`` clock.

    Examples
    --------
    Of 300 s a run had used 100, the first 20 for reading: it has 220 again, as if it had used 80.

    >>> 1000.0 - resumed_budget(300.0, 100.0, 20.0, started=1000.0).started
    80.0
    """
    if total_s is None:
        return Budget(None, started - used_s)
    finish_s = REFIT_SHARES[1] * total_s + Budget(total_s, started).tail_s
    left_s = min(total_s, max(total_s - used_s, finish_s) + read_s)
    return Budget(total_s, started - (total_s - left_s))


def is_full(error: BaseException) -> bool:
    """Whether an error of any library says that the disk is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(sign in str(error).lower() for sign in ("no space left", "disk is full", "os error 28"))


def _journal(folder: RunFolder, budget: Budget, lines: list[Line], earlier_s: float) -> Journal:
    # Another library, or another Python, may answer otherwise: then everything is done again.
    versions = msgspec.json.encode({"python": platform.python_version(), **libraries()}, order="deterministic").decode()
    at = _now().isoformat(timespec="seconds")
    return Journal(folder.journal, folder.work, lambda: earlier_s + budget.elapsed(), lines=lines, versions=versions, at=at)


def _asked(spec: Spec, plain: Spec, run: str, created: datetime, memory: dict[str, str]) -> Asked:
    hidden = [
        option
        for option in (*_OPTIONS, "store")
        if option not in memory and isinstance(getattr(spec, option), (str, Path)) and _has_secret(str(getattr(spec, option)))
    ]
    kept = msgspec.structs.replace(plain, **{option: masked(str(getattr(spec, option))) for option in hidden})
    if isinstance(kept.features, dict):
        kept = msgspec.structs.replace(kept, features={name: to_plain(given) for name, given in kept.features.items()})
    return Asked(run, created.isoformat(), os.getcwd(), kept, memory, hidden)


def _has_secret(address: str) -> bool:
    """Whether the address holds a secret itself; a reference to one is none, and may be kept."""
    for secret in (found := literals(address)):
        remember(secret)
    return bool(found) or masked(address) != address


def _restored(asked: Asked, folder: RunFolder, home: Path, data: Any, store: str | None) -> tuple[Spec, Spec]:
    """The spec as it was asked, and the same without tables."""
    plain = asked.spec
    if isinstance(plain.features, dict):
        plain = msgspec.structs.replace(plain, features={name: from_plain(given) for name, given in plain.features.items()})
    moved = Path.cwd() != Path(asked.cwd)
    if moved and isinstance(plain.features, str):
        plain = msgspec.structs.replace(plain, features=_from(asked.cwd, plain.features))
    if (Path(asked.cwd) / plain.home).resolve() != home.resolve():
        plain = msgspec.structs.replace(plain, home=str(home))
    given: dict[str, Any] = {"store": store or plain.store}
    for option in _OPTIONS:
        value = getattr(plain, option)
        if option == "data" and data is not None:
            given[option] = data
        elif option in asked.memory:
            given[option] = _kept(folder.tmp / f"{option}.arrow", asked.memory[option], option)
        elif option in asked.hidden:
            raise InvalidInputError(
                f"The address in {option} holds a password or a signature, which is not kept.",
                where=asked.run,
                mend=f"Give it again with --{option}." if option == "data" else "Train anew.",
            )
        elif moved and isinstance(value, str) and value != "none":
            given[option] = _from(asked.cwd, value)
    if "store" in asked.hidden and store is None:
        raise InvalidInputError(
            "The address of the store holds a password, which is not kept.", where=asked.run, mend="Give it again with --store."
        )
    return msgspec.structs.replace(plain, **given), plain


def _from(cwd: str, path: str) -> str:
    return path if "://" in path or Path(path).is_absolute() else str(Path(cwd) / path)


def _keep(frame: pl.DataFrame, path: Path) -> None:
    """Write a table whole, unless it is large or holds what no file can."""
    if frame.estimated_size() > KEPT_BYTES or pl.Object in frame.dtypes:
        return
    part = path.with_suffix(".part")
    frame.write_ipc(part)
    os.replace(part, path)


def _kept(path: Path, source: str, option: str) -> Table:
    if not path.is_file():
        raise DataError(
            f"The {option} table was in memory, and too large to be kept.",
            where=source,
            mend="Give the rows in a file, with --data." if option == "data" else "Train anew.",
        )
    return Table(pl.read_ipc(path), source)


def _encoded(asked: Asked) -> bytes:
    return msgspec.json.format(redacted(msgspec.json.encode(asked, enc_hook=_as_plain).decode()).encode())


def _decoded(content: bytes) -> Asked:
    return msgspec.json.decode(content, type=Asked)


def _as_plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
