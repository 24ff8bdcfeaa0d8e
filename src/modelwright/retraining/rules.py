"""What a policy says of the gate and the release, and what asks for a retraining: values that all of this room share."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

#: What may ask for a retraining.
Cause = Literal["schedule", "drift", "performance", "estimated performance", "rows", "labels", "data", "age", "hand", "webhook"]
#: What the gate found: of the two models on rows that neither has trained on.
Answer = Literal["better", "not worse", "undecided", "worse", "refused"]


#: Of the labelled rows of the log, the newest that a challenger does not learn from, so that the gate may judge it on them:
#: a share, and at most so many, which tell two models apart. The newest rows are also those that there is most to learn from.
KEPT_SHARE, MOST_KEPT = 0.2, 1_000


def n_kept_back(n_logged: int, n_new: int, least: int, *, share: float = KEPT_SHARE) -> int:
    """How many of the newest labelled rows the gate gets.

    Parameters
    ----------
    n_logged : int
        Labelled rows that the table of the champion does not have.
    n_new : int
        Of them, those that are newer than all that the champion has learned from. Half of these at most: a challenger that
        learns from none of them knows nothing that the champion does not.
    least : int
        What the gate asks for at least.
    share : float, default=0.2
    """
    wanted = max(least, min(math.ceil(n_logged * share), MOST_KEPT))
    return min(wanted, n_new // 2)


class Trigger(msgspec.Struct, frozen=True):
    """Why a model is trained again.

    Parameters
    ----------
    cause : str
        One of `Cause`.
    reason : str
        In a sentence, with figures.
    at : str
        Moment in UTC, ISO 8601; of a schedule, that of its slot.
    evidence : dict
        Plain values, for the log of decisions.
    """

    cause: Cause
    reason: str
    at: str
    evidence: dict[str, Any] = {}


class GateRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a challenger must prove before it replaces the champion.

    Parameters
    ----------
    require : {"auto", "better", "not worse"}, default="auto"
        "auto" wants "better", but after an alarm of realised performance "not worse" is enough: as far as seen by no more than
        the margin, and beyond chance by no more than half of what the champion has lost.
    level : float, default=0.05
        Chance, over all attempts at one champion, that an equal challenger passes as better; where "not worse" is enough, of
        each attempt that one passes that is worse by the margin.
    margin : float, default=0.005
        How much worse still counts as not worse: 0.005 is half a point of AUC or accuracy, or 1.5 % of a loss such as RMSE.
    min_labels : int, default=100
        Mature labels below which nothing is decided.
    slice_margin : float, default=0.05
        How much worse a slice of rows may be, in the same measure.
    calibration_margin : float, default=0.02
        How much the calibration error may rise.
    max_latency : float or None
        Seconds that one row may take; None is three times the champion's, and at least a millisecond.
    max_size : float or None
        Bytes of the bundle.
    approval : bool, default=False
        A person must approve before the release.
    max_rejections : int, default=3
        Challengers in a row that fail before a person is asked.
    """

    require: Literal["auto", "better", "not worse"] = "auto"
    level: float = 0.05
    margin: float = 0.005
    min_labels: int = 100
    slice_margin: float = 0.05
    calibration_margin: float = 0.02
    max_latency: float | None = None
    max_size: float | None = None
    approval: bool = False
    max_rejections: int = 3


class ReleaseRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a challenger that passed goes live, and what brings the champion back.

    Parameters
    ----------
    mode : {"swap", "shadow", "canary"}, default="swap"
        "shadow" answers live rows unseen first; "canary" then answers a share of entities besides (at once, where
        ``shadow_rows`` is 0); then comes the swap.
    shadow_rows, canary_rows : int
        Rows that a shadow or canary answers before the next step.
    canary_share : float, default=0.1
    max_stage_s : float, default=86400
        Seconds after which a stage that saw too few rows ends; the release then stops and says so.
    watch_s : float, default=86400
        Seconds for which a new champion is watched.
    max_error_rate : float, default=0.01
        Share of failed answers that brings the old champion back.
    max_latency_ratio : float, default=3.0
        99th percentile over that of the old champion that does.
    max_loss : float, default=0.02
        How much worse the realised metric may be than the old champion's, in the same measure, where it is beyond chance.
    """

    mode: Literal["swap", "shadow", "canary"] = "swap"
    shadow_rows: int = 500
    canary_rows: int = 500
    canary_share: float = 0.1
    max_stage_s: float = 86400.0
    watch_s: float = 86400.0
    max_error_rate: float = 0.01
    max_latency_ratio: float = 3.0
    max_loss: float = 0.02


class Verdict(msgspec.Struct, frozen=True):
    """What the gate says of a challenger.

    Parameters
    ----------
    answer : str
        One of `Answer`; "refused" where a precondition or a guard failed.
    promote : bool
    reasons : tuple of str
        Sentences, the weightiest first.
    evidence : dict
        Plain values: metric, both scores, gain with interval and p-value, rows, level spent, guards.
    labels_needed : int or None
        Further labels that would decide, where the answer is "undecided".
    """

    answer: Answer
    promote: bool
    reasons: tuple[str, ...]
    evidence: dict[str, Any] = {}
    labels_needed: int | None = None

    @property
    def labels_awaited(self) -> int:
        """Further labels before the next try: those that would decide, but at most three quarters of those there were.

        The smaller the difference, the more labels would decide it; a model that drifts meanwhile must not wait for them. With
        nearly twice the evidence it is worth another look. Not twice: of windows of one length the next is then enough.
        """
        return min(self.labels_needed or 0, max(int(0.75 * self.evidence.get("rows", 0)), 1))
