"""Encoded views of the training rows on disk: the probe, one per fold, and all rows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from modelwright.search.jobs import Prepare
from modelwright.tables.schema import Schema, Task


class Views:
    """Folder of views for one run.

    Parameters
    ----------
    folder : Path
        Empty working folder.
    table : polars.DataFrame
        Training rows, conformed to ``schema``. Evaluation rows are never handed to this class.
    y, weight : ndarray of shape (n_rows,) or None
    seed : int
    task, n_classes
        What generated features are chosen for.
    """

    def __init__(
        self,
        folder: Path,
        table: pl.DataFrame,
        schema: Schema,
        y: np.ndarray | None,
        weight: np.ndarray | None,
        *,
        seed: int,
        task: Task = "clustering",
        n_classes: int = 0,
    ) -> None:
        self.folder = folder
        self.n_rows = table.height
        self._seed, self._task, self._n_classes = seed, task, n_classes
        folder.mkdir(parents=True, exist_ok=True)
        table.write_ipc(folder / "table.arrow", compression="uncompressed")
        (folder / "schema.json").write_bytes(msgspec.json.encode(schema))
        self._y = self._write("y", y)
        self._weight = self._write("weight", weight)

    def _write(self, name: str, values: np.ndarray | None) -> str:
        if values is None:
            return ""
        path = self.folder / f"{name}.npy"
        np.save(path, values)
        return str(path)

    def path(self, view: str) -> Path:
        return self.folder / view

    def job(self, view: str, training: np.ndarray, validation: np.ndarray | None = None, *, generated: bool = False) -> Prepare:
        """The job that writes one view."""
        return Prepare(
            table=str(self.folder / "table.arrow"),
            schema=str(self.folder / "schema.json"),
            out=str(self.path(view)),
            training_rows=self._write(f"{view}.training", training),
            validation_rows=self._write(f"{view}.validation", validation),
            y=self._y,
            weight=self._weight,
            seed=self._seed,
            generated=generated,
            task=self._task,
            n_classes=self._n_classes,
        )
