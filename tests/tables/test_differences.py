"""Where a table differs from one of which only hashes are left."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelwright.errors import BundleError
from modelwright.tables import traces
from modelwright.tables.differences import Difference, difference, traced
from modelwright.tables.fingerprint import fingerprint
from modelwright.tables.read import read
from modelwright.tables.traces import Traces

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"

CELLS: dict[str, tuple[pl.DataType, st.SearchStrategy[object]]] = {
    "integer": (pl.Int64(), st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))),
    "float": (pl.Float64(), st.one_of(st.none(), st.floats(allow_nan=False))),
    "text": (pl.String(), st.one_of(st.none(), st.text(max_size=6))),
    "flag": (pl.Boolean(), st.one_of(st.none(), st.booleans())),
    "moment": (pl.Datetime("us"), st.one_of(st.none(), st.datetimes())),
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    height = draw(st.integers(2, 7))
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4))
    columns = []
    for i, kind in enumerate(kinds):
        dtype, cells = CELLS[kind]
        columns.append(pl.Series(f"{kind} {i}", draw(st.lists(cells, min_size=height, max_size=height)), dtype=dtype))
    return pl.DataFrame(columns)


@pytest.fixture(scope="module")
def churn() -> pl.DataFrame:
    return read(TELCO).frame


def found(before: pl.DataFrame, now: pl.DataFrame) -> Difference:
    """The difference, by way of the file, which two different tables must have."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.npz"
        traced(before)[1].write(path)
        answer = difference(Traces.read(path), now)
    assert answer is not None
    return answer


def with_cell(frame: pl.DataFrame, row: int, column: str, value: object) -> pl.DataFrame:
    cells = frame[column].to_list()
    cells[row] = value
    return frame.with_columns(pl.Series(column, cells, dtype=frame[column].dtype))


@settings(max_examples=150, deadline=None)
@given(frame=frames(), data=st.data())
def test_any_changed_cell_changes_the_fingerprint_and_is_named(frame: pl.DataFrame, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(frame.columns))
    row = data.draw(st.integers(0, frame.height - 1))
    value = data.draw(CELLS[name.split()[0]][1])
    assume(value != frame[name][row])
    changed = with_cell(frame, row, name, value)
    digest, before = traced(frame)

    answer = difference(before, changed)

    assert digest == fingerprint(frame) != fingerprint(changed)
    assert answer is not None
    assert (answer.row, answer.columns) == (row, [name]), answer.sentence
    assert difference(before, frame) is None


@settings(max_examples=60, deadline=None)
@given(frame=frames(), data=st.data())
def test_any_other_name_type_or_order_of_columns_is_named(frame: pl.DataFrame, data: st.DataObject) -> None:
    before = traced(frame)[1]
    name = data.draw(st.sampled_from(frame.columns))
    assume(frame[name].null_count() < frame.height)

    renamed = difference(before, frame.rename({name: "other"}))
    assert renamed is not None
    same = [n for n in frame.columns if frame[n].equals(frame[name])]
    assert renamed.sentence in {f"Column {n!r} is called 'other'." for n in same}

    as_text = frame.with_columns(pl.col(name).cast(pl.String))
    if name.split()[0] != "text":
        retyped = difference(before, as_text)
        assert retyped is not None
        assert retyped.columns == [name]
        assert "holds text, not" in retyped.sentence

    if frame.width > 1:
        moved = difference(before, frame.select(reversed(frame.columns)))
        assert moved is not None
        assert "another order" in moved.sentence


@settings(max_examples=60, deadline=None)
@given(frame=frames(), data=st.data())
def test_any_row_dropped_added_or_moved_is_named(frame: pl.DataFrame, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, frame.height - 1))
    before = traced(frame)[1]
    fewer = pl.concat([frame[:row], frame[row + 1 :]])

    dropped = difference(before, fewer)
    assert dropped is not None
    assert dropped.row is not None
    # Of equal rows in a run any may have gone.
    assert pl.concat([frame[: dropped.row], frame[dropped.row + 1 :]]).equals(fewer)
    assert dropped.sentence == f"Row {dropped.row} is missing."

    added = difference(traced(fewer)[1], frame)
    assert added is not None
    assert added.sentence.endswith("is new.")

    backwards = frame.reverse()
    assume(not backwards.equals(frame))
    moved = difference(before, backwards)
    assert moved is not None
    assert "another order" in moved.sentence or moved.sentence.count("differ")


def test_a_real_table_is_told_to_the_cell(churn: pl.DataFrame) -> None:
    changed = with_cell(churn, 1234, "tenure", 99)
    assert found(churn, changed) == Difference("1 cell differs: row 1,234, column 'tenure'.", ["tenure"], 1234)

    several = with_cell(changed, 5000, "tenure", 98)
    assert found(churn, several).sentence == "2 cells differ, the first: row 1,234, column 'tenure'."

    across = with_cell(changed, 5000, "Contract", "none")
    answer = found(churn, across)
    assert (answer.row, answer.columns) == (1234, ["tenure"])
    assert "2 rows" in answer.sentence


def test_what_happens_to_real_tables_is_told_as_such(churn: pl.DataFrame) -> None:
    shuffled = churn.sample(fraction=1.0, shuffle=True, seed=3)
    assert found(churn, shuffled).sentence.startswith("The rows are in another order, from row 0 on")
    assert found(churn, churn[:-40]).sentence == "40 rows are missing, the first was row 7,003."
    assert found(churn, churn.drop("Partner")).sentence == "Column 'Partner' is missing."
    assert found(churn, churn.with_columns(extra=1)).sentence == "Column 'extra' is new."
    moved = pl.concat([churn[1:], churn[:1].with_columns(tenure=pl.lit(77, dtype=pl.Int64))])
    assert found(churn, moved).sentence == "Row 0 is missing and row 7,042 is new."
    both = with_cell(churn.rename({"tenure": "months"}), 17, "Partner", "?")
    answer = found(churn, both)
    assert answer.sentence == "Column 'tenure' is called 'months'; 1 cell differs: row 17, column 'Partner'."
    assert answer.row == 17


def test_a_table_too_long_for_row_hashes_is_told_by_its_block(churn: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_MOST_BYTES", 0)
    answer = found(churn, with_cell(churn, 5000, "MonthlyCharges", 1.5))
    assert answer.rows == (4096, 7042)
    assert answer.sentence == "The first difference lies within rows 4,096 to 7,042, column 'MonthlyCharges'."
    assert found(churn, churn.reverse()).sentence == "The rows are in another order."
    assert found(churn, churn[:5000]).sentence.startswith("There are 5,000 rows, not 7,043; the first difference lies within")


def test_hashes_of_texts_by_another_polars_are_not_compared(churn: pl.DataFrame) -> None:
    before = traced(churn)[1]
    before.probe = [0, 0, 0]
    before.rows = before.rows + before.rows.dtype.type(1)

    words = difference(before, with_cell(churn, 5, "Contract", "none"))
    number = difference(before, with_cell(churn, 5, "tenure", 98))

    assert words == Difference("Cells differ in column 'Contract'.", ["Contract"])
    assert number is not None
    assert number.rows == (0, 4095)


def test_the_file_is_small_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    long = pl.DataFrame({f"x{k}": rng.normal(size=200_000) for k in range(10)})
    path = tmp_path / "cells.npz"
    traced(long)[1].write(path)
    assert path.stat().st_size < 0.05 * 8 * long.height * long.width
    assert len(Traces.read(path).rows) == long.height

    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BundleError):
        Traces.read(path)
