"""The page of a search: its best trial, how it got there, and every trial in parallel coordinates and as a list."""

from __future__ import annotations

from collections import Counter
from typing import Any

from modelwright.jobs.tuning.flow import point_text
from modelwright.jobs.tuning.result import Tuning
from modelwright.jobs.tuning.settings import Settings
from modelwright.jobs.tuning.trial import Trial
from modelwright.reports.charts import BLUE, GREY, VERMILION, Figure, finish, inline, padded, thinned
from modelwright.reports.format import duration, is_number, metric_title, moment, number
from modelwright.reports.page import drawn, style, templates
from modelwright.reports.parallel import Line, parallel_figures
from modelwright.version import __version__

#: Dots that can be told apart, and trials that a list is read through.
MAX_DOTS, MAX_LISTED = 600, 1000


def render(tuning: Tuning) -> str:
    """Write a search as one HTML page without scripts.

    Parameters
    ----------
    tuning : Tuning

    Returns
    -------
    str
        A complete document that refers to no other resource.
    """
    settings, selector = tuning.settings, tuning.settings.selector
    ranked = _ranked(tuning)
    facts = [
        ("job", settings.target),
        ("strategy", settings.strategy + (f", halving {halving}" if (halving := settings.asked.get("tuning.halving")) else "")),
        ("trials", ", ".join(f"{n:,} {state}" for state, n in Counter(t.state for t in tuning.counted).most_common())),
        ("ended", tuning.ended.reason if tuning.ended is not None else tuning.state),
        ("started", moment(tuning.record.created)),
        ("time of the trials", duration(sum(trial.seconds for trial in tuning.counted))),
        ("seed", str(settings.seed)),
    ]
    best = tuning.best
    return (
        templates()
        .get_template("tuning.html")
        .render(
            style=style(),
            version=__version__,
            tuning=tuning,
            metric=metric_title(selector.metric),
            direction="higher" if selector.greater_is_better else "lower",
            facts=facts,
            best=best,
            best_value="" if best is None else number(best.value),
            parameters=_parameters(tuning),
            progress=drawn(progress_figure(tuning)),
            parallel=_parallel(tuning),
            rows=[_row(trial, settings) for trial in ranked[:MAX_LISTED]],
            n_omitted=max(0, len(ranked) - MAX_LISTED),
        )
    )


def progress_figure(tuning: Tuning) -> Figure | None:
    """Value of each trial in the order of their numbers, and the best so far; None for fewer than two."""
    import altair as alt

    selector = tuning.settings.selector
    valued = [trial for trial in tuning.counted if trial.value is not None and is_number(trial.value)]
    if sum(trial.state == "complete" for trial in valued) < 2:
        return None
    best = _best_so_far(tuning.counted, tuning.settings)
    low, high = _near([t.value for t in valued if t.value is not None], selector.greater_is_better, [v for _, v in best])
    rows = [
        {"trial": trial.number, "value": trial.value, "kind": "complete" if trial.state == "complete" else "stopped early"}
        for trial in valued
        if trial.value is not None and low <= trial.value <= high
    ]
    far = len(valued) - len(rows)
    title = metric_title(selector.metric)
    x = alt.X("trial:Q", title="trial", axis=alt.Axis(grid=False, tickMinStep=1), scale=alt.Scale(nice=False))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(domain=[low, high], nice=False, zero=False))
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=["complete", "stopped early"], range=[BLUE, GREY]),
        legend=alt.Legend() if any(row["kind"] != "complete" for row in rows) else None,
    )
    dots = alt.Chart(inline(thinned(rows, MAX_DOTS))).mark_circle(size=32, opacity=0.6).encode(x=x, y=y, color=colour)
    steps = [{"trial": n, "value": value} for n, value in best] + [{"trial": tuning.counted[-1].number, "value": best[-1][1]}]
    line = alt.Chart(inline(steps)).mark_line(color=VERMILION, strokeWidth=1.8, interpolate="step-after").encode(x=x, y=y)
    largest = " among those with the largest budget" if tuning.settings.rounds else ""
    left_out = f" {far:,} far worse {'one is' if far == 1 else 'ones are'} not drawn." if far else ""
    return Figure(
        key="progress",
        title="Best so far",
        caption=f"A dot is a trial, the line the best so far{largest}; it last improved with trial {best[-1][0]}.{left_out}",
        alternative=f"{title} of {len(valued)} trials; the best so far: "
        + "; ".join(f"trial {n} {number(value)}" for n, value in thinned(best, 20))
        + ".",
        chart=finish(dots + line),
    )


def _best_so_far(trials: list[Trial], settings: Settings) -> list[tuple[int, float]]:
    """Number and value of each new best; with rounds a larger budget comes before a better value."""
    parameter = settings.halving.parameter if settings.halving is not None else ""
    found: list[tuple[int, float]] = []
    reached: tuple[float, float] | None = None
    for trial in trials:
        if trial.state != "complete" or trial.value is None:
            continue
        rank = (trial.params[parameter] if parameter else 0.0, settings.selector.utility(trial.value))
        if reached is None or rank > reached:
            reached = rank
            found.append((trial.number, trial.value))
    return found


def _near(values: list[float], upwards: bool, always: list[float]) -> tuple[float, float]:
    """A range for the better half and some more: a few diverged trials would squeeze all others into a line."""
    ordered = sorted(values, reverse=upwards)
    half = ordered[len(ordered) // 2]
    limit = half + 3 * (half - ordered[0])
    inside = [value for value in values if (value >= limit if upwards else value <= limit)]
    return padded([*inside, *always])


def _parameters(tuning: Tuning) -> list[tuple[str, str, str]]:
    """Name, values, and the best value of each parameter."""
    best = {} if tuning.best is None else tuning.best.params
    asked = {name: text for name, text in tuning.settings.asked.items() if not name.startswith("tuning.")}
    halving = tuning.settings.halving
    if halving is not None and halving.parameter:
        asked[halving.parameter] = ", ".join(f"{rung:g}" for rung in halving.rungs)
    return [(name, str(asked.get(name, "listed")), _shown(best.get(name))) for name in dict.fromkeys([*asked, *best])]


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _parallel(tuning: Tuning) -> dict[str, Any] | None:
    selector = tuning.settings.selector
    lines = [
        Line(f"trial {t.number}", t.params, t.value if t.state == "complete" else None)
        for t in tuning.counted
        if t.state != "interrupted"
    ]
    figures = parallel_figures(
        lines, selector.metric, selector.greater_is_better, key="trials", title="Parameters and results", noun="trials"
    )
    return None if figures is None else {"wide": drawn(figures[0]), "upright": drawn(figures[1])}


def _ranked(tuning: Tuning) -> list[Trial]:
    """The best trial, then the complete ones by value, then the others by number."""
    selector, best = tuning.settings.selector, tuning.best

    def rank(trial: Trial) -> tuple[int, float, int]:
        if trial.state != "complete" or trial.value is None:
            return 2, 0.0, trial.number
        first = best is not None and trial.number == best.number
        return 0 if first else 1, -selector.utility(trial.value), trial.number

    return sorted(tuning.counted, key=rank)


def _row(trial: Trial, settings: Settings) -> dict[str, str]:
    at = f" at step {trial.step:g}" if trial.step is not None else ""
    varied = {name: value for name, value in trial.params.items() if name not in settings.space.fixed}
    return {
        "number": str(trial.number),
        "state": trial.state + at,
        "value": "" if trial.value is None else number(trial.value),
        "params": point_text(varied),
        "took": duration(trial.seconds),
        "run": trial.run,
        "error": trial.error,
    }
