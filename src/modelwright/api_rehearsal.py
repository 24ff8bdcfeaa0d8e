"""`rehearse`: history played through the loop under several policies."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.api import train_spec
from modelwright.errors import InvalidInputError
from modelwright.spec import Spec, describe_source, resolve_spec

if TYPE_CHECKING:
    import polars as pl

    from modelwright.retraining.policy import Policy
    from modelwright.retraining.rehearsal.values import Contestant, Rehearsal

#: Times that the plain practice of training by the calendar gets within a rehearsal.
_PERIODIC = 8
#: Column of positions in a table whose rows stand in the order of time.
_ROW = "row of the history"


def rehearse(
    data: Any,
    *,
    target: str,
    time: str | None = None,
    policies: Mapping[str, Policy | Mapping[str, Any]] | None = None,
    every: Sequence[int] | None = None,
    first: float = 0.2,
    windows: int = 40,
    window_rows: int | None = None,
    step: str | float | None = None,
    label_delay: str | float | None = None,
    trials: int = 1,
    algorithms: Sequence[str] = ("lightgbm",),
    on_window: Callable[[str, int, int, str], None] | None = None,
    **spec: Any,
) -> Rehearsal:
    """Play history through monitoring, triggers, retraining and the gate, under several policies.

    The first part of the rows trains a model. Window by window it then answers the rows that follow, labels come, monitoring
    looks, and each policy does what it would have done. Beside the policies run a model that is never trained again, and one
    that is trained at fixed intervals and always goes live.

    Parameters
    ----------
    data : str, Path or table
        As for `train`.
    target : str
    time : str, optional
        Column that orders the rows: dates, moments or numbers. Without it they stand in the order of time already.
    policies : dict of str to Policy or dict, optional
        By name, as values or as the section ``[policy]`` says them; by default one, of default settings.
    every : sequence of int, optional
        Intervals, in windows, of the trainings by calendar; by default one eighth of the windows. Empty: none.
    first : float, default=0.2
        Share of the rows that the first model learns from.
    windows : int, default=40
        Into how many windows the other rows are cut.
    window_rows : int, optional
        Rows of a window, instead of ``windows``.
    step : str or float, optional
        Time from one row to the next where the table holds no dates, such as "30m"; by default a window is a week.
    label_delay : str or float, optional
        How long labels take, for policies that do not say.
    trials : int, default=1
    algorithms : sequence of str, default=("lightgbm",)
        How each model is trained: little, since there are many of them.
    on_window : callable, optional
        Called with contestant, windows done, windows in all, and what happened.
    **spec
        Further settings of the training, as for `train`.

    Returns
    -------
    Rehearsal

    Raises
    ------
    InvalidInputError, DataError
        If the table cannot be read in time, or is too small.
    SpecError
        If a setting is wrong.
    """
    import datetime as dt

    import polars as pl

    from modelwright.metrics.registry import METRICS
    from modelwright.retraining.rehearsal.history import history_of
    from modelwright.retraining.rehearsal.play import Workshop, with_rest_of_a_window
    from modelwright.retraining.rehearsal.play import rehearse as play_all
    from modelwright.retraining.rehearsal.values import Rehearsal
    from modelwright.tables.read import read

    wished = {"data": data, "target": target, "time": time, "trials": trials, "algorithms": list(algorithms), **spec}
    asked = resolve_spec(None, wished)
    frame = read(asked.data, query=asked.query).frame
    pace = None if step is None else dt.timedelta(seconds=_seconds(step, "step"))
    if time is None:
        # Folds of the search must follow time too: neighbours in time are alike.
        asked = msgspec.structs.replace(asked, time=_ROW)
        frame = frame.with_columns(pl.int_range(pl.len()).alias(_ROW))
    history = history_of(frame, target, asked.time, first=first, windows=windows, window_rows=window_rows, step=pace)
    delay_s = 0.0 if label_delay is None else _seconds(label_delay, "label_delay")
    intervals = [max(1, history.n_windows // _PERIODIC)] if every is None else list(every)
    field = _contestants(policies, intervals, delay_s)
    field = [
        c if c.policy is None else msgspec.structs.replace(c, policy=with_rest_of_a_window(c.policy, history)) for c in field
    ]
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        shop = Workshop(history, lambda frame, name: _trained(asked, frame, name, Path(folder)))
        lives = play_all(field, shop, on_window)
        metric = METRICS[shop.model(0, history.cuts[0]).model.metric]
    settings = {"training": f"{trials} {'trial' if trials == 1 else 'trials'} of {', '.join(asked.algorithms)}"}
    if delay_s:
        settings["labels come after"] = str(label_delay)
    return Rehearsal(
        describe_source(asked.data), target, metric.name, metric.greater_is_better, history.cuts[0], history.frame.height,
        lives, history.dated, settings,
    )  # fmt: skip


def _seconds(value: str | float, name: str) -> float:
    from modelwright.spec_sections import seconds_of

    seconds = seconds_of(value)
    if seconds is None or seconds < 0 or (name == "step" and seconds == 0):
        raise InvalidInputError(f"{value!r} is no length of time.", where=name, mend="Write it as 30m, 12h or 7d.")
    return seconds


def _contestants(
    policies: Mapping[str, Policy | Mapping[str, Any]] | None, intervals: Sequence[int], delay_s: float
) -> list[Contestant]:
    from modelwright.retraining.policy import Policy
    from modelwright.retraining.policy_file import policy_of
    from modelwright.retraining.rehearsal.values import Contestant

    field = [Contestant("never")]
    for k in intervals:
        if k < 1:
            raise InvalidInputError(f"Every {k} windows is no interval.", where="every", mend="Give whole numbers from 1.")
        field.append(Contestant("every window" if k == 1 else f"every {k} windows", every=k))
    for name, given in (policies or {"default policy": {}}).items():
        policy = given if isinstance(given, Policy) else policy_of({"model": "rehearsal", **given}, where=f"policy {name!r}")
        if delay_s and not policy.label_delay_s:
            policy = msgspec.structs.replace(policy, label_delay_s=delay_s)
        field.append(Contestant(name, policy))
    return field


def _trained(asked: Spec, frame: pl.DataFrame, name: str, home: Path) -> Path:
    """The bundle of a model of some rows; nothing is sealed, since the windows that follow are what it is judged on."""
    spec = msgspec.structs.replace(
        asked, data=frame, query=None, evaluation="none", name=name, home=str(home), store=None, artifacts=None, budget_s=None
    )
    return train_spec(spec).folder / "model"
