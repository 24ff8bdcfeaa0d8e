"""What a model was like when it was judged, carried in its bundle for monitoring, in a size that does not grow with the rows.

::

    reference.json    names, counts and labels of the profile, and what the held-out rows are
    reference.npz     knots of the profile; of held-out rows the model's answers, the truth, and the codes of columns

A profile (`tables/profile.py`) is enough for drift. To estimate a score without labels, rows are needed that the members
had not seen: some 2,000 of them, each as the answer, the truth and, of the columns that the answers hang on most, the
number of the interval or label that the cell falls into. No cell is kept as it was.
"""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from modelwright.artifacts.manifest import UNREADABLE
from modelwright.errors import BundleError
from modelwright.tables.profile import ColumnProfile, Labels, Numbers, Profile

REFERENCE_FILE, ARRAYS_FILE = "reference.json", "reference.npz"
#: Held-out rows, answers of all classes together, and coded columns that are kept at most.
MOST_ROWS, _MOST_ANSWERS, MOST_COLUMNS = 2_000, 60_000, 60
#: Intervals of a coded number; labels of a coded column that have a code of their own, the most frequent ones.
_INTERVALS, _LABELS = 24, 30
_ARRAYS = ("answers", "y", "codes")


@dataclass(frozen=True)
class HeldOut:
    """Rows that the members had not seen when they answered.

    Attributes
    ----------
    answers : ndarray of shape (n, n_classes), (n,)
        Calibrated probabilities or numbers; cluster numbers.
    y : ndarray of shape (n,) or (0,)
        Numbers of classes, or numbers; empty where there is no truth.
    codes : ndarray of shape (n, n_coded), uint8
        See `codes_of`.
    columns : tuple of str
        The coded columns, those that the answers hang on most first.
    """

    answers: np.ndarray
    y: np.ndarray
    codes: np.ndarray
    columns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True)
class Reference:
    """A profile of rows and answers, and held-out rows; ``made_of`` says in words which rows they are."""

    profile: Profile
    held_out: HeldOut
    made_of: str


class _File(msgspec.Struct, frozen=True):
    made_of: str
    profile: Profile
    #: Knots of each column of numbers, in the order of the profile, one after the other in the arrays.
    n_knots: list[int]
    columns: list[str]


def codes_of(column: ColumnProfile, cells: pl.Series) -> np.ndarray:
    """Cells as small numbers: 0 missing, then the interval of a number or the label's place by frequency.

    Parameters
    ----------
    column : Numbers or Labels
        Says where the intervals end: at values that split the reference evenly.
    cells : Series of n cells
        As `profile.comparable` gives them.

    Returns
    -------
    ndarray of shape (n,), uint8
    """
    if isinstance(column, Numbers):
        values = cells.cast(pl.Float64).to_numpy().astype(np.float64)
        filled = np.isfinite(values)
        codes = 1 + np.searchsorted(_edges(column), np.where(filled, values, 0.0), side="left")
        return np.where(filled, codes, 0).astype(np.uint8)
    places = {level: k + 1 for k, level in enumerate(column.levels[:_LABELS])}
    texts = cells.cast(pl.String)
    if not places:
        return np.where(texts.is_null().to_numpy(), 0, _LABELS + 1).astype(np.uint8)
    coded = texts.replace_strict(list(places), list(places.values()), default=_LABELS + 1, return_dtype=pl.UInt8)
    return np.where(texts.is_null().to_numpy(), 0, coded.to_numpy()).astype(np.uint8)


def label_of_code(column: ColumnProfile, code: int) -> str:
    """A code in words."""
    if code == 0:
        return "missing"
    if isinstance(column, Labels):
        return column.levels[code - 1] if code <= min(len(column.levels), _LABELS) else "other labels"
    edges = _edges(column)
    if not len(edges):
        return "any"
    if code == 1:
        return f"up to {edges[0]:.4g}"
    return f"above {edges[-1]:.4g}" if code > len(edges) else f"{edges[code - 2]:.4g} to {edges[code - 1]:.4g}"


