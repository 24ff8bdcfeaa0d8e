"""Writing predictions: files that are complete or absent, also when they are larger than memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast, get_args

from modelwright.errors import InvalidInputError, StorageError
from modelwright.tables.locations import is_database, without_credentials
from modelwright.tables.written import IfExists, check_table, write_frames

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from modelwright.artifacts.model import Model

#: File ending -> how a frame is written.
_WRITERS: dict[str, Callable[[Any, Path], Any]] = {
    ".csv": lambda frame, path: frame.write_csv(path),
    ".tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
    ".parquet": lambda frame, path: frame.write_parquet(path),
    ".jsonl": lambda frame, path: frame.write_ndjson(path),
    ".arrow": lambda frame, path: frame.write_ipc(path),
    ".feather": lambda frame, path: frame.write_ipc(path),
}


@dataclass(frozen=True)
class DatabaseTable:
    """Where predictions go that are written to a database.

    Attributes
    ----------
    url : str
        SQLAlchemy URL.
    name : str
        With its schema if need be.
    if_exists : {"fail", "replace", "append"}
    """

    url: str
    name: str
    if_exists: IfExists = "fail"

    def __str__(self) -> str:
        return f"{self.name} on {without_credentials(self.url)}"


def output_of(address: str, table: str | None, if_exists: str) -> Path | DatabaseTable:
    """The place that ``--output``, ``--table`` and ``--if-exists`` name.

    Raises
    ------
    InvalidInputError
        If they do not fit together, or could not be written (see `check_output`).
    """
    if if_exists not in get_args(IfExists):
        raise InvalidInputError(
            f"{if_exists!r} is none of fail, replace and append.", where="--if-exists", mend="Give one of them."
        )
    if is_database(address):
        if not table:
            raise InvalidInputError(
                "A database needs the name of a table.",
                where="--table",
                mend="Name the table to write, such as --table scores.",
            )
        check_table(address, table, cast(IfExists, if_exists))
        return DatabaseTable(address, table, cast(IfExists, if_exists))
    if table or if_exists != "fail":
        name = "--table" if table else "--if-exists"
        raise InvalidInputError(
            f"{name} is for databases, and the output is none.",
            where=address,
            mend=f"Leave {name} out, or give a database URL such as postgresql://user@host/shop with --output.",
        )
    check_output(Path(address))
    return Path(address)


def check_output(path: Path) -> None:
    """Refuse a file that could not be written, before any work is done.

    Raises
    ------
    InvalidInputError
        If the ending names no known format or the folder does not exist.
    """
    if path.suffix.lower() not in _WRITERS:
        raise InvalidInputError(
            f"{path.suffix or 'no ending'!r} is no format that can be written.",
            where=str(path),
            mend=f"Use {', '.join(_WRITERS)}.",
        )
    if path.is_dir() or not path.parent.is_dir():
        what = "This is a folder." if path.is_dir() else f"The folder {str(path.parent)!r} does not exist."
        raise InvalidInputError(what, where=str(path), mend="Give the path of a file in an existing folder.")


def with_kept(scored: pl.DataFrame, frame: pl.DataFrame, keep: Sequence[str]) -> pl.DataFrame:
    """Predictions beside columns of the rows that they are for.

    Raises
    ------
    InvalidInputError
        If a column is not there, or has the name of one of the predictions.
    """
    for name in keep:
        # "row" numbers the rows where bad ones are set aside.
        if name not in frame.columns or name in (*scored.columns, "row"):
            what = "has the name of a predicted one" if name in frame.columns else "is not in the data"
            raise InvalidInputError(
                f"The column {name!r} {what}.", where="--keep", mend=f"The data has: {', '.join(frame.columns[:30])}."
            )
    return frame.select(keep).hstack(scored) if keep else scored


def scored_frame(model: Model, frame: pl.DataFrame, coverage: float | None = None) -> pl.DataFrame:
    """Predictions for the rows of a frame, in their order.

    Parameters
    ----------
    model : Model
    frame : DataFrame
    coverage : float, optional
        Adds an interval or a set of classes with this coverage.

    Returns
    -------
    DataFrame
        ``prediction``, and for classes one ``proba_<class>`` column each, in the order of ``model.classes_``. With a
        coverage also ``low`` and ``high``, or for classes ``set``: a JSON list, the most probable class first.

    Raises
    ------
    InvalidInputError
        If the model has no intervals or sets, or none with so much coverage.
    """
    import polars as pl

    if coverage is not None and model.task not in ("binary", "multiclass"):
        both = model.predict_interval(frame, coverage)  # refuses clusters
        return pl.DataFrame({"prediction": model.predict(frame), "low": both[:, 0], "high": both[:, 1]})
    if model.task in ("regression", "clustering"):
        return pl.DataFrame({"prediction": model.predict(frame)})
    held = None if coverage is None else model.predict_set(frame, coverage)
    proba = model.predict_proba(frame)
    columns: dict[str, Any] = {"prediction": model.label(proba).tolist()}
    columns |= {f"proba_{name}": proba[:, k] for k, name in enumerate(model.classes_.tolist())}
    if held is not None:
        columns["set"] = _set_texts(held, proba, model.classes_.tolist())
    return pl.DataFrame(columns)


def _set_texts(held: np.ndarray, proba: np.ndarray, classes: list[Any]) -> list[str]:
    """The classes of each row as JSON, the most probable first."""
    import json

    ranked = (-proba).argsort(axis=1, kind="stable")
    return [
        json.dumps([classes[k] for k in order if inside[k]], ensure_ascii=False, default=str)
        for order, inside in zip(ranked.tolist(), held, strict=True)
    ]


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write beside the place and rename in, so that a reader never meets half a file.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    try:
        # In the same folder, because a rename is only atomic within one file system.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        draft = Path(name)
        try:
            _WRITERS[path.suffix.lower()](frame, draft)
            # mkstemp makes files for the owner alone; a result has the rights of any new file.
            umask = os.umask(0)
            os.umask(umask)
            draft.chmod(0o666 & ~umask)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"The file cannot be written: {error.strerror or error}.",
            where=str(path),
            mend="Free space, or choose another place.",
        ) from error


#: File ending -> how many rows are written without holding them.
_SINKS: dict[str, Callable[[Any, Path], Any]] = {
    ".csv": lambda rows, path: rows.sink_csv(path),
    ".tsv": lambda rows, path: rows.sink_csv(path, separator="\t"),
    ".parquet": lambda rows, path: rows.sink_parquet(path),
    ".jsonl": lambda rows, path: rows.sink_ndjson(path),
    ".arrow": lambda rows, path: rows.sink_ipc(path),
    ".feather": lambda rows, path: rows.sink_ipc(path),
}


class Draft:
    """A file that is written part by part in a hidden folder beside its place, and renamed in when it is whole.

    Leaving without `publish`, also by Ctrl-C, removes what was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_rows = 0
        self._folder: Path | None = None
        self._parts: list[Path] = []

    def __enter__(self) -> Self:
        try:
            self._folder = self._made()
        except OSError as error:
            raise _unwritable(error, self.path) from error
        return self

    def _made(self) -> Path:
        # Beside its place, because a rename is only atomic within one file system.
        return Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, frame: pl.DataFrame) -> None:
        """Put rows below those that are there; a frame without rows changes nothing."""
        if not frame.height:
            return
        assert self._folder is not None, "a draft is entered first"
        part = self._folder / f"{len(self._parts):06}.arrow"
        try:
            frame.write_ipc(part)
        except OSError as error:
            raise _unwritable(error, self.path) from error
        self._parts.append(part)
        self.n_rows += frame.height

    def finish(self) -> None:
        """Make the whole file, still beside its place."""
        import polars as pl

        assert self._folder is not None, "a draft is entered first"
        try:
            _SINKS[self.path.suffix.lower()](pl.scan_ipc(self._parts), self._whole)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unwritable(error, self.path) from error

    def publish(self) -> None:
        """Put the finished file in its place, in one step."""
        try:
            os.replace(self._whole, self.path)
        except OSError as error:
            raise _unwritable(error, self.path) from error

    @property
    def _whole(self) -> Path:
        assert self._folder is not None, "a draft is entered first"
        return self._folder / f"whole{self.path.suffix}"


class TableDraft(Draft):
    """Rows for a table of a database: kept in files until they are whole, then written in one transaction."""

    def __init__(self, table: DatabaseTable) -> None:
        super().__init__(Path(str(table)))
        self.table = table

    def _made(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="modelwright-scores-"))

    def finish(self) -> None:
        """Nothing to do: the table is made when it is published."""

    def publish(self) -> None:
        """Write the table."""
        import polars as pl

        parts = (pl.read_ipc(part) for part in self._parts)
        write_frames(self.table.url, self.table.name, parts, self.table.if_exists)


def _unwritable(error: Exception, path: Path) -> StorageError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
    return StorageError(f"The file cannot be written: {reason}.", where=str(path), mend="Free space, or choose another place.")
