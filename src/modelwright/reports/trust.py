"""How far the score may be trusted: who has seen the rows, what it was compared with, what the seed does, what bars it.

A record of an older run lacks some of this; what it lacks is left out.
"""

from __future__ import annotations

import json
from typing import Any

from modelwright.audit.finding import Finding
from modelwright.metrics.estimate import Interval
from modelwright.reports.commands import audit_command, mended_train_command
from modelwright.reports.format import count, estimated, is_number, metric_title, moment, number, p_value, percent, ranged
from modelwright.reports.openings import level_words, look_of, opening_sentences
from modelwright.splits.looks import BUDGET, Look
from modelwright.training.record import Comparison, Evaluation, RunRecord

_MOST_WAIVERS = 4


def baselines(evaluation: Evaluation) -> list[Comparison]:
    """Every comparison there is, the strongest baseline first."""
    return evaluation.comparisons or ([evaluation.comparison] if evaluation.comparison is not None else [])


def beaten(comparison: Comparison) -> str:
    """Verdict of a comparison: "better", "worse" or "unclear"; the first two are only said of what chance does not explain."""
    if comparison.better:
        return "better"
    return "worse" if comparison.difference.high < 0 else "unclear"


def expectation(record: RunRecord) -> str:
    """What to expect on new rows, in one sentence."""
    evaluation, look = record.evaluation, look_of(record)
    if evaluation is None:
        return ""
    title = metric_title(record.metric)
    if look is not None and not look.reveals:
        return f"The score shown is not that of this model, but of run {look.best_run}, which is at least as good."
    shown = shown_score(evaluation)
    if not (is_number(shown.low) and is_number(shown.high)):
        return f"The {count(evaluation.n_rows)} sealed rows are too few to say within what range {title} lies."
    return f"On new rows like these, expect {title} between {ranged(shown).replace(' to ', ' and ')}."


def shown_score(evaluation: Evaluation) -> Interval:
    """The score with the interval of the level that the openings ask for."""
    look = evaluation.look
    return evaluation.score if look is None or look.corrected is None else look.corrected


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
        "openings": opening_sentences(record),
        "facts": _ledger_facts(record),
        "needed": any(c.rows_needed for c in baselines(evaluation)),
        "baselines": [_baseline(c) for c in baselines(evaluation)],
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
    if look is not None and not look.reveals:
        return "A model that is no better tells nothing new, and its own numbers would only tell the next one what to fit."
    level = 0.95 if look is None or look.corrected is None else look.level
    return (
        f"The range is an interval at the {level_words(level)}, from {count(evaluation.n_rows)} rows that were sealed before "
        f"any column was looked at. {_scope(record)}"
    )


def _scope(record: RunRecord) -> str:
    """For which rows the range holds."""
    if record.plan.split_rule in ("time", "group_time"):
        return "They are the latest of the table, so it holds for times to come as long as things go on as they did in them."
    if record.plan.split_rule == "group":
        return "They are of groups that training has not seen, so it holds for new ones of the same kind."
    return "It holds for rows that come the same way as these, and says nothing of other places or of times after the table's."


def _ledger_facts(record: RunRecord) -> list[tuple[str, str]]:
    look = look_of(record)
    if look is None:
        return []
    facts = [("Opened for", look.purpose), ("When", moment(look.at)), ("By", look.by)]
    if look.corrected is not None:
        facts.append(("Corrected interval", ranged(look.corrected)))
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


def _baseline(comparison: Comparison) -> dict[str, Any]:
    verdict = beaten(comparison)
    return {
        "name": comparison.baseline,
        "score": estimated(comparison.baseline_score),
        "difference": number(comparison.difference.value),
        "interval": ranged(comparison.difference),
        "p": p_value(comparison.p_value),
        "verdict": verdict,
        "words": {"better": "beaten", "worse": "better than the model", "unclear": "not shown to be beaten"}[verdict],
        "needed": f"about {count(comparison.rows_needed)}" if comparison.rows_needed else "",
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
    text = f"The model beats {won} of {len(found)} baselines"
    undecided = " and ".join(c.baseline for c in found if beaten(c) == "unclear")
    stronger = " and ".join(c.baseline for c in found if beaten(c) == "worse")
    text += f", but is not shown to beat {undecided}" if undecided else ""
    return f"{text}, and {stronger} beats it." if stronger else f"{text}."


def _repeats(record: RunRecord) -> dict[str, Any] | None:
    evaluation = record.evaluation
    if evaluation is None or evaluation.repeats is None:
        return None
    return {"sentence": seed_sentence(evaluation), "values": [number(v) for v in evaluation.repeats.values]}


def seed_sentence(evaluation: Evaluation) -> str:
    """How much the seed moves the score, held against the interval; empty where it was not tried."""
    spread, width = evaluation.repeats, evaluation.score.high - evaluation.score.low
    if spread is None:
        return ""
    if len(spread.values) < 2 or not (is_number(width) and width > 0):
        return spread.sentence
    share = (spread.high - spread.low) / width
    if share < 0.01:
        within = "to within a hundredth of the interval's width"
        return f"{len(spread.values)} seeds score the same {within}: the seed does not matter here."
    meaning = (
        "which rows were sealed matters more than the seed" if share < 0.5 else "the seed matters about as much as the rows"
    )
    return f"{spread.sentence} That range is {percent(share)} of the width of the 95 % interval: {meaning}."


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
