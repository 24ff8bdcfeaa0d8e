"""The members that the search chose, fitted on all training rows of a large table.

The flow has fitted them on the sample by then; a member that cannot be fitted on batches, or for which there is no
time, is delivered so, and the notes say it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from modelwright.artifacts.model import Member
from modelwright.learners.base import Learner
from modelwright.learners.lightgbm import LightGBM
from modelwright.learners.streamed import Batch, Limits, StreamedFit, fit_streamed, streams
from modelwright.learners.streamed_boosting import Binned, fit_boosting, most_hurry
from modelwright.learners.streamed_network import passes_over
from modelwright.search.budget import Budget, until
from modelwright.spec import Spec
from modelwright.splits.hashed_sides import SAMPLED
from modelwright.training.final import FinalFit
from modelwright.training.large.source import Large
from modelwright.training.large.stream import TrainingRows
from modelwright.training.prepare import Training
from modelwright.training.record import MemberRecord

#: Share of the time after sealing that is kept for the fit on all rows.
FIT_SHARE = 0.6
#: Encoding and binning or coding a row, in passes of reading it.
_PASS_COST = 2.0


@dataclass(frozen=True)
class _Plan:
    """Share of the training rows that there is time for."""

    share: float
    seconds: float


def search_budget(budget: Budget) -> Budget:
    """The budget of the search on the sample: what is left when the fit on all rows has its share."""
    if budget.total_s is None or budget.fit_deadline is None:
        return budget
    kept = FIT_SHARE * max(0.0, until(budget.fit_deadline))
    return Budget(max(1.0, budget.total_s - kept), budget.started)


def fit_large(
    large: Large,
    training: Training,
    final: FinalFit,
    spec: Spec,
    budget: Budget,
    *,
    n_threads: int,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Replace the members of ``final`` by the same fitted on all training rows, in place, the heaviest first.

    Parameters
    ----------
    large : Large
    training : Training
        The sample, which the members of ``final`` were fitted on.
    final : FinalFit
    spec : Spec
    budget : Budget
        Of the whole run.
    n_threads : int
        Threads of a fit; no other fit runs meanwhile.
    stopped : callable
        Whether the user wants an end; what is fitted by then is delivered.
    """
    binned: dict[int, Binned] = {}
    left = [i for i, member in enumerate(final.members) if streams(member.learner.algorithm.name)]
    for i, member in enumerate(final.members):
        if i not in left:
            final.notes.append(
                f"{member.learner.algorithm.name} cannot be fitted in batches and is delivered as fitted on the sample."
            )
    costs = {i: _cost(final, large, i) for i in left}
    for i in sorted(left, key=lambda i: -final.members[i].weight):
        member, name = final.members[i], final.members[i].learner.algorithm.name
        # What is left is shared by cost; the plan of a member is made when its turn comes.
        mine = until(budget.fit_deadline) * costs[i] / max(1e-9, sum(costs[j] for j in left))
        left.remove(i)
        hurry = _hurry(member.learner, final.records[i], large.n_training)
        plan = _plan(large, costs[i], mine, hurry)
        if plan.share <= 0 or stopped():
            final.notes.append(f"{name} is delivered as fitted on the sample: there was no time for all rows.")
            continue
        started = time.perf_counter()
        deadline = None if budget.fit_deadline is None else time.monotonic() + mine
        encoder = final.encoders[member.encoder]
        rows = TrainingRows(large, encoder, spec, plan.share)
        sample = Batch(encoder.transform(training.frame), training.y, training.weight)
        limits = Limits(deadline, n_threads, stopped)
        fit = _fit(member, rows, sample, limits, binned)
        final.notes.extend(fit.notes)
        if fit.learner is None:
            continue
        if fit.n_rows < large.n_training:
            final.notes.append(
                f"{name} is fitted on {fit.n_rows:,} of {large.n_training:,} training rows, as many as there was time for;"
                " a larger --budget takes all."
            )
        final.members[i] = Member(fit.learner, member.weight, member.encoder)
        final.records[i] = msgspec.structs.replace(
            final.records[i],
            params=final.records[i].params if fit.params is None else fit.params,
            n_iterations=fit.n_iterations,
            n_rows=fit.n_rows,
            refit=True,
            fit_s=round(time.perf_counter() - started, 3),
        )
    if final.repeats:
        final.repeats.clear()
        final.notes.append("Repeats with other seeds were fitted on the sample only and are left out.")


def _fit(member: Member, rows: TrainingRows, sample: Batch, limits: Limits, binned: dict[int, Binned]) -> StreamedFit:
    learner = member.learner
    if not isinstance(learner, LightGBM) or learner._coding.constant is not None:
        return fit_streamed(learner, rows, sample, limits)
    # Members that read the same encoding read the same bins; what the first took is what the others get.
    if member.encoder not in binned:
        binned.clear()  # one table of bins at a time
        binned[member.encoder] = Binned(learner, rows, sample)
    return fit_boosting(learner, rows, sample, limits, binned=binned[member.encoder])


def _hurry(learner: Learner, record: MemberRecord, n_rows: int) -> float:
    """How many times faster than wanted a fit can become before it must leave rows out."""
    if isinstance(learner, LightGBM):
        return most_hurry(learner, n_rows)
    if record.algorithm == "network":
        return float(passes_over(n_rows, int(record.params["n_epochs"]) * record.n_rows))
    return 1.0


def _cost(final: FinalFit, large: Large, i: int) -> float:
    """Seconds that a member will take on all training rows, from its fit on the sample."""
    record = final.records[i]
    reading = _PASS_COST * large.read_s
    if final.members[i].learner.algorithm.name in ("kmeans", "minibatch_kmeans", "linear"):
        return reading
    if record.algorithm == "network":
        seen = int(record.params["n_epochs"]) * record.n_rows
        passes = passes_over(large.n_training, seen)
        return passes * (reading + record.fit_s * large.n_training / max(1, seen))
    # On one thread, as the sample's: whether several help is measured when the fit begins.
    return reading + record.fit_s * large.n_training / max(1, record.n_rows)


def _plan(large: Large, cost_s: float, left_s: float, hurry: float) -> _Plan:
    """The share of the rows for which there is time.

    A fit that can hurry (`streamed_boosting.pace_in_time`) is planned for more rows than its rounds would allow.
    """
    reading = _PASS_COST * large.read_s
    least = reading + (cost_s - reading) / hurry
    if least <= 0.8 * left_s:
        return _Plan(1.0, least)
    share = 0.8 * left_s / least
    # Fewer rows than the sample has are no gain.
    return _Plan(share if share * large.n_training > int((large.side == SAMPLED).sum()) else 0.0, share * least)
