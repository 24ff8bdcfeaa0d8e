"""The page of a job or a tuning: what it was given, what it logged, and the runs that belong to it."""

from __future__ import annotations

from collections.abc import Sequence

from modelwright.reports.compare_page import curve_figures
from modelwright.reports.format import duration, moment, number, quantity, size
from modelwright.reports.page import drawn, style, templates
from modelwright.reports.runs_page import run_charts
from modelwright.runs.curves import Curve
from modelwright.runs.entry import RunEntry
from modelwright.version import __version__


def render_job(entry: RunEntry, curves: Sequence[Curve], children: Sequence[RunEntry], place: str) -> str:
    """Write a job as one HTML page without scripts.

    Parameters
    ----------
    entry : RunEntry
    curves : sequence of Curve
    children : sequence of RunEntry
        Runs that belong to it, such as the trials of a tuning.
    place : str
        Its folder.
    """
    facts = [
        ("state", entry.state),
        ("started", moment(entry.created)),
        ("took", "" if entry.wall_s is None else duration(entry.wall_s)),
        ("by", entry.user),
        ("seed", "" if entry.seed is None else str(entry.seed)),
        ("source", entry.source),
        ("commit", entry.commit[:12] + (" with changes" if entry.dirty else "")),
        ("peak memory", "" if entry.peak_memory_mb is None else size(entry.peak_memory_mb * 1e6)),
        ("trials", str(len(children)) if children else ""),
    ]
    return (
        templates()
        .get_template("job.html")
        .render(
            style=style(),
            version=__version__,
            entry=entry,
            place=place,
            facts=[(name, value) for name, value in facts if value],
            metrics=[(name, number(value)) for name, value in entry.metrics.items()],
            params=[(name, quantity(name, value)) for name, value in entry.params.items()],
            tags=[f"{key}={value}" for key, value in sorted(entry.tags.items())],
            curves=[drawn(figure) for figure in curve_figures([entry], [curves])],
            charts=run_charts(children),
            children=_ranked(entry, children),
        )
    )


def _ranked(entry: RunEntry, children: Sequence[RunEntry]) -> list[tuple[str, str, str, str]]:
    """Run, state, score and settings of the runs that belong to it, the best first."""
    metric = entry.metric or next((child.metric for child in children if child.metric), "")
    sign = 1 if entry.greater_is_better is False else -1

    def rank(child: RunEntry) -> tuple[bool, float]:
        score = child.metrics.get(metric)
        return score is None, 0.0 if score is None else sign * score

    return [
        (
            child.id,
            child.state,
            "" if (score := child.metrics.get(metric)) is None else number(score),
            ", ".join(f"{name} {quantity(name, value)}" for name, value in child.params.items()),
        )
        for child in sorted(children, key=rank)
    ]
