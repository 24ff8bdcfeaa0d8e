"""The Open Inference Protocol, version 2, over REST: tensors in, tensors out, metadata from the schema.

What the protocol leaves open: JSON ``null`` is a missing value in every datatype; dates are BYTES in ISO 8601; categories
and text are BYTES; rows come as one tensor for each column, of shape ``[n]`` or ``[n, 1]``, or as one tensor of shape
``[n, k]`` in the order of the columns of the metadata.
"""

from __future__ import annotations

from typing import Any

import msgspec

from modelwright.serving.decoding import Row, Scalar, check_keys, check_rows, decode
from modelwright.serving.forms import Asked
from modelwright.serving.limits import Limits
from modelwright.serving.problems import Problem
from modelwright.serving.scoring import Scorer, Scores
from modelwright.tables.schema import Column

EXTENSIONS = ["null_is_missing", "iso8601_dates"]
PLATFORM = "modelwright"

_INTEGERS = {f"{sign}INT{bits}": bits for sign in ("", "U") for bits in (8, 16, 32, 64)}
_FLOATS = ("FP16", "FP32", "FP64")
DATATYPES = ("BOOL", *_INTEGERS, *_FLOATS, "BYTES")
#: Types whose every value is of a datatype.
_PLAIN = {name: {float, int, type(None)} for name in _FLOATS} | {"BYTES": {str, type(None)}, "BOOL": {bool, type(None)}}
_Parameters = dict[str, str | int | float | bool]


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: str
    data: list[Scalar | list[Scalar]]
    parameters: _Parameters | None = None


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: _Parameters | None = None


class InferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``/infer``."""

    inputs: list[_Input]
    id: str | None = None
    parameters: _Parameters | None = None
    outputs: list[_Output] | None = None


_DECODER = msgspec.json.Decoder(InferRequest)


def infer_body(body: bytes, names: list[str], limits: Limits) -> tuple[InferRequest, Asked]:
    """The request, and its tensors as rows.

    Parameters
    ----------
    body : bytes
    names : list of str
        Columns of the model, in the order of the metadata.
    limits : Limits
    """
    request: InferRequest = decode(_DECODER, body)
    if not request.inputs:
        raise Problem(400, "no_rows", "There are no inputs.")
    if request.id is not None and len(request.id) > 200:
        raise Problem(400, "wrong_id", "An id has 200 characters at most.")
    if len(request.inputs) > len(names) + limits.extra_columns:
        raise Problem(400, "too_many_columns", f"There are {len(names) + limits.extra_columns:,} inputs at most.")
    rows = _rows(request.inputs, names, limits)
    check_rows(rows, limits, len(names), len(body))
    check_keys(body, _n_keys(request))
    return request, Asked(rows)


def _n_keys(request: InferRequest) -> int:
    """Keys of the objects of a request, but for those that are null."""
    tensors = [*request.inputs, *(request.outputs or ())]
    parameters = [each.parameters for each in (request, *tensors) if each.parameters is not None]
    named = 1 + (request.id is not None) + (request.outputs is not None)
    return named + 4 * len(request.inputs) + len(request.outputs or ()) + sum(1 + len(each) for each in parameters)


def _rows(inputs: list[_Input], names: list[str], limits: Limits) -> list[Row]:
    first = inputs[0]
    if len(inputs) == 1 and len(first.shape) == 2 and first.shape[1] == len(names) and first.name not in names:
        cells, n_rows, width = _cells(first, limits), first.shape[0], len(names)
        return [dict(zip(names, cells[k * width : (k + 1) * width], strict=True)) for k in range(n_rows)]
    columns: dict[str, list[Scalar]] = {}
    for tensor in inputs:
        if tensor.name in columns:
            raise Problem(400, "repeated_column", "An input is named twice.")
        if len(tensor.shape) not in (1, 2) or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
            raise Problem(
                400, "wrong_shape", "An input has shape [n] or [n, 1]; or there is one alone, of shape [n, number of columns].",
                column=tensor.name if tensor.name in names else None,
            )  # fmt: skip
        columns[tensor.name] = _cells(tensor, limits)
    if len(set(map(len, columns.values()))) != 1:
        raise Problem(400, "wrong_shape", "The inputs differ in their number of rows.")
    keys = list(columns)
    return [dict(zip(keys, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _cells(tensor: _Input, limits: Limits) -> list[Scalar]:
    """The elements of a tensor in row-major order, as many as its shape says and of its datatype."""
    if tensor.datatype not in DATATYPES:
        raise Problem(400, "wrong_datatype", f"A datatype is one of {', '.join(DATATYPES)}.")
    if any(size < 0 for size in tensor.shape):
        raise Problem(400, "wrong_shape", "A shape has no negative numbers.")
    width = 1
    for size in tensor.shape[1:]:
        width *= size
    nested = [isinstance(each, list) for each in tensor.data]
    cells: list[Any] = list(tensor.data)
    if any(nested):
        if not all(nested) or any(len(each) != width for each in tensor.data):  # type: ignore[arg-type]
            raise Problem(400, "wrong_shape", "The data has another shape than is stated.")
        cells = [cell for row in tensor.data for cell in row]  # type: ignore[union-attr]
    if len(cells) != tensor.shape[0] * width:
        raise Problem(400, "wrong_shape", "The data has another shape than is stated.")
    if tensor.shape[0] > limits.rows:
        raise Problem(413, "too_many_rows", f"A request has {limits.rows:,} rows at most.")
    if set(map(type, cells)) <= _PLAIN.get(tensor.datatype, set()):
        return cells
    for number, cell in enumerate(cells):
        if cell is not None and not _fits(cell, tensor.datatype):
            raise Problem(
                400, "wrong_datatype", "An element is not of the datatype that its input states.",
                row=number // width, expected=tensor.datatype,
            )  # fmt: skip
    return cells


def _fits(cell: Any, datatype: str) -> bool:
    kind = type(cell)
    if datatype in _FLOATS:
        return kind is float or kind is int
    if datatype == "BYTES":
        return kind is str
    if datatype == "BOOL":
        return kind is bool or (kind is int and cell in (0, 1))
    if kind is float and cell.is_integer():
        cell, kind = int(cell), int
    bits = _INTEGERS[datatype]
    low, high = (0, 2**bits) if datatype[0] == "U" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return kind is int and low <= cell < high


def metadata(name: str, versions: list[str], scorer: Scorer) -> dict[str, Any]:
    """Model metadata, from the schema that the model was trained with.

    Parameters
    ----------
    name : str
    versions : list of str
    scorer : Scorer
    """
    return {
        "name": name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [_described(column) for column in scorer.columns],
        "outputs": [{"name": k, "datatype": d, "shape": s} for k, d, s in _outputs(scorer)],
    }


def _described(column: Column) -> dict[str, Any]:
    datatype = {"number": "FP64", "boolean": "BOOL"}.get(column.type, "BYTES")
    parameters: dict[str, Any] = {"logical_type": column.type}
    if column.formats:
        parameters["formats"] = ", ".join(column.formats)
    return {"name": column.name, "datatype": datatype, "shape": [-1], "parameters": parameters}


def _outputs(scorer: Scorer) -> list[tuple[str, str, list[int]]]:
    if not scorer.classes:
        return [("prediction", "INT64" if scorer.model.task == "clustering" else "FP64", [-1])]
    kinds = {type(each) for each in scorer.classes}
    label = "BOOL" if kinds == {bool} else "INT64" if kinds == {int} else "FP64" if kinds <= {int, float} else "BYTES"
    return [("prediction", label, [-1]), ("probabilities", "FP64", [-1, len(scorer.classes)])]


def infer_answer(request: InferRequest, name: str, version: str, scorer: Scorer, scores: Scores, request_id: str) -> Any:
    """The body of the answer to ``/infer``.

    Parameters
    ----------
    request : InferRequest
    name, version : str
        Of the model that answered.
    scorer : Scorer
    scores : Scores
    request_id : str
        Stands for the request's id where it had none.
    """
    n_rows = len(scores.values)
    made: list[dict[str, Any]] = []
    for output, datatype, shape in _outputs(scorer):
        data = scores.values if output == "prediction" else [each for row in scores.proba or [] for each in row]
        made.append({"name": output, "datatype": datatype, "shape": [n_rows, *shape[1:]], "data": data})
        if output == "probabilities":
            made[-1]["parameters"] = {"classes": ", ".join(scorer.class_names)}
    if request.outputs is not None:
        wanted = [each.name for each in request.outputs]
        if any(each not in [one["name"] for one in made] for each in wanted):
            raise Problem(400, "unknown_output", f"The outputs are {', '.join(one['name'] for one in made)}.")
        made = [one for one in made if one["name"] in wanted]
    return {
        "model_name": name,
        "model_version": version,
        "id": request.id if request.id is not None else request_id,
        "parameters": {"request_id": request_id},
        "outputs": made,
    }
