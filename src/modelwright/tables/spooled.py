"""Rows of a database query in files of a folder, so that results larger than memory are read batch by batch.

A query is asked once: asked again it could answer otherwise.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from modelwright.errors import StorageError
from modelwright.tables.databases import database_frames
from modelwright.tables.scan import Scan


def spooled(url: str, query: str | None, folder: Path) -> Scan:
    """Write a query's rows below a folder, and open them.

    Parameters
    ----------
    url : str
        As `tables.read` takes it.
    query : str or None
    folder : Path
        Exists and is empty; the caller removes it.

    Returns
    -------
    Scan
        One Arrow file for each part, all of the same types.

    Raises
    ------
    DataError
        As `tables.read` raises it.
    StorageError
        If the disk refuses.
    """
    paths: list[Path] = []
    schemas: list[pl.Schema] = []
    kinds: dict[str, set[pl.DataType]] = {}
    try:
        with database_frames(url, query) as (source, frames):
            for frame in frames:
                for cells in frame:
                    filled = cells.null_count() < len(cells)
                    kinds.setdefault(cells.name, set()).update([cells.dtype] if filled else [])
                if frame.height or not paths:
                    paths.append(folder / f"{len(paths):06}.arrow")
                    schemas.append(frame.schema)
                    frame.write_ipc(paths[-1])
        types = pl.Schema({name: _shared(found) for name, found in kinds.items()})
        for path, schema in zip(paths, schemas, strict=True):
            if schema != types:
                # Beside its place and renamed in: the file may be mapped into memory while it is read.
                draft = path.with_suffix(".draft")
                pl.read_ipc(path).cast(types).write_ipc(draft)
                draft.replace(path)
    except (OSError, pl.exceptions.ComputeError) as error:
        raise StorageError(
            f"The rows of the query cannot be kept: {str(error).splitlines()[0][:200]}",
            where=str(folder),
            mend="Free space, or set TMPDIR to a place that has some.",
        ) from error
    return Scan(tuple(map(str, paths)), "arrow", tuple(types), source)


def _shared(kinds: set[pl.DataType]) -> pl.DataType:
    """The type that `column_from_values` would have given all parts together."""
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds and all(kind.is_numeric() for kind in kinds):
        return pl.Float64()
    if kinds and all(kind.is_temporal() for kind in kinds):
        return pl.Datetime("us")
    return pl.String()
