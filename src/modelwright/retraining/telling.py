"""What of a retraining is told to people, as events of `alerting`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from modelwright.alerting.outbox import notify
from modelwright.alerting.rules import Event, Kind
from modelwright.alerting.rules_file import find_alert_rules
from modelwright.errors import ModelwrightError
from modelwright.retraining.requests import Retraining, Retrainings
from modelwright.serving.logs import Log
from modelwright.spec import FILE_NAME

_KINDS: dict[str, Kind] = {
    "promoted": "promoted", "rejected": "rejected", "refused": "rejected", "declined": "rejected", "rolled back": "rollback",
    "failed": "failed", "undecided": "retraining", "unchanged": "retraining", "stopped": "retraining",
}  # fmt: skip


def event_of(one: Retraining) -> Event:
    """What there is to tell of a retraining that ended, or that waits for a person.

    Parameters
    ----------
    one : Retraining
    """
    if one.ended is None:
        mend = f"Decide: modelwright approve {one.model}, or with --reject."
        message = f"{one.model}/{one.version} has passed the gate and waits for approval."
        return Event("approval", one.model, message, one.since, f"{one.id} approval", str(one.version), mend)
    message = f"Retraining of {one.model} ({one.trigger.cause}): {one.outcome}. {one.told}"
    details = {"retraining": one.id, "outcome": one.outcome, "cause": one.trigger.cause, "version": one.version}
    version = str(one.version) if one.version else ""
    return Event(_KINDS[one.outcome], one.model, message, one.ended, f"{one.id} end", version, "", details)


def tell(retrainings: Retrainings, one: Retraining, log: Log) -> None:
    """Put the event into the outbox of those who want to know; told again, nobody is told twice.

    Parameters
    ----------
    retrainings : Retrainings
    one : Retraining
    log : Log
        Where it is written that nobody could be told.
    """
    file = Path(FILE_NAME)
    if not file.is_file():
        return
    try:
        rules = find_alert_rules(file)
        notify(retrainings.database, rules, event_of(one), now=dt.datetime.now(dt.UTC), home=retrainings.home)
    except ModelwrightError as error:
        log.write("nobody was told", retraining=one.id, reason=error.what)
