"""What the report says of probabilities, the threshold and prediction intervals, as rows of text.

Charts of the same are in `reports.reliability`.
"""

from __future__ import annotations

from typing import Any

from modelwright.evaluation.calibration_report import CalibrationReport
from modelwright.evaluation.conformal_report import ConformalReport
from modelwright.evaluation.threshold_report import ThresholdReport
from modelwright.metrics.estimate import Interval
from modelwright.reports.commands import interval_command
from modelwright.reports.format import (
    count,
    estimated,
    estimated_share,
    fixed,
    is_number,
    number,
    percent,
    shortened,
)
from modelwright.reports.reliability import calibration_figure, cost_figure, coverage_figure, held, worst_name
from modelwright.training.record import RunRecord

_MOST_CLASSES = 12
#: A mean gap below this is as good as none to a reader.
_SMALL_GAP = 0.02
#: Of the 95 % interval of slope and intercept: with a wider one, "as it should be" would be said for want of rows.
_NARROW = 0.5


def calibration(record: RunRecord) -> dict[str, Any] | None:
    """Calibration as sentence, figure, facts and a table of classes."""
    figure = calibration_figure(record)
    report = None if record.evaluation is None else record.evaluation.calibration
    if report is None:
        validation = record.evaluation is not None and record.evaluation.plots_of == "validation"
        sentence = "Of validation rows, predicted by models that did not train on them." if validation else ""
        return None if figure is None else {"sentence": sentence, "figure": figure, "facts": [], "classes": [], "n_classes": 0}
    classes = sorted(report.classes.items(), key=lambda item: -item[1].get("ece", 0.0))
    return {
        "sentence": calibration_sentence(report),
        "figure": figure,
        "facts": _calibration_facts(report),
        "classes": [(name, _points(v.get("ece")), _signed_points(v.get("bias"))) for name, v in classes[:_MOST_CLASSES]],
        "n_classes": len(record.plan.classes),
    }


def calibration_sentence(report: CalibrationReport) -> str:
    """Whether probabilities can be taken as they are."""
    gap = f"on average they are off by {_points(report.ece_corrected)}"
    if report.ece_corrected < 5e-4:
        gap = "the gaps that are left are such as chance makes"
    slope, shift = report.slope, report.intercept
    if slope is not None and slope.high < 1:
        start = "Probabilities are too sure: high ones are too high, low ones too low"
    elif slope is not None and slope.low > 1:
        start = "Probabilities are not sure enough: they stay too near the middle"
    elif shift is not None and (shift.high < 0 or shift.low > 0):
        start = f"Probabilities are too {'high' if shift.high < 0 else 'low'} as a whole"
    elif report.ece_corrected <= _SMALL_GAP and _narrow(slope) and _narrow(shift):
        start = "Probabilities can be taken at their word"
    else:
        start = "No fault of the probabilities is shown, though so few rows show little"
        if _narrow(slope) and _narrow(shift):
            start = "No fault of the probabilities is shown"
    return f"{start}; {gap} ({count(report.n_rows)} sealed rows)."


def _narrow(interval: Interval | None) -> bool:
    """Whether slope or intercept is known well enough to say that nothing is wrong."""
    return interval is not None and interval.high - interval.low < _NARROW


def _calibration_facts(report: CalibrationReport) -> list[tuple[str, str]]:
    facts = [("What is predicted", _event(report)), ("Calibrated by", _method(report))]
    if report.log_loss_before > 0 and report.method != "none":
        change = report.log_loss_after / report.log_loss_before - 1
        facts.append(
            (
                "Log loss before and after",
                f"{number(report.log_loss_before)}, {number(report.log_loss_after)} ({_sign(100 * change, 1)} %)",
            )
        )
    if report.slope is not None:
        facts.append(("Slope (1 is right, below 1 too sure)", _places(report.slope, 2)))
    if report.intercept is not None:
        facts.append(("Intercept (0 is right, below 0 too high)", _places(report.intercept, 2)))
    facts += [
        ("Mean gap, less what chance adds", _points(report.ece_corrected)),
        ("Mean gap as it comes (ECE)", _points(report.ece)),
        ("Brier score", number(report.brier)),
        ("Its reliability, less chance (0 is best)", fixed(report.reliability, 4)),
        ("Its resolution (more is better)", fixed(report.resolution, 4)),
        ("Its uncertainty (of the data)", fixed(report.uncertainty, 4)),
    ]
    return facts


def _event(report: CalibrationReport) -> str:
    return (
        "that the most probable class is right"
        if report.event == "the most probable class"
        else f"“{shortened(report.event, 40)}”"
    )


def _method(report: CalibrationReport) -> str:
    return "nothing: no map was better on validation rows" if report.method == "none" else report.method


def threshold(record: RunRecord) -> dict[str, Any] | None:
    """The threshold as sentences, a two-by-two table, figure, facts and floors."""
    report = None if record.evaluation is None else record.evaluation.threshold
    if report is None:
        return None
    labels = [shortened(str(label), 30) for label in record.plan.classes[:2]]
    other, positive = labels if len(labels) == 2 else ("0", "1")
    return {
        "sentences": threshold_sentences(report, positive),
        "positive": positive,
        "other": other,
        "counts": {key: count(report.counts.get(key, 0)) for key in ("tp", "fp", "fn", "tn")},
        "figure": cost_figure(report),
        "facts": _threshold_facts(record, report),
        "floors": [
            (key, percent(least), estimated_share(_rate(report, key)), report.held.get(key, False))
            for key, least in report.floor.items()
        ],
    }


