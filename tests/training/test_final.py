"""The fit on all rows: seeds that share the weight of a member."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer

from modelwright.ensembles.calibration import NONE
from modelwright.metrics import registry as metrics
from modelwright.search.board import MOST_FITS, NETWORK_SEEDS, Problem
from modelwright.search.budget import Budget
from modelwright.search.candidate import Candidate
from modelwright.search.executor import Executor
from modelwright.search.jobs import Done
from modelwright.search.portfolio import Entry
from modelwright.search.search import Search
from modelwright.search.views import Views
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Column, Schema
from modelwright.training import final as final_fit
from modelwright.training.final import FinalFit, fit_on_all_rows
from modelwright.training.selection import Selection

ENTRIES = [
    Entry("lightgbm", {"n_estimators": 20}),
    Entry("network", {"n_epochs": 4, "width": 16}),
    Entry("extra_trees", {}),
    Entry("linear", {}),
]


def prepared(folder: Path, n_folds: int) -> Search:
    """A search that is yet to begin, on folds of thirds."""
    data = load_breast_cancer()
    table = pl.DataFrame({f"x{j}": data.data[:, j] for j in range(5)})
    y = data.target.astype(np.int64)
    rows = np.arange(len(y))
    folds = [Fold(rows[rows % 3 != k], rows[rows % 3 == k]) for k in range(n_folds)]
    problem = Problem("binary", 2, metrics.get("log_loss", "binary"), folds, folds[0], 0, True, y=y)
    schema = Schema(tuple(Column(name, "number", "feature") for name in table.columns))
    return Search(
        problem,
        Executor(2, folder / "log", threading.Event()),
        Views(folder / "views", table, schema, y, None, seed=0),
        folder,
        Budget(200, time.monotonic()),
        lambda e: None,
    )


@pytest.fixture
def searched(tmp_path: Path) -> Iterator[Search]:
    search = prepared(tmp_path, 1)
    with search.executor:
        search.run([(search.add(entry.algorithm, entry.params, "probe"), None) for entry in ENTRIES], None)
        yield search


@pytest.fixture
def validated(tmp_path: Path) -> Iterator[Search]:
    """The same candidates on three folds."""
    search = prepared(tmp_path, 3)
    with search.executor:
        candidates = [search.add(entry.algorithm, entry.params, "validate") for entry in ENTRIES]
        for fold in range(3):
            search.run([(candidate, fold) for candidate in candidates], None)
        yield search


def fitted(search: Search, shares: dict[str, float], seeds: int = 3, *, alike: bool = False) -> FinalFit:
    members = [(c, shares[c.algorithm]) for c in search.candidates[: len(ENTRIES)] if c.algorithm in shares]
    return fit_on_all_rows(search, Selection(members, NONE, None, None, None, 0, []), [], 569, seeds=seeds, alike=alike)


def test_a_network_is_fitted_with_more_seeds_than_others_and_first(searched: Search) -> None:
    final = fitted(searched, {"lightgbm": 0.5, "network": 0.3, "extra_trees": 0.2})

    fits = Counter(record.algorithm for record in final.records)
    assert fits == {"network": NETWORK_SEEDS, "lightgbm": 2, "extra_trees": 1}
    assert len(final.members) == len(final.records) == MOST_FITS
    for algorithm, share in (("lightgbm", 0.5), ("network", 0.3), ("extra_trees", 0.2)):
        weights = [record.weight for record in final.records if record.algorithm == algorithm]
        assert sum(weights) == pytest.approx(share)
        assert len(set(weights)) == 1
    networks = [
        member.learner for member, record in zip(final.members, final.records, strict=True) if record.algorithm == "network"
    ]
    assert len({record.seed for record in final.records if record.algorithm == "network"}) == NETWORK_SEEDS
    assert len({learner._weights["out.weight"].tobytes() for learner in networks}) == NETWORK_SEEDS, "each is another network"


@pytest.mark.parametrize(
    ("fit_s", "likely", "reserve_s"),
    [
        (10.0, ("lightgbm", "linear"), 16.0),  # the least share of 200 s; both at a time take 10 s
        (10.0, ("lightgbm", "network"), 34.0),  # six fits, two at a time, 1.1 of what they take and a second
        (20.0, ("lightgbm", "network"), 50.0),  # no more than a quarter of the budget
    ],
)
def test_the_search_ends_in_time_for_further_seeds_of_networks(
    searched: Search, monkeypatch: pytest.MonkeyPatch, fit_s: float, likely: tuple[str, ...], reserve_s: float
) -> None:
    monkeypatch.setattr(searched.costs, "refit_seconds", lambda candidate, rows: fit_s)
    monkeypatch.setattr(searched.encoding, "full_s", lambda generated: 0.0)
    searched.likely = [c for c in searched.candidates[: len(ENTRIES)] if c.algorithm in likely]

    def reserved() -> float:
        fit_deadline, search_deadline = searched.budget.fit_deadline, searched.search_deadline()
        assert fit_deadline is not None
        assert search_deadline is not None
        return fit_deadline - search_deadline

    assert reserved() == pytest.approx(reserve_s)
    searched.problem = replace(searched.problem, several_seeds=False)
    assert reserved() == pytest.approx(max(16.0, 1.1 * fit_s + 1.0)), "one fit a member, both at a time"


def test_one_seed_is_one_fit_a_member(searched: Search) -> None:
    final = fitted(searched, {"network": 0.6, "lightgbm": 0.4}, seeds=1)
    assert Counter(record.algorithm for record in final.records) == {"network": 1, "lightgbm": 1}


def test_another_seed_of_what_draws_nothing_is_not_fitted(searched: Search) -> None:
    final = fitted(searched, {"linear": 0.6, "lightgbm": 0.4})
    assert Counter(record.algorithm for record in final.records) == {"linear": 1, "lightgbm": 3}


def no_time_for(monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    """Fits of an algorithm on all rows do not end in time."""
    real = final_fit._answers

    def answers(search: Search, wanted: list[Candidate], n_rows: int, deadline: float | None) -> dict[int, Done]:
        return real(search, [c for c in wanted if c.algorithm != algorithm], n_rows, deadline)

    monkeypatch.setattr(final_fit, "_answers", answers)


def test_models_of_all_folds_stand_in_for_a_fit_on_all_rows(validated: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    no_time_for(monkeypatch, "network")
    shares = {"network": 0.6, "lightgbm": 0.4}

    final = fitted(validated, shares, alike=True)
    of_folds = [record for record in final.records if record.algorithm == "network"]
    assert sorted(record.fold for record in of_folds if record.fold is not None) == [0, 1, 2]
    assert [record.weight for record in of_folds] == pytest.approx([0.2] * 3)
    assert {(record.refit, record.seed) for record in of_folds} == {(False, validated.problem.seed)}
    assert [record.n_rows for record in of_folds] == [len(validated.problem.folds[r.fold or 0].training) for r in of_folds]
    assert sum(member.weight for member in final.members) == pytest.approx(1.0)
    assert [member.weight for member in final.members] == [record.weight for record in final.records]
    learners = [m.learner for m, r in zip(final.members, final.records, strict=True) if r.algorithm == "network"]
    assert len({learner._weights["out.weight"].tobytes() for learner in learners}) == 3
    readers = {member.encoder for member, record in zip(final.members, final.records, strict=True) if not record.refit}
    assert len(readers) == 3, "each reads rows as the fold it was fitted on"

    final = fitted(validated, shares)
    assert [(r.fold, r.weight) for r in final.records if r.algorithm == "network"] == [(0, 0.6)], "folds of other times"


def test_there_are_no_more_models_of_folds_than_a_model_may_have(validated: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_fit, "MOST_FITS", 3)
    no_time_for(monkeypatch, "network")
    final = fitted(validated, {"network": 0.6, "lightgbm": 0.4}, alike=True)
    assert sorted((r.algorithm, r.weight) for r in final.records) == [("lightgbm", 0.4), ("network", 0.3), ("network", 0.3)]


def test_a_network_of_one_seed_shares_its_weight_with_its_models_of_folds(
    validated: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = {"network": 0.6, "extra_trees": 0.4}
    final = fitted(validated, shares, alike=True)
    assert {r.fold for r in final.records} == {None}, "there was time for other seeds"

    monkeypatch.setattr(final_fit, "NETWORK_SEEDS", 1)
    final = fitted(validated, shares, alike=True)
    network = {record.fold: record.weight for record in final.records if record.algorithm == "network"}
    assert network == pytest.approx({None: 0.3, 0: 0.1, 1: 0.1, 2: 0.1})
    assert {r.fold for r in final.records if r.algorithm == "extra_trees"} == {None}, "others know more when fitted on all rows"
    assert {r.fold for r in fitted(validated, shares).records} == {None}
    assert len(fitted(validated, shares, seeds=1, alike=True).records) == 2, "each fit adds to the time of a prediction"
