"""Sealed rows come back whole, and every reading leaves a line."""

from __future__ import annotations

import json

import polars as pl
import pytest

from modelwright.errors import DataError, StorageError
from modelwright.splits.vault import Vault


def test_rows_come_back_as_they_were_and_openings_are_counted(tmp_path):
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "ü"], "c": pl.Series(["p", "q"], dtype=pl.Categorical)})
    vault = Vault.seal(tmp_path / "sealed", frame)
    assert vault.openings() == []
    assert vault.open("final evaluation", at="2024-05-01T12:00:00Z").equals(frame)
    vault.open("second look")
    lines = [json.loads(line) for line in (tmp_path / "sealed" / "openings.jsonl").read_text().splitlines()]
    assert lines[0] == {"reason": "final evaluation", "count": 1, "at": "2024-05-01T12:00:00Z"}
    assert [opening.count for opening in vault.openings()] == [1, 2]


def test_sealed_rows_are_not_overwritten(tmp_path):
    Vault.seal(tmp_path, pl.DataFrame({"a": [1]}))
    with pytest.raises(StorageError, match="holds sealed rows already"):
        Vault.seal(tmp_path, pl.DataFrame({"a": [2]}))


def test_missing_rows_are_an_error_and_no_opening(tmp_path):
    vault = Vault(tmp_path)
    with pytest.raises(DataError, match="sealed evaluation rows are missing"):
        vault.open("look")
    assert vault.openings() == []
