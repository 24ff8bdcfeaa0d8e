"""Asking for a retraining: by hand and from outside. That it is done is for a worker."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from modelwright.errors import InvalidInputError
from modelwright.registry.names import CHAMPION
from modelwright.retraining.known import observed
from modelwright.retraining.policy import Policy
from modelwright.retraining.requests import Asked, Retrainings
from modelwright.retraining.rules import Cause, Trigger
from modelwright.retraining.steps import Room
from modelwright.retraining.triggers import Held, braked
from modelwright.spec import FILE_NAME


def ask_by_hand(
    room: Room, model: str, *, why: str = "", key: str | None = None, by_whom: str = "", force: bool = False
) -> Asked:
    """Ask for a retraining; refused where there is no champion to compare with.

    Parameters
    ----------
    room : Room
    model : str
    why : str
    key : str, optional
    by_whom : str
    force : bool, default=False
        Also on the very rows that the champion learned from.
    """
    file = Path(FILE_NAME)
    options = {"file": str(file.absolute())} if file.is_file() else {}
    return _ask(room, model, "hand", why or "asked for by hand", key, by_whom, {**options, "force": force})


def ask_from_outside(room: Room, model: str, *, why: str = "", key: str | None = None, by_whom: str = "") -> Asked | Held:
    """Ask for a retraining from a webhook.

    Parameters
    ----------
    room : Room
    model : str
    why : str
    key : str, optional
    by_whom : str

    Returns
    -------
    Asked or Held
        Held where the policy's brakes say no: a rest, a cap, challengers that failed in a row, labels that are missing. A
        retraining that is under way, or was asked for with this key, is returned as by hand.

    Raises
    ------
    InvalidInputError
        If the model has no champion, or the policy of the working folder takes no calls.
    """
    policy = policy_here(model)
    if policy is not None and not policy.webhook:
        raise InvalidInputError(
            f"The policy of {model} takes no calls from outside.", where=FILE_NAME, mend="Write webhook = true in [policy]."
        )
    reason = why or "asked for by a webhook"
    retrainings = Retrainings(room.home, room.store)
    if policy is not None and not retrainings.has(model, key):
        now = dt.datetime.now(dt.UTC)
        seen = observed(room, retrainings, policy, now)
        held = braked(policy, seen, Trigger("webhook", _sentence(reason), now.isoformat(timespec="seconds")))
        if seen.in_flight is None and isinstance(held, Held):
            return held
    return _ask(room, model, "webhook", reason, key, by_whom, {})


def _sentence(text: str) -> str:
    """What was given as a reason, as the first of several sentences."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def policy_here(model: str | None = None) -> Policy | None:
    """The policy that ``modelwright.toml`` of the working folder has, for a model or for any; None without one."""
    from modelwright.retraining.policy_file import find_policy
    from modelwright.spec import resolve_spec

    file = Path(FILE_NAME)
    policy = find_policy(file, resolve_spec(file, {})) if file.is_file() else None
    return policy if policy is not None and model in (None, policy.model) else None


def _ask(room: Room, model: str, cause: Cause, reason: str, key: str | None, by_whom: str, options: dict[str, object]) -> Asked:
    room.registry().resolve(f"{model}@{CHAMPION}")
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    trigger = Trigger(cause, reason, at)
    return Retrainings(room.home, room.store).ask(model, trigger, key=key, by_whom=by_whom, options=options)
