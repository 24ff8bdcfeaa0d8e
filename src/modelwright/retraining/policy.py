"""When a model is trained again by itself: the section ``[policy]`` of ``modelwright.toml`` as one frozen value.

How it is trained is what the rest of the file says. Lengths of time are written as "1d" or "12h" and are seconds here, in
fields that end in ``_s``. Reading is for `policy_file`, deciding for `triggers`, moments of the schedule for `schedule`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from modelwright.retraining.rules import GateRules, ReleaseRules
from modelwright.spec_sections import DAY_S, length_of

#: Alarms of monitoring that may ask for a retraining; "drift" is that of any column that the model reads.
Alarming = Literal["performance", "estimated performance", "prediction drift", "drift"]


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of rows: the latest ``seconds``, the latest ``rows``, or what came from ``since`` on; all of them, if none.

    Parameters
    ----------
    seconds : float or None
    rows : int or None
    since : str or None
        Moment or day, ISO 8601; UTC where it names no zone.
    """

    seconds: float | None = None
    rows: int | None = None
    since: str | None = None

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"the latest {length_of(self.seconds)}"
        if self.rows is not None:
            return f"the latest {self.rows:,} rows"
        return "all rows" if self.since is None else f"rows since {self.since}"

    @property
    def text(self) -> str:
        """As monitoring is asked for windows: "1000" or "1d"."""
        if self.seconds is None:
            return "" if self.rows is None else str(self.rows)
        whole = max(round(self.seconds), 1)
        unit, word = next((each for each in ((86400, "d"), (3600, "h"), (60, "m")) if whole % each[0] == 0), (1, "s"))
        return f"{whole // unit}{word}"


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a model is trained again, what the new one must prove, and how it goes live.

    Without a word it retrains on a confirmed alarm of realised performance; on one of estimated performance or of drifted
    predictions once `min_new_labels` are there; and when the champion is three months old and five times as many are. By hand
    is always possible.

    Parameters
    ----------
    model : str
        Name in the registry; the file may leave it out and is then asked for its ``name``, else that of its data.
    schedule : str or None
        Line of cron, such as "0 3 * * 1"; a slot trains whatever monitoring says.
    time_zone : str, default="UTC"
        Of the schedule, such as "Europe/Berlin".
    on : tuple of str
        Alarms that ask for a retraining.
    new_rows, new_labels : int or None
        Rows or labels since the champion's training that do.
    new_data : bool, default=False
        Whether a table with another fingerprint does.
    max_age_s : float or None, default=7776000.0
        Age of the champion that does.
    webhook : bool, default=False
        Whether a call from outside may.
    min_new_labels : int, default=200
        Labels since the champion's training without which estimates and drift do not: nothing could be learned. Age, which
        says nothing against the champion, waits for five times as many until that is five times too old.
    label_delay_s : float, default=0.0
        How long labels take. Younger rows neither train nor judge: those of them with a label are not like the others.
    train_on : Span
        Rows that the new model learns from.
    window : Span
        Rows that monitoring looks at in one go.
    cool_down_s : float, default=86400.0
        Time after one retraining before the next, unless a person asks.
    max_per_week : int, default=3
        Retrainings within seven days, unless a person asks.
    refit : bool, default=True
        Whether a challenger that passed the gate is trained once more in the same way before it goes live, on all labelled
        rows: those that it was judged on, and those that came since.
    gate : GateRules
    release : ReleaseRules
    """

    model: str
    schedule: str | None = None
    time_zone: str = "UTC"
    on: tuple[Alarming, ...] = ("performance", "estimated performance", "prediction drift")
    new_rows: int | None = None
    new_labels: int | None = None
    new_data: bool = False
    max_age_s: float | None = 90 * DAY_S
    webhook: bool = False
    min_new_labels: int = 200
    label_delay_s: float = 0.0
    train_on: Span = Span()
    window: Span = Span(rows=1000)
    cool_down_s: float = DAY_S
    max_per_week: int = 3
    refit: bool = True
    gate: GateRules = GateRules()
    release: ReleaseRules = ReleaseRules()
