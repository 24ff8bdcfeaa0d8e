"""The generations of the search, on real workers."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer

from modelwright.metrics import registry as metrics
from modelwright.search.board import Limits, Problem
from modelwright.search.budget import Budget
from modelwright.search.candidate import Candidate
from modelwright.search.executor import Executor
from modelwright.search.portfolio import Entry
from modelwright.search.search import NO_TIME, Search
from modelwright.search.views import Views
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Column, Schema

ENTRIES = [
    Entry("linear", {}),
    Entry("lightgbm", {"n_estimators": 60}),
    Entry("lightgbm", {"n_estimators": 60, "num_leaves": 4}),
    Entry("extra_trees", {}),
]


def make(folder: Path, n_workers: int, *, budget_s: float | None = None, rungs: bool = False, admits=None, **limits) -> Search:
    folder.mkdir(exist_ok=True)
    data = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(data.target))
    table = pl.DataFrame({f"x{j}": data.data[order, j] for j in range(10)})
    y = data.target[order].astype(np.int64)
    schema = Schema(tuple(Column(name, "number", "feature") for name in table.columns))
    rows = np.arange(len(y))
    folds = [Fold(rows[rows % 5 != k], rows[rows % 5 == k]) for k in range(5)]
    probe = Fold(folds[0].training[::3], folds[0].validation) if rungs else folds[0]
    settings = {key: limits.pop(key) for key in ("sampler", "grids") if key in limits}
    problem = Problem(
        "binary", 2, metrics.get("roc_auc", "binary"), folds, probe, 0, not rungs, y=y, limits=Limits(**limits), **settings
    )
    executor = Executor(n_workers, folder / "log", threading.Event())
    views = Views(folder / "views", table, schema, y, None, seed=0)
    extra = {} if admits is None else {"admits": admits}
    return Search(problem, executor, views, folder, Budget(budget_s, time.monotonic()), lambda event: None, **extra)


def run(search: Search, entries: list[Entry] | None = None) -> Search:
    with search.executor:
        search.probe(["constant"], entries or ENTRIES)
        search.climb()
        search.race()
        while search.tune():
            search.climb()
            search.race()
        search.settle()
    return search


@pytest.mark.parametrize("rungs", [False, True])
def test_one_worker_and_two_find_the_same(tmp_path: Path, rungs: bool) -> None:
    outcomes = []
    for n_workers in (1, 2):
        folder = tmp_path / str(n_workers)
        folder.mkdir()
        search = run(make(folder, n_workers, rungs=rungs, trials=10))
        outcomes.append([(c.algorithm, c.params, [done.score for done in c.answers()]) for c in search.candidates])
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) == 11, "ten configurations and the baseline"


def test_candidates_climb_from_the_subset_to_all_rows(tmp_path: Path) -> None:
    search = run(make(tmp_path, 2, rungs=True, trials=4))

    assert len(search.problem.folds) == search.n_folds == 5
    best = search.validated()[0]
    assert len(best.fold_scores) == 5
    assert search.prediction(best, 0).shape == (len(search.problem.folds[0].validation), 2)
    assert search.folder(best, 0) != search.folder(best, None)
    assert search.validated(baseline=True), "baselines are scored on the same folds"


def test_hopeless_candidates_leave_the_race(tmp_path: Path) -> None:
    # Three of one algorithm: a good one, its equal, and one that hardly learns.
    entries = [Entry("lightgbm", {"n_estimators": n, "learning_rate": 0.1}) for n in (60, 80)]
    entries += [Entry("lightgbm", {"n_estimators": 1, "learning_rate": 0.005, "num_leaves": 2}), Entry("linear", {})]
    search = make(tmp_path, 2, trials=4)
    with search.executor:
        search.probe([], entries)
        search.climb()
        search.race()
    hopeless = search.candidates[2]
    assert len(hopeless.fold_scores) < 5
    assert all(c.complete(5) for c in search.racing(5))


def test_one_that_is_far_behind_leaves_the_race_though_the_best_of_its_algorithm(tmp_path: Path) -> None:
    hardly = {"n_estimators": 1, "learning_rate": 0.005, "num_leaves": 2}
    entries = [Entry("linear", {}), Entry("xgboost", {"n_estimators": 60}), Entry("extra_trees", {}), Entry("lightgbm", hardly)]
    search = make(tmp_path, 2, trials=4)
    with search.executor:
        search.probe([], entries)
        search.race()
    assert search.candidates[3].probe is not None
    assert search.candidates[3].probe.score is not None
    racing = {c.algorithm for c in search.racing(1)}
    assert "lightgbm" not in racing
    assert len(racing) == 3


def test_while_others_work_proposals_near_the_best_are_tried(tmp_path: Path) -> None:
    search = make(tmp_path, 2, budget_s=600)
    with search.executor:
        search.probe([], ENTRIES)
        n = len(search.candidates)
        awaited = {0}
        beside = search.meanwhile(awaited)
        (first, fold), (second, _) = next(beside), next(beside)
        assert [c.number for c in (first, second)] == [n, n + 1]
        assert first.proposed
        assert fold is None, "on the rows of the probe"
        best = {c.algorithm: c.params for c in reversed(search.probed())}
        assert first.algorithm in best
        assert first.params != best[first.algorithm]
        before = Counter(c.algorithm for c in search.candidates if c.proposed and c is not second)
        fewest = min(before[name] for name in list(search.families())[:3])
        assert before[second.algorithm] == fewest, "algorithms take turns"
        search.run([(first, None)], None)
        assert first.score is not None
        awaited.clear()
        assert list(beside) == [], "nobody waits any more"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"trials": 9}, "no clock: the trials would depend on the number of workers"),
        ({"budget_s": 600, "rungs": True}, "the best of a subset would push the portfolio aside"),
        ({"budget_s": 600, "sampler": "grid"}, "a grid is gone through in order"),
    ],
)
def test_nothing_is_tried_beside_others(tmp_path: Path, settings: dict[str, object], why: str) -> None:
    search = make(tmp_path, 1, **settings)  # type: ignore[arg-type]
    with search.executor:
        search.probe([], ENTRIES[:2])
        assert list(search.meanwhile({0})) == [], why


def test_once_further_folds_of_the_best_fill_the_time_only_what_is_cheap_is_probed(tmp_path: Path) -> None:
    search = make(tmp_path, 2, budget_s=600)
    with search.executor:
        search.probe(["constant"], ENTRIES)
        names = ("lightgbm", "catboost", "svm", "network")
        known, dear, cheap, untried = (search.add(name, {}, "probe") for name in names)
        floor = search.candidates[0]
        work = [(c, None) for c in (known, dear, cheap, untried, floor)]
        expected = {known.number: 0.1, dear.number: 400.0, cheap.number: 0.1, untried.number: 100.0}
        assert list(search._worth_probing(work, expected)) == work, "there is time for all"
        for candidate in search.probed():
            assert candidate.probe is not None
            candidate.probe = candidate.folds[0] = msgspec.structs.replace(candidate.probe, seconds=2000.0)
        # What was measured of an algorithm counts before what was expected; the first of an algorithm may take longer;
        # baselines are always tried.
        assert [c for c, _ in search._worth_probing(work, expected)] == [cheap, untried, floor]
        assert known.unavailable == dear.unavailable == NO_TIME


def test_what_memory_does_not_hold_is_not_begun(tmp_path: Path) -> None:
    def admits(candidate: Candidate, n_rows: int) -> str:
        return "needs more memory" if candidate.algorithm == "extra_trees" else ""

    search = run(make(tmp_path, 2, trials=4, admits=admits))
    refused = next(c for c in search.candidates if c.algorithm == "extra_trees")
    assert refused.probe is not None
    assert (refused.probe.ended, refused.score) == ("memory", None)
    assert search.validated()


def test_too_many_failures_end_the_search(tmp_path: Path) -> None:
    search = make(tmp_path, 1, failures=2, trials=20)
    with search.executor:
        search.probe([], [*ENTRIES[:2], *[Entry("lightgbm", {"num_leaves": 10**9})] * 2])
        search.climb()
        assert sum(c.failed for c in search.candidates) == 2
        assert not search.tune()


def test_a_grid_is_tried_cell_by_cell(tmp_path: Path) -> None:
    grid = {"lightgbm": {"num_leaves": tuple(range(2, 16)), "n_estimators": (20,)}}
    search = run(
        make(tmp_path, 2, trials=14, sampler="grid", grids=grid), [Entry("lightgbm", {"num_leaves": 2, "n_estimators": 20})]
    )
    leaves = [c.params["num_leaves"] for c in search.candidates if not c.baseline]
    assert leaves == list(range(2, 16))
    assert {c.params["n_estimators"] for c in search.candidates if not c.baseline} == {20}


def test_search_ends_in_time_and_keeps_room_for_the_final_fit(tmp_path: Path) -> None:
    search = make(tmp_path, 2, budget_s=14.0)
    run(search)
    left = search.budget.left()
    assert search.validated()
    # The tail (evaluation, report) and at least the share of the final fit are still there.
    assert left >= search.budget.tail_s


def test_where_no_good_one_ends_in_time_all_learn_from_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = make(tmp_path, 2, rungs=True, budget_s=60)
    n_all, n_probe = len(search.problem.folds[0].training), len(search.problem.probe.training)
    with search.executor:
        search.probe(["constant"], ENTRIES)
        monkeypatch.setattr(search.costs, "whole_seconds", lambda candidate, candidates, fold: 500.0)
        search.climb()
    fold = search.problem.folds[0]
    assert len(fold.training) == search.problem.n_fewer == 2 * n_probe < n_all
    assert len(fold.validation) == n_all // 4 + 1, "validation rows stay"
    assert search.problem.n_rows == n_all + len(fold.validation), "what a fit on all rows takes is not forgotten"
    assert search.encoding.has(f"fold0.{2 * n_probe}")
    assert any(f"on {n_all:,} rows" in note for note in search.notes)
    best = search.validated()[0]
    assert search.prediction(best, 0).shape == (len(fold.validation), 2)
    # Once something was fitted on them, the rows of a fold stay what they are.
    search._spare_rows(0.1)
    assert search.problem.folds[0] is fold


def test_a_resumed_search_spares_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(tmp_path / "first", 1, rungs=True), make(tmp_path / "second", 1, rungs=True, budget_s=60)
    first.take_fewer(250)
    fits = [first._fit(first.add("linear", {}, "probe"), fold, None) for fold in (None, 0)]
    first.executor.close()
    monkeypatch.setattr(second.executor, "unused", lambda: fits)
    with second.executor:
        second.recall()
    assert second.problem.n_fewer == 250
    np.testing.assert_array_equal(second.problem.folds[0].training, first.problem.folds[0].training)
    [linear] = second.candidates
    assert linear.probe is not None
    assert linear.complete(1)
