"""The top of the report: verdict, the one number, and what it is compared with."""

from __future__ import annotations

from typing import Any

from modelwright.reports.charts import against_baseline
from modelwright.reports.format import count, decimals_for, duration, fixed, metric_title, moment, number, ranged
from modelwright.reports.openings import instead_sentence, opening_words
from modelwright.reports.trust import beaten
from modelwright.training.record import Evaluation, RunRecord

_TASKS = {
    "binary": "Binary classification", "multiclass": "Classification", "regression": "Regression", "clustering": "Clustering",
}  # fmt: skip
#: Better and worse are only said of a difference that chance does not explain.
_VERDICTS = {
    "better": "Better than the baseline",
    "worse": "Worse than the baseline",
    "unclear": "Not shown to be better than the baseline",
}


def headline(record: RunRecord, told: list[str]) -> dict[str, Any]:
    """Verdict and score as text.

    Parameters
    ----------
    record : RunRecord
    told : list of str
        Sentences that stand above it already, and are not said twice.
    """
    evaluation = record.evaluation
    facts = [
        (f"Validation {metric_title(record.metric)}", number(record.validation_score)),
        ("Rows", count(record.n_rows)),
        ("Columns", count(record.n_columns)),
        ("Time used", _time_used(record)),
    ]
    title = {"task": _TASKS[record.task], "created": moment(record.created), "budget": _budget(record), "facts": facts}
    if evaluation is None:
        return {
            **title,
            "verdict": "none",
            "label": "No sealed score",
            "sentence": _why_no_evaluation(record),
            "score": None,
            "figure": None,
        }
    decimals = decimals_for([evaluation.score.value])
    if evaluation.comparison is not None:
        base = evaluation.comparison
        facts.insert(0, (f"Baseline ({base.baseline})", fixed(base.baseline_score.value, decimals)))
    verdict, label, sentence = _verdict(record, evaluation)
    look = evaluation.look
    return {
        **title,
        "verdict": verdict,
        "label": label,
        "sentence": "" if sentence in told else sentence,
        "score": fixed(evaluation.score.value, decimals),
        "whose": f"of run {look.best_run}" if look is not None and not look.reveals else "",
        "interval": ranged(evaluation.score, decimals),
        "corrected": ranged(look.corrected, decimals) if look is not None and look.corrected is not None else "",
        "opening": opening_words(record),
        "figure": against_baseline(evaluation),
    }


def _verdict(record: RunRecord, evaluation: Evaluation) -> tuple[str, str, str]:
    """Kind, label and sentence."""
    look = evaluation.look
    if evaluation.comparison is not None:
        kind = beaten(evaluation.comparison)
        return kind, _VERDICTS[kind], evaluation.comparison.sentence
    if look is not None and not look.reveals:
        return "unclear", "No better than the best model shown before", instead_sentence(record, look)
    return "none", "Not compared", "The sealed rows were scored, but no baseline was compared on them."


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
