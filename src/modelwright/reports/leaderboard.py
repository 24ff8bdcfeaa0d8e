"""The trials of a run in the order in which a reader wants them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

from modelwright.metrics.estimate import Interval
from modelwright.reports.format import NOTHING, count, decimals_for, duration, fixed, is_number, ranged, shortened, size
from modelwright.training.front import DELIVERED, on_front
from modelwright.training.record import RunRecord, Trial

#: Further trials are in the run folder; a page with thousands of rows helps nobody.
MAX_OTHER_TRIALS = 100
MAX_ERROR = 600
#: Candidates named in the sentence about the first.
MAX_NAMED = 4

#: Stages that use all training rows and folds.
_FULL_STAGES = ("validate", "baseline")


@dataclass(frozen=True)
class Line:
    """One line of the leaderboard, as text.

    ``weight`` is empty for trials outside the model. ``behind`` is the distance to the first, its interval one that
    holds for all candidates at once; both are empty where this was not tested; ``tied`` says that it may be chance.
    ``row`` is the time of a single row, ``batch`` the rows a second, of the packaged model; ``front`` says that no other
    model is better, faster and smaller at once.
    """

    rank: str
    number: int
    algorithm: str
    score: str
    spread: str
    stage: str
    fit: str
    predict: str
    size: str
    memory: str
    state: str
    weight: str
    baseline: bool
    error: str
    behind: str = ""
    behind_interval: str = ""
    tied: bool = False
    interval: str = ""
    row: str = NOTHING
    batch: str = NOTHING
    front: bool = False


@dataclass(frozen=True)
class Leaderboard:
    """Trials ranked on all folds, algorithms that got no further than a subset, the rest, and failures."""

    ranked: list[Trial]
    lines: list[Line]
    others: list[Line]
    n_omitted: int
    failures: list[Line]
    #: Which candidates cannot be told from the first; empty where this was not tested.
    standing: str = ""
    #: The delivered model as one more line; None in records without its figures.
    delivered: Line | None = None

    @property
    def measured(self) -> bool:
        """Whether packaged models were measured; records of before that have the batch time of fits alone."""
        return self.delivered is not None or any(line.row != NOTHING for line in self.lines)


def leaderboard(record: RunRecord) -> Leaderboard:
    """Order the trials.

    Scores on all training rows and folds are ranked among themselves; an algorithm that was only tried on a
    subset follows unranked, since its score is not comparable.
    """
    scored = [t for t in record.trials if t.score is not None and is_number(t.score)]
    scored.sort(key=lambda t: _sort_key(t, record.greater_is_better))
    ranked = [t for t in scored if t.stage in _FULL_STAGES and t.state == "complete"]
    seen = {t.algorithm for t in ranked}
    subset = []
    for trial in scored:
        if trial.algorithm not in seen:
            seen.add(trial.algorithm)
            subset.append(trial)
    listed = {t.number for t in ranked + subset}
    others = [t for t in scored if t.number not in listed]
    failures = [t for t in record.trials if t.state != "complete" and t.number not in listed and t not in others]
    decimals = decimals_for([t.score for t in scored])
    weights = record.plan.weights
    front = on_front(record)
    lines = [_placed(_costed(_line(t, str(i), decimals, weights), record, front), record) for i, t in enumerate(ranked, 1)]
    lines += [_line(t, NOTHING, decimals, weights) for t in subset]
    return Leaderboard(
        ranked=ranked,
        lines=lines,
        others=[_line(t, NOTHING, decimals, weights) for t in others[:MAX_OTHER_TRIALS]],
        n_omitted=max(0, len(others) - MAX_OTHER_TRIALS),
        failures=[_line(t, NOTHING, decimals, weights) for t in failures],
        standing=standing_sentence(record),
        delivered=_delivered(record, decimals, front),
    )


def front_sentence(record: RunRecord) -> str:
    """Whether the delivered model is on the front, and whether it keeps to what was asked; empty without figures."""
    figures = record.figures
    if figures is None or figures.delivered is None:
        return ""
    measured = figures.delivered.measured
    said = (
        f"The delivered model takes {duration(measured.single_row_s)} for one row (95 % of calls within "
        f"{duration(measured.single_row_p95_s)}), {rate(measured.batch_rows_per_s)} rows a second in a batch and "
        f"{size(measured.size_bytes)} on the disk."
    )
    asked = []
    if figures.max_latency_s is not None:
        asked.append(f"{duration(figures.max_latency_s)} a row")
    if figures.max_size_bytes is not None:
        asked.append(size(figures.max_size_bytes))
    if not asked:
        return said
    if figures.broken:
        return f"{said} It breaks the limit asked for ({', '.join(asked)}): no candidate kept to it."
    return f"{said} It keeps to the limit asked for ({', '.join(asked)})."


def rate(per_second: float) -> str:
    """Rows a second, in two digits where there are many.

    Examples
    --------
    >>> rate(123_456.0), rate(42.4)
    ('120,000', '42')
    """
    if not is_number(per_second):
        return NOTHING
    digits = max(0, len(f"{per_second:.0f}") - 2)
    return count(round(per_second, -digits))


def standing_sentence(record: RunRecord) -> str:
    """Which validated candidates cannot be told from the first; empty where this was not tested."""
    found = record.standings
    if found is None or len(found.candidates) < 2:
        return ""
    algorithms = {str(trial.number): trial.algorithm for trial in record.trials}
    shared = Counter(algorithms.get(each.name, each.name) for each in found.candidates)

    def name(number: str) -> str:
        algorithm = algorithms.get(number, number)
        return f"{algorithm} (trial {number})" if shared[algorithm] > 1 else algorithm

    first, others = name(found.best), [each for each in found.candidates if each.name != found.best]
    folds = f" in {found.n_folds} folds" if found.n_folds > 1 else ""
    basis = f"{count(found.n_rows)} validation rows{folds}, corrected for {len(found.candidates)} candidates"
    alike = [name(each.name) for each in others if not each.distinguishable]
    if not alike:
        return f"{first} is better than {'the other' if len(others) == 1 else f'all {len(others)} others'} ({basis})."
    listed = ", ".join(alike[:MAX_NAMED]) + (f" and {len(alike) - MAX_NAMED} more" if len(alike) > MAX_NAMED else "")
    return f"{listed} cannot be told from {first}, the first: the order among them may be chance ({basis})."


def _placed(line: Line, record: RunRecord) -> Line:
    """The line with its distance to the first."""
    found = {each.name: each for each in record.standings.candidates} if record.standings is not None else {}
    each = found.get(str(line.number))
    if each is None or record.standings is None or each.name == record.standings.best:
        return line
    decimals = decimals_for([each.behind, each.high - each.behind], 2)
    interval = f"{fixed(each.low, decimals)} to {fixed(each.high, decimals)}" if is_number(each.low) else ""
    return replace(line, behind=fixed(each.behind, decimals), behind_interval=interval, tied=not each.distinguishable)


def _costed(line: Line, record: RunRecord, front: set[int]) -> Line:
    """The line with what its candidate costs as a package."""
    found = None if record.figures is None else record.figures.of(line.number)
    if found is None:
        return line
    return replace(
        line,
        interval=_between(found.interval),
        row=NOTHING if found.single_row_s is None else duration(found.single_row_s),
        batch=NOTHING if found.batch_rows_per_s is None else rate(found.batch_rows_per_s),
        size=line.size if found.size_bytes is None else size(found.size_bytes),
        front=line.number in front,
    )


def _delivered(record: RunRecord, decimals: int, front: set[int]) -> Line | None:
    """The delivered model as a line: measured as packaged, after the fit on all rows."""
    delivered = None if record.figures is None else record.figures.delivered
    if delivered is None:
        return None
    n = len(record.plan.members)
    return Line(
        rank="",
        number=DELIVERED,
        algorithm="delivered model",
        score=fixed(delivered.score, decimals),
        spread=_spread(delivered.fold_scores, decimals),
        stage=f"{count(n)} member{'' if n == 1 else 's'}, fitted on {count(record.n_training)} rows",
        fit=duration(delivered.fit_s) if delivered.fit_s else NOTHING,
        predict=NOTHING,
        size=size(delivered.measured.size_bytes),
        memory=size(delivered.peak_memory_mb * 1e6) if delivered.peak_memory_mb else NOTHING,
        state="complete",
        weight="",
        baseline=False,
        error="",
        interval=_between(delivered.interval),
        row=duration(delivered.measured.single_row_s),
        batch=rate(delivered.measured.batch_rows_per_s),
        front=DELIVERED in front,
    )


def _between(interval: Interval | None) -> str:
    return "" if interval is None else ranged(interval, decimals_for([interval.value]))


def _sort_key(trial: Trial, greater_is_better: bool) -> tuple[float, int]:
    score = math.nan if trial.score is None else trial.score
    return (-score if greater_is_better else score), trial.number


def _line(trial: Trial, rank: str, decimals: int, weights: dict[int, float]) -> Line:
    return Line(
        rank=rank,
        number=trial.number,
        algorithm=trial.algorithm,
        score=fixed(trial.score, decimals),
        spread=_spread(trial.fold_scores, decimals),
        stage=_stage(trial),
        fit=duration(trial.fit_s) if trial.fit_s else NOTHING,
        predict=duration(trial.predict_us_per_row / 1e6) if trial.predict_us_per_row else NOTHING,
        size=size(trial.size_bytes) if trial.size_bytes else NOTHING,
        memory=size(trial.peak_memory_mb * 1e6) if trial.peak_memory_mb else NOTHING,
        state=trial.state,
        weight=f"weight {fixed(weights[trial.number], 2)}" if trial.number in weights else "",
        baseline=trial.baseline,
        error=shortened(trial.error.strip(), MAX_ERROR) or "No reason was recorded.",
    )


def _spread(fold_scores: list[float], decimals: int) -> str:
    """Sample standard deviation over the folds."""
    scores = [s for s in fold_scores if is_number(s)]
    if len(scores) < 2:
        return ""
    mean = sum(scores) / len(scores)
    return f"± {fixed(math.sqrt(sum((s - mean) ** 2 for s in scores) / (len(scores) - 1)), decimals)}"


def _stage(trial: Trial) -> str:
    rows = f", {count(trial.n_rows)} rows" if trial.n_rows else ""
    folds = f", {len(trial.fold_scores)} folds" if len(trial.fold_scores) > 1 else ""
    return f"{trial.stage}{rows}{folds}"
