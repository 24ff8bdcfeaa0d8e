"""What models cost and how sure their validation scores are: the figures beside the trials of a run record."""

from __future__ import annotations

import msgspec

from modelwright.artifacts.measure import Measured
from modelwright.metrics.estimate import Interval


class CandidateFigures(msgspec.Struct, frozen=True):
    """One validated candidate, packaged alone as fitted for validation.

    ``interval`` is of its validation score; ``single_row_s`` the median seconds of one row. None is not measured.
    """

    trial: int
    interval: Interval | None = None
    single_row_s: float | None = None
    batch_rows_per_s: float | None = None
    #: Encoder and description included.
    size_bytes: int | None = None


class DeliveredFigures(msgspec.Struct, frozen=True):
    """The delivered model, measured on its packaged folder.

    ``score`` is the mean of ``fold_scores``, out of fold, after calibration; its weights and calibration were chosen on
    the same rows. ``fit_s`` sums the fits on all training rows, ``peak_memory_mb`` is the largest of them.
    """

    measured: Measured
    score: float | None = None
    fold_scores: list[float] = []
    interval: Interval | None = None
    fit_s: float = 0.0
    peak_memory_mb: float = 0.0


class Figures(msgspec.Struct, frozen=True):
    """Figures of a run; ``broken`` names the limits that the delivered model breaks: "latency", "size"."""

    delivered: DeliveredFigures | None = None
    candidates: list[CandidateFigures] = []
    max_latency_s: float | None = None
    max_size_bytes: float | None = None
    broken: list[str] = []

    def of(self, trial: int) -> CandidateFigures | None:
        """Figures of a trial, None if there are none."""
        return next((each for each in self.candidates if each.trial == trial), None)

    def barriers(self) -> list[str]:
        """Why a model that breaks what was asked may not be promoted without further words."""
        if self.delivered is None or not self.broken:
            return []
        measured, said = self.delivered.measured, []
        if "latency" in self.broken and self.max_latency_s is not None:
            said.append(
                f"takes {measured.single_row_s * 1e3:.3g} ms for one row, {self.max_latency_s * 1e3:.3g} ms were asked for"
            )
        if "size" in self.broken and self.max_size_bytes is not None:
            said.append(f"has {measured.size_bytes / 1e6:.3g} MB, {self.max_size_bytes / 1e6:.3g} MB were asked for")
        return [f"The model {' and '.join(said)}."]
