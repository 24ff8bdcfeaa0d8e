"""Windows that were checked, in the store: what persistence is counted with, plots are drawn from, and triggers read."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from modelwright.monitoring.checked import Checked
from modelwright.monitoring.windows import read_span
from modelwright.store.database import Database


def keep_window(database: Database, checked: Checked, *, span: str, part: str = "live", now: dt.datetime | None = None) -> None:
    """Write a window, in place of what an earlier check of it found.

    Parameters
    ----------
    database : Database
    checked : Checked
    span : str
        What windows were asked for: "1000", "1d".
    part : {"live", "canary", "shadow"}, default="live"
    now : datetime, optional
        Moment of the check; labels that come from then on make it due again.
    """
    import sqlalchemy as sa

    line = {
        "home": database.home, "model": checked.model, "version": checked.version, "part": part, "span": span,
        "starts": checked.start,
        "ends": checked.end, "n_rows": checked.n_rows, "n_labels": checked.n_labels, "state": checked.state,
        "checked_at": (now or dt.datetime.now(dt.UTC)).isoformat(timespec="microseconds"),
        "findings": msgspec.json.encode(checked),
    }  # fmt: skip
    told = ("ends", "n_rows", "n_labels", "state", "checked_at", "findings")
    with database.writing() as connection:
        connection.execute(
            sa.text(
                f"INSERT INTO windows ({', '.join(line)}) VALUES ({', '.join(f':{name}' for name in line)})"
                " ON CONFLICT (home, model, version, part, span, starts)"
                f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in told)}"
            ),
            line,
        )


def latest_windows(
    database: Database,
    model: str,
    *,
    version: str | None = None,
    span: str | None = None,
    part: str = "live",
    n: int = 20,
) -> list[Checked]:
    """The windows of a model that were checked last.

    Parameters
    ----------
    database : Database
    model : str
    version : str, optional
        Only those of one version.
    span : str, optional
        Only windows of this length ("1000", "1d", or "24h" for the same); by default those of the window that was checked
        last.
    part : {"live", "canary", "shadow"}, default="live"
    n : int, default=20

    Returns
    -------
    list of Checked
        The oldest first.
    """
    return [checked for checked, _ in kept_windows(database, model, version=version, span=span, part=part, n=n)]


def kept_windows(
    database: Database,
    model: str,
    *,
    version: str | None = None,
    span: str | None = None,
    part: str = "live",
    n: int = 20,
) -> list[tuple[Checked, str]]:
    """Like `latest_windows`, each with the moment at which it was checked."""
    import sqlalchemy as sa

    given: dict[str, Any] = {"home": database.home, "model": model, "part": part, "version": version}
    where = "home = :home AND model = :model AND part = :part" + ("" if version is None else " AND version = :version")
    with database.reading() as connection:
        span = read_span(span).text if span else _last_span(connection, where, given)
        wanted = sa.text(
            f"SELECT findings, checked_at FROM windows WHERE {where} AND span = :span ORDER BY ends DESC, version DESC LIMIT :n"
        )
        lines = connection.execute(wanted, given | {"span": span, "n": n}).fetchall()
    return [(msgspec.json.decode(bytes(findings), type=Checked), at) for findings, at in reversed(lines)]


def last_span(database: Database, model: str, version: str, part: str = "live") -> str | None:
    """The length of the window that was checked last; None if none was."""
    given = {"home": database.home, "model": model, "part": part, "version": version}
    with database.reading() as connection:
        return _last_span(connection, "home = :home AND model = :model AND part = :part AND version = :version", given)


def _last_span(connection: Any, where: str, given: dict[str, Any]) -> str | None:
    import sqlalchemy as sa

    asked = sa.text(f"SELECT span FROM windows WHERE {where} ORDER BY checked_at DESC, ends DESC LIMIT 1")
    found: str | None = connection.execute(asked, given).scalar()
    return found
