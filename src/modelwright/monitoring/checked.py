"""What a check of a window found: values that are stored, drawn, and read by whoever acts on them.

An `Alarm` of inputs alone explains and does not page: only what touches quality, answers, score or service does.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from modelwright.monitoring.drift import State

Kind = Literal["quality", "drift", "prediction drift", "performance", "estimated performance", "service", "volume"]
Method = Literal["CBPE", "weighted CBPE", "DLE"]
#: Kinds that by themselves are no reason to wake anybody.
EXPLAINS: frozenset[Kind] = frozenset({"drift"})


class Alarm(msgspec.Struct, frozen=True):
    """One thing that passed its whole rule.

    Parameters
    ----------
    kind : str
        One of `Kind`.
    column : str
        Name of the column; empty where it concerns none.
    message : str
        In a sentence, with figures.
    effect : float
        In the unit of the kind: a distance or share of rows in [0, 1], a difference of the metric, a ratio.
    p : float
        Chance of so much without a change; NaN is never written, 0 stands for certain.
    mend : str
        What to do first.
    fault : str
        Of an alarm of quality, which one (`quality.Fault`): a column that is frozen is broken, one with new labels is not.
    """

    kind: Kind
    column: str
    message: str
    effect: float
    p: float = 0.0
    mend: str = ""
    fault: str = ""

    @property
    def pages(self) -> bool:
        """Whether somebody should be told; drift of inputs alone only explains."""
        return self.kind not in EXPLAINS


class Share(msgspec.Struct, frozen=True):
    """An interval or label of a column: its share of rows then and now, and the mean loss of held-out rows in it."""

    label: str
    was: float
    now: float
    loss: float | None = None


class ColumnCheck(msgspec.Struct, frozen=True):
    """One column of a window beside the reference.

    ``missing`` and ``was_missing`` are shares of rows; ``distance`` is the largest difference between two shares of rows;
    ``moves`` is by how much the column's new distribution changes the expected loss of a row, None where nothing is known;
    ``shares`` is told of columns that have changed.
    """

    name: str
    kind: Literal["numbers", "labels"]
    state: State
    n: int
    missing: float
    was_missing: float
    distance: float
    p: float
    moved: str = ""
    importance: float = 0.0
    moves: float | None = None
    shares: tuple[Share, ...] = ()


class Realised(msgspec.Struct, frozen=True):
    """The score on rows whose labels have come, with its 95 % interval, and that of the reference."""

    metric: str
    greater_is_better: bool
    value: float
    low: float
    high: float
    reference: float
    n_labels: int
    state: State = "ok"


class Estimated(msgspec.Struct, frozen=True):
    """The score as it is to be expected without labels.

    ``low`` and ``high`` are the band in which the score of these very rows should lie while ``assumption`` holds.
    """

    metric: str
    greater_is_better: bool
    value: float
    low: float
    high: float
    reference: float
    method: Method
    assumption: str
    state: State = "ok"


class Losses(msgspec.Struct, frozen=True):
    """Losses of labelled rows in [0, 1]: their mean in the window, and before and after the change that ADWIN noticed in it.

    ``changed`` is whether it noticed a rise; ``before`` and ``after`` are then the means on both sides.
    """

    mean: float
    changed: bool = False
    before: float | None = None
    after: float | None = None


class Multivariate(msgspec.Struct, frozen=True):
    """How well a classifier tells the window's rows from those of the reference: 0.5 is not at all, 1 always."""

    auc: float
    p: float
    state: State
    #: Columns that it uses most, the first most.
    columns: tuple[str, ...] = ()


class Service(msgspec.Struct, frozen=True):
    """How the answers of a window went; ``error_rate`` is None where failed answers are not known."""

    n_answers: int
    p50_ms: float
    p99_ms: float
    error_rate: float | None = None
    state: State = "ok"


class Checked(msgspec.Struct, frozen=True):
    """A window of rows, checked.

    Parameters
    ----------
    model, version : str
        As in the log of predictions.
    start, end : str
        Moments in UTC, ISO 8601: from, and up to but without. Of a table without times, positions of rows.
    n_rows, n_labels : int
    state : {"ok", "warning", "alarm", "not enough data"}
        "alarm" if anything pages; "warning" if something passed its rule or half of it that does not; "not enough data" if
        neither drift nor performance could be judged.
    alarms : tuple of Alarm
        What passed its whole rule, persistence included; those that page first, then by importance and effect.
    warnings : tuple of Alarm
        What passed a part of its rule.
    realised, estimated : Realised, Estimated or None
        Realised labels overrule an estimate: with both, only ``realised`` raises an alarm.
    losses : Losses or None
        Of labelled rows in their order, watched by ADWIN.
    notes : tuple of str
        What could not be judged, and why.
    exceeded : tuple of str
        Names beyond their limits in this window, whatever the ones before say; persistence is counted with them.
    complete : bool
        False for a window that rows are still coming to.
    """

    model: str
    version: str
    start: str
    end: str
    n_rows: int
    n_labels: int
    state: State
    alarms: tuple[Alarm, ...] = ()
    warnings: tuple[Alarm, ...] = ()
    columns: tuple[ColumnCheck, ...] = ()
    answers: tuple[ColumnCheck, ...] = ()
    multivariate: Multivariate | None = None
    realised: Realised | None = None
    estimated: Estimated | None = None
    service: Service | None = None
    losses: Losses | None = None
    notes: tuple[str, ...] = ()
    exceeded: tuple[str, ...] = ()
    complete: bool = True

    def of(self, *kinds: Kind) -> tuple[Alarm, ...]:
        """The alarms of these kinds."""
        return tuple(alarm for alarm in self.alarms if alarm.kind in kinds)

    @property
    def pages(self) -> tuple[Alarm, ...]:
        """The alarms for which somebody should be told."""
        return tuple(alarm for alarm in self.alarms if alarm.pages)
