"""What candidates and the packaged model cost, and a selection that keeps to the limits asked for.

Before the choice every validated candidate is packaged alone, as fitted for validation, and asked for a few rows. After
the fit on all rows the real package is measured; where it breaks a limit members leave it, the least useful first.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec
import numpy as np

from modelwright.artifacts.bundle import load_bundle, write_bundle
from modelwright.artifacts.golden import check_golden, golden_of
from modelwright.artifacts.measure import Measured, folder_bytes, measure
from modelwright.artifacts.model import Member, Model
from modelwright.artifacts.reference import Reference
from modelwright.ensembles.limits import Cost, ModelLimits, allowed, nearest
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.metrics import registry as metrics
from modelwright.metrics.estimate import Interval
from modelwright.metrics.intervals import interval
from modelwright.metrics.metric import Metric
from modelwright.search.candidate import Candidate
from modelwright.search.search import Search
from modelwright.training.figures import CandidateFigures, DeliveredFigures, Figures
from modelwright.training.final import FinalFit
from modelwright.training.prepare import Training
from modelwright.training.reference import SHARE, likely_bytes, within_size
from modelwright.training.selection import Selection

#: Seconds for one candidate: a median of a few calls, and a batch of a thousand rows.
_ONE_S = 0.03
#: Rows from which the intervals of validation scores are computed at most.
_MOST_ROWS = 20_000
#: Candidates whose intervals are computed at most; those further down are not what is looked at.
_MOST_INTERVALS = 20
#: Bytes of the manifest and the description of a package.
_DESCRIPTION = 5_000
#: Measurements at most of a package that seems too slow: what else runs on the machine can only add to a time.
_AGAIN = 3
#: Algorithms whose files grow with the number of training rows.
_GROWING = ("random_forest", "extra_trees", "svm")


class Meter:
    """Measures candidates, each once.

    Parameters
    ----------
    search : Search
    training : Training
        Its raw rows are what is asked for.
    classes : list
        Labels of the classes; empty for regression and clustering.
    limits : ModelLimits
    time_limit_s : float, default=0.5
        Seconds for all candidates. Where there are limits every candidate is measured, whatever it takes.
    """

    def __init__(
        self, search: Search, training: Training, classes: Sequence[object], limits: ModelLimits, *, time_limit_s: float = 0.5
    ) -> None:
        self.limits = limits
        self._search = search
        self._training = training
        self._classes = list(classes)
        self._left_s = time_limit_s
        self._found: dict[int, CandidateFigures] = {}
        self._encoders: dict[str, tuple[Encoder, int]] = {}
        self._shared: Cost | None = None

    def of(self, candidate: Candidate) -> CandidateFigures:
        """Figures of a candidate; empty ones when the time is up or nothing was saved."""
        known = self._found.get(candidate.number)
        if known is None or known.single_row_s is None:
            started = time.monotonic()
            if self._left_s > 0 or self.limits.given:
                self._found[candidate.number] = self._measured(candidate)
            self._left_s -= time.monotonic() - started
        return self._found.get(candidate.number, CandidateFigures(candidate.number))

    def costs(self, candidates: Sequence[Candidate]) -> tuple[list[Cost], Cost]:
        """What each candidate adds to a model, and what every model costs.

        A candidate that could not be measured counts as one that breaks every limit.
        """
        shared = self.shared()
        found = []
        for candidate in candidates:
            figures = self.of(candidate)
            if figures.single_row_s is None or figures.size_bytes is None:
                found.append(Cost(float("inf"), float("inf")))
                continue
            growth = self._growth(candidate)
            found.append(
                Cost(
                    max(0.0, figures.single_row_s - shared.row_s),
                    growth * max(0.0, figures.size_bytes - shared.size_bytes),
                )
            )
        return found, shared

    def shared(self) -> Cost:
        """What a model costs that predicts the same for every row: reading and encoding it."""
        if self._shared is None:
            constant = next((c for c in self._search.candidates if c.algorithm == "constant" and c.score is not None), None)
            figures = None if constant is None else self.of(constant)
            if figures is None or figures.single_row_s is None or figures.size_bytes is None:
                self._shared = Cost()
            else:
                self._shared = Cost(figures.single_row_s, figures.size_bytes)
        return self._shared

    def allowed(self, candidates: Sequence[Candidate]) -> Callable[[Collection[int]], bool] | None:
        """Whether candidates, by their positions, may be members together; None without limits.

        Where none keeps to the limits alone, the one that is nearest to them is allowed, and nothing else.
        """
        if not self.limits.given or not candidates:
            return None
        costs, shared = self.costs(candidates)
        fits = allowed(costs, shared, self.limits)
        if any(fits((i,)) for i in range(len(costs))):
            return fits
        closest = nearest(costs, shared, self.limits)
        return lambda chosen: set(chosen) == {closest}

    def sentence(self, candidates: Sequence[Candidate]) -> str:
        """Which candidates the limits leave out; empty if none."""
        if not self.limits.given or not candidates:
            return ""
        costs, shared = self.costs(candidates)
        fits = allowed(costs, shared, self.limits)
        kept = [i for i in range(len(costs)) if fits((i,))]
        if not kept:
            closest = candidates[nearest(costs, shared, self.limits)].algorithm
            return f"No candidate keeps to the limits ({asked(self.limits)}); the one nearest to them is taken: {closest}."
        out = dict.fromkeys(candidates[i].algorithm for i in range(len(costs)) if i not in kept)
        n = len(costs) - len(kept)
        listed = f"{n} of {len(costs)} candidates are too slow or too large ({asked(self.limits)}): {', '.join(out)}."
        return listed if n else ""

    def _measured(self, candidate: Candidate) -> CandidateFigures:
        search = self._search
        fold = next((k for k in sorted(candidate.folds) if not candidate.folds[k].error), None)
        folder = search.folder(candidate, fold) / "model"
        view = search.encoding.views.path(search.view_of(fold, generated=candidate.generated)) / "encoder"
        if not folder.is_dir() or not view.is_dir():
            return CandidateFigures(candidate.number)
        if str(view) not in self._encoders:
            self._encoders[str(view)] = (Encoder.load(view), folder_bytes(view))
        encoder, encoder_bytes = self._encoders[str(view)]
        model = Model(
            task=search.problem.task,
            target=None,
            classes=self._classes,
            schema=self._training.schema,
            encoders=[encoder],
            members=[Member(registry.load(candidate.algorithm, folder), 1.0, 0)],
            derived=self._training.served,
        )
        found = measure(model, self._training.raw, time_limit_s=_ONE_S)
        return CandidateFigures(
            candidate.number,
            single_row_s=found.single_row_s,
            batch_rows_per_s=found.batch_rows_per_s,
            size_bytes=folder_bytes(folder) + encoder_bytes + self._around_bytes(),
        )

    def _around_bytes(self) -> int:
        """What a package holds besides encoders and members: description, scores of validation rows, reference."""
        conformal = 0 if self._search.problem.task == "clustering" else 8 * self._training.frame.height
        reference = likely_bytes(self._training.frame.height, len(self._training.schema.features))
        most = self.limits.size_bytes
        if most is not None and reference > SHARE * most:
            reference = 0
        return len(msgspec.json.encode(self._training.schema)) + conformal + reference + _DESCRIPTION

    def _growth(self, candidate: Candidate) -> float:
        """How much larger the files will be after the fit on all rows."""
        if candidate.algorithm not in _GROWING:
            return 1.0
        problem = self._search.problem
        rows = len((problem.folds[0] if candidate.folds else problem.probe).training)
        return max(1.0, self._training.frame.height / max(1, rows))


def only(wanted: Sequence[Candidate]) -> Callable[[Sequence[Candidate]], Callable[[Collection[int]], bool]]:
    """For a choice among a few of the candidates: as `Meter.allowed`, which others it forbids."""
    numbers = {candidate.number for candidate in wanted}
    return lambda candidates: lambda chosen: {candidates[i].number for i in chosen} <= numbers


def package(
    model: Model,
    folder: Path,
    training: Training,
    *,
    libraries: dict[str, str],
    lineage: dict[str, str],
    limits: ModelLimits | None = None,
    reference: Reference | None = None,
    time_limit_s: float = 0.5,
) -> Measured:
    """Write the model folder, load it again, replay its golden rows and measure it; what lay there before is replaced.

    A package that seems too slow is measured again, up to three times, and its fastest measurement counts.

    Parameters
    ----------
    model : Model
    folder : Path
    training : Training
    libraries, lineage : dict of str to str
        As for `write_bundle`.
    limits : ModelLimits, optional
    reference : Reference, optional
        As for `write_bundle`; left out where it would take more than a tenth of the size that is allowed.
    time_limit_s : float, default=0.5
        Seconds for the calls.
    """
    if folder.exists():
        shutil.rmtree(folder)
    if reference is not None and not within_size(reference, limits):
        reference = None
    golden = golden_of(model, training.raw)
    write_bundle(model, folder, libraries=libraries, lineage=lineage, golden=golden, reference=reference)
    loaded = load_bundle(folder)
    check_golden(loaded, folder)
    found = measure(loaded, training.raw, time_limit_s=time_limit_s)
    most = None if limits is None else limits.latency_s
    for _ in range(_AGAIN - 1):
        if most is None or found.single_row_s <= most:
            break
        again = measure(loaded, training.raw, time_limit_s=time_limit_s)
        found = again if again.single_row_s < found.single_row_s else found
    return msgspec.structs.replace(found, size_bytes=folder_bytes(folder))


def figures_of(
    selection: Selection,
    final: FinalFit,
    meter: Meter,
    candidates: Sequence[Candidate],
    measured: Measured,
    metric: Metric,
    training: Training,
    *,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
    seed: int = 0,
) -> Figures:
    """The figures of the run record: the delivered model, and validated candidates as far as time allows.

    Parameters
    ----------
    selection : Selection
    final : FinalFit
    meter : Meter
    candidates : sequence of Candidate
        Validated ones and baselines, those that matter most first.
    measured : Measured
        Of the delivered package.
    metric : Metric
    training : Training
    groups, when : ndarray of shape (n,), optional
        Entity and moment of each training row.
    seed : int, default=0
    """
    limits, oof, y = meter.limits, selection.out_of_fold, training.y
    weight = training.weight
    intervals: dict[int, Interval] = {}
    scores: list[float] = []
    own = None
    if oof is not None and y is not None:
        part = np.arange(len(oof.rows))
        if len(part) > _MOST_ROWS:
            part = np.sort(np.random.default_rng([seed, 62]).choice(part, _MOST_ROWS, replace=False))
        rows = oof.rows[part]

        def estimated(prediction: np.ndarray, score: float | None, threshold: float | None) -> Interval | None:
            found = interval(
                metric,
                y[rows],
                prediction[part],
                weight=None if weight is None else weight[rows],
                groups=None if groups is None else groups[rows],
                blocks=None if when is None else when[rows],
                seed=seed,
                threshold=threshold,
            )
            return _around(found.value, found.low, found.high, score)

        for candidate in list(candidates)[:_MOST_INTERVALS]:
            if candidate.number in oof.candidates:
                about = estimated(oof.candidates[candidate.number], candidate.score, None)
                intervals |= {} if about is None else {candidate.number: about}
        for fold in np.unique(oof.fold):
            at = np.flatnonzero(oof.fold == fold)
            w = None if weight is None else weight[oof.rows[at]]
            value = metrics.score(metric, y[oof.rows[at]], oof.prediction[at], w, threshold=selection.threshold)
            scores.append(float(value))
        own = estimated(oof.prediction, float(np.mean(scores)), selection.threshold)
    found = [msgspec.structs.replace(meter.of(c), interval=intervals.get(c.number)) for c in candidates]
    return Figures(
        delivered=DeliveredFigures(
            measured=measured,
            score=float(np.mean(scores)) if scores else selection.validation_score,
            fold_scores=scores,
            interval=own,
            fit_s=sum(record.fit_s for record in final.records),
            peak_memory_mb=max((record.peak_memory_mb for record in final.records), default=0.0),
        ),
        candidates=found,
        max_latency_s=limits.latency_s,
        max_size_bytes=limits.size_bytes,
        broken=limits.broken(Cost(measured.single_row_s, measured.size_bytes)),
    )


def _around(value: float, low: float, high: float, score: float | None) -> Interval | None:
    """The interval of a value over all rows, moved to the score that is shown: the mean over folds."""
    if not np.isfinite([value, low, high]).all():
        return None
    shift = 0.0 if score is None or not np.isfinite(score) else score - value
    return Interval(value + shift, low + shift, high + shift)


def asked(limits: ModelLimits) -> str:
    """The limits in words, such as "1 ms a row, 5.0 MB"."""
    parts = []
    if limits.latency_s is not None:
        parts.append(f"{limits.latency_s * 1e3:.3g} ms a row")
    if limits.size_bytes is not None:
        parts.append(f"{limits.size_bytes / 1e6:.3g} MB")
    return ", ".join(parts)
