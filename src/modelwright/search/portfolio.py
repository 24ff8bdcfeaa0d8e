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

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from modelwright.learners.target import LOG_TARGET
from modelwright.tables.schema import Task


class Entry(NamedTuple):
    """A configuration to try: hyperparameters that differ from the defaults, the features it reads, and what it may take."""

    algorithm: str
    params: dict[str, Any]
    generated: bool = False
    #: Seconds on the probe, roughly; 0 where nothing is known.
    seconds: float = 0.0


#: Further linear models by penalty, where a fit is not dear: the best one differs by a factor of a thousand between tables
#: (decision 0026). Columns that repeat each other nearly, as spectra do, want next to none.
_LINEAR: tuple[dict[str, Any], ...] = (
    {"alpha": 10.0},
    {"alpha": 100.0},
    {"alpha": 0.1},
    {"alpha": 0.01, "skew": "none"},
)
_LINEAR_OF_NUMBERS = (*_LINEAR, {"alpha": 1e-5, "skew": "none"})
#: Skewness of the target from which its logarithm is tried; that of an exponential distribution is 2.
_SKEWED = 1.0
#: Above this many rows k-means runs on mini-batches.
_MINIBATCH_ROWS = 50_000
_CLUSTERS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30)
#: A support vector machine keeps a matrix of rows by rows in view; beyond this it is hopeless at any budget.
_SVM_ROWS = 20_000
#: Share of the budget from which an entry is left out: what is cut off so early is no model. Fits that can end at any
#: round and keep what they have are left out later, and LightGBM with its usual thresholds never.
_HOPELESS = 0.2
_HOPELESS_IN_ROUNDS = 0.5
#: L2 penalty on leaf values where there are several classes. Without any, a leaf with a row or two of a rare class takes a
#: step that undoes all others: on 10,000 rows of kddcup99_10pct (23 classes) a log-loss of 0.56, with it 0.007. A penalty of 1
#: is as good or better, but takes up to five times the rounds (decision 0019).
_LEAF_PENALTY = 0.1
#: Columns from which the network first reads numbers as they are: what accompanies each of them takes seven eighths of the
#: time there and hardly helps (decision 0022).
_WIDE = 100
#: Epochs of the network, and the share of the budget up to which a fit may take them: longer ones leave little time for
#: further seeds (decision 0022).
_EPOCHS = ((64, 0.075), (32, 0.15), (24, 0.15), (16, 1.0))
#: Share of the budget from which an entry waits until the cheaper ones had their turn.
_DEAR_SHARE = 0.05


