"""A policy replayed on what has been: when would it have asked for a retraining?

The same function decides as in earnest (`triggers.due`). Nothing is trained: each retraining counts as done at once and its
challenger as promoted, so what is found is when, not how well; for that there is the rehearsal.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from modelwright.monitoring.checked import Checked
from modelwright.retraining.policy import Policy
from modelwright.retraining.rules import Trigger
from modelwright.retraining.schedule import slots_between
from modelwright.retraining.triggers import Held, Observed, due

#: Looks at one history at most.
_MOST = 50_000
#: Rows of a table arrive in so many steps.
_STEPS = 2_000


class Arrived(NamedTuple):
    """Rows and labels that came up to a moment, since the one before."""

    at: dt.datetime
    rows: int
    labels: int


class Simulated(msgspec.Struct, frozen=True):
    """What a policy would have done.

    Parameters
    ----------
    began, ended : str
        The history, from and to; moments in UTC, ISO 8601.
    triggers : tuple of Trigger
        In their order.
    n_windows : int
        Checked windows in it.
    held : dict of str to str
        By cause: why it was held when it asked last.
    """

    began: str
    ended: str
    triggers: tuple[Trigger, ...]
    n_windows: int
    held: dict[str, str] = {}


def simulate(
    policy: Policy,
    *,
    began: dt.datetime,
    ended: dt.datetime,
    windows: Sequence[Checked] = (),
    arrived: Iterable[Arrived] = (),
) -> Simulated:
    """Replay a history.

    Parameters
    ----------
    policy : Policy
    began, ended : datetime
        The champion counts as trained and live when the history begins.
    windows : sequence of Checked
        With moments; they are known when they end, and what their labels say once these are of age.
    arrived : iterable of Arrived
        By their moments.
    """
    ends = _known_at(windows, policy.label_delay_s)
    comes = sorted(arrived)
    moments = [began, ended, *(end for end, *_ in ends), *(each.at for each in comes)]
    if policy.schedule is not None:
        moments += slots_between(policy.schedule, policy.time_zone, began, ended)
    trained, fired = began, [began]
    retrainings: list[dt.datetime] = []
    triggers: list[Trigger] = []
    held: dict[str, str] = {}
    rows = labels = n_windows = n_arrived = 0
    known: dict[int, Checked] = {}
    if policy.max_age_s is not None:
        moments.append(trained + dt.timedelta(seconds=policy.max_age_s))
    heapq.heapify(moments)
    last: dt.datetime | None = None
    for _ in range(_MOST):
        if not moments or (now := heapq.heappop(moments)) > ended:
            break
        if now == last:
            continue
        last = now
        while n_windows < len(ends) and ends[n_windows][0] <= now:
            known[ends[n_windows][1]] = ends[n_windows][2]
            n_windows += 1
        while n_arrived < len(comes) and comes[n_arrived].at <= now:
            rows, labels, n_arrived = rows + comes[n_arrived].rows, labels + comes[n_arrived].labels, n_arrived + 1
        observed = Observed(
            now, trained, windows=tuple(known.values()), new_rows=rows, new_labels=labels, retrainings=tuple(retrainings[-99:]),
            fired=tuple(fired[-99:]),
        )  # fmt: skip
        answer = due(policy, observed)
        if isinstance(answer, Held):
            if answer.cause is not None:
                held[answer.cause] = answer.reason
            if answer.until is not None:
                heapq.heappush(moments, dt.datetime.fromisoformat(answer.until))
            continue
        triggers.append(answer)
        if answer.cause == "schedule":
            fired.append(dt.datetime.fromisoformat(answer.at))
        trained, rows, labels, known = now, 0, 0, {}
        retrainings.append(now)
        if policy.max_age_s is not None:
            heapq.heappush(moments, trained + dt.timedelta(seconds=policy.max_age_s))
    return Simulated(_iso(began), _iso(ended), tuple(triggers), len(windows), held)


def _known_at(windows: Sequence[Checked], label_delay_s: float) -> list[tuple[dt.datetime, int, Checked]]:
    """When a window is known, which one it is, and as what: first without what its labels say, where these come late."""
    found = []
    for number, window in enumerate(windows):
        end = dt.datetime.fromisoformat(window.end)
        if label_delay_s and (window.realised is not None or window.of("performance")):
            alarms = tuple(alarm for alarm in window.alarms if alarm.kind != "performance")
            state = "alarm" if any(alarm.pages for alarm in alarms) else "ok"
            found.append((end, number, msgspec.structs.replace(window, alarms=alarms, state=state, realised=None, losses=None)))
            end += dt.timedelta(seconds=label_delay_s)
        found.append((end, number, window))
    return sorted(found, key=lambda each: each[:2])


def arrivals_of(times: Sequence[dt.datetime], labelled: Sequence[bool], label_delay_s: float = 0.0) -> list[Arrived]:
    """The rows of a table as they came, in steps.

    Parameters
    ----------
    times : sequence of datetime
        Of its rows, in any order.
    labelled : sequence of bool
        Whether a row has its label, which then came ``label_delay_s`` later.
    label_delay_s : float, default=0.0
    """
    if not times:
        return []
    first, delay = min(times), dt.timedelta(seconds=label_delay_s)
    step_s = max((max(times) - first).total_seconds() / _STEPS, 1.0)
    counted: dict[int, list[int]] = {}

    def count(moment: dt.datetime, what: int) -> None:
        # Counted when its step is over, and not before it came.
        counted.setdefault(-int(-(moment - first).total_seconds() // step_s), [0, 0])[what] += 1

    for moment, has in zip(times, labelled, strict=True):
        count(moment, 0)
        if has:
            count(moment + delay, 1)
    return [Arrived(first + dt.timedelta(seconds=number * step_s), *both) for number, both in sorted(counted.items())]


def arrivals_of_windows(windows: Iterable[Checked]) -> list[Arrived]:
    """Rows and labels as windows tell them, each when its window ended."""
    return [Arrived(dt.datetime.fromisoformat(each.end), each.n_rows, each.n_labels) for each in windows]


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")
