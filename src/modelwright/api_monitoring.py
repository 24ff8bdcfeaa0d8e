"""The call that monitors a model; see `modelwright.monitor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.monitoring.monitor import Monitored


def monitor(
    model: str | Path,
    data: Any = None,
    *,
    window: str | int | None = None,
    reference: Any = None,
    part: str = "live",
    query: str | None = None,
    features: str | Path | None = None,
    home: str | Path = ".modelwright",
    store: str | None = None,
) -> Monitored:
    """Check what a model meets in production: data quality, drift, service, and its score with and without labels.

    Parameters
    ----------
    model : str or Path
        ``churn@champion``, ``churn/7``, a run, or a folder; ``NAME=`` before it where it is served under another name.
    data : table, optional
        Rows to check, as `train` reads them; by default those that the server has logged.
    window : str or int, optional
        Rows (1000) or time ("1d") of a window. By default as the last time, else 1,000 rows; of ``data`` all of them.
    reference : table, optional
        Rows that the model has not trained on, to compare with; needed for bundles that carry no reference.
    part : {"live", "canary", "shadow"}, default="live"
        Which of the logged rows.
    query : str, optional
        SQL, when ``data`` is a database URL.
    features : str or Path, optional
        File of the function that derives columns, if it was moved.
    home : str or Path, default=".modelwright"
    store : str, optional
        URL of the database, where it is not SQLite in ``home``.

    Returns
    -------
    Monitored
        With ``windows``, the oldest first, and ``latest``. Windows of the log are kept in the store.

    Raises
    ------
    InvalidInputError
        If there is no such model, or nothing to compare its rows with.
    """
    from modelwright.monitoring.monitor import monitor_log, monitor_table, watch
    from modelwright.store.database import Database

    watched = watch(model, home=Path(home), store=store, features=features, rows=reference)
    text = None if window is None else str(window)
    if data is not None:
        return monitor_table(watched, data, query=query, window=text)
    return monitor_log(watched, Database.of(Path(home), store), window=text, part=part)
