"""Charts of a run: model against baseline, fold scores, learning curves; and what all charts share.

Charts of the sealed evaluation are in `reports.diagnostics`. Every function takes values of the run record and
returns a `Figure`, or nothing where there is nothing to draw. Field names in the charts are fixed words; what the
user named only ever appears as data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright.metrics.estimate import Interval
from modelwright.reports.format import decimals_for, fixed, is_number, metric_title, number, shortened

if TYPE_CHECKING:
    import altair as alt

    from modelwright.training.record import CurveRecord, Evaluation, RunRecord, Trial

#: Okabe and Ito's palette, which stays distinct for colour-blind readers (yellow left out: too light on paper).
BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#8a929c"

#: The style sheet turns these three into their dark counterparts.
INK, FAINT, GRID = "#2b313a", "#69727d", "#e1e5ea"

#: And this one, of the page behind a chart.
PAPER = "#fffffe"

PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, INK, GREY)

#: Fits a phone (390 px less margins) at full size, and three stand side by side on a desktop.
WIDTH = 340
HEIGHT = 250

#: More points than this cannot be told apart at this size.
MAX_POINTS = 600
MAX_STEPS = 150
MAX_CURVES = 9


@dataclass(frozen=True)
class Figure:
    """A chart with its words.

    ``caption`` says how to read it and its main number; ``alternative`` replaces the picture for those who
    cannot see it. ``scrolls`` marks a chart that is wider than a phone.
    """

    key: str
    title: str
    caption: str
    alternative: str
    chart: alt.TopLevelMixin
    scrolls: bool = False


def finish(chart: Any, *, width: int = WIDTH, height: int = HEIGHT) -> Any:
    """Give a chart the outer size and the look of the report."""
    axis = {
        "labelColor": FAINT, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal",
        "gridColor": GRID, "domain": False, "ticks": False, "labelPadding": 6, "titlePadding": 8, "tickCount": 5,
    }  # fmt: skip
    return (
        chart.properties(width=width, height=height, autosize={"type": "fit", "contains": "padding"}, background="transparent")
        .configure(aria=False, font="Helvetica, Arial, sans-serif", padding=4)
        .configure_axis(**axis)
        .configure_view(stroke=None)
        .configure_legend(
            orient="top",
            title=None,
            labelColor=INK,
            labelFontSize=11,
            symbolStrokeWidth=2.5,
            padding=0,
            offset=6,
            columnPadding=14,
        )
    )


def inline(rows: Sequence[dict[str, Any]]) -> alt.Data:
    """Rows as the data of a chart, without a data frame library."""
    import altair as alt

    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]


def finite_rows(**columns: Sequence[Any]) -> list[dict[str, Any]]:
    """Columns side by side as rows, leaving out those with a missing or infinite number."""
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=False)]
    return [row for row in rows if all(is_number(v) or isinstance(v, str) for v in row.values())]


def thinned(rows: list[Any], limit: int) -> list[Any]:
    """At most ``limit`` of the rows, evenly spaced, first and last kept."""
    if len(rows) <= limit:
        return rows
    step = (len(rows) - 1) / (limit - 1)
    return [rows[round(i * step)] for i in range(limit)]


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """Range of the values with a margin on both sides."""
    low, high = min(values), max(values)
    margin = (high - low) * share or abs(high) * share or 1.0
    return low - margin, high + margin


@dataclass(frozen=True)
class Dot:
    """One line of a chart of estimates; ``ours`` marks the one that the others are compared with."""

    name: str
    interval: Interval
    ours: bool = False


def interval_dots(dots: Sequence[Dot], title: str, *, reference: float | None = None, form: str | None = None) -> Any:
    """Estimates as dots with their intervals, one below the other, the name above each.

    Parameters
    ----------
    dots : sequence of Dot
        With finite values; an end that is not finite is drawn at the value.
    title : str
        Of the axis.
    reference : float, optional
        Where every line bears an upright mark.
    form : str, optional
        Of the numbers at the axis, in d3's notation; by default such that long numbers stay short.
    """
    import altair as alt

    names = [dot.name for dot in dots]
    rows: list[dict[str, Any]] = [{"who": dot.name, "value": dot.interval.value, **_ends(dot.interval)} for dot in dots]
    ends = [row[end] for row in rows for end in ("low", "high", "value")] + ([] if reference is None else [reference])
    form = form or ("~s" if max(map(abs, ends)) >= 10_000 else "")
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y("who:N", sort=names, title=None, axis=None, scale=alt.Scale(paddingOuter=0.3)),
        color=alt.Color(
            "who:N", scale=alt.Scale(domain=names, range=[BLUE if dot.ours else FAINT for dot in dots]), legend=None
        ),
    )
    position = alt.X(
        "low:Q",
        title=title,
        scale=alt.Scale(domain=padded(ends, 0.12), nice=False, zero=False),
        axis=alt.Axis(tickCount=4, grid=False, domain=True, domainColor=GRID, format=form),
    )
    chart: Any = (
        base.mark_rule(strokeWidth=3, opacity=0.45, strokeCap="round").encode(x=position, x2="high:Q")
        + base.mark_circle(size=110, opacity=1).encode(x="value:Q")
        + base.mark_text(align="left", dy=-15, fontSize=12).encode(x=alt.value(0), text="who:N")
    )
    if reference is not None:
        # One mark a dot instead of a line through all: it would cross the names.
        chart = base.mark_tick(color=INK, thickness=2, size=18).encode(x=alt.datum(reference), color=alt.value(INK)) + chart
    return finish(chart, height=50 + 50 * len(dots))


def _ends(interval: Interval) -> dict[str, float]:
    """Both ends, at the value where rows were too few to say."""
    return {end: v if is_number(v := getattr(interval, end)) else interval.value for end in ("low", "high")}


def against_baseline(evaluation: Evaluation) -> Figure | None:
    """Sealed scores of model and baseline with their intervals."""
    comparison = evaluation.comparison
    if comparison is None:
        return None
    dots = [
        Dot("this model", evaluation.score, ours=True),
        Dot(f"baseline: {shortened(comparison.baseline, 28)}", comparison.baseline_score),
    ]
    if not all(is_number(dot.interval.value) for dot in dots):
        return None
    title = metric_title(evaluation.metric)
    return Figure(
        key="against-baseline",
        title="",
        caption="Dots are sealed scores, lines their 95 % intervals.",
        alternative=f"Sealed {title} with 95 % intervals: {spoken(dots)}.",
        chart=interval_dots(dots, title),
    )


def spoken(dots: Sequence[Dot]) -> str:
    """The numbers of a chart of estimates as text."""
    places = decimals_for([dot.interval.value for dot in dots])
    return "; ".join(
        f"{dot.name} {fixed(i.value, places)}, from {fixed(i.low, places)} to {fixed(i.high, places)}"
        for dot in dots
        for i in (dot.interval,)
    )


def fold_scores(trials: Sequence[Trial], metric: str) -> Figure | None:
    """Validation score of every fold, one line an algorithm; trials come best first."""
    import altair as alt

    if not trials:
        return None
    best, everything = trials[0], trials
    trials = _near_the_best(everything)
    names = [_unique(trial, trials) for trial in trials]
    rows: list[dict[str, Any]] = [
        {"who": name, "score": score, "kind": "baseline" if trial.baseline else "candidate"}
        for name, trial in zip(names, trials, strict=True)
        for score in _scores(trial)
    ]
    means: list[dict[str, Any]] = [
        {"who": n, "score": t.score} for n, t in zip(names, trials, strict=True) if is_number(t.score)
    ]
    far = [f"{t.algorithm} ({number(t.score)})" for t in everything if t not in trials]
    left_out = f" Too far off to be drawn: {', '.join(far)}." if far else ""
    if len(means) < 2:
        return None
    domain = padded([float(row["score"]) for row in rows])
    y = alt.Y("who:N", sort=names, title=None, axis=alt.Axis(labelLimit=130, labelColor=INK, grid=True))
    x = alt.X(
        "score:Q",
        title=f"validation {metric_title(metric)}",
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=alt.Axis(tickCount=4),
    )
    colour = alt.Color("kind:N", scale=alt.Scale(domain=["candidate", "baseline"], range=[BLUE, GREY]), legend=None)
    chart = alt.Chart(inline(rows)).mark_circle(size=42, opacity=0.6).encode(y=y, x=x, color=colour) + alt.Chart(
        inline(means)
    ).mark_tick(thickness=2, size=16, color=INK).encode(y=y, x=x)
    return Figure(
        key="fold-scores",
        title="Score of each validation fold",
        caption=(
            "One dot is one fold, the upright tick their mean; grey rows are baselines. Where the dots of two rows overlap "
            f"widely, their order is not settled.{left_out} Best mean: {number(best.score)} by {best.algorithm}."
        ),
        alternative=f"Mean validation {metric_title(metric)}: "
        + "; ".join(f"{m['who']} {number(m['score'])}" for m in means)
        + ".",
        chart=finish(chart, height=70 + 24 * len(means)),
    )


def _scores(trial: Trial) -> list[float]:
    """Its fold scores, or its one score."""
    scores: list[float | None] = [*trial.fold_scores] or [trial.score]
    return [s for s in scores if s is not None and is_number(s)]


def _near_the_best(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that can share an axis: a constant baseline far off would squeeze all others into one spot."""
    better = [t for t in trials if not t.baseline] or list(trials)
    scores = [score for trial in better[: max(3, len(better) // 2)] for score in _scores(trial)]
    best = trials[0].score
    if best is None or not scores or max(scores) == min(scores):
        return list(trials)
    reach = 4 * (max(scores) - min(scores))
    return [t for t in trials if t.score is not None and abs(t.score - best) <= reach]


def _unique(trial: Trial, trials: Sequence[Trial]) -> str:
    """The algorithm's name, with the trial's number where several trials share it."""
    shared = sum(other.algorithm == trial.algorithm for other in trials) > 1
    return f"{shortened(trial.algorithm, 22)} #{trial.number}" if shared else shortened(trial.algorithm, 26)


def learning_curves(record: RunRecord) -> list[Figure]:
    """Training against validation loss, one figure for the best trial of each iterative algorithm."""
    figures: list[Figure] = []
    for curves in _best_curves(record)[:MAX_CURVES]:
        figure = _learning_curve(curves, len(figures))
        if figure is not None:
            figures.append(figure)
    return figures


def _best_curves(record: RunRecord) -> list[list[CurveRecord]]:
    """Curves of one trial for each algorithm: one inside the model, else the best that was validated."""
    inside = {member.trial for member in record.plan.members}
    trials = {trial.number: trial for trial in record.trials}
    sign = -1.0 if record.greater_is_better else 1.0
    by_trial: dict[int, list[CurveRecord]] = {}
    for curve in record.curves:
        if curve.trial in trials and trials[curve.trial].baseline:
            continue
        by_trial.setdefault(curve.trial, []).append(curve)

    def rank(number_: int) -> tuple[bool, bool, float]:
        trial = trials.get(number_)
        score = trial.score if trial is not None and trial.score is not None and is_number(trial.score) else None
        return number_ not in inside, trial is None or trial.stage != "validate", math.inf if score is None else sign * score

    chosen: dict[str, list[CurveRecord]] = {}
    for number_ in sorted(by_trial, key=rank):
        chosen.setdefault(by_trial[number_][0].algorithm, by_trial[number_])
    return list(chosen.values())


def _learning_curve(curves: list[CurveRecord], index: int) -> Figure | None:
    import altair as alt

    rows = []
    for curve in curves:
        for part, values in (("training", curve.training), ("validation", curve.validation)):
            steps = thinned(finite_rows(step=curve.iterations, loss=values), MAX_STEPS)
            rows += [{**row, "part": part, "line": f"{part} {curve.fold}"} for row in steps]
    if len({row["step"] for row in rows}) < 2:
        return None
    first = curves[0]
    scale = alt.Scale(domain=["training", "validation"], range=[BLUE, VERMILION])
    chart = (
        alt.Chart(inline(rows))
        .mark_line(strokeWidth=1.6, opacity=0.85)
        .encode(
            x=alt.X("step:Q", title="iteration", axis=alt.Axis(grid=False, tickMinStep=1)),
            y=alt.Y("loss:Q", title=metric_title(first.loss), scale=alt.Scale(zero=False)),
            color=alt.Color("part:N", scale=scale),
            strokeDash=alt.StrokeDash("part:N", scale=alt.Scale(domain=["training", "validation"], range=[[5, 3], [1, 0]])),
            detail="line:N",
        )
    )
    caption = _curve_words(curves)
    return Figure(
        key=f"curve-{index}",
        title=f"{first.algorithm}, trial {first.trial}",
        caption=caption,
        alternative=f"Learning curves of {first.algorithm}. {caption}",
        chart=finish(chart, height=220),
    )


def _curve_words(curves: list[CurveRecord]) -> str:
    """Where validation loss is lowest, and how far training loss lies below it there."""
    folds = "one fold" if len(curves) == 1 else f"{len(curves)} folds"
    lows = []
    for curve in curves:
        rows = finite_rows(step=curve.iterations, training=curve.training, validation=curve.validation)
        if rows:
            lows.append(min(rows, key=lambda row: float(row["validation"])))
    if not lows:
        ends = [curve.training[-1] for curve in curves if curve.training and is_number(curve.training[-1])]
        end = sum(ends) / len(ends) if ends else None
        return f"No validation rows were watched ({folds}). Training loss ends at {number(end)}."
    validation, training = (sum(float(low[part]) for low in lows) / len(lows) for part in ("validation", "training"))
    steps = sorted(int(low["step"]) for low in lows)
    at = f"iteration {steps[0]:,}" if steps[0] == steps[-1] else f"iterations {steps[0]:,} to {steps[-1]:,}"
    return (
        f"Lowest validation loss {number(validation)} at {at} ({folds}); training loss there {number(training)}. "
        "Validation rising while training falls is overfitting."
    )
