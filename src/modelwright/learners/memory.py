"""How much memory a fit will take, before it is made.

Notation: n rows, p numeric and q coded columns, K outputs (1 for numbers and two classes), d columns after one-hot coding.

Each estimate is the library once it is loaded, plus what grows with the table, plus the model. The factors were fitted to
the peak of the resident memory of 54 fits in fresh processes of 1,000 to 200,000 rows; on 15 fits of other sizes and
settings they were 0.75 to 1.21 times what was measured (once 1.8 times), so plan with a quarter more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from modelwright.tables.free_memory import free_bytes

_MB = 1e6
#: Resident memory that a library adds to a worker when it is first used.
_LIBRARIES = {
    "constant": 2 * _MB,
    "shallow_tree": 150 * _MB,
    "simple_linear": 190 * _MB,
    "median_split": 190 * _MB,
    "linear": 190 * _MB,
    "svm": 160 * _MB,
    "random_forest": 155 * _MB,
    "extra_trees": 155 * _MB,
    "lightgbm": 150 * _MB,
    "catboost": 130 * _MB,
    "xgboost": 150 * _MB,
    "network": 290 * _MB,
    "kmeans": 160 * _MB,
    "minibatch_kmeans": 160 * _MB,
}
#: Of what is not known here.
_OTHER_LIBRARY = 300 * _MB
#: Levels of a coded column where nobody says how many it has.
_LEVELS = 20
#: Free memory that is assumed where the system does not tell.
_UNKNOWN_FREE = 2_000 * _MB
#: Cells of a dense coding at most, as in `features.dense`.
_DENSE_CELLS = 40_000_000
#: Leaves of a forest, as bounded in `learners.forest`.
_FOREST_LEAVES = 15_000
#: Rows up to which the support vector machine keeps all pairs of them, as in `learners.svm`.
_EXACT_ROWS = 3_000
#: Reference rows beyond that, and cells of their products with all rows, likewise.
_REFERENCES, _REFERENCE_CELLS = 1_000, 40_000_000


def fit_memory_bytes(
    algorithm: str,
    params: Mapping[str, Any],
    n_rows: int,
    n_numeric: int,
    n_codes: int,
    n_classes: int,
    *,
    cardinalities: Sequence[int] | None = None,
) -> float:
    """Bytes that one fit adds to the resident memory of a fresh worker, at its peak.

    Parameters
    ----------
    algorithm : str
        Name in the registry; of others a generous guess is made.
    params : mapping
        Hyperparameters that differ from the defaults.
    n_rows, n_numeric, n_codes : int
        Training rows, numeric and coded columns of the encoded table.
    n_classes : int
        0 for regression and clustering.
    cardinalities : sequence of int, optional
        Levels of each coded column; without them twenty are assumed.

    Returns
    -------
    float

    Examples
    --------
    >>> small, large = (fit_memory_bytes("lightgbm", {}, n, 10, 4, 2) for n in (10_000, 1_000_000))
    >>> small < 300e6 < large < 1.5e9
    True
    """
    outputs = _outputs(n_classes)
    columns = n_numeric + n_codes
    rules: dict[str, Callable[..., float]] = {
        "constant": _nothing,
        "shallow_tree": _tree,
        "lightgbm": _lightgbm,
        "xgboost": _xgboost,
        "catboost": _catboost,
        # Trees of numbers split almost down to single rows, those of classes stop at pure leaves.
        "random_forest": partial(_forest, filled=0.35 if n_classes else 0.63),
        "extra_trees": partial(_forest, filled=0.6 if n_classes else 1.0),
        "network": _network,
    }
    growing = rules.get(algorithm)
    if growing is not None:
        return _LIBRARIES[algorithm] + growing(params, n_rows, columns, outputs)
    levels = list(cardinalities) if cardinalities is not None else [_LEVELS] * n_codes
    width = _dense_columns(n_rows, n_numeric, levels, int(params.get("max_levels", 50)))
    base = _LIBRARIES.get(algorithm, _OTHER_LIBRARY)
    if algorithm == "svm":
        return base + _svm(n_rows, width, n_classes)
    if algorithm in ("linear", "simple_linear"):
        # Classes are fitted by our own solver, numbers by scikit-learn, which is loaded for them and copies its input.
        return base + 2.0 * _dense(n_rows, width) if n_classes == 0 else 34 * _MB + 1.2 * _dense(n_rows, width)
    return base + 2.0 * _dense(n_rows, width) + 16.0 * n_rows * outputs


def most_rounds(algorithm: str, params: Mapping[str, Any], n_classes: int, most_bytes: float) -> int | None:
    """Rounds of boosting that the trees of a fit have room for; None where there are no rounds.

    Parameters
    ----------
    algorithm : str
    params : mapping
        Hyperparameters that differ from the defaults.
    n_classes : int
        0 for regression.
    most_bytes : float

    Examples
    --------
    >>> most_rounds("lightgbm", {"num_leaves": 25}, 20, 100e6)
    2000
    """
    per_round = _ROUND_BYTES.get(algorithm)
    return None if per_round is None else max(1, int(most_bytes / per_round(params, _outputs(n_classes))))


def free_memory_bytes() -> float:
    """Bytes that can be taken without swapping, a control group's limit heeded; 2 GB where the system does not tell."""
    free = free_bytes()
    return _UNKNOWN_FREE if free is None else float(free)


