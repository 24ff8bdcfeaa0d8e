"""A finished run, as the caller sees it."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path

import msgspec
import polars as pl

from modelwright.artifacts.bundle import load_bundle
from modelwright.artifacts.model import Model
from modelwright.errors import BundleError
from modelwright.training.record import RunRecord


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

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    @property
    def leaderboard(self) -> pl.DataFrame:
        """One row per trial, best validated first, then probed, then those without a score."""
        record = self.record
        weights = {m.trial: m.weight for m in record.plan.members}
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
            "algorithm": pl.String, "stage": pl.String, record.metric: pl.Float64, "spread": pl.Float64, "weight": pl.Float64,
            "fit_s": pl.Float64, "predict_us_per_row": pl.Float64, "size_mb": pl.Float64, "memory_mb": pl.Float64,
            "state": pl.String, "error": pl.String, "trial": pl.Int64,
        }  # fmt: skip
        rows = [
            (
                t.algorithm, t.stage, t.score, _spread(t.fold_scores), weights.get(t.number), t.fit_s, t.predict_us_per_row,
                t.size_bytes / 1e6, t.peak_memory_mb, t.state, t.error, t.number,
            )
            for t in order
        ]  # fmt: skip
        return pl.DataFrame(rows, schema=columns, orient="row")

    def __repr__(self) -> str:
        return f"<modelwright.Run {self.record.id}: {_headline(self.record)}>"

    def _repr_html_(self) -> str:
        record = self.record
        verdict = record.evaluation.comparison.sentence if record.evaluation and record.evaluation.comparison else ""
        board = self.leaderboard.head(12)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in board.columns[:8])
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row[:8]) + "</tr>"
            for row in board.iter_rows()
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


def _spread(scores: list[float]) -> float | None:
    return float(max(scores) - min(scores)) / 2 if len(scores) > 1 else None


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
