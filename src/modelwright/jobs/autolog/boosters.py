"""LightGBM and XGBoost, by ``train`` and by their scikit-learn classes.

Logged while it trains: every metric on every evaluation set, an iteration a step, as ``<set>.<metric>``. When it returns:
``best_iteration`` where training stopped early, ``n_iterations``, and the table ``importance`` (feature, gain, and with
LightGBM split). ``train`` is logged under the name of the library with its params, rows, columns and ``fit_s``; the classes
under their own name, with what `autolog.sklearn` logs besides.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from modelwright.jobs.autolog.fits import Fit, Patches, begun, current_fit, given, going_on, harmless

_patches = Patches()


def hook_lightgbm(lightgbm: ModuleType) -> None:
    """Wrap `train` wherever it is called from."""
    _wrap_train(lightgbm, ("lightgbm", "lightgbm.engine", "lightgbm.sklearn"), _lightgbm_callback, _lightgbm_finish)


def hook_xgboost(xgboost: ModuleType) -> None:
    """Wrap `train` wherever it is called from."""
    make = functools.partial(_xgboost_callback, xgboost.callback.TrainingCallback)
    _wrap_train(xgboost, ("xgboost", "xgboost.training", "xgboost.sklearn"), make, _xgboost_finish)


def unhook() -> None:
    """Take the hooks away."""
    _patches.undo()


def _wrap_train(
    library: ModuleType, modules: tuple[str, ...], callback: Callable[[Fit], Any], finish: Callable[[Fit, Any], None]
) -> None:
    import sys

    name = library.__name__
    train = vars(library)["train"]
    signature = inspect.signature(train)

    @functools.wraps(train)
    def logged(*args: Any, **kwargs: Any) -> Any:
        inner = current_fit()
        fit = inner or begun(name)
        if fit is None:
            return train(*args, **kwargs)
        bound = None
        with harmless(fit.run, name):
            bound = signature.bind(*args, **kwargs)
            bound.arguments["callbacks"] = [*(bound.arguments.get("callbacks") or []), callback(fit)]
        with going_on(fit):
            booster = train(*args, **kwargs) if bound is None else train(*bound.args, **bound.kwargs)
        with harmless(fit.run, name):
            if inner is None:
                fit.log(metrics={"fit_s": time.perf_counter() - fit.started})
            if inner is None and bound is not None:
                _log_call(fit, bound)
            finish(fit, booster)
        return booster

    for module in modules:
        found = sys.modules.get(module)
        if found is not None and vars(found).get("train") is train:
            _patches.wrap(found, "train", lambda _: logged)


def _log_call(fit: Fit, bound: inspect.BoundArguments) -> None:
    data = bound.arguments.get("train_set", bound.arguments.get("dtrain"))
    shape = {}
    for name, method in (("n_samples", ("num_data", "num_row")), ("n_features", ("num_feature", "num_col"))):
        asked = next((getattr(data, each) for each in method if hasattr(data, each)), None)
        if asked is not None:
            shape[name] = asked()
    rounds = {"num_boost_round": bound.arguments.get("num_boost_round")}
    fit.log(params={**(bound.arguments.get("params") or {}), **given(rounds), **shape})


def _lightgbm_callback(fit: Fit) -> Callable[[Any], None]:
    def tell(environment: Any) -> None:
        evaluated = environment.evaluation_result_list
        if evaluated:
            with harmless(fit.run, "lightgbm"):
                fit.log(metrics={f"{each[0]}.{each[1]}": each[2] for each in evaluated}, step=environment.iteration)

    # Before early stopping (30), which leaves by an exception.
    tell.order = 15  # type: ignore[attr-defined]
    return tell


def _lightgbm_finish(fit: Fit, booster: Any) -> None:
    stopped = {"best_iteration": booster.best_iteration} if booster.best_iteration > 0 else {}
    fit.log(metrics={**stopped, "n_iterations": booster.current_iteration()})
    columns = {kind: booster.feature_importance(importance_type=kind).tolist() for kind in ("gain", "split")}
    fit.table("importance", {"feature": booster.feature_name(), **columns})


def _xgboost_callback(base: type, fit: Fit) -> Any:
    def after_iteration(self: Any, model: Any, epoch: int, evals_log: Any) -> bool:
        with harmless(fit.run, "xgboost"):
            latest = {
                f"{data}.{metric}": values[-1][0] if isinstance(values[-1], tuple) else values[-1]
                for data, metrics in evals_log.items()
                for metric, values in metrics.items()
            }
            if latest:
                fit.log(metrics=latest, step=epoch)
        return False  # go on

    return type("Autolog", (base,), {"after_iteration": after_iteration})()


def _xgboost_finish(fit: Fit, booster: Any) -> None:
    best = booster.attributes().get("best_iteration")
    stopped = {} if best is None else {"best_iteration": int(best)}
    fit.log(metrics={**stopped, "n_iterations": booster.num_boosted_rounds()})
    try:
        gains = booster.get_score(importance_type="gain")
    except ValueError:
        return  # a linear booster has none of that kind
    if gains:
        fit.table("importance", {"feature": list(gains), "gain": [_mean(gain) for gain in gains.values()]})


def _mean(value: Any) -> float:
    return float(sum(value) / len(value)) if isinstance(value, list) else float(value)
