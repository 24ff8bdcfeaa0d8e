"""One retraining, from what asked for it to the verdict on live traffic; killed anywhere, it goes on at its step.

::

    snapshot -> audit -> train -> register -> judge -> approve -> collect -> refit -> release

Every step is written down twice: by DBOS, which takes the workflow up again, and in our own store, where its result can be
seen, moves along with the store, and answers a workflow that was begun anew. A store that is away is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import msgspec

from modelwright.errors import ModelwrightError, StorageError
from modelwright.retraining import steps
from modelwright.retraining.requests import Outcome, Retraining, Retrainings
from modelwright.retraining.steps import Made, Room

if TYPE_CHECKING:
    from modelwright.retraining.engine import Step
    from modelwright.serving.logs import Log

T = TypeVar("T")
StepFunction = Callable[[Room, Retraining, dict[str, Made]], Made]
#: Steps of each kind of request, in their order.
STEPS: dict[str, dict[str, StepFunction]] = {
    "retrain": {
        "snapshot": steps.snapshot, "audit": steps.audit, "train": steps.train, "register": steps.register,
        "judge": steps.judge, "approve": steps.approve, "collect": steps.collect, "refit": steps.refit,
        "release": steps.release,
    },
    "judge": {
        "recall": steps.recall, "judge": steps.judge, "approve": steps.approve, "collect": steps.collect, "refit": steps.refit,
        "release": steps.release,
    },
}  # fmt: skip
#: Seconds between tries while the store is away, and for how long it is waited for within a step.
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_PATIENCE_S = 1800.0


class Retrain:
    """Does retrainings.

    Parameters
    ----------
    room : Room
    retrainings : Retrainings
    worker : str
        Who does them, for the status.
    log : Log
    at_end, at_wait : callable
        Told of each one that ended, and that begins to wait for a person: for alerts and tidying.
    """

    def __init__(
        self,
        room: Room,
        retrainings: Retrainings,
        worker: str,
        log: Log,
        at_end: Callable[[Retraining], None] | None = None,
        at_wait: Callable[[Retraining], None] | None = None,
    ) -> None:
        self._room, self._retrainings, self._worker, self._log = room, retrainings, worker, log
        self._at_end, self._at_wait = at_end, at_wait
        #: Set where any worker of the store may train.
        self.train_anywhere: Callable[[str, dict[str, Any]], Any] | None = None

    def __call__(self, retraining: str, run_step: Step) -> dict[str, Any]:
        """The workflow."""
        asked = patiently(lambda: self._retrainings.get(retraining))
        made: dict[str, Made] = {}
        for name, function in STEPS[asked.kind].items():
            if name == "train" and self.train_anywhere is not None:
                made[name] = self._trained_anywhere(asked, dict(made), run_step)
            else:
                made[name] = run_step(name, self._step(asked, name, function, dict(made)))
            made |= made["recall"].get("steps", {}) if name == "recall" else {}
            if "stop" in made[name]:
                return dict(run_step("end", self._ending(asked, made[name]["stop"], made[name]["told"])))
        return dict(run_step("end", self._ending(asked, "stopped", "It went to its end, and nothing was decided.")))

    def _step(self, asked: Retraining, name: str, function: StepFunction, given: dict[str, Made]) -> Callable[[], Made]:
        def step() -> Made:
            kept = patiently(lambda: self._retrainings.begin(asked.id, name, self._worker))
            if kept is not None:
                return kept
            self._log.write("step", retraining=asked.id, step=name)
            if name == "approve" and self._at_wait is not None and steps.wants_approval(given):
                self._at_wait(patiently(lambda: self._retrainings.wait(asked.id)))
            made = done(name, lambda: function(self._room, asked, given), self._log)
            version = int(made.get("version", 0))
            return patiently(lambda: self._retrainings.finish(asked.id, name, made, version=version))

        return step

    def _trained_anywhere(self, asked: Retraining, given: dict[str, Made], run_step: Step) -> Made:
        """The step "train", done by whichever worker is free, on this machine or another."""
        assert self.train_anywhere is not None
        kept = run_step("train begins", lambda: patiently(lambda: self._retrainings.begin(asked.id, "train", "any worker")))
        if kept is not None:
            return dict(kept)
        work = steps.work_of(self._room, asked, "train", given)
        made = self.train_anywhere(asked.id, msgspec.to_builtins(work))
        return dict(run_step("train", lambda: patiently(lambda: self._retrainings.finish(asked.id, "train", made))))

    def _ending(self, asked: Retraining, outcome: str, told: str) -> Callable[[], Made]:
        def end() -> Made:
            assert outcome in get_args(Outcome)
            closed = patiently(lambda: self._retrainings.end(asked.id, cast(Outcome, outcome), told))
            self._log.write("retraining ended", retraining=asked.id, model=asked.model, outcome=closed.outcome)
            if self._at_end is not None:
                self._at_end(closed)
            return {"outcome": closed.outcome, "told": closed.told, "version": closed.version}

        return end


def done(name: str, do: Callable[[], Made], log: Log) -> Made:
    """What a step makes; one that fails stops the retraining, with the reason.

    Parameters
    ----------
    name : str
    do : callable
    log : Log
    """
    try:
        return patiently(do)
    except ModelwrightError as error:
        told = " ".join(filter(None, (f"{error.where}:" if error.where else "", error.what, error.mend)))
        return steps.stop({}, "failed", f"The step {name!r} failed. {told}")
    except Exception as error:  # a fault of ours ends this one retraining, and is told; the worker goes on
        log.write("failure", place=f"step {name}", error=type(error).__name__)
        return steps.stop({}, "failed", f"The step {name!r} failed: {type(error).__name__}: {error}")


def patiently(do: Callable[[], T], *, patience_s: float = _PATIENCE_S) -> T:
    """Do something with the store, again and again while it is away.

    Parameters
    ----------
    do : callable
    patience_s : float, default=1800.0

    Raises
    ------
    StorageError
        If it does not come back.
    """
    began, tries = time.monotonic(), 0
    while True:
        try:
            return do()
        except StorageError:
            if time.monotonic() - began > patience_s:
                raise
            time.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1
