"""CatBoost, by the ``fit`` of its classes.

Logged when it returns, under the name of the class: the params that were given, ``n_samples``, ``n_features``, ``fit_s``,
every metric on every set, an iteration a step, ``best_iteration`` and ``n_iterations``, the table ``importance``, and
``training_score`` where it is cheap. CatBoost keeps the metrics until the end, so a killed fit has logged none.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from modelwright.jobs.autolog.fits import Fit, Patches, begun, given, going_on, harmless, training_score

_CLASSES = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")
_patches = Patches()


def hook(catboost: ModuleType) -> None:
    """Wrap `fit` of its classes."""
    for name in _CLASSES:
        kind = getattr(catboost, name, None)
        if kind is not None and "fit" in vars(kind):
            _patches.wrap(kind, "fit", _logged)


def unhook() -> None:
    """Take the hooks away."""
    _patches.undo()


def _logged(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def fit(self: Any, X: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        begin = begun(type(self).__name__)
        if begin is None:
            return method(self, X, y, *args, **kwargs)
        with going_on(begin):
            result = method(self, X, y, *args, **kwargs)
        with harmless(begin.run, type(self).__name__), going_on(begin):
            _finish(begin, self, X, y)
        return result

    return fit


def _finish(fit: Fit, model: Any, X: Any, y: Any) -> None:
    fit_s = time.perf_counter() - fit.started
    rows = getattr(X, "num_row", None)
    shape = {"n_samples": rows() if rows is not None else len(X), "n_features": len(model.feature_names_)}
    fit.log(params={**model.get_params(), **shape}, metrics={"fit_s": fit_s, "n_iterations": model.tree_count_})
    series = {
        f"{data}.{metric}": values for data, metrics in model.get_evals_result().items() for metric, values in metrics.items()
    }
    for step in range(max(map(len, series.values()), default=0)):
        fit.log(metrics={name: values[step] for name, values in series.items() if step < len(values)}, step=step)
    fit.log(metrics=given({"best_iteration": model.get_best_iteration()}))
    importance = model.get_feature_importance()
    fit.table("importance", {"feature": list(model.feature_names_), "importance": [float(each) for each in importance]})
    score = training_score(model, X, y, fit_s)
    if score is not None:
        fit.log(metrics={"training_score": score})
