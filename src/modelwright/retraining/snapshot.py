"""The rows that a retraining learns from, written once: the table as it is now, and labelled rows of the prediction log.

::

    HOME/snapshots/FINGERPRINT.parquet

The same rows are one file, however often they are trained on. It stays while a version that may still be needed learned
from it: one that an alias points to, the champion before, or a recent one.
"""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from modelwright.errors import DataError, StorageError
from modelwright.monitoring.labels import read_labels
from modelwright.monitoring.prediction_log import REDACTED, Prediction, read_predictions
from modelwright.provenance.secrets import expanded, redacted
from modelwright.retraining.rules import KEPT_SHARE, n_kept_back
from modelwright.spec import Spec, describe_source
from modelwright.store.database import Database
from modelwright.tables.fingerprint import fingerprint
from modelwright.tables.read import read

FOLDER = "snapshots"
#: Of the rows that are too old to learn from, so many are kept for the gate, evenly spread.
MOST_OLDER = 5_000


class Snapshot(msgspec.Struct, frozen=True):
    """Rows that were written down.

    Parameters
    ----------
    fingerprint : str
    path : str
    n_rows : int
    table : str
        Fingerprint of the table alone.
    n_logged : int
        Of them, rows of the prediction log.
    until : str
        When the latest logged row among them was answered, in the table or beside it; empty without one.
    n_kept_back : int
        Labelled rows that are younger, for the gate.
    older : str
        Where a part of the rows lies that the stretch left out as old; empty where it left out none.
    notes : list of str
    """

    fingerprint: str
    path: str
    n_rows: int
    table: str = ""
    n_logged: int = 0
    until: str = ""
    n_kept_back: int = 0
    older: str = ""
    notes: list[str] = []


class Stretch(msgspec.Struct, frozen=True):
    """Which rows: the latest ``seconds`` or ``rows``, those ``since`` a moment, or all.

    Rows of the log for the gate are kept back: the newest ``kept_share`` of them, at least ``kept_rows`` and else at most
    `MOST_KEPT`, but never more than half of those that came after ``learned_until``, up to which the champion has learned.
    Rows younger than ``label_delay_s`` are not looked at.
    """

    seconds: float | None = None
    rows: int | None = None
    since: str | None = None
    label_delay_s: float = 0.0
    kept_rows: int = 100
    kept_share: float = KEPT_SHARE
    learned_until: str = ""


