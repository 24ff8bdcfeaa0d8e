"""What stays on one side, what is refused, and what the sentence says."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import DataError
from modelwright.splits.seal import require_rows, seal

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def _table(n: int, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 1000, n)})
    return frame, (rng.random(n) < 0.3).astype(np.int64)


def _seal(frame, y=None, task="binary", **options):
    options = {"time": None, "group": None, "features": frame.columns, **options}
    return seal(frame, y=y, task=task, **options)


def _is_partition(split, n):
    return np.array_equal(np.sort(np.concatenate([split.training, split.evaluation])), np.arange(n))


def test_a_real_table_is_split_within_its_classes():
    frame = pl.read_csv(TELCO)
    y = (frame["Churn"] == "Yes").to_numpy().astype(np.int64)
    split = _seal(frame, y, features=[c for c in frame.columns if c != "Churn"])
    assert split.rule == "stratified"
    assert _is_partition(split, 7043)
    assert len(split.evaluation) == pytest.approx(1409, abs=2)
    assert y[split.evaluation].mean() == pytest.approx(y.mean(), abs=0.002)
    # The customer number hides 22 copied rows.
    assert "rows that repeat another stay on its side" in split.sentence


@pytest.mark.parametrize("task", ["binary", "regression", "clustering"])
def test_equal_rows_stay_on_one_side(task):
    frame, y = _table(400)
    frame = pl.concat([frame, frame[:100], frame[:50]])
    y = np.concatenate([y, y[:100], 1 - y[:50]])
    given_y = {"binary": y, "regression": y.astype(float), "clustering": None}[task]
    split = _seal(frame, given_y, task)
    sides = np.zeros(550, dtype=bool)
    sides[split.evaluation] = True
    assert (sides[400:500] == sides[:100]).all()
    assert (sides[500:550] == sides[:50]).all()
    assert sides.mean() == pytest.approx(0.2, abs=0.03)
    assert "150 rows that repeat another stay on its side" in split.sentence


def test_a_key_column_does_not_hide_copies():
    frame, _ = _table(300)
    frame = pl.concat([frame, frame]).with_row_index("id")
    split = _seal(frame, None, "clustering")
    sides = np.zeros(600, dtype=bool)
    sides[split.evaluation] = True
    assert (sides[300:] == sides[:300]).all()


def test_repeats_are_separate_cases_where_few_rows_are_possible():
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({"smoker": rng.integers(0, 2, 1000), "region": rng.choice(["n", "s", "w"], 1000)})
    split = _seal(frame, rng.integers(0, 2, 1000))
    assert len(split.evaluation) == 200
    assert "only 6 rows are distinct" in split.sentence


def test_time_cuts_between_two_moments_and_says_when():
    days = [date(2024, 1, 1) + timedelta(days=i // 10) for i in range(1000)]
    order = np.random.default_rng(2).permutation(1000)
    frame = pl.DataFrame({"day": days, "x": np.arange(1000.0)})[order]
    y = np.arange(1000) % 2
    split = _seal(frame, y, time=frame["day"])
    assert split.rule == "time"
    assert frame["day"][split.training].max() < frame["day"][split.evaluation].min()
    assert len(split.evaluation) == 200
    assert "'day' from 2024-03-21 on" in split.sentence


@pytest.mark.parametrize("values", [["9", "10", "11", "2"], ["1/9/2023", "1/10/2023", "2/1/2023", "12/31/2022"]])
def test_text_times_are_ordered_by_what_they_mean(values):
    n = 10
    frame = pl.DataFrame({"t": values * n, "x": np.arange(4.0 * n)})
    split = _seal(frame, np.arange(4.0 * n), "regression", time=frame["t"])
    assert set(frame["t"][split.evaluation]) == {values[2]}


def test_rows_without_a_time_train():
    frame, y = _table(100)
    time = pl.Series("t", [None if i % 10 == 0 else i for i in range(100)])
    split = _seal(frame, y, time=time)
    assert not set(range(0, 100, 10)) & set(split.evaluation.tolist())
    assert "the 10 without a time train" in split.sentence


def test_groups_may_straddle_a_cut_in_time_and_the_sentence_says_so():
    frame, y = _table(100)
    split = _seal(frame, y, time=pl.Series("t", np.arange(100)), group=pl.Series("shop", np.arange(100) % 5))
    assert "'shop' may be on both sides, but all training rows are earlier" in split.sentence


@given(st.lists(st.integers(1, 30), min_size=4, max_size=40), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_groups_are_whole_and_the_share_is_near(sizes, seed):
    group = pl.Series("g", np.repeat(np.arange(len(sizes)), sizes))
    n = len(group)
    if n < 10:
        return
    frame = pl.DataFrame({"x": np.random.default_rng(seed).normal(size=n)})
    split = _seal(frame, np.arange(n) * 1.0, "regression", group=group, seed=seed)
    assert _is_partition(split, n)
    assert len(split.training)
    assert len(split.evaluation)
    assert not set(group[split.training]) & set(group[split.evaluation])
    assert abs(len(split.evaluation) - 0.2 * n) <= max(sizes)


def test_two_groups_seal_the_smaller_one():
    frame, y = _table(100)
    split = _seal(frame, y, group=pl.Series("g", ["big"] * 85 + ["small"] * 15))
    assert split.evaluation.tolist() == list(range(85, 100))


def test_rare_classes_train_first():
    frame, _ = _table(500)
    y = np.zeros(500, dtype=np.int64)
    y[100:300], y[10:12], y[20:26] = 1, 2, 3
    split = _seal(frame, y, "multiclass")
    assert np.bincount(y[split.training], minlength=4)[2] == 2
    assert np.bincount(y[split.evaluation], minlength=4)[3] == 1


def test_the_split_depends_on_the_seed_alone():
    frame, y = _table(200)
    first, again, other = _seal(frame, y, seed=1), _seal(frame, y, seed=1), _seal(frame, y, seed=2)
    assert np.array_equal(first.evaluation, again.evaluation)
    assert not np.array_equal(first.evaluation, other.evaluation)


@pytest.mark.parametrize(
    ("n", "evaluation", "message"),
    [
        (0, 0.2, "no rows"),
        (1, 0.2, "1 row, too few"),
        (3, 0.2, "3 rows, too few"),
        (9, 0.2, 'With evaluation = "none", 4'),
        (3, "none", "4 rows"),
    ],
)
def test_too_few_rows_are_refused_with_the_number_needed(n, evaluation, message):
    with pytest.raises(DataError, match=message):
        require_rows(n, evaluation)


def test_enough_rows_pass():
    require_rows(10, 0.2)
    require_rows(4, "none")
    require_rows(5, "evaluation.csv")


def test_all_rows_equal_is_refused():
    with pytest.raises(DataError, match="All 50 rows duplicate the first"):
        _seal(pl.DataFrame({"a": [1.0] * 50, "b": ["x"] * 50}), np.arange(50) % 2)


def test_a_class_with_one_row_is_named():
    frame, _ = _table(50)
    y = np.zeros(50, dtype=np.int64)
    y[3], y[10:30] = 2, 1
    with pytest.raises(DataError, match=r"class 'lemur' has a single row.*Merge"):
        _seal(frame, y, "multiclass", classes=["cat", "dog", "lemur"])


def test_an_evaluation_without_positives_is_refused():
    frame, _ = _table(100)
    y = np.zeros(100, dtype=np.int64)
    y[:2] = 1
    with pytest.raises(DataError, match=r"would lack the class number 1.*larger share"):
        _seal(frame, y)


def test_a_class_that_only_occurs_late_is_refused():
    frame, _ = _table(100)
    y = (np.arange(100) >= 90).astype(np.int64)
    with pytest.raises(DataError, match="occurs only after the cut in time"):
        _seal(frame, y, time=pl.Series("t", np.arange(100)))


def test_a_single_group_and_a_single_moment_are_refused():
    frame, y = _table(50)
    with pytest.raises(DataError, match="one group, 'only'"):
        _seal(frame, y, group=pl.Series("g", ["only"] * 50))
    with pytest.raises(DataError, match="the same time"):
        _seal(frame, y, time=pl.Series("t", [2020] * 50))
    with pytest.raises(DataError, match="All values of the time column are missing"):
        _seal(frame, y, time=pl.Series("t", [None] * 50, dtype=pl.Date))
    with pytest.raises(DataError, match="neither dates nor numbers, for example 'red'"):
        _seal(frame, y, time=pl.Series("t", ["red", "blue"] * 25))


def test_infinite_missing_nested_and_object_cells_are_compared():
    n = 40
    frame = pl.DataFrame(
        {
            "x": [float("inf"), float("nan"), None, -0.0] * 10,
            "list": [[i // 4] for i in range(n)],
            "bytes": [b"a"] * n,
            "object": pl.Series([{i % 3} for i in range(n)], dtype=pl.Object),
        }
    )
    assert _is_partition(_seal(frame, None, "clustering"), n)
