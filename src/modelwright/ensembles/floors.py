"""Thresholds that hold a floor of recall or precision on new rows, not only on those they are chosen on."""

from __future__ import annotations

import numpy as np

from modelwright.ensembles.cells import Cells, count_cells
from modelwright.errors import SpecError
from modelwright.metrics.dependence import design

#: Chance that the true recall (or precision) of a threshold lies below its bound.
_RISK = 0.05


class Floors:
    """Lower confidence bounds of recall and precision, and which thresholds they let pass."""

    def __init__(
        self,
        positive: np.ndarray,
        y: np.ndarray,
        w: np.ndarray,
        groups: np.ndarray | None,
        when: np.ndarray | None,
        cuts: np.ndarray,
        floor: dict[str, float] | None,
    ) -> None:
        self.floor = dict(floor or {})
        # Rows that one unit of weight is worth, for recall among positives and for precision among rows acted upon.
        cells = count_cells(positive, y, w, cuts)
        middle = float(cuts[int(np.argmin(np.abs(cells.tp / (cells.tp + cells.fn) - self.floor.get("recall", 0.5))))])
        acted = positive >= middle
        self.worth = {
            "recall": _worth(acted, y == 1, w, groups, when),
            "precision": _worth(y == 1, acted, w, groups, when),
        }

    def bounds(self, cells: Cells) -> dict[str, np.ndarray]:
        from scipy.stats import beta

        found = {}
        for key in self.floor:
            of = cells.tp + (cells.fn if key == "recall" else cells.fp)
            hits, n = cells.tp * self.worth[key], of * self.worth[key]
            with np.errstate(invalid="ignore"):
                low = beta.ppf(_RISK, hits, n - hits + 1)
            found[key] = np.where(hits > 0, np.nan_to_num(low), 0.0)
        return found

    def held(self, cells: Cells) -> np.ndarray:
        passed = [bound >= self.floor[key] for key, bound in self.bounds(cells).items()]
        return np.asarray(np.logical_and.reduce(passed))

    def assured(self, cells: Cells) -> dict[str, float]:
        return {key: round(float(bound[0]), 4) for key, bound in self.bounds(cells).items()}

    def last_resort(self, cells: Cells, cuts: np.ndarray) -> float:
        """No threshold holds the floor with confidence: acting on everybody has recall 1; else nothing helps."""
        bounds = self.bounds(cells)
        if set(self.floor) == {"recall"}:
            return 0.0
        others = bounds["recall"] >= self.floor["recall"] if "recall" in self.floor else np.ones(len(cuts), dtype=bool)
        place = int(np.argmax(np.where(others, bounds["precision"], -1.0)))
        most = max(float(bounds["precision"][place]), 0.0)
        beside = f" beside a recall of {self.floor['recall']:g}" if "recall" in self.floor else ""
        raise SpecError(
            f"A precision of {self.floor['precision']:g}{beside} cannot be held: "
            f"validation rows assure at most {most:.3f} (at probability {cuts[place]:.3g}, with 95 % confidence).",
            where="floor",
            mend=f"Ask for a precision of at most {np.floor(most * 100) / 100:g}, or give more rows.",
        )


def _worth(hit: np.ndarray, among: np.ndarray, w: np.ndarray, groups: np.ndarray | None, when: np.ndarray | None) -> float:
    """Independent rows per unit of weight, by the spread of a share among some rows."""
    total = float(w[among].sum())
    if total <= 0:
        return 0.0
    even = total / float((w[among] ** 2).sum())  # Kish's effective rows, per unit of weight
    if groups is None and when is None:
        return even
    n = int(among.sum())
    shape = design(n, w[among], None if groups is None else groups[among], None if when is None else when[among])
    share = float(w[among] @ hit[among]) / total
    variance = shape.units(w[among] * (hit[among] - share) / total).variance
    if not np.isfinite(variance) or variance <= 0 or not 0 < share < 1:
        return even
    return float(min(share * (1 - share) / variance / total, even))
