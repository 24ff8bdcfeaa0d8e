"""What a run was asked, decided and found, as plain values.

These structs are the files of the run folder (``run.json``, ``plan.json``, ``evaluation.json``) and the only
input of the report.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from modelwright.audit.finding import Finding
from modelwright.ensembles.calibration import NONE, Calibration
from modelwright.ensembles.threshold import ThresholdChoice
from modelwright.evaluation.calibration_report import CalibrationReport
from modelwright.evaluation.conformal_report import ConformalReport
from modelwright.evaluation.groupwise import Groupwise
from modelwright.evaluation.importance import Importance
from modelwright.evaluation.multiple import Leaderboard
from modelwright.evaluation.repeats import SeedSpread
from modelwright.evaluation.slices import Slice
from modelwright.evaluation.threshold_report import ThresholdReport
from modelwright.features.feature_set import FeatureSet
from modelwright.learners.readable import Readable
from modelwright.metrics.estimate import Interval
from modelwright.provenance.record import Provenance
from modelwright.splits.looks import Look
from modelwright.tables.schema import Schema, Task
from modelwright.training.figures import Figures
from modelwright.training.summary import DataSummary
from modelwright.version import FORMAT_VERSION

TrialState = Literal["complete", "failed", "abandoned", "stopped", "unavailable"]


class CurveRecord(msgspec.Struct, frozen=True):
    """Loss by iteration; ``validation`` may be empty."""

    trial: int
    algorithm: str
    fold: int
    loss: str
    iterations: list[int]
    training: list[float]
    validation: list[float]


class Trial(msgspec.Struct, frozen=True):
    """One algorithm with one set of hyperparameters, and how it did.

    ``score`` is the mean over folds in the metric's own units; ``stage`` "probe" (data subset, one fold),
    "tune" (same, proposed by the sampler) or "validate" (all training rows, all folds).
    """

    number: int
    algorithm: str
    params: dict[str, Any]
    state: TrialState
    stage: str
    score: float | None = None
    fold_scores: list[float] = []
    n_rows: int = 0
    n_iterations: int | None = None
    fit_s: float = 0.0
    predict_us_per_row: float = 0.0
    size_bytes: int = 0
    peak_memory_mb: float = 0.0
    baseline: bool = False
    error: str = ""


class MemberRecord(msgspec.Struct, frozen=True):
    """One learner inside the delivered model."""

    trial: int
    algorithm: str
    params: dict[str, Any]
    n_iterations: int | None
    weight: float
    seed: int
    n_rows: int
    refit: bool
    fit_s: float = 0.0
    size_bytes: int = 0
    peak_memory_mb: float = 0.0
    #: Reads the generated features too.
    generated: bool = False
    #: Counts at which the clock ended the fit; empty where it had no say.
    clock: dict[str, int] = {}
    #: Of a member delivered as fitted for validation: the fold, or -1 for the subset of the probe. None in records of before
    #: this was kept.
    fold: int | None = None


class Plan(msgspec.Struct, frozen=True):
    """What was decided; replaying it by counts repeats the run."""

    schema: Schema
    task: Task
    metric: str
    classes: list[Any]
    split_rule: str
    split_sentence: str
    n_folds: int
    probe_rows: int
    seed: int
    members: list[MemberRecord]
    threads_per_fit: int = 1
    #: Whether the members were fitted in batches on a table larger than memory.
    streamed: bool = False
    temperature: float = 1.0
    threshold: float | None = None
    calibration: Calibration = NONE
    threshold_choice: ThresholdChoice | None = None

    @property
    def weights(self) -> dict[int, float]:
        """Weight of each trial in the delivered model, by its number; a trial may have been fitted several times."""
        found: dict[int, float] = {}
        for member in self.members:
            found[member.trial] = found.get(member.trial, 0.0) + member.weight
        return found


class Comparison(msgspec.Struct, frozen=True):
    """Model against baseline on the same sealed rows.

    ``difference`` is oriented so that positive means the model is better.
    """

    baseline: str
    baseline_score: Interval
    difference: Interval
    p_value: float
    better: bool
    sentence: str
    #: The difference as a share of the baseline's score, and how many rows would show it where it is not shown.
    relative: float | None = None
    rows_needed: int | None = None


class Evaluation(msgspec.Struct, frozen=True):
    """The one sealed evaluation.

    ``plots`` holds the drawn-down points of each diagnostic plot, keyed "roc" {fpr, tpr}, "pr" {recall,
    precision}, "calibration" {predicted, observed, count}, "confusion" {labels, counts (rows actual, columns
    predicted)}, "residuals" {predicted, actual}, "clusters" {x, y, cluster}; each value is a list.
    """

    metric: str
    n_rows: int
    score: Interval
    others: dict[str, Interval]
    comparison: Comparison | None
    opened: int = 1
    plots: dict[str, dict[str, list[Any]]] = {}
    #: Against every baseline, the strongest on validation rows first; ``comparison`` is that one.
    comparisons: list[Comparison] = []
    #: Confirmed ones first.
    slices: list[Slice] = []
    #: One entry a sensitive column.
    groupwise: list[Groupwise] = []
    calibration: CalibrationReport | None = None
    threshold: ThresholdReport | None = None
    conformal: ConformalReport | None = None
    repeats: SeedSpread | None = None
    #: The line of the ledger that this evaluation is, as far as it may be shown; None in records of before there was one.
    look: Look | None = None
    #: Rows that the plots are of: validation rows where the model's own sealed numbers stay in the ledger.
    plots_of: Literal["sealed", "validation"] = "sealed"
    #: SHA-256 of the model's predictions of the sealed rows; empty in records of before there was one. It tells nothing of the
    #: score, so it stands in records whose score may not be shown too.
    predictions: str = ""


class RunRecord(msgspec.Struct, frozen=True):
    """Everything about one run."""

    id: str
    name: str
    created: str
    modelwright: str
    spec: dict[str, Any]
    source: str
    fingerprint: str
    n_rows: int
    n_columns: int
    task: Task
    target: str | None
    metric: str
    greater_is_better: bool
    plan: Plan
    n_training: int
    n_evaluation: int
    findings: list[Finding]
    notes: list[str]
    trials: list[Trial]
    curves: list[CurveRecord]
    validation_score: float | None
    evaluation: Evaluation | None
    #: (column, share) pairs, largest first; permutation importance on validation rows.
    importance: list[tuple[str, float]]
    timings_s: dict[str, float]
    wall_s: float
    budget_s: float | None
    peak_memory_mb: float
    environment: dict[str, Any]
    model: dict[str, Any]
    baseline_validation: dict[str, float] = {}
    interrupted: bool = False
    #: Why the model may not be registered or promoted: critical findings, or not better than the baseline.
    barriers: list[str] = []
    #: The same with intervals; columns that tell the same thing are one entry.
    importances: list[Importance] = []
    summary: DataSummary | None = None
    #: Validated candidates (by number of their trial) against the best of them, corrected for how many there are.
    standings: Leaderboard | None = None
    #: What the delivered model and the candidates cost; None in records of before it was measured.
    figures: Figures | None = None
    #: The model itself, where a person can read it.
    readable: Readable | None = None
    format_version: int = FORMAT_VERSION
    #: Columns of the table and of the user that were learned from or left out; None in records of before there was one.
    feature_set: FeatureSet | None = None
    #: Where the run comes from; None in records of before it was kept.
    provenance: Provenance | None = None
    #: Highest memory of the main process by the end of each step, in MB; grows from step to step.
    step_memory_mb: dict[str, float] = {}
    #: When the run was taken up again after it was killed or had failed; the record is that of an uninterrupted one otherwise.
    resumed: list[str] = []
