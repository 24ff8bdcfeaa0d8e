"""Folds keep units whole, classes in training, and time in order."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.splits.folds import folds, n_folds_for, subset
from modelwright.splits.inside import training_folds
from modelwright.splits.near import near_duplicate_units
from modelwright.splits.order import time_values
from modelwright.splits.partition import Split
from modelwright.splits.seal import seal
from modelwright.splits.units import duplicate_units, group_units


def _folds(n, y=None, task="binary", units=None, time_rank=None, n_folds=5, seed=0):
    return folds(n, y=y, task=task, units=units, time_rank=time_rank, n_folds=n_folds, seed=seed)


def test_each_row_is_validated_once_and_classes_keep_their_share():
    y = (np.arange(1000) % 10 == 0).astype(np.int64)
    found = _folds(1000, y)
    assert np.array_equal(np.sort(np.concatenate([f.validation for f in found])), np.arange(1000))
    for fold in found:
        assert len(fold.validation) == 200
        assert y[fold.validation].sum() == 20
        assert not np.intersect1d(fold.training, fold.validation).size


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 15)), min_size=4, max_size=80),
    st.sampled_from([1, 2, 3, 5]),
    st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_units_stay_whole_and_every_class_trains_in_every_fold(rows, n_folds, seed):
    y = np.array([row[0] for row in rows])
    units = np.array([row[1] for row in rows])
    if len(np.unique(units)) < 2:
        return
    found = _folds(len(y), y, "multiclass", units, n_folds=n_folds, seed=seed)
    assert 1 <= len(found) <= n_folds
    for fold in found:
        assert len(fold.training)
        assert len(fold.validation)
        assert set(y[fold.training]) == set(y) or len(found) == 1
    whole = [set(units[f.training]).isdisjoint(units[f.validation]) for f in found]
    # With so few units that nothing else is left, a single hold-out goes by row.
    assert all(whole) or len(found) == 1


def test_a_class_with_one_row_always_trains():
    y = np.zeros(50, dtype=np.int64)
    y[7] = 1
    for n_folds in (1, 5):
        assert all(7 in fold.training for fold in _folds(50, y, n_folds=n_folds))


@pytest.mark.parametrize("rarest", [2, 3, 4, 5])
def test_each_fold_validates_both_of_two_classes(rarest):
    y = np.zeros(60, dtype=np.int64)
    y[np.arange(rarest) * 11] = 1
    for seed in range(20):
        found = _folds(60, y, n_folds=5, seed=seed)
        assert len(found) == rarest, "as many as the rarest class has rows"
        for fold in found:
            assert set(y[fold.validation]) == set(y[fold.training]) == {0, 1}


def test_in_time_windows_of_one_class_are_not_validated():
    y = np.zeros(100, dtype=np.int64)
    y[[5, 60, 99]] = 1
    found = _folds(100, y, time_rank=np.arange(100), n_folds=3)
    assert [set(y[fold.validation]) for fold in found] == [{0, 1}, {0, 1}]


def test_one_fold_holds_out_a_fifth():
    (fold,) = _folds(500, np.arange(500) % 2, n_folds=1)
    assert len(fold.validation) == 100
    (fold,) = _folds(500, None, "regression", n_folds=1)
    assert len(fold.validation) == 100


def test_windows_expand_and_never_look_ahead():
    rank = np.random.default_rng(0).integers(0, 50, 1000)
    found = _folds(1000, None, "regression", time_rank=rank, n_folds=3)
    assert len(found) == 3
    for fold in found:
        assert rank[fold.training].max() < rank[fold.validation].min()
    assert [len(f.training) for f in found] == sorted(len(f.training) for f in found)
    assert rank[found[-1].validation].max() == 49


def test_one_fold_in_time_validates_the_latest_fifth_and_missing_times_train():
    rank = np.arange(100.0)
    rank[[5, 99]] = np.nan
    (fold,) = _folds(100, None, "regression", time_rank=rank, n_folds=1)
    assert len(fold.validation) in (19, 20)
    assert {5, 99} <= set(fold.training.tolist())


def test_rows_in_the_gap_before_a_window_neither_train_nor_validate():
    rank = np.random.default_rng(0).permutation(1000).astype(float)
    found = folds(1000, y=None, task="regression", units=None, time_rank=rank, n_folds=3, seed=0, gap=30.0)
    assert len(found) == 3
    for fold in found:
        low = rank[fold.validation].min()
        assert rank[fold.training].max() == low - 30


def test_windows_keep_entities_apart_where_asked():
    rank = np.arange(2000.0)
    for groups in (np.arange(2000) // 9, np.arange(2000) % 40):
        found = folds(2000, y=None, task="regression", units=None, time_rank=rank, n_folds=3, seed=0, groups=groups)
        assert len(found) == 3
        for fold in found:
            assert set(groups[fold.training]).isdisjoint(groups[fold.validation])
            assert rank[fold.training].max() < rank[fold.validation].min()
            assert len(fold.training) > 300
            assert len(fold.validation) > 100


@pytest.mark.parametrize("rule", ["random", "group", "time", "group_time"])
@pytest.mark.parametrize("sealed", [True, False])
def test_folds_follow_the_rule_of_the_split(rule, sealed):
    roles = {role: role[0] for role in ("time", "group") if role in rule}
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{k}": rng.normal(size=900) for k in range(6)})
    frame = frame.with_columns(t=pl.int_range(900), g=pl.int_range(900) // 6)
    frame = pl.concat([frame, frame[:90].with_columns(pl.col("x0") + 1e-4)])
    features = frame.columns[:6]
    if rule in ("random", "group"):  # a copy under another name, at another time
        frame = frame.with_columns(g=pl.int_range(990) // 6)
    time, group = (frame[roles[role]] if role in roles else None for role in ("time", "group"))
    gap = "9" if time is not None else None
    split = seal(frame, y=None, task="clustering", time=time, group=group, features=features, gap=gap)
    assert split.rule == rule
    if not sealed:
        split = Split("none", np.arange(990), np.arange(0), "")
    raw = frame[split.training]
    found = training_folds(
        raw, split, features=features, y=None, task="clustering", time=roles.get("time"), group=roles.get("group"), gap=gap
    )
    copies = near_duplicate_units(raw, features)
    for fold in found:
        assert len(fold.training)
        assert len(fold.validation)
        if time is not None:
            assert raw["t"][fold.training].max() <= raw["t"][fold.validation].min() - 9
        else:
            assert set(copies[fold.training]).isdisjoint(copies[fold.validation])
        if group is not None:
            assert set(raw["g"][fold.training]).isdisjoint(raw["g"][fold.validation])


def test_windows_without_both_classes_are_left_out():
    y = np.zeros(100, dtype=np.int64)
    y[70:] = np.arange(30) % 2
    found = _folds(100, y, time_rank=np.arange(100), n_folds=3)
    assert len(found) == 1
    late = np.zeros(100, dtype=np.int64)
    late[95:] = 1
    (fold,) = _folds(100, late, time_rank=np.arange(100), n_folds=3)
    assert set(late[fold.training]) == {0, 1}


def test_one_moment_falls_back_to_random_folds():
    assert len(_folds(100, None, "regression", time_rank=np.zeros(100))) == 5


def test_number_of_folds_falls_with_rows():
    assert [n_folds_for(n, False) for n in (100, 50_000, 50_001)] == [5, 5, 1]
    assert [n_folds_for(n, True) for n in (100, 20_000, 20_001)] == [3, 3, 1]


def test_subsets_are_nested_stratified_and_hold_rare_classes():
    rng = np.random.default_rng(1)
    y = (rng.random(10_000) < 0.2).astype(np.int64)
    y[4000:4006] = 2
    rows = np.sort(rng.permutation(10_000)[:8000])
    y[rows[:3]] = 2
    large, small = (subset(rows, y, "multiclass", size, 0) for size in (2000, 500))
    assert set(small) <= set(large)
    assert len(large) == 2000
    assert (y[rows[large]] == 1).mean() == pytest.approx(0.2, abs=0.01)
    assert (y[rows[small]] == 2).sum() >= 5


def test_subset_in_time_takes_the_latest_rows():
    rank = np.random.default_rng(2).permutation(1000)
    rows = np.arange(0, 1000, 2)
    chosen = rows[subset(rows, None, "regression", 100, 0, time_rank=rank)]
    assert rank[chosen].min() >= np.sort(rank[rows])[-100]


def test_subset_of_everything_is_everything():
    assert subset(np.array([3, 8]), None, "regression", 10, 0).tolist() == [0, 1]


def test_units_are_numbered_by_first_appearance_and_missing_groups_stand_alone():
    assert group_units(pl.Series("g", ["b", None, "a", "b", None])).tolist() == [0, 1, 2, 0, 3]


def test_copies_share_a_unit_unless_few_rows_are_possible():
    x = np.random.default_rng(3).normal(size=300)
    frame = pl.DataFrame({"x": np.concatenate([x, x[:20]])})
    assert np.array_equal(duplicate_units(frame, ["x"])[300:], np.arange(20))
    coarse = pl.DataFrame({"x": np.arange(320) % 4})
    assert np.array_equal(duplicate_units(coarse, ["x"]), np.arange(320))


def test_times_of_any_type_become_numbers():
    assert time_values(pl.Series("t", ["2", " 10 ", "", None])).tolist()[:2] == [2.0, 10.0]
    days = time_values(pl.Series("t", ["2024-02-01", "2023-12-31"]))
    assert days[0] > days[1]
    assert np.isnan(time_values(pl.Series("t", [None, 3])))[0]


def test_positives_are_spread_although_one_block_of_copies_holds_most_rows() -> None:
    y = np.zeros(9000, dtype=np.int64)
    y[:200] = 1
    units = np.arange(9000)
    units[199:3500] = 199  # one positive among 3,301 equal rows
    made = folds(9000, y=y, task="binary", units=units, time_rank=None, n_folds=5, seed=0)
    assert [int(y[fold.validation].sum()) for fold in made] == pytest.approx([40] * 5, abs=1)
    assert all(len(np.intersect1d(units[f.training], units[f.validation])) == 0 for f in made)