def threshold_sentences(report: ThresholdReport, positive: str) -> list[str]:
    """What the threshold is, and what it is worth."""
    reason = report.rule
    if reason.startswith("calibrated probability above"):  # the threshold follows from the costs alone
        reason = "at the costs given, acting costs less than not acting from there on"
    said = [f"“{positive}” is predicted from a probability of {number(report.threshold)} on: {reason}."]
    if report.cost is not None and report.saved is not None:
        against = "the cheaper of acting on nobody and on everybody"
        if report.saved.low > 0:
            said.append(f"That saves {estimated(report.saved)} a row against {against}.")
        elif report.saved.high < 0:
            said.append(f"That is dearer than {against}, by {number(-report.saved.value)} a row: do without it.")
        else:
            said.append(f"It is not shown to be cheaper than {against}: {estimated(report.saved)} a row.")
    for key, least in report.floor.items():
        kept = "held" if report.held.get(key) else "NOT held"
        said.append(f"The floor of {percent(least)} {key} is {kept} on the sealed rows.")
    return said


def _rate(report: ThresholdReport, key: str) -> Interval | None:
    return {"recall": report.recall, "precision": report.precision}.get(key)


def _threshold_facts(record: RunRecord, report: ThresholdReport) -> list[tuple[str, str]]:
    facts = [("Threshold", number(report.threshold))]
    if report.low is not None and report.high is not None:
        facts.append(("Where resampled validation rows put it", f"{number(report.low)} to {number(report.high)}"))
    facts += [
        ("Recall: share found", estimated_share(report.recall)),
        ("Precision: share of alarms that are right", estimated_share(report.precision)),
    ]
    choice = record.plan.threshold_choice
    if choice is not None and choice.cost:
        facts.append(("Costs given", ", ".join(f"{key} {value:g}" for key, value in choice.cost.items())))
    for name, cost in (
        ("Cost per row", report.cost),
        ("If nobody is acted on", report.cost_nobody),
        ("If everybody is acted on", report.cost_everybody),
    ):
        if cost is not None:
            facts.append((name, estimated(cost)))
    if is_number(report.regret):
        lost = f"{number(report.regret)} {report.regret_of}, at {number(report.best_threshold)}; some of it is luck"
        facts.append(("Lost against the best in hindsight", lost))
    return facts


def intervals(record: RunRecord) -> dict[str, Any] | None:
    """Prediction intervals, or sets of classes, as sentence, figure, facts and the worst parts."""
    report = None if record.evaluation is None else record.evaluation.conformal
    if report is None:
        return None
    return {
        "title": "Prediction intervals" if report.kind == "interval" else "Sets of classes",
        "sentence": interval_sentence(report),
        "figure": coverage_figure(report),
        "facts": _interval_facts(record, report),
        "worst": [(worst_name(w.kind, w.name), count(w.n_rows), estimated_share(w.coverage)) for w in report.worst],
        "command": interval_command(record),
    }


def interval_sentence(report: ConformalReport) -> str:
    """Whether the promise was held."""
    found = held(report)
    what = "Intervals" if report.kind == "interval" else "Sets"
    holds = f"{what} made to hold {100 * report.nominal:g} % of new rows hold {percent(found.value)} of the sealed ones"
    low, high = report.promised
    if not is_number(found.value):
        return f"Whether {what.lower()} hold what they promise cannot be told from these rows."
    if found.high < min(report.nominal, low):
        verdict = "fewer than promised"
    elif found.low > max(report.nominal, high):
        verdict = "more than promised, so they could be narrower"
    else:
        verdict = "as promised"
    return f"{holds} (95 % interval {percent(found.low)} to {percent(found.high)}): {verdict}."


def _interval_facts(record: RunRecord, report: ConformalReport) -> list[tuple[str, str]]:
    size = (
        ("Mean width", f"{number(report.size)} (units of {shortened(record.target or 'the target', 30)})")
        if report.kind == "interval"
        else ("Classes in a set, on average", f"{report.size:.2f} of {count(len(record.plan.classes))}")
    )
    worth = ""
    if report.n_effective <= 0.99 * report.n_calibration:
        worth = f", worth {count(report.n_effective)} independent ones"
    low, high = report.promised
    facts = [
        size,
        ("Calibrated on", f"{count(report.n_calibration)} validation rows{worth}"),
        ("So many rows promise", f"{percent(low)} to {percent(high)}"),
        ("Form", report.method),
    ]
    if report.rolling:
        facts.append(("Coverage of later blocks by earlier ones", ", ".join(percent(share) for share in report.rolling)))
    return facts


def _points(gap: float | None) -> str:
    """A gap of probabilities in percentage points."""
    return "–" if gap is None or not is_number(gap) else f"{fixed(100 * gap, 1)} points"


def _signed_points(gap: float | None) -> str:
    return "–" if gap is None or not is_number(gap) else f"{_sign(100 * gap, 1)} points"


def _sign(value: float, decimals: int) -> str:
    text = fixed(value, decimals)
    return text if value <= 0 or float(text) == 0 else f"+{text}"


def _places(interval: Interval, decimals: int) -> str:
    return f"{fixed(interval.value, decimals)} ({fixed(interval.low, decimals)} to {fixed(interval.high, decimals)})"
