"""Reading the section ``[policy]`` of ``modelwright.toml``: kinds, ranges, contradictions, and what to say of each."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo

import msgspec

from modelwright.errors import SpecError
from modelwright.registry.names import checked_name
from modelwright.retraining.policy import Alarming, Policy, Span
from modelwright.retraining.rules import GateRules, ReleaseRules
from modelwright.spec import Spec, describe_source, read_toml
from modelwright.spec_sections import Read, choice, choices, flag, length, number, part, seconds_of, text, whole
from modelwright.spec_values import parse_size

SECTION = "policy"


def find_policy(file: Path, spec: Spec) -> Policy | None:
    """The policy of a ``modelwright.toml``; None if the file has no section ``[policy]``.

    Parameters
    ----------
    file : Path
    spec : Spec
        What the rest of the file asks for.

    Raises
    ------
    SpecError
        If the section is wrong.
    """
    section = read_toml(file).get(SECTION)
    return None if section is None else policy_of(section, spec, where=f"{file.name}, [{SECTION}]")


def policy_of(section: Any, spec: Spec | None = None, *, where: str = "policy") -> Policy:
    """Read a policy from plain values, as they stand in the file.

    Parameters
    ----------
    section : mapping
        Without ``model`` the name is taken from the spec.
    spec : Spec, optional
    where : str
        What errors call the place.

    Examples
    --------
    >>> policy = policy_of({"model": "churn", "max_age": "30d", "train_on": "90d", "gate": {"min_labels": 500}})
    >>> policy.max_age_s, str(policy.train_on), policy.gate.min_labels
    (2592000.0, 'the latest 90 days', 500)
    """
    given = {"model": _name_of(spec), **section} if isinstance(section, Mapping) else section
    policy: Policy = part(Policy, _READERS)(given, where)
    if policy.schedule is not None:
        from modelwright.retraining.schedule import check_line

        try:
            check_line(policy.schedule)
        except SpecError as error:
            raise SpecError(error.what, where=f"{where}, key 'schedule'", mend=error.mend) from None
    return policy


def _name_of(spec: Spec | None) -> str:
    """The name that the file gives its runs, else that of its data, as far as it can name a model."""
    named = spec.name or Path(describe_source(spec.data).rstrip("/")).name.partition(".")[0] if spec is not None else ""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", named or "").strip("._-")


def _model(value: Any, where: str) -> str:
    if not value:
        raise SpecError("It is not said which model is meant.", where=where, mend='Name it: model = "churn".')
    return checked_name(str(value), "model")


def _zone(value: Any, where: str) -> str:
    try:
        return ZoneInfo(text(value, where)).key
    except (KeyError, ValueError, OSError):
        mend = 'Name one of the tz database, such as "Europe/Berlin" or "UTC".'
        raise SpecError(f"There is no time zone {value!r}.", where=where, mend=mend) from None


def _span(*, since: bool) -> Read:
    """Rows by number ("1000 rows", or 1000), by length ("90d"), from a day on ("since 2024-01-01"), or all."""
    mend = 'Give a length such as "90d" or a number of rows such as 5000' + (
        ', or "since 2024-01-01", or "all".' if since else "."
    )

    def read(value: Any, where: str) -> Span:
        text = str(value).strip().lower()
        if since and text == "all":
            return Span()
        if since and text.startswith("since "):
            moment = text.removeprefix("since ").strip().upper()
            try:
                dt.datetime.fromisoformat(moment)
            except ValueError:
                raise SpecError(f"{moment!r} is no day.", where=where, mend="Write it as since 2024-01-31.") from None
            return Span(since=moment)
        number = re.fullmatch(r"([1-9]\d{0,11})(\s*rows)?", text)
        if number and not isinstance(value, (bool, float)):
            return Span(rows=int(number[1]))
        seconds = None if isinstance(value, (bool, int, float)) else seconds_of(value)
        if not seconds:
            raise SpecError(f"{value!r} is no stretch of rows.", where=where, mend=mend)
        return Span(seconds=seconds)

    return read


def _size(value: Any, where: str) -> float | None:
    return None if value == "none" else parse_size(value)


def _words(kind: type[msgspec.Struct], field: str) -> tuple[str, ...]:
    return get_args(get_type_hints(kind)[field])


_SHARE = number(0.0, 1.0, "a share")
_GATE: dict[str, Read] = {
    "require": choice(_words(GateRules, "require")),
    "level": number(1e-6, 0.5),
    "margin": number(0.0, 1e12),
    "min_labels": whole(1),
    "slice_margin": number(0.0, 1e12),
    "calibration_margin": _SHARE,
    "max_latency": length(none=True, least=1e-9),
    "max_size": _size,
    "approval": flag,
    "max_rejections": whole(1),
}
_RELEASE: dict[str, Read] = {
    "mode": choice(_words(ReleaseRules, "mode")),
    "shadow_rows": whole(1),
    "canary_rows": whole(1),
    "canary_share": _SHARE,
    "max_stage_s": length(least=1.0),
    "watch_s": length(),
    "max_error_rate": _SHARE,
    "max_latency_ratio": number(1.0, 1e6),
    "max_loss": number(0.0, 1e12),
}
_READERS: dict[str, Read] = {
    "model": _model,
    "schedule": text,
    "time_zone": _zone,
    "on": choices(get_args(Alarming), "alarm"),
    "new_rows": whole(1, none=True),
    "new_labels": whole(1, none=True),
    "new_data": flag,
    "max_age_s": length(none=True, least=1.0),
    "webhook": flag,
    "min_new_labels": whole(0),
    "label_delay_s": length(),
    "train_on": _span(since=True),
    "window": _span(since=False),
    "cool_down_s": length(),
    "max_per_week": whole(1),
    "refit": flag,
    "gate": part(GateRules, _GATE),
    "release": part(ReleaseRules, _RELEASE),
}
