"""One look at every batch of a scan: which type each column has over all rows, and the fingerprint of the whole.

A column of a delimited file is a number only if all its cells are, and a text is a date only if all are, so a batch
alone cannot say. The same data gives the same frame and the same fingerprint as `tables.read` gives in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from modelwright.tables.dialect import infer_numbers
from modelwright.tables.fingerprint import BatchFingerprint
from modelwright.tables.normalise import normalise
from modelwright.tables.scan import Scan

_INTEGERS = {pl.Int64, pl.UInt64}
_Type = pl.DataType


@dataclass(frozen=True)
class Settled:
    """A scan whose columns have their types.

    Attributes
    ----------
    scan : Scan
    types : dict of str to DataType
        As `tables.normalise` lists them.
    n_rows : int
    fingerprint : str
    counts : dict of str to dict, or None
        Column -> cell as stored, as text -> rows that hold it, for the columns asked for; None for a column of more
        values than were asked for.
    """

    scan: Scan
    types: dict[str, _Type]
    n_rows: int
    fingerprint: str
    counts: dict[str, dict[str | None, int] | None]

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """All rows in their order, as `tables.read` would give them."""
        for batch in self.scan.batches(columns):
            yield self.typed(batch)

    def typed(self, stored: pl.DataFrame) -> pl.DataFrame:
        """Some rows as stored in the types of the whole."""
        texts = [name for name in stored.columns if stored[name].dtype == pl.String and self.types[name] == pl.String]
        others = [name for name in stored.columns if name not in texts]
        read = {name: _blank_as_null(stored[name]) for name in texts}
        if others:
            typed = _read(stored.select(others), self.scan)
            read |= {name: _as(typed[name], self.types[name], stored[name]) for name in others}
        return pl.DataFrame([read[name] for name in stored.columns])

    @property
    def row_bytes(self) -> float:
        """Bytes of a typed row, from the first rows."""
        look = self.typed(self.scan.head())
        return look.estimated_size() / max(look.height, 1)


def settle(scan: Scan, *, count: Mapping[str, int] | None = None) -> Settled:
    """Read all batches once.

    Parameters
    ----------
    scan : Scan
    count : mapping of str to int, optional
        Column -> most different values to count.

    Returns
    -------
    Settled

    Raises
    ------
    DataError
        If the files cannot be read.
    """
    seen: dict[str, set[_Type]] = {name: set() for name in scan.names}
    counts: dict[str, dict[str | None, int] | None] = {name: {} for name in count or {}}
    fingerprint = BatchFingerprint(scan.names)
    n_rows = 0
    for stored in scan.batches():
        typed = _read(stored, scan)
        for name in scan.names:
            if typed[name].null_count() < typed.height:
                seen[name].add(typed[name].dtype)
            text = _blank_as_null(stored[name]) if stored[name].dtype == pl.String else None
            fingerprint.add(name, typed[name], text)
        for name, most in (count or {}).items():
            counts[name] = _counted(counts[name], stored[name], most)
        n_rows += stored.height
    types = {name: _one_type(kinds) for name, kinds in seen.items()}
    return Settled(scan, types, n_rows, fingerprint.finish(n_rows, types), counts)


def _read(stored: pl.DataFrame, scan: Scan) -> pl.DataFrame:
    if scan.delimiter is not None:
        stored = infer_numbers(stored, decimal_comma=scan.delimiter != ",")
    return normalise(stored, source=scan.source)


def _one_type(kinds: set[_Type]) -> _Type:
    """The type of a column whose batches have these types; text where they have nothing else in common."""
    if not kinds:
        return pl.String()
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds <= {*_INTEGERS, pl.Float64}:
        return pl.Float64()
    return pl.String()


def _as(typed: pl.Series, wanted: _Type, stored: pl.Series) -> pl.Series:
    if typed.dtype == wanted:
        return typed
    if wanted == pl.String:
        return _blank_as_null(stored.cast(pl.String))
    return typed.cast(wanted, strict=False)


def _blank_as_null(text: pl.Series) -> pl.Series:
    return text.set(text == "", None) if (text == "").any() else text


def _counted(counts: dict[str | None, int] | None, cells: pl.Series, most: int) -> dict[str | None, int] | None:
    if counts is None:
        return None
    found = cells.cast(pl.String).value_counts()
    if found.height > most:
        return None
    for value, rows in found.iter_rows():
        counts[value] = counts.get(value, 0) + rows
    return counts if len(counts) <= most else None
