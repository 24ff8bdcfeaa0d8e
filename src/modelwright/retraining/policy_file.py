"""Reading the section ``[policy]`` of ``modelwright.toml``: kinds, ranges, contradictions, and what to say of each."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo

import msgspec

from modelwright.errors import InvalidInputError, SpecError
from modelwright.registry.names import checked_name
from modelwright.retraining.policy import DAY_S, HOUR_S, WEEK_S, Alarming, Policy, Span
from modelwright.retraining.rules import GateRules, ReleaseRules
from modelwright.spec import Spec, describe_source, read_toml
from modelwright.spec_values import nearest, parse_size

SECTION = "policy"
_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": HOUR_S, "d": DAY_S, "w": WEEK_S, "ms": 1e-3}
_ALARMS: tuple[str, ...] = get_args(Alarming)


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
    given = dict(_table(section, where))
    given.setdefault("model", _name_of(spec))
    values = _values(Policy, given, _READERS, where)
    policy: Policy = Policy(**values)
    if policy.schedule is not None:
        from modelwright.retraining.schedule import check_line

        try:
            check_line(policy.schedule)
        except SpecError as error:
            raise SpecError(error.what, where=f"{where}, key 'schedule'", mend=error.mend) from None
    return policy


def _values(kind: type[msgspec.Struct], given: Mapping[str, Any], readers: Mapping[str, _Read], where: str) -> dict[str, Any]:
    """The fields of a struct from keys of the file; a field in seconds has a key without its unit."""
    fields = {field.removesuffix("_s"): field for field in kind.__struct_fields__}
    values = {}
    for key, value in given.items():
        if key not in fields:
            raise SpecError(f"There is no key {key!r}.", where=where, mend=nearest(str(key), tuple(fields)))
        place = f"{where}, key {key!r}"
        try:
            values[fields[key]] = readers[fields[key]](value, place)
        except InvalidInputError as error:
            inside = error.where.startswith(place)
            raise SpecError(error.what, where=error.where if inside else place, mend=error.mend) from None
    return values


_Read = Callable[[Any, str], Any]


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{value!r} is not a table of keys.", where=where, mend=f"Write [{SECTION}] and a key in each line.")
    return value


def _name_of(spec: Spec | None) -> str:
    """The name that the file gives its runs, else that of its data, as far as it can name a model."""
    named = spec.name or Path(describe_source(spec.data).rstrip("/")).name.partition(".")[0] if spec is not None else ""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", named or "").strip("._-")


def _model(value: Any, where: str) -> str:
    if not value:
        raise SpecError("It is not said which model is meant.", where=where, mend='Name it: model = "churn".')
    return checked_name(str(value), "model")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SpecError(f"{value!r} is not a text.", where=where, mend="Give one non-empty text.")
    return value.strip()


def _zone(value: Any, where: str) -> str:
    try:
        return ZoneInfo(_text(value, where)).key
    except (KeyError, ValueError, OSError):
        mend = 'Name one of the tz database, such as "Europe/Berlin" or "UTC".'
        raise SpecError(f"There is no time zone {value!r}.", where=where, mend=mend) from None


def _alarms(value: Any, where: str) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)):
        raise SpecError(f"{value!r} is not a list of alarms.", where=where, mend=f"Choose from {', '.join(_ALARMS)}.")
    for each in listed:
        if each not in _ALARMS:
            raise SpecError(f"{each!r} is no alarm.", where=where, mend=nearest(str(each), _ALARMS))
    return tuple(dict.fromkeys(listed))


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise SpecError(f"{value!r} is not true or false.", where=where, mend="Write true or false.")
    return value


def _whole(low: int, *, none: bool = False) -> _Read:
    def read(value: Any, where: str) -> int | None:
        if none and value == "none":
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= 10**12:
            mend = f"Give one from {low} on." + (' Or "none".' if none else "")
            raise SpecError(f"{value!r} is not a whole number from {low} on.", where=where, mend=mend)
        return value

    return read


def _number(low: float, high: float, what: str = "a number") -> _Read:
    def read(value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise SpecError(f"{value!r} is not {what} from {low:g} to {high:g}.", where=where, mend="Give one in that range.")
        return float(value)

    return read


def _length(*, none: bool = False, least: float = 0.0) -> _Read:
    def read(value: Any, where: str) -> float | None:
        if none and value == "none":
            return None
        seconds = _seconds(value)
        if seconds is None or not least <= seconds <= 100 * 366 * DAY_S:
            mend = 'Give one such as "30m", "12h", "7d" or "2w"' + (', or "none".' if none else ".")
            raise SpecError(f"{value!r} is not a length of time.", where=where, mend=mend)
        return seconds

    return read


def _seconds(value: Any) -> float | None:
    """A length of time in seconds; a plain number is seconds already."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)", str(value).strip().lower())
    return float(found[1]) * _UNITS[found[2]] if found else None


def _span(*, since: bool) -> _Read:
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
        seconds = None if isinstance(value, (bool, int, float)) else _seconds(value)
        if not seconds:
            raise SpecError(f"{value!r} is no stretch of rows.", where=where, mend=mend)
        return Span(seconds=seconds)

    return read


def _choice(kind: type[msgspec.Struct], field: str) -> _Read:
    words: tuple[str, ...] = get_args(get_type_hints(kind)[field])

    def read(value: Any, where: str) -> str:
        if value not in words:
            raise SpecError(f"{value!r} is not one of {', '.join(words)}.", where=where, mend=nearest(str(value), words))
        return str(value)

    return read


def _size(value: Any, where: str) -> float | None:
    return None if value == "none" else parse_size(value)


def _part(kind: type[msgspec.Struct], readers: Mapping[str, _Read]) -> _Read:
    """A table within the section."""

    def read(value: Any, where: str) -> Any:
        return kind(**_values(kind, _table(value, where), readers, where))

    return read


_SHARE = _number(0.0, 1.0, "a share")
_GATE: dict[str, _Read] = {
    "require": _choice(GateRules, "require"),
    "level": _number(1e-6, 0.5),
    "margin": _number(0.0, 1e12),
    "min_labels": _whole(1),
    "slice_margin": _number(0.0, 1e12),
    "calibration_margin": _SHARE,
    "max_latency": _length(none=True, least=1e-9),
    "max_size": _size,
    "approval": _flag,
    "max_rejections": _whole(1),
}
_RELEASE: dict[str, _Read] = {
    "mode": _choice(ReleaseRules, "mode"),
    "shadow_rows": _whole(1),
    "canary_rows": _whole(1),
    "canary_share": _SHARE,
    "max_stage_s": _length(least=1.0),
    "watch_s": _length(),
    "max_error_rate": _SHARE,
    "max_latency_ratio": _number(1.0, 1e6),
    "max_loss": _number(0.0, 1e12),
}
_READERS: dict[str, _Read] = {
    "model": _model,
    "schedule": _text,
    "time_zone": _zone,
    "on": _alarms,
    "new_rows": _whole(1, none=True),
    "new_labels": _whole(1, none=True),
    "new_data": _flag,
    "max_age_s": _length(none=True, least=1.0),
    "webhook": _flag,
    "min_new_labels": _whole(0),
    "label_delay_s": _length(),
    "train_on": _span(since=True),
    "window": _span(since=False),
    "cool_down_s": _length(),
    "max_per_week": _whole(1),
    "gate": _part(GateRules, _GATE),
    "release": _part(ReleaseRules, _RELEASE),
}
