"""What every source of tables promises, as a suite that a new source runs against itself.

Subclass `SourceContract`, say how a frame is stored, and let pytest collect the class::

    class TestOurWarehouse(SourceContract):
        def store(self, frame, folder):
            warehouse.write("t", frame.to_dicts())
            return {"data": "warehouse://t"}
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from modelwright.errors import DataError
from modelwright.tables.fingerprint import fingerprint
from modelwright.tables.read import read
from modelwright.tables.table import Table

#: Hash of `sample` in version 1 of the encoding; it changes only together with the prefix "mw1".
SAMPLE_FINGERPRINT = "mw1:6f82fded60015ea2cb39c6e6bbc99b40e87ecbd0245d534e42041b3c8f5aa880"


def sample() -> pl.DataFrame:
    """A small table with what storage likes to change: gaps, booleans, dates, quotes, line breaks, odd late values."""
    n = 240
    return pl.DataFrame(
        {
            "id": range(1, n + 1),
            "price in €": [None if i % 7 == 0 else i / 4 - 3.25 for i in range(n)],
            "member": [i % 3 == 0 for i in range(n)],
            "city": [("Zürich", "a, b; c", 'say "hi"', "two\nlines", None, "|\tx")[i % 6] for i in range(n)],
            # Whole numbers up to the last row: a reader that looks only at the first rows fails here.
            "late": [1e-3 if i == n - 1 else float(i) for i in range(n)],
            "note": ["odd" if i == n - 1 else str(i) for i in range(n)],
            "seen": [
                None if i % 11 == 0 else dt.datetime(2024, 2, 28, 23, 30) + dt.timedelta(hours=i, microseconds=i)
                for i in range(n)
            ],
            "large": [2**53 + 1 + i for i in range(n)],
            "nothing": pl.Series([None] * n, dtype=pl.Float64),
        }
    )


class SourceContract:
    """Promises of `modelwright.tables.read` for one way of storing tables.

    Attributes
    ----------
    keeps_types : bool
        Whether the store has booleans and datetimes of its own. SQLite has neither booleans nor datetimes;
        fingerprints are equal all the same.
    """

    keeps_types = True

    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        """Store the frame, below ``folder`` if on disk, and return the keyword arguments of `read`."""
        raise NotImplementedError

    def read_back(self, frame: pl.DataFrame, folder: Path) -> Table:
        """The table that `read` makes of the stored frame."""
        return read(**self.store(frame, folder))

    def test_fingerprint_is_that_of_every_other_source(self, tmp_path: Path) -> None:
        assert fingerprint(self.read_back(sample(), tmp_path).frame) == SAMPLE_FINGERPRINT

    def test_names_and_order_are_kept(self, tmp_path: Path) -> None:
        table = self.read_back(sample(), tmp_path)
        assert table.frame.columns == sample().columns
        assert table.frame["id"].to_list() == list(range(1, 241))

    def test_frame_is_that_of_every_other_source(self, tmp_path: Path) -> None:
        frame = self.read_back(sample(), tmp_path).frame
        expected = read(sample()).frame
        if not self.keeps_types:
            expected = expected.with_columns(pl.col(pl.Boolean).cast(pl.Int64))
        assert frame.schema == expected.schema
        assert frame.equals(expected)

    def test_one_row_is_read(self, tmp_path: Path) -> None:
        assert self.read_back(sample().head(1), tmp_path).frame.height == 1

    def test_one_changed_cell_changes_the_fingerprint(self, tmp_path: Path) -> None:
        changed = sample().with_columns(pl.when(pl.col("id") == 3).then(pl.lit("Bern")).otherwise("city").alias("city"))
        assert fingerprint(self.read_back(changed, tmp_path).frame) != SAMPLE_FINGERPRINT

    def test_no_rows_are_refused(self, tmp_path: Path) -> None:
        refused: DataError | None = None
        try:
            self.read_back(sample().clear(), tmp_path)
        except DataError as error:
            refused = error
        assert refused is not None, "a table without rows was accepted"
        assert refused.where, "the error names the source"
        assert refused.mend, "the error says what to do"

    def test_source_is_described(self, tmp_path: Path) -> None:
        assert self.read_back(sample(), tmp_path).source
