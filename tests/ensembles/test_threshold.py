"""Thresholds serve a metric, a floor or costs, on validation rows, and hold on new ones."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.ensembles.threshold import check_decisions, choose, choose_threshold, cost_threshold, row_costs
from modelwright.errors import SpecError
from modelwright.metrics.registry import METRICS, score

AUC = METRICS["roc_auc"]


def _rows(n, seed=0, a=0.5, b=6.0):
    rng = np.random.default_rng(seed)
    p = rng.beta(a, b, n)
    return np.column_stack([1 - p, p]), (rng.random(n) < p).astype(np.int64)


def _recall(proba, y, t):
    return np.mean(proba[y == 1, 1] >= t)


def _precision(proba, y, t):
    return np.mean(y[proba[:, 1] >= t])


def test_f1_of_a_rare_class_is_served_near_its_optimum():
    proba, y = _rows(20_000, seed=3)
    metric = METRICS["f1"]
    chosen = choose_threshold(proba, y, metric)
    best = max(score(metric, y, proba, threshold=t) for t in np.linspace(0.02, 0.6, 100))
    assert 0.05 < chosen < 0.4
    assert score(metric, y, proba, threshold=chosen) > best - 0.005


def test_threshold_is_left_alone_where_it_has_no_say_or_brings_nothing():
    proba, y = _rows(5000, seed=4, a=1, b=1)
    for name in ("roc_auc", "log_loss", "precision", "recall", "accuracy"):
        assert choose_threshold(proba, y, METRICS[name]) is None, name
    assert choose_threshold(np.full((10, 2), 0.5), y[:10], METRICS["f1"]) is None


def test_costs_give_the_threshold_of_theory_where_probabilities_are_honest():
    assert cost_threshold({"fp": 1, "fn": 19}) == 0.05
    assert cost_threshold({"fp": 2, "fn": 5, "tp": 1, "tn": 0}) == pytest.approx(1 / 3)
    proba, y = _rows(20_000)
    choice = choose(proba, y, AUC, cost={"fp": 1, "fn": 19})
    assert choice.threshold == 0.05
    assert choice.by == "cost"
    assert choice.low < 0.05 < choice.high


def test_costs_follow_the_rows_where_probabilities_lie():
    proba, y = _rows(20_000)
    halved = np.column_stack([1 - proba[:, 1] / 4, proba[:, 1] / 4])
    cost = {"fp": 1.0, "fn": 4.0}
    choice = choose(halved, y, AUC, cost=cost)
    assert choice.threshold == pytest.approx(0.05, abs=0.015)
    new, y_new = _rows(20_000, seed=1)
    spent = row_costs(new[:, 1] / 4, y_new, choice.threshold, cost).mean()
    assert spent < row_costs(new[:, 1] / 4, y_new, cost_threshold(cost), cost).mean()


@pytest.mark.parametrize("n", [1000, 5000])
def test_floor_of_recall_is_held_on_new_rows_in_nearly_all_cases(n):
    new, y_new = _rows(200_000, seed=99, a=1, b=3)
    held, precise = [], []
    for seed in range(40):
        choice = choose(*_rows(n, seed, a=1, b=3), AUC, floor={"recall": 0.9}, draws=0)
        held.append(_recall(new, y_new, choice.threshold) >= 0.9)
        precise.append(_precision(new, y_new, choice.threshold))
        assert choice.assured["recall"] >= 0.9
    assert np.mean(held) >= 0.9
    assert np.mean(precise) > _precision(new, y_new, np.quantile(new[y_new == 1, 1], 0.05)) - 0.02


def test_floor_of_precision_keeps_as_much_recall_as_it_can():
    new, y_new = _rows(200_000, seed=99, a=1, b=1)
    held = []
    for seed in range(40):
        choice = choose(*_rows(3000, seed, a=1, b=1), AUC, floor={"precision": 0.8}, draws=0)
        held.append(_precision(new, y_new, choice.threshold) >= 0.8)
        assert _recall(new, y_new, choice.threshold) > 0.5
    assert np.mean(held) >= 0.85


def test_floor_that_cannot_be_held_is_refused_with_the_most_that_can():
    proba, y = _rows(3000)
    with pytest.raises(SpecError, match=r"precision of 0\.99 cannot be held: validation rows assure at most 0\.\d+"):
        choose(proba, y, AUC, floor={"precision": 0.99})
    with pytest.raises(SpecError, match=r"beside a recall of 0\.9"):
        choose(proba, y, AUC, floor={"precision": 0.8, "recall": 0.9})


def test_recall_that_no_row_count_can_assure_means_everybody():
    proba, y = _rows(200)
    choice = choose(proba, y, AUC, floor={"recall": 1.0})
    assert _recall(proba, y, choice.threshold) == 1.0
    assert choice.threshold == 0.0


def test_floor_binds_where_costs_would_leave_it():
    proba, y = _rows(20_000, a=1, b=3)
    cost = {"fp": 5.0, "fn": 1.0}
    alone = choose(proba, y, AUC, cost=cost)
    both = choose(proba, y, AUC, cost=cost, floor={"recall": 0.9})
    assert _recall(proba, y, alone.threshold) < 0.5
    assert _recall(proba, y, both.threshold) >= 0.9
    assert both.by == "floor and cost"
    cheap = choose(proba, y, AUC, cost={"fp": 1.0, "fn": 60.0}, floor={"recall": 0.8})
    assert cheap.threshold == cost_threshold({"fp": 1.0, "fn": 60.0})


def test_rows_of_one_entity_widen_the_margin():
    proba, y = _rows(300, a=1, b=3)
    entity = np.repeat(np.arange(300), 20)
    proba, y = np.repeat(proba, 20, axis=0), np.repeat(y, 20)
    apart = choose(proba, y, AUC, floor={"recall": 0.8}, draws=0)
    together = choose(proba, y, AUC, floor={"recall": 0.8}, groups=entity, draws=0)
    assert together.threshold < apart.threshold


@pytest.mark.parametrize("task", ["multiclass", "regression", "clustering"])
def test_costs_and_floors_need_two_classes(task):
    with pytest.raises(SpecError, match="two classes"):
        check_decisions({"fp": 1, "fn": 2}, None, task)
    with pytest.raises(SpecError, match=f"this is a {task} task"):
        check_decisions(None, {"recall": 0.9}, task)
    check_decisions(None, None, task)
    check_decisions({"fp": 1, "fn": 2}, {"recall": 0.9}, "binary")
