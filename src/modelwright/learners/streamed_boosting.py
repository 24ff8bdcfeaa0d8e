"""LightGBM on rows that come in batches: binned as they arrive, so that memory holds one byte a cell.

Bin edges come from the sample. The binned rows, the gradients and the order of rows are what a fit then takes: about
50 bytes a row besides one a cell; 30 million rows of 20 columns take 2 GB. Histograms are built column by column: row by
row they would need a second copy of the binned rows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from modelwright.learners.boosting import joined
from modelwright.learners.lean_import import library
from modelwright.learners.lightgbm import LightGBM
from modelwright.learners.streamed import Batch, Limits, Stream, StreamedFit
from modelwright.learners.target import TEMPERATURE

#: Rounds whose time is measured on one thread, and on several, before the rest are planned.
_MEASURED_ROUNDS = 3
#: Threads of a fit of few rows wait for one another more than they help ...
_ROWS_FOR_THREADS = 300_000
#: ... and so do they wherever another process takes a core: two threads then took thirty times as long as one. So several
#: are kept only while rounds take less than this share of the time on one.
_WORTH_IT = 0.85
#: Where time is short, fewer rows are drawn for each tree first: of many rows that costs least. But not fewer than these,
#: and not less than this share of what was wanted.
_FEWEST_DRAWN, _LEAST_DRAWN = 1_000_000, 1 / 3
#: Share of a round that does not depend on how many rows are drawn.
_FIXED = 0.3
#: Then steps become larger, at most so many times; beyond that rounds are left out.
MOST_HASTE = 2.5
_LARGEST_STEP = 0.2
#: Rounds times step of less than this share of what was wanted are no model of the data; the sample's is better.
_LEAST_GROWN = 0.5
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
        lightgbm = library("lightgbm")
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

    Where the rounds would take more than the time left, the pace changes (`pace_in_time`), and the notes say so.
    """
    if learner._coding.constant is not None:
        return StreamedFit(None, 0, notes=["LightGBM found nothing to learn in the sample and stays a constant."])
    binned = binned or Binned(learner, stream, sample)
    wanted = Pace(learner._booster.current_iteration(), *(float(learner.params[name]) for name in _PACED))
    booster = _booster(learner, binned, wanted)
    crew = Crew(booster, limits.n_threads if binned.n_rows >= _ROWS_FOR_THREADS else 1)
    round_s = crew.measure(min(wanted.rounds, 2 * _MEASURED_ROUNDS))
    pace = pace_in_time(wanted, round_s, _TIME_SHARE * limits.left_s(), binned.n_rows)
    if pace.step != wanted.step or pace.drawn != wanted.drawn:
        booster = _booster(learner, binned, pace)
        crew = Crew(booster, crew.n_threads, crew.one_s)
    done, barren, notes = booster.current_iteration(), 0, []
    while done < pace.rounds and barren < _BARREN_ROUNDS and limits.left_s() > 1.2 * round_s and not limits.stopped():
        barren = barren + 1 if crew.update() else 0
        done = booster.current_iteration()
    if not barren and done * pace.step < _LEAST_GROWN * wanted.rounds * wanted.step:
        found = f"after {done} of {wanted.rounds} rounds on all rows the time was up"
        return StreamedFit(None, 0, notes=[f"LightGBM stays as fitted on the sample: {found}."])
    if pace != wanted:
        found = f"{done} rounds of step {pace.step:.3g}, each tree on {pace.drawn:.2g} of the rows"
        notes.append(
            f"LightGBM has {found}, instead of {wanted.rounds} of {wanted.step:.3g} on {wanted.drawn:.2g}, to end in time."
        )
    paced = dict(zip(_PACED, (pace.step, pace.drawn), strict=True))
    # How sure so many more rows make it was not validated.
    params = learner.params | paced | {"n_estimators": max(1, done), TEMPERATURE.name: 1.0}
    fitted = LightGBM(params, task=learner.task, n_classes=learner.n_classes, seed=learner.seed)
    fitted._shape = learner._shape
    fitted._coding = msgspec.structs.replace(learner._coding, n_rows=binned.n_rows, temperature=1.0)
    fitted._use(booster.model_to_string(num_iteration=max(1, done)))
    return StreamedFit(fitted, binned.n_rows, max(1, done), params, notes)


#: The hyperparameters that a pace sets besides the number of rounds.
_PACED = ("learning_rate", "bagging_fraction")


@dataclass(frozen=True)
class Pace:
    """Rounds, the size of their steps, and the share of the rows drawn for each."""

    rounds: int
    step: float
    drawn: float


