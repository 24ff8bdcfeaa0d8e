"""Which points are tried: in the order of a grid or a list, drawn at random, or proposed by a sampler that learns.

A proposer is asked for trial 0, 1, 2, … and told results in the same order. It says how many results it needs before
the next question, and is told exactly so many, even where more are known: what it proposes then follows from the seed
and the results alone, not from how many trials ran at once or which ended first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from modelwright.errors import SpecError
from modelwright.jobs.tuning.space import Choice, Float, Point, Space, Values, point_key
from modelwright.search.tuning import Sampler, make_sampler, require_sampler

if TYPE_CHECKING:
    import optuna

Strategy = Literal["grid", "list", "random", "tpe", "cmaes", "gp"]
STRATEGIES: tuple[Strategy, ...] = ("grid", "list", "random", "tpe", "cmaes", "gp")
#: Draws of points that were tried already, before one is looked up that was not.
_TRIES = 20
EXHAUSTED = "all points of the space were tried"


class Told(msgspec.Struct, frozen=True):
    """The result of a trial, for a proposer; ``utility`` is the value, turned so that higher is better.

    ``at`` has the utility at each step reported. A trial that was stopped early is ``cut``.
    """

    utility: float | None
    cut: bool = False
    at: tuple[tuple[float, float], ...] = ()


class Proposer(Protocol):
    """Who decides what is tried next."""

    #: Why there is no further point, after `ask` returned None.
    ended: str

    def needs(self, number: int) -> int:
        """How many results, counted from trial 0, must be told before the point of this trial is asked for."""

    def ask(self) -> Point | None:
        """The point of the next trial; None if there is none."""

    def tell(self, number: int, result: Told) -> None:
        """The result of a trial, in the order of their numbers."""


def make_proposer(strategy: Strategy, space: Space, *, seed: int, ahead: int) -> Proposer:
    """The proposer of a strategy.

    Parameters
    ----------
    strategy : {"grid", "list", "random", "tpe", "cmaes", "gp"}
    space : Space
    seed : int
    ahead : int
        How many trials of a strategy that learns may be open at once.

    Raises
    ------
    SpecError
        If the strategy does not suit the space.
    MissingExtraError
        If its library is not installed.
    """
    if strategy == "list" and space.points is None:
        raise SpecError("There are no points to go through.", where="strategy", mend="Give points, or use grid.")
    if strategy == "grid" or strategy == "list":
        _require_countable(space)
        return Listed(space)
    if strategy == "random":
        return Drawn(space, seed)
    if space.points is not None:
        raise SpecError(
            f"{strategy} proposes points of its own, but they are listed.", where="strategy", mend="Use list or random."
        )
    if strategy == "cmaes" and space.open and all(isinstance(values, Choice) for values in space.open.values()):
        raise SpecError("cmaes moves along numbers, and there are choices only.", where="strategy", mend="Use tpe or random.")
    require_sampler(strategy)
    return Sampled(strategy, space, seed=seed, ahead=ahead)


def _require_countable(space: Space) -> None:
    for name, values in space.parameters.items():
        if isinstance(values, Float) and values.size is None and space.points is None:
            places = [values.draw(place) for place in (0.0, 0.25, 0.5, 0.75, 1.0)]
            raise SpecError(
                f"A grid needs values that can be counted, and {name} has a range.",
                where=f"param {name}",
                mend=f"Write {','.join(f'{place:.3g}' for place in places)}, or use random or tpe.",
            )


class _Fresh:
    """Sees to it that no point is handed out twice."""

    def __init__(self, space: Space, rng: random.Random) -> None:
        self._space = space
        self._rng = rng
        self._seen: set[str] = set()

    def point(self, draw: Callable[[], Point]) -> Point | None:
        """A drawn point that is new; one looked up where draws only repeat; None when all were handed out."""
        size = self._space.size
        if size is not None and len(self._seen) >= size:
            return None
        for _ in range(_TRIES):
            if self._take(point := draw()):
                return point
        while size is None:
            if self._take(point := draw_point(self._space, self._rng)):
                return point
        start = self._rng.randrange(size)
        return next(cell for k in range(size) if self._take(cell := self._space.cell((start + k) % size)))

    def _take(self, point: Point) -> bool:
        key = point_key(point)
        new = key not in self._seen
        self._seen.add(key)
        return new


def draw_point(space: Space, rng: random.Random) -> Point:
    """A random point, parameters drawn independently on their scales."""
    if space.points is not None:
        return space.cell(rng.randrange(len(space.points)))
    return space.ordered({name: values.draw(rng.random()) for name, values in space.open.items()})


class Listed:
    """Every point in order."""

    ended = EXHAUSTED

    def __init__(self, space: Space) -> None:
        self._cells: Iterator[Point] = space.cells()

    def needs(self, number: int) -> int:
        return 0

    def ask(self) -> Point | None:
        return next(self._cells, None)

    def tell(self, number: int, result: Told) -> None:
        return


class Drawn:
    """Points at random, without replacement."""

    ended = EXHAUSTED

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._rng = random.Random(seed)
        self._fresh = _Fresh(space, self._rng)

    def needs(self, number: int) -> int:
        return 0

    def ask(self) -> Point | None:
        return self._fresh.point(lambda: draw_point(self._space, self._rng))

    def tell(self, number: int, result: Told) -> None:
        return


class Sampled:
    """Points proposed by one of Optuna's samplers from the results told so far."""

    ended = EXHAUSTED

    def __init__(self, sampler: Sampler, space: Space, *, seed: int, ahead: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._ahead = ahead
        self._distributions = {name: _distribution(values) for name, values in space.open.items()}
        self._study = optuna.create_study(direction="maximize", sampler=make_sampler(sampler, seed, ahead=True))
        self._fresh = _Fresh(space, random.Random(seed))
        #: By the number of the trial.
        self._asked: list[optuna.trial.Trial] = []

    def needs(self, number: int) -> int:
        return max(0, number - self._ahead + 1)

    def ask(self) -> Point | None:
        import optuna

        drawn: list[optuna.trial.Trial] = []

        def draw() -> Point:
            drawn.append(self._study.ask(self._distributions))
            return self._point(drawn[-1].params)

        point = self._fresh.point(draw)
        proposed = point is not None and bool(drawn) and self._point(drawn[-1].params) == point
        for trial in drawn[:-1] if proposed else drawn:  # repetitions
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        if point is None:
            return None
        if not proposed:  # one that the sampler would not have found
            self._study.enqueue_trial(self._indices(point))
            drawn.append(self._study.ask(self._distributions))
        self._asked.append(drawn[-1])
        return point

    def tell(self, number: int, result: Told) -> None:
        import optuna

        trial = self._asked[number]
        if result.utility is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif result.cut:
            for step, utility in result.at:
                trial.report(utility, round(step))
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, result.utility)

    def _point(self, drawn: dict[str, Any]) -> Point:
        return self._space.ordered({name: _value(values, drawn[name]) for name, values in self._space.open.items()})

    def _indices(self, point: Point) -> dict[str, Any]:
        found = {name: point[name] for name in self._space.open}
        for name, values in self._space.open.items():
            if isinstance(values, Choice):
                found[name] = [point_key({"": each}) for each in values.values].index(point_key({"": point[name]}))
            elif isinstance(values, Float) and values.step is not None:
                found[name] = values.index(point[name])
        return found


def _value(values: Values, drawn: Any) -> Any:
    # What has steps or is listed travels by its place: a choice may be anything that JSON holds.
    if isinstance(values, Choice):
        return values.values[drawn]
    if isinstance(values, Float) and values.step is not None:
        return values.value(drawn)
    return drawn


def _distribution(values: Values) -> optuna.distributions.BaseDistribution:
    import optuna.distributions as d

    if isinstance(values, Choice):
        return d.CategoricalDistribution(range(len(values.values)))
    if isinstance(values, Float):
        if values.size is not None:
            return d.IntDistribution(0, values.size - 1)
        return d.FloatDistribution(values.low, values.high, log=values.log)
    return d.IntDistribution(values.low, values.high, log=values.log, step=values.step)
