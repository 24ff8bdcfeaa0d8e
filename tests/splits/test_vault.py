"""Sealed rows come back whole, to whoever has a permit, and to nobody else."""

from __future__ import annotations

import polars as pl
import pytest

from modelwright.errors import DataError, InvalidInputError, StorageError
from modelwright.splits.vault import Permit, Vault, identity

FRAME = pl.DataFrame({"a": [1, None], "b": ["x", "ü"], "c": pl.Series(["p", "q"], dtype=pl.Categorical)})


def sealed(folder, **changed):
    return Vault.seal(folder, FRAME, **({"data": "f", "rows_digest": "r", "target": "c"} | changed))


def test_rows_come_back_as_they_were(tmp_path):
    vault = sealed(tmp_path / "vault")
    assert vault.rows(Permit(vault.about.identity)).equals(FRAME)
    assert Vault.of(tmp_path / "vault") == vault


@pytest.mark.parametrize("permit", [None, "please", Permit("another vault")])
def test_rows_need_a_permit_of_their_own(tmp_path, permit):
    with pytest.raises(InvalidInputError, match="through the ledger"):
        sealed(tmp_path).rows(permit)


def test_permit_that_ended_opens_nothing(tmp_path):
    vault = sealed(tmp_path)
    permit = Permit(vault.about.identity)
    permit.valid = False
    with pytest.raises(InvalidInputError, match="sealed"):
        vault.rows(permit)


def test_features_are_there_for_everybody_and_the_target_is_not(tmp_path):
    assert sealed(tmp_path / "one").features().equals(FRAME.drop("c"))
    assert sealed(tmp_path / "two", target=None).features().equals(FRAME)


def test_same_data_target_and_rows_are_the_same_vault(tmp_path):
    first, later = sealed(tmp_path / "first"), sealed(tmp_path / "later")
    assert first.about.identity == later.about.identity
    others = {identity(*given) for given in (("r", "c", "reserve"), ("r", "b", "evaluation"), ("s", "c", "evaluation"))}
    assert len(others - {first.about.identity}) == 3


def test_reserve_lies_beside_and_knows_what_comes_before(tmp_path):
    evaluation = sealed(tmp_path)
    reserve = sealed(tmp_path, part="reserve", before=evaluation)
    assert (tmp_path / "reserve.arrow").exists()
    assert reserve.about.identity != evaluation.about.identity
    assert Vault.of(tmp_path, "reserve").about.before == evaluation.about.identity


def test_sealed_rows_are_not_overwritten(tmp_path):
    sealed(tmp_path)
    with pytest.raises(StorageError, match="holds sealed rows already"):
        sealed(tmp_path)


def test_missing_and_changed_rows_are_noticed(tmp_path):
    vault = sealed(tmp_path)
    FRAME.reverse().write_ipc(tmp_path / "evaluation.arrow")
    with pytest.raises(DataError, match="were changed since"):
        vault.rows(Permit(vault.about.identity))
    (tmp_path / "evaluation.arrow").unlink()
    with pytest.raises(DataError, match="sealed evaluation rows are missing"):
        vault.rows(Permit(vault.about.identity))


def test_run_without_sealed_rows_says_so(tmp_path):
    with pytest.raises(DataError, match="no sealed reserve rows"):
        Vault.of(tmp_path, "reserve")
