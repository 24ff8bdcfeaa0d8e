"""Fitted models of a run, in formats that execute nothing when they are read.

====================  ==============================================  ========================================
what is given          how it is kept                                  what is read back
====================  ==============================================  ========================================
modelwright `Model`    a bundle                                        the `Model`
LightGBM               its text format                                 a `Booster`, also of the scikit-learn classes
XGBoost, CatBoost      ``.ubj``, ``.cbm``                              a model of the same class
torch                  the state dict, as safetensors                  the state dict
scikit-learn           skops, where it is installed                    the estimator, if all its types are vouched for
====================  ==============================================  ========================================
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelwright.errors import BundleError, InvalidInputError, MissingExtraError
from modelwright.jobs import artifacts
from modelwright.jobs.log import Artifact
from modelwright.jobs.values import name_of
from modelwright.runs.folder import ARTIFACTS

#: Types that skops knows how to read but leaves to us to trust: plain holders of arrays and numbers, found by asking it
#: about every estimator of scikit-learn 1.9 and the classes of LightGBM and XGBoost.
_VOUCHED = frozenset({
    "collections.OrderedDict",
    "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier", "lightgbm.sklearn.LGBMRanker",
    "lightgbm.sklearn.LGBMRegressor",
    "sklearn._loss.loss.HalfTweedieLossIdentity", "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration", "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.cluster._kmeans._kmeans_single_lloyd", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace", "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product", "sklearn.gaussian_process.kernels.RBF",
    "sklearn.metrics._dist_metrics.EuclideanDistance64", "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer", "sklearn.tree._tree.Tree",
    "xgboost.core.Booster", "xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRegressor",
})  # fmt: skip

_MEND = "Save it to a file in a format of your choice, and keep that with log_file."


def write(folder: Path, name: str, model: Any) -> Artifact:
    """Keep a model.

    Raises
    ------
    InvalidInputError
        If it is of no known kind, or not fitted.
    MissingExtraError
        If its format needs a package that is not installed.
    """
    name_of(name, "model")
    classes = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(model).__mro__}
    own = f"{type(model).__module__.partition('.')[0]}.{type(model).__name__}"
    try:
        if "modelwright.Model" in classes:
            return artifacts.place(folder, name, "model", "modelwright", "", lambda path: _write_bundle(model, path))
        if "lightgbm.Booster" in classes or "lightgbm.LGBMModel" in classes:
            booster = model.booster_ if "lightgbm.LGBMModel" in classes else model
            # By its own words, not by save_model: that one writes paths with the libraries' own character set.
            text = booster.model_to_string()
            return artifacts.place(folder, name, "model", "lightgbm", "lgb.txt", lambda path: path.write_text(text, "utf-8"))
        if "xgboost.Booster" in classes or "xgboost.XGBModel" in classes:
            return artifacts.place(folder, name, "model", own, "ubj", lambda path: model.save_model(str(path)))
        if "catboost.CatBoost" in classes:
            return artifacts.place(folder, name, "model", own, "cbm", lambda path: model.save_model(str(path)))
        state = _state_dict(name, model)
        if state is not None:
            return artifacts.place(
                folder, name, "model", "safetensors", "safetensors", lambda path: _write_tensors(state, path)
            )
    except (InvalidInputError, OSError, MissingExtraError):
        raise
    except Exception as error:  # libraries refuse an unfitted model in words of their own
        raise InvalidInputError(f"The {own} cannot be saved: {error}", where=f"model {name!r}", mend="Fit it first.") from error
    if hasattr(model, "get_params") and hasattr(model, "fit"):
        dump = _skops("dump")
        try:
            return artifacts.place(folder, name, "model", "skops", "skops", lambda path: dump(model, path))
        except (OSError, InvalidInputError):
            raise
        except Exception as error:
            raise InvalidInputError(
                f"The {own} holds something that skops cannot keep: {error}", where=f"model {name!r}", mend=_MEND
            ) from error
    raise InvalidInputError(f"A {own} cannot be kept without executing code to read it.", where=f"model {name!r}", mend=_MEND)


def read(folder: Path, artifact: Artifact) -> Any:
    """Read a model back, after its bytes were compared with their digest.

    Raises
    ------
    BundleError
        If the bytes differ from what was kept, or hold types that nobody vouches for.
    MissingExtraError
        If a package is not installed.
    """
    path = folder / ARTIFACTS / artifact.file
    if not path.exists() or artifacts.digest_of(path)[1] != artifact.sha256:
        raise BundleError(
            "The file differs from the one that was kept.", where=str(path), mend="Copy the run again from its source."
        )
    if artifact.format == "modelwright":
        from modelwright.artifacts.bundle import load_bundle

        return load_bundle(path)
    if artifact.format == "lightgbm":
        return _library("lightgbm").Booster(model_str=path.read_text("utf-8"))
    if artifact.format == "safetensors":
        return _library("safetensors.torch", "network").load_file(str(path))
    if artifact.format == "skops":
        return _read_skops(path)
    package, _, name = artifact.format.partition(".")
    kind = getattr(_library(package, "boost"), name, None) if package in ("xgboost", "catboost") else None
    if kind is None:
        raise BundleError(f"The format {artifact.format!r} is not known.", where=str(path), mend="Read the file yourself.")
    model = kind()
    model.load_model(str(path))
    return model


def _write_bundle(model: Any, path: Path) -> None:
    from modelwright.artifacts.bundle import write_bundle
    from modelwright.training.environment import libraries

    write_bundle(model, path, libraries=libraries(), lineage={"run": model.run})


def _state_dict(name: str, model: Any) -> dict[str, Any] | None:
    """Tensors by name, each with memory of its own; None if it is nothing of torch's."""
    if any(f"{kind.__module__}.{kind.__name__}" == "torch.nn.modules.module.Module" for kind in type(model).__mro__):
        state: Any = model.state_dict()
    elif isinstance(model, Mapping) and model and any(type(each).__module__.startswith("torch") for each in model.values()):
        state = model
    else:
        return None
    other = [key for key, value in state.items() if not hasattr(value, "detach")]
    if other:
        raise InvalidInputError(
            f"The entry {other[0]!r} of the state dict is no tensor.", where=f"model {name!r}", mend="Keep tensors only."
        )
    return {str(key): value.detach().cpu().clone().contiguous() for key, value in state.items()}


def _write_tensors(state: dict[str, Any], path: Path) -> None:
    _library("safetensors.torch", "network").save_file(state, str(path))


def _skops(function: str) -> Callable[..., Any]:
    return getattr(_library("skops.io", "skops"), function)


def _read_skops(path: Path) -> Any:
    found = _skops("get_untrusted_types")(file=path)
    unknown = [kind for kind in found if kind not in _VOUCHED]
    if unknown:
        raise BundleError(
            f"The model holds types that nobody vouches for: {', '.join(unknown)}.",
            where=str(path),
            mend="If you trust its maker, read it with skops.io.load(path, trusted=[...]).",
        )
    return _skops("load")(path, trusted=found)


def _library(module: str, extra: str = "") -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(module.partition(".")[0], extra or "all") from error
