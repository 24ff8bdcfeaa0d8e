"""The fit on all rows: seeds that share the weight of a member."""

from __future__ import annotations

import threading
import time
from collections import Counter
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
from modelwright.search.executor import Executor
from modelwright.search.portfolio import Entry
from modelwright.search.search import Search
from modelwright.search.views import Views
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Column, Schema
from modelwright.training.final import FinalFit, fit_on_all_rows
from modelwright.training.selection import Selection

ENTRIES = [
    Entry("lightgbm", {"n_estimators": 20}),
    Entry("network", {"n_epochs": 4, "width": 16}),
    Entry("extra_trees", {}),
    Entry("linear", {}),
]


@pytest.fixture
def searched(tmp_path: Path):
    data = load_breast_cancer()
    table = pl.DataFrame({f"x{j}": data.data[:, j] for j in range(5)})
    y = data.target.astype(np.int64)
    rows = np.arange(len(y))
    folds = [Fold(rows[rows % 3 != k], rows[rows % 3 == k]) for k in range(3)]
    problem = Problem("binary", 2, metrics.get("log_loss", "binary"), folds[:1], folds[0], 0, True, y=y)
    views = Views(
        tmp_path / "views", table, Schema(tuple(Column(name, "number", "feature") for name in table.columns)), y, None, seed=0
    )
    search = Search(
        problem,
        Executor(2, tmp_path / "log", threading.Event()),
        views,
        tmp_path,
        Budget(200, time.monotonic()),
        lambda e: None,
    )
    with search.executor:
        search.run([(search.add(entry.algorithm, entry.params, "probe"), None) for entry in ENTRIES], None)
        yield search


def fitted(search: Search, shares: dict[str, float], seeds: int = 3) -> FinalFit:
    members = [(c, shares[c.algorithm]) for c in search.candidates[: len(ENTRIES)] if c.algorithm in shares]
    return fit_on_all_rows(search, Selection(members, NONE, None, None, None, 0, []), [], 569, seeds=seeds)


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
