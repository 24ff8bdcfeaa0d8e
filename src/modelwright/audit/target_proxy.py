"""A single feature that gives the target away.

The bars are those that stayed quiet on easy tables: what matters is the lead over every other column, because
some honest tables have a column that is nearly as good.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.audit.association import draw_folds, indicators, log_odds, noise, order_effect, quantile_codes, value_effect
from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Severity

_CRITICAL, _CRITICAL_LEAD = 0.985, 1.0
_WARNING = 0.96
_OUTSTANDING, _OUTSTANDING_LEAD = 0.6, 1.2
#: Copies of the target may come in twos and threes: the lead is that of the best few over the rest.
_MAX_TOGETHER = 3
#: The effect must exceed this many standard deviations of chance; cross-fitted means vary more than the formula says.
_MIN_Z = 6.0
_MIN_ROWS = 30


def check(context: Context) -> list[Finding]:
    """Features whose order or values predict the target almost perfectly."""
    if context.y is None or context.n_rows < _MIN_ROWS or not context.present:
        return []
    effects, chance = single_feature_effects(context)
    ranked = sorted(effects.items(), key=lambda item: -item[1])
    findings = []
    together = _together(ranked)
    for place, (name, effect) in enumerate(ranked[: max(together, 10)]):
        rest = ranked[max(together, place + 1) :]
        lead = log_odds(effect) - log_odds(rest[0][1]) if rest else 0.0
        severity: Severity | None = None
        if effect <= chance:
            break
        if place < max(together, 1) and effect >= _CRITICAL and lead >= _CRITICAL_LEAD:
            severity = "critical"
        elif effect >= _WARNING or (place == 0 and effect >= _OUTSTANDING and lead >= _OUTSTANDING_LEAD):
            severity = "warning"
        if severity:
            findings.append(_finding(context, name, effect, lead, severity))
    return findings


def single_feature_effects(context: Context) -> tuple[dict[str, float], float]:
    """Effect of each feature on the target, and the effect that chance does not exceed."""
    features, y = context.features_and_target()
    classification = context.task != "regression"
    targets = indicators(y, classification=classification)
    chance = _MIN_Z * noise(targets, classification=classification)
    folds = draw_folds(len(y), _groups(context))
    effects: dict[str, float] = {}
    for column in context.present:
        if column.type == "text":
            continue
        cells = features[column.name]
        views = []
        if cells.dtype == pl.String:
            codes = cells.fill_null("\0").rank("dense").to_numpy().astype(np.int64) - 1
        else:
            x = cells.to_physical().cast(pl.Float64).to_numpy()
            views.append(order_effect(x, targets, classification=classification))
            codes = quantile_codes(x)
        views.append(value_effect(codes, targets, folds, classification=classification))
        effects[column.name] = max(views)
    return effects, chance


def _together(ranked: list[tuple[str, float]]) -> int:
    """How many columns at the top are all critical and lead the rest together; 0 if none."""
    for count in range(1, min(_MAX_TOGETHER, len(ranked) - 1) + 1):
        last, following = ranked[count - 1][1], ranked[count][1]
        if last < _CRITICAL:
            return 0
        if log_odds(last) - log_odds(following) >= _CRITICAL_LEAD:
            return count
    return 0


def _groups(context: Context) -> np.ndarray | None:
    """Group of each compared row, if a group column was declared."""
    for column in context.schema.with_role("group"):
        if column.name in context.frame.columns:
            cells = context.sampled[column.name][context.target_sample]
            return cells.cast(pl.String).fill_null("").to_numpy()
    return None


def _finding(context: Context, name: str, effect: float, lead: float, severity: Severity) -> Finding:
    if context.task == "regression":
        measure = {"spearman": round(effect, 4)}
        words = f"Spearman correlation {effect:.3f}"
    else:
        measure = {"auc": round(0.5 + effect / 2, 4)}
        words = f"AUC {0.5 + effect / 2:.3f}"
    strength = "almost perfectly" if effect >= _WARNING else "far better than any other column"
    return Finding(
        check="target_proxy",
        severity=severity,
        message=f"{name!r} alone predicts the target {strength} ({words}).",
        columns=(name,),
        evidence={**measure, "effect": round(effect, 4), "log_odds_lead": round(lead, 2)},
        mend="Is its value known at the time of prediction, before the outcome? If not, list it under exclude.",
    )
