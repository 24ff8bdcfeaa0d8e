"""modelwright: train models you can believe.

>>> import modelwright
>>> "train" in modelwright.__all__
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelwright.version import __version__

if TYPE_CHECKING:
    from modelwright.api import audit_table, list_runs, load, open_run, train
    from modelwright.api_monitoring import monitor
    from modelwright.api_rehearsal import rehearse
    from modelwright.api_tuning import tune
    from modelwright.artifacts.model import Model
    from modelwright.errors import ModelwrightError
    from modelwright.jobs.active import start_run
    from modelwright.jobs.autolog import autolog
    from modelwright.jobs.decorated import job
    from modelwright.registry.find import open_registry
    from modelwright.runs.audit import Audit
    from modelwright.runs.run import Run
    from modelwright.runs.table import RunList

__all__ = [
    "Audit", "Model", "ModelwrightError", "Run", "RunList", "__version__", "audit_table", "autolog", "job", "list_runs", "load",
    "monitor", "open_registry", "open_run", "rehearse", "start_run", "train", "tune",
]  # fmt: skip

#: Resolved on first use, so that importing the package loads no learner.
_HOMES = {
    "train": "modelwright.api",
    "tune": "modelwright.api_tuning",
    "audit_table": "modelwright.api",
    "Audit": "modelwright.runs.audit",
    "autolog": "modelwright.jobs.autolog",
    "job": "modelwright.jobs.decorated",
    "load": "modelwright.api",
    "list_runs": "modelwright.api",
    "monitor": "modelwright.api_monitoring",
    "open_registry": "modelwright.registry.find",
    "open_run": "modelwright.api",
    "rehearse": "modelwright.api_rehearsal",
    "start_run": "modelwright.jobs.active",
    "Model": "modelwright.artifacts.model",
    "Run": "modelwright.runs.run",
    "RunList": "modelwright.runs.table",
    "ModelwrightError": "modelwright.errors",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'modelwright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
