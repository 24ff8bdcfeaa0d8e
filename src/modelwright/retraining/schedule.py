"""The moments of a line of cron in a time zone, and which of them are due: functions of values, no clock.

Where the clock of the zone is moved, cron's own convention holds (Vixie's, as Debian and others ship it):

- A line whose minute and hour are fixed ("30 2 * * *") has one slot a day, come what may. One that falls into the hour that
  is skipped in spring fires as soon as that hour is over; of the hour that comes twice in autumn, the first one counts.
- A line whose minute or hour begins with "*" means an interval and follows real time: it fires in both of the equal hours,
  and has no slot in one that does not exist.

A slot is its moment in UTC. Which ones have fired is remembered as moments, never as "the last one": a clock that jumped far
ahead and was set back would otherwise silence the schedule until it is there again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from modelwright.errors import MissingExtraError, SpecError
from modelwright.spec_values import nearest

if TYPE_CHECKING:
    from croniter import croniter

#: Slots that are listed at most; what lies further back is counted by nobody.
LIMIT = 1000
_ALIASES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
#: No zone was ever moved by more than a day.
_DAY = dt.timedelta(hours=25)
_MEND = 'Write minute, hour, day, month and weekday, such as "0 3 * * 1" for Mondays at 03:00.'


def check_line(line: str) -> None:
    """Refuse what is no line of cron, or one whose moment never comes.

    Parameters
    ----------
    line : str

    Raises
    ------
    SpecError
    MissingExtraError
        If croniter is not installed.
    """
    text = line.strip().lower()
    if text.startswith("@") and text not in _ALIASES:
        raise SpecError(f"{line!r} is no schedule.", mend=nearest(text, _ALIASES))
    if not text.startswith("@") and len(text.split()) != 5:
        raise SpecError(f"{line!r} is no line of cron: it has {len(text.split())} fields, not 5.", mend=_MEND)
    try:
        _iterator(text, dt.datetime(2024, 1, 1)).get_next(dt.datetime)
    except ValueError as error:
        reason = "that day never comes" if "failed to find" in str(error) else str(error)
        raise SpecError(f"{line!r} is no line of cron: {reason}.", mend=_MEND) from None


def due_slots(line: str, zone: str, fired: dt.datetime | Iterable[dt.datetime], now: dt.datetime) -> list[dt.datetime]:
    """Slots that have come and have not fired, the newest last.

    One retraining, that of the newest, catches up on all of them; the others are those that were missed.

    Parameters
    ----------
    line : str
    zone : str
        Name of a time zone.
    fired : datetime or iterable of datetime
        Slots that fired, and the moment at which the schedule began, after which the first slot is sought.
    now : datetime
        With a time zone, like all moments here.

    Returns
    -------
    list of datetime
        In UTC, `LIMIT` of them at most.

    Examples
    --------
    >>> began, now = (dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC) for day in (27, 30))
    >>> for slot in due_slots("30 2 * * *", "Europe/Berlin", began, now):
    ...     print(slot.astimezone(ZoneInfo("Europe/Berlin")))
    2026-03-28 02:30:00+01:00
    2026-03-29 03:00:00+02:00
    2026-03-30 02:30:00+02:00
    """
    known = {fired} if isinstance(fired, dt.datetime) else set(fired)
    before = [moment for moment in known if moment <= now]
    if not before:
        return []
    return [slot for slot in slots_between(line, zone, max(before), now) if slot not in known]


def next_slots(line: str, zone: str, after: dt.datetime, n: int = 3) -> list[dt.datetime]:
    """The coming slots, in UTC; fewer than ``n`` where no more are found.

    Examples
    --------
    >>> [str(slot) for slot in next_slots("0 3 * * 1", "Europe/Berlin", dt.datetime(2026, 10, 20, tzinfo=dt.UTC), 2)]
    ['2026-10-26 02:00:00+00:00', '2026-11-02 02:00:00+00:00']
    """
    found: set[dt.datetime] = set()
    place = ZoneInfo(zone)
    for moment in _moments(line, _local(after, place) - _move_near(after, place), forward=True):
        found.update(slot for slot in _slots_of(moment, place, every=_is_interval(line)) if slot > after)
        # Moments are in the order of the clock on the wall; what comes within a move of the clock may still precede.
        if len(found) >= n:
            last = sorted(found)[n - 1]
            if moment - _local(last, place) >= _move_near(last, place):
                break
    return sorted(found)[:n]


def slots_between(line: str, zone: str, after: dt.datetime, until: dt.datetime) -> list[dt.datetime]:
    """Slots after one moment and up to another, in UTC, the newest `LIMIT` of them."""
    found: set[dt.datetime] = set()
    place = ZoneInfo(zone)
    earliest = _local(after, place) - _move_near(after, place)
    # Looking back begins before its start.
    latest = _local(until, place) + _move_near(until, place) + dt.timedelta(seconds=1)
    for moment in _moments(line, latest, forward=False):
        if moment < earliest or len(found) >= LIMIT + 2 * 60:
            break
        found.update(slot for slot in _slots_of(moment, place, every=_is_interval(line)) if after < slot <= until)
    return sorted(found)[-LIMIT:]


def _moments(line: str, start: dt.datetime, *, forward: bool) -> Iterator[dt.datetime]:
    """What the clock on the wall shows when the line matches, from a moment on, until no more is found."""
    moments = _iterator(line.strip().lower(), start)
    while True:
        try:
            yield moments.get_next(dt.datetime) if forward else moments.get_prev(dt.datetime)
        except ValueError:
            return


def _iterator(line: str, start: dt.datetime) -> croniter:
    try:
        from croniter import croniter
    except ImportError as error:
        raise MissingExtraError("croniter", "retrain") from error
    return croniter(line, start)


def _is_interval(line: str) -> bool:
    """Whether minute or hour begin with a star, as cron distinguishes it."""
    text = line.strip().lower()
    return text == "@hourly" or any(field.startswith("*") for field in text.split()[:2])


def _slots_of(moment: dt.datetime, zone: ZoneInfo, *, every: bool) -> list[dt.datetime]:
    """When the clock on the wall shows this: once; twice, or never, where it is moved."""
    first, second = (moment.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    if _local(first, zone) == moment:
        return [first, second] if every and second != first else [first]
    return [] if every else [_moved_between(second, first, zone)]


def _moved_between(low: dt.datetime, high: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """The moment at which the clock was moved ahead: the first at which it shows the new time."""
    new = high.astimezone(zone).utcoffset()
    while high - low > dt.timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if middle.astimezone(zone).utcoffset() == new else (middle, high)
    return high.replace(microsecond=0)


def _move_near(moment: dt.datetime, zone: ZoneInfo) -> dt.timedelta:
    """By how much the clock is moved within a day of a moment; nothing, but for a few days a year."""
    shown = [_local(moment + shift, zone) - moment.replace(tzinfo=None) - shift for shift in (-_DAY, dt.timedelta(0), _DAY)]
    return max(shown) - min(shown)


def _local(moment: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """What the clock on the wall shows."""
    return moment.astimezone(zone).replace(tzinfo=None)
