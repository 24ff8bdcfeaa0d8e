"""What stays on one side, what is refused, and what the sentence says."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import DataError, SpecError
from modelwright.splits.partition import Split
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
    parts = [split.training, split.evaluation, split.reserve, split.left_out]
    return np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))


def test_a_real_table_is_split_within_its_classes():
    frame = pl.read_csv(TELCO)
    y = (frame["Churn"] == "Yes").to_numpy().astype(np.int64)
    split = _seal(frame, y, features=[c for c in frame.columns if c != "Churn"])
    assert split.rule == "stratified"
    assert _is_partition(split, 7043)
    assert len(split.evaluation) == pytest.approx(1409, abs=2)
    assert y[split.evaluation].mean() == pytest.approx(y.mean(), abs=0.005)
    # The customer number hides copied rows.
    assert "the 40 rows that repeat another" in split.sentence


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


def test_entities_that_go_on_may_straddle_a_cut_in_time_and_the_sentence_says_so():
    frame, y = _table(100)
    split = _seal(frame, y, time=pl.Series("t", np.arange(100)), group=pl.Series("shop", np.arange(100) % 5))
    assert split.rule == "time"
    assert len(split.left_out) == 0
    assert "5 entities of 'shop' are on both sides" in split.sentence
    assert "counted by entity" in split.sentence


def test_entities_that_come_and_go_are_kept_apart_and_evaluation_is_later():
    n = 1000
    frame, y = _table(n)
    # Each visitor comes for some days; those around the cut are seen on both sides.
    visitor = pl.Series("visitor", np.arange(n) // 7)
    time = pl.Series("day", np.arange(n) + np.random.default_rng(0).integers(0, 12, n))
    split = _seal(frame, y, time=time, group=visitor)
    assert split.rule == "group_time"
    assert time[split.training].max() < time[split.evaluation].min()
    assert not set(visitor[split.training]) & set(visitor[split.evaluation])
    assert _is_partition(split, n)
    assert 0 < len(split.left_out) < 60
    assert "No entity of 'visitor' is on both sides" in split.sentence


def test_group_time_on_request_divides_a_panel_both_ways():
    n = 4000
    frame, y = _table(n)
    station, time = pl.Series("station", np.arange(n) % 20), pl.Series("hour", np.arange(n) // 20)
    split = _seal(frame, y, time=time, group=station, rule="group_time")
    assert time[split.training].max() < time[split.evaluation].min()
    assert not set(station[split.training]) & set(station[split.evaluation])
    assert len(split.evaluation) == pytest.approx(0.2 * n, rel=0.15)
    assert len(split.training) > 0.2 * n
    assert _is_partition(split, n)
    assert _seal(frame, y, time=time, group=station, rule="group").rule == "group"
    assert _seal(frame, y, time=time, group=station, rule="random").rule == "stratified"


@pytest.mark.parametrize("kind", ["date", "text", "number"])
def test_rows_in_the_gap_before_the_cut_neither_train_nor_evaluate(kind):
    days = [date(2024, 1, 1) + timedelta(days=i // 10) for i in range(1000)]
    time = {"date": pl.Series("t", days), "text": pl.Series("t", [str(d) for d in days]), "number": pl.Series("t", range(1000))}
    frame, y = _table(1000)
    split = _seal(frame, y, time=time[kind], gap="70" if kind == "number" else "7d")
    assert _is_partition(split, 1000)
    assert split.evaluation.tolist() == list(range(800, 1000))
    assert split.left_out.tolist() == list(range(731 if kind == "number" else 740, 800))
    assert "rows of that gap are left out" in split.sentence


@pytest.mark.parametrize(("gap", "message"), [("2w", r"leaves no row to train on: all 80 rows"), ("3", "has no unit.*'3d'")])
def test_a_gap_that_does_not_fit_is_refused(gap, message):
    frame, y = _table(100)
    time = pl.Series("t", [date(2024, 1, 1) + timedelta(days=i // 20) for i in range(100)])
    with pytest.raises(DataError, match=message.replace("'", '"')):
        _seal(frame, y, time=time, gap=gap)


def test_a_gap_with_a_unit_does_not_suit_numbers():
    frame, y = _table(100)
    with pytest.raises(DataError, match="holds numbers"):
        _seal(frame, y, time=pl.Series("t", range(100)), gap="7d")


@pytest.mark.parametrize("roles", ["none", "group", "time"])
def test_a_reserve_is_sealed_by_the_same_rule(roles):
    frame, y = _table(2000)
    group = pl.Series("g", np.arange(2000) // 4) if roles == "group" else None
    time = pl.Series("t", np.random.default_rng(1).permutation(2000)) if roles == "time" else None
    split = _seal(frame, y, group=group, time=time, reserve=0.1)
    assert _is_partition(split, 2000)
    assert len(split.evaluation) == pytest.approx(400, abs=8)
    assert len(split.reserve) == pytest.approx(200, abs=8)
    assert "the reserve" in split.sentence
    if group is not None:
        parts = [set(group[rows]) for rows in (split.training, split.evaluation, split.reserve)]
        assert len(parts[0] | parts[1] | parts[2]) == sum(len(part) for part in parts)
    if time is not None:
        assert time[split.training].max() < time[split.evaluation].min()
        assert time[split.evaluation].max() < time[split.reserve].min()


def test_near_copies_stay_on_one_side():
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({f"x{k}": rng.normal(size=2000) for k in range(6)})
    copies = frame[:300].with_columns(pl.all() + pl.Series(rng.normal(size=300) * 1e-3))
    split = _seal(pl.concat([frame, copies]), None, "clustering")
    sides = np.zeros(2300, dtype=bool)
    sides[split.evaluation] = True
    assert (sides[2000:] == sides[:300]).all()
    assert "the 300 rows that nearly repeat another stay on its side" in split.sentence


def test_a_single_copy_is_told_as_one():
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({f"x{k}": rng.normal(size=500) for k in range(6)})
    split = _seal(pl.concat([frame, frame[:1]]), None, "clustering")
    assert "the row that repeats another stays on its side" in split.sentence


def test_entities_that_share_copied_rows_stay_together():
    rng = np.random.default_rng(4)
    frame = pl.DataFrame({f"x{k}": rng.normal(size=1000) for k in range(6)})
    group = pl.Series("patient", np.arange(1000) // 5)
    both = pl.concat([frame, frame[:100]])
    # The same twenty patients entered again under other names.
    names = pl.concat([group, pl.Series("patient", 500 + np.arange(100) // 5)])
    split = _seal(both, None, "clustering", group=names)
    sides = np.zeros(1100, dtype=bool)
    sides[split.evaluation] = True
    assert (sides[1000:] == sides[:100]).all()
    assert not set(names[split.training]) & set(names[split.evaluation])
    assert "share copied rows" in split.sentence


def test_an_event_entered_twice_around_the_cut_does_not_train():
    rng = np.random.default_rng(5)
    frame = pl.DataFrame({f"x{k}": rng.normal(size=1000) for k in range(8)} | {"t": np.arange(1000.0)})
    numbers = frame.columns[:8]

    def copy_of_800_at(row):
        here = pl.int_range(1000) == row
        return frame.with_columns(pl.when(here).then(pl.col(c).get(800)).otherwise(c) for c in numbers)

    twice, again = copy_of_800_at(799), copy_of_800_at(99)
    assert _seal(twice, None, "clustering", time=twice["t"]).left_out.tolist() == [799]
    # The same values after a long time are what production will see too.
    assert len(_seal(again, None, "clustering", time=again["t"]).left_out) == 0


def test_the_digest_names_data_and_rows_alone():
    frame, y = _table(200)
    split, again = _seal(frame, y, seed=1), _seal(frame, y, seed=1)
    assert split.digest("a") == again.digest("a") != split.digest("b")
    assert split.digest("a") != _seal(frame, y, seed=2).digest("a")
    assert Split("random", np.arange(2), np.array([5, 9]), "").digest("data").startswith("73ce6d0ce53c2ab8")


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


def test_of_two_classes_one_with_a_single_row_is_named():
    frame, _ = _table(50)
    y = np.zeros(50, dtype=np.int64)
    y[3] = 1
    with pytest.raises(DataError, match=r"class 'lemur' has a single row.*Merge"):
        _seal(frame, y, "binary", classes=["cat", "lemur"])


def test_of_many_classes_one_with_a_single_row_trains():
    frame, _ = _table(50)
    y = np.zeros(50, dtype=np.int64)
    y[3], y[10:30] = 2, 1
    for seed in range(20):
        split = _seal(frame, y, "multiclass", classes=["cat", "dog", "lemur"], seed=seed)
        assert 3 in split.training


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


def test_of_several_classes_one_that_only_occurs_late_is_named_and_counts():
    frame, _ = _table(100)
    y = np.arange(100) % 2
    y[90:95] = 2
    split = _seal(frame, y, "multiclass", time=pl.Series("t", np.arange(100)), classes=["cat", "dog", "lemur"])
    assert set(range(90, 95)) <= set(split.evaluation.tolist())
    assert split.sentence.endswith("No training row is of class 'lemur'; the 5 sealed rows that are cannot be got right yet.")

    of_group = _seal(frame, y, "multiclass", group=pl.Series("g", [f"{k // 10}" for k in range(100)]), classes=list("abc"))
    assert ("No training row is of class 'c'" in of_group.sentence) == (90 in of_group.evaluation)


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
    with pytest.raises(DataError, match=r"40 of 50 rows have no readable time.*Fill in"):
        _seal(frame, y, time=pl.Series("t", [*range(10), *([None] * 40)]))
    with pytest.raises(DataError, match="All values of the group column are missing"):
        _seal(frame, y, group=pl.Series("g", [None] * 50, dtype=pl.String))
    with pytest.raises(SpecError, match="needs a group column"):
        _seal(frame, y, rule="group")


def test_rows_without_a_group_are_entities_of_their_own():
    frame, y = _table(300)
    split = _seal(frame, y, group=pl.Series("g", [None if i % 3 else i // 30 for i in range(300)]))
    assert "the 200 rows without one count as entities of their own" in split.sentence


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


def test_a_share_that_seals_next_to_nothing_is_refused() -> None:
    frame = pl.DataFrame({"x": np.arange(200.0), "z": np.random.default_rng(0).normal(size=200)})
    with pytest.raises(DataError, match="seals 0 rows"):
        seal(frame, y=None, task="regression", time=None, group=None, share=0.001, features=["x", "z"])
