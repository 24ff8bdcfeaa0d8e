"""Parallel coordinates: one line a run or trial through an axis for each setting, the score last.

Drawn twice, lying for wide pages and upright for phones, since a page has no scripts to turn it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from modelwright.reports.charts import BLUE, GREY, INK, PAPER, SKY, Figure, finish, inline, thinned
from modelwright.reports.format import is_number, metric_title, number, shortened

if TYPE_CHECKING:
    from modelwright.training.record import RunRecord, Trial

#: Axes beside the score; more cannot be followed.
MAX_AXES = 7
MAX_LINES = 300
MAX_PLACES = 10
#: Fewer trials are read from the table sooner; and a report has room for so many charts.
MIN_TRIALS, MAX_ALGORITHMS = 8, 2
_MISSING = -0.13
_COLOURS = {"best tenth": BLUE, "upper half": SKY, "lower half": GREY, "no score": GREY}
Kind = Literal["best tenth", "upper half", "lower half", "no score"]


@dataclass(frozen=True)
class Line:
    """A run or trial: its settings by name (None where it has none), and its score."""

    name: str
    settings: Mapping[str, Any]
    score: float | None


@dataclass(frozen=True)
class _Axis:
    title: str
    #: Place of each line from 0 to 1, or below where it has no value.
    places: list[float]
    labels: list[tuple[float, str]]


def parallel_figures(
    lines: Sequence[Line], metric: str, greater_is_better: bool | None, *, key: str, title: str, noun: str
) -> tuple[Figure, Figure] | None:
    """The chart for wide pages and the one for phones; None where fewer than three lines or no setting differ.

    Parameters
    ----------
    lines : sequence of Line
    metric : str
        Name of the score; the last axis.
    greater_is_better : bool or None
        None where nobody said; then larger scores count as better.
    key, title : str
    noun : str
        What a line is, in the plural: "runs", "trials".
    """
    upwards = greater_is_better is not False
    scored = [line for line in lines if line.score is not None and is_number(line.score)]
    rest = [line for line in lines if line not in scored] if len(scored) < len(lines) else []
    ranked = sorted(scored, key=lambda line: line.score or 0.0, reverse=upwards)
    shown = _few(ranked, rest)
    axes = _axes(shown)
    if len(shown) < 3 or not axes:
        return None
    if scored:
        axes.append(_numeric(metric_title(metric) or "score", [line.score for line in shown]))
    kinds = _kinds(shown, len(ranked))
    far = len(lines) - len(shown)
    left = f" {far:,} further {noun} are not drawn." if far else ""
    best = ranked[0] if ranked else None
    caption = (
        f"Each line is one of {len(lines):,} {noun}; it crosses an axis at its setting"
        + (", and the last axis at its score" if scored else "")
        + ". Blue are the best tenth, light blue the upper half, grey the rest."
        + (f" Best: {shortened(best.name, 60)} with {number(best.score)}." if best is not None else "")
        + (" A line through “none” has no such value." if _has_missing(axes) else "")
        + left
    )
    spoken = f"{len(shown)} {noun} over {', '.join(axis.title for axis in axes)}."
    wide = Figure(key, title, caption, spoken, _lying(axes, kinds), scrolls=True)
    return wide, Figure(f"{key}-upright", title, caption, spoken, _upright(axes, kinds))


def trial_figures(record: RunRecord) -> list[tuple[Figure, Figure]]:
    """Hyperparameters and scores of the trials of a training, a chart for each of the algorithms that were tried most.

    Scores share an axis only where they are of the same rows: those of all training rows and folds, else those of the probe.
    """
    groups: dict[tuple[str, bool], list[Trial]] = {}
    for trial in record.trials:
        if trial.score is not None and not trial.baseline and trial.params:
            groups.setdefault((trial.algorithm, trial.stage == "validate"), []).append(trial)
    found: list[tuple[Figure, Figure]] = []
    for (algorithm, whole), trials in sorted(groups.items(), key=lambda item: -len(item[1])):
        if len(trials) < MIN_TRIALS or len(found) == MAX_ALGORITHMS:
            continue
        figures = parallel_figures(
            [Line(f"trial {trial.number}", trial.params, trial.score) for trial in trials],
            record.metric,
            record.greater_is_better,
            key=f"trials-{len(found)}",
            title=f"{algorithm}, {'all training rows' if whole else 'a subset of the rows'}",
            noun="trials",
        )
        if figures is not None:
            found.append(figures)
    return found


def _few(ranked: list[Line], rest: list[Line]) -> list[Line]:
    """The best hundred whole, the others evenly thinned."""
    best, others = ranked[: MAX_LINES // 3], [*ranked[MAX_LINES // 3 :], *rest]
    return best + thinned(others, MAX_LINES - len(best)) if len(others) > MAX_LINES - len(best) else best + others


def _kinds(shown: Sequence[Line], n_ranked: int) -> list[Kind]:
    kinds: list[Kind] = []
    place = 0
    for line in shown:
        if line.score is None or not is_number(line.score):
            kinds.append("no score")
            continue
        # Thinning kept the order; ranks are those among the shown, which is near enough for a colour.
        share = place / max(min(n_ranked, len(shown)), 1)
        kinds.append("best tenth" if share < 0.1 or place == 0 else "upper half" if share < 0.5 else "lower half")
        place += 1
    return kinds


def _axes(lines: Sequence[Line]) -> list[_Axis]:
    """Axes of the settings that differ; of many, those that go along with the score most."""
    names = list(dict.fromkeys(name for line in lines for name in line.settings))
    found: list[tuple[float, int, _Axis]] = []
    for place, name in enumerate(names):
        values = [_plain(line.settings.get(name)) for line in lines]
        present = [value for value in values if value is not None]
        if len(set(present)) < 2:
            continue
        numeric = all(is_number(value) for value in present)
        if not numeric and len(set(present)) > MAX_PLACES:
            continue
        axis = _numeric(name, values) if numeric else _named(name, values)
        found.append((-_along(axis.places, [line.score for line in lines]), place, axis))
    chosen = sorted(found, key=lambda each: each[:2])[:MAX_AXES]
    return [axis for _, _, axis in sorted(chosen, key=lambda each: each[1])]


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, (int, float)):
        return value if value is None or is_number(value) else None
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def _along(places: Sequence[float], scores: Sequence[float | None]) -> float:
    """How closely places and scores rise together, by ranks, from 0 to 1."""
    pairs = [(p, s) for p, s in zip(places, scores, strict=True) if p >= 0 and s is not None and is_number(s)]
    if len(pairs) < 3:
        return 0.0
    ranks = [np.argsort(np.argsort([pair[k] for pair in pairs])) for k in (0, 1)]
    if any(len(set(pair[k] for pair in pairs)) < 2 for k in (0, 1)):
        return 0.0
    return abs(float(np.corrcoef(ranks[0], ranks[1])[0, 1])) * len(pairs) / len(places)


def _numeric(title: str, values: Sequence[Any]) -> _Axis:
    present = [float(value) for value in values if value is not None]
    low, high = min(present), max(present)
    # Only where most values lie near the low end; a share between 0.01 and 1 is not meant by its order of magnitude.
    logarithmic = low > 0 and high / low >= 50 and sorted(present)[len(present) // 2] < low + 0.25 * (high - low)
    place = (lambda v: math.log(v / low) / math.log(high / low)) if logarithmic else (lambda v: (v - low) / (high - low))
    if high == low:
        return _Axis(title, [_MISSING if v is None else 0.5 for v in values], [(0.5, _short(low))])
    middle = math.sqrt(low * high) if logarithmic else (low + high) / 2
    return _Axis(
        title,
        [_MISSING if value is None else place(float(value)) for value in values],
        [(0.0, _short(low)), (0.5, _short(middle)), (1.0, _short(high))],
    )


def _named(title: str, values: Sequence[Any]) -> _Axis:
    names = sorted({str(value) for value in values if value is not None})
    where = {name: k / (len(names) - 1) for k, name in enumerate(names)}
    return _Axis(
        title,
        [_MISSING if value is None else where[str(value)] for value in values],
        [(where[name], shortened(name, 14)) for name in names],
    )


def _short(value: float) -> str:
    return f"{value:.3g}".replace("e-0", "e−").replace("e+0", "e").replace("-", "−")


def _has_missing(axes: Sequence[_Axis]) -> bool:
    return any(place < 0 for axis in axes for place in axis.places)


def _rows(axes: Sequence[_Axis], kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """Points of the lines, the best last so that they lie on top."""
    order = sorted(range(len(kinds)), key=lambda k: list(_COLOURS).index(kinds[k]), reverse=True)
    return [
        {"line": f"{rank:04}", "axis": place, "at": axis.places[k], "kind": kinds[k]}
        for rank, k in enumerate(order)
        for place, axis in enumerate(axes)
    ]


def _layers(axes: Sequence[_Axis], kinds: Sequence[Kind], upright: bool) -> list[Any]:
    import altair as alt

    low = _MISSING - 0.07 if _has_missing(axes) else -0.05
    along = alt.Scale(domain=[low, 1.05 if upright else 1.12], nice=False, zero=False)
    across = alt.Scale(domain=[-0.6 if upright else -0.45, len(axes) - 0.6], nice=False, reverse=upright)

    def encoded(chart: Any, **more: Any) -> Any:
        if upright:
            return chart.encode(x=alt.X("at:Q", scale=along, axis=None), y=alt.Y("axis:Q", scale=across, axis=None), **more)
        return chart.encode(x=alt.X("axis:Q", scale=across, axis=None), y=alt.Y("at:Q", scale=along, axis=None), **more)

    def text(rows: list[dict[str, Any]], **style: Any) -> list[Any]:
        # Written twice, first in the colour of the page: the lines below must not run through the letters.
        halo = alt.Chart(inline(rows)).mark_text(stroke=PAPER, strokeWidth=4, strokeJoin="round", color=PAPER, **style)
        return [encoded(chart, text="text:N") for chart in (halo, alt.Chart(inline(rows)).mark_text(color=INK, **style))]

    layers: list[Any] = []
    rows = _rows(axes, kinds)
    crowded = min(1.0, 40 / len(kinds))
    for kind in reversed([kind for kind in _COLOURS if kind in kinds]):
        part = [row for row in rows if row["kind"] == kind]
        best = kind == "best tenth"
        mark = alt.Chart(inline(part)).mark_line(
            color=_COLOURS[kind],
            strokeWidth=2.2 if best else 1.2,
            opacity=0.9 if best else 0.3 + 0.4 * crowded,
            strokeJoin="round",
        )
        layers.append(encoded(mark, detail="line:N", order=alt.Order("axis:Q")))
    rules = [{"axis": k, "at": 0.0, "end": 1.0} for k in range(len(axes))]
    ends = {"x2": "end:Q"} if upright else {"y2": "end:Q"}
    layers.append(encoded(alt.Chart(inline(rules)).mark_rule(color=INK, strokeWidth=1.1), **ends))
    labels = [{"axis": k, "at": at, "text": label} for k, axis in enumerate(axes) for at, label in axis.labels]
    orient: Literal["vertical", "horizontal"] = "vertical" if upright else "horizontal"
    layers.append(encoded(alt.Chart(inline(labels)).mark_tick(color=INK, size=7, thickness=1.1, orient=orient)))
    labels += [{"axis": k, "at": _MISSING, "text": "none"} for k, axis in enumerate(axes) if min(axis.places) < 0]
    if upright:
        for side, part in _sides(labels).items():
            layers += text(part, align=side, dy=12, fontSize=10)
    else:
        layers += text(labels, align="right", dx=-7, fontSize=10.5)
    longest = 40 if upright else 22
    titles = [{"axis": k, "at": 0.0 if upright else 1.0, "text": shortened(axis.title, longest)} for k, axis in enumerate(axes)]
    style: dict[str, Any] = {"align": "left", "dy": -13} if upright else {"align": "center", "dy": -16}
    return layers + text(titles, fontSize=11.5, fontWeight="bold", **style)


def _sides(labels: list[dict[str, Any]]) -> dict[Literal["left", "center", "right"], list[dict[str, Any]]]:
    """Labels at the ends of a lying axis stay inside it."""
    sides: dict[Literal["left", "center", "right"], list[dict[str, Any]]] = {}
    for label in labels:
        side: Literal["left", "center", "right"] = "left" if label["at"] < 0.1 else "right" if label["at"] > 0.9 else "center"
        sides.setdefault(side, []).append(label)
    return sides


def _lying(axes: Sequence[_Axis], kinds: Sequence[Kind]) -> Any:
    import altair as alt

    return finish(alt.layer(*_layers(axes, kinds, upright=False)), width=min(1060, 60 + 200 * len(axes)), height=340)


def _upright(axes: Sequence[_Axis], kinds: Sequence[Kind]) -> Any:
    import altair as alt

    return finish(alt.layer(*_layers(axes, kinds, upright=True)), height=30 + 68 * len(axes))
