"""A single column that gives the target away."""

from __future__ import annotations

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Fix
from modelwright.audit.standing import Standing

#: Effect from which a column without a verdict is worth a remark, and how many remarks there are.
_REMARK, _MOST_REMARKS = 0.8, 5


def check(context: Context) -> list[Finding]:
    """Columns whose order or values tell more about the target than an honest column would."""
    columns = [item for item in context.standings if not item.gaps]
    found = [_finding(context, item) for item in columns if item.severity]
    remarks = [item for item in columns if not item.severity and item.effect >= _REMARK and item.tie.judged]
    return found + [_finding(context, item) for item in remarks[:_MOST_REMARKS]]


def _finding(context: Context, item: Standing) -> Finding:
    [name] = item.names
    if context.task == "regression":
        measure = {"spearman": round(item.effect, 4)}
        words = f"Spearman correlation {item.effect:.3f}"
    else:
        measure = {"auc": round(0.5 + item.effect / 2, 4)}
        words = f"AUC {0.5 + item.effect / 2:.3f}"
    evidence = {**measure, "effect": round(item.effect, 4), "log_odds_lead": round(item.lead, 2), **ties_in_numbers(item)}
    if item.effect >= 0.96:
        strength = "almost perfectly"
    else:
        strength = "better than honest columns do" if item.severity else "well, as honest columns may"
    return Finding(
        check="target_proxy",
        severity=item.severity or "info",
        message=f"{name!r} alone predicts the target {strength} ({words}){ties_in_words(item)}.",
        columns=(name,),
        evidence=evidence,
        mend="Is its value known at the time of prediction, before the outcome? If not, list it under exclude.",
        fix=Fix(exclude=(name,)),
    )


def ties_in_words(item: Standing) -> str:
    """What speaks for a leak beside the strength, to end a sentence with; empty if nothing does."""
    if item.tie.missing:
        return ", and once the target is known it has nothing to do with any other column"
    if item.rest is not None:
        return f", where all other columns together reach {item.rest:.2f} on the scale on which it has {item.effect:.2f}"
    return ""


def ties_in_numbers(item: Standing) -> dict[str, float | str]:
    """The same as evidence."""
    numbers: dict[str, float | str] = {}
    if item.tie.judged:
        numbers["tie"] = round(item.tie.share, 4)
    if item.tie.other:
        numbers["tied_to"] = item.tie.other
    if item.rest is not None:
        numbers["effect_of_the_rest"] = round(item.rest, 4)
    return numbers
