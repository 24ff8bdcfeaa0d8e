"""The reference in a bundle: small, the same bytes for the same rows, without a cell as it was, and refused when damaged."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from modelwright.artifacts.reference import (
    MOST_COLUMNS,
    MOST_ROWS,
    Reference,
    codes_of,
    label_of_code,
    packed,
    read_reference,
    reference_of,
    write_reference,
)
from modelwright.ensembles.limits import ModelLimits
from modelwright.errors import BundleError
from modelwright.tables.profile import comparable, profile_of
from modelwright.tables.schema import Column
from modelwright.training.reference import by_weight, likely_bytes, within_size


def made(n: int = 5000, n_columns: int = 4, seed: int = 0) -> Reference:
    rng = np.random.default_rng(seed)
    data: dict[str, object] = {f"x{k}": rng.normal(size=n) for k in range(n_columns)}
    data["town"] = rng.choice(["Bern", "Basel", "Chur", None], n).tolist()
    frame = pl.DataFrame(data)
    columns = [Column(name, "category" if name == "town" else "number", "feature") for name in frame.columns]
    p = 1 / (1 + np.exp(-3 * frame["x1"].to_numpy()))
    answers = np.column_stack([1 - p, p])
    profile = profile_of(frame, columns, answers=answers, task="binary", classes=("no", "yes"))
    cells = {c.name: made for c in columns if (made := comparable(frame, c)) is not None}
    return reference_of(profile, frame, cells, answers, (rng.random(n) < p).astype(np.int64), "rows")


def test_what_is_written_is_read_and_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    reference = made()
    write_reference(reference, tmp_path)
    assert packed(made()) == {name: (tmp_path / name).read_bytes() for name in packed(reference)}
    found = read_reference(tmp_path)
    assert found is not None
    assert packed(found) == packed(reference)
    assert found.profile == reference.profile
    assert np.array_equal(found.held_out.codes, reference.held_out.codes)
    assert np.array_equal(found.held_out.y, reference.held_out.y)
    assert read_reference(tmp_path / "elsewhere") is None


def test_its_size_does_not_grow_with_the_rows() -> None:
    sizes = [sum(map(len, packed(made(n)).values())) for n in (5_000, 40_000)]
    assert abs(sizes[1] - sizes[0]) < 0.1 * sizes[0]
    assert len(made(40_000).held_out) == MOST_ROWS
    assert 0.5 < likely_bytes(40_000, 5) / sizes[1] < 2
    assert within_size(made(), ModelLimits(size_bytes=11 * sizes[0]))
    assert not within_size(made(), ModelLimits(size_bytes=9 * sizes[0]))


def test_columns_that_the_answers_hang_on_come_first_and_wide_tables_keep_those() -> None:
    reference = made(n_columns=80)
    assert len(reference.held_out.columns) == MOST_COLUMNS
    assert reference.held_out.columns[0] == "x1"
    assert reference.profile.importance["x1"] > 0.8
    assert max(reference.profile.importance.get(f"x{k}", 0.0) for k in range(2, 80)) < 0.02


def test_codes_are_intervals_and_labels_in_words() -> None:
    reference = made()
    x, town = reference.profile.columns[0], reference.profile.columns[4]
    codes = codes_of(x, pl.Series([None, float("nan"), float("inf"), -99.0, 0.0, 99.0]))
    assert codes.tolist() == [0, 0, 0, 1, codes[4], 24]
    assert label_of_code(x, 0) == "missing"
    assert label_of_code(x, 1).startswith("up to -")
    assert label_of_code(x, 24).startswith("above ")
    counts = np.bincount(codes_of(x, pl.Series(np.random.default_rng(9).normal(size=24_000))), minlength=25)[1:]
    assert 700 < counts.min() < counts.max() < 1300
    labels = codes_of(town, pl.Series(["Chur", None, "Genf"]))
    assert [label_of_code(town, int(code)) for code in labels] == ["Chur", "missing", "other labels"]


@pytest.mark.parametrize("harm", ["cut", "other", "text"])
def test_a_damaged_reference_is_refused_in_words(tmp_path: Path, harm: str) -> None:
    write_reference(made(), tmp_path)
    arrays = tmp_path / "reference.npz"
    if harm == "cut":
        arrays.write_bytes(arrays.read_bytes()[:900])
    elif harm == "other":
        arrays.write_bytes(packed(made(n_columns=7))["reference.npz"])
    else:
        (tmp_path / "reference.json").write_text('{"made_of": 3}', encoding="utf-8")
    with pytest.raises(BundleError, match="reference for monitoring cannot be read"):
        read_reference(tmp_path)


def test_rows_of_an_uneven_sample_count_by_their_weight() -> None:
    weight = np.repeat([0.2, 1.8], [5000, 5000])
    rows = by_weight(weight, 2000)
    assert np.mean(rows < 5000) == pytest.approx(0.1, abs=0.001)
    assert (np.diff(rows) >= 0).all()


def test_dates_and_identifiers_are_not_described() -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "at": [dt.datetime(2026, 1, 1)] * 2, "x": [1.0, 2.0]})
    columns = [Column("id", "id", "id"), Column("at", "datetime", "feature"), Column("x", "number", "feature")]
    assert [each.name for each in profile_of(frame, columns).columns] == ["x"]
