"""Where rows come in time, the delivered model knows the newest of them.

The models of validation know nothing of the latest window. On hotel_bookings they had 1 - AUC of 0.114, fitted on all rows
0.102; on us_births_daily, where the best member had no time for a fit on all rows, an RMSE of 42.9 where others that had it
have 33.7 and 33.9 in two runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from modelwright.search.budget import until
from modelwright.search.candidate import Candidate
from modelwright.search.costs import spread
from modelwright.search.search import Search
from modelwright.training.final import SURE, FinalFit, with_members
from modelwright.training.selection import Allowed, Selection

#: Weight from which members stand for all.
_MOST_OF_THE_WEIGHT = 0.5
#: Seconds that the choice itself takes.
_CHOICE_S = 0.5
#: Share of what the best candidate gains over the best baseline that a choice must gain to be preferred for its newer rows.
_NEARLY_AS_GOOD = 0.9


def choose_in_time(search: Search, n_rows: int, choose: Callable[[Allowed], Selection], allowed: Allowed) -> Selection:
    """The best choice of members that can all be fitted on the newest rows too, in the time that is left.

    Parameters
    ----------
    search : Search
    n_rows : int
        All training rows.
    choose : callable
        Selection among those that may be members together.
    allowed : callable
        What else says who may.

    Returns
    -------
    Selection
        The best choice of any members where no other, or a clearly worse one, is in time.
    """
    deadline, validated = search.budget.fit_deadline, search.validated()
    if deadline is None or not validated:
        return choose(allowed)
    seconds = {candidate.number: search.costs.refit_seconds(candidate, n_rows) for candidate in validated}
    left = SURE * (until(deadline) - _CHOICE_S)
    if min(seconds.values()) > left:
        return choose(allowed)

    def ends_in_time(candidates: Sequence[Candidate]) -> Callable[[Collection[int]], bool]:
        others = allowed(candidates)

        def both(chosen: Collection[int]) -> bool:
            needed = [seconds[candidates[i].number] for i in chosen]
            return spread(needed, search.n_workers) <= left and (others is None or others(chosen))

        return both

    chosen = choose(ends_in_time)
    return chosen if _nearly_as_good(search, chosen, validated[0]) else choose(allowed)


def _nearly_as_good(search: Search, chosen: Selection, best: Candidate) -> bool:
    """Whether a choice has most of what the best candidate has over the best baseline, on the rows of validation."""
    baselines, n_folds = search.validated(baseline=True), len(search.problem.folds)
    if chosen.validation_score is None or not baselines:
        return True
    utility = search.problem.metric.utility
    floor = utility(baselines[0].mean_score(n_folds))
    return utility(chosen.validation_score) - floor >= _NEARLY_AS_GOOD * (utility(best.mean_score(n_folds)) - floor)


def on_newest_rows(
    selection: Selection, final: FinalFit, choose: Callable[[Sequence[Candidate]], Selection]
) -> tuple[Selection, FinalFit, list[str]]:
    """Without the members that were not fitted on the newest rows after all, where the others have most of the weight.

    Parameters
    ----------
    selection : Selection
    final : FinalFit
    choose : callable
        Selection among the given candidates alone.

    Returns
    -------
    tuple of Selection, FinalFit and list of str
        What is delivered, and what is to be said of it.
    """
    fitted = {record.trial for record in final.records if record.refit}
    stay = [(candidate, share) for candidate, share in selection.members if candidate.number in fitted]
    if len(stay) == len(selection.members) or sum(share for _, share in stay) < _MOST_OF_THE_WEIGHT:
        return selection, final, []
    chosen = choose([candidate for candidate, _ in stay])
    left = ", ".join(c.algorithm for c, _ in selection.members if c.number not in fitted)
    note = f"{left} left out: there was no time for a fit on the newest rows, which matter most in time."
    return chosen, with_members(final, chosen), [note]
