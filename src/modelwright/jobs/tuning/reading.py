"""Reading spaces: parameters from texts or Python values, points from a file. Nothing is ever evaluated.

==========================  =====================================================
text                        values
==========================  =====================================================
``1,2,4``  ``adam,sgd``     a choice; numbers, true, false, null, else text
``[1, "a,b", [64, 32]]``    a choice, as a JSON list
``log(1e-4,1e-1)``          a number on a logarithmic scale
``uniform(0,1)``            a number; ``uniform(0,1,0.25)`` in steps
``int(1,64)``               a whole number; ``int(1,1024,log)``, ``int(0,100,10)``
==========================  =====================================================
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import SpecError
from modelwright.jobs.tuning.space import Choice, Float, Int, Point, Space, Values, point_key

_FORMS = {
    "log": "log(1e-4,1e-1)",
    "uniform": "uniform(0,1)",
    "int": "int(1,64)",
}
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\((.*)\)", re.DOTALL)
#: Without leading zeros: those are codes.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)")
_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
#: Whole numbers that a float holds exactly; more would be rounded by samplers.
_LARGEST = 2**53


def read_space(parameters: Mapping[str, Any], points: Any = None) -> Space:
    """A space from parameters by name, and from points where they are listed.

    Parameters
    ----------
    parameters : mapping
        Name -> text (see above), list of values, ``range``, or a single value.
    points : str, Path or sequence of mappings, optional
        A CSV, JSON or JSON lines file of points, or the points. Parameters can then be fixed only.

    Raises
    ------
    SpecError
        Naming the parameter or the line, what was read, and the mend.
    """
    read = {_name(name): read_values(name, value) for name, value in parameters.items()}
    if points is None:
        if not read:
            raise SpecError(
                "There is no parameter to search over.", where="param", mend="Give one, such as lr='log(1e-4,1e-1)'."
            )
        return Space(read)
    for name, values in read.items():
        if values.size != 1:
            raise SpecError(
                "Points are listed, so a parameter beside them can have one value only.",
                where=f"param {name}",
                mend=f"Fix it, or give {name} in the points.",
            )
    listed = read_points(points)
    for name in read:
        if any(name in point for point in listed):
            raise SpecError(f"{name!r} stands in the points too.", where=f"param {name}", mend="Give it in one place.")
    # The same point twice is one point.
    return Space(read, list({point_key(point): point for point in listed}.values()))


def read_values(name: str, value: Any) -> Values:
    """The values of one parameter.

    Examples
    --------
    >>> read_values("lr", "log(1e-4, 1e-1)")
    Float(low=0.0001, high=0.1, log=True, step=None)
    >>> read_values("units", "int(1,1024,log)")
    Int(low=1, high=1024, log=True, step=1)
    >>> read_values("depth", "1,2,null").values
    (1, 2, None)
    """
    where = f"param {name}"
    if isinstance(value, range):
        value = list(value)
    if isinstance(value, (list, tuple)):
        return _choice(where, value)
    if not isinstance(value, str):
        return _choice(where, [value])
    text = value.strip()
    if text.startswith("["):
        return _choice(where, _json_list(where, text))
    if call := _CALL.fullmatch(text):
        return _range(where, text, call[1], [part.strip() for part in call[2].split(",")])
    cells = [cell.strip() for cell in text.split(",")]
    if "" in cells:
        raise SpecError(
            f"{value!r} has an empty value." if text else "There is no value.",
            where=where,
            mend='Write values with commas between them, such as 1,2,4; an empty text as [""].',
        )
    for cell in cells:
        if "(" in cell and ")" not in cell:
            raise SpecError(f"{value!r} is neither a range nor a list.", where=where, mend=f"Ranges: {_forms()}.")
    return _choice(where, [read_cell(cell) for cell in cells])


def read_cell(text: str) -> Any:
    """One value as it stands in a list or a table.

    Examples
    --------
    >>> [read_cell(text) for text in ("3", "3.0", "1e-3", "true", "null", "adam", "007")]
    [3, 3.0, 0.001, True, None, 'adam', '007']
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def read_points(source: Any) -> list[Point]:
    """Points from a CSV, JSON or JSON lines file, or from mappings. An empty cell leaves the parameter out."""
    if isinstance(source, (str, Path)):
        path = Path(source)
        rows, where = _rows_of(path), str(path)
    else:
        rows, where = list(source), "points"
    if not rows:
        raise SpecError("There is no point.", where=where, mend="Give one a line, below a line of parameter names.")
    points = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping) or not row:
            raise SpecError(
                f"{row!r} is no point.", where=f"{where}, point {number}", mend='Write each as {"lr": 0.1, "depth": 3}.'
            )
        points.append({_name(str(name)): _plain(f"{where}, point {number}, {name}", value) for name, value in row.items()})
    return points


