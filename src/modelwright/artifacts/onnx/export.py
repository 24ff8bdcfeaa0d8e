"""A model as one ONNX file that answers as the model does, or a refusal that names the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from modelwright.artifacts.bundle import load_bundle, read_json
from modelwright.artifacts.drafted import drafted
from modelwright.artifacts.golden import check_golden, read_golden
from modelwright.artifacts.manifest import manifest_digest
from modelwright.artifacts.model import Model
from modelwright.artifacts.onnx.graph import IR, ML, ML_OPSET, OPSET, Graph, library, refused
from modelwright.artifacts.onnx.inputs import table_of
from modelwright.artifacts.onnx.outputs import calibrated, labelled, whole
from modelwright.artifacts.onnx.trees import member
from modelwright.errors import BundleError, InvalidInputError
from modelwright.features.encoder import EncoderState
from modelwright.tables.conform import conform

#: Largest difference of a probability, or of a number relative to the largest one; sums are taken in another order.
TOLERANCE = 1e-9


class Parity(msgspec.Struct, frozen=True):
    """How many rows were compared, and the largest difference."""

    n_rows: int
    largest: float


def export_onnx(folder: Path, output: Path, *, rows: pl.DataFrame | None = None) -> Parity:
    """Convert a bundle, compare the answers, and write the file if they are the same.

    Parameters
    ----------
    folder : Path
        A bundle.
    output : Path
        Ends in ".onnx"; must not exist.
    rows : DataFrame, optional
        Rows as read, to compare on besides the golden ones.

    Returns
    -------
    Parity

    Raises
    ------
    InvalidInputError
        If a part of the model has no form in ONNX here, or the file exists.
    BundleError
        If the bundle is damaged, or the converted model answers otherwise.
    MissingExtraError
        If ``onnx`` or ``onnxruntime`` is not installed.
    """
    library("onnx"), library("onnxruntime")
    if output.suffix != ".onnx":
        raise InvalidInputError("An ONNX file ends in .onnx.", where=str(output), mend="Name it model.onnx.")
    if output.exists():
        raise InvalidInputError("There is such a file already.", where=str(output), mend="Give another name, or remove it.")
    model = load_bundle(folder)
    check_golden(model, folder)
    golden = read_golden(folder)
    asked = [] if golden is None else [model.rows(golden.rows)]
    asked += [] if rows is None else [model.rows(rows)]
    if not asked:
        raise BundleError("There are no golden rows to compare with.", where=str(folder), mend="Give rows with --data.")
    made = convert(model, folder)
    compared = [_compared(model, made, frame) for frame in asked]
    found = Parity(sum(each.n_rows for each in compared), max(each.largest for each in compared))
    with drafted(output, "file") as draft:
        draft.write_bytes(made)
    return found


def convert(model: Model, folder: Path) -> bytes:
    """The graph of a model.

    Parameters
    ----------
    model : Model
    folder : Path
        Its bundle.

    Raises
    ------
    InvalidInputError
        If a part of it has no form in ONNX here.
    """
    helper, proto = library("onnx.helper"), library("onnx").TensorProto
    if model.task == "clustering":
        raise refused("The model finds clusters")
    if model.derived is not None:
        raise refused("The model derives columns")
    graph = Graph()
    known: dict[str, str] = {}
    tables: dict[int, str] = {}
    total = ""
    for each in model.members:
        if each.encoder not in tables:
            state = read_json(folder / "encoders" / str(each.encoder) / "encoder.json", EncoderState)
            tables[each.encoder] = table_of(graph, state.columns, model.encoders[each.encoder], model, known)
        part = graph.add("Mul", member(graph, each.learner, tables[each.encoder]), graph.constant(each.weight))
        total = graph.add("Add", total, part) if total else part
    if model.task == "regression":
        graph.add("Squeeze", total, graph.constant([1], np.int64), name="prediction")
        outputs = [helper.make_tensor_value_info("prediction", proto.DOUBLE, ["n"])]
    else:
        proba = graph.add("Identity", calibrated(graph, total, model.calibration), name="probabilities")
        labelled(graph, proba, model)
        kind = proto.INT64 if whole(model.classes_.tolist()) else proto.STRING
        outputs = [
            helper.make_tensor_value_info("label", kind, ["n"]),
            helper.make_tensor_value_info("probabilities", proto.DOUBLE, ["n", len(model.classes_)]),
        ]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "modelwright", graph.inputs, outputs, initializer=graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)],
        ir_version=IR,
        producer_name="modelwright",
    )
    helper.set_model_props(made, {"bundle": manifest_digest(folder), "run": model.run, "task": model.task})
    library("onnx.checker").check_model(made)
    return bytes(made.SerializeToString())


def feeds(model: Model, frame: pl.DataFrame, names: list[str]) -> dict[str, np.ndarray]:
    """The inputs of a graph for rows as read: cells as `tables.conform` makes them.

    Parameters
    ----------
    model : Model
    frame : DataFrame
    names : list of str
        Inputs of the graph.
    """
    conformed, _ = conform(frame, model.schema, columns=model.columns_read(frame))
    found = {}
    for name in names:
        cells = conformed[name]
        if model.schema[name].type in ("number", "boolean"):
            found[name] = cells.cast(pl.Float64).fill_null(float("nan")).to_numpy()[:, None]
        else:
            found[name] = np.array(cells.cast(pl.String).fill_null("").to_list(), dtype=object)[:, None]
    return found


def _compared(model: Model, made: bytes, frame: pl.DataFrame) -> Parity:
    session = _session(made)
    answers = dict(
        zip(
            [output.name for output in session.get_outputs()],
            session.run(None, feeds(model, frame, [each.name for each in session.get_inputs()])),
            strict=True,
        )
    )
    expected = model.raw(frame)
    given = answers["prediction" if model.task == "regression" else "probabilities"]
    scale = max(1.0, float(np.abs(expected).max())) if model.task == "regression" else 1.0
    gap = float(np.abs(given - expected).max()) / scale
    same = model.task == "regression" or [str(c) for c in answers["label"]] == [str(c) for c in model.label(expected)]
    if not gap <= TOLERANCE or not same:
        what = f"differ by up to {gap:.3g}" if not gap <= TOLERANCE else "have other labels"
        raise BundleError(
            f"The converted model answers otherwise: its predictions {what} on {frame.height:,} rows.",
            where="--to onnx",
            mend="Serve the model itself, or export it with --to mlflow. Please report this.",
        )
    return Parity(frame.height, gap)


def _session(made: bytes) -> Any:
    runtime = library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