def pace_in_time(wanted: Pace, round_s: float, left_s: float, n_rows: int) -> Pace:
    """The pace at which a fit ends in the time left.

    Parameters
    ----------
    wanted : Pace
        What validation found best.
    round_s : float
        Seconds that a round takes at that pace.
    left_s : float
        Seconds that all rounds may take.
    n_rows : int

    Returns
    -------
    Pace
        What was wanted if there is time for it; else fewer rows for each tree; else also fewer rounds with steps larger
        in the same measure; else as many rounds as there is time for.

    Examples
    --------
    >>> pace_in_time(Pace(300, 0.05, 0.8), 0.1, 100.0, 10**7)
    Pace(rounds=300, step=0.05, drawn=0.8)
    >>> pace_in_time(Pace(300, 0.05, 0.8), 0.1, 10.0, 10**6)
    Pace(rounds=100, step=0.125, drawn=0.8)
    """
    if wanted.rounds * round_s <= left_s:
        return wanted
    least = min(wanted.drawn, max(_LEAST_DRAWN * wanted.drawn, _FEWEST_DRAWN / n_rows))
    affordable = left_s / wanted.rounds / round_s  # share of a round's time
    drawn = min(wanted.drawn, max(least, wanted.drawn * (affordable - _FIXED) / (1.0 - _FIXED)))
    round_s *= _FIXED + (1.0 - _FIXED) * drawn / wanted.drawn
    rounds = max(1, int(left_s / round_s + 1e-9))
    if rounds >= wanted.rounds:
        return Pace(wanted.rounds, wanted.step, drawn)
    haste = min(wanted.rounds / rounds, MOST_HASTE, max(1.0, _LARGEST_STEP / wanted.step))
    return Pace(min(rounds, max(1, round(wanted.rounds / haste))), wanted.step * haste, drawn)


def most_hurry(learner: LightGBM, n_rows: int) -> float:
    """How many times faster than wanted a fit can become by its pace alone, rounds not left out."""
    wanted = Pace(1_000_000, *(float(learner.params[name]) for name in _PACED))
    least = pace_in_time(wanted, 1.0, 1.0, n_rows)
    haste = min(MOST_HASTE, max(1.0, _LARGEST_STEP / wanted.step))
    return haste / (_FIXED + (1.0 - _FIXED) * least.drawn / wanted.drawn)


class Crew:
    """The threads of a booster: several only while they help. The trees are the same on any number of them.

    Parameters
    ----------
    booster : lightgbm.Booster
    n_threads : int
        Threads to try.
    one_s : float, optional
        Seconds of a round on one thread, where they are known.
    """

    def __init__(self, booster: Any, n_threads: int, one_s: float = float("inf")) -> None:
        self.booster = booster
        self.n_threads = n_threads
        self.one_s = one_s
        booster.reset_parameter({"num_threads": n_threads})

    def measure(self, n_rounds: int) -> float:
        """Do some rounds, on one thread first; keep several if they are worth it. Gives the seconds of a round."""
        wanted = self.n_threads
        self._use(1)
        self.one_s = self._median(n_rounds if wanted == 1 else n_rounds // 2)
        if wanted == 1 or n_rounds < 2:
            return self.one_s
        self._use(wanted)
        several_s = self._median(n_rounds - n_rounds // 2)
        if several_s > _WORTH_IT * self.one_s:
            self._use(1)
        return min(several_s, self.one_s)

    def update(self) -> bool:
        """One round; True where no split was found. A round on several threads that took too long is the last."""
        started = time.perf_counter()
        barren = bool(self.booster.update())
        if self.n_threads > 1 and time.perf_counter() - started > 2.0 * self.one_s:
            self._use(1)
        return barren

    def _use(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self.booster.reset_parameter({"num_threads": n_threads})

    def _median(self, n_rounds: int) -> float:
        times = []
        for _ in range(max(1, n_rounds)):
            started = time.perf_counter()
            self.booster.update()
            times.append(time.perf_counter() - started)
        return float(np.median(times))


def _booster(learner: LightGBM, binned: Binned, pace: Pace) -> Any:
    settings = _settings(learner, binned.n_rows, 1)
    return library("lightgbm").Booster(settings | {"learning_rate": pace.step, "bagging_fraction": pace.drawn}, binned.dataset)


def _settings(learner: LightGBM, n_rows: int, n_threads: int) -> dict[str, Any]:
    settings = learner._settings(n_rows, sum(learner._shape))
    settings.pop("force_row_wise", None)
    return settings | {"force_col_wise": True, "num_threads": n_threads}


def _target(batch: Batch) -> np.ndarray:
    assert batch.y is not None, "boosted trees have a target"
    return batch.y
