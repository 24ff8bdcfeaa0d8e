"""The search without processes: limits, rules, order, and that workers do not change what is tried."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from modelwright.errors import SpecError
from modelwright.jobs.tuning.halving import Halving, Rounds
from modelwright.jobs.tuning.loop import HOPELESS, Limits, Outcome, Report, Search, best_of
from modelwright.jobs.tuning.proposals import Strategy, make_proposer
from modelwright.jobs.tuning.reading import read_space
from modelwright.jobs.tuning.selector import Selector
from modelwright.jobs.tuning.space import Space, point_key
from modelwright.jobs.tuning.stopping import read_stop
from modelwright.jobs.tuning.trial import Trial

LOSS = Selector("loss", greater_is_better=False)
SPACE = read_space({"x": "uniform(-5,5)", "y": "log(1e-3,1e3)", "kind": "a,b,c"})
COUNTED = read_space({"a": "int(1,6)", "b": "x,y"})


def bowl(params: dict[str, Any]) -> float:
    """Lowest, 0, at x = 2, y = 1, kind = b."""
    import math

    return (params["x"] - 2) ** 2 + math.log10(params["y"]) ** 2 + (params["kind"] != "b")


class Job:
    """Runs a function in the thread, in disorder if asked to."""

    def __init__(self, function: Callable[[dict[str, Any]], Any], *, disorder: int | None = None) -> None:
        self.function = function
        self.rng = None if disorder is None else random.Random(disorder)
        self.ran: list[int] = []
        self.at_once = self.most_at_once = 0
        self.guard = threading.Lock()

    def __call__(self, number: int, params: dict[str, Any], report: Report, stop: threading.Event) -> Outcome:
        with self.guard:
            self.ran.append(number)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            pause = 0.0 if self.rng is None else self.rng.random() * 0.01
        try:
            if stop.wait(pause):
                return Outcome("interrupted", run=f"r{number}")
            value = self.function(params)
            if isinstance(value, Outcome):
                return value
            if isinstance(value, list):
                for length in range(1, len(value) + 1):
                    if report(value[:length]):
                        return Outcome("cut", {}, value[:length], run=f"r{number}")
                return Outcome("complete", {"loss": value[-1][1]}, value, run=f"r{number}")
            return Outcome("complete", {"loss": value, "other": 1.0}, run=f"r{number}")
        except ZeroDivisionError as error:
            return Outcome("failed", error=str(error), run=f"r{number}")
        finally:
            with self.guard:
                self.at_once -= 1


def searched(
    job: Job,
    space: Space = SPACE,
    *,
    strategy: Strategy = "random",
    seed: int = 0,
    workers: int = 1,
    halving: Halving | None = None,
    selector: Selector = LOSS,
    trials: int | None = None,
    stops: Sequence[str] = (),
    **more: Any,
) -> Search:
    proposer: Any = make_proposer(strategy, space, seed=seed, ahead=4)
    if halving is not None and halving.parameter:
        proposer = Rounds(proposer, halving, trials)
    known, stop = more.pop("known", {}), more.pop("stop", threading.Event())
    limits = Limits(trials, rules=[read_stop(text) for text in stops], **more)
    search = Search(proposer, job, selector, limits, workers, 4, halving, known, stop)
    search.end = search.run()  # type: ignore[attr-defined]
    return search


def listed(search: Search) -> list[tuple[Any, ...]]:
    """What must not depend on how many ran at once."""
    return [(t.number, point_key(t.params), t.state, t.value, t.step) for t in search.counted()]


def curve(params: dict[str, Any]) -> list[tuple[float, float]]:
    return [(step, bowl(params) + 10 / step) for step in range(1, 10)]


@pytest.mark.parametrize(
    ("strategy", "job", "options"),
    [
        ("random", bowl, {"trials": 30}),
        ("tpe", bowl, {"trials": 30}),
        ("cmaes", bowl, {"trials": 30}),
        ("tpe", bowl, {"trials": 200, "stops": ["no improvement in 9"]}),
        ("random", bowl, {"trials": 200, "stops": ["loss < 1.5"]}),
        ("random", lambda p: bowl(p) / (p["kind"] != "c"), {"trials": 200, "failures": 6}),
        ("tpe", lambda p: bowl(p) / (p["kind"] != "c"), {"trials": 25}),
        ("random", lambda p: bowl(p) + 10 / p["epochs"], {"trials": 60, "halving": Halving(1, 9, "epochs")}),
        ("tpe", lambda p: bowl(p) / (p["kind"] != "c"), {"trials": 45, "halving": Halving(1, 9, "epochs")}),
        ("random", curve, {"trials": 30, "halving": Halving(1, 9)}),
        ("tpe", curve, {"trials": 30, "halving": Halving(1, 9)}),
    ],
)
def test_many_workers_give_the_trials_of_one(strategy: Strategy, job: Any, options: dict[str, Any]) -> None:
    alone = searched(Job(job), strategy=strategy, **options)
    many = [searched(Job(job, disorder=k), strategy=strategy, workers=5, **options) for k in range(2)]

    assert len(alone.counted()) >= 6
    for search in many:
        assert listed(search) == listed(alone)
        assert search.end == alone.end
    assert len({point_key(t.params) for t in alone.counted()}) == len(alone.counted())


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_another_seed_gives_other_trials(strategy: Strategy) -> None:
    assert listed(searched(Job(bowl), strategy=strategy, seed=1, trials=3)) != listed(
        searched(Job(bowl), strategy=strategy, seed=2, trials=3)
    )


@pytest.mark.parametrize("strategy", ["grid", "random", "tpe", "cmaes"])
def test_a_space_that_is_used_up_ends_the_search_and_says_so(strategy: Strategy) -> None:
    job = Job(lambda p: p["a"] + (p["b"] == "y"))
    search = searched(job, COUNTED, strategy=strategy, trials=100, workers=3)

    assert (search.end.kind, search.end.reason) == ("exhausted", "all points of the space were tried")
    assert sorted(point_key(t.params) for t in search.counted()) == sorted(point_key(p) for p in COUNTED.cells())
    assert len(job.ran) == 12


def test_trials_run_at_once_up_to_the_number_of_workers() -> None:
    job = Job(bowl, disorder=0)
    searched(job, workers=3, trials=30)
    assert job.most_at_once == 3


def test_trials_end_the_search_at_exactly_their_number() -> None:
    job = Job(bowl)
    search = searched(job, trials=7)
    assert (len(search.trials), search.end.kind) == (7, "trials")


def test_no_improvement_ends_the_search_at_the_right_trial() -> None:
    losses = iter([5.0, 4.0, 4.5, 3.0, 3.5, 3.2, 3.1, 2.0])
    search = searched(Job(lambda p: next(losses)), trials=100, stops=["no improvement in 3"])

    assert [t.value for t in search.counted()] == [5.0, 4.0, 4.5, 3.0, 3.5, 3.2, 3.1]
    assert search.end.kind == "stop"
    assert "no improvement in 3" in search.end.reason


def test_an_improvement_that_is_too_small_does_not_count() -> None:
    losses = iter([5.0, 4.99, 4.98, 4.97])
    search = searched(Job(lambda p: next(losses)), trials=100, stops=["no improvement of 0.1 in 2"])
    assert len(search.counted()) == 3


def test_a_value_that_is_reached_ends_the_search() -> None:
    losses = iter([5.0, 2.0, 0.9, 0.5])
    search = searched(Job(lambda p: next(losses)), trials=100, stops=["loss < 1 and other >= 1"])
    assert [t.value for t in search.counted()] == [5.0, 2.0, 0.9]


def test_failures_end_the_search_at_the_right_trial_and_the_others_are_kept() -> None:
    values = iter([1, 0, 1, 1, 0, 1])
    search = searched(Job(lambda p: 1 / next(values)), trials=100, failures=2)

    assert [t.state for t in search.counted()] == ["complete", "failed", "complete", "complete", "failed"]
    assert "2 of 5 trials failed" in search.end.reason
    assert best_of(search.counted(), LOSS, None) is not None


def test_a_job_that_never_comes_through_is_not_tried_for_long() -> None:
    search = searched(Job(lambda p: 1 / 0), trials=100, workers=2)
    assert len(search.counted()) == HOPELESS
    assert "division by zero" in search.end.reason


def test_what_ran_beyond_the_end_is_kept_but_does_not_count() -> None:
    second = threading.Event()

    def job(number: int, params: dict[str, Any], report: Report, stop: threading.Event) -> Outcome:
        if number == 0:
            second.wait(10)
            return Outcome("complete", {"loss": 2.0})
        if number == 1:
            second.set()
            return Outcome("complete", {"loss": 1.0})
        return Outcome("interrupted") if stop.wait(30) else Outcome("complete", {"loss": 0.0})

    search = searched(job, trials=100, workers=2, stops=["loss <= 2"])  # type: ignore[arg-type]
    assert [t.number for t in search.counted()] == [0]
    assert search.trials[1].state == "complete"


def test_the_clock_ends_the_search_and_what_ran_is_interrupted() -> None:
    def slow(number: int, params: dict[str, Any], report: Report, stop: threading.Event) -> Outcome:
        return Outcome("interrupted") if stop.wait(0.0 if number < 3 else 60) else Outcome("complete", {"loss": 1.0 + number})

    begun = time.monotonic()
    search = searched(slow, workers=2, deadline=time.monotonic() + 0.3)  # type: ignore[arg-type]

    assert time.monotonic() - begun < 5
    assert search.end.kind == "time"
    assert [t.state for t in search.counted()] == ["complete"] * 3 + ["interrupted"] * 2


@pytest.mark.parametrize("strategy", ["random", "tpe"])
@pytest.mark.parametrize("halving", [None, Halving(1, 9), Halving(1, 9, "epochs")])
def test_a_resumed_search_goes_on_as_if_it_had_not_stopped(strategy: Strategy, halving: Halving | None) -> None:
    function = curve if halving == Halving(1, 9) else bowl
    whole = searched(Job(function), strategy=strategy, halving=halving, trials=26)
    # Number 4 was running when it was cut off, 5 to 9 had ended.
    finished = {n: t for n, t in whole.trials.items() if n < 10 and n != 4}

    job = Job(function, disorder=0)
    resumed = searched(job, strategy=strategy, halving=halving, trials=26, workers=3, known=finished)

    assert listed(resumed) == listed(whole)
    assert sorted(job.ran) == [n for n in whole.trials if n not in finished]


def test_a_resumed_search_that_had_ended_runs_nothing() -> None:
    whole = searched(Job(bowl), trials=100, stops=["no improvement in 5"])
    job = Job(bowl)
    again = searched(job, trials=100, stops=["no improvement in 5"], workers=4, known=whole.trials)
    assert (job.ran, listed(again)) == ([], listed(whole))


def test_a_metric_that_is_not_logged_is_refused_after_the_first_trial() -> None:
    job = Job(bowl)
    with pytest.raises(SpecError, match=r"no 'auc'.*logged loss, other"):
        searched(job, selector=Selector("auc", greater_is_better=True), trials=50)
    assert job.ran == [0]
    with pytest.raises(SpecError, match="no 'auc'"):
        searched(Job(bowl), stops=["auc > 0.9"], trials=50)


def test_a_value_that_is_no_number_is_a_failure() -> None:
    values = iter([1.0, float("nan"), float("inf"), 2.0])
    search = searched(Job(lambda p: next(values)), trials=4)
    assert [t.state for t in search.counted()] == ["complete", "failed", "failed", "complete"]
    assert search.counted()[1].error == "loss is nan"


def test_rounds_give_more_to_the_best_third() -> None:
    search = searched(Job(bowl), trials=13, halving=Halving(1, 9, "epochs"))
    rounds = [[t for t in search.counted() if t.params["epochs"] == epochs] for epochs in (1, 3, 9)]

    assert [len(trials) for trials in rounds] == [9, 3, 1]
    best = sorted(rounds[0], key=lambda t: t.value or 0)[:3]
    assert {t.params["x"] for t in rounds[1]} == {t.params["x"] for t in best}
    found = best_of(search.counted(), LOSS, Halving(1, 9, "epochs"))
    assert found is not None
    assert found.params["epochs"] == 9


def test_a_bracket_that_does_not_fit_is_made_smaller_or_not_begun() -> None:
    assert len(searched(Job(bowl), trials=12, halving=Halving(1, 9, "epochs")).counted()) == 11  # 8 + 2 + 1
    search = searched(Job(bowl), trials=17, halving=Halving(1, 9, "epochs"))
    assert len(search.counted()) == 13  # another one would take five
    assert "bracket" in search.end.reason


def test_trials_that_are_behind_at_a_step_are_cut_there() -> None:
    job = Job(curve)
    search = searched(job, trials=30, halving=Halving(1, 9))
    states = [t.state for t in search.counted()]

    assert states[:3] == ["complete"] * 3, "there is nothing to compare with yet"
    assert states.count("cut") >= 15
    assert {t.step for t in search.counted() if t.state == "cut"} <= {1, 3}
    best = best_of(search.counted(), LOSS, None)
    assert best is not None
    assert best.value == min(t.value for t in search.counted() if t.state == "complete" and t.value is not None)


def test_cutting_needs_a_metric_that_is_reported_step_by_step() -> None:
    with pytest.raises(SpecError, match="step by step"):
        searched(Job(bowl), trials=5, halving=Halving(1, 9))


def test_tpe_finds_better_points_than_random_draws() -> None:
    space = read_space({"x": "uniform(-5,5)", "y": "log(1e-3,1e3)", "kind": "a,b,c", "z": "int(0,100)"})

    def best(strategy: Strategy, seed: int) -> float:
        job = Job(lambda p: bowl(p) + (p["z"] - 70) ** 2 / 400)
        found = best_of(searched(job, space, strategy=strategy, seed=seed, trials=50).counted(), LOSS, None)
        assert found is not None
        assert found.value is not None
        return found.value

    tpe, drawn = ([best(strategy, seed) for seed in range(11)] for strategy in ("tpe", "random"))
    assert statistics.median(tpe) < 0.5 * statistics.median(drawn)


def test_trials_are_told_as_they_end() -> None:
    heard: list[tuple[int, int]] = []

    def hear(trial: Trial, best: Trial | None) -> None:
        assert best is not None
        heard.append((trial.number, best.number))

    losses = iter([3.0, 4.0, 2.0])
    proposer = make_proposer("random", SPACE, seed=0, ahead=4)
    Search(proposer, Job(lambda p: next(losses)), LOSS, Limits(3), 1, 4, on_trial=hear).run()
    assert heard == [(0, 0), (1, 0), (2, 2)]
