"""Small encoded tables for contract suites, from a seeded generator."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from modelwright.features.matrix import MISSING, Layout, Matrix
from modelwright.tables.schema import Task

#: Number of classes K of the example of each task.
N_CLASSES: dict[Task, int] = {"binary": 2, "multiclass": 4, "regression": 0, "clustering": 0}
_CARDINALITIES = (5, 41)


def example(task: Task, n_rows: int = 160, *, seed: int = 0, text: bool = False) -> tuple[Matrix, np.ndarray | None]:
    """A small encoded table and its target.

    Five numeric columns (one with missing cells, one constant, one heavily skewed) and two coded ones (5 and 41
    codes, some missing), on which the target depends with noise. ``text`` adds sparse terms and two components.
    """
    generator = np.random.default_rng(seed)
    numeric = generator.normal(size=(n_rows, 5)).astype(np.float32)
    numeric[:, 2] = 3.0
    numeric[:, 3] = np.exp(2.0 * numeric[:, 3])
    codes = np.column_stack([generator.integers(1, size, n_rows) for size in _CARDINALITIES]).astype(np.int32)
    signal = numeric[:, 0] + 0.5 * np.abs(numeric[:, 1]) + (codes[:, 0] % 2) + 0.02 * codes[:, 1]
    signal = signal + 0.3 * generator.normal(size=n_rows)
    numeric[generator.random(n_rows) < 0.1, 1] = np.nan
    codes[generator.random(n_rows) < 0.1, 0] = MISSING
    terms = None
    names = tuple(f"x{j}" for j in range(5))
    if text:
        terms = sparse.random(n_rows, 12, density=0.3, format="csr", dtype=np.float32, rng=np.random.default_rng(seed + 1))
        numeric = np.column_stack([numeric, generator.normal(size=(n_rows, 2))]).astype(np.float32)
        names = (*names, "t0", "t1")
    layout = Layout(names, ("c0", "c1"), _CARDINALITIES, text_terms=12 if text else 0, text_components=2 if text else 0)
    X = Matrix(np.ascontiguousarray(numeric), np.ascontiguousarray(codes), terms, layout)
    if task == "clustering":
        return X, None
    if task == "regression":
        return X, signal.astype(np.float64)
    edges = np.quantile(signal, np.linspace(0.0, 1.0, N_CLASSES[task] + 1)[1:-1])
    return X, np.searchsorted(edges, signal).astype(np.int64)
