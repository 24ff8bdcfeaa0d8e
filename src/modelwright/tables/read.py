"""Read a table from wherever it is: a file, a folder, a URL, a database, or memory.

This module only decides who reads. `files` and `formats` read files, `dialect` delimited text, `databases`
queries, `memory` what is already loaded; `normalise` brings all of it into one form, so that the same data
gives the same frame and the same `fingerprint` wherever it was kept.
"""

from __future__ import annotations

import os
from typing import Any

from modelwright.errors import DataError
from modelwright.tables.databases import read_database
from modelwright.tables.files import read_files
from modelwright.tables.locations import is_database
from modelwright.tables.memory import from_memory
from modelwright.tables.normalise import normalise
from modelwright.tables.table import Table


def read(data: Any, *, query: str | None = None) -> Table:
    """Read a table.

    Parameters
    ----------
    data : str, path or table
        A file (CSV, TSV, Parquet, Arrow, JSON lines, JSON; also with .gz or .zst), a folder or glob of files,
        a URL that fsspec reads (s3://, https://, …), a SQLAlchemy URL, a pandas, polars or Arrow table, a
        two-dimensional or structured NumPy array, a dict of columns, or a list of dicts.
    query : str, default=None
        SQL or a table name; for databases only, where it is required.

    Returns
    -------
    Table
        Rows in their order, in the types that `tables.normalise` lists. Infinite values are kept.

    Raises
    ------
    DataError
        If the table cannot be read, has no rows or columns, or names a column twice.
    MissingExtraError
        If the database driver is not installed.

    Examples
    --------
    >>> read({"age": [31, 44], "city": ["Bern", ""]}).frame.to_dict(as_series=False)
    {'age': [31, 44], 'city': ['Bern', None]}
    """
    if isinstance(data, Table):
        return data
    address = os.fspath(data) if isinstance(data, os.PathLike) else data
    if isinstance(address, str) and is_database(address):
        frame, source = read_database(address, query)
        return Table(normalise(frame, source=source), source)
    if query is not None:
        raise DataError("A query was given, but the data is no database.", mend="Leave query out, or give a database URL.")
    if isinstance(address, str):
        if not address.strip():
            raise DataError("The path is empty.", mend="Give the path of a file or folder.")
        return Table(*read_files(address))
    if type(data).__name__ == "Series":  # of pandas or polars
        raise DataError(
            "A Series may be one row or one column.",
            where=f"{type(data).__module__.partition('.')[0]} Series",
            mend="Give a table: for one row df.iloc[[0]] or df[:1], for one column series.to_frame().",
        )
    frame, source = from_memory(data)
    return Table(normalise(frame, source=source), source)
