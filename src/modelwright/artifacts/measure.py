"""What a packaged model costs when it is used: seconds of one row, rows a second of a batch, bytes on the disk.

Single rows are measured one call after the other, as a service would make them, in this process and without a network:
what a server adds is not in it. The batch is one call on a table in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from modelwright.artifacts.bundle import load_bundle
from modelwright.artifacts.model import Model
from modelwright.errors import InvalidInputError

#: Different rows that are asked for in turn: the cost of a row may depend on what stands in it.
_ROWS = 64
#: Calls that do not count, besides the first: they still pay for what is built once.
_WARM_UP = 3
#: Calls at most; more would not move the median.
_CALLS = 300
#: Share of the time that single rows may take; the batch has the rest.
_SINGLE_SHARE = 0.4
#: Rows of the first batch, from which the size of the second follows, and rows of a batch at most.
_FIRST_BATCH, _LARGEST_BATCH = 1_000, 100_000


class Measured(msgspec.Struct, frozen=True):
    """What a model costs when it is used, as measured on the machine that trained it.

    ``single_row_s`` and ``single_row_p95_s`` are the median and the 95th percentile over ``n_calls`` calls with one row
    each; ``batch_rows_per_s`` is of one call with ``batch_rows`` rows. ``size_bytes`` is the whole model folder.
    """

    single_row_s: float
    single_row_p95_s: float
    batch_rows_per_s: float
    batch_rows: int
    n_calls: int
    size_bytes: int = 0


def measure(
    model: Model | Path,
    rows: pl.DataFrame,
    *,
    time_limit_s: float = 0.5,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Measure a model on rows as they come from the source.

    Parameters
    ----------
    model : Model or Path
        A folder is loaded as packaged, and its files are counted; a model in memory has no size (0).
    rows : DataFrame of at least one row
        As read, before types are applied; columns that the model does not read are left out of the calls.
    time_limit_s : float, default=0.5
        Seconds for all calls together, loading left out. Slow models are called less often, at least once.
    clock : callable, optional
        Seconds; by default `time.perf_counter`.

    Raises
    ------
    InvalidInputError
        If there is no row.
    BundleError
        If the folder is not a whole model.
    """
    if rows.height == 0:
        raise InvalidInputError("There is no row to measure a model on.", where="rows", mend="Give at least one row.")
    loaded = load_bundle(model) if isinstance(model, Path) else model
    wanted = _read_by(loaded, rows)
    seconds = _single_rows(loaded, wanted, time_limit_s * _SINGLE_SHARE, clock)
    n, batch_s = _batch(loaded, wanted, time_limit_s * (1 - _SINGLE_SHARE), clock)
    return Measured(
        single_row_s=float(np.median(seconds)),
        single_row_p95_s=float(np.quantile(seconds, 0.95)),
        batch_rows_per_s=n / max(batch_s, 1e-9),
        batch_rows=n,
        n_calls=len(seconds),
        size_bytes=folder_bytes(model) if isinstance(model, Path) else 0,
    )


def single_row_seconds(
    model: Model, rows: pl.DataFrame, *, time_limit_s: float = 0.02, clock: Callable[[], float] = time.perf_counter
) -> float:
    """The median of a few calls with one row each, for an estimate that must be cheap.

    Parameters
    ----------
    model : Model
    rows : DataFrame of at least one row
        As for `measure`.
    time_limit_s : float, default=0.02
    clock : callable, optional
        Seconds; by default `time.perf_counter`.
    """
    return float(np.median(_single_rows(model, _read_by(model, rows), time_limit_s, clock)))


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _read_by(model: Model, rows: pl.DataFrame) -> pl.DataFrame:
    """The columns that a caller would send: what is derived is left to the model."""
    needed = {*model.feature_names_in_.tolist(), *(column.name for column in model.schema.with_role("time"))}
    return rows.select([name for name in rows.columns if name in needed])


def _single_rows(model: Model, rows: pl.DataFrame, limit_s: float, clock: Callable[[], float]) -> list[float]:
    """Seconds of each call, the first ones left out unless there was no time for more."""
    predict = _row_path(model)
    asked = rows[np.unique(np.linspace(0, rows.height - 1, min(_ROWS, rows.height)).astype(np.int64))].to_dicts()
    # The first call may load a library, which takes longer than all others together.
    predict(asked[0])
    seconds: list[float] = []
    started = clock()
    while len(seconds) < _WARM_UP + _CALLS:
        before = clock()
        predict(asked[len(seconds) % len(asked)])
        now = clock()
        seconds.append(now - before)
        if now - started >= limit_s:
            break
    return seconds[_WARM_UP:] or seconds[-1:]


def _row_path(model: Model) -> Callable[[Mapping[str, Any]], np.ndarray]:
    """The call that serves one row."""
    return model.compile().raw


def _batch(model: Model, rows: pl.DataFrame, limit_s: float, clock: Callable[[], float]) -> tuple[int, float]:
    """Rows and seconds of the largest call that the time allows; rows are repeated where there are too few."""
    n = min(_FIRST_BATCH, _LARGEST_BATCH)
    spent, started = 0.0, clock()
    while True:
        frame = rows[np.arange(n) % rows.height]
        before = clock()
        model.raw(frame)
        spent = max(clock() - before, 1e-9)
        left = limit_s - (clock() - started)
        larger = min(_LARGEST_BATCH, int(n * 0.8 * left / spent)) if left > 0 else 0
        if larger < 2 * n:
            return n, spent
        n = larger
