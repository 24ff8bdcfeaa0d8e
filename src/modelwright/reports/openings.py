"""What a reader must know of the openings of the sealed rows, in plain sentences.

The rules behind them are in `splits.looks`.
"""

from __future__ import annotations

import math

from modelwright.reports.format import count, metric_title, number, ranged
from modelwright.splits.looks import BUDGET, Look
from modelwright.training.record import RunRecord


def look_of(record: RunRecord) -> Look | None:
    """The look at the sealed rows; None for runs that kept no ledger."""
    return None if record.evaluation is None else record.evaluation.look


def is_shown_instead(record: RunRecord) -> bool:
    """Whether the score is that of an earlier, better model, and nothing of this one may be shown."""
    look = look_of(record)
    return look is not None and not look.reveals


def opening_words(record: RunRecord) -> str:
    """How often the rows behind the score have been opened: "first opening of these rows", "opening 3 of these rows"."""
    look = look_of(record)
    n = 1 if record.evaluation is None else record.evaluation.opened
    rows = "the reserve" if look is not None and look.part == "reserve" else "these rows"
    return f"first opening of {rows}" if n == 1 else f"opening {n} of {rows}"


def opening_sentences(record: RunRecord) -> list[str]:
    """Which opening this is, what it shows, and what else a reader must know; empty without a sealed score."""
    if record.evaluation is None:
        return []
    look, opened = look_of(record), record.evaluation.opened
    if look is None:
        if opened == 1:
            return ["The sealed rows were opened once."]
        return [
            f"The sealed rows were opened {opened} times. Every further opening makes a sealed score a little too kind: "
            "choices made after the first one have seen it."
        ]
    rows = "the evaluation rows" if look.part == "evaluation" else "the reserve rows"
    said = [f"This is {'the first opening' if look.count == 1 else f'opening {look.count}'} of {rows}."]
    if look.repeated:
        said.append(f"The predictions are those of run {look.best_run}, opening {look.best_count}, so nothing new is shown.")
    elif look.better_than_shown is False:
        said.append(instead_sentence(record, look))
    elif look.better_than_shown:
        said.append("The model is better than the best shown before.")
    if look.corrected is not None:
        said.append(f"Corrected for repeated openings, the interval is {ranged(look.corrected)} ({level_words(look.level)}).")
    if not look.reveals and look.beats_baseline is not None:
        beats = "is" if look.beats_baseline else "is not shown to be"
        said.append(f"This model {beats} better than the baseline, by a paired test at the corrected level.")
    return said + _warnings(look)


def instead_sentence(record: RunRecord, look: Look) -> str:
    """Whose score is shown instead of the model's own."""
    best = f"{metric_title(record.metric)} {number(look.score.value)} (run {look.best_run}, opening {look.best_count})"
    return (
        f"The model is no better than the best shown so far, {best}; that one is shown, and its own score stays in the ledger."
    )


def _warnings(look: Look) -> list[str]:
    said = []
    if look.worn:
        fresh = "a reserve, or new rows, would be fresh" if look.part == "evaluation" else "only new rows would be fresh"
        said.append(
            f"The budget of {BUDGET} openings is used up; a new score is shown only if it is better at the corrected level, "
            f"and {fresh}."
        )
    if look.elsewhere:
        times = "once more" if look.elsewhere == 1 else f"{count(look.elsewhere)} more times"
        said.append(f"This table has been opened {times} under other splits.")
    if not look.sound:
        said.append("The ledger of these rows was altered: its last line is missing, so the count is a lower bound.")
    return said


def level_words(level: float) -> str:
    """A level with as many nines as it takes to tell it from certainty.

    Examples
    --------
    >>> level_words(0.95), level_words(1 - 0.05 / 6), level_words(1 - 0.05 / 156)
    ('95 % level', '99.17 % level', '99.968 % level')
    """
    digits = max(0, 1 - math.floor(math.log10(100 * (1 - level)))) if level < 1 else 0
    return f"{round(100 * level, digits):g} % level" if digits < 3 else f"{100 * level:.{digits}f} % level"
