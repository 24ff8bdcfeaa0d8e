"""The value that learners read: numbers, category codes and sparse text side by side.

Notation: n rows, p numeric columns, q coded columns, v text terms.

Written to a folder as plain ``.npy`` files so that worker processes map it into memory instead of copying it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from scipy import sparse

#: Code of a missing cell.
MISSING = -1
#: Code shared by levels too rare to learn from and levels never seen in training.
OTHER = 0


class Layout(msgspec.Struct, frozen=True):
    """Names and sizes of the columns of a `Matrix`.

    ``cardinalities[j]`` is one more than the largest code of coded column j (code 0 is "other").
    ``text_components`` counts the trailing numeric columns that came from text (SVD); learners that read
    ``Matrix.text`` leave them out.
    """

    numeric: tuple[str, ...]
    codes: tuple[str, ...]
    cardinalities: tuple[int, ...]
    text_terms: int = 0
    text_components: int = 0


@dataclass(frozen=True)
class Matrix:
    """Encoded rows.

    Parameters
    ----------
    numeric : ndarray of shape (n, p), float32
        NaN is missing; infinities do not occur.
    codes : ndarray of shape (n, q), int32
        -1 missing, 0 rare or unseen, 1 and up the known levels.
    text : csr_matrix of shape (n, v), float32, or None
        TF-IDF weights of all text columns side by side, rows of unit length per column.
    layout : Layout
    """

    numeric: np.ndarray
    codes: np.ndarray
    text: sparse.csr_matrix | None
    layout: Layout

    @property
    def n_rows(self) -> int:
        return int(self.numeric.shape[0])

    def take(self, rows: np.ndarray) -> Matrix:
        """The given rows, in the given order, as a copy."""
        text = None if self.text is None else self.text[rows]
        return Matrix(self.numeric[rows], self.codes[rows], text, self.layout)

    def save(self, folder: Path) -> None:
        """Write into ``folder``, which is made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "numeric.npy", self.numeric)
        np.save(folder / "codes.npy", self.codes)
        if self.text is not None:
            np.save(folder / "text_data.npy", self.text.data)
            np.save(folder / "text_indices.npy", self.text.indices)
            np.save(folder / "text_indptr.npy", self.text.indptr)
        (folder / "layout.json").write_bytes(msgspec.json.encode(self.layout))

    @classmethod
    def load(cls, folder: Path) -> Matrix:
        """Read a matrix back; its arrays are read-only maps of the files."""
        layout = msgspec.json.decode((folder / "layout.json").read_bytes(), type=Layout)
        numeric = _map(folder / "numeric.npy")
        codes = _map(folder / "codes.npy")
        text = None
        if (folder / "text_data.npy").exists():
            parts = [np.load(folder / f"text_{part}.npy", allow_pickle=False) for part in ("data", "indices", "indptr")]
            text = sparse.csr_matrix(tuple(parts), shape=(len(numeric), layout.text_terms))
        return cls(numeric, codes, text, layout)


def _map(path: Path) -> np.ndarray:
    """Memory-map a .npy file; an empty array cannot be mapped and is read."""
    array = np.load(path, mmap_mode="r", allow_pickle=False) if path.stat().st_size > 128 else np.load(path, allow_pickle=False)
    return np.asarray(array)
