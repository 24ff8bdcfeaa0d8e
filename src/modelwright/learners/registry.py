"""Which algorithms exist, by name.

The table names classes without importing them; a class is imported when it is asked for. Modules of learners
import their libraries inside functions, so asking for a class is cheap and works without its extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from modelwright.errors import SpecError
from modelwright.learners.base import Learner, Params
from modelwright.tables.schema import Task

#: Algorithm name -> "module:class", in the order in which ``modelwright algorithms`` lists them.
LEARNERS: dict[str, str] = {
    "constant": "modelwright.learners.baseline:Constant",
    "shallow_tree": "modelwright.learners.baseline:ShallowTree",
    "simple_linear": "modelwright.learners.baseline:SimpleLinear",
    "median_split": "modelwright.learners.baseline:MedianSplit",
    "linear": "modelwright.learners.linear:Linear",
    "svm": "modelwright.learners.svm:SupportVectorMachine",
    "random_forest": "modelwright.learners.forest:RandomForest",
    "extra_trees": "modelwright.learners.forest:ExtraTrees",
    "lightgbm": "modelwright.learners.lightgbm:LightGBM",
    "catboost": "modelwright.learners.catboost:CatBoost",
    "xgboost": "modelwright.learners.xgboost:XGBoost",
    "network": "modelwright.learners.network:Network",
    "kmeans": "modelwright.learners.kmeans:KMeans",
    "minibatch_kmeans": "modelwright.learners.kmeans:MiniBatchKMeans",
}
#: Tried by most searches besides boosting, the baselines among them.
_USUAL = ("shallow_tree", "linear", "extra_trees", "catboost", "network")


def names(task: Task | None = None, baseline: bool | None = None) -> list[str]:
    """Names of the algorithms, installed or not.

    Parameters
    ----------
    task : {"binary", "multiclass", "regression", "clustering"}, optional
        Only those that serve this task.
    baseline : bool, optional
        Only baselines (True) or none of them (False).
    """
    found = list(LEARNERS)
    if task is not None:
        found = [name for name in found if task in get(name).algorithm.tasks]
    if baseline is not None:
        found = [name for name in found if get(name).algorithm.baseline == baseline]
    return found


def interpretable(task: Task, named: Sequence[str] = ()) -> list[str]:
    """Algorithms whose fitted model a person can read, of those named or of all that serve the task.

    Parameters
    ----------
    task : {"binary", "multiclass", "regression", "clustering"}
    named : sequence of str, optional
        What the user asked for.

    Raises
    ------
    SpecError
        If one that was asked for gives a model that nobody can read.
    """
    readable = [name for name in names(task) if get(name).algorithm.interpretable]
    for name in named:
        if name not in readable:
            raise SpecError(
                f"Nobody can read a model of {name!r}.",
                where="algorithms",
                mend=f"Choose of {', '.join(readable)}, or leave out interpretable.",
            )
    return list(named) or [name for name in readable if not get(name).algorithm.baseline]


def get(name: str) -> type[Learner]:
    """The class of an algorithm.

    Raises
    ------
    SpecError
        If no algorithm has this name; the nearest one is named.
    """
    if name not in LEARNERS:
        near = get_close_matches(name, LEARNERS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Valid names: {', '.join(LEARNERS)}."
        raise SpecError(f"{name!r} is not an algorithm.", where="algorithms", mend=hint)
    module, _, attribute = LEARNERS[name].partition(":")
    learner: type[Learner] = getattr(import_module(module), attribute)
    return learner


def available(name: str) -> str:
    """An empty string if the algorithm can run here, else the command that installs what it lacks."""
    algorithm = get(name).algorithm
    if not algorithm.extra or find_spec(algorithm.requires.partition(".")[0]) is not None:
        return ""  # what comes without an extra comes with the package
    return f"pip install 'modelwright[{algorithm.extra}]'"


def libraries(named: Sequence[str] = ()) -> list[str]:
    """Modules that fits begin by importing, in the order in which they are imported best.

    Parameters
    ----------
    named : sequence of str, optional
        Algorithms; by default those that most searches try.
    """
    # Before scikit-learn, which both would look for (`lean_import`).
    first = [name for name in ("lightgbm", "xgboost") if not named or name in named]
    found = [get(name).algorithm.requires for name in (*first, *(named or _USUAL)) if not available(name)]
    return list(dict.fromkeys(filter(None, found)))


def create(name: str, params: Params | None = None, *, task: Task, n_classes: int = 0, seed: int = 0) -> Learner:
    """A learner ready to fit.

    Raises
    ------
    SpecError
        If the name is unknown, the algorithm does not serve the task, or a hyperparameter is wrong.
    """
    learner = get(name)
    if task not in learner.algorithm.tasks:
        raise SpecError(
            f"{name!r} does not serve {task}.", where="algorithms", mend=f"Choose one of: {', '.join(names(task))}."
        )
    return learner(params, task=task, n_classes=n_classes, seed=seed)


def load(name: str, folder: Path) -> Learner:
    """A fitted learner from the folder it was saved in."""
    return get(name).load(folder)
