"""What `triggers.due` is to know, read from the store: the champion, its windows, and how many rows and labels are new."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modelwright.monitoring.kept import latest_windows
from modelwright.monitoring.prediction_log import moments_of
from modelwright.registry.names import CHAMPION
from modelwright.registry.registry import Registry
from modelwright.retraining.policy import Policy
from modelwright.retraining.triggers import Observed
from modelwright.store.database import Database

#: Windows that are looked at; earlier ones were looked at before.
_WINDOWS = 50


def observe(
    home: Path, store: str | None, policy: Policy, now: dt.datetime, *, retrainings: Iterable[dt.datetime] = (), **known: Any
) -> Observed:
    """Look at one model.

    Parameters
    ----------
    home : Path
    store : str or None
        URL of the database; None is SQLite in the home.
    policy : Policy
    now : datetime
    retrainings : iterable of datetime
        When retrainings of it began.
    **known
        What else is known of the model: fields of `Observed`, such as ``in_flight`` or ``fired``.
    """
    registry = Registry(home, store)
    began = tuple(sorted(retrainings))
    champion = next((version for version in registry.versions(policy.model) if CHAMPION in version.aliases), None)
    if champion is None:
        return Observed(now, retrainings=began, **known)
    trained = _moment(champion.created)
    moves = [each.at for each in registry.decisions(policy.model) if each.alias == CHAMPION]
    swapped = _moment(moves[-1]) if moves else trained
    since = max([trained, *(moment for moment in began if moment <= now)])
    database = registry.database
    windows = latest_windows(
        database, policy.model, version=str(champion.number), span=policy.window.text, n=_WINDOWS
    )  # fmt: skip
    return Observed(
        now, trained, swapped, str(champion.number), tuple(windows),
        new_rows=_new_rows(database, policy.model, since), retrainings=began,
        new_labels=_new_labels(database, policy.model, since, now, policy.label_delay_s), **known,
    )  # fmt: skip


def _new_rows(database: Database, model: str, since: dt.datetime) -> int:
    """Rows that were answered since a moment."""
    wanted = "SELECT sum(n_rows) FROM predictions WHERE home = :home AND model = :model AND part = 'live' AND at > :since"
    return int(_rows(database, wanted, model=model, since=_iso(since))[0][0] or 0)


def _new_labels(database: Database, model: str, since: dt.datetime, now: dt.datetime, delay_s: float) -> int:
    """Labels that came of age since a moment: received, and their row older than the delay. Corrections are not new."""
    wanted = "FROM labels WHERE home = :home AND model = :model AND revision = 1 AND received > :since"
    if not delay_s:
        return int(_rows(database, f"SELECT count(*) {wanted}", model=model, since=_iso(since))[0][0])
    delay = dt.timedelta(seconds=delay_s)
    received = dict(_rows(database, f"SELECT prediction, received {wanted}", model=model, since=_iso(since - delay)))
    answered = moments_of(database, received)
    of_age = [
        max(_moment(text), _moment(answered[name]) + delay) if name in answered else _moment(text)
        for name, text in received.items()
    ]
    return sum(since < moment <= now for moment in of_age)


def _rows(database: Database, sql: str, **values: Any) -> list[Any]:
    import sqlalchemy as sa

    with database.reading() as connection:
        return list(connection.execute(sa.text(sql), {"home": database.home, **values}))


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds")
