"""The chart of score against the time of a single row, with the front that no model beats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Literal

from modelwright.reports.charts import BLUE, FAINT, GREY, INK, VERMILION, WIDTH, Figure, finish, inline, padded
from modelwright.reports.format import duration, is_number, metric_title, number, shortened, size
from modelwright.training.front import DELIVERED, Point, points
from modelwright.training.record import RunRecord

_HEIGHT = 300
#: Room that axes and their titles take; what is left is where labels must find a place.
_LEFT, _BELOW = 62, 46
#: Pixels of a letter and of a line of the labels.
_LETTER, _LINE = 6.1, 13.0
#: Labels stand above the line that runs to the right of a point, or else below it.
_RISE = 9.0
_NAMED = 7
#: Scores that differ by less than this share of themselves fill no whole axis.
_LEAST_RANGE = 0.002
#: A point further from the best than so many times the spread of the better half would squeeze all others.
_REACH = 4.0


@dataclass(frozen=True)
class _Label:
    text: str
    x: float
    y: float
    align: Literal["left", "right"]
    #: Pixels above (negative) or below its point.
    rise: float


def front_figure(record: RunRecord) -> Figure | None:
    """Score of every measured candidate against the time that one row takes, both of the packaged model.

    None where fewer than two models were measured.
    """
    import altair as alt

    everything = [p for p in points(record) if is_number(p.score) and is_number(p.single_row_s) and p.single_row_s > 0]
    found = _near(everything, record.greater_is_better)
    if len(found) < 2:
        return None
    names = _names(record)
    rows: list[dict[str, Any]] = [
        {
            "row_us": p.single_row_s * 1e6,
            "score": p.score,
            "kind": "delivered" if p.trial == DELIVERED else "front" if p.on_front else "beaten",
            "size": math.log10(max(1e3, p.size_bytes)),
        }
        for p in sorted(found, key=lambda p: p.on_front)
    ]
    times = [row["row_us"] for row in rows]
    x_domain = min(times) / 1.8, max(times) * 1.5
    y_domain = _scores_range([row["score"] for row in rows])
    x = alt.X(
        "row_us:Q",
        title="one row, logarithmic",
        scale=alt.Scale(type="log", domain=list(x_domain), nice=False),
        axis=alt.Axis(
            values=_ticks(*x_domain),
            labelExpr="datum.value >= 1e6 ? datum.value / 1e6 + ' s' : datum.value >= 1e3 ? datum.value / 1e3 + ' ms' : "
            "datum.value + ' µs'",
            grid=False,
            domain=True,
            domainColor="#e1e5ea",
        ),
    )
    better = "higher" if record.greater_is_better else "lower"
    y = alt.Y(
        "score:Q",
        title=f"validation {metric_title(record.metric)}, {better} is better",
        scale=alt.Scale(domain=list(y_domain), nice=False, zero=False, reverse=not record.greater_is_better),
        axis=alt.Axis(tickCount=5),
    )
    steps = _steps(found, record.greater_is_better, x_domain[1])
    colours = alt.Scale(domain=["delivered", "front", "beaten"], range=[VERMILION, BLUE, GREY])
    circles = [row for row in rows if row["kind"] != "delivered"]
    layers: list[Any] = []
    if len(steps) > 1:
        line = alt.Chart(inline(steps)).mark_line(color=FAINT, strokeDash=[4, 3], strokeWidth=1.2, interpolate="step-after")
        layers.append(line.encode(x=x, y=y))
    if circles:
        area = alt.Size("size:Q", scale=alt.Scale(domain=[3, 9], range=[25, 320]), legend=None)
        dots = alt.Chart(inline(circles)).mark_circle(opacity=0.75)
        layers.append(dots.encode(x=x, y=y, size=area, color=alt.Color("kind:N", scale=colours, legend=None)))
    if ours := [row for row in rows if row["kind"] == "delivered"]:
        mark = alt.Chart(inline(ours)).mark_point(shape="diamond", filled=True, size=150, opacity=1, color=VERMILION)
        layers.append(mark.encode(x=x, y=y))
    labels = _labels(found, names, x_domain, y_domain, record.greater_is_better)
    for align, rise in dict.fromkeys((label.align, label.rise) for label in labels):
        data = inline([{"row_us": n.x, "score": n.y, "who": n.text} for n in labels if (n.align, n.rise) == (align, rise)])
        text = alt.Chart(data).mark_text(align=align, dx=9 if align == "left" else -9, dy=rise, fontSize=11, color=INK)
        layers.append(text.encode(x=x, y=y, text="who:N"))
    far = len(everything) - len(found)
    left_out = (
        f" {far} further {'model' if far == 1 else 'models'}, far worse, {'is' if far == 1 else 'are'} not drawn."
        if far
        else ""
    )
    spoken = "; ".join(
        f"{names[p.trial]} {number(p.score)}, {duration(p.single_row_s)}, {size(p.size_bytes)}" for p in found if p.on_front
    )
    return Figure(
        key="front",
        title="Score against the time of one row",
        caption=(
            "Up and to the left is better; larger dots are larger files. The diamond is the delivered model. Blue: no other "
            "model is better, faster and smaller at once; grey: another one is. The dashed line joins the best that can be had "
            f"in a given time.{left_out}"
        ),
        alternative=f"Models that no other beats in score, time of one row and size: {spoken}.",
        chart=finish(alt.layer(*layers), height=_HEIGHT),
    )


def _scores_range(scores: list[float]) -> tuple[float, float]:
    """Room for all scores, and no magnifying glass for differences that mean nothing."""
    low, high = padded(scores, 0.14)
    lacking = max(0.0, _LEAST_RANGE * max(map(abs, scores)) - (high - low)) / 2
    return low - lacking, high + lacking


def _names(record: RunRecord) -> dict[int, str]:
    """Algorithms, with the number of the trial where several share one."""
    names = {DELIVERED: "delivered"}
    algorithms = [trial.algorithm for trial in record.trials]
    for trial in record.trials:
        several = algorithms.count(trial.algorithm) > 1
        names[trial.number] = f"{shortened(trial.algorithm, 14)} #{trial.number}" if several else shortened(trial.algorithm, 18)
    return names


def _near(found: list[Point], greater_is_better: bool) -> list[Point]:
    """Points that can share an axis with the best."""
    if len(found) < 4:
        return found
    ranked = sorted(found, key=lambda p: -p.score if greater_is_better else p.score)
    half = ranked[: max(3, len(ranked) // 2 + 1)]
    spread = abs(half[0].score - half[-1].score)
    return found if spread == 0 else [p for p in ranked if abs(p.score - ranked[0].score) <= _REACH * spread]


def _steps(found: list[Point], greater_is_better: bool, end_us: float) -> list[dict[str, float]]:
    """The best score that can be had within a time, as the corners of a staircase."""
    steps: list[dict[str, float]] = []
    best = -math.inf
    for p in sorted(found, key=lambda p: (p.single_row_s, -p.score if greater_is_better else p.score)):
        utility = p.score if greater_is_better else -p.score
        if utility > best:
            best = utility
            steps.append({"row_us": p.single_row_s * 1e6, "score": p.score})
    return [*steps, {"row_us": end_us, "score": steps[-1]["score"]}] if steps else []


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten within the range; powers of ten alone where the range is wide."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if high / low > 300 else (1, 3) if high / low > 30 else (1, 2, 5)
    return [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]


def _labels(
    found: list[Point], names: dict[int, str], x_domain: tuple[float, float], y_domain: tuple[float, float], upwards: bool
) -> list[_Label]:
    """Names beside the points of the front, as far as they find a place that no other name or point has."""
    width, height = WIDTH - _LEFT, _HEIGHT - _BELOW

    def place(p: Point) -> tuple[float, float]:
        across = math.log(p.single_row_s * 1e6 / x_domain[0]) / math.log(x_domain[1] / x_domain[0])
        up = (p.score - y_domain[0]) / (y_domain[1] - y_domain[0])
        return across * width, (1 - up if upwards else up) * height

    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in map(place, found)]
    corners = [place(Point(0, step["score"], step["row_us"] / 1e6, 0.0)) for step in _steps(found, upwards, x_domain[1])]
    taken += [(x - 1, min(y, before), x + 1, max(y, before)) for (_, before), (x, y) in pairwise(corners)]
    labels: list[_Label] = []
    for p in sorted((p for p in found if p.on_front or p.trial == DELIVERED), key=lambda p: p.trial != DELIVERED):
        x, y = place(p)
        long = _LETTER * len(names[p.trial])
        sides: list[tuple[Literal["left", "right"], float]] = [("left", x + 9), ("right", x - 9 - long)]
        for (align, left), rise in product(sides, (-_RISE, _RISE + 2)):
            box = (left, y + rise - _LINE / 2, left + long, y + rise + _LINE / 2)
            inside = box[0] >= 0 and box[2] <= width and box[1] >= 0 and box[3] <= height
            free = not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken)
            if inside and free and len(labels) < _NAMED:
                taken.append(box)
                labels.append(_Label(names[p.trial], p.single_row_s * 1e6, p.score, align, rise))
                break
    return labels
