"""How each value that a user may give is read: its kind, its range, and what to say when it is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from modelwright.errors import SpecError

#: Repeated from `tables.schema`, which stands above this module; a test keeps the two equal.
TASKS = ("binary", "multiclass", "regression", "clustering")
TYPES = ("number", "boolean", "category", "datetime", "text", "id", "constant", "empty", "other")

Scalar = str | int | float | bool


def parse_budget(value: object) -> float:
    """Seconds of a budget.

    Parameters
    ----------
    value : str, int or float
        A number of seconds, or a text such as "60s", "5m", "2h", "1h30m".

    Returns
    -------
    float
        Seconds; at least 1.

    Raises
    ------
    SpecError
        If the value is not a duration or is shorter than a second.

    Examples
    --------
    >>> parse_budget("5m")
    300.0
    >>> parse_budget("1h30m")
    5400.0
    >>> parse_budget(90)
    90.0
    """
    mend = "Give seconds, minutes or hours, such as 60s, 5m or 2h."
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        text = str(value).strip().lower()
        number = r"(\d+(?:\.\d+)?)"
        parts = re.fullmatch(rf"(?:{number}h)?(?:{number}m)?(?:{number}s?)?", text.replace(" ", ""))
        if not text or parts is None:
            raise SpecError(f"{value!r} is not a duration.", mend=mend)
        hours, minutes, rest = (float(part) if part else 0.0 for part in parts.groups())
        seconds = hours * 3600 + minutes * 60 + rest
    # Also refuses NaN and infinity: "no clock" is asked for with trials.
    if not 1.0 <= seconds <= 366 * 86400:
        raise SpecError(f"A budget of {value!r} is not between one second and one year.", mend=mend)
    return seconds


def nearest(word: str, valid: Sequence[str]) -> str:
    """A mend that names the valid word nearest to ``word``, or all of them."""
    near = get_close_matches(word.lower(), valid, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else f"Valid: {', '.join(valid)}."


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SpecError(f"{value!r} is not a text.", mend="Give one non-empty text.")
    return value


def _choice(valid: Sequence[str], mends: Mapping[str, str]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in valid:
            mend = mends.get(str(value).lower(), "") or nearest(str(value), valid)
            raise SpecError(f"{value!r} is not one of {', '.join(valid)}.", mend=mend)
        return str(value)

    return read


def _whole(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        # bool is an int to Python; numpy integers arrive from notebooks.
        if isinstance(value, bool) or not hasattr(value, "__index__") or not low <= int(value.__index__()) <= high:
            raise SpecError(f"{value!r} is not a whole number from {low} to {high}.", mend="Give one in that range.")
        return int(value.__index__())

    return read


def _names(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple, set, frozenset)) or not all(isinstance(part, str) for part in parts):
        raise SpecError(f"{value!r} is not a list of names.", mend='Give names, such as ["a", "b"] or a,b on the command line.')
    # Order of a set is not repeatable, the order of a list is the user's.
    ordered = sorted(parts) if isinstance(parts, (set, frozenset)) else parts
    return tuple(dict.fromkeys(part.strip() for part in ordered if part.strip()))


def _columns(value: object) -> tuple[str, ...]:
    """Like `_names`, but names given as a list are kept to the letter: a column may hold commas and blanks."""
    if isinstance(value, str):
        return _names(value)
    _names(value)
    assert isinstance(value, (list, tuple, set, frozenset))
    return tuple(dict.fromkeys(sorted(value) if isinstance(value, (set, frozenset)) else value))


def _scalar(value: object) -> Scalar:
    # numpy scalars arrive from notebooks
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value
    if not isinstance(value, (str, int, float, bool)):
        raise SpecError(f"{value!r} is not one class of the target.", mend="Give its value as it stands in the table.")
    return value


def _evaluation(value: object) -> Any:
    mend = 'Give a share such as 0.2, a table of its own, or "none".'
    if isinstance(value, bool):
        raise SpecError(f"{value!r} is not a share of the rows.", mend=mend)
    if isinstance(value, str):
        text = value.strip()
        if text.lower() == "none":
            return "none"
        try:
            value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            return _text(text)
    if isinstance(value, (int, float)):
        if not 0 < value <= 0.9:
            raise SpecError(f"{value!r} is not a share of the rows above 0 and up to 0.9.", mend=mend)
        return float(value)
    return str(value) if isinstance(value, Path) else value


def _source(value: object) -> Any:
    return str(value) if isinstance(value, Path) else (_text(value) if isinstance(value, str) else value)


def _run_name(value: object) -> str:
    name = _text(value)
    if not re.fullmatch(r"\w[\w.\- ]{0,99}", name):
        raise SpecError(f"{value!r} cannot name a run.", mend="Use at most 100 letters, digits, blanks, '-', '_' and '.'.")
    return name


def _home(value: object) -> str:
    return str(value) if isinstance(value, Path) else _text(value)


def _types(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{value!r} is not a mapping of column to type.", mend='Write it as {"zip": "category"}.')
    for column, kind in value.items():
        if kind not in TYPES:
            raise SpecError(
                f"Type {kind!r} of column {column!r} is not one of {', '.join(TYPES)}.", mend=nearest(str(kind), TYPES)
            )
    return {str(column): str(kind) for column, kind in value.items()}


def _missing_values(value: object) -> tuple[str | float, ...] | dict[str, tuple[str | float, ...]]:
    def cells(listed: object, where: str) -> tuple[str | float, ...]:
        listed = [listed] if isinstance(listed, (str, int, float)) else listed
        if not isinstance(listed, (list, tuple)) or not all(
            isinstance(cell, (str, int, float)) and not isinstance(cell, bool) for cell in listed
        ):
            raise SpecError(f"{listed!r}{where} is not a list of texts and numbers.", mend='Write it as ["?", -999].')
        return tuple(cell if isinstance(cell, str) else number(float(cell)) for cell in listed)

    def number(cell: float) -> str | float:
        # Infinities as text: the schema of a model is JSON, which has no number for them.
        return cell if math.isfinite(cell) else str(cell)

    if isinstance(value, Mapping):
        return {str(column): cells(listed, f" for column {column!r}") for column, listed in value.items()}
    return cells(value, "")


def _share(most: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        try:
            share = float(value[:-1]) / 100 if isinstance(value, str) and value.endswith("%") else float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            share = -1.0
        if isinstance(value, bool) or not 0 <= share <= most:
            raise SpecError(f"{value!r} is not a share of the rows from 0 to {most}.", mend="Give one such as 0.1.")
        return share

    return read


def _gap(value: object) -> str:
    """A length of time, or a number in the units of a time column of numbers; checked against the column later."""
    text = str(value).strip().lower()
    if not re.fullmatch(r"\d+(\.\d+)?\s*(s|m|h|d|w|min|hours?|days?|weeks?|seconds?|minutes?)?", text):
        raise SpecError(
            f"{value!r} is not a length of time.", mend='Give one such as "7d", "12h", "30m", or a number for a numeric time.'
        )
    return text


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise SpecError(f"{value!r} is not true or false.", mend="Write true or false.")
    return value


def _pairs(keys: Sequence[str], example: str, *, least: float, most: float) -> Callable[[object], dict[str, float]]:
    """Numbers by name, from a mapping or from text such as "fp=1,fn=20"."""

    def read(value: object) -> dict[str, float]:
        mend = f"Write it as {example}."
        if isinstance(value, str):
            value = dict(part.partition("=")[::2] for part in value.split(",") if part.strip())
        if not isinstance(value, Mapping) or not value:
            raise SpecError(f"{value!r} is not a list of name=number.", mend=mend)
        found: dict[str, float] = {}
        for key, number in value.items():
            name = str(key).strip()
            if name not in keys:
                raise SpecError(f"{name!r} is not one of {', '.join(keys)}.", mend=mend)
            try:
                found[name] = float(number)
            except (TypeError, ValueError):
                raise SpecError(f"{number!r} for {name} is not a number.", mend=mend) from None
            if not least <= found[name] <= most:
                raise SpecError(f"{found[name]:g} for {name} is not from {least:g} to {most:g}.", mend=mend)
        return found

    return read


def _cost(value: object) -> dict[str, float]:
    costs = _pairs(("fp", "fn", "tp", "tn"), "fp=1,fn=20", least=-1e12, most=1e12)(value)
    fp, fn = costs.get("fp"), costs.get("fn")
    if fp is None or fn is None or fp - costs.get("tn", 0.0) <= 0 or fn - costs.get("tp", 0.0) <= 0:
        raise SpecError(
            "A wrong answer must cost more than a right one, both ways.", mend="Give fp and fn above 0, such as fp=1,fn=20."
        )
    return costs


def _waivers(value: object) -> tuple[dict[str, str], ...]:
    """Findings accepted by name with a reason: ``[[waive]]`` tables with ``finding``, ``reason`` and ``by``."""
    mend = 'Write it as [[waive]] with finding = "target_proxy:age", reason = "…" and by = "…".'
    listed = [value] if isinstance(value, Mapping) else value
    if not isinstance(listed, (list, tuple)):
        raise SpecError(f"{value!r} is not a list of waived findings.", mend=mend)
    found = []
    for entry in listed:
        if not isinstance(entry, Mapping) or not set(entry) <= {"finding", "reason", "by"}:
            raise SpecError(f"{entry!r} is not a waived finding.", mend=mend)
        for key in ("finding", "reason"):
            if not str(entry.get(key) or "").strip():
                raise SpecError(f"A waived finding needs a {key}.", mend=mend)
        found.append({key: str(text).strip() for key, text in entry.items()})
    return tuple(found)


def _available(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise SpecError(
            f"{value!r} does not say when columns become known.",
            mend='Write it as {"lab_result" = "lab_reported_at"}: the column that holds the moment.',
        )
    return dict(value)


def _quantity(units: Mapping[str, float], base: str, what: str, example: str) -> Callable[[object], float]:
    """A positive number in the base unit, from a number or from text with a unit."""

    def read(value: object) -> float:
        mend = f"Give {what} such as {example}; a plain number is {base}."
        found = re.fullmatch(r"(\d+(?:\.\d+)?(?:e-?\d+)?)\s*([a-zµ]*)", str(value).strip().lower())
        if isinstance(value, bool) or found is None or found[2] not in units or float(found[1]) <= 0:
            raise SpecError(f"{value!r} is not {what}.", mend=mend)
        return float(found[1]) * units[found[2]]

    return read


_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {
    "": 1.0, "b": 1.0, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
    "kib": 1024.0, "mib": 1024.0**2, "gib": 1024.0**3,
}  # fmt: skip


def _features(value: object) -> str | dict[str, Any]:
    """Derived columns: expressions by name, or "file.py:function". What an expression means is for `features` to say."""
    mend = 'Write {"rooms_each" = "rooms / persons"}, or "file.py:function".'
    if isinstance(value, str):
        if not re.fullmatch(r".+:[A-Za-z_]\w*", value.strip()):
            raise SpecError(f"{value!r} names no function.", mend=mend)
        return value.strip()
    if not isinstance(value, Mapping) or not value or not all(isinstance(key, str) and key.strip() for key in value):
        raise SpecError(f"{value!r} does not say how columns are derived.", mend=mend)
    return dict(value)


def _hyperparams(value: object) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Values to try: algorithm -> hyperparameter -> values; a single value is fixed."""
    mend = "Write it as {lightgbm = {num_leaves = [15, 63], learning_rate = 0.05}}."
    if not isinstance(value, Mapping) or not all(isinstance(grid, Mapping) for grid in value.values()):
        raise SpecError(f"{value!r} is not a mapping of algorithm to hyperparameters.", mend=mend)
    listed: dict[str, dict[str, tuple[Any, ...]]] = {}
    for algorithm, grid in value.items():
        listed[str(algorithm)] = {}
        for name, values in grid.items():
            values = tuple(values) if isinstance(values, (list, tuple)) else (values,)
            if not values or not all(isinstance(v, (str, int, float, bool)) for v in values):
                raise SpecError(f"{values!r} for {algorithm}.{name} is not a list of values.", mend=mend)
            listed[str(algorithm)][str(name)] = values
    return listed