def reference_of(
    profile: Profile,
    frame: pl.DataFrame,
    cells: Mapping[str, pl.Series],
    answers: np.ndarray,
    y: np.ndarray | None,
    made_of: str,
) -> Reference:
    """Choose and code held-out rows.

    Parameters
    ----------
    profile : Profile
    frame : DataFrame of n rows
        Held-out rows; only their number is read.
    cells : mapping of str to Series of n cells
        As `profile.comparable` gives them.
    answers : ndarray of shape (n,) or (n, n_classes)
    y : ndarray of shape (n,) or None
    made_of : str
    """
    n_classes = answers.shape[1] if answers.ndim == 2 else 1
    n, most = frame.height, min(MOST_ROWS, max(_MOST_ANSWERS // n_classes, 100))
    # In the order of the table, and evenly spread over it: where that is time, every season has its part.
    rows = np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)
    known = [column for column in profile.columns if column.name in cells]
    coded = [codes_of(column, cells[column.name][rows]) for column in known]
    answers = answers[rows]
    shares = _explained(coded, _number(answers))
    order = sorted(range(len(known)), key=lambda k: -shares[k])
    importance = {known[k].name: round(shares[k], 4) for k in order if shares[k] > 0}
    kept = order[:MOST_COLUMNS]
    codes = np.column_stack([coded[k] for k in kept]) if kept else np.zeros((len(rows), 0), dtype=np.uint8)
    held_out = HeldOut(
        answers.astype(np.float32).astype(np.float64),
        np.zeros(0) if y is None else y[rows].astype(np.float64),
        codes,
        tuple(known[k].name for k in kept),
    )
    return Reference(msgspec.structs.replace(profile, importance=importance), held_out, made_of)


def write_reference(reference: Reference, folder: Path) -> None:
    """Write both files."""
    for name, content in packed(reference).items():
        (folder / name).write_bytes(content)


def packed(reference: Reference) -> dict[str, bytes]:
    """The files by name; the same reference gives the same bytes."""
    numbers = [column for column in reference.profile.columns if isinstance(column, Numbers)]
    bare = [
        msgspec.structs.replace(column, values=[], shares=[]) if isinstance(column, Numbers) else column
        for column in reference.profile.columns
    ]
    described = _File(
        reference.made_of,
        msgspec.structs.replace(reference.profile, columns=bare),
        [len(column.values) for column in numbers],
        list(reference.held_out.columns),
    )
    held = reference.held_out
    values = np.concatenate([np.zeros(0), *(np.asarray(column.values, dtype=np.float64) for column in numbers)])
    # Shares are counts over n: as whole numbers they pack well.
    counts = [np.rint(np.asarray(column.shares, dtype=np.float64) * column.n) for column in numbers]
    whole = np.concatenate([np.zeros(0), *counts]).astype(np.uint32)
    truth = held.y.astype(np.uint16) if held.answers.ndim == 2 else held.y
    buffer = io.BytesIO()
    np.savez_compressed(buffer, values=values, counts=whole, answers=held.answers.astype(np.float32), y=truth, codes=held.codes)
    return {REFERENCE_FILE: msgspec.json.encode(described), ARRAYS_FILE: buffer.getvalue()}


def read_reference(folder: Path) -> Reference | None:
    """The reference of a bundle; None if it has none.

    Parameters
    ----------
    folder : Path
        A bundle whose digests were verified.

    Raises
    ------
    BundleError
        If it cannot be read.
    """
    path = folder / REFERENCE_FILE
    if not path.is_file():
        return None
    try:
        described = msgspec.json.decode(path.read_bytes(), type=_File)
        with (folder / ARRAYS_FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _unpacked(described, {name: arrays[name] for name in (*_ARRAYS, "values", "counts")})
    except (*UNREADABLE, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"The reference for monitoring cannot be read: {error}.", where=str(path), mend="Copy the model folder again."
        ) from error


def _unpacked(described: _File, arrays: dict[str, np.ndarray]) -> Reference:
    columns: list[ColumnProfile] = []
    ends = np.cumsum([0, *described.n_knots])
    if ends[-1] != len(arrays["values"]) or len(arrays["values"]) != len(arrays["counts"]):
        raise ValueError("the knots are not as many as the columns say")
    knots = iter(itertools.pairwise(ends))
    for column in described.profile.columns:
        if isinstance(column, Numbers):
            start, end = next(knots)
            shares = arrays["counts"][start:end] / max(column.n, 1)
            column = msgspec.structs.replace(column, values=arrays["values"][start:end].tolist(), shares=shares.tolist())
        columns.append(column)
    answers, y, codes = (arrays[name] for name in _ARRAYS)
    if (
        len(codes) != len(answers)
        or len(y) not in (0, len(answers))
        or codes.ndim != 2
        or codes.shape[1] != len(described.columns)
    ):
        raise ValueError("the held-out rows are not as many as they say")
    held_out = HeldOut(answers.astype(np.float64), y.astype(np.float64), codes.astype(np.uint8), tuple(described.columns))
    return Reference(msgspec.structs.replace(described.profile, columns=columns), held_out, described.made_of)


def _edges(column: Numbers) -> np.ndarray:
    """Upper ends of all intervals but the last."""
    values, shares = np.asarray(column.values), np.asarray(column.shares)
    if len(values) < 2:
        return values[:0]
    at = np.searchsorted(shares, np.arange(1, _INTERVALS) / _INTERVALS)
    return np.asarray(values[np.unique(np.minimum(at, len(values) - 2))])


def _number(answers: np.ndarray) -> np.ndarray:
    """The answers as columns of numbers."""
    return answers.astype(np.float64).reshape(len(answers), -1)


def _explained(coded: Sequence[np.ndarray], answers: np.ndarray) -> list[float]:
    """Share of the answers' variance between the codes of each column, less what chance gives (epsilon squared).

    A cheap measure of what the answers hang on, the same on every machine, where a clock would decide how far permutations
    come. What only matters together with another column is missed.
    """
    n = len(answers)
    total = float(((answers - answers.mean(axis=0)) ** 2).sum()) if n else 0.0
    found = []
    for codes in coded:
        counts = np.bincount(codes, minlength=256).astype(np.float64)
        used = counts > 0
        groups = int(used.sum())
        if total <= 0 or groups < 2 or n <= groups:
            found.append(0.0)
            continue
        sums = np.stack([np.bincount(codes, weights=answers[:, k], minlength=256) for k in range(answers.shape[1])], axis=1)
        between = float((sums[used] ** 2 / counts[used, None]).sum() - (answers.sum(axis=0) ** 2).sum() / n)
        within = (total - between) / (n - groups)
        found.append(max((between - (groups - 1) * within) / total, 0.0))
    return found