def _outputs(n_classes: int) -> int:
    """Numbers that a model of trees answers for a row."""
    return n_classes if n_classes > 2 else 1


def _lightgbm_round_bytes(params: Mapping[str, Any], outputs: int) -> float:
    return 100.0 * params.get("num_leaves", 50) * outputs  # room for so many leaves is taken whether they are grown or not


def _xgboost_round_bytes(params: Mapping[str, Any], outputs: int) -> float:
    return 100.0 * (params.get("max_leaves") or 2 ** min(10, int(params.get("max_depth", 6)))) * outputs


def _catboost_round_bytes(params: Mapping[str, Any], outputs: int) -> float:
    return 40.0 * 2 ** int(params.get("depth", 6)) * outputs


#: Bytes that a round of boosting adds.
_ROUND_BYTES = {"lightgbm": _lightgbm_round_bytes, "xgboost": _xgboost_round_bytes, "catboost": _catboost_round_bytes}


def _nothing(params: Mapping[str, Any], n: int, columns: int, outputs: int) -> float:
    return 8.0 * n


def _tree(params: Mapping[str, Any], n: int, columns: int, outputs: int) -> float:
    return 13.0 * n * columns


def _lightgbm(params: Mapping[str, Any], n: int, columns: int, outputs: int) -> float:
    histograms = 16.0 * 256 * columns * params.get("num_leaves", 50)
    trees = params.get("n_estimators", 1000) * _lightgbm_round_bytes(params, outputs)
    return n * (22.0 * columns + 24.0 * outputs) + histograms + trees


def _xgboost(params: Mapping[str, Any], n: int, columns: int, outputs: int) -> float:
    trees = params.get("n_estimators", 1000) * _xgboost_round_bytes(params, outputs)
    return n * (28.0 * columns + 24.0 * outputs) + trees


def _catboost(params: Mapping[str, Any], n: int, columns: int, outputs: int) -> float:
    trees = params.get("n_estimators", 1000) * _catboost_round_bytes(params, outputs)
    return n * (22.0 * columns + 700.0 + 600.0 * outputs) + trees


def _forest(params: Mapping[str, Any], n: int, columns: int, outputs: int, *, filled: float) -> float:
    trees, least = params.get("n_estimators", 100), max(1, int(params.get("min_samples_leaf", 1 if outputs > 1 else 2)))
    leaves = min(_FOREST_LEAVES, n * filled / least)
    return 8.0 * n * columns + trees * leaves * (190.0 + 26.0 * outputs)


def _network(params: Mapping[str, Any], n: int, columns: int, outputs: int) -> float:
    return n * (75.0 * columns + 16.0 * outputs)


def _svm(n: int, width: float, n_classes: int) -> float:
    if n <= _EXACT_ROWS:
        return 12.0 * n * n + _dense(n, width)
    references = min(_REFERENCES, max(100, _REFERENCE_CELLS // n))
    return 2.0 * _dense(n, width) + 8.0 * n * references * (3.0 if n_classes == 0 else 1.5)


def _dense_columns(n: int, n_numeric: int, levels: Sequence[int], most_levels: int) -> float:
    """Columns of a dense coding; a table of many rows is given fewer."""
    width = n_numeric + sum(min(level, most_levels) for level in levels)
    return min(width, max(n_numeric + len(levels), _DENSE_CELLS // max(1, n)))


def _dense(n: int, width: float) -> float:
    return 8.0 * n * width
