"""The process that watches a policy: checks windows, asks `triggers.due`, and writes down what is to be done.

It holds nothing: what it decides on stands in the store, so it may be killed, and two of them may run. Each wish has a key
made of its evidence (of a schedule, its slot), and a key asks once. Checking windows loads a model; that is done in a child.
"""

from __future__ import annotations

import datetime as dt
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from modelwright.alerting.outbox import deliver_waiting, notify
from modelwright.alerting.rules import AlertRule, events_of
from modelwright.alerting.rules_file import find_alert_rules
from modelwright.errors import InvalidInputError, ModelwrightError
from modelwright.monitoring.kept import latest_windows
from modelwright.retraining import heartbeat
from modelwright.retraining.by_hand import policy_here
from modelwright.retraining.children import Work, compute, forget
from modelwright.retraining.known import labels_needed, observed
from modelwright.retraining.observing import observe
from modelwright.retraining.policy import Policy
from modelwright.retraining.release import step
from modelwright.retraining.requests import Asked, Retrainings
from modelwright.retraining.rules import Trigger
from modelwright.retraining.steps import Room
from modelwright.retraining.triggers import Held, due
from modelwright.serving.logs import Log
from modelwright.spec import FILE_NAME

#: Seconds between looks at the policy, and between checks of windows.
LOOK_S, CHECK_S = 5.0, 60.0
#: How often the gate is asked again about one challenger.
MOST_JUDGEMENTS = 1
#: Latest windows that alerts are told of.
_NEWS = 3


