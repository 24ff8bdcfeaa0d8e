"""The report: one run as one page that needs nothing else.

`render` gathers what each section shows (the functions ``_headline``, ``_data``, … in reading order) and fills
the templates of this folder. Decisions are made here, the templates only lay out. Charts come from
`reports.charts` and `reports.diagnostics`.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from datetime import datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from modelwright.metrics.estimate import Interval
from modelwright.metrics.registry import METRICS
from modelwright.reports.charts import Figure, against_baseline, fold_scores, learning_curves
from modelwright.reports.commands import commands
from modelwright.reports.diagnostics import confusion_table, evaluation_figures
from modelwright.reports.format import (
    count,
    decimals_for,
    duration,
    fixed,
    is_number,
    metric_title,
    number,
    pairs,
    percent,
    quantity,
    shortened,
    size,
    words,
)
from modelwright.reports.leaderboard import leaderboard
from modelwright.reports.svg import to_svg
from modelwright.reports.weakness import checklist, weak_spots
from modelwright.training.record import Comparison, RunRecord

if TYPE_CHECKING:
    import jinja2

MAX_IMPORTANCES = 25
MAX_CONFUSIONS = 10
#: A wider fold-score chart than this many rows repeats the table below it.
MAX_FOLD_ROWS = 14
_TASKS = {
    "binary": "Binary classification", "multiclass": "Classification", "regression": "Regression", "clustering": "Clustering",
}  # fmt: skip
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
    return (
        _templates()
        .get_template("report.html")
        .render(
            style=_style(),
            record=record,
            headline=_headline(record),
            critical=[f for f in findings if f.severity == "critical"],
            data=_data(record),
            findings=findings,
            severities=[(s, n) for s in _SEVERITIES if (n := sum(f.severity == s for f in findings))],
            split=_split(record),
            board=board,
            board_figure=_drawn(fold_scores(board.ranked[:MAX_FOLD_ROWS], record.metric)),
            model=_model(record),
            curves=[_drawn(figure) for figure in learning_curves(record)],
            sealed=_sealed(record),
            importance=_importance(record),
            weak=weak_spots(record),
            checklist=checklist(record),
            timings=_timings(record),
            environment=_environment(record),
            commands=commands(record),
            metric=metric_title(record.metric),
        )
    )


@cache
def _templates() -> jinja2.Environment:
    """The template engine; everything put into a page is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _asset(name)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters.update(
        count=count, number=number, duration=duration, size=size, percent=percent, words=words, shortened=shortened, pairs=pairs
    )
    environment.filters["quantity"] = lambda value, name="": quantity(name, value)
    return environment


def _asset(name: str) -> str:
    return (resources.files("modelwright.reports") / "templates" / name).read_text(encoding="utf-8")


def _style() -> Any:
    import markupsafe

    return markupsafe.Markup(_asset("report.css"))


def _printable(value: Any) -> Any:
    """Show control and text-direction characters as a replacement sign: they are unseen, or turn text around."""
    import markupsafe

    if not isinstance(value, str) or isinstance(value, markupsafe.Markup):
        return value
    return "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Cf") and c not in "\n\t\u200d\xad" else c for c in value
    )


def _drawn(figure: Figure | None) -> dict[str, Any] | None:
    """A figure with its chart rendered."""
    import markupsafe

    if figure is None:
        return None
    svg = to_svg(figure.chart, _printable(figure.alternative), figure.key)
    return {
        "key": figure.key,
        "title": figure.title,
        "caption": figure.caption,
        "scrolls": figure.scrolls,
        "svg": markupsafe.Markup(_printable(svg)),
    }


def _range(interval: Interval, decimals: int) -> str:
    return f"{fixed(interval.low, decimals)} to {fixed(interval.high, decimals)}"


def _headline(record: RunRecord) -> dict[str, Any]:
    """Verdict, the one number, and what it is compared with."""
    evaluation = record.evaluation
    title = {"task": _TASKS[record.task], "created": _moment(record.created), "budget": _budget(record)}
    facts = [("Rows", count(record.n_rows)), ("Columns", count(record.n_columns)), ("Time used", _time_used(record))]
    if evaluation is None:
        return {
            **title,
            "verdict": "none",
            "label": "No sealed score",
            "sentence": _why_no_evaluation(record),
            "score": None,
            "figure": None,
            "facts": [(f"Validation {metric_title(record.metric)}", number(record.validation_score)), *facts],
        }
    comparison = evaluation.comparison
    decimals = decimals_for([evaluation.score.value])
    facts.insert(0, (f"Validation {metric_title(record.metric)}", number(record.validation_score)))
    if comparison is not None:
        facts.insert(0, (f"Baseline ({comparison.baseline})", fixed(comparison.baseline_score.value, decimals)))
        verdict, label = _verdict(comparison)
        sentence = comparison.sentence
    else:
        verdict, label = "none", "Not compared"
        sentence = "The sealed rows were scored, but no baseline was compared on them."
    return {
        **title,
        "verdict": verdict,
        "label": label,
        "sentence": sentence,
        "score": fixed(evaluation.score.value, decimals),
        "interval": _range(evaluation.score, decimals),
        "figure": _drawn(against_baseline(evaluation)),
        "facts": facts,
    }


