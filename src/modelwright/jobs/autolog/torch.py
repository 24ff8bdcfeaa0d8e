"""torch: what an optimiser can tell. Losses and epochs are the user's own words and cannot be seen from outside: log them.

Logged at the first ``step()`` of an optimiser within a run, under the name of its class: its settings (lr, weight decay, …)
and ``n_parameters``, the trainable numbers it holds. Then ``lr`` of its first group of parameters whenever it has changed,
with the number of the step (each of the first 1,000 changes, then every 10th, every 100th, …), and ``steps``, how many there
were, about once a second and at the end of the run.
"""

from __future__ import annotations

import importlib
import time
import weakref
from types import ModuleType
from typing import Any

from modelwright.jobs import surrounding
from modelwright.jobs.active import ActiveRun
from modelwright.jobs.autolog.fits import Fit, Patches, begun, harmless

_EVERY_S = 1.0
_patches = Patches()


class _Watched:
    """An optimiser within one run."""

    def __init__(self, run: ActiveRun, fit: Fit | None) -> None:
        self.run = run
        self.fit = fit
        self.steps = 0
        self.told_steps = 0
        self.told = time.monotonic()
        self.lr: float | None = None
        self.changes = 0

    def tell_steps(self) -> None:
        """Log how many steps there were, if there were more."""
        if self.fit is not None and self.steps != self.told_steps:
            self.told, self.told_steps = time.monotonic(), self.steps
            self.fit.log(metrics={"steps": self.steps})


_watched: weakref.WeakKeyDictionary[Any, _Watched] = weakref.WeakKeyDictionary()


def hook(torch: ModuleType) -> None:
    """Be called after every step of every optimiser; torch has a place for that."""
    handle = importlib.import_module(f"{torch.__name__}.optim.optimizer").register_optimizer_step_post_hook(_after_step)
    _patches.on_undo(handle.remove)


def unhook() -> None:
    """Take the hook away."""
    _patches.undo()
    _watched.clear()


def _after_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    run = surrounding.current()
    if run is None:
        return
    with harmless(run, "torch"):
        watched = _watched.get(optimizer)
        if watched is None or watched.run is not run:
            watched = _watched[optimizer] = _begin(run, optimizer)
        if watched.fit is None:
            return
        watched.steps += 1
        lr = _number(optimizer.param_groups[0].get("lr"))
        if lr is not None and lr != watched.lr:
            watched.lr = lr
            watched.changes += 1
            if _is_told(watched.changes):
                watched.fit.log(metrics={"lr": lr}, step=watched.steps)
        if time.monotonic() - watched.told > _EVERY_S:
            watched.tell_steps()


def _begin(run: ActiveRun, optimizer: Any) -> _Watched:
    fit = begun(type(optimizer).__name__)
    watched = _Watched(run, fit)
    if fit is not None:
        numbers = sum(p.numel() for group in optimizer.param_groups for p in group["params"] if p.requires_grad)
        fit.log(params={**optimizer.defaults, "n_parameters": numbers})
        run._before_end.append(watched.tell_steps)
    return watched


def _is_told(changes: int) -> bool:
    return changes < 1000 or changes % 10 ** (len(str(changes)) - 3) == 0


def _number(lr: Any) -> float | None:
    """The rate, unless it lies on an accelerator, where asking would make everything wait."""
    if isinstance(lr, int | float):
        return float(lr)
    return float(lr) if lr is not None and getattr(lr, "device", None) is not None and lr.device.type == "cpu" else None
