"""New hyperparameters to try, proposed by Optuna's samplers through ask and tell.

Proposals stay near the best configuration known of the algorithm: the portfolio holds values that were tuned on many
tables, and random draws from the whole range are mostly worse than all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from modelwright.errors import MissingExtraError
from modelwright.learners import registry
from modelwright.learners.base import Hyperparameter
from modelwright.search.candidate import Candidate
from modelwright.search.grids import WHOLE_GRID, combinations, default_grid, n_combinations
from modelwright.tables.schema import Task

if TYPE_CHECKING:
    import optuna

Sampler = Literal["tpe", "cmaes", "gp", "random", "grid"]
#: How far from the best value proposals reach: a factor for log-scaled ones, a share of the range for the others.
_FACTOR = 4.0
_SHARE = 0.3
#: The budget has chosen the learning rate: half the rate would need twice the trees.
_RATE_FACTOR = 2.0

#: Rows to the number of configurations worth proposing: more would only fit the noise of the validation rows.
#: After AutoGluon 1.5, which caps the number of models at 4 to 100 in the same way.
TUNE_CAPS = ((100, 4), (500, 8), (2_500, 24), (10_000, 60))
MAX_TUNED = 150


def room_for(n_rows: int, trials: int | None, candidates: Sequence[Candidate]) -> int:
    """How many configurations may still be proposed.

    Parameters
    ----------
    n_rows : int
        Of the first fold.
    trials : int or None
        What the user allows in all, the portfolio included.
    candidates : sequence of Candidate
        Those there are.
    """
    if trials is not None:
        return trials - sum(not c.baseline for c in candidates)
    cap = next((cap for rows, cap in TUNE_CAPS if n_rows <= rows), MAX_TUNED)
    return cap - sum(c.proposed for c in candidates)


class Tuner:
    """Proposals for one algorithm, learned from the scores told so far.

    The iteration count is left out: early stopping finds it in every fit.

    Parameters
    ----------
    algorithm : str
    task : str
    seed : int
    centre : mapping
        Configuration around which to search.
    sampler : {"tpe", "cmaes", "gp", "random", "grid"}, default="tpe"
    grid : mapping of str to tuple, optional
        The user's values: only these are proposed, everything else stays as in ``centre``.
    allowed : mapping of str to tuple, optional
        Choices that may be proposed where there is no grid; all by default.
    """

    def __init__(
        self,
        algorithm: str,
        task: Task,
        *,
        seed: int,
        centre: Mapping[str, Any],
        sampler: Sampler = "tpe",
        grid: Mapping[str, tuple[Any, ...]] | None = None,
        allowed: Mapping[str, tuple[Any, ...]] | None = None,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        description = registry.get(algorithm).algorithm
        self._iterations = description.iterations
        self._defaults = description.defaults(task) | dict(centre)
        if grid is not None:
            # A grid that the portfolio tried whole leaves nothing to propose.
            large = n_combinations(grid) > WHOLE_GRID
            self._space = {name: _listed(values) for name, values in grid.items() if large and len(values) > 1}
        else:
            searched = [h for h in description.hyperparameters if h.tuned and h.name != description.iterations]
            self._space = {h.name: _near(h, self._defaults[h.name], allowed) for h in searched}
        self._cells: Iterator[dict[str, Any]] | None = None
        if sampler == "grid":
            self._cells = combinations(default_grid(algorithm, allowed) if grid is None else grid)
            if grid is not None:
                next(self._cells)  # stands in the portfolio
        self._study = optuna.create_study(direction="maximize", sampler=make_sampler(sampler, seed))
        self._open: dict[int, optuna.trial.Trial | None] = {}

    @property
    def tunable(self) -> bool:
        return bool(self._space)

    def tell_known(self, params: Mapping[str, Any], utility: float) -> None:
        """Learn from a configuration that was not proposed here, such as one of the portfolio; far ones are not used."""
        import optuna

        values = {name: params.get(name, self._defaults[name]) for name in self._space}
        try:
            trial = optuna.trial.create_trial(params=values, distributions=self._space, value=utility)
        except ValueError:  # outside the part that is searched
            return
        self._study.add_trial(trial)

    def ask(self, number: int) -> dict[str, Any] | None:
        """A configuration for the candidate with this number; None when a grid is exhausted."""
        if self._cells is not None:
            cell = next(self._cells, None)
            if cell is None:
                return None
            self._open[number] = None
            return self._complete(cell)
        trial = self._study.ask(self._space)
        self._open[number] = trial
        return self._complete(trial.params)

    def _complete(self, proposed: Mapping[str, Any]) -> dict[str, Any]:
        """With the centre's values for what is not searched: the cap of iterations, and all that a grid leaves open."""
        return self._defaults | dict(proposed)

    def tell(self, number: int, utility: float | None) -> None:
        """Report the score of an asked candidate; None if it failed."""
        import optuna

        trial = self._open.pop(number)
        if trial is None:
            return
        if utility is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, utility)


def require_sampler(name: Sampler) -> None:
    """Refuse a sampler whose library is absent, before any time is spent.

    Raises
    ------
    MissingExtraError
    """
    if name == "gp" and find_spec("torch") is None:
        raise MissingExtraError("torch", "network")


def make_sampler(name: Sampler, seed: int, *, ahead: bool = False) -> optuna.samplers.BaseSampler:
    """A seeded sampler; ``ahead`` where several proposals are open at once, so that they keep apart."""
    import optuna

    if name == "random" or name == "grid":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "cmaes":
        return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=4, warn_independent_sampling=False)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=4)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=6, multivariate=False, constant_liar=ahead)


def _listed(values: tuple[Any, ...]) -> optuna.distributions.BaseDistribution:
    import optuna.distributions as d

    return d.CategoricalDistribution(values)


def _near(
    h: Hyperparameter, value: Any, allowed: Mapping[str, tuple[Any, ...]] | None = None
) -> optuna.distributions.BaseDistribution:
    """The part of the range around a value; of choices those that are allowed."""
    import optuna.distributions as d

    if h.kind == "choice":
        return d.CategoricalDistribution((allowed or {}).get(h.name, h.choices))
    assert h.low is not None, f"{h.name} has no lower bound"
    assert h.high is not None, f"{h.name} has no upper bound"
    # A default outside the searched range (0 for a log-scaled penalty) is legal to fit but not to model.
    value = min(max(value, h.low), h.high)
    if h.log:
        factor = _RATE_FACTOR if h.name == "learning_rate" else _FACTOR
        low, high = max(h.low, value / factor), min(h.high, value * factor)
    else:
        reach = _SHARE * (h.high - h.low)
        low, high = max(h.low, value - reach), min(h.high, value + reach)
    if h.kind == "int":
        return d.IntDistribution(round(low), max(round(low), round(high)), log=h.log)
    return d.FloatDistribution(float(low), float(high), log=h.log)
