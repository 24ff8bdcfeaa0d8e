"""Calibration and labels as nodes."""

from __future__ import annotations

import numpy as np

from modelwright.artifacts.model import Model
from modelwright.artifacts.onnx.graph import Graph, library
from modelwright.ensembles.calibration import Calibration

_FLOOR = 1e-300


def calibrated(graph: Graph, proba: str, calibration: Calibration) -> str:
    """`ensembles.calibration.calibrate`."""
    method = calibration.method
    if method == "none" or (method == "temperature" and calibration.temperature == 1.0):
        return proba
    logs = graph.add("Log", graph.add("Max", proba, graph.constant(_FLOOR)))
    if method == "temperature":
        return graph.add("Softmax", graph.add("Div", logs, graph.constant(calibration.temperature)), axis=1)
    if method == "platt" and len(calibration.intercepts) > 1:
        moved = graph.add("Mul", logs, graph.constant(calibration.slopes[0]))
        return graph.add("Softmax", graph.add("Add", moved, graph.constant(calibration.intercepts)), axis=1)
    odds = graph.add("MatMul", logs, graph.constant([[-1.0], [1.0]]))
    if method == "platt":
        moved = graph.add("Mul", odds, graph.constant(calibration.slopes[0]))
        z = graph.add("Add", moved, graph.constant(calibration.intercepts[0]))
    else:
        z = _through(graph, odds, np.array(calibration.x), np.array(calibration.y))
    return graph.add("Concat", graph.add("Sigmoid", graph.add("Neg", z)), graph.add("Sigmoid", z), axis=1)


def _through(graph: Graph, z: str, x: np.ndarray, y: np.ndarray) -> str:
    """The line through knots: a straight one, and a bend at each inner knot."""
    slope = np.diff(y) / np.diff(x)
    line = graph.add("Add", graph.add("Mul", z, graph.constant(slope[0])), graph.constant(y[0] - slope[0] * x[0]))
    if len(slope) == 1:
        return line
    beyond = graph.add("Relu", graph.add("Sub", z, graph.constant(x[None, 1:-1])))
    return graph.add("Add", line, graph.add("MatMul", beyond, graph.constant(np.diff(slope)[:, None])))


def labelled(graph: Graph, proba: str, model: Model) -> str:
    """`Model.label`: classes as strings, or as whole numbers where all of them are."""
    proto = library("onnx").TensorProto
    classes = model.classes_.tolist()
    if model.threshold is not None and len(classes) == 2:
        second = graph.add("MatMul", proba, graph.constant([0.0, 1.0]))
        number = graph.add("Cast", graph.add("GreaterOrEqual", second, graph.constant(model.threshold)), to=proto.INT64)
    else:
        number = graph.add("ArgMax", proba, axis=1, keepdims=0)
    names = graph.constant(classes, np.int64) if whole(classes) else graph.constant([str(c) for c in classes], object)
    return graph.add("Gather", names, number, name="label", axis=0)


def whole(classes: list[object]) -> bool:
    """Whether all classes are whole numbers."""
    return all(isinstance(each, int) and not isinstance(each, bool) for each in classes)
