"""How far the score may be trusted: who has seen the rows, what it was compared with, what the seed does, what bars it.

A record of an older run lacks some of this; what it lacks is left out.
"""

from __future__ import annotations

import json
import math
from typing import Any

from modelwright.audit.finding import Finding
from modelwright.metrics.estimate import Interval
from modelwright.reports.commands import audit_command, mended_train_command
from modelwright.reports.format import count, estimated, is_number, metric_title, moment, number, p_value, percent, ranged
from modelwright.splits.looks import BUDGET, Look, sentences
from modelwright.training.record import Comparison, Evaluation, RunRecord

#: Standard errors between a difference and zero at which a two-sided 5 % test sees it in 80 % of cases (metrics.paired).
_DETECTABLE = 1.96 + 0.84
_MOST_WAIVERS = 4


def look_of(record: RunRecord) -> Look | None:
    """The look at the sealed rows; None for runs that kept no ledger."""
    return None if record.evaluation is None else record.evaluation.look


def is_shown_instead(record: RunRecord) -> bool:
    """Whether the score is that of an earlier, better model, and nothing of this one may be shown."""
    look = look_of(record)
    return look is not None and not look.reveals


def baselines(evaluation: Evaluation) -> list[Comparison]:
    """Every comparison there is, the strongest baseline first."""
    return evaluation.comparisons or ([evaluation.comparison] if evaluation.comparison is not None else [])


def beaten(comparison: Comparison) -> str:
    """Verdict of a comparison: "better", "worse" or "unclear"; the first two are only said of what chance does not explain."""
    if comparison.better:
        return "better"
    return "worse" if comparison.difference.high < 0 else "unclear"


def rows_needed(comparison: Comparison, n_rows: int) -> int | None:
    """About how many sealed rows would show the difference seen in 80 % of cases.

    None where the model is shown to be better, does not look better, or the rows say nothing of the spread.

    Examples
    --------
    >>> seen = Interval(0.01, -0.01, 0.03)
    >>> rows_needed(Comparison("linear", seen, seen, 0.3, False, ""), 1000)
    8200
    """
    d = comparison.difference
    if comparison.better or not (is_number(d.low) and is_number(d.high)) or d.value <= 0 or d.low > 0:
        return None
    rows = n_rows * (_DETECTABLE * (d.high - d.low) / (2 * 1.96 * d.value)) ** 2
    if not n_rows < rows < 1e12:
        return None
    # Two digits; more would promise what the estimate cannot hold.
    unit = 10 ** max(math.floor(math.log10(rows)) - 1, 0)
    return int(math.ceil(rows / unit) * unit)


def opening_words(record: RunRecord) -> str:
    """How often the rows behind the score have been opened, in a few words.

    "first opening of these rows", "opening 3 of these rows".
    """
    evaluation = record.evaluation
    n = 1 if evaluation is None else evaluation.opened
    rows = "the reserve" if (look := look_of(record)) is not None and look.part == "reserve" else "these rows"
    return f"first opening of {rows}" if n == 1 else f"opening {n} of {rows}"


def expectation(record: RunRecord) -> str:
    """What to expect on new rows, in one sentence."""
    evaluation, look = record.evaluation, look_of(record)
    if evaluation is None:
        return ""
    title = metric_title(record.metric)
    if look is not None and not look.reveals:
        return (
            f"The score shown, {title} {number(evaluation.score.value)}, belongs to run {look.best_run} and not to this model."
        )
    shown = evaluation.score if look is None or look.corrected is None else look.corrected
    if not (is_number(shown.low) and is_number(shown.high)):
        return f"The {count(evaluation.n_rows)} sealed rows are too few to say within what range {title} lies."
    return f"On new rows like these, expect {title} between {ranged(shown).replace(' to ', ' and ')}."


def trust(record: RunRecord) -> dict[str, Any] | None:
    """Everything the section says, or None without a sealed score."""
    evaluation = record.evaluation
    if evaluation is None:
        return None
    return {
        "lead": expectation(record),
        "caveats": _caveats(record),
        "why": _why(record, evaluation),
        "opened": min(evaluation.opened, BUDGET),
        "count": evaluation.opened,
        "budget": BUDGET,
        "openings": _openings(record, evaluation),
        "facts": _ledger_facts(record),
        "baselines": [_baseline(c, evaluation.n_rows) for c in baselines(evaluation)],
        "beaten": _beaten_sentence(evaluation),
        "repeats": _repeats(record),
    }


def _caveats(record: RunRecord) -> list[str]:
    critical = [f for f in record.findings if f.bars_promotion]
    if not critical:
        return []
    noun = "finding stands" if len(critical) == 1 else "findings stand"
    return [f"{len(critical)} critical {noun} unresolved. Until that is settled, the score may be far too good: see the top."]


def _why(record: RunRecord, evaluation: Evaluation) -> str:
    """On what the range rests."""
    look = look_of(record)
    level = "95 %" if look is None or look.corrected is None else f"{100 * look.level:.4g} %"
    return (
        f"The range is a {level} interval from {count(evaluation.n_rows)} rows that were sealed before any column was looked "
        "at. It holds for rows that come the same way as these; it says nothing of other places or later times than the "
        "table has."
    )


