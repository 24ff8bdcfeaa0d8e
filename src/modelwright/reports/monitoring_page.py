"""The page of what a model meets in production: how it stands, what changed and moves the score, all over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelwright.monitoring.checked import Alarm, Checked, ColumnCheck
from modelwright.monitoring.monitor import Monitored
from modelwright.reports.charts import BLUE, ORANGE, VERMILION
from modelwright.reports.format import count, metric_title, number, percent, shortened
from modelwright.reports.page import printable, style, templates
from modelwright.reports.timelines import Line, Mark, bars, heat, share_bars, timeline
from modelwright.version import __version__

#: Windows in the charts and in the list; columns over time; columns shown with their shares.
MAX_WINDOWS, MAX_HEAT, MAX_SHARES = 60, 14, 9
#: How a state is shown: class of the style, sign, words.
_STATES = {
    "ok": ("better", "✓", "Nothing has changed that matters"),
    "warning": ("unclear", "!", "Something has changed; nothing is known to be broken"),
    "alarm": ("worse", "✕", "Somebody should look"),
    "not enough data": ("none", "?", "Not enough rows or labels to judge"),
}
_CHIPS = {"ok": "better", "warning": "warning", "alarm": "critical", "not enough data": "unclear"}


def monitoring_page(found: Monitored) -> str:
    """Write the windows of a model as one HTML page without scripts.

    Parameters
    ----------
    found : Monitored

    Returns
    -------
    str
        A complete document that refers to no other resource.
    """
    latest, windows = found.latest, found.windows[-MAX_WINDOWS:]
    classes = found.judge.task in ("binary", "multiclass")
    metric = next((x.metric for w in reversed(windows) for x in (w.realised, w.estimated) if x is not None), "")
    return (
        templates()
        .get_template("monitoring.html")
        .render(
            style=style(),
            version=__version__,
            title=f"{found.model} {found.version}",
            source=found.source,
            made_of=found.judge.reference.made_of,
            hero=None if latest is None else _hero(latest),
            metric=metric_title(metric) if metric else "",
            pages=[] if latest is None else [_alarm(each, "critical") for each in latest.alarms if each.pages],
            explains=[] if latest is None else [_alarm(each, "warning") for each in latest.alarms if not each.pages],
            warnings=[] if latest is None else [_alarm(each, "unclear") for each in latest.warnings],
            notes=() if latest is None else latest.notes,
            changed=[] if latest is None else _changed(latest, classes=classes),
            columns=[] if latest is None else _columns(latest, classes=classes),
            charts=_charts(windows),
            heat=_heat(windows),
            rows=[_row(each) for each in reversed(windows)],
            loss="expected share of errors" if classes else "expected absolute error",
        )
    )


def _hero(latest: Checked) -> dict[str, Any]:
    kind, sign, words = _STATES[latest.state]
    real, guess = latest.realised, latest.estimated
    shown = real if real is not None and (guess is None or real.state != "not enough data") else guess
    hero: dict[str, Any] = {"kind": kind, "mark": sign, "label": words, "when": when(latest), "n_rows": latest.n_rows}
    hero["n_labels"] = latest.n_labels
    if shown is None:
        return hero | {"value": "", "sentence": "No score can be told for this window."}
    interval = f"{number(shown.low)} to {number(shown.high)}"
    hero |= {"value": number(shown.value), "interval": interval, "reference": number(shown.reference)}
    hero["metric"] = metric_title(shown.metric)
    if shown is guess and guess is not None:
        hero["unit"] = f"{hero['metric']}, estimated without labels"
        hero["sentence"] = (
            f"By {guess.method}; the band is {interval}, at training it was {hero['reference']}. It {guess.assumption}."
        )
    else:
        hero["unit"] = f"{hero['metric']} on {count(latest.n_labels)} labelled rows"
        hero["sentence"] = f"The 95 % interval is {interval}; at training it was {hero['reference']}."
        if guess is not None:
            hero["sentence"] += (
                f" Without labels, {number(guess.value)} ({number(guess.low)} to {number(guess.high)}) was to be expected by "
                f"{guess.method}, which {guess.assumption}; labels overrule it."
            )
    return hero


def when(checked: Checked) -> str:
    """A window in words."""
    if checked.start.isdigit():
        return f"rows {int(checked.start):,} to {int(checked.end):,}"
    return f"{_moment(checked.start)} to {_moment(checked.end)} UTC"


def _moment(text: str) -> str:
    return text[:16].replace("T", " ")


def _tick(checked: Checked) -> str:
    return f"row {int(checked.start):,}" if checked.start.isdigit() else _moment(checked.start)[5:]


def _alarm(alarm: Alarm, severity: str) -> dict[str, str]:
    return {
        "severity": severity,
        "chip": alarm.kind,
        "column": alarm.column,
        "message": alarm.message,
        "mend": alarm.mend,
    }


def _moves(column: ColumnCheck, *, classes: bool) -> str:
    if column.moves is None:
        return ""
    return f"{100 * column.moves:+.2f} points" if classes else f"{column.moves:+.4g}"


def _column(column: ColumnCheck, *, classes: bool, pages: bool) -> dict[str, Any]:
    # Inputs that drifted explain; red is kept for what pages.
    drifted = column.state == "alarm" and not pages
    return {
        "name": column.name,
        "state": "drifted" if drifted else column.state,
        "chip": "warning" if drifted else _CHIPS[column.state],
        "distance": f"{column.distance:.3f}",
        "p": "< 0.0001" if column.p < 1e-4 else f"{column.p:.2g}",
        "moved": column.moved,
        "missing": f"{percent(column.was_missing)} → {percent(column.missing)}",
        "importance": percent(column.importance) if column.importance else "",
        "moves": _moves(column, classes=classes),
    }


def _columns(latest: Checked, *, classes: bool) -> list[dict[str, Any]]:
    paging = {alarm.column for alarm in latest.pages}
    return [_column(each, classes=classes, pages=each.name in paging) for each in (*latest.answers, *latest.columns)]


def _changed(latest: Checked, *, classes: bool) -> list[dict[str, Any]]:
    """The columns that changed, those that matter most first, with their shares then and now."""
    import markupsafe

    found: list[dict[str, Any]] = []
    for column in (*latest.answers, *latest.columns):
        if not column.shares or len(found) == MAX_SHARES:
            continue
        rows = [(share.label, share.was, share.now) for share in column.shares]
        worst = max((share for share in column.shares if share.loss is not None), key=lambda s: s.loss or 0.0, default=None)
        words = [column.moved + "."]
        what = "share of errors" if classes else "mean absolute error"
        if column.moves is not None and abs(column.moves) >= 5e-4:
            words.append(f"This alone moves the expected {what} by {_moves(column, classes=classes)}.")
        if worst is not None and worst.loss is not None and worst.now > worst.was + 0.02:
            loss = f"{worst.loss:.0%} of such rows" if classes else f"by {worst.loss:.3g}"
            words.append(f"More rows lie where the model is wrong most: {worst.label}, {loss}.")
        label = f"{column.name}, share of rows in training and now: " + "; ".join(
            f"{name} {was:.0%} and {now:.0%}" for name, was, now in rows
        )
        found.append(
            {
                "key": f"shares-{len(found)}",
                "title": shortened(column.name, 40),
                "caption": " ".join(words),
                "svg": markupsafe.Markup(printable(share_bars(rows, printable(label)))),
                "scrolls": False,
            }
        )
    return found


def _charts(windows: Sequence[Checked]) -> list[dict[str, Any]]:
    """Score, prediction drift, rows and latency over windows."""
    import markupsafe

    if len(windows) < 2:
        return []
    ticks, states = [_tick(each) for each in windows], [each.state for each in windows]
    charts: list[tuple[str, str, str]] = []
    real = [Mark(k, w.realised.value, w.realised.low, w.realised.high) for k, w in enumerate(windows) if w.realised is not None]
    guess = [
        Mark(k, w.estimated.value, w.estimated.low, w.estimated.high) for k, w in enumerate(windows) if w.estimated is not None
    ]
    scored = [x for w in windows for x in (w.realised, w.estimated) if x is not None]
    if scored:
        title = metric_title(scored[-1].metric)
        lines = [Line("on labels", BLUE, real), Line("estimated", ORANGE, guess, band=True)]
        label = f"{title} by window: " + "; ".join(f"{ticks[m.at]} {number(m.value)}" for m in (real or guess)[-20:])
        charts.append(
            (
                title,
                "Blue: on rows whose labels have come, with 95 % intervals. Orange: estimated without labels, with its band. "
                f"Dashed: at training, {number(scored[-1].reference)}. A red square is a window with an alarm.",
                timeline(lines, ticks, label, reference=(scored[-1].reference, "at training"), states=states),
            )
        )
    answers = [Mark(k, max(a.distance for a in w.answers)) for k, w in enumerate(windows) if w.answers]
    if answers:
        label = "Distance of the predictions by window: " + "; ".join(f"{ticks[m.at]} {m.value:.3f}" for m in answers[-20:])
        charts.append(
            (
                "Drift of the predictions",
                "The largest difference between two shares of rows, then and now. Dashed: from 0.1 on it counts, if it is "
                "beyond chance in two of three windows.",
                timeline([Line("distance", BLUE, answers)], ticks, label, reference=(0.1, "limit"), zero=True, states=states),
            )
        )
    label = "Rows by window: " + "; ".join(f"{tick} {w.n_rows:,}" for tick, w in list(zip(ticks, windows, strict=True))[-20:])
    some = " Blue: those with labels." if any(w.n_labels for w in windows) else ""
    charts.append(
        (
            "Rows",
            f"Rows of each window.{some}",
            bars([w.n_rows for w in windows], ticks, label, over=[w.n_labels for w in windows]),
        )
    )
    served = [(k, w.service) for k, w in enumerate(windows) if w.service is not None]
    if served:
        slow, usual = [Mark(k, s.p99_ms) for k, s in served], [Mark(k, s.p50_ms) for k, s in served]
        label = "Latency in milliseconds by window: " + "; ".join(
            f"{ticks[k]} {s.p50_ms:g}, {s.p99_ms:g}" for k, s in served[-20:]
        )
        rates = [s.error_rate for _, s in served if s.error_rate is not None]
        failures = f" Of the requests of the last window {rates[-1]:.2%} failed, at most {max(rates):.2%}." if rates else ""
        charts.append(
            (
                "Latency",
                f"Milliseconds of an answer: median (blue) and the slowest hundredth (red).{failures}",
                timeline([Line("median", BLUE, usual), Line("99 %", VERMILION, slow)], ticks, label, zero=True),
            )
        )
    return [
        {"key": f"chart-{k}", "title": title, "caption": caption, "svg": markupsafe.Markup(printable(svg)), "scrolls": False}
        for k, (title, caption, svg) in enumerate(charts)
    ]


def _heat(windows: Sequence[Checked]) -> dict[str, Any] | None:
    """How far each column lay from training in each window: those that ever lay furthest."""
    import markupsafe

    if len(windows) < 2:
        return None
    most: dict[str, float] = {}
    for window in windows:
        for column in (*window.answers, *window.columns):
            if column.state != "not enough data":
                most[column.name] = max(most.get(column.name, 0.0), column.distance * (1 + column.importance))
    names = sorted(most, key=lambda name: -most[name])[:MAX_HEAT]
    if not names:
        return None
    by_window = [{c.name: c for c in (*w.answers, *w.columns)} for w in windows]
    rows = [(name, [_distance(columns.get(name)) for columns in by_window]) for name in names]
    ticks = [_tick(each) for each in windows]
    label = "Distance of columns from training by window; in the last: " + "; ".join(
        f"{name} {'not judged' if cells[-1] is None else format(cells[-1], '.3f')}" for name, cells in rows
    )
    draw = [markupsafe.Markup(printable(heat(rows, ticks, printable(label), width=width))) for width in (720, 340)]
    return {"wide": draw[0], "upright": draw[1]}


def _distance(column: ColumnCheck | None) -> float | None:
    return None if column is None or column.state == "not enough data" else column.distance


def _row(checked: Checked) -> dict[str, Any]:
    real, guess = checked.realised, checked.estimated
    named = dict.fromkeys(f"{a.kind}: {a.column}" if a.column else a.kind for a in checked.alarms)
    return {
        "when": _tick(checked) if checked.start.isdigit() else _moment(checked.start),
        "state": checked.state,
        "chip": _CHIPS[checked.state],
        "n": f"{checked.n_rows:,}" + ("" if checked.complete else " so far"),
        "labels": f"{checked.n_labels:,}" if checked.n_labels else "",
        "score": "" if real is None else f"{number(real.value)} ({number(real.low)} to {number(real.high)})",
        "estimate": "" if guess is None else f"{number(guess.value)} ({number(guess.low)} to {number(guess.high)})",
        "alarms": "; ".join(named),
    }
