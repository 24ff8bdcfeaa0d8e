"""One row through XGBoost's own prediction call, with everything around it made once.

``Booster.inplace_predict`` spends half of its 125 us for one row on finding out what it was given.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Literal

import numpy as np

from modelwright.learners.lean_import import library

Kind = Literal["value", "margin"]
#: What is predicted, by XGBoost's number for it.
KINDS: dict[Kind, int] = {"value": 0, "margin": 1}


class RowCall:
    """Predictions of single rows; safe to share between threads, each of which has its own input.

    Parameters
    ----------
    booster : xgboost.Booster
    n_columns : int
    kind : {"value", "margin"}, default="value"
    """

    def __init__(self, booster: Any, n_columns: int, kind: Kind = "value") -> None:
        self._booster = booster
        self._n_columns = n_columns
        self._kind = kind
        self._threads = threading.local()
        self._usable = _usable(booster)

    def __call__(self, row: np.ndarray) -> np.ndarray:
        """Prediction of one row of shape (n_columns,), float32; float32 of the shape that XGBoost gives a batch of one."""
        if not self._usable:
            return np.asarray(self._booster.inplace_predict(row[None], predict_type=self._kind))
        call: _Call | None = getattr(self._threads, "call", None)
        if call is None:
            call = self._threads.call = _Call(self._booster, self._n_columns, self._kind)
        return call.predict(row)


class _Call:
    """The arguments of one thread."""

    def __init__(self, booster: Any, n_columns: int, kind: Kind) -> None:
        core = library("xgboost").core

        names = vars(core)
        self._booster = booster
        self._predict = names["_LIB"].XGBoosterPredictFromDense
        self._check = names["_check_call"]
        self._input = np.empty((1, n_columns), dtype=np.float32)
        self._array = names["array_interface"](self._input)
        self._options = names["make_jcargs"](
            type=KINDS[kind],
            training=False,
            iteration_begin=0,
            iteration_end=0,
            missing=np.nan,
            strict_shape=False,
            cache_id=0,
        )
        self._proxy = ctypes.c_void_p()
        self._shape = ctypes.POINTER(names["c_bst_ulong"])()
        self._n_dimensions = names["c_bst_ulong"]()
        self._result = ctypes.POINTER(ctypes.c_float)()

    def predict(self, row: np.ndarray) -> np.ndarray:
        self._input[0] = row
        self._check(
            self._predict(
                self._booster.handle,
                self._array,
                self._options,
                self._proxy,
                ctypes.byref(self._shape),
                ctypes.byref(self._n_dimensions),
                ctypes.byref(self._result),
            )
        )
        shape = self._shape[: self._n_dimensions.value]
        size = int(np.prod(shape))
        return np.array(self._result[:size], dtype=np.float32).reshape(shape)


def _usable(booster: Any) -> bool:
    """Whether this version of the library has what `_Call` takes from it."""
    core = library("xgboost").core

    wanted = ("_LIB", "_check_call", "array_interface", "make_jcargs", "c_bst_ulong")
    return (
        all(name in vars(core) for name in wanted)
        and hasattr(booster, "handle")
        and hasattr(vars(core)["_LIB"], "XGBoosterPredictFromDense")
    )