class Scheduler:
    """Watches the policy of the working folder.

    Parameters
    ----------
    room : Room
    log : Log
    check_s : float, default=60.0
        Seconds between checks of windows.
    clock : callable, optional
        Gives the moment.
    """

    def __init__(
        self,
        room: Room,
        log: Log,
        *,
        check_s: float = CHECK_S,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self.room, self.log, self._check_s, self._clock = room, log, check_s, clock
        self.retrainings = Retrainings(room.home, room.store)
        self._checked: float | None = None
        self._data: str | None = None
        self._held = ""

    def look(self, policy: Policy, rules: tuple[AlertRule, ...] = ()) -> Asked | None:
        """Look once; what was asked for, if anything was.

        Parameters
        ----------
        policy : Policy
        rules : tuple of AlertRule, default=()
        """
        now = self._clock()
        if self._checked is None or time.monotonic() - self._checked >= self._check_s:
            self._checked = time.monotonic()
            self._check(policy, rules)
        self._bring_forward(policy, now)
        asked = self.decide(policy, now)
        if rules:
            deliver_waiting(self.retrainings.database, rules, now, home=self.retrainings.home)
        return asked

    def decide(self, policy: Policy, now: dt.datetime) -> Asked | None:
        """Ask for a retraining, or for a further judgement, if one is due."""
        known = observed(self.room, self.retrainings, policy, now, data=self._data)
        answer = due(policy, known)
        fallen = isinstance(answer, Trigger) and answer.cause == "performance"
        if known.in_flight is None and not fallen:
            # Before another one is trained, the one that labels were missing for is looked at again; unless the champion
            # has fallen, since then the rows that came with the fall are worth more than a verdict on a model without them.
            again = self._judge_again(policy, now)
            if again is not None and again.new:
                return again
        if isinstance(answer, Held):
            if answer.reason != self._held and known.in_flight is None:
                self._held = answer.reason
                self.log.write("not due", model=policy.model, reason=answer.reason)
            return None
        self._held = ""
        last = max(known.retrainings, default=known.trained_at)
        key = f"slot {answer.at}" if answer.cause == "schedule" else f"{answer.cause} after {known.version} {last}"
        asked = self.retrainings.ask(policy.model, answer, key=key, by_whom="scheduler", options=_options())
        if asked.new:
            one = asked.retraining
            self.log.write("retraining asked for", model=policy.model, retraining=one.id, reason=answer.reason)
        return asked

    def _bring_forward(self, policy: Policy, now: dt.datetime) -> None:
        """Bring a release forward, whoever began it; of one that a retraining waits for this is one look more."""
        registry = self.room.registry()
        release = registry.in_flight(policy.model)
        if release is not None:
            step(registry.database, registry, release.id, now)

    def _judge_again(self, policy: Policy, now: dt.datetime) -> Asked | None:
        """A challenger for which labels were missing is judged again when they have come."""
        ended = self.retrainings.latest(policy.model, MOST_JUDGEMENTS + 1)
        if not ended or ended[0].outcome != "undecided":
            return None
        last = ended[0]
        before = [each for each in ended if each.version == last.version]
        needed = labels_needed(self.retrainings, ended)
        since = dt.datetime.fromisoformat(last.ended or last.at)
        came = observe(self.room.home, self.room.store, policy, now, retrainings=[since]).new_labels
        if len(before) > MOST_JUDGEMENTS or came < max(1, needed):
            return None
        origin = last.options.get("origin", last.id)
        reason = f"Labels have come for {policy.model}/{last.version}."
        trigger = Trigger(last.trigger.cause, reason, now.isoformat(), last.trigger.evidence)
        options = {**_options(), "origin": origin, "version": last.version}
        key = f"judge {last.version} again, {len(before)}"
        return self.retrainings.ask(policy.model, trigger, kind="judge", key=key, by_whom="scheduler", options=options)

    def _check(self, policy: Policy, rules: tuple[AlertRule, ...]) -> None:
        """Check the windows of the log, and tell who wants to be told."""
        name = f"watch-{policy.model}-{uuid.uuid4().hex[:8]}"
        trigger = Trigger("hand", "", "")
        home, given = str(self.room.home.absolute()), {"options": _options()}
        work = Work("watch", name, policy.model, trigger, home, self.room.store, None, given)
        try:
            made = compute(work)
        except ModelwrightError as error:
            self.log.write("windows not checked", model=policy.model, reason=error.what)
            return
        finally:
            forget(self.room.home, name)
        self._data = made.get("data") or self._data
        # Of a rule that is new, what is long past is no news.
        for window in latest_windows(self.retrainings.database, policy.model, n=_NEWS) if rules else ():
            for event in events_of(window):
                notify(self.retrainings.database, rules, event, now=self._clock(), home=self.retrainings.home)


def run_scheduler(room: Room, log: Log, *, check_s: float = CHECK_S) -> None:
    """Watch until a signal comes.

    Parameters
    ----------
    room : Room
    log : Log
    check_s : float, default=60.0

    Raises
    ------
    InvalidInputError
        If ``modelwright.toml`` of the working folder has no policy.
    """
    ending = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ending.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    policy = policy_here()
    if policy is None:
        raise InvalidInputError(
            "There is no policy to watch.", where=str(Path(FILE_NAME).absolute()),
            mend="Write a section [policy], and run this in the folder of the file.",
        )  # fmt: skip
    scheduler = Scheduler(room, log, check_s=check_s)
    database, home = scheduler.retrainings.database, scheduler.retrainings.home
    log.write("scheduler ready", model=policy.model, host=socket.gethostname())
    away = False
    with heartbeat.Beats(database, home, every_s=LOOK_S) as beats:
        while True:
            try:
                policy = _again(policy, log)
                beats.looked([policy.model])
                scheduler.look(policy, find_alert_rules(Path(FILE_NAME)))
                away = False
            except ModelwrightError as error:
                if not away:
                    log.write("policy not watched", error=type(error).__name__, reason=error.what)
                away = True
            if ending.wait(LOOK_S):
                break
    log.write("scheduler ended", model=policy.model)


def _again(policy: Policy, log: Log) -> Policy:
    """The policy as the file has it now; one that was made wrong is told, and the last good one holds."""
    try:
        return policy_here() or policy
    except InvalidInputError as error:
        log.write("policy not read", reason=error.what, where=error.where)
        return policy


def _options() -> dict[str, Any]:
    file = Path(FILE_NAME)
    return {"file": str(file.absolute())} if file.is_file() else {}
