"""The bodies of ``POST /predict/{model}`` and of the five forms of ``POST /invocations``, all turned into rows."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from modelwright.serving.decoding import Row, Scalar, check_keys, check_rows, check_texts, decode
from modelwright.serving.limits import Limits
from modelwright.serving.problems import Problem

_Listed = list[Scalar | list[Scalar]]
_Instances = list[dict[str, Scalar | list[Scalar]] | list[Scalar] | Scalar]


class Asked(msgspec.Struct):
    """Rows to predict, and whose they are."""

    rows: list[Row]
    #: One for each row: the customer, the machine; for canaries and the log. None where nobody said.
    ids: list[str] | None = None
    #: Whether one row was sent by itself, and is answered so.
    single: bool = False
    #: What MLflow calls params.
    proba: bool = False


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[Row]
    ids: list[str] | None = None


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: list[list[Scalar]]
    index: list[Scalar] | None = None


class _Invocation(msgspec.Struct, forbid_unknown_fields=True):
    dataframe_split: _Split | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: list[Row] | msgspec.UnsetType = msgspec.UNSET
    instances: _Instances | msgspec.UnsetType = msgspec.UNSET
    inputs: dict[str, _Listed | Scalar] | _Instances | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, str] | None = None


_ROW = msgspec.json.Decoder(Row)
_ROWS = msgspec.json.Decoder(list[Row])
_WRAPPED = msgspec.json.Decoder(_Wrapped)
_INVOCATION = msgspec.json.Decoder(_Invocation)
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def predict_body(body: bytes, names: list[str], limits: Limits) -> Asked:
    """One row as an object, rows as a list of objects, or ``{"rows": […], "ids": […]}``.

    Parameters
    ----------
    body : bytes
    names : list of str
        Columns of the model.
    limits : Limits
    """
    start = body.lstrip(b" \t\r\n")[:1]
    if start == b"[":
        asked = Asked(decode(_ROWS, body))
        extra = 0
    elif b'"rows"' in body and (wrapped := _wrapped(body)) is not None:
        asked = Asked(wrapped.rows, wrapped.ids)
        extra = 1 + (b'"ids"' in body and wrapped.ids is not None)
        _check_ids(asked, limits)
    else:
        asked = Asked([decode(_ROW, body)], single=True)
        extra = 0
    check_rows(asked.rows, limits, len(names), len(body))
    check_keys(body, extra + sum(map(len, asked.rows)))
    return asked


def _wrapped(body: bytes) -> _Wrapped | None:
    """None where "rows" is but the name of a column of a single row."""
    try:
        return _WRAPPED.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        try:
            _ROW.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            decode(_WRAPPED, body)  # says what is wrong
        return None


def _check_ids(asked: Asked, limits: Limits) -> None:
    if asked.ids is None:
        return
    if len(asked.ids) != len(asked.rows):
        raise Problem(400, "wrong_shape", "There must be as many ids as rows.")
    if any(not 0 < len(each) <= 200 for each in asked.ids):
        raise Problem(400, "wrong_id", "An id has 1 to 200 characters.")


def invocation_json(body: bytes, names: list[str], limits: Limits) -> Asked:
    """``dataframe_split``, ``dataframe_records``, ``instances`` or ``inputs``; one of them, with or without ``params``.

    Parameters
    ----------
    body : bytes
    names : list of str
        Columns of the model, in the order of rows without names.
    limits : Limits
    """
    given: _Invocation = decode(_INVOCATION, body)
    forms = [form for form in _FORMS if getattr(given, form) is not msgspec.UNSET]
    if len(forms) != 1:
        raise Problem(400, "wrong_form", f"The body has exactly one of the keys {', '.join(_FORMS)}.")
    value: Any = getattr(given, forms[0])
    rows = _READERS[forms[0]](value, names, limits)
    params = given.params or {}
    method = params.get("predict_method", "predict")
    if params.keys() - {"predict_method"} or method not in ("predict", "predict_proba"):
        raise Problem(400, "wrong_params", "There is one param, predict_method; it is predict or predict_proba.")
    check_rows(rows, limits, len(names), len(body))
    check_keys(body, _n_keys(value, given))
    return Asked(rows, proba=method == "predict_proba")


def _n_keys(value: Any, given: _Invocation) -> int:
    """Keys of the objects of a request, but for those that are null."""
    keys = 1 if given.params is None else 2 + len(given.params)
    if isinstance(value, _Split):
        keys += 2 + (value.index is not None)
    elif isinstance(value, dict):
        keys += len(value)
    else:
        keys += sum(len(each) for each in value if isinstance(each, dict))
    return keys


def _from_split(value: _Split, names: list[str], limits: Limits) -> list[Row]:
    columns = value.columns
    if len(set(columns)) < len(columns):
        raise Problem(400, "repeated_column", "A column is named twice.")
    if value.index is not None and len(value.index) != len(value.data):
        raise Problem(400, "wrong_shape", "The index must have an entry for each row.")
    return [_named(row, columns, number) for number, row in enumerate(value.data)]


def _named(row: Any, names: list[str], number: int) -> Row:
    if not isinstance(row, list):
        row = [row]
    if len(row) != len(names):
        raise Problem(400, "wrong_length", f"A row has {len(names):,} values, one for each column.", row=number)
    return dict(zip(names, row, strict=True))


def _from_instances(value: list[Any], names: list[str], limits: Limits) -> list[Row]:
    rows = []
    for number, row in enumerate(value):
        if isinstance(row, dict):
            rows.append({name: _one(cell, number) for name, cell in row.items()})
        else:
            rows.append(_named(row, names, number))
    return rows


def _one(cell: Any, number: int) -> Scalar:
    """A cell, also where it was sent as a list of one."""
    if isinstance(cell, list):
        if len(cell) != 1:
            raise Problem(400, "wrong_shape", "A cell is one value.", row=number)
        return cell[0]
    return cell


def _from_inputs(value: Any, names: list[str], limits: Limits) -> list[Row]:
    if isinstance(value, list):
        return _from_instances(value, names, limits)
    columns = {name: cells if isinstance(cells, list) else [cells] for name, cells in value.items()}
    lengths = set(map(len, columns.values()))
    if len(lengths) > 1:
        raise Problem(400, "wrong_shape", "The columns differ in length.")
    n_rows = lengths.pop() if lengths else 0
    if n_rows > limits.rows:
        raise Problem(413, "too_many_rows", f"A request has {limits.rows:,} rows at most.")
    return [{name: _one(cells[number], number) for name, cells in columns.items()} for number in range(n_rows)]


_READERS = {
    "dataframe_split": _from_split,
    "dataframe_records": lambda value, names, limits: value,
    "instances": _from_instances,
    "inputs": _from_inputs,
}


def invocation_csv(body: bytes, names: list[str], limits: Limits) -> Asked:
    """Rows of text with a line of column names.

    Parameters
    ----------
    body : bytes
        CSV in UTF-8 with commas.
    names : list of str
        Columns of the model.
    limits : Limits
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Problem(400, "not_csv", "The body is not text in UTF-8.") from None
    rows: list[Row] = []
    try:
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(lines, [])
        if not header:
            raise Problem(400, "empty_body", "The body has no line of column names.")
        if len(set(header)) < len(header):
            raise Problem(400, "repeated_column", "A column is named twice.")
        for line in lines:
            if not line:
                continue
            if len(rows) >= limits.rows:
                raise Problem(413, "too_many_rows", f"A request has {limits.rows:,} rows at most.")
            rows.append(_named(line, header, len(rows)))
    except csv.Error:
        raise Problem(400, "not_csv", "The body cannot be read as CSV.", row=len(rows)) from None
    check_rows(rows, limits, len(names), len(body))
    check_texts(rows, limits)
    return Asked(rows)
