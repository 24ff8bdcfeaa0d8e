"""The network without its trainer: how rows enter it, and its forward pass in NumPy.

Notation: n rows, p numbers, T bins or frequencies per number, d width of the first layer's input.

Prediction needs a few matrix products, so a trained network predicts without torch. `network_training` holds the
same forward pass with gradients; a test keeps the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
import numpy as np

from modelwright.features.matrix import Matrix

#: Columns of at most this many codes are one-hot coded, the others embedded.
ONE_HOT_LIMIT = 9
EMBEDDING_WIDTH = 8
#: Frequencies, or bins, behind the three learned numbers that accompany each number.
FREQUENCIES = 16
#: Rows from which medians and quantiles are taken; more change them by less than the training noise.
_QUANTILE_ROWS = 20_000
_CHUNK_ROWS = 4096

Weights = dict[str, np.ndarray]


class Wiring(msgspec.Struct, frozen=True):
    """Shape of a network: what decides the forward pass besides the weights."""

    cardinalities: list[int]
    n_layers: int
    activation: str
    number_embedding: str


@dataclass(frozen=True)
class Inputs:
    """Rows as the network reads them: scaled numbers, zeros and ones, and embedding rows."""

    numbers: np.ndarray
    flags: np.ndarray
    levels: np.ndarray


def learn_scaling(X: Matrix) -> Weights:
    """Median, inverse spread, and whether values were missing, of each numeric column; bin edges of the scaled values.

    The spread is the interquartile range, or half the range where more than half of the values are equal.
    """
    sample = X.numeric[:: max(1, X.n_rows // _QUANTILE_ROWS)]
    p = X.numeric.shape[1]
    median, factor = np.zeros(p, dtype=np.float32), np.zeros(p, dtype=np.float32)
    edges = np.zeros((p, FREQUENCIES + 1), dtype=np.float32)
    for j in range(p):
        column = sample[:, j].astype(np.float64)
        column = column[~np.isnan(column)]
        if not len(column):
            continue
        low, median[j], high = np.quantile(column, [0.25, 0.5, 0.75])
        spread = high - low if high > low else (column.max() - column.min()) / 2
        factor[j] = 1.0 / spread if spread > 1e-30 else 0.0
        edges[j] = np.quantile(_squash((column - median[j]) * factor[j]), np.linspace(0, 1, FREQUENCIES + 1))
    missing = np.isnan(X.numeric).any(axis=0)
    return {"input.median": median, "input.factor": factor, "input.missing": missing.astype(np.uint8), "input.edges": edges}


def _squash(z: np.ndarray) -> np.ndarray:
    """Smooth clip to (-3, 3), nearly the identity around 0."""
    return z / np.sqrt(1.0 + np.square(z / 3.0))


def read_rows(X: Matrix, scaling: Weights, cardinalities: list[int]) -> Inputs:
    """Scale numbers, flag missing ones, one-hot code short columns and number the levels of long ones."""
    # A far outlier may overflow to infinity when scaled; the clip below stands for both.
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.clip((X.numeric - scaling["input.median"]) * scaling["input.factor"], -1e6, 1e6)
    numbers = np.nan_to_num(_squash(numbers), nan=0.0).astype(np.float32)
    missing = np.isnan(X.numeric[:, np.flatnonzero(scaling["input.missing"])]).astype(np.float32)
    if not cardinalities:
        return Inputs(numbers, missing, np.zeros((X.n_rows, 0), dtype=np.int64))
    sizes = np.asarray(cardinalities, dtype=np.int64)
    # A code past the last known one is a level never seen: "other".
    codes = np.where(X.codes[:, : len(sizes)] < sizes, X.codes[:, : len(sizes)], 0)
    # All columns at once: one by one, 40 of them took 0.2 ms for a row that comes alone. Missing codes fill a place of no use.
    short = np.flatnonzero((sizes > 0) & (sizes <= ONE_HOT_LIMIT))
    ends = np.cumsum(sizes[short])
    n_places = int(ends[-1]) if len(ends) else 0
    places = np.where(codes[:, short] >= 0, codes[:, short] + (ends - sizes[short]), n_places)
    flags = np.zeros((X.n_rows, n_places + 1), dtype=np.float32)
    flags[np.arange(X.n_rows)[:, None], places] = 1.0
    levels = codes[:, np.flatnonzero(sizes > ONE_HOT_LIMIT)].astype(np.int64) + 1
    return Inputs(numbers, np.concatenate([missing, flags[:, :n_places]], axis=1), levels)


def embedded(cardinalities: list[int]) -> list[int]:
    """Sizes of the embedding tables: one row per code and one for missing."""
    return [cardinality + 1 for cardinality in cardinalities if cardinality > ONE_HOT_LIMIT]


def forward(weights: Weights, wiring: Wiring, X: Matrix) -> np.ndarray:
    """Output of the last layer, shape (n, k), float32, with one thread.

    BLAS sums a row in another order when it is multiplied together with others, depending on its place among them.
    Here every row is a product of its own, a (1, d) matrix in a stack of n, so that its output does not depend on
    the batch. With 256 x 256 weights that costs 2.7 us a row and layer, against 1.8 us in blocks of 16 rows.
    """
    outputs = []
    with _thread_pools().limit(limits=1):
        for start in range(0, max(1, X.n_rows), _CHUNK_ROWS):
            chunk = Matrix(X.numeric[start : start + _CHUNK_ROWS], X.codes[start : start + _CHUNK_ROWS], None, X.layout)
            h = _first_input(weights, wiring, read_rows(chunk, weights, wiring.cardinalities))
            for layer in range(wiring.n_layers):
                h = _activate(_product(h, weights[f"layer.{layer}.weight"]) + weights[f"layer.{layer}.bias"], wiring.activation)
            outputs.append(_product(h, weights["out.weight"]) + weights["out.bias"])
    return np.concatenate(outputs)


@cache
def _thread_pools() -> Any:
    """Found once per process: the search for thread pools takes milliseconds, more than one row's prediction."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _product(h: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``h @ weight``, row by row."""
    return np.matmul(h[..., None, :], weight)[..., 0, :]


def _first_input(weights: Weights, wiring: Wiring, rows: Inputs) -> np.ndarray:
    z = rows.numbers
    parts = [z, rows.flags]
    if wiring.number_embedding != "none" and z.shape[1]:
        if wiring.number_embedding == "periodic":
            hidden = np.cos(z[:, :, None] * weights["numbers.frequency"] + weights["numbers.phase"])
        else:
            hidden = np.clip((z[:, :, None] - weights["numbers.start"]) * weights["numbers.slope"], 0.0, 1.0)
        learned = _product(hidden, weights["numbers.weight"]) + weights["numbers.bias"]
        parts.append(learned.reshape(len(z), weights["numbers.bias"].size))
    parts += [weights[f"levels.{j}"][rows.levels[:, j]] for j in range(rows.levels.shape[1])]
    return np.concatenate(parts, axis=1)


def _activate(z: np.ndarray, activation: str) -> np.ndarray:
    if activation == "relu":
        return np.maximum(z, 0.0)
    if activation == "selu":
        return np.float32(1.0507009873554805) * np.where(
            z > 0, z, np.float32(1.6732632423543772) * np.expm1(np.minimum(z, np.float32(0.0)))
        )
    # mish: z tanh(log(1 + e^z)) = z m / (m + 2) with m = e^z (e^z + 2); above 20 the quotient is 1 in float32.
    e = np.exp(np.minimum(z, np.float32(20.0)))
    m = e * (e + np.float32(2.0))
    return z * (m / (m + np.float32(2.0)))
