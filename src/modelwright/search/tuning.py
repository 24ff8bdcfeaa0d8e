"""New hyperparameters to try, proposed by Optuna's TPE sampler through ask and tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelwright.learners import registry
from modelwright.learners.base import Hyperparameter
from modelwright.tables.schema import Task

if TYPE_CHECKING:
    import optuna


class Tuner:
    """Proposals for one algorithm, learned from the scores told so far.

    The iteration count is left out: early stopping finds it in every fit.

    Parameters
    ----------
    algorithm : str
    task : str
    seed : int
    """

    def __init__(self, algorithm: str, task: Task, *, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        description = registry.get(algorithm).algorithm
        self._iterations = description.iterations
        self._defaults = description.defaults(task)
        self._space = {
            h.name: _distribution(h, self._defaults[h.name])
            for h in description.hyperparameters
            if h.name != description.iterations
        }
        self._study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=4, multivariate=False)
        )
        self._open: dict[int, optuna.trial.Trial] = {}

    @property
    def tunable(self) -> bool:
        return bool(self._space)

    def tell_known(self, params: Mapping[str, Any], utility: float) -> None:
        """Learn from a configuration that was not proposed here, such as one of the portfolio."""
        import optuna

        values = {name: params.get(name, self._defaults[name]) for name in self._space}
        trial = optuna.trial.create_trial(params=values, distributions=self._space, value=utility)
        self._study.add_trial(trial)

    def ask(self, number: int) -> dict[str, Any]:
        """A configuration for the candidate with this number."""
        trial = self._study.ask(self._space)
        self._open[number] = trial
        params = dict(trial.params)
        if self._iterations:
            params[self._iterations] = self._defaults[self._iterations]
        return params

    def tell(self, number: int, utility: float | None) -> None:
        """Report the score of an asked candidate; None if it failed."""
        import optuna

        trial = self._open.pop(number)
        if utility is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, utility)


def _distribution(h: Hyperparameter, default: Any) -> optuna.distributions.BaseDistribution:
    import optuna.distributions as d

    if h.kind == "choice":
        return d.CategoricalDistribution(h.choices)
    assert h.low is not None, f"{h.name} has no lower bound"
    assert h.high is not None, f"{h.name} has no upper bound"
    # A default outside the searched range (0 for a log-scaled penalty) is legal to fit but not to model.
    if h.kind == "int":
        return d.IntDistribution(int(h.low), int(h.high), log=h.log)
    return d.FloatDistribution(float(h.low), float(h.high), log=h.log)
