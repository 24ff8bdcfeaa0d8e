"""The page of a rehearsal: score over time under each policy, what each cost, and every retraining with its reason."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from modelwright.reports.charts import BLUE, GREEN, GREY, INK, PURPLE, SKY, VERMILION, Figure, finish, inline, padded
from modelwright.reports.format import duration, is_number, metric_title, number
from modelwright.reports.page import drawn, style, templates
from modelwright.retraining.rehearsal.values import Life, Rehearsal
from modelwright.version import __version__

_COLOURS = (GREY, VERMILION, BLUE, GREEN, PURPLE, SKY, INK)
#: Retrainings that are listed of one life.
_LISTED = 60


def render_rehearsal(rehearsal: Rehearsal) -> str:
    """Write a rehearsal as one HTML page without scripts.

    Parameters
    ----------
    rehearsal : Rehearsal

    Returns
    -------
    str
        A complete document that refers to no other resource.
    """
    return (
        templates()
        .get_template("rehearsal.html")
        .render(
            style=style(),
            version=__version__,
            rehearsal=rehearsal,
            name=PurePath(rehearsal.data).stem or rehearsal.data,
            metric=metric_title(rehearsal.metric),
            direction="higher" if rehearsal.greater_is_better else "lower",
            verdict=verdict(rehearsal),
            facts=_facts(rehearsal),
            rows=[_row(rehearsal, life) for life in rehearsal.lives],
            charts=[drawn(figure) for figure in (score_figure(rehearsal), gain_figure(rehearsal)) if figure is not None],
            lives=[(life, life.retrained[:_LISTED]) for life in rehearsal.lives if life.retrained],
        )
    )


def verdict(rehearsal: Rehearsal) -> str:
    """What the rehearsal says, in a sentence or two."""
    best = max(rehearsal.lives, key=lambda life: rehearsal.gain(life).value)
    first = rehearsal.lives[0]
    if best is first:
        return f"No policy was better than {first.name} on this history."
    gain = rehearsal.gain(best)
    told = (
        f"{best.name} was best: {number(abs(gain.value))} {_better(rehearsal)} than {first.name} on the average window"
        f" (95 % {number(gain.low)} to {number(gain.high)}), with {_times(best)}."
    )
    if gain.low <= 0:
        told += " By windows that differ so much this may be chance."
    rivals = [
        life
        for life in rehearsal.lives
        if life is not best and life.seconds < best.seconds and rehearsal.gain(best, life).low <= 0 < rehearsal.gain(life).low
    ]
    if rivals:
        cheap = min(rivals, key=lambda life: life.seconds)
        told += f" {cheap.name} cannot be told from it and took {_times(cheap)}."
    return told


def score_figure(rehearsal: Rehearsal) -> Figure | None:
    """The score of each window under each policy; a dot where another model went live."""
    rows, dots = [], []
    for life in rehearsal.lives:
        swapped = {each.window + 1 for each in life.retrained if each.promoted}
        for point in life.points:
            if point.score is not None and is_number(point.score):
                row = {"at": point.end if rehearsal.dated else point.window + 1, "score": point.score, "policy": life.name}
                rows.append(row)
                if point.window in swapped:
                    dots.append(row)
    title = metric_title(rehearsal.metric)
    return _lines(
        rehearsal, rows, dots, "score", title, key="score", heading="Score over time",
        caption=f"{title} of each window, {_better(rehearsal)} is better. A dot: another model answers from here on.",
    )  # fmt: skip


def gain_figure(rehearsal: Rehearsal) -> Figure | None:
    """What each policy has gained over the first one so far, window by window."""
    rows = []
    sign = 1.0 if rehearsal.greater_is_better else -1.0
    for life in rehearsal.lives[1:]:
        total = 0.0
        for point, score, base in zip(life.points, life.scores, rehearsal.lives[0].scores, strict=True):
            total += float(sign * (score - base)) if is_number(score - base) else 0.0
            at = point.end if rehearsal.dated else point.window + 1
            rows.append({"at": at, "score": total / len(life.points), "policy": life.name})
    return _lines(
        rehearsal, rows, [], "score", "gain so far", key="gain", heading=f"Gained over {rehearsal.lives[0].name}",
        caption="Adds up from window to window; where a line ends is the mean gain. A rising line is a policy that helps.",
    )  # fmt: skip


def _lines(
    rehearsal: Rehearsal, rows: list[dict[str, Any]], dots: list[dict[str, Any]], field: str, title: str, *, key: str,
    heading: str, caption: str,
) -> Figure | None:  # fmt: skip
    import altair as alt

    names = [life.name for life in rehearsal.lives if any(row["policy"] == life.name for row in rows)]
    if len(rows) < 2:
        return None
    everyone = [life.name for life in rehearsal.lives]
    colours = [_COLOURS[everyone.index(name) % len(_COLOURS)] for name in names]
    low, high = padded([row[field] for row in rows])
    x = alt.X(
        f"at:{'T' if rehearsal.dated else 'Q'}",
        title=None if rehearsal.dated else "window",
        axis=alt.Axis(grid=False, labelOverlap=True),
        scale=alt.Scale(nice=False),
    )
    y = alt.Y(f"{field}:Q", title=title, scale=alt.Scale(domain=[low, high], nice=False, zero=False))
    colour = alt.Color("policy:N", scale=alt.Scale(domain=names, range=colours), sort=None, legend=alt.Legend(columns=2))
    chart = alt.Chart(inline(rows)).mark_line(strokeWidth=1.8, interpolate="linear").encode(x=x, y=y, color=colour)
    if dots:
        marks = alt.Chart(inline(dots)).mark_circle(size=52, opacity=1).encode(x=x, y=y, color=colour)
        chart = chart + marks
    ends = "; ".join(f"{name} {number([row[field] for row in rows if row['policy'] == name][-1])} at the end" for name in names)
    return Figure(key, heading, caption, f"{title} by window: {ends}.", finish(chart))


def _facts(rehearsal: Rehearsal) -> list[tuple[str, str]]:
    points = rehearsal.lives[0].points
    told = [
        ("rows", f"{rehearsal.n_rows:,}, of which the first {rehearsal.n_first:,} trained the first model"),
        ("windows", f"{len(points):,} of about {sorted(point.n_rows for point in points)[len(points) // 2]:,} rows"),
    ]
    if rehearsal.dated:
        told.append(("time", f"{points[0].start[:10]} to {points[-1].end[:10]}"))
    return told + [(name, str(value)) for name, value in rehearsal.settings.items()]


def _row(rehearsal: Rehearsal, life: Life) -> dict[str, str]:
    gain = rehearsal.gain(life)
    first = life is rehearsal.lives[0]
    return {
        "name": life.name,
        "score": number(life.score),
        "gain": "" if first else f"{gain.value:+.4g}",
        "interval": "" if first else f"{gain.low:+.3g} to {gain.high:+.3g}",
        "retrained": f"{life.n_trained:,}",
        "promoted": f"{life.promoted:,}",
        "seconds": duration(life.seconds) if life.retrained else "",
    }


def _better(rehearsal: Rehearsal) -> str:
    return "higher" if rehearsal.greater_is_better else "lower"


def _times(life: Life) -> str:
    n = life.n_trained
    return f"{n:,} {'retraining' if n == 1 else 'retrainings'}"