def _openings(record: RunRecord, evaluation: Evaluation) -> list[str]:
    look = look_of(record)
    if look is not None:
        return sentences(look)
    if evaluation.opened == 1:
        return ["The sealed rows were opened once."]
    return [
        f"The sealed rows were opened {evaluation.opened} times. Every further opening makes a sealed score a little too kind: "
        "choices made after the first one have seen it."
    ]


def _ledger_facts(record: RunRecord) -> list[tuple[str, str]]:
    look = look_of(record)
    if look is None:
        return []
    facts = [("Opening", f"{look.count} of {BUDGET}"), ("What for", look.purpose), ("When", moment(look.at)), ("By", look.by)]
    if look.corrected is not None:
        facts.append((f"Interval corrected for {look.best_count} openings", ranged(look.corrected)))
    if not look.reveals:
        facts.append(("Score shown is of", f"run {look.best_run}, opening {look.best_count}"))
    if look.elsewhere:
        facts.append(("Openings under other splits", count(look.elsewhere)))
    facts.append(("Reserve", _reserve(record, look)))
    facts.append(("Evaluation rows", look.vault[:16]))
    if look.hash:
        facts.append(("Line in the ledger", look.hash[:16]))
    return facts


def _reserve(record: RunRecord, look: Look) -> str:
    if look.part == "reserve":
        return "these rows are the reserve"
    share = record.spec.get("reserve")
    if not is_number(share) or not share:
        return "none was set aside"
    return f"{percent(share)} of the rows, " + ("may be opened now" if look.count >= BUDGET else "still sealed")


def _baseline(comparison: Comparison, n_rows: int) -> dict[str, Any]:
    verdict = beaten(comparison)
    needed = rows_needed(comparison, n_rows)
    return {
        "name": comparison.baseline,
        "score": estimated(comparison.baseline_score),
        "difference": number(comparison.difference.value),
        "interval": ranged(comparison.difference),
        "p": p_value(comparison.p_value),
        "verdict": verdict,
        "words": {"better": "beaten", "worse": "better than the model", "unclear": "not shown to be beaten"}[verdict],
        "needed": f"about {count(needed)}" if needed else "",
    }


def _beaten_sentence(evaluation: Evaluation) -> str:
    found = baselines(evaluation)
    if not found:
        return ""
    won = sum(c.better for c in found)
    if won == len(found):
        which = "the baseline" if won == 1 else f"all {won} baselines"
        return f"The model beats {which}, by more than chance explains."
    if won == 0:
        return "The model is not shown to beat any baseline; as far as these rows tell, a baseline serves as well."
    others = " and ".join(c.baseline for c in found if not c.better)
    return f"The model beats {won} of {len(found)} baselines, but is not shown to beat {others}."


def _repeats(record: RunRecord) -> dict[str, Any] | None:
    spread = None if record.evaluation is None else record.evaluation.repeats
    if spread is None or record.evaluation is None:
        return None
    score = record.evaluation.score
    width = score.high - score.low
    words = ""
    if is_number(spread.sd) and is_number(width) and width > 0:
        share = (spread.high - spread.low) / width
        meaning = (
            "which rows were sealed matters more than the seed" if share < 0.5 else "the seed matters about as much as the rows"
        )
        words = f" That range is {percent(share)} of the width of the 95 % interval: {meaning}."
    return {"sentence": spread.sentence + words, "values": [number(v) for v in spread.values]}


def barred(record: RunRecord) -> dict[str, Any] | None:
    """What stands in the way of registering and promoting the model, and the commands that mend it."""
    if not record.barriers:
        return None
    critical = [f for f in record.findings if f.bars_promotion]
    # Critical findings are told in full beside this.
    reasons = [b for b in record.barriers if not any(f.name in b and f.message in b for f in critical)]
    steps: list[tuple[str, str]] = []
    if any(f.fix for f in critical) and (command := audit_command(record)):
        again = mended_train_command(record)
        steps.append(("Write the mends into modelwright.toml, and train again", "\n".join(c for c in (command, again) if c)))
    if critical:
        steps.append(("Or accept a finding by name, with the reason, in modelwright.toml", _waivers(critical)))
    return {"reasons": reasons, "steps": steps}


def _waivers(findings: list[Finding]) -> str:
    blocks = [f'[[waive]]\nfinding = {json.dumps(f.name, ensure_ascii=False)}\nreason = "…"' for f in findings[:_MOST_WAIVERS]]
    return "\n\n".join(blocks)


def not_beaten(record: RunRecord) -> str:
    """The sentence that stands before the score where the model does not beat the strongest baseline; else empty."""
    evaluation, look = record.evaluation, look_of(record)
    if evaluation is None:
        return ""
    if evaluation.comparison is not None:
        return "" if evaluation.comparison.better else evaluation.comparison.sentence
    return "Not shown to be better than the baseline." if look is not None and look.beats_baseline is False else ""


def shown_score(record: RunRecord) -> Interval | None:
    """The interval at the level that the openings ask for."""
    look = look_of(record)
    if record.evaluation is None:
        return None
    return record.evaluation.score if look is None or look.corrected is None else look.corrected
