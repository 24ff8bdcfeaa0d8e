"""Logging what scikit-learn, LightGBM, XGBoost, CatBoost and torch do within a run, with one call.

What each library's hooks log stands at the top of its file here. A fit that another one makes (a member of an ensemble, a
fold of a search) is part of that one and not logged by itself; nor are the fits of modelwright's own trainings.
"""

from __future__ import annotations

from types import ModuleType

from modelwright.errors import InvalidInputError
from modelwright.jobs.autolog import boosters, catboost, sklearn, torch
from modelwright.jobs.autolog.fits import warn
from modelwright.jobs.imports import Action, forget, when_imported


def _safely(hook: Action) -> Action:
    """The hook, without ever breaking the import that it follows."""

    def hooked(module: ModuleType) -> None:
        try:
            hook(module)
        except Exception as error:
            warn(f"modelwright: {module.__name__} cannot be logged by itself: {type(error).__name__}: {error}.")

    return hooked


#: Module whose import makes a library ready -> who hooks into it.
_LIBRARIES: dict[str, Action] = {
    "sklearn.base": _safely(sklearn.hook),
    "lightgbm": _safely(boosters.hook_lightgbm),
    "xgboost": _safely(boosters.hook_xgboost),
    "catboost": _safely(catboost.hook),
    "torch": _safely(torch.hook),
}
_on = False


def autolog(enabled: bool = True) -> None:
    """Log fits of scikit-learn, LightGBM, XGBoost, CatBoost and torch to the run that surrounds them.

    Outside of a run nothing is logged. Names of params and metrics begin with the class of the estimator, or the library.
    An error within the logging never reaches your code: it is noted in the run, and a warning is given once.

    Parameters
    ----------
    enabled : bool, default=True
        False takes every hook away again.
    """
    global _on
    if not isinstance(enabled, bool):
        raise InvalidInputError(f"autolog takes True or False, not {enabled!r}.", where="autolog", mend="Call autolog().")
    if enabled == _on:
        return
    _on = enabled
    for module, hook in _LIBRARIES.items():
        if enabled:
            when_imported(module, hook)
        else:
            forget(module, hook)
    if not enabled:
        for library in (sklearn, boosters, catboost, torch):
            library.unhook()
