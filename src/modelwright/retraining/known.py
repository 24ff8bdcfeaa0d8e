"""What earlier retrainings say when it is asked whether to train again; what the log says is found by `observing`."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from modelwright.retraining.observing import observe
from modelwright.retraining.policy import Policy
from modelwright.retraining.requests import Retraining, Retrainings
from modelwright.retraining.rules import Verdict
from modelwright.retraining.steps import Room
from modelwright.retraining.triggers import Observed

#: Windows that triggers look at, and ended retrainings.
_WINDOWS, _RETRAININGS = 20, 200
#: Ends of a challenger that did not stay.
REJECTED = frozenset({"rejected", "refused", "declined", "rolled back", "failed"})


def observed(room: Room, retrainings: Retrainings, policy: Policy, now: dt.datetime, *, data: str | None = None) -> Observed:
    """What is known of a model.

    Parameters
    ----------
    room : Room
    retrainings : Retrainings
    policy : Policy
    now : datetime
    data : str, optional
        Fingerprint of the table as it is now.
    """
    model = policy.model
    under_way = next((each for each in retrainings.open() if each.model == model), None)
    ended = retrainings.latest(model, _RETRAININGS)
    own = [each for each in [*([under_way] if under_way is not None else []), *ended] if each.kind == "retrain"]
    return observe(
        room.home, room.store, policy, now, retrainings=[_moment(each.at) for each in own], data=data,
        labels_needed=labels_needed(retrainings, ended), known_data=known_data(retrainings, room, model, own),
        in_flight=None if under_way is None else f"{under_way.id}, {under_way.step or 'queued'} since {under_way.since[:19]}",
        rejections=_in_a_row(ended), fired=_fired(retrainings, policy, own, now),
    )  # fmt: skip


def labels_needed(retrainings: Retrainings, ended: list[Retraining]) -> int:
    """Further labels that the gate asked for when it could not decide last."""
    if not ended or ended[0].outcome != "undecided":
        return 0
    made = _made(retrainings, ended[0], "judge")
    return msgspec.convert(made, Verdict).labels_awaited if made else 0


def known_data(retrainings: Retrainings, room: Room, model: str, own: list[Retraining]) -> frozenset[str]:
    """Fingerprints of tables that were trained on."""
    found = {version.data for version in room.registry().versions(model) if version.data}
    for each in own[:_WINDOWS]:
        made = _made(retrainings, each, "snapshot")
        found |= {made[name] for name in ("fingerprint", "table") if made.get(name)}
    return frozenset(found)


def began(retrainings: Retrainings, policy: Policy, now: dt.datetime) -> dt.datetime:
    """When this schedule began: at the first look, and anew when its line changes."""
    import sqlalchemy as sa

    values = {"home": retrainings.home, "model": policy.model, "now": _iso(now)}
    values["schedule"] = f"{policy.schedule} {policy.time_zone}"
    with retrainings.database.writing() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO policies (home, model, schedule, began) VALUES (:home, :model, :schedule, :now)"
                " ON CONFLICT (home, model) DO UPDATE SET schedule = excluded.schedule, began = excluded.began"
                " WHERE policies.schedule <> excluded.schedule"
            ),
            values,
        )
        wanted = "SELECT began FROM policies WHERE home = :home AND model = :model"
        return _moment(str(connection.execute(sa.text(wanted), values).scalar_one()))


def _fired(retrainings: Retrainings, policy: Policy, own: list[Retraining], now: dt.datetime) -> tuple[dt.datetime, ...]:
    if policy.schedule is None:
        return ()
    slots = [_moment(each.trigger.at) for each in own if each.trigger.cause == "schedule"]
    return (began(retrainings, policy, now), *slots)


def _in_a_row(ended: list[Retraining]) -> int:
    count = 0
    for each in ended:
        if each.outcome == "promoted" or (each.trigger.cause == "hand" and each.outcome not in REJECTED):
            break
        count += each.outcome in REJECTED
    return count


def _made(retrainings: Retrainings, one: Retraining, step: str) -> dict[str, Any]:
    return {line.step: line.made or {} for line in retrainings.steps(one.id)}.get(step, {})


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds")
