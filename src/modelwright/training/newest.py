"""Where rows come in time, the delivered model knows the newest of them.

The models of validation know nothing of the latest window. On hotel_bookings they had 1 - AUC of 0.114, fitted on all rows
0.102; on us_births_daily, where the best member had no time for a fit on all rows, an RMSE of 42.9 instead of NEW_BIRTHS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelwright.search.candidate import Candidate
from modelwright.search.search import Search
from modelwright.training.final import FinalFit, members_in_time, with_members
from modelwright.training.selection import Selection

#: Weight from which members stand for all.
_MOST_OF_THE_WEIGHT = 0.5
#: Choices that are made, each without those that the one before had no time for.
_CHOICES = 5
#: Share of what the best choice gains over the best baseline that another one must gain to be preferred for its newer rows.
_NEARLY_AS_GOOD = 0.9

#: A choice among the given candidates alone.
Choose = Callable[[Sequence[Candidate]], Selection]


def choose_in_time(search: Search, selection: Selection, n_rows: int, choose: Choose) -> tuple[Selection, list[str]]:
    """The best choice of members that can all be fitted on the newest rows too, in the time that is left.

    Parameters
    ----------
    search : Search
    selection : Selection
        The best choice, if time did not matter.
    n_rows : int
        All training rows.
    choose : callable
        Selection among the given candidates alone.

    Returns
    -------
    tuple of Selection and list of str
        ``selection`` itself where its members are in time, or where others are clearly worse; and what is to be said.
    """
    deadline = search.budget.fit_deadline
    if deadline is None or selection.fallback_fold is None or selection.validation_score is None:
        return selection, []
    chosen, late = selection, set[int]()
    for _ in range(_CHOICES):
        ready = {candidate.number for candidate in members_in_time(search, chosen, n_rows, deadline)}
        missing = {candidate.number for candidate, _ in chosen.members} - ready
        if not missing:
            break
        late |= missing
        others = [candidate for candidate in search.validated() if candidate.number not in late]
        if not others:
            return selection, []
        chosen = choose(others)
    else:
        return selection, []
    if chosen is selection or not _nearly_as_good(search, chosen, selection):
        return selection, []
    kept = {candidate.number for candidate, _ in chosen.members}
    left = ", ".join(candidate.algorithm for candidate, _ in selection.members if candidate.number not in kept)
    if not left:
        return selection, []
    return chosen, [f"{left} not chosen: there is no time for a fit on the newest rows, which matter most in time."]


def _nearly_as_good(search: Search, chosen: Selection, best: Selection) -> bool:
    """Whether a choice has most of what the best one has over the best baseline, on the rows of validation."""
    baselines = search.validated(baseline=True)
    if chosen.validation_score is None or best.validation_score is None or not baselines:
        return False
    utility = search.problem.metric.utility
    floor = utility(baselines[0].mean_score(len(search.problem.folds)))
    return utility(chosen.validation_score) - floor >= _NEARLY_AS_GOOD * (utility(best.validation_score) - floor)


def on_newest_rows(selection: Selection, final: FinalFit, choose: Choose) -> tuple[Selection, FinalFit, list[str]]:
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
