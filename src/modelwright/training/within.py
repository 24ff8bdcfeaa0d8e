"""A delivered model within the limits asked for: measured as packaged, and made smaller until it keeps to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from modelwright.artifacts.measure import Measured
from modelwright.ensembles.limits import Cost, ModelLimits, allowed, corrected, keep, nearest
from modelwright.metrics import registry as metrics
from modelwright.metrics.metric import Metric
from modelwright.search.candidate import Candidate
from modelwright.training.final import FinalFit, with_members
from modelwright.training.measured import Meter, asked
from modelwright.training.selection import Selection

#: Packages that are made and measured at most.
_MOST_PACKAGES = 6


@dataclass(frozen=True)
class Settled:
    """What is delivered, what its package costs, and the limits that it breaks all the same: "latency", "size"."""

    selection: Selection
    final: FinalFit
    measured: Measured
    broken: list[str]
    notes: list[str]


def settle(
    selection: Selection,
    final: FinalFit,
    *,
    meter: Meter,
    candidates: Sequence[Candidate],
    packaged: Callable[[Selection, FinalFit], Measured],
    choose: Callable[[Sequence[Candidate]], Selection],
    fit: Callable[[Selection], FinalFit],
    y: np.ndarray | None,
    weight: np.ndarray | None,
    metric: Metric,
) -> Settled:
    """Package and measure; where a limit is broken drop the members that cost the least score, and measure again.

    Members that stay are not fitted again. Where no member keeps to the limits alone another candidate is fitted: the
    best that should, or else the one nearest to the limits, which the notes then say.

    Parameters
    ----------
    selection : Selection
    final : FinalFit
    meter : Meter
    candidates : sequence of Candidate
        What may be delivered, the best first.
    packaged : callable
        Writes the model folder, replacing the one before, and measures it.
    choose : callable
        Selection among the given candidates alone: weights, calibration, threshold.
    fit : callable
        Fits the members of a selection on all rows, without baselines: those are there already.
    y, weight : ndarray of shape (n,) or None
        Of the training rows.
    metric : Metric
    """
    limits, notes = meter.limits, []
    measured = packaged(selection, final)
    if not limits.given:
        return Settled(selection, final, measured, [], [])
    costs, shared = meter.costs(candidates)
    tried: set[int] = set()
    fits = [final]
    for _ in range(_MOST_PACKAGES):
        cost = _cost(measured)
        if not limits.broken(cost):
            break
        place = {candidate.number: i for i, candidate in enumerate(candidates)}
        members = tuple(place[c.number] for c, _ in selection.members if c.number in place)
        costs, shared = corrected(costs, shared, members, cost)
        before = selection
        utility = partial(_utility, candidates=candidates, selection=before, y=y, weight=weight, metric=metric)
        stay = keep(members, costs, shared, limits, utility)
        tried |= {members[0]} if len(members) == 1 else set()
        if stay:
            selection = choose([candidates[i] for i in stay])
            final = with_members(final, selection)
        else:
            other = _other(costs, shared, limits, tried)
            if other is None:
                break
            selection = choose([candidates[other]])
            number = candidates[other].number
            known = next((each for each in fits if number in {record.trial for record in each.records}), None)
            if known is None:
                known = _with_baselines(fit(selection), fits[0])
                fits.append(known)
            final = with_members(known, selection)
            tried.add(other)
        notes.append(_sentence(before, selection, cost, limits))
        measured = packaged(selection, final)
    broken = limits.broken(_cost(measured))
    if broken:
        notes.append(
            f"NO MODEL KEEPS TO THE LIMITS ({asked(limits)}): the delivered one takes {measured.single_row_s * 1e3:.3g} ms a "
            f"row and {measured.size_bytes / 1e6:.3g} MB. It is the one nearest to them that was found."
        )
    return Settled(selection, final, measured, broken, notes)


def _cost(measured: Measured) -> Cost:
    return Cost(measured.single_row_s, measured.size_bytes)


def _other(costs: Sequence[Cost], shared: Cost, limits: ModelLimits, tried: set[int]) -> int | None:
    """The best candidate not yet packaged alone that should fit; else the nearest to the limits, unless that was tried."""
    fits = allowed(costs, shared, limits)
    for i in range(len(costs)):
        if i not in tried and fits((i,)):
            return i
    closest = nearest(costs, shared, limits)
    return None if closest in tried else closest


def _utility(
    chosen: Sequence[int],
    *,
    candidates: Sequence[Candidate],
    selection: Selection,
    y: np.ndarray | None,
    weight: np.ndarray | None,
    metric: Metric,
) -> float:
    """Of the members alone, with the weights that they have; what decides which of them stay."""
    oof, shares = selection.out_of_fold, {c.number: share for c, share in selection.members}
    if oof is None or y is None:
        return -float(chosen[0])
    numbers = [candidates[i].number for i in chosen]
    whole = sum(shares[n] for n in numbers)
    blend = sum((oof.candidates[n] * (shares[n] / whole) for n in numbers), np.zeros_like(oof.prediction))
    return metric.utility(metrics.score(metric, y[oof.rows], blend, None if weight is None else weight[oof.rows]))


def _with_baselines(final: FinalFit, before: FinalFit) -> FinalFit:
    """A later fit with the baselines of the first, and their encoders behind its own."""
    shift = len(final.encoders)
    final.encoders = [*final.encoders, *before.encoders]
    final.baselines = [(name, replace(member, encoder=member.encoder + shift)) for name, member in before.baselines]
    return final


def _sentence(before: Selection, after: Selection, cost: Cost, limits: ModelLimits) -> str:
    """What was left out, and why."""
    left = {c.number for c, _ in after.members}
    names = ", ".join(c.algorithm for c, _ in before.members if c.number not in left)
    now = ", ".join(c.algorithm for c, _ in after.members)
    return (
        f"The package took {cost.row_s * 1e3:.3g} ms a row and {cost.size_bytes / 1e6:.3g} MB, allowed are "
        f"{asked(limits)}: {names or 'nothing'} left out, {now} delivered."
    )
