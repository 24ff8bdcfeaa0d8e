"""The page of a list of runs: parallel coordinates for each question that was asked of several runs, and the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.reports.format import duration, metric_title, moment, number, shortened
from modelwright.reports.page import drawn, style, templates
from modelwright.reports.parallel import Line, parallel_figures
from modelwright.runs.entry import RunEntry
from modelwright.version import __version__

#: Charts of a page, and runs of its list.
MAX_CHARTS = 6
MAX_LISTED = 1000


def render_runs(entries: Sequence[RunEntry], condition: str, place: str, *, heading: str = "Runs") -> str:
    """Write a list of runs as one HTML page without scripts.

    Parameters
    ----------
    entries : sequence of RunEntry
    condition : str
        The filter that chose them; empty for all.
    place : str
        Where they lie.
    heading : str, default="Runs"
    """
    shown = entries[:MAX_LISTED]
    states = {entry.state for entry in entries}
    return (
        templates()
        .get_template("runs.html")
        .render(
            style=style(),
            version=__version__,
            heading=heading,
            condition=condition,
            place=place,
            n=len(entries),
            n_omitted=len(entries) - len(shown),
            charts=run_charts(entries),
            rows=[_row(entry) for entry in shown],
            with_state=states != {"finished"},
            with_kind=len({entry.kind for entry in entries}) > 1,
            with_target=any(entry.target for entry in shown),
            with_validation=any(entry.validation is not None for entry in shown),
            with_tags=any(entry.tags or entry.note for entry in shown),
        )
    )


def run_charts(entries: Sequence[RunEntry]) -> list[dict[str, Any]]:
    """Parallel coordinates of runs that answer the same question, those with the most runs first.

    Parameters
    ----------
    entries : sequence of RunEntry
    """
    asked: dict[tuple[str, ...], list[RunEntry]] = {}
    for entry in entries:
        asked.setdefault(_question(entry), []).append(entry)
    charts = []
    for number_, alike in enumerate(sorted(asked.values(), key=len, reverse=True)):
        metric = _metric(alike)
        lines = [Line(entry.id, _settings(entry), entry.metrics.get(metric)) for entry in alike]
        first = alike[0]
        about = first.target or (first.name if first.kind != "training" else "")
        title = " ".join(filter(None, [metric_title(metric) if metric else "", f"of {shortened(about, 40)}" if about else ""]))
        figures = parallel_figures(
            lines, metric, first.greater_is_better, key=f"runs-{number_}", title=title or "Runs", noun="runs"
        )
        if figures is not None:
            charts.append({"wide": drawn(figures[0]), "upright": drawn(figures[1])})
        if len(charts) == MAX_CHARTS:
            break
    return charts


def _question(entry: RunEntry) -> tuple[str, ...]:
    """Runs with the same question have scores that share an axis."""
    if entry.kind == "training":
        return entry.kind, entry.data, entry.target, entry.metric
    return entry.kind, entry.source or entry.name, entry.parent, entry.metric


def _metric(alike: Sequence[RunEntry]) -> str:
    """The metric that decides, else the one that most of the runs have."""
    if alike[0].metric:
        return alike[0].metric
    counts: dict[str, int] = {}
    for entry in alike:
        for name in entry.metrics:
            counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: counts[name], default="")


def _settings(entry: RunEntry) -> Mapping[str, Any]:
    settings = dict(entry.params)
    if entry.seed is not None:
        settings.setdefault("seed", entry.seed)
    return settings


def _row(entry: RunEntry) -> dict[str, Any]:
    metric = entry.metric or next(iter(entry.metrics), "")
    ends = entry.intervals.get(metric)
    value = entry.metrics.get(metric)
    return {
        "id": entry.id,
        "kind": entry.kind,
        "state": entry.state,
        "created": moment(entry.created),
        "took": "" if entry.wall_s is None else duration(entry.wall_s),
        "target": entry.target,
        "metric": metric_title(metric) if metric else "",
        "score": number(value) if value is not None else "withheld" if entry.withheld else "",
        "interval": f"{number(ends[0])} to {number(ends[1])}" if ends else "",
        "validation": "" if entry.validation is None else number(entry.validation),
        "tags": [f"{key}={value}" for key, value in sorted(entry.tags.items())],
        "note": entry.note,
        "error": entry.error,
    }
