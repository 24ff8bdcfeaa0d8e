"""Which systems can be compared, and in which environment each runs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ADAPTERS = Path(__file__).resolve().parent / "adapters"


@dataclass(frozen=True)
class System:
    """One line of the comparison: an adapter, and what is handed to it."""

    name: str
    adapter: str
    preset: str | None = None
    install: str = ""

    @property
    def variable(self) -> str:
        """Environment variable that names the interpreter."""
        return f"MODELWRIGHT_PEER_{self.adapter.upper()}"

    @property
    def path(self) -> Path:
        return ADAPTERS / f"{self.adapter}.py"


_AUTOGLUON = "torch, then autogluon.tabular[lightgbm,catboost,xgboost,fastai,ray]"
#: "ours" and "hgb" (scikit-learn with its defaults, a reference) need no environment of their own.
SYSTEMS = {
    system.name: system
    for system in (
        System("ours", "ours"),
        System("hgb", "hgb"),
        System("autogluon-medium", "autogluon", "medium_quality", _AUTOGLUON),
        System("autogluon-good", "autogluon", "good_quality", _AUTOGLUON),
        System("autogluon-high", "autogluon", "high_quality", _AUTOGLUON),
        System("autogluon-best", "autogluon", "best_quality", _AUTOGLUON),
        System("autogluon-best150", "autogluon", "best_v150", _AUTOGLUON),
        System("flaml", "flaml", None, "flaml[automl] pyarrow"),
        System("flaml-ensemble", "flaml", "ensemble", "flaml[automl] pyarrow"),
        System("lightautoml", "lightautoml", None, "torch, then lightautoml pyarrow"),
        System("mljar", "mljar", "Compete", "mljar-supervised pyarrow"),
        System("h2o", "h2o", None, "h2o pandas pyarrow scikit-learn polars (and a Java runtime)"),
    )
}


def interpreter(system: System, environment: Mapping[str, str] = os.environ) -> str:
    """Python of the system's environment.

    Raises
    ------
    SystemExit
        If the variable is missing, or names no program.
    """
    python = environment.get(system.variable)
    if not python and not system.install:
        return sys.executable
    if not python:
        raise SystemExit(
            f"{system.name}: {system.variable} is not set. Install {system.install} into an environment of its own, and "
            f"let the variable name that environment's python."
        )
    if not shutil.which(python):
        raise SystemExit(f"{system.name}: {system.variable} is {python!r}, which is no program.")
    return python


def chosen(names: str) -> list[System]:
    """Systems by their names, parted by commas; SystemExit names the valid ones."""
    listed = [name for name in names.split(",") if name]
    unknown = [name for name in listed if name not in SYSTEMS]
    if unknown or not listed:
        raise SystemExit(f"Unknown system {', '.join(unknown) or '(none named)'}. Known are {', '.join(SYSTEMS)}.")
    return [SYSTEMS[name] for name in dict.fromkeys(listed)]
