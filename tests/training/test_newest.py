"""Members that can learn the newest rows before the clock ends, chosen on scores and costs that are made up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from modelwright.ensembles.calibration import NONE
from modelwright.metrics import registry as metrics
from modelwright.search.candidate import Candidate
from modelwright.search.jobs import Done
from modelwright.training.newest import choose_in_time
from modelwright.training.selection import Allowed, Selection

#: RMSE of each candidate, and seconds of its fit on all rows; the baseline has an RMSE of 100.
Made = dict[str, tuple[float, float]]
MADE: Made = {"catboost": (20.0, 30.0), "lightgbm": (21.0, 20.0), "xgboost": (22.0, 4.0), "linear": (60.0, 0.1)}


def choice(made: Made, *, left: float | None = 10.0, allowed: Allowed = lambda candidates: None) -> Selection:
    names = list(made)
    candidates = [Candidate(k, name, {}, "validate", folds={0: Done(score=made[name][0])}) for k, name in enumerate(names)]
    floor = Candidate(99, "constant", {}, "baseline", baseline=True, folds={0: Done(score=100.0)})

    def choose(allowed: Allowed) -> Selection:
        """The best two that may be members together; as good as the better one alone."""
        fits = allowed(candidates) or (lambda chosen: True)
        best = [k for k in range(len(candidates)) if fits({k})][:1] or [0]
        best += [k for k in range(len(candidates)) if k not in best and fits({*best, k})][:1]
        members = [(candidates[k], 1 / len(best)) for k in best]
        return Selection(members, NONE, None, None, candidates[best[0]].mean_score(1), 0, [])

    search: Any = SimpleNamespace(
        budget=SimpleNamespace(fit_deadline=None if left is None else time.monotonic() + left),
        problem=SimpleNamespace(metric=metrics.get("rmse", "regression"), folds=[None]),
        costs=SimpleNamespace(refit_seconds=lambda candidate, n_rows: made[candidate.algorithm][1]),
        n_workers=2,
        validated=lambda *, baseline=False: [floor] if baseline else candidates,
    )
    return choose_in_time(search, 1000, choose, allowed)


def names(selection: Selection) -> list[str]:
    return [candidate.algorithm for candidate, _ in selection.members]


def test_the_best_that_can_learn_the_newest_rows_together_are_chosen() -> None:
    assert names(choice(MADE)) == ["xgboost", "linear"]
    assert names(choice(MADE | {"xgboost": (22.0, 7.9), "linear": (60.0, 8.2)})) == ["xgboost"], "each alone, not both"


def test_what_else_is_not_allowed_stays_out() -> None:
    def no_linear(candidates: Sequence[Candidate]) -> Any:
        return lambda chosen: all(candidates[k].algorithm != "linear" for k in chosen)

    assert names(choice(MADE, allowed=no_linear)) == ["xgboost"]


@pytest.mark.parametrize(
    ("made", "left"),
    [
        (MADE, 100.0),  # there is time for all
        (MADE, None),  # there is no clock
        ({"catboost": (20.0, 30.0), "linear": (60.0, 0.1)}, 10.0),  # the other has half of what the first gains
        ({"catboost": (20.0, 30.0), "lightgbm": (21.0, 20.0)}, 10.0),  # nobody is in time
    ],
)
def test_else_the_best_choice_stays(made: Made, left: float | None) -> None:
    assert names(choice(made, left=left)) == list(made)[:2]
