"""A finished run, as the caller sees it."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from modelwright.artifacts.bundle import load_bundle
from modelwright.artifacts.model import Model
from modelwright.errors import BundleError
from modelwright.metrics.estimate import Interval
from modelwright.training.figures import CandidateFigures
from modelwright.training.front import DELIVERED, on_front
from modelwright.training.record import RunRecord

if TYPE_CHECKING:
    from modelwright.runs.reproducing.values import Reproduction


class Run:
    """A finished run: its record, its folder, its model.

    Parameters
    ----------
    folder : Path
        Run folder, as published.
    record : RunRecord, optional
        Read from ``run.json`` when not given.
    """

    def __init__(self, folder: Path, record: RunRecord | None = None) -> None:
        self.folder = folder
        self.record = record or _read(folder)

    @cached_property
    def model(self) -> Model:
        """The delivered model."""
        return load_bundle(self.folder / "model")

    def reproduce(self, data: Any = None) -> Reproduction:
        """Do the run again by its plan in a fresh process, and compare step by step with what it recorded.

        Parameters
        ----------
        data : str, Path or table, optional
            The rows; by default they are read from where the run read them.

        Returns
        -------
        Reproduction
            ``equal``, ``steps``, and ``culprit`` where something differs. No look at the sealed rows is taken.

        Raises
        ------
        InvalidInputError
            If the rows cannot be read, or the run is of a kind that cannot be repeated.
        """
        from modelwright.runs.reproducing.child import reproduce_in_child

        return reproduce_in_child(self.folder, data)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    @property
    def leaderboard(self) -> pl.DataFrame:
        """One row per trial, best validated first, then probed, then those without a score.

        The first row is the delivered model, where it was measured. ``low`` and ``high`` are the 95 % interval of the
        score, ``single_row_s`` the median seconds of one row, ``front`` the models that no other beats in score, time
        of one row and size at once.
        """
        record, figures, front = self.record, self.record.figures, on_front(self.record)
        weights = record.plan.weights
        stages = ("validate", "baseline", "tune", "probe")
        order = sorted(
            record.trials,
            key=lambda t: (
                t.score is None,
                stages.index(t.stage) > 1 if t.stage in stages else True,
                0.0 if t.score is None else -t.score if record.greater_is_better else t.score,
            ),
        )
        columns = {
            "algorithm": pl.String, "stage": pl.String, record.metric: pl.Float64, "low": pl.Float64, "high": pl.Float64,
            "spread": pl.Float64, "weight": pl.Float64, "fit_s": pl.Float64, "single_row_s": pl.Float64,
            "rows_per_s": pl.Float64, "size_mb": pl.Float64, "memory_mb": pl.Float64, "front": pl.Boolean,
            "predict_us_per_row": pl.Float64, "state": pl.String, "error": pl.String, "trial": pl.Int64,
        }  # fmt: skip
        rows: list[tuple[Any, ...]] = []
        if figures is not None and figures.delivered is not None:
            own, measured = figures.delivered, figures.delivered.measured
            rows.append((
                "delivered model", "delivered", own.score, *_ends(own.interval), _spread(own.fold_scores), None, own.fit_s,
                measured.single_row_s, measured.batch_rows_per_s, measured.size_bytes / 1e6, own.peak_memory_mb,
                DELIVERED in front, None, "complete", "", None,
            ))  # fmt: skip
        for t in order:
            found = CandidateFigures(t.number) if figures is None else figures.of(t.number) or CandidateFigures(t.number)
            size_bytes = t.size_bytes if found.size_bytes is None else found.size_bytes
            rows.append((
                t.algorithm, t.stage, t.score, *_ends(found.interval), _spread(t.fold_scores), weights.get(t.number), t.fit_s,
                found.single_row_s, found.batch_rows_per_s, size_bytes / 1e6, t.peak_memory_mb, t.number in front,
                t.predict_us_per_row, t.state, t.error, t.number,
            ))  # fmt: skip
        return pl.DataFrame(rows, schema=columns, orient="row")

    def __repr__(self) -> str:
        return f"<modelwright.Run {self.record.id}: {_headline(self.record)}>"

    def _repr_html_(self) -> str:
        record = self.record
        verdict = record.evaluation.comparison.sentence if record.evaluation and record.evaluation.comparison else ""
        shown = ("algorithm", "stage", record.metric, "spread", "weight", "fit_s", "single_row_s", "size_mb", "front")
        board = self.leaderboard.head(12).select(shown)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in board.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) + "</tr>" for row in board.iter_rows()
        )
        return (
            f"<div><p><b>{html.escape(record.id)}</b>: {html.escape(_headline(record))}</p><p>{html.escape(verdict)}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>Report: <code>{html.escape(str(self.report))}</code></p></div>"
        )


def _read(folder: Path) -> RunRecord:
    try:
        return msgspec.json.decode((folder / "run.json").read_bytes(), type=RunRecord)
    except (OSError, msgspec.DecodeError) as error:
        raise BundleError(
            f"The run record cannot be read: {error}.", where=str(folder / "run.json"), mend="Give a run folder."
        ) from error


def _headline(record: RunRecord) -> str:
    if record.evaluation is None:
        return f"{record.task}, no sealed score exists"
    score = record.evaluation.score
    return (
        f"{record.task}, sealed {record.metric} {score.value:.4g} "
        f"(95 % interval {score.low:.4g} to {score.high:.4g}, {record.evaluation.n_rows:,} rows)"
    )


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.low, interval.high)


def _spread(scores: list[float]) -> float | None:
    return float(max(scores) - min(scores)) / 2 if len(scores) > 1 else None


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
