"""What happened, and who is told: values alone. Sending is for `channels`, keeping and trying again for `outbox`."""

from __future__ import annotations

import hashlib
from typing import Any, Literal, get_args

import msgspec

from modelwright.alerting.channels import Channel
from modelwright.monitoring.checked import Checked
from modelwright.monitoring.checked import Kind as AlarmKind
from modelwright.spec_sections import DAY_S, HOUR_S

#: What may happen: alarms of monitoring, and steps of the loop.
Kind = Literal[
    "quality", "drift", "prediction drift", "performance", "estimated performance", "service", "volume",
    "retraining", "promoted", "rejected", "approval", "rollback", "failed", "test",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Of these nobody is told who did not ask for them: they explain, or say that all goes as it should.
QUIET: frozenset[str] = frozenset({"drift", "retraining", "promoted", "test"})
_MOST = 5


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a model.

    Parameters
    ----------
    kind : str
        One of `Kind`.
    model : str
    message : str
        In sentences, with figures. It leaves the house: no cell of a row, no secret.
    at : str
        Moment in UTC, ISO 8601.
    id : str
        The same event told again has the same one, and nobody is told twice.
    version : str
    mend : str
        What to do first.
    details : dict
        Plain values, for programs.
    """

    kind: Kind
    model: str
    message: str
    at: str
    id: str
    version: str = ""
    mend: str = ""
    details: dict[str, Any] = {}


class AlertRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told of what: a section ``[[alert]]``.

    Parameters
    ----------
    name : str
    channels : tuple of Channel
    on : tuple of str
        Kinds of events.
    model : str or None
        None is every model.
    count : int, default=1
        Events of one kind and model within ``period_s`` before anybody is told.
    period_s : float, default=86400.0
    cool_down_s : float, default=3600.0
        Rest after an alert, for the same kind and model; what happens meanwhile is counted in the next one.
    """

    name: str
    channels: tuple[Channel, ...]
    on: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind not in QUIET)
    model: str | None = None
    count: int = 1
    period_s: float = DAY_S
    cool_down_s: float = HOUR_S

    def wants(self, event: Event) -> bool:
        """Whether the rule is about such an event."""
        return event.kind in self.on and self.model in (None, event.model)


class Message(msgspec.Struct, frozen=True):
    """What a channel sends.

    ``id`` is that of the delivery and the same at every attempt; ``count`` is how many events it speaks of.
    """

    id: str
    rule: str
    event: Event
    count: int = 1

    @property
    def title(self) -> str:
        """One line."""
        return (
            f"modelwright: {self.event.kind} of {self.event.model}" if self.event.model else f"modelwright: {self.event.kind}"
        )

    @property
    def text(self) -> str:
        """All of it, for people."""
        event = self.event
        who = f"{event.model}, version {event.version}" if event.version else event.model
        lines = [f"{who}: {event.message}" if who else event.message]
        if event.mend:
            lines.append(event.mend)
        if self.count > 1:
            lines.append(f"It is the last of {self.count} such events.")
        lines.append(f"{event.at} (alert {self.rule!r})")
        return "\n".join(lines)


def events_of(checked: Checked) -> list[Event]:
    """What a checked window has to tell: one event for each kind of alarm in it.

    Parameters
    ----------
    checked : Checked
    """
    kinds: list[AlarmKind] = list(dict.fromkeys(alarm.kind for alarm in checked.alarms))
    found = []
    for kind in kinds:
        alarms = checked.of(kind)
        message = " ".join(
            alarm.message if not alarm.column else f"{alarm.column}: {alarm.message}" for alarm in alarms[:_MOST]
        )
        if len(alarms) > _MOST:
            message += f" And {len(alarms) - _MOST} more."
        about: dict[str, Any] = {"start": checked.start, "end": checked.end, "rows": checked.n_rows}
        about["columns"] = [alarm.column for alarm in alarms if alarm.column]
        same = f"{checked.model}/{checked.version}/{checked.start}/{checked.end}/{kind}"
        found.append(Event(kind, checked.model, message, checked.end, same, checked.version, alarms[0].mend, about))
    return found


def delivery_id(home: str, rule: str, channel: str, event: Event) -> str:
    """Identifier of one message: the same for the same event, rule and channel, so that nothing is sent twice by repeating."""
    return hashlib.sha256("\0".join((home, rule, channel, event.kind, event.model, event.id)).encode()).hexdigest()[:32]
