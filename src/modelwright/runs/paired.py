"""One training against another on the same sealed rows, without opening them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from modelwright.errors import DataError
from modelwright.evaluation.influences import compare_kept, load_influences
from modelwright.metrics.estimate import Interval
from modelwright.metrics.intervals import bounds
from modelwright.metrics.paired import describe
from modelwright.metrics.registry import METRICS
from modelwright.runs.entry import RunEntry
from modelwright.splits.looks import Look, corrected_level, rounded
from modelwright.training.record import Evaluation

if TYPE_CHECKING:
    from modelwright.runs.compare import PairTest


class _Record(msgspec.Struct, frozen=True):
    evaluation: Evaluation | None = None


def pair_test(folder: Path, other: Path, entry: RunEntry, against: RunEntry) -> PairTest:
    """Whether the later of two runs is better than the earlier one, by the metric that both were judged by.

    Parameters
    ----------
    folder, other : Path
    entry, against : RunEntry
    """
    from modelwright.runs.compare import PairTest

    if entry.created < against.created:
        # The later run is told against the earlier one: that is the question a reader has.
        folder, other, entry, against = other, folder, against, entry
    names = (entry.id, against.id)
    ours, theirs = _look(folder), _look(other)
    if ours is None or theirs is None:
        return PairTest(*names, "No sealed score exists for both.")
    if ours.vault != theirs.vault:
        why = "They were judged on different sealed rows"
        return PairTest(*names, f"{why}{_reason(entry, against)}; their intervals are all that can be compared.")
    if not ours.reveals or not theirs.reveals:
        return PairTest(*names, _ladder(entry, against, ours, theirs), entry.metric, better=_told(entry, against, ours))
    if ours.metric != theirs.metric:
        return PairTest(*names, f"They were judged by different metrics: {ours.metric} and {theirs.metric}.")
    kept = [load_influences(place / "vault", look.part) for place, look in ((folder, ours), (other, theirs))]
    if kept[0] is None or kept[1] is None:
        return PairTest(*names, "What a paired test reads was not kept: of older runs, and of some metrics, it never is.")
    look = max(ours.count, theirs.count)
    level = 0.95 if look == 1 else corrected_level(look)
    result, at_level = compare_kept(kept[0], kept[1]), compare_kept(kept[0], kept[1], level)
    if result is None or at_level is None:
        raise DataError(
            "The influences are not those of the sealed rows.", where=str(folder), mend="Copy the run folder again."
        )
    found = result.difference
    difference = Interval(found.value, found.low, found.high)
    if look > 1:
        # What is shown of a later look is rounded; a difference in more digits would undo that.
        bounded = bool(np.isfinite(bounds(METRICS[ours.metric])).all())
        difference = rounded(difference, result.n_rows, bounded=bounded)
    shown = type(result)(**{**asdict(result), "better": at_level.better, "difference": found.__class__(*_three(difference))})
    sentence = describe(shown, metric=ours.metric.replace("_", " "), look=look)
    return PairTest(
        *names,
        sentence[0].upper() + sentence[1:] + ".",
        ours.metric,
        difference,
        result.p_value,
        at_level.better,
        result.n_rows,
    )


def _three(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _look(folder: Path) -> Look | None:
    try:
        record = msgspec.json.decode((folder / "run.json").read_bytes(), type=_Record)
    except (OSError, msgspec.MsgspecError):
        return None
    return None if record.evaluation is None else record.evaluation.look


def _reason(entry: RunEntry, against: RunEntry) -> str:
    if entry.data != against.data:
        return " of different tables"
    if entry.target != against.target:
        return ", with different targets"
    return f" (seeds {against.seed} and {entry.seed})" if entry.seed != against.seed else ""


def _told(entry: RunEntry, against: RunEntry, look: Look) -> bool | None:
    """What the ledger said of the later run, where it was said against this one."""
    return False if not look.reveals and look.best_run == against.id else None


def _ladder(entry: RunEntry, against: RunEntry, ours: Look, theirs: Look) -> str:
    if not ours.reveals and ours.best_run == against.id:
        return (
            f"Not shown to be better in {entry.metric.replace('_', ' ')} on the same sealed rows (look {ours.count}); "
            "its own score stays in the ledger."
        )
    hidden = [
        f"{e.id} (look {look.count}, best {look.best_run})"
        for e, look in ((entry, ours), (against, theirs))
        if not look.reveals
    ]
    return f"The own score of {' and of '.join(hidden)} stays in the ledger, so nothing is tested."
