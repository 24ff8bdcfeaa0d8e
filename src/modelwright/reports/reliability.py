"""Charts of what may be relied on: calibration, cost of the threshold, coverage of prediction intervals."""

from __future__ import annotations

import math
from typing import Any

from modelwright.evaluation.conformal_report import ConformalReport
from modelwright.evaluation.threshold_report import ThresholdReport
from modelwright.metrics.estimate import Interval
from modelwright.reports.charts import BLUE, FAINT, Dot, Figure, finish, finite_rows, inline, interval_dots, spoken
from modelwright.reports.format import count, is_number, percent, shortened
from modelwright.training.record import RunRecord

Row = dict[str, Any]


def calibration_figure(record: RunRecord) -> Figure | None:
    """Observed against predicted frequency, with the interval of each bin."""
    import altair as alt

    rows = _bins(record)
    if not rows:
        return None
    across, up = "predicted probability", "observed frequency"
    if record.task == "multiclass":
        across, up = "probability of the chosen class", "share that was right"
    span, form = _span([v for row in rows for v in (row["predicted"], row["observed"], row["low"], row["high"])])
    scale = alt.Scale(domain=list(span), nice=False, zero=False)
    axis = alt.Axis(tickCount=5, format=form)
    base = alt.Chart(inline(rows)).encode(
        x=alt.X(
            "predicted:Q",
            title=across,
            scale=scale,
            axis=axis,
        )
    )
    ends = inline([{"predicted": end, "observed": end} for end in span])
    diagonal = (
        alt.Chart(ends)
        .mark_line(color=FAINT, strokeDash=[4, 4], strokeWidth=1.2)
        .encode(x="predicted:Q", y=alt.Y("observed:Q", title=up, scale=scale, axis=axis))
    )
    whiskers = base.mark_rule(color=BLUE, strokeWidth=2.5, opacity=0.45, strokeCap="round").encode(y="low:Q", y2="high:Q")
    dots = base.mark_circle(color=BLUE, size=70, opacity=1).encode(y="observed:Q")
    caption = _calibration_words(rows)
    return Figure(
        "calibration",
        "Predicted and observed frequency",
        caption,
        f"Calibration curve of {len(rows)} groups of rows. {caption}",
        finish(diagonal + whiskers + dots, height=300),
    )


def _bins(record: RunRecord) -> list[Row]:
    """Points of the curve; records of older runs hold them without intervals."""
    evaluation = record.evaluation
    if evaluation is None:
        return []
    if evaluation.calibration is not None:
        points = evaluation.calibration.curve
        return finite_rows(
            predicted=[p.predicted for p in points],
            observed=[p.observed.value for p in points],
            low=[p.observed.low for p in points],
            high=[p.observed.high for p in points],
            rows=[p.count for p in points],
        )
    plot = evaluation.plots.get("calibration")
    if not plot:
        return []
    observed = plot["observed"]
    numbers = plot.get("count") or [1] * len(observed)
    return finite_rows(predicted=plot["predicted"], observed=observed, low=observed, high=observed, rows=numbers)


def _span(values: list[float]) -> tuple[tuple[float, float], str]:
    """Range of both axes: all of 0 to 1, unless events so rare (or so sure) would leave most of it empty."""
    low, high = min(values), max(values)
    step = 0.1 if high - low > 0.3 else 0.05 if high - low > 0.1 else 0.01
    low, high = max(0.0, math.floor(low / step) * step), min(1.0, math.ceil(high / step) * step)
    if high - low > 0.6:
        low, high = 0.0, 1.0
    return (round(low, 4), round(max(high, low + step), 4)), "%" if step >= 0.05 else ".1%"


def _calibration_words(rows: list[Row]) -> str:
    sizes = sorted(row["rows"] for row in rows)
    size = f"about {count(sizes[0])}" if sizes[0] >= 0.8 * sizes[-1] else f"{count(sizes[0])} to {count(sizes[-1])}"
    reading = (
        "On the dashed line, what is predicted with 70 % happens 70 % of the time; above it predictions are too low, "
        "below it too high."
    )
    if all(row["low"] == row["high"] for row in rows):
        return f"Each dot holds {size} rows. {reading}"
    off = sum(not row["low"] <= row["predicted"] <= row["high"] for row in rows)
    miss = {0: f"None of the {len(rows)} intervals misses", 1: f"1 of {len(rows)} intervals misses"}.get(
        off, f"{off} of {len(rows)} intervals miss"
    )
    return (
        f"Each dot holds {size} rows, its line the 95 % interval. {reading} {miss} the dashed line; "
        "chance alone makes about one in twenty miss."
    )


def cost_figure(report: ThresholdReport) -> Figure | None:
    """Cost per row of the threshold, and of the two ways to do without a model."""
    found = [
        ("this threshold", report.cost),
        ("act on nobody", report.cost_nobody),
        ("act on everybody", report.cost_everybody),
    ]
    dots = [Dot(name, cost, ours=not place) for place, (name, cost) in enumerate(found) if cost and is_number(cost.value)]
    if len(dots) < 3:
        return None
    return Figure(
        "cost",
        "Cost per row",
        "In the units of the costs given; lower is better. Lines are 95 % intervals on the sealed rows. “Nobody” and "
        "“everybody” are what costs would be without a model.",
        f"Cost per row with 95 % intervals: {spoken(dots)}.",
        interval_dots(dots, "cost per row"),
    )


def coverage_figure(report: ConformalReport) -> Figure | None:
    """Coverage of all sealed rows and of the worst part of each kind, against what was asked for."""
    dots = [Dot("all sealed rows", held(report), ours=True)]
    dots += [Dot(worst_name(worst.kind, worst.name), worst.coverage) for worst in report.worst]
    if not all(is_number(dot.interval.value) for dot in dots):
        return None
    words = "; ".join(f"{dot.name} {percent(dot.interval.value)}" for dot in dots)
    worst_words = " Grey is the worst part of its kind; the worst of several is low partly by chance." if report.worst else ""
    return Figure(
        "coverage",
        "Share of rows held",
        f"The upright mark is what was asked for, {100 * report.nominal:g} %; lines are 95 % intervals.{worst_words}",
        f"Coverage: {words}; asked for {100 * report.nominal:g} %.",
        interval_dots(dots, "share of rows held", reference=report.nominal, form="%"),
    )


def worst_name(kind: str, name: str) -> str:
    """A part of the rows in words.

    Examples
    --------
    >>> worst_name("fifth of the predictions", "1"), worst_name("class", "setosa")
    ('lowest fifth of the predictions', 'class “setosa”')
    """
    if kind == "fifth of the predictions":
        places = {"1": "lowest", "2": "second", "3": "middle", "4": "fourth", "5": "highest"}
        return f"{places.get(name, name)} {kind}"
    return f"{kind} “{shortened(name, 24)}”"


def held(report: ConformalReport) -> Interval:
    """Coverage with the interval that minds dependent rows."""
    return report.coverage_dependent or report.coverage
