"""scikit-learn: estimators that predict, and searches and pipelines of them, also those of other libraries.

Logged when ``fit`` or ``fit_predict`` returns, under the name of the class: all params (``get_params``), ``n_samples``,
``n_features``, ``fit_s``; ``training_score`` where `score` on the training rows is cheap; of a search ``best_score`` and
the best params. Transformers are not logged by themselves, nor are ``partial_fit`` and the fits of ``cross_val_score``.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from modelwright.jobs.autolog.fits import (
    Fit,
    Patches,
    begun,
    given,
    going_on,
    harmless,
    n_columns,
    n_rows,
    training_score,
)

_METHODS = ("fit", "fit_predict")
_patches = Patches()


def hook(base: ModuleType) -> None:
    """Wrap `fit` of every estimator that is loaded, and of those that will be."""
    estimator = base.BaseEstimator
    waiting = [estimator]
    while waiting:
        kind = waiting.pop()
        _wrap(kind)
        waiting += kind.__subclasses__()
    own = estimator.__dict__.get("__init_subclass__")

    def init_subclass(cls: type[Any], /, **words: Any) -> None:
        if own is not None:
            own.__func__(cls, **words)
        else:
            super(estimator, cls).__init_subclass__(**words)
        if _active:
            _wrap(cls)

    estimator.__init_subclass__ = classmethod(init_subclass)
    _active.append(True)

    def restore() -> None:
        _active.clear()
        if own is not None:
            estimator.__init_subclass__ = own
        else:
            del estimator.__init_subclass__

    _patches.on_undo(restore)


#: Not empty while classes that come into being are wrapped.
_active: list[bool] = []


def unhook() -> None:
    """Take the hooks away."""
    _patches.undo()


def _wrap(kind: Any) -> None:
    for name in _METHODS:
        if inspect.isfunction(vars(kind).get(name)):
            _patches.wrap(kind, name, _logged)


def _logged(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        begin = begun(type(self).__name__) if hasattr(self, "predict") or hasattr(self, "fit_predict") else None
        if begin is None:
            return method(self, *args, **kwargs)
        with going_on(begin):
            result = method(self, *args, **kwargs)
        with harmless(begin.run, type(self).__name__), going_on(begin):
            finish(begin, self, args, kwargs)
        return result

    return fit


def finish(fit: Fit, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Log what is known of an estimator after its fit."""
    fit_s = time.perf_counter() - fit.started
    X = args[0] if args else kwargs.get("X")
    y = args[1] if len(args) > 1 else kwargs.get("y")
    found = {"n_samples": n_rows(X), "n_features": n_columns(X)}
    fit.log(params={**model.get_params(), **given(found)}, metrics={"fit_s": fit_s})
    if hasattr(model, "best_params_") and hasattr(model, "best_score_"):
        best = {f"best_{name}": value for name, value in model.best_params_.items()}
        fit.log(params=best, metrics={"best_score": model.best_score_})
    score = training_score(model, X, y, fit_s)
    if score is not None:
        fit.log(metrics={"training_score": score})
