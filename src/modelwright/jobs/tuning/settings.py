"""What was asked of a search: one value, read and checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from modelwright.errors import SpecError
from modelwright.jobs.seeding import seed_of
from modelwright.jobs.targets import target_of
from modelwright.jobs.tuning.halving import Halving, Rounds, largest_bracket, n_trials, read_halving
from modelwright.jobs.tuning.proposals import STRATEGIES, Proposer, Strategy, make_proposer
from modelwright.jobs.tuning.reading import read_space
from modelwright.jobs.tuning.selector import Selector, read_selector
from modelwright.jobs.tuning.space import Choice, Space, Values
from modelwright.jobs.tuning.stopping import NoImprovement, StopRule, read_stop
from modelwright.jobs.values import shown
from modelwright.provenance.secrets import redacted_value
from modelwright.spec_values import READERS, nearest, parse_budget

#: Trials where no limit of any kind is given and the space has no end.
DEFAULT_TRIALS = 50
#: Trials that may be open at once where results decide on later trials. On three test functions 50 trials of TPE found
#: as much with 8 as with 1.
AHEAD = 8


_OTHER_NAMES = {
    "bayes": "Did you mean 'tpe' or 'gp'?",
    "bayesian": "Did you mean 'tpe' or 'gp'?",
    "halving": "Write halving = epochs=1..27 beside a strategy.",
    "hyperband": "Write halving = epochs=1..27 beside a strategy.",
}


class Settings(msgspec.Struct, frozen=True):
    """A search as it was asked for; times in seconds."""

    target: str
    space: Space
    strategy: Strategy
    selector: Selector
    seed: int = 0
    ahead: int = AHEAD
    halving: Halving | None = None
    trials: int | None = None
    max_time_s: float | None = None
    max_failures: int | None = None
    max_trial_time_s: float | None = None
    stop: tuple[StopRule, ...] = ()

    def proposer(self) -> Proposer:
        """A fresh proposer; the same settings and results propose the same."""
        points = make_proposer(self.strategy, self.space, seed=self.seed, ahead=self.ahead)
        return Rounds(points, self.halving, self.trials) if self.rounds and self.halving is not None else points

    @property
    def parameters(self) -> list[str]:
        """Names of all parameters that trials are given; of listed points those that all have."""
        names = list(self.space.parameters)
        if self.space.points:
            names += [name for name in self.space.points[0] if all(name in point for point in self.space.points)]
        return [*names, self.halving.parameter] if self.halving is not None and self.halving.parameter else names

    @property
    def rounds(self) -> bool:
        """Whether halving raises a parameter, round by round."""
        return self.halving is not None and bool(self.halving.parameter)

    @property
    def learns(self) -> bool:
        """Whether results decide on later trials, other than by rounds."""
        return self.strategy in ("tpe", "cmaes", "gp") or (self.halving is not None and not self.rounds)

    @property
    def recorded(self) -> Settings:
        """The settings as they may be written: without secrets."""
        parameters = {
            name: Choice(tuple(shown({name: value})[name] for value in values.values)) if isinstance(values, Choice) else values
            for name, values in self.space.parameters.items()
        }
        points = None if self.space.points is None else [shown(point) for point in self.space.points]
        return redacted_value(msgspec.structs.replace(self, space=Space(parameters, points)))

    @property
    def asked(self) -> dict[str, Any]:
        """The space and the strategy in the words in which they are asked for."""
        words: dict[str, Any] = {name: values_text(values) for name, values in self.space.parameters.items()}
        if self.space.points is not None:
            words["tuning.points"] = len(self.space.points)
        if self.halving is not None:
            halving = self.halving
            words["tuning.halving"] = f"{halving.parameter}{'=' * self.rounds}{halving.low}..{halving.high}"
        limits = {"trials": self.trials, "max_time_s": self.max_time_s, "stop": " or ".join(rule.text for rule in self.stop)}
        return words | {"tuning.strategy": self.strategy} | {f"tuning.{name}": each for name, each in limits.items() if each}


def read_settings(
    target: str,
    parameters: Mapping[str, Any],
    *,
    points: Any = None,
    select: str | None = None,
    strategy: str | None = None,
    halving: str | None = None,
    seed: int | None = None,
    ahead: int | None = None,
    **limits: Any,
) -> Settings:
    """Read and check everything that is asked; ``limits`` as for `with_limits`.

    Raises
    ------
    InvalidInputError
        Naming what is wrong.
    """
    target_of(target)
    space = read_space(parameters, points)
    selector = read_selector(select)
    if strategy is None:
        strategy = "tpe" if points is None else "list"
    if strategy not in STRATEGIES:
        mend = _OTHER_NAMES.get(strategy.lower()) or nearest(strategy, STRATEGIES)
        raise SpecError(f"There is no strategy {strategy!r}.", where="strategy", mend=mend)
    settings = Settings(
        target=target,
        space=space,
        strategy=strategy,
        selector=selector,
        seed=seed_of(seed) or 0,
        ahead=AHEAD if ahead is None else read_count("ahead", ahead),
        halving=None if halving is None else read_halving(halving),
    )
    settings = with_limits(settings, **limits)
    if settings.trials is None and settings.max_time_s is None and not settings.stop:
        settings = msgspec.structs.replace(settings, trials=_default_trials(settings))
    _check_halving(settings)
    settings.proposer()  # refuses what does not go together
    return settings


def with_limits(
    settings: Settings,
    *,
    trials: int | None = None,
    max_time: str | float | None = None,
    max_failures: int | None = None,
    max_trial_time: str | float | None = None,
    stop: str | Sequence[str] | None = None,
) -> Settings:
    """The settings with the limits that are given; the others stay."""
    rules = [stop] if isinstance(stop, str) else stop
    given = {
        "trials": None if trials is None else read_count("trials", trials),
        "max_time_s": None if max_time is None else read_time("max_time", max_time),
        "max_failures": None if max_failures is None else read_count("max_failures", max_failures),
        "max_trial_time_s": None if max_trial_time is None else read_time("max_trial_time", max_trial_time),
        "stop": None if rules is None else tuple(read_stop(rule) for rule in rules),
    }
    return msgspec.structs.replace(settings, **{name: value for name, value in given.items() if value is not None})


def values_text(values: Values) -> str:
    """Values as they are written.

    Examples
    --------
    >>> from modelwright.jobs.tuning.reading import read_values
    >>> [values_text(read_values("p", text)) for text in ("log(1e-4,0.1)", "int(1,9,2)", "int(1,9,log)", "1,2,null")]
    ['log(0.0001,0.1)', 'int(1,9,2)', 'int(1,9,log)', '1,2,null']
    """
    if isinstance(values, Choice):
        if all(isinstance(value, str) and "," not in value for value in values.values):
            return ",".join(values.values)
        listed = msgspec.json.encode(values.values).decode()
        return listed if any(isinstance(value, (str, list, dict)) for value in values.values) else listed[1:-1]
    last = "" if values.step in (None, 1) else f",{values.step:.12g}"
    if type(values).__name__ == "Int":
        return f"int({values.low},{values.high}{',log' if values.log else last})"
    return (
        f"log({values.low:.12g},{values.high:.12g})" if values.log else f"uniform({values.low:.12g},{values.high:.12g}{last})"
    )


def _default_trials(settings: Settings) -> int | None:
    if settings.rounds and settings.halving is not None:
        rungs = len(settings.halving.rungs)
        return n_trials(3 ** (rungs - 1), rungs)
    return None if settings.strategy in ("grid", "list") else DEFAULT_TRIALS


def _check_halving(settings: Settings) -> None:
    halving = settings.halving
    if halving is None or not halving.parameter:
        return
    points = settings.space.points or []
    if halving.parameter in settings.space.parameters or any(halving.parameter in point for point in points):
        raise SpecError(
            f"{halving.parameter!r} is set by halving.", where=f"param {halving.parameter}", mend="Give it in one place."
        )
    rungs = len(halving.rungs)
    if settings.trials is not None and not largest_bracket(settings.trials, rungs):
        raise SpecError(
            f"{settings.trials} trials are too few for halving over {rungs} rungs.",
            where="trials",
            mend=f"Give at least {n_trials(3, rungs)}; {n_trials(3 ** (rungs - 1), rungs)} make a whole bracket.",
        )
    if any(isinstance(rule.rule, NoImprovement) for rule in settings.stop):
        raise SpecError(
            "Rounds begin with small budgets, where no improvement means nothing.",
            where="stop",
            mend="Give trials or max_time, or a value to be reached.",
        )


def read_count(name: str, value: Any) -> int:
    """A whole number above 0."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 1:
        raise SpecError(f"{value!r} is not a whole number above 0.", where=name, mend="Give one.")
    return int(value.__index__())


def read_time(name: str, value: Any) -> float:
    """Seconds of ``max_time`` or ``max_trial_time``."""
    try:
        return float((parse_budget if name == "max_time" else READERS[name])(value))
    except SpecError as error:
        raise SpecError(error.what, where=name, mend=error.mend) from None
