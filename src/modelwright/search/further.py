"""What a search does with time that is left when it has nothing more to propose.

On few rows, what one division into folds says of candidates that are much alike is mostly chance: who stayed in the race,
who is best, how the members are weighed, and how many rounds they need.
"""

from __future__ import annotations

from modelwright.search.budget import until
from modelwright.search.climbing import diverse
from modelwright.search.search import Search

#: Candidates that are to have a score on every fold.
MOST_VALIDATED = 20
#: Share of the time left that candidates whom the race left behind may take.
_SECOND_CHANCE = 0.4
#: Share of the time left up to which a further fold is begun.
_SURE = 0.9


def use_time_left(search: Search) -> None:
    """Take more candidates to all folds, then compare the best on further divisions of the rows, fold by fold.

    Only where the race has reached all folds.
    """
    n_folds = len(search.problem.folds)
    if search.n_folds < n_folds or n_folds == 1:
        return
    _second_chance(search, n_folds)
    racing = search.racing(n_folds)
    for fold in range(n_folds, n_folds + len(search.problem.further)):
        deadline = search.search_deadline()
        # What a killed run had fitted is there already.
        missing = sorted((c for c in racing if fold not in c.further), key=lambda c: -search.costs.seconds(c, fold))
        if len(racing) < 2 or search.ended() or search.fold_s(missing, fold) > _SURE * until(deadline):
            break
        search.run([(c, fold) for c in missing], deadline)
        if not all(c.compared_on([fold]) for c in racing):
            break
        search.n_further += 1
    if search.n_further:
        folds = f"{search.n_further} more fold{'s' if search.n_further > 1 else ''}"
        search.notes.append(f"The best {len(racing)} were compared on {folds}, of other divisions of the training rows.")


def _second_chance(search: Search, n_folds: int) -> None:
    """Complete some that the race left behind after one or two folds, algorithms in turns."""
    deadline = search.search_deadline()
    room, left = MOST_VALIDATED - len(search.validated()), _SECOND_CHANCE * until(deadline)
    for candidate in diverse(search.probed()):
        missing = [fold for fold in range(n_folds) if fold not in candidate.folds]
        seconds = sum(search.costs.seconds(candidate, fold) for fold in missing) / search.n_workers
        if room <= 0 or search.ended():
            return
        if missing and seconds < left:
            candidate.stage = "validate"
            search.run([(candidate, fold) for fold in missing], deadline)
            room, left = room - 1, left - seconds