def portfolio(
    task: Task,
    n_rows: int,
    n_features: int,
    budget_s: float | None,
    n_classes: int = 2,
    *,
    skewed: bool = False,
    n_probe: int | None = None,
    generated: bool = False,
) -> list[Entry]:
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
    n_classes : int, default=2
        Boosting grows a tree for each class in each round.
    skewed : bool, default=False
        Numbers from 0 up with a long tail: their logarithm is tried too.
    n_probe : int, optional
        Rows of the subset on which the entries are tried first; all rows by default.
    generated : bool, default=False
        Whether there may be generated features for some entries to read.

    Returns
    -------
    list of Entry
    """
    if task == "clustering":
        return _clustering(n_rows)
    rate = learning_rate(task, n_rows, n_features, budget_s, n_classes)
    boosting = {"learning_rate": rate, "n_estimators": _rounds(rate)}

    def penalty(name: str) -> dict[str, float]:
        return {name: _LEAF_PENALTY} if task == "multiclass" else {}

    def lightgbm(**params: Any) -> Entry:
        return Entry("lightgbm", _lightgbm(task, n_rows, rate, **penalty("lambda_l2") | params))

    entries = [
        Entry("linear", {}),
        lightgbm(),
        Entry("catboost", {"depth": 6} | boosting),
        lightgbm(
            num_leaves=16, min_data_in_leaf=1, feature_fraction=0.58, bagging_fraction=0.96, lambda_l1=0.94, lambda_l2=0.99
        ),
        lightgbm(
            extra_trees=True, num_leaves=7, min_data_in_leaf=1, feature_fraction=0.99,
            bagging_fraction=0.96, lambda_l1=0.35, lambda_l2=1.96,
        ),
        lightgbm(
            extra_trees=True, num_leaves=39, min_data_in_leaf=3, feature_fraction=0.46,
            bagging_fraction=0.88, lambda_l1=0.24, lambda_l2=0.36, cat_smooth=15.0,
        ),
        _network(n_rows, n_features, budget_s),
        lightgbm(
            extra_trees=True, num_leaves=180, min_data_in_leaf=12, feature_fraction=0.40,
            bagging_fraction=0.95, lambda_l1=0.77, lambda_l2=1.6,
        ),
        Entry("xgboost", {"grow_policy": "lossguide", "max_leaves": 24, "max_depth": 10} | boosting | penalty("reg_lambda")),
        Entry("extra_trees", {}),
        Entry("random_forest", {}),
        Entry("svm", {}),
    ]  # fmt: skip
    if generated:
        # What gained most from generated features: near-additive trees, CatBoost and linear models (docs/benchmarks.md).
        entries[7:7] = [entry._replace(generated=True) for entry in (entries[4], entries[2], entries[0])]
    if n_features > _WIDE:
        entries.insert(6, _network(n_rows, n_features, budget_s, number_embedding="none"))
    if skewed:
        # On six such tables the loss of boosting fell by 2 % at the median, on two it rose (decision 0009).
        log = {LOG_TARGET.name: 1.0}
        network = next(k for k, entry in enumerate(entries) if entry.algorithm == "network")
        entries.insert(network + 1, entries[network]._replace(params=entries[network].params | log))
        entries[4:4] = [entry._replace(params=entry.params | log) for entry in (entries[0], entries[3], entries[2])]
    rows = n_rows if n_probe is None else n_probe
    if budget_s is None or fit_seconds("linear", task, rows, n_features, n_classes) <= _DEAR_SHARE * budget_s:
        entries += [Entry("linear", params) for params in (_LINEAR_OF_NUMBERS if task == "regression" else _LINEAR)]
    costs = [(fit_seconds(entry.algorithm, task, rows, n_features, n_classes, entry.params), entry) for entry in entries]
    if budget_s is not None:
        dear = _DEAR_SHARE * budget_s
        costs = [(seconds, entry) for seconds, entry in costs if _hopeful(entry, seconds / budget_s)]
        costs.sort(key=lambda pair: pair[0] if pair[0] > dear else 0.0)
    return [entry._replace(seconds=s) for s, entry in costs if entry.algorithm != "svm" or n_rows <= _SVM_ROWS]


def is_skewed(y: np.ndarray) -> bool:
    """Whether a target of numbers from 0 up has a long tail, so that its logarithm may be the better scale."""
    spread = float(np.std(y))
    if y.min() < 0 or spread == 0:
        return False
    return float(np.mean(((y - y.mean()) / spread) ** 3)) > _SKEWED


def _hopeful(entry: Entry, share: float) -> bool:
    """Whether an entry that is expected to take this share of the budget is worth a try."""
    if entry.algorithm == "lightgbm" and not entry.params.get("extra_trees"):
        return True
    in_rounds = entry.algorithm in ("lightgbm", "xgboost", "catboost", "network", "linear")
    return share <= (_HOPELESS_IN_ROUNDS if in_rounds else _HOPELESS)


def learning_rate(task: Task, n_rows: int, n_features: int, budget_s: float | None, n_classes: int = 2) -> float:
    """Step of boosting that a budget can pay for: half the step needs twice the trees and gains a little.

    At 60 s and 10,000 rows the losses at 0.05 were 1 to 10 % below those at 0.1 (docs/benchmarks.md), which costs
    half more time.
    """
    if budget_s is None:
        return 0.05
    seconds = budget_s / max(1e-9, fit_seconds("lightgbm", task, n_rows, n_features, n_classes))
    if seconds > 400:
        return 0.03
    return 0.05 if seconds > 12 else 0.1


def fit_seconds(
    algorithm: str, task: Task, n_rows: int, n_features: int, n_classes: int = 2, params: Mapping[str, Any] | None = None
) -> float:
    """Expected seconds of one fit on one core, to within a factor of about three.

    Measured on 7,000 rows of 8 to 80 columns, and 26 classes (docs/benchmarks.md). Trees with random thresholds need
    many more rounds where there are many classes.
    """
    params = params or {}
    thousands = n_rows / 1000
    width = max(1.0, n_features / 20)
    classes = n_classes if task == "multiclass" else 1
    if algorithm in ("lightgbm", "xgboost"):
        rounds = 4.0 if params.get("extra_trees") else 1.0
        return 0.05 * rounds * thousands * width**0.3 * classes**0.6
    if algorithm == "catboost":
        return 0.15 * thousands * width * (0.8 + 0.2 * classes)
    if algorithm == "network":
        per_column = 0.06 if params.get("number_embedding") == "none" else 0.2
        return 0.018 * params.get("n_epochs", 32) * thousands * (0.8 + per_column * width)
    if algorithm == "svm":
        return 0.1 * thousands**2 * (0.8 + 0.2 * width)
    return 0.02 * thousands * width


def _network(n_rows: int, n_features: int, budget_s: float | None, **params: Any) -> Entry:
    """The network with as many epochs as a budget can pay for; the schedule is laid over them."""
    for epochs, share in _EPOCHS:
        params["n_epochs"] = epochs
        if budget_s is None or fit_seconds("network", "binary", n_rows, n_features, 2, params) < share * budget_s:
            break
    return Entry("network", params)


def _rounds(rate: float) -> int:
    """Cap on the number of trees: randomised trees at a rate of 0.1 were still getting better after 2000."""
    return min(10_000, round(400 / rate))


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
    return [Entry(algorithm, {"n_clusters": k}) for k in counts]
