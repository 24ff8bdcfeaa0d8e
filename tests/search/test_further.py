"""What a search does with time that is left, on real workers."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer

from modelwright.ensembles.greedy import select
from modelwright.metrics import registry as metrics
from modelwright.search.board import Problem
from modelwright.search.budget import Budget
from modelwright.search.candidate import Candidate
from modelwright.search.executor import Executor
from modelwright.search.further import MOST_VALIDATED, use_time_left
from modelwright.search.jobs import Fit
from modelwright.search.portfolio import Entry
from modelwright.search.search import Search
from modelwright.search.views import Views
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Column, Schema
from modelwright.training.selection import MAX_MEMBERS, choose_members

ENTRIES = [
    Entry("lightgbm", {"n_estimators": 80, "num_leaves": 4}),
    Entry("lightgbm", {"n_estimators": 80, "num_leaves": 8}),
    Entry("extra_trees", {}),
    Entry("lightgbm", {"n_estimators": 1, "learning_rate": 0.005, "num_leaves": 2}),
]


def make(folder: Path, *, n_divisions: int = 3, budget_s: float = 120.0) -> Search:
    folder.mkdir(exist_ok=True)
    data = load_breast_cancer()
    table = pl.DataFrame({f"x{j}": data.data[:, j] for j in range(10)})
    y = data.target.astype(np.int64)
    schema = Schema(tuple(Column(name, "number", "feature") for name in table.columns))
    folds = []
    for division in range(n_divisions):
        part = np.random.default_rng(division).permutation(len(y)) % 3
        folds += [Fold(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(3)]
    problem = Problem("binary", 2, metrics.get("log_loss", "binary"), folds[:3], folds[0], 0, True, y=y, further=folds[3:])
    views = Views(folder / "views", table, schema, y, None, seed=0)
    executor = Executor(2, folder / "log", threading.Event())
    return Search(problem, executor, views, folder, Budget(budget_s, time.monotonic()), lambda event: None)


def hopeless(search: Search) -> Candidate:
    return next(c for c in search.candidates if c.params == ENTRIES[-1].params)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Search:
    search = make(tmp_path_factory.mktemp("search"))
    with search.executor:
        search.probe(["constant"], ENTRIES)
        search.climb()
        search.race(all_folds=True)
        use_time_left(search)
        search.settle()
    return search


def test_the_best_are_compared_on_other_divisions(compared: Search) -> None:
    again = [c for c in compared.candidates if c.compared_on(range(3, 9))]
    assert compared.n_folds == 3
    assert compared.n_further == 6
    assert len(again) >= 2
    assert not hopeless(compared).further, "who hardly learns is not"
    assert not any(c.baseline for c in again)
    for candidate in again:
        assert sorted(candidate.folds) == [0, 1, 2], "the scores of the folds stay those of the first division"
        assert len(candidate.fold_scores) == 3
        for number, fold in enumerate(compared.problem.further, 3):
            assert compared.prediction(candidate, number).shape == (len(fold.validation), 2)
    assert any("6 more folds, of other divisions" in note for note in compared.notes)


def test_rounds_are_those_of_every_division(compared: Search) -> None:
    boosted = next(c for c in compared.candidates if c.algorithm == "lightgbm" and c.compared_on(range(3, 9)))
    counts = [done.n_iterations for done in [*boosted.folds.values(), *boosted.further.values()]]
    assert len(counts) == 9
    assert len(set(counts)) > 1
    assert boosted.n_iterations == boosted.final_params["n_estimators"] == round(float(np.mean(counts)))


def test_who_left_the_race_has_a_second_chance(compared: Search) -> None:
    probed = compared.probed()
    assert len(probed) > 10, "proposals were tried beside the portfolio"
    assert len(compared.validated()) == min(MOST_VALIDATED, len(probed))


def test_members_are_weighed_on_every_division_and_judged_on_the_first(compared: Search) -> None:
    problem, y = compared.problem, compared.problem.y
    selection = choose_members(compared, y, None)
    again = [c for c in compared.validated() if c.compared_on(range(3, 9))]
    parts = [*problem.folds, *problem.further]
    rows = np.concatenate([part.validation for part in parts])
    predictions = [np.concatenate([compared.prediction(c, k) for k in range(9)]) for c in again]
    shares = select(predictions, y[rows], problem.metric, None, max_members=MAX_MEMBERS)
    expected = {c.number: share for c, share in zip(again, shares, strict=True) if share > 0}
    assert {c.number: share for c, share in selection.members} == expected
    assert selection.out_of_fold is not None
    assert len(np.unique(selection.out_of_fold.rows)) == len(selection.out_of_fold.rows) == len(y)
    assert set(selection.out_of_fold.candidates) == {c.number for c in compared.validated()}


def test_limits_that_none_of_those_keeps_are_kept_by_another(compared: Search) -> None:
    candidates = compared.validated()
    other = next(c for c in candidates if not c.further)
    selection = choose_members(
        compared, compared.problem.y, None, allowed=lambda among: lambda at: all(among[i] is other for i in at)
    )
    assert [c for c, _ in selection.members] == [other]


def test_nothing_is_compared_again_before_the_race_has_reached_all_folds(tmp_path: Path) -> None:
    search = make(tmp_path)
    with search.executor:
        search.probe(["constant"], ENTRIES)
        search.climb()
        use_time_left(search)
    assert search.n_folds == 1
    assert search.n_further == 0
    assert not any(c.further or 1 in c.folds for c in search.candidates)


def test_no_further_fold_is_begun_without_the_time_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = make(tmp_path)
    with search.executor:
        search.probe(["constant"], ENTRIES)
        search.climb()
        search.race(all_folds=True)
        monkeypatch.setattr(search.costs, "seconds", lambda candidate, fold: 200.0)
        use_time_left(search)
    assert search.n_folds == 3
    assert search.n_further == 0
    assert not hopeless(search).complete(3)


def test_a_resumed_search_finds_what_was_fitted_on_other_divisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(tmp_path / "first"), make(tmp_path / "second")
    fits: list[Fit] = [first._fit(first.add("linear", {}, "probe"), fold, None) for fold in (None, 1, 2, 3, 7)]
    first.executor.close()
    monkeypatch.setattr(second.executor, "unused", lambda: fits)
    with second.executor:
        second.recall()
    linear = second.candidates[0]
    assert linear.complete(3)
    assert sorted(linear.further) == [3, 7]


def test_what_a_killed_search_had_fitted_there_is_not_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = make(tmp_path, n_divisions=2)
    with search.executor:
        search.probe(["constant"], ENTRIES[:3])
        search.climb()
        search.race(all_folds=True)
        # The latest fold of one candidate came back from the journal; nobody has the others.
        first = search.racing(3)[0]
        search.run([(first, 5)], None)
        asked: list[tuple[int, int | None]] = []
        real = search.run

        def run(work, *rest):
            work = list(work)
            asked.extend((c.number, fold) for c, fold in work)
            real(work, *rest)

        monkeypatch.setattr(search, "run", run)
        use_time_left(search)
    assert search.n_further == 3
    assert (first.number, 3) in asked
    assert (first.number, 4) in asked
    assert (first.number, 5) not in asked
