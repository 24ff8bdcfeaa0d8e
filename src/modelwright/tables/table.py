"""A table that has been read: its rows, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Table:
    """Rows and their origin.

    Attributes
    ----------
    frame : polars.DataFrame
        Normalised as `tables.normalise` describes.
    source : str
        Where the rows came from, in words; passwords and signed query strings are left out.
    """

    frame: pl.DataFrame
    source: str
