"""One fit that is logged: to which run, under which name, and what may go wrong meanwhile."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.jobs import surrounding
from modelwright.jobs.active import ActiveRun
from modelwright.jobs.values import described, is_number, name_of

#: Libraries whose own calls to `fit` and `train` belong to the fit that the user asked for.
_FITTERS = ("sklearn.", "lightgbm.", "xgboost.", "catboost.", "imblearn.")
_OURS = "modelwright."
_JOBS = "modelwright.jobs."
#: Rows by which it is measured whether scoring is cheap, and what cheap means: seconds, or a share of the fit.
_PROBE_ROWS = 200
_CHEAP_S = 0.2
_CHEAP_SHARE = 0.1

_current: ContextVar[Fit | None] = ContextVar("modelwright_fit", default=None)
_warned: set[str] = set()


class Fit:
    """An outermost fit within a run."""

    def __init__(self, run: ActiveRun, name: str) -> None:
        self.run = run
        number = run._fits[name] = run._fits.get(name, 0) + 1
        self.prefix = f"{name}." if number == 1 else f"{name}-{number}."
        self.started = time.perf_counter()

    def log(
        self, *, params: Mapping[str, Any] | None = None, metrics: Mapping[str, Any] | None = None, step: int | None = None
    ) -> None:
        """Log under the name of the fit; what is no number among the metrics is left out."""
        self.run.log(
            params={f"{self.prefix}{name}": described(name, value) for name, value in (params or {}).items()},
            metrics={f"{self.prefix}{name}": value for name, value in (metrics or {}).items() if is_number(value)},
            step=step,
        )

    def table(self, name: str, columns: dict[str, Any]) -> None:
        """Keep a table under the name of the fit."""
        self.run.log_table(name_of(f"{self.prefix}{name}", "table"), columns)


def current_fit() -> Fit | None:
    """The fit that is being logged here, if there is one."""
    return _current.get()


def begun(name: str) -> Fit | None:
    """A fit to log, if one begins here: within a run, called by the user's code."""
    if _current.get() is not None or _is_inner():
        return None
    run = surrounding.current()
    if run is None:
        return None
    with harmless(run, name):
        return Fit(run, name)
    return None


@contextmanager
def going_on(fit: Fit) -> Iterator[None]:
    """What is fitted within the block is part of this fit."""
    token = _current.set(fit)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def harmless(run: ActiveRun, what: str) -> Iterator[None]:
    """An error within the block is noted in the run, and warned of once, but never raised."""
    try:
        yield
    except Exception as error:
        told = f"autolog of {what}: {type(error).__name__}: {error}"
        try:
            run.note(told)
        except (ModelwrightError, OSError) as second:
            told = f"{told} (and it could not be noted: {second})"
        if what not in _warned:
            _warned.add(what)
            warn(f"modelwright: {told}. Your fit goes on.")


def warn(text: str) -> None:
    """Warn; where warnings are errors, on stderr, since nothing may break what the user does."""
    try:
        warnings.warn(text, stacklevel=4)
    except Warning:
        sys.stderr.write(f"{text}\n")


def training_score(model: Any, X: Any, y: Any, fit_s: float) -> float | None:
    """What `score` says of the training rows, where that is cheap: by a probe of a few rows."""
    if y is None or not hasattr(model, "score"):
        return None
    n = n_rows(X)
    if n is None:
        return None
    if n > _PROBE_ROWS:
        from sklearn.utils import _safe_indexing

        rows = list(range(0, n, n // _PROBE_ROWS))[:_PROBE_ROWS]
        started = time.perf_counter()
        model.score(_safe_indexing(X, rows), _safe_indexing(y, rows))
        expected_s = (time.perf_counter() - started) * n / _PROBE_ROWS
        if expected_s > max(_CHEAP_S, _CHEAP_SHARE * fit_s):
            return None
    return float(model.score(X, y))


def n_rows(X: Any) -> int | None:
    """Rows of a table, a matrix or a list."""
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple) and shape:
        return int(shape[0])
    return len(X) if isinstance(X, list | tuple) else None


def n_columns(X: Any) -> int | None:
    """Columns of a table or matrix."""
    shape = getattr(X, "shape", None)
    return int(shape[1]) if isinstance(shape, tuple) and len(shape) > 1 else None


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None."""
    return {name: value for name, value in values.items() if value is not None}


def _is_inner() -> bool:
    """Whether a library, or a training of ours, asks for this fit."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        if module.startswith(_FITTERS) or (module.startswith(_OURS) and not module.startswith(_JOBS)):
            return True
        frame = frame.f_back
    return False


class Patches:
    """Attributes that were replaced, and how to put them back."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def wrap(self, owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
        """Replace an attribute of a class or module by ``wrapper(attribute)``."""
        original = vars(owner)[name]
        if getattr(original, "__modelwright_wrapper__", False):
            return
        made = wrapper(original)
        made.__modelwright_wrapper__ = True
        setattr(owner, name, made)

        def undo() -> None:
            # Somebody else may have replaced it since; theirs stays.
            if vars(owner).get(name) is made:
                setattr(owner, name, original)

        self._undo.append(undo)

    def on_undo(self, action: Callable[[], None]) -> None:
        """Also do this."""
        self._undo.append(action)

    def undo(self) -> None:
        """Put everything back, the latest first."""
        while self._undo:
            self._undo.pop()()
