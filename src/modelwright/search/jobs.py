"""The messages between the search and its workers: one JSON line each way."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwright.tables.schema import Task


class Prepare(msgspec.Struct, frozen=True, tag="prepare"):
    """Fit an encoder on some rows of the training table and write the encoded view.

    ``out``, which appears whole or not at all, receives ``encoder/``, ``train/`` and, with ``validation_rows``, ``valid/``;
    beside the matrices lie ``y_train.npy``, ``y_valid.npy`` and the weights. Row files are ``.npy`` arrays of row positions.
    With ``generated`` the encoder also makes new features, chosen by the training rows of the view.
    """

    table: str
    schema: str
    out: str
    training_rows: str
    validation_rows: str = ""
    y: str = ""
    weight: str = ""
    seed: int = 0
    generated: bool = False
    task: Task = "clustering"
    n_classes: int = 0


class Fit(msgspec.Struct, frozen=True, tag="fit"):
    """Fit one learner on a view; score it on the view's validation rows if there are any.

    ``out``, which appears whole or not at all, receives ``model/`` (what the learner saves) and ``valid_pred.npy``.
    """

    view: str
    out: str
    algorithm: str
    params: dict[str, Any]
    task: Task
    n_classes: int
    metric: str
    seed: int
    validate: bool = True
    time_limit_s: float | None = None
    #: Counts at which the clock ended the fit that this one repeats; see `learners.base.Learner.stop_after`.
    stop_after: dict[str, int] = {}


Job = Prepare | Fit


class Done(msgspec.Struct, frozen=True, tag="done"):
    """What a worker answers; ``error`` is empty when the job went well."""

    error: str = ""
    detail: str = ""
    seconds: float = 0.0
    score: float | None = None
    n_iterations: int | None = None
    learned: dict[str, float] = {}
    #: Columns that a view got beside those of the table.
    n_generated: int = 0
    stopped: str = "complete"
    predict_us_per_row: float = 0.0
    size_bytes: int = 0
    peak_memory_mb: float = 0.0
    #: What the worker holds after the job beyond what it held before its first.
    kept_memory_mb: float = 0.0
    curve_loss: str = ""
    curve_iterations: list[int] = []
    curve_training: list[float] = []
    curve_validation: list[float] = []
    notes: list[str] = []
    #: Ended from outside: "deadline", "stop", "limit", "died" or "disk" (full); or never begun: "memory".
    ended: str = ""
    #: SHA-256 of every file below ``out``.
    outputs: dict[str, str] = {}
    #: See `learners.base.FitResult`.
    clock: dict[str, int] = {}