def _rows_of(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"The points cannot be read: {error}.", where=str(path), mend="Give a CSV or JSON file.") from error
    ending = path.suffix.lower()
    try:
        if ending == ".json":
            rows = msgspec.json.decode(text)
            return list(rows) if isinstance(rows, list) else [rows]
        if ending in (".jsonl", ".ndjson"):
            return [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise SpecError(f"This is no JSON: {error}.", where=str(path), mend='Write [{"lr": 0.1}, {"lr": 0.01}].') from error
    if ending not in (".csv", ".tsv"):
        raise SpecError(f"Points are not read from {path.name!r}.", where=str(path), mend="Give .csv, .tsv, .json or .jsonl.")
    lines = [line for line in csv.reader(io.StringIO(text), delimiter="\t" if ending == ".tsv" else ",") if line]
    head = [cell.strip() for cell in lines[0]] if lines else []
    if len(set(head)) != len(head) or "" in head:
        raise SpecError("The first line must name each parameter once.", where=str(path), mend="Begin with lr,depth.")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(head):
            raise SpecError(
                f"Line {number} has {len(line)} cells for {len(head)} parameters.", where=str(path), mend="Fill the line."
            )
    return [
        {name: read_cell(cell.strip()) for name, cell in zip(head, line, strict=True) if cell.strip()} for line in lines[1:]
    ]


def _name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.-]*", name):
        raise SpecError(f"{name!r} cannot name a parameter.", where="param", mend="Write it as lr='log(1e-4,1e-1)'.")
    return name


def _choice(where: str, values: Sequence[Any]) -> Choice:
    if not values:
        raise SpecError("The list of values is empty.", where=where, mend="Give at least one, such as 1,2,4.")
    plain = [_plain(where, value) for value in values]
    return Choice(tuple({point_key({"": value}): value for value in plain}.values()))


def _plain(where: str, value: Any) -> Any:
    """A value that JSON can hold, so that a record can."""
    # numpy scalars arrive from notebooks
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value
    if isinstance(value, (list, tuple)):
        return [_plain(where, each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(where, each) for key, each in value.items()}
    if value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise SpecError(
        f"{value!r} is not a value that a record can hold.", where=where, mend="Give numbers, texts, true, false or null."
    )


def _json_list(where: str, text: str) -> list[Any]:
    try:
        return list(msgspec.json.decode(text, type=list[Any]))
    except msgspec.DecodeError as error:
        raise SpecError(f"{text!r} is no JSON list: {error}.", where=where, mend='Write ["a,b", 3, null].') from error


def _forms() -> str:
    return ", ".join(_FORMS.values())


def _range(where: str, text: str, form: str, arguments: list[str]) -> Float | Int:
    if form not in _FORMS:
        near = get_close_matches(form.lower(), _FORMS, n=1, cutoff=0.5)
        mend = f"Did you mean {_FORMS[near[0]]}?" if near else f'Ranges: {_forms()}; a text with brackets as ["{text}"].'
        raise SpecError(f"There is no range {form!r}, in {text!r}.", where=where, mend=mend)
    mend = f"Write it as {_FORMS[form]}."
    log = form == "log"
    if len(arguments) == 3 and form == "int" and arguments[2] == "log":
        log = True
        arguments = arguments[:2]
    if len(arguments) not in ((2,) if log else (2, 3)):
        raise SpecError(
            f"{text!r} has {len(arguments)} parts; it takes the lowest and the highest value.", where=where, mend=mend
        )
    numbers = []
    for argument in arguments:
        number = read_cell(argument)
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise SpecError(f"{argument!r} in {text!r} is not a number.", where=where, mend=mend)
        if form == "int" and (number != int(number) or abs(number) > _LARGEST):
            raise SpecError(f"{argument!r} in {text!r} is not a whole number.", where=where, mend=mend)
        numbers.append(number)
    low, high, *step = numbers
    if low >= high:
        raise SpecError(f"In {text!r} the lowest value is not below the highest.", where=where, mend=mend)
    if log and low <= 0:
        raise SpecError(f"A logarithmic scale begins above 0, {text!r} does not.", where=where, mend=mend)
    if step and not 0 < step[0] <= high - low:
        raise SpecError(f"The step in {text!r} does not fit into the range.", where=where, mend=mend)
    if form == "int":
        found = Int(int(low), int(high), log, int(step[0]) if step else 1)
        return msgspec.structs.replace(found, high=found.value(found.size - 1))
    return Float(float(low), float(high), log, float(step[0]) if step else None)
