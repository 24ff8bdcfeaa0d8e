"""Nodes and constants of a graph while it is being made; names are given here."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.errors import InvalidInputError, MissingExtraError

#: Versions of the two operator sets; TreeEnsemble exists from the second's fifth on.
OPSET, ML_OPSET, IR = 21, 5, 10
ML = "ai.onnx.ml"


def library(name: str) -> Any:
    """``onnx`` or ``onnxruntime``.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(name.partition(".")[0], "onnx") from error


def refused(what: str) -> InvalidInputError:
    """The refusal of a model that has no form in ONNX here."""
    return InvalidInputError(
        f"{what}, which cannot be written as ONNX.",
        where="--to onnx",
        mend="Serve the model itself (modelwright serve), take it along as a container, or export it with --to mlflow.",
    )


class Graph:
    """A graph in the making; values travel as the names of their nodes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self._helper = library("onnx.helper")
        self._numpy = library("onnx.numpy_helper")

    def constant(self, value: Any, dtype: Any = np.float64) -> str:
        """The name of a constant."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._numpy.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def add(self, kind: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output, and give the output's name."""
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def input(self, name: str, element: int) -> str:
        """A column of cells, of shape (n, 1)."""
        self.inputs.append(self._helper.make_tensor_value_info(name, element, ["n", 1]))
        return name
