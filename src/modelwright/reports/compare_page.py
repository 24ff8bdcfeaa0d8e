"""The page of runs side by side: scores with intervals, paired tests, seeds, curves, and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelwright.metrics.estimate import Interval
from modelwright.metrics.registry import METRICS
from modelwright.reports.charts import PALETTE, Dot, Figure, finish, inline, interval_dots, spoken, thinned
from modelwright.reports.format import (
    NOTHING,
    decimals_for,
    fixed,
    is_number,
    metric_title,
    moment,
    number,
    quantity,
    shortened,
    words,
)
from modelwright.reports.page import drawn, style, templates
from modelwright.runs.compare import Compared, SeedGroup, Spread
from modelwright.runs.curves import Curve
from modelwright.runs.entry import RunEntry
from modelwright.version import __version__

MAX_CURVES = 8
MAX_POINTS = 150
#: Runs in one chart; more cannot be told apart.
MAX_RUNS = 12


def render_comparison(compared: Compared, curves: Sequence[Sequence[Curve]]) -> str:
    """Write a comparison as one HTML page without scripts.

    Parameters
    ----------
    compared : Compared
    curves : sequence of sequence of Curve
        Of each run, in the order of the comparison.
    """
    runs = compared.runs
    return (
        templates()
        .get_template("compare.html")
        .render(
            style=style(),
            version=__version__,
            runs=[_head(entry) for entry in runs],
            names=short_names(runs),
            score_figures=[drawn(figure) for figure in score_figures(runs)],
            scores=score_rows(compared),
            tests=[(test, _verdict(test.better)) for test in compared.tests],
            trainings=any(entry.kind == "training" for entry in runs),
            groups=[_group(group) for group in compared.groups],
            curves=[drawn(figure) for figure in curve_figures(runs, curves)],
            sections=[
                {
                    "title": section.title,
                    "rows": [
                        (words(d.name) if section.title == "cost" else d.name, [shown(d.name, value) for value in d.values])
                        for d in section.differences
                    ],
                    "same": section.n_same,
                }
                for section in compared.sections
                if section.differences
            ],
            equal=[section.title for section in compared.sections if not section.differences],
        )
    )


def short_names(runs: Sequence[RunEntry]) -> list[str]:
    """Names of the runs as short as they stay apart: the name where it is theirs alone, else the identifier."""
    names = [entry.name for entry in runs]
    return [entry.name if entry.name and names.count(entry.name) == 1 else entry.id for entry in runs]


def shown(name: str, value: Any) -> str:
    """One value of a difference as text."""
    if value is None:
        return NOTHING
    return shortened(quantity(name, value), 200)


def score_rows(compared: Compared) -> list[dict[str, Any]]:
    """Each metric with the value and interval of every run, and which of them is the best."""
    rows = []
    for name in compared.scores():
        values = [entry.metrics.get(name) for entry in compared.runs]
        present = [value for value in values if value is not None]
        metric = METRICS.get(name)
        better = (
            metric.greater_is_better if metric else next((e.greater_is_better for e in compared.runs if e.metric == name), None)
        )
        best = None if better is None or len(present) < 2 else max(present) if better else min(present)
        decimals = decimals_for(present)
        cells = []
        for entry, value in zip(compared.runs, values, strict=True):
            ends = entry.intervals.get(name)
            withheld = value is None and bool(entry.withheld)
            cells.append(
                {
                    "value": "withheld" if withheld else fixed(value, decimals),
                    "interval": f"{fixed(ends[0], decimals)} to {fixed(ends[1], decimals)}"
                    if ends and value is not None
                    else "",
                    "best": value is not None and value == best,
                }
            )
        rows.append({"name": metric_title(name), "cells": cells, "decides": any(e.metric == name for e in compared.runs)})
    validations = [entry.validation for entry in compared.runs]
    if any(value is not None for value in validations):
        decimals = decimals_for(validations)
        cells = [{"value": fixed(value, decimals), "interval": "", "best": False} for value in validations]
        rows.append({"name": "validation", "cells": cells, "decides": False})
    return rows


def score_figures(runs: Sequence[RunEntry]) -> list[Figure]:
    """Scores with their intervals, a chart for each metric that decides."""
    names = short_names(runs)
    figures: list[Figure] = []
    deciding = list(dict.fromkeys(entry.metric for entry in runs if entry.metric))
    for metric in deciding or list(runs[0].metrics)[:1]:
        dots = []
        for entry, name in zip(runs, names, strict=True):
            value, ends = entry.metrics.get(metric), entry.intervals.get(metric)
            if value is not None and is_number(value):
                dots.append(Dot(shortened(name, 40), Interval(value, *(ends or (value, value))), ours=entry is runs[0]))
        if 1 < len(dots) <= MAX_RUNS:
            title = metric_title(metric)
            figures.append(
                Figure(
                    key=f"scores-{len(figures)}",
                    title=title,
                    caption="Dots are scores on sealed rows, lines their 95 % intervals."
                    if any(entry.intervals for entry in runs)
                    else "The last value of each run.",
                    alternative=f"{title} of the runs: {spoken(dots)}.",
                    chart=interval_dots(dots, title),
                )
            )
    return figures


def curve_figures(runs: Sequence[RunEntry], curves: Sequence[Sequence[Curve]]) -> list[Figure]:
    """One chart for each figure that was followed over steps, one line a run.

    Parameters
    ----------
    runs : sequence of RunEntry
    curves : sequence of sequence of Curve
        Of each run.
    """
    names = [shortened(name, 34) for name in short_names(runs)]
    found: dict[str, list[tuple[str, Curve]]] = {}
    for name, of_run in zip(names, curves, strict=True):
        for curve in of_run:
            found.setdefault(curve.figure, []).append((name, curve))
    figures = [_curve_figure(k, title, drawn_) for k, (title, drawn_) in enumerate(found.items())]
    return [figure for figure in figures if figure is not None][:MAX_CURVES]


def _curve_figure(place: int, title: str, lines: list[tuple[str, Curve]]) -> Figure | None:
    import altair as alt

    lines = lines[: len(PALETTE)]
    rows = [
        {"who": name, "step": step, "value": value}
        for name, curve in lines
        for step, value in thinned(list(zip(curve.steps, curve.values, strict=True)), MAX_POINTS)
    ]
    if len({row["step"] for row in rows}) < 2:
        return None
    names = list(dict.fromkeys(name for name, _ in lines))
    scale = alt.Scale(domain=names, range=list(PALETTE[: len(names)]))
    # One name a line: long names side by side would be cut.
    legend = alt.Legend(columns=1, labelLimit=300) if len(names) > 1 else None
    chart = (
        alt.Chart(inline(rows))
        .mark_line(strokeWidth=1.8, opacity=0.9)
        .encode(
            x=alt.X("step:Q", title="iteration or step", axis=alt.Axis(grid=False)),
            y=alt.Y("value:Q", title=metric_title(title), scale=alt.Scale(zero=False)),
            color=alt.Color("who:N", scale=scale, legend=legend),
        )
    )
    of = sorted({curve.what for _, curve in lines if curve.what})
    alone = len(names) == 1
    ends = "; ".join(f"{'Last value' if alone else f'{name} ends at'} {number(curve.values[-1])}" for name, curve in lines)
    return Figure(
        key=f"curve-{place}",
        title=metric_title(title),
        caption=f"{'; '.join(of).capitalize()}. {ends}." if of else f"{ends}.",
        alternative=f"{metric_title(title)} over steps: {ends}.",
        chart=finish(chart, height=220 + (16 * len(names) if len(names) > 1 else 0)),
    )


def _head(entry: RunEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "what": " of ".join(filter(None, [entry.task or entry.kind, entry.target])),
        "created": moment(entry.created),
        "state": entry.state,
        "tags": [f"{key}={value}" for key, value in sorted(entry.tags.items())],
        "note": entry.note,
        "withheld": entry.withheld,
    }


def _verdict(better: bool | None) -> str:
    return {True: "better", False: "unclear", None: ""}[better]


def _group(group: SeedGroup) -> dict[str, Any]:
    figures = {**group.metrics, **({"validation": group.validation} if group.validation else {})}
    return {
        "name": group.name,
        "runs": list(zip(group.runs, group.seeds, strict=True)),
        "n": len(group.runs),
        "rows": [(metric_title(name), *_spread(each)) for name, each in figures.items()],
    }


def _spread(spread: Spread) -> tuple[str, str, str]:
    decimals = decimals_for([spread.mean])
    return (
        fixed(spread.mean, decimals),
        fixed(spread.sd, decimals),
        f"{fixed(spread.low, decimals)} to {fixed(spread.high, decimals)}",
    )