#: Bytes as a number, or as a text such as "20MB".
parse_size = _quantity(_BYTES, "bytes", "a size", '"20MB"')


#: Reads one given value, or refuses it: option -> function.
def _tags(value: object) -> dict[str, str]:
    """Labels by name; numbers become text."""
    mend = 'Write it as {team = "risk"}.'
    if not isinstance(value, Mapping):
        raise SpecError(f"{value!r} is not a mapping of names to texts.", mend=mend)
    for name, text in value.items():
        if not (isinstance(name, str) and name.strip()) or isinstance(text, bool) or not isinstance(text, (str, int, float)):
            raise SpecError(f"{name!r}: {text!r} is no tag.", mend=mend)
    return {name.strip(): str(text) for name, text in value.items()}


READERS: dict[str, Callable[[Any], Any]] = {
    "data": _source,
    "query": _text,
    "target": _text,
    "task": _choice(
        TASKS,
        {
            "classification": "Use 'binary' or 'multiclass', or leave it out.",
            "classifier": "Use 'binary' or 'multiclass', or leave it out.",
            "cluster": "Did you mean 'clustering'?",
        },
    ),
    "metric": _text,
    "budget": parse_budget,
    "trials": _whole(1, 1_000_000),
    "algorithms": _names,
    "time": _text,
    "group": _text,
    "weight": _text,
    "positive": _scalar,
    "exclude": _columns,
    "evaluation": _evaluation,
    "seed": _whole(0, 2**32 - 1),
    "name": _run_name,
    "home": _home,
    "types": _types,
    "missing_values": _missing_values,
    "gap": _gap,
    "partition": _choice(
        ("random", "group", "time", "group_time"), {"stratified": "Random rows are drawn within each class already."}
    ),
    "reserve": _share(0.5),
    "open_reserve": _flag,
    "purpose": _text,
    "strict": _flag,
    "waive": _waivers,
    "known": _columns,
    "available": _available,
    "cost": _cost,
    "floor": _pairs(("recall", "precision"), "recall=0.9", least=0.0, most=1.0),
    "repeats": _whole(1, 100),
    "sensitive": _columns,
    "store": _text,
    "artifacts": _text,
    "sampler": _choice(("tpe", "cmaes", "gp", "random", "grid"), {"bayes": "Did you mean 'tpe' or 'gp'?"}),
    "hyperparams": _hyperparams,
    "max_trial_time": _quantity(_SECONDS, "seconds", "a time", '"30s" or "2m"'),
    "max_failures": _whole(1, 1_000_000),
    "max_latency": _quantity(_SECONDS, "seconds", "a time for one row", '"1ms"'),
    "max_size": parse_size,
    "max_fit_memory": _quantity(_BYTES, "bytes", "a memory size", '"2GB"'),
    "interpretable": _flag,
    "features": _features,
    "select_features": _flag,
    "tags": _tags,
    "note": _text,
}
