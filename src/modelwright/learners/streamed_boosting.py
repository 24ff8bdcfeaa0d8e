"""LightGBM on rows that come in batches: binned as they arrive, so that memory holds one byte a cell.

Bin edges come from the sample. The binned rows, the gradients and the order of rows are what a fit then takes: about
50 bytes a row besides one a cell; 30 million rows of 20 columns take 2 GB. Histograms are built column by column: row by
row they would need a second copy of the binned rows.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
import numpy as np

from modelwright.learners.boosting import joined
from modelwright.learners.lightgbm import LightGBM
from modelwright.learners.streamed import Batch, Limits, Stream, StreamedFit

#: Rounds whose time is measured before the rest are planned.
_MEASURED_ROUNDS = 3
#: Steps may become so many times larger where time is short; beyond that rounds are left out.
MOST_HASTE = 2.5
_LARGEST_STEP = 0.2
#: Share of the time left that the planned rounds may take.
_TIME_SHARE = 0.9
_BARREN_ROUNDS = 10


class Binned:
    """The rows of a stream in LightGBM's bins; several members that read the same encoding share them.

    Parameters
    ----------
    learner : LightGBM
        Fitted on ``sample``: it says how the target is coded.
    stream : Stream
    sample : Batch
        Rows that the bin edges are taken from.
    """

    def __init__(self, learner: LightGBM, stream: Stream, sample: Batch) -> None:
        import lightgbm

        p, q = learner._shape
        settings = _settings(learner, stream.n_rows, 1)
        edges = lightgbm.Dataset(
            joined(sample.X),
            learner._coding.encode(_target(sample)),
            categorical_feature=list(range(p, p + q)),
            params=settings,
        ).construct()
        assert edges._handle is not None
        self.n_rows = stream.n_rows
        target = np.empty(self.n_rows, dtype=np.float32)
        weights: np.ndarray | None = None
        self.dataset = lightgbm.Dataset(None, params=settings)
        self.dataset._init_from_ref_dataset(self.n_rows, edges._handle)
        self.dataset._start_row = 0
        start = 0
        for batch in stream:
            stop = start + batch.X.n_rows
            self.dataset._push_rows(joined(batch.X))
            target[start:stop] = learner._coding.encode(_target(batch))
            if batch.weight is not None:
                weights = np.ones(self.n_rows, dtype=np.float32) if weights is None else weights
                weights[start:stop] = batch.weight
            start = stop
        assert start == self.n_rows, "a stream gives the rows that it counts"
        self.dataset.set_label(target)
        if weights is not None:
            self.dataset.set_weight(weights * (self.n_rows / weights.sum(dtype=np.float64)))


def fit_boosting(
    learner: LightGBM, stream: Stream, sample: Batch, limits: Limits, *, binned: Binned | None = None
) -> StreamedFit:
    """Trees over all rows of a stream, as many rounds as ``learner`` has, unless time is too short.

    Where the rounds would take more than the time left, there are fewer of them with larger steps; the notes say so.
    """
    if learner._coding.constant is not None:
        return StreamedFit(None, 0, notes=["LightGBM found nothing to learn in the sample and stays a constant."])
    binned = binned or Binned(learner, stream, sample)
    wanted = learner._booster.current_iteration()
    step = float(learner.params["learning_rate"])
    booster, round_s = _started(learner, binned, step, min(wanted, _MEASURED_ROUNDS), limits)
    rounds, faster = rounds_in_time(wanted, step, round_s, _TIME_SHARE * limits.left_s() + _MEASURED_ROUNDS * round_s)
    notes = []
    if faster > step:
        booster, _ = _started(learner, binned, faster, 0, limits)
    done = booster.current_iteration()
    barren = 0
    while done < rounds and barren < _BARREN_ROUNDS and limits.left_s() > 1.2 * round_s and not limits.stopped():
        barren = barren + 1 if booster.update() else 0
        done = booster.current_iteration()
    if done < wanted and not barren:
        notes.append(f"LightGBM has {done} rounds of step {faster:.3g} instead of {wanted} of {step:.3g}, to end in time.")
    params = learner.params | {"n_estimators": max(1, done), "learning_rate": faster}
    fitted = LightGBM(params, task=learner.task, n_classes=learner.n_classes, seed=learner.seed)
    fitted._shape = learner._shape
    fitted._coding = msgspec.structs.replace(learner._coding, n_rows=binned.n_rows)
    fitted._use(booster.model_to_string(num_iteration=max(1, done)))
    return StreamedFit(fitted, binned.n_rows, max(1, done), params, notes)


def rounds_in_time(wanted: int, step: float, round_s: float, left_s: float) -> tuple[int, float]:
    """Rounds and step size for the time left.

    Parameters
    ----------
    wanted : int
        Rounds that validation found best.
    step : float
        Learning rate that they were found with.
    round_s, left_s : float
        Seconds that a round takes, and that all may take.

    Returns
    -------
    tuple of int and float
        What was wanted if there is time for it; else fewer rounds with steps larger in the same measure, at most
        `MOST_HASTE` times; else as many rounds as there is time for.

    Examples
    --------
    >>> rounds_in_time(300, 0.05, 0.1, 100.0), rounds_in_time(300, 0.05, 0.1, 15.0)
    ((300, 0.05), (150, 0.1))
    """
    affordable = wanted if wanted * round_s <= left_s else max(1, int(left_s / round_s))
    if affordable >= wanted:
        return wanted, step
    haste = min(wanted / affordable, MOST_HASTE, max(1.0, _LARGEST_STEP / step))
    return min(affordable, max(1, round(wanted / haste))), step * haste


def _started(learner: LightGBM, binned: Binned, step: float, n_rounds: int, limits: Limits) -> tuple[Any, float]:
    """A booster after some rounds, and the seconds that each of them took."""
    import lightgbm

    settings = _settings(learner, binned.n_rows, limits.n_threads) | {"learning_rate": step}
    booster = lightgbm.Booster(settings, binned.dataset)
    times = []
    for _ in range(n_rounds):
        started = time.perf_counter()
        booster.update()
        times.append(time.perf_counter() - started)
    return booster, float(np.median(times)) if times else 0.0


def _settings(learner: LightGBM, n_rows: int, n_threads: int) -> dict[str, Any]:
    settings = learner._settings(n_rows, sum(learner._shape))
    settings.pop("force_row_wise", None)
    return settings | {"force_col_wise": True, "num_threads": n_threads}


def _target(batch: Batch) -> np.ndarray:
    assert batch.y is not None, "boosted trees have a target"
    return batch.y