def _verdict(comparison: Comparison) -> tuple[str, str]:
    """Better and worse are only said of a difference that chance does not explain."""
    if comparison.better:
        return "better", "Better than the baseline"
    if comparison.difference.high < 0:
        return "worse", "Worse than the baseline"
    return "unclear", "Not shown to be better than the baseline"


def _moment(created: str) -> str:
    """An ISO time to the minute; anything else as it is."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{time:%Y-%m-%d %H:%M} {time.tzname() or ''}".strip()


def _why_no_evaluation(record: RunRecord) -> str:
    if record.interrupted:
        reason = "The run was interrupted before the sealed rows were opened."
    elif record.spec.get("evaluation") == "none" or record.plan.split_rule == "none":
        reason = 'No rows were sealed, as asked for (evaluation = "none"), so nothing measures the model on unseen rows.'
    else:
        reason = "This run holds no sealed evaluation."
    if record.validation_score is None:
        return reason
    return f"{reason} The validation score helped to choose the model and is therefore too kind to it."


def _time_used(record: RunRecord) -> str:
    used = duration(record.wall_s)
    return used if record.budget_s is None else f"{used} of {_budget(record)}"


def _budget(record: RunRecord) -> str:
    """The budget as it was given: 40 s rather than 40.0 s."""
    return "none" if record.budget_s is None else duration(record.budget_s).replace(".0 s", " s")


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
    total = sum(member.weight for member in record.plan.members) or 1.0
    members = [(member, member.weight / total) for member in sorted(record.plan.members, key=lambda m: -m.weight)]
    settings: list[tuple[str, str]] = []
    if record.task in ("binary", "multiclass"):
        temperature = record.plan.temperature
        settings.append(("Calibration temperature", f"{temperature:.4g} ({_temperature_words(temperature)})"))
    if record.plan.threshold is not None:
        settings.append(("Decision threshold", number(record.plan.threshold)))
    return {"members": members, "settings": settings, "facts": pairs(record.model)}


def _temperature_words(temperature: float) -> str:
    if abs(temperature - 1) < 5e-4:
        return "probabilities are used as they are"
    return "probabilities are drawn towards the middle" if temperature > 1 else "probabilities are sharpened"


def _sealed(record: RunRecord) -> dict[str, Any] | None:
    evaluation = record.evaluation
    if evaluation is None:
        return None
    everything = {evaluation.metric: evaluation.score, **{k: v for k, v in evaluation.others.items() if k != evaluation.metric}}
    metrics = [
        (*_metric_words(name), number(i.value), _range(i, decimals_for([i.value])), name == evaluation.metric)
        for name, i in everything.items()
    ]
    table = confusion_table(record)
    return {
        "metrics": metrics,
        "figures": [_drawn(figure) for figure in evaluation_figures(record)],
        "classes": table.classes() if table is not None else [],
        "confusions": table.confusions(MAX_CONFUSIONS) if table is not None and len(table.labels) > 2 else [],
    }


def _metric_words(name: str) -> tuple[str, str]:
    """Title of a metric, and which direction is better."""
    metric = METRICS.get(name)
    return (metric_title(name), "") if metric is None else (metric.title, "higher" if metric.greater_is_better else "lower")


def _importance(record: RunRecord) -> dict[str, Any]:
    shares = [(name, share) for name, share in record.importance if is_number(share)]
    shown = shares[:MAX_IMPORTANCES]
    largest = max((share for _, share in shown), default=0.0)
    rows = [(name, share, max(0.0, share / largest) if largest > 0 else 0.0) for name, share in shown]
    rest = shares[MAX_IMPORTANCES:]
    return {"rows": rows, "n_rest": len(rest), "rest": sum(share for _, share in rest)}


def _timings(record: RunRecord) -> list[tuple[str, str, float]]:
    total = max([record.wall_s, *record.timings_s.values()], default=0.0)
    return [
        (words(step), duration(seconds), seconds / total if total > 0 else 0.0) for step, seconds in record.timings_s.items()
    ]


def _environment(record: RunRecord) -> dict[str, Any]:
    packages = record.environment.get("packages")
    packages = packages if isinstance(packages, dict) else {}
    return {
        "facts": pairs({key: value for key, value in record.environment.items() if key != "packages"}),
        "packages": [(str(name), str(version)) for name, version in sorted(packages.items())],
    }
