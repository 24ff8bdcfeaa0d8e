"""From cells to the table that tree members read: one input for each column.

A number or truth value is a double, NaN for missing; a category is a string, "" for missing. Cells are those that
`tables.conform` makes of a row: blanks around text stripped, numbers as numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelwright.artifacts.model import Model
from modelwright.artifacts.onnx.graph import ML, Graph, library, refused
from modelwright.features.columns import CategoryColumn, EncodedColumn, NumberColumn, TextColumn
from modelwright.features.encoder import Encoder
from modelwright.features.matrix import OTHER


def table_of(graph: Graph, columns: Sequence[EncodedColumn], encoder: Encoder, model: Model, known: dict[str, str]) -> str:
    """The table (n, p + q), doubles that are float32 numbers, NaN for missing, as `learners.boosting.joined` has it.

    Parameters
    ----------
    graph : Graph
    columns : sequence of EncodedColumn
        What the encoder reads, as its description says.
    encoder : Encoder
    model : Model
        For the types of its columns.
    known : dict of str to str
        Inputs that are there already, by column; added to.
    """
    proto = library("onnx").TensorProto
    if encoder.generator is not None:
        raise refused("The model reads generated columns")
    numeric, codes = [], []
    for column in columns:
        if isinstance(column, NumberColumn):
            if column.source not in known:
                known[column.source] = graph.input(column.source, proto.DOUBLE)
            cells = known[column.source]
            if column.offset:
                cells = graph.add("Sub", cells, graph.constant(column.offset))
            numeric.append(graph.add("Cast", cells, to=proto.FLOAT))
        elif isinstance(column, CategoryColumn):
            if model.schema[column.source].type in ("number", "boolean", "datetime"):
                raise refused(f"Column {column.source!r} is read as text although it is a {model.schema[column.source].type}")
            if column.source not in known:
                known[column.source] = graph.input(column.source, proto.STRING)
            keys = ["", *column.levels]
            values = np.array([np.nan, *range(1, len(keys))], dtype=np.float32)
            codes.append(
                graph.add(
                    "LabelEncoder",
                    known[column.source],
                    domain=ML,
                    keys_strings=keys,
                    values_floats=values.tolist(),
                    default_float=float(OTHER),
                )
            )
        else:
            raise refused(f"Column {column.source!r} is a {'text' if isinstance(column, TextColumn) else 'date'}")
    parts = numeric + codes
    if not parts:
        raise refused("The model reads no column")
    table = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
    return graph.add("Cast", table, to=proto.DOUBLE)
