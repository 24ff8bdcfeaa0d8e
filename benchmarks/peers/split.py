"""The rows that every system trains on, and those on which all are scored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Entry = Mapping[str, Any]
TASKS = ("binary", "multiclass", "regression")


def read_table(folder: Path, entry: Entry) -> pd.DataFrame:
    """The table of a manifest's entry; rows without a target are left out."""
    path = folder / entry["file"]
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    return frame[frame[entry["target"]].notna()].reset_index(drop=True)


def roles(frame: pd.DataFrame, entry: Entry) -> tuple[str | None, str | None]:
    """Names of the time and the group column, where the frame has them."""
    time, group = entry.get("time_column"), entry.get("group_column")
    return (time if time in frame.columns else None), (group if group in frame.columns else None)


def divide(frame: pd.DataFrame, entry: Entry, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """75 % of the rows to train on, and the rest.

    The earliest rows where the manifest names a time column, whole groups where it names a group column, else at
    random, by class where each has two rows. Columns that the manifest drops serve this division and then go.

    Parameters
    ----------
    frame : DataFrame
    entry : mapping
        The table's entry of ``manifest.json``.
    seed : int
        Of the random divisions; one by time has no chance in it.

    Returns
    -------
    tuple of DataFrame
        Training rows and scored rows; the index counts rows of ``frame``.
    """
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    target = entry["target"]
    dropped = [c["column"] for c in entry.get("drop_columns") or [] if c["column"] in frame.columns and c["column"] != target]
    kept = frame.drop(columns=dropped)
    time, group = roles(frame, entry)
    if time is not None:
        order = np.argsort(_moments(frame[time]).to_numpy(), kind="stable")
        cut = int(len(frame) * 0.75)
        return kept.iloc[order[:cut]], kept.iloc[order[cut:]]
    if group is not None:
        names = frame[group].fillna("?").astype(str)
        train, test = next(GroupShuffleSplit(1, test_size=0.25, random_state=seed).split(frame, groups=names))
        return kept.iloc[train], kept.iloc[test]
    y = frame[target]
    by_class = y if entry["task"] != "regression" and y.value_counts().min() > 1 else None
    train, test = train_test_split(kept, test_size=0.25, random_state=seed, stratify=by_class)
    return train, test


def _moments(column: pd.Series) -> pd.Series:
    if column.dtype == object or "str" in str(column.dtype):
        return pd.to_datetime(column, errors="coerce", format="mixed", dayfirst=True)
    return column