def take_snapshot(spec: Spec, database: Database, model: str, home: Path, stretch: Stretch, now: dt.datetime) -> Snapshot:
    """Read the rows and write them down, unless they are there already.

    Parameters
    ----------
    spec : Spec
        Whose table, target and time column are meant.
    database : Database
    model : str
    home : Path
    stretch : Stretch
    now : datetime

    Raises
    ------
    DataError
        If the table cannot be read, or no row is left.
    StorageError
        If it cannot be written.
    """
    table = read(spec.data, query=spec.query)
    mature = (now - dt.timedelta(seconds=stretch.label_delay_s)).astimezone(dt.UTC).isoformat(timespec="microseconds")
    logged = labelled_predictions(database, model, until=mature) if spec.target is not None else []
    logged, known_until = _without_known(logged, table.frame, spec)
    n_new = sum(each.at > stretch.learned_until for each, _ in logged)
    n_kept = n_kept_back(len(logged), n_new, stretch.kept_rows, share=stretch.kept_share)
    learned = logged[: len(logged) - n_kept] if n_kept else logged
    rows = as_table(learned, table.frame, spec) if learned else None
    whole = table.frame if rows is None else pl.concat([table.frame, rows])
    inside, notes = _within(table.frame, rows, spec, stretch, now, [each.at for each, _ in learned])
    frame = whole if inside is None else whole.filter(inside)
    if frame.height == 0:
        raise DataError("No row is left to train on.", where=table.source, mend="Widen train_on in the policy.")
    digest, path = _kept(frame, home)
    older = ""
    if inside is not None and frame.height < whole.height:
        left_out = whole.filter(~inside)
        older = str(_kept(left_out.gather_every(-(-left_out.height // MOST_OLDER)), home)[1].resolve())
    until = max(learned[-1][0].at if learned else "", known_until)
    table_digest = fingerprint(table.frame)
    return Snapshot(digest, str(path.resolve()), frame.height, table_digest, len(learned), until, n_kept, older, notes)


def _kept(frame: pl.DataFrame, home: Path) -> tuple[str, Path]:
    """Write rows down unless they are there; their fingerprint and file."""
    digest = fingerprint(frame)
    path = snapshot_file(home, digest)
    if not path.is_file():
        _write(frame, path)
    return digest, path


def snapshot_file(home: Path, fingerprint: str) -> Path:
    """Where the rows of a fingerprint lie."""
    return home / FOLDER / f"{fingerprint.rpartition(':')[2]}.parquet"


def share(path: Path, artifacts: str) -> str:
    """Copy a snapshot to an address that other machines can read, unless it is there; where it lies then.

    Parameters
    ----------
    path : Path
    artifacts : str

    Raises
    ------
    StorageError
        If the address refuses.
    """
    import fsspec

    address = f"{artifacts.rstrip('/')}/{FOLDER}/{path.name}"
    try:
        system, place = fsspec.core.url_to_fs(expanded(address, where="artifacts"))
        if not (system.exists(place) and system.size(place) == path.stat().st_size):
            system.makedirs(place.rpartition("/")[0], exist_ok=True)
            beside = f"{place}.{uuid.uuid4().hex[:8]}.part"
            system.put_file(str(path), beside)
            system.mv(beside, place)
    except (OSError, ValueError, ImportError) as error:
        raise StorageError(
            f"The rows to train on cannot be copied there: {redacted(str(error))[:200]}.", where=describe_source(artifacts),
            mend="Check the address and the rights.",
        ) from None  # fmt: skip
    return address


def labelled_predictions(database: Database, model: str, *, until: str = "~") -> list[tuple[Prediction, Any]]:
    """Logged rows that have a label, with it, oldest first; of redacted rows none."""
    labels = {label.prediction: label.value for label in read_labels(database, model)}
    if not labels:
        return []
    found = [(row, labels[row.id]) for row in read_predictions(database, model, until=until) if row.id in labels]
    return [(row, value) for row, value in found if REDACTED not in row.features.values()]


def as_table(rows: Sequence[tuple[Prediction, Any]], like: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """Logged rows with their labels, in the columns and types of a table; a cell that does not fit is missing.

    Parameters
    ----------
    rows : sequence of (Prediction, label)
    like : DataFrame
    spec : Spec
        A row without the time column gets the moment at which it was answered.
    """

    def cell(name: str, row: Prediction, label: Any) -> Any:
        if name == spec.target:
            return label
        return row.at if name == spec.time and name not in row.features else row.features.get(name)

    return pl.DataFrame(
        {name: _as_type(name, [cell(name, *each) for each in rows], kind) for name, kind in like.schema.items()}
    )


def sweep(home: Path, needed: set[str], *, now: float, younger_s: float = 14 * 86_400.0) -> list[str]:
    """Remove snapshots that nobody needs and that are not recent; their fingerprints.

    Parameters
    ----------
    home : Path
    needed : set of str
        Fingerprints.
    now : float
        Seconds since 1970.
    younger_s : float, default=1209600.0
    """
    removed = []
    kept = {fingerprint.rpartition(":")[2] for fingerprint in needed}
    for path in sorted((home / FOLDER).glob("*.parquet")):
        if path.stem not in kept and now - path.stat().st_mtime > younger_s:
            path.unlink(missing_ok=True)
            removed.append(path.stem)
    return removed


def _without_known(
    logged: list[tuple[Prediction, Any]], table: pl.DataFrame, spec: Spec
) -> tuple[list[tuple[Prediction, Any]], str]:
    """Logged rows that the table does not have already, and when the latest one was answered that it has."""
    if not logged:
        return logged, ""
    rows = as_table(logged, table, spec)
    # Of what a client sends: columns that only the table has tell nothing.
    sent = [name for name in rows.columns if rows[name].null_count() < rows.height and not rows[name].dtype.is_nested()]
    numbered = rows.select(sent).with_row_index("row number")
    known = set(numbered.join(table.select(sent).unique(), on=sent, how="semi", nulls_equal=True)["row number"])
    until = max((logged[number][0].at for number in known), default="")
    return [each for number, each in enumerate(logged) if number not in known], until


def _within(
    table: pl.DataFrame,
    logged: pl.DataFrame | None,
    spec: Spec,
    stretch: Stretch,
    now: dt.datetime,
    answered: Sequence[str],
) -> tuple[pl.Series | None, list[str]]:
    """Which rows of table and log, in this order, lie in the stretch (None: all), and what is to be said of it."""
    notes: list[str] = []
    if stretch.seconds is None and stretch.rows is None and stretch.since is None:
        return None, notes
    moments = _moments(table, spec.time) if spec.time is not None else pl.Series([None] * table.height, dtype=pl.Datetime("us"))
    if logged is not None:
        at = pl.Series(answered).str.to_datetime(time_unit="us", time_zone="UTC").dt.replace_time_zone(None)
        own = _moments(logged, spec.time) if spec.time is not None else at
        moments = pl.concat([moments, own.fill_null(at)])
    if stretch.rows is not None:
        order = moments.to_frame("at").with_row_index("row").sort("at", "row", nulls_last=False)["row"]
        return pl.int_range(len(moments), eager=True).is_in(order.tail(stretch.rows).implode()), notes
    if stretch.seconds is not None:
        latest = moments.max() if spec.time is not None else now.astimezone(dt.UTC).replace(tzinfo=None)
        first = latest - dt.timedelta(seconds=stretch.seconds) if isinstance(latest, dt.datetime) else dt.datetime.min
    else:
        given = dt.datetime.fromisoformat(str(stretch.since))
        first = given if given.tzinfo is None else given.astimezone(dt.UTC).replace(tzinfo=None)
    if spec.time is None:
        notes.append(f"The table has no time column, so none of its {table.height:,} rows is known to lie in the stretch.")
    return (moments >= first).fill_null(value=False), notes


def _moments(frame: pl.DataFrame, column: str) -> pl.Series:
    if column not in frame.columns:
        raise DataError(f"There is no column {column!r}.", where="time", mend="Name the time column of the table.")
    series = frame[column]
    if series.dtype == pl.String:
        series = series.str.to_datetime(time_unit="us", strict=False)
    if not isinstance(series.dtype, pl.Datetime):
        raise DataError(
            f"The time column {column!r} holds {series.dtype}, and train_on is a length of time.",
            where="train_on", mend="Give a number of rows, or a time column with dates.",
        )  # fmt: skip
    return series.dt.replace_time_zone(None).cast(pl.Datetime("us"))


def _as_type(name: str, cells: list[Any], kind: pl.DataType) -> pl.Series:
    """Cells of JSON as a column of a type that `tables.normalise` gives."""
    if kind == pl.String:
        texts = [_text(cell) for cell in cells]
        return pl.Series(name, texts, dtype=pl.String)
    if isinstance(kind, pl.Datetime):
        texts = [cell if isinstance(cell, str) else None for cell in cells]
        parsed = pl.Series(name, texts, dtype=pl.String).str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        return parsed.dt.replace_time_zone(kind.time_zone).cast(kind)
    return pl.Series(name, cells, strict=False).cast(kind, strict=False)


def _text(cell: Any) -> str | None:
    if cell is None or cell == "":
        return None
    return cell if isinstance(cell, str) else msgspec.json.encode(cell).decode()


def _write(frame: pl.DataFrame, path: Path) -> None:
    """Write a table whole or not at all."""
    beside = path.with_name(f".{uuid.uuid4().hex[:8]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(beside)
        descriptor = os.open(beside, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(
            f"The rows to train on cannot be written: {error.strerror}; they take about {frame.estimated_size():,} bytes.",
            where=str(path.parent), mend="Free space, or make the home writable.",
        ) from error  # fmt: skip
