"""A search as it is read again: its trials, its best, its run."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.errors import BundleError
from modelwright.jobs.folder import read_record
from modelwright.jobs.opened import JobRun
from modelwright.jobs.tuning.record import DETAILS, REPORT, TuningRecord, read_trials, read_tuning
from modelwright.jobs.tuning.settings import Settings
from modelwright.jobs.tuning.trial import Ended, Trial

if TYPE_CHECKING:
    import polars as pl


class Tuning(JobRun):
    """A search over a job, as it stood when it was opened; its trials are runs of their own, with it as their parent.

    Parameters
    ----------
    folder : Path
        Run folder of the search.

    Attributes
    ----------
    settings : Settings
        What was asked.
    ended : Ended or None
        Why it ended; None while it runs, or where it was killed.
    counted : list of Trial
        The trials in order; beyond the one that ended the search none counts.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        tuning: TuningRecord = read_tuning(folder, self.record)
        self.settings: Settings = tuning.settings
        self.ended: Ended | None = tuning.ended
        trials = read_trials(folder)
        self.counted: list[Trial] = [t for t in trials.values() if tuning.last is None or t.number <= tuning.last]

    @property
    def run(self) -> JobRun:
        """The run of the search, which is this one: its state, params, metrics and provenance."""
        return self

    @property
    def best(self) -> Trial | None:
        """The best trial: ``params``, ``value``, ``run``; None where none came through."""
        from modelwright.jobs.tuning.loop import best_of

        return best_of(self.counted, self.settings.selector, self.settings.halving)

    @property
    def best_run(self) -> JobRun | None:
        """The run of the best trial, with its artifacts."""
        return JobRun(self.folder.parent / self.best.run) if self.best is not None else None

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / REPORT

    @cached_property
    def trials(self) -> pl.DataFrame:
        """A row for each trial: number, state, value, seconds, run, error, and ``params.NAME`` for each parameter."""
        import polars as pl

        rows = self.counted
        names = list(dict.fromkeys(name for trial in rows for name in trial.params))
        frame = pl.DataFrame(
            {
                "number": [t.number for t in rows],
                "state": [t.state for t in rows],
                "value": [t.value for t in rows],
                "seconds": [t.seconds for t in rows],
                "run": [t.run for t in rows],
                "error": [t.error for t in rows],
            },
            schema={
                "number": pl.Int64, "state": pl.String, "value": pl.Float64, "seconds": pl.Float64,
                "run": pl.String, "error": pl.String,
            },
        )  # fmt: skip
        return frame.with_columns(_column(f"params.{name}", [t.params.get(name) for t in rows]) for name in names)

    def __repr__(self) -> str:
        return f"<modelwright.Tuning {self.id}: {self._headline()}>"

    def _repr_html_(self) -> str:
        return f"<div><p><b>{html.escape(self.id)}</b>: {html.escape(self._headline())}</p>{self.trials._repr_html_()}</div>"

    def _headline(self) -> str:
        if self.best is None or self.best.value is None:
            return f"{len(self.counted)} trials, none came through"
        return f"{len(self.counted)} trials, best {self.settings.selector.metric} {self.best.value:.6g} with {self.best.params}"


def search_of(folder: Path) -> Tuning | None:
    """The search in a folder, None where another kind of run lies there."""
    try:
        record = read_record(folder)
    except BundleError:
        return None
    return Tuning(folder) if DETAILS in record.details else None


def _column(name: str, values: list[Any]) -> pl.Series:
    """Values of one parameter; of mixed kinds as JSON."""
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    if len(kinds) == 1 and kinds <= {int, float, bool, str}:
        dtype = {int: pl.Int64, float: pl.Float64, bool: pl.Boolean, str: pl.String}[kinds.pop()]
        return pl.Series(name, values, dtype=dtype)
    return pl.Series(name, [None if v is None else msgspec.json.encode(v).decode() for v in values], dtype=pl.String)
