"""The report: one run as one page that needs nothing else.

`render` gathers what each section shows, in reading order, and fills the templates of this folder, which only lay out.
What the sections say is decided in `headline`, `trust`, `decisions`, `leaderboard` and `weakness`, the rest here; charts
come from `charts`, `diagnostics` and `reliability`.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from modelwright.evaluation.importance import Importance
from modelwright.metrics.registry import METRICS
from modelwright.reports.charts import fold_scores, learning_curves
from modelwright.reports.commands import commands
from modelwright.reports.decisions import calibration, intervals, threshold
from modelwright.reports.diagnostics import confusion_table, evaluation_figures
from modelwright.reports.format import (
    decimals_for,
    duration,
    fixed,
    is_number,
    metric_title,
    number,
    pairs,
    ranged,
    shortened,
    words,
)
from modelwright.reports.front import front_figure
from modelwright.reports.headline import headline
from modelwright.reports.leaderboard import front_sentence, leaderboard
from modelwright.reports.openings import is_shown_instead
from modelwright.reports.origin import origin_facts
from modelwright.reports.page import drawn, style, templates
from modelwright.reports.parallel import trial_figures
from modelwright.reports.trust import barred, trust
from modelwright.reports.weakness import checklist, weak_spots
from modelwright.training.record import MemberRecord, RunRecord

MAX_IMPORTANCES = 25
MAX_CONFUSIONS = 10
#: A wider fold-score chart than this many rows repeats the table below it.
MAX_FOLD_ROWS = 14
_SEVERITIES = ("critical", "warning", "info")


def render(record: RunRecord) -> str:
    """Write a run as one HTML page.

    Parameters
    ----------
    record : RunRecord
        The run; nothing else is read.

    Returns
    -------
    str
        A complete HTML document without scripts that refers to no other resource. The same record gives the
        same text.
    """
    board = leaderboard(record)
    findings = sorted(record.findings, key=lambda f: _SEVERITIES.index(f.severity))
    bars = barred(record)
    return (
        templates()
        .get_template("report.html")
        .render(
            style=style(),
            version=record.modelwright,
            record=record,
            headline=_with_picture(headline(record, [] if bars is None else bars["reasons"])),
            barred=bars,
            trust=trust(record),
            critical=[f for f in findings if f.severity == "critical"],
            data=_data(record),
            findings=findings,
            severities=[(s, n) for s in _SEVERITIES if (n := sum(f.severity == s for f in findings))],
            split=_split(record),
            board=board,
            board_figure=drawn(fold_scores(board.ranked[:MAX_FOLD_ROWS], record.metric)),
            front={"sentence": front_sentence(record), "figure": drawn(front_figure(record))},
            parallel=[{"wide": drawn(wide), "upright": drawn(upright)} for wide, upright in trial_figures(record)],
            model=_model(record),
            curves=[drawn(figure) for figure in learning_curves(record)],
            sealed=_sealed(record),
            calibration=_with_picture(calibration(record)),
            threshold=_with_picture(threshold(record)),
            intervals=_with_picture(intervals(record)),
            importance=_importance(record),
            weak=weak_spots(record),
            checklist=checklist(record),
            timings=_timings(record),
            environment=_environment(record),
            commands=commands(record),
            metric=metric_title(record.metric),
        )
    )


def _with_picture(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """A part of the page with its figure rendered."""
    return None if part is None else {**part, "figure": drawn(part["figure"])}


def _data(record: RunRecord) -> dict[str, Any]:
    columns = record.plan.schema.columns
    roles = Counter(column.role for column in columns)
    types = Counter(column.type for column in record.plan.schema.features)
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in types.most_common())
    noun = "column" if sum(types.values()) == 1 else "columns"
    names = [("features" if role == "feature" and n > 1 else role, n) for role, n in roles.most_common()]
    return {"columns": columns, "roles": names, "kinds": f"{kinds} {noun}" if kinds else ""}


def _split(record: RunRecord) -> dict[str, Any]:
    known = record.n_training + record.n_evaluation
    parts = [("training and validation", "training", record.n_training), ("sealed evaluation", "sealed", record.n_evaluation)]
    left = record.n_rows - known
    # Rows of an external evaluation table are not rows of this table.
    if record.plan.split_rule != "external" and left > 0:
        parts.append(("left out", "left", left))
    total = sum(n for _, _, n in parts) or 1
    return {"parts": [(title, name, n, n / total) for title, name, n in parts if n]}


def _model(record: RunRecord) -> dict[str, Any]:
    weights = record.plan.weights
    total = sum(weights.values()) or 1.0
    fits: dict[int, list[tuple[MemberRecord, float]]] = {}
    for member in record.plan.members:
        fits.setdefault(member.trial, []).append((member, member.weight / total))
    members = [(fits[trial], weights[trial] / total) for trial in sorted(fits, key=lambda trial: -weights[trial])]
    settings: list[tuple[str, str]] = []
    if record.task in ("binary", "multiclass"):
        settings.append(("Calibration", _calibration_words(record)))
    if record.plan.threshold is not None:
        settings.append(("Decision threshold", number(record.plan.threshold)))
    n_fits = len(record.plan.members)
    return {
        "members": members,
        "n_fits": n_fits,
        "settings": settings,
        "facts": pairs(record.model),
        "readable": _readable(record),
    }


def _readable(record: RunRecord) -> dict[str, Any] | None:
    """Coefficients with shared decimals, or rules; None where nobody can read the model."""
    found = record.readable
    if found is None:
        return None
    binary = record.task == "binary" and len(found.outputs) == 1
    multiplied = binary or found.log_factor > 0
    columns = list(zip(*(term.coefficients for term in found.terms), strict=True))
    # One strong input must not cost the others their digits: decimals follow the median.
    decimals = [decimals_for([sorted(map(abs, column))[len(column) // 2]], 3) for column in columns]

    def shown(values: list[float]) -> list[str]:
        texts = [number(v, 3) if abs(v) < 10.0 ** (1 - d) else fixed(v, d) for v, d in zip(values, decimals, strict=False)]
        return [*texts, number(math.exp(min(values[0], 700.0)), 3)] if multiplied else texts

    heads = [shortened(name, 24) for name in found.outputs]
    if multiplied:
        heads = [f"log odds of {found.outputs[0]}", "odds times"] if binary else ["logarithm", "prediction times"]
    return {
        "sentence": found.sentence,
        "outputs": heads,
        "rules": found.rules,
        "intercept": shown(found.intercept) if decimals else [number(v) for v in found.intercept],
        "terms": [(term.column, term.meaning, shown(term.coefficients)) for term in found.terms],
        "n_left_out": found.n_left_out,
        "normal_scores": any(term.meaning == "normal score" for term in found.terms),
    }


def _calibration_words(record: RunRecord) -> str:
    method, temperature = record.plan.calibration.method, record.plan.temperature
    if method in ("platt", "isotonic"):
        return f"{method}, fitted on validation rows"
    if abs(temperature - 1) < 5e-4:
        return "none: probabilities are used as they are"
    drawn = "drawn towards the middle" if temperature > 1 else "sharpened"
    return f"temperature {temperature:.4g}: probabilities are {drawn}"


def _sealed(record: RunRecord) -> dict[str, Any] | None:
    evaluation = record.evaluation
    if evaluation is None:
        return None
    everything = {evaluation.metric: evaluation.score, **{k: v for k, v in evaluation.others.items() if k != evaluation.metric}}
    metrics = [
        (*_metric_words(name), number(i.value), ranged(i, decimals_for([i.value])), name == evaluation.metric)
        for name, i in everything.items()
    ]
    table = confusion_table(record)
    return {
        # What a look does not show is not there, and its place is explained.
        "validation": evaluation.plots_of == "validation" or is_shown_instead(record),
        "metrics": [] if is_shown_instead(record) else metrics,
        "figures": [drawn(figure) for figure in evaluation_figures(record)],
        "classes": table.classes() if table is not None else [],
        "confusions": table.confusions(MAX_CONFUSIONS) if table is not None and len(table.labels) > 2 else [],
    }


def _metric_words(name: str) -> tuple[str, str]:
    """Title of a metric, and which direction is better."""
    metric = METRICS.get(name)
    return (metric_title(name), "") if metric is None else (metric.title, "higher" if metric.greater_is_better else "lower")


def _importance(record: RunRecord) -> dict[str, Any]:
    entries = record.importances or [
        Importance((name,), share, math.nan, math.nan, math.nan) for name, share in record.importance
    ]
    entries = [entry for entry in entries if is_number(entry.share)]
    shown, rest = entries[:MAX_IMPORTANCES], entries[MAX_IMPORTANCES:]
    largest = max((entry.share for entry in shown), default=0.0)
    decimals = decimals_for([entry.drop for entry in shown], 3)
    seen = {column for entry in entries for column in entry.columns}
    return {
        "rows": [(e.name, e.share, max(0.0, e.share / largest) if largest > 0 else 0.0, _drop(e, decimals)) for e in shown],
        "dominant": next((e.name for e in shown if e.dominant), ""),
        "joined": any(len(e.columns) > 1 for e in shown),
        "n_rest": len(rest),
        "rest": sum(entry.share for entry in rest),
        "n_missed": sum(column.name not in seen for column in record.plan.schema.features),
    }


def _drop(entry: Importance, decimals: int) -> str:
    if not is_number(entry.drop):
        return ""
    return f"{fixed(entry.drop, decimals)} ({fixed(entry.low, decimals)} to {fixed(entry.high, decimals)})"


def _timings(record: RunRecord) -> list[tuple[str, str, float]]:
    total = max([record.wall_s, *record.timings_s.values()], default=0.0)
    return [
        (words(step), duration(seconds), seconds / total if total > 0 else 0.0) for step, seconds in record.timings_s.items()
    ]


def _environment(record: RunRecord) -> dict[str, Any]:
    packages = record.environment.get("packages")
    packages = packages if isinstance(packages, dict) else {}
    return {
        "origin": origin_facts(record.provenance),
        "facts": pairs({key: value for key, value in record.environment.items() if key != "packages"}),
        "packages": [(str(name), str(version)) for name, version in sorted(packages.items())],
    }
