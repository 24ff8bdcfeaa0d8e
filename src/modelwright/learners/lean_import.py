"""Importing libraries of learners for the part of them that is used here.

LightGBM and XGBoost first look for scikit-learn and pandas, to offer interfaces for them: three quarters of the two processor
seconds that the import takes, in each worker and at each start of a server. scikit-learn and CatBoost look for pandas, and
pandas for Arrow: half a second and 60 MB. In processes that are wholly ours these are hidden from them meanwhile. In a process
of the user's they never are: there `lightgbm.LGBMClassifier` must go on working.
"""

from __future__ import annotations

import importlib
import platform
import sys
from typing import Any

#: Who looks for what it does without.
_LOOKS_FOR = {
    "lightgbm": ("sklearn", "pandas"),
    "xgboost": ("sklearn", "pandas"),
    "sklearn": ("pandas",),
    "catboost": ("pandas",),
}
#: LightGBM imports scikit-learn before its own library because on ARM the two copies of OpenMP must be loaded in that order
#: (https://github.com/lightgbm-org/LightGBM/issues/6509), so nothing is hidden there.
_ANY_ORDER = platform.machine().lower() in ("x86_64", "amd64")
_alone = False


def own_process() -> None:
    """Say that this process runs no code but ours."""
    global _alone
    _alone = True


def library(name: str) -> Any:
    """The module of this name, imported at the first call.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    hidden = []
    if _alone and _ANY_ORDER and name not in sys.modules:
        hidden = [other for other in _LOOKS_FOR.get(name.partition(".")[0], ()) if other not in sys.modules]
    # None makes an import fail as if the package were not installed.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        return importlib.import_module(name)
    finally:
        for other in hidden:
            del sys.modules[other]
