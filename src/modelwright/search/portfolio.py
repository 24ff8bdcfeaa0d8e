"""The first configurations to try, best expected gain first.

Values come from the learned portfolio of AutoGluon 1.5 and the tuned defaults of pytabkit [1]_ [2]_: a few
configurations that differ in kind gain more than any tuning of one. What fits no machine or no budget at this size
is left out; `search` decides how far down the list the time reaches.

References
----------
.. [1] Salinas, Erickson, "TabRepo: A Large Scale Repository of Tabular Model Evaluations", AutoML 2024.
.. [2] Holzmueller, Grinsztajn, Steinwart, "Better by Default", NeurIPS 2024.
"""

from __future__ import annotations

from typing import Any

from modelwright.tables.schema import Task

Entry = tuple[str, dict[str, Any]]

#: Above this many rows k-means runs on mini-batches.
_MINIBATCH_ROWS = 50_000
_CLUSTERS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30)
#: A support vector machine keeps a matrix of rows by rows in view; beyond this it is hopeless at any budget.
_SVM_ROWS = 20_000
#: Share of the budget that one fit may be expected to take. Validation on folds and the final fit repeat it.
_FIT_SHARE = 0.15


def portfolio(task: Task, n_rows: int, n_features: int, budget_s: float | None) -> list[Entry]:
    """Configurations in the order in which to try them.

    Parameters
    ----------
    task : {"binary", "multiclass", "regression", "clustering"}
    n_rows : int
        Training rows of the largest fit.
    n_features : int
        Columns of the encoded table.
    budget_s : float or None
        Seconds for the whole run; None is no limit.

    Returns
    -------
    list of (str, dict)
        Algorithm name, and hyperparameters that differ from its defaults.
    """
    if task == "clustering":
        return _clustering(n_rows)
    rate = learning_rate(budget_s)
    boosting = {"learning_rate": rate, "n_estimators": _rounds(rate)}
    entries: list[Entry] = [
        ("linear", {}),
        ("lightgbm", _lightgbm(task, n_rows, rate)),
        ("catboost", {"depth": 6} | boosting),
        (
            "lightgbm",
            _lightgbm(
                task, n_rows, rate, extra_trees=True, num_leaves=39, min_data_in_leaf=3, feature_fraction=0.46,
                bagging_fraction=0.88, lambda_l1=0.24, lambda_l2=0.36, cat_smooth=15.0,
            ),
        ),
        ("network", {}),
        (
            "lightgbm",
            _lightgbm(
                task, n_rows, rate, extra_trees=True, num_leaves=7, min_data_in_leaf=1, feature_fraction=0.99,
                bagging_fraction=0.96, lambda_l1=0.35, lambda_l2=1.96,
            ),
        ),
        (
            "lightgbm",
            _lightgbm(
                task, n_rows, rate, extra_trees=True, num_leaves=180, min_data_in_leaf=12, feature_fraction=0.40,
                bagging_fraction=0.95, lambda_l1=0.77, lambda_l2=1.6,
            ),
        ),
        ("extra_trees", {}),
        ("random_forest", {}),
        ("xgboost", {"grow_policy": "lossguide", "max_leaves": 24, "max_depth": 10} | boosting),
        ("svm", {}),
    ]  # fmt: skip
    entries = [entry for entry in entries if _affordable(entry[0], task, n_rows, n_features, budget_s)]
    # A network costs ten times a boosted fit: where it would hold up the cheap entries it waits for them.
    if budget_s is not None and fit_seconds("network", task, n_rows, n_features) > 0.05 * budget_s:
        entries.sort(key=lambda entry: entry[0] == "network")
    return entries


def learning_rate(budget_s: float | None) -> float:
    """Step of boosting that a budget can pay for: half the step needs twice the trees and gains a little."""
    if budget_s is None:
        return 0.05
    if budget_s <= 90:
        return 0.1
    return 0.05 if budget_s <= 900 else 0.03


def fit_seconds(algorithm: str, task: Task, n_rows: int, n_features: int) -> float:
    """Expected seconds of one fit on one core, to within a factor of about three; 0 for what is cheap anyway.

    Measured on 3,200 to 6,400 rows of 9 to 20 columns: CatBoost 0.3 to 1.2 s (6 to 10 s with 26 classes), network 3
    to 10 s. The network counts with a quarter of its epochs, which is where its first useful stop lies.
    """
    thousands = n_rows / 1000
    width = max(1.0, n_features / 20)
    many_classes = 4.0 if task == "multiclass" else 1.0
    if algorithm == "catboost":
        return 0.15 * thousands * width * many_classes
    if algorithm == "network":
        return 0.3 * thousands * (0.8 + 0.2 * width)
    if algorithm == "svm":
        return 0.1 * thousands**2 * (0.8 + 0.2 * width)
    return 0.0


def _affordable(algorithm: str, task: Task, n_rows: int, n_features: int, budget_s: float | None) -> bool:
    if algorithm == "svm" and n_rows > _SVM_ROWS:
        return False
    return budget_s is None or fit_seconds(algorithm, task, n_rows, n_features) <= _FIT_SHARE * budget_s


def _rounds(rate: float) -> int:
    """Cap on the number of trees: 1000 at a learning rate of 0.1, twice as many at half of it."""
    return min(10_000, round(100 / rate))


def _lightgbm(task: Task, n_rows: int, rate: float, **params: Any) -> dict[str, Any]:
    """One configuration, with no more leaves than the rows can fill twice."""
    params = {"learning_rate": rate, "n_estimators": _rounds(rate)} | params
    leaves = params.get("num_leaves", 100 if task == "regression" else 50)
    in_leaf = params.get("min_data_in_leaf", 3 if task == "regression" else 40)
    in_leaf = max(1, min(in_leaf, n_rows // 20))
    return params | {"min_data_in_leaf": in_leaf, "num_leaves": max(4, min(leaves, n_rows // (2 * in_leaf)))}


def _clustering(n_rows: int) -> list[Entry]:
    """k-means for a spread of cluster numbers, leaving at least five rows a cluster."""
    algorithm = "minibatch_kmeans" if n_rows > _MINIBATCH_ROWS else "kmeans"
    counts = [k for k in _CLUSTERS if k * 5 <= n_rows] or [2]
    return [(algorithm, {"n_clusters": k}) for k in counts]
