"""Runs side by side: differences only, paired tests that open nothing, and the spread of seeds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from modelwright.errors import DataError, InvalidInputError
from modelwright.evaluation.influences import compare_kept, influences_of, load_influences, save_influences
from modelwright.metrics import registry as metrics
from modelwright.metrics.paired import compare
from modelwright.runs.compare import Compared, compare_runs, seed_groups
from modelwright.runs.entries import entry_of, find_folder
from modelwright.runs.entry import RunEntry
from modelwright.store.database import Database
from modelwright.store.ledger import Ledger

RNG = np.random.default_rng(3)
N = 500
SIGNAL = RNG.normal(size=N)
Y = (SIGNAL + RNG.normal(size=N) > 0).astype(np.int64)


def proba(quality: float, seed: int) -> np.ndarray:
    p = 1 / (1 + np.exp(-(quality * SIGNAL + (1 - quality) * np.random.default_rng(seed).normal(size=N))))
    return np.column_stack([1 - p, p])


def compared(home: Path, *names: str) -> Compared:
    folders = [find_folder(name, home) for name in names]
    return compare_runs(folders, [entry_of(folder) for folder in folders])


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "f1", "average_precision"])
@pytest.mark.parametrize("dependence", [{}, {"groups": np.arange(N) // 5}, {"blocks": np.arange(N)}, {"weight": RNG.random(N)}])
def test_kept_influences_give_the_test_that_predictions_give(name: str, dependence: dict, tmp_path: Path) -> None:
    metric = metrics.get(name, "binary")
    ours, theirs = proba(0.9, 1), proba(0.4, 2)
    wanted = compare(metric, Y, ours, theirs, **dependence)
    kept = []
    for k, prediction in enumerate((ours, theirs)):
        (tmp_path / str(k)).mkdir()
        found = influences_of("v", 1, metric, Y, prediction, **dependence)
        assert found is not None
        save_influences(found, tmp_path / str(k), "evaluation")
        kept.append(load_influences(tmp_path / str(k)))
    assert kept[0] is not None
    assert kept[1] is not None
    found = compare_kept(kept[0], kept[1])
    assert found is not None
    assert found.better is wanted.better
    assert found.p_value == pytest.approx(wanted.p_value)
    assert found.difference.value == pytest.approx(wanted.difference.value)
    assert (found.difference.low, found.difference.high) == pytest.approx((wanted.difference.low, wanted.difference.high))


def test_the_same_predictions_differ_by_nothing() -> None:
    metric = metrics.get("roc_auc", "binary")
    kept = influences_of("v", 1, metric, Y, proba(0.9, 1))
    assert kept is not None
    found = compare_kept(kept, kept)
    assert found is not None
    assert (found.difference.value, found.p_value, found.better) == (0.0, 1.0, False)


def test_other_rows_are_not_compared() -> None:
    metric = metrics.get("roc_auc", "binary")
    one, two = (influences_of(vault, 1, metric, Y, proba(0.9, 1)) for vault in ("v", "w"))
    assert one is not None
    assert two is not None
    assert compare_kept(one, two) is None


def test_damaged_influences_are_refused(tmp_path: Path) -> None:
    (tmp_path / "evaluation.influences.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="cannot be read"):
        load_influences(tmp_path)
    assert load_influences(tmp_path / "absent") is None


def test_comparing_opens_no_sealed_rows(trained: Path) -> None:
    ledger = Ledger(Database.of(trained))
    record = msgspec.json.decode((find_folder("first", trained) / "run.json").read_bytes())
    vault = record["evaluation"]["look"]["vault"]
    before = ledger.lines(vault)
    found = compared(trained, "first", "better", "same")
    assert [test.better for test in found.tests] != []
    assert ledger.lines(vault) == before


def test_two_shown_runs_on_the_same_rows_are_tested(trained: Path) -> None:
    (test,) = compared(trained, "better", "first").tests
    assert test.run.startswith("better-")
    assert test.other.startswith("first-")
    assert test.difference is not None
    assert test.n_rows == 400
    # The difference is that of the scores that were shown, on the grid that they were shown on.
    assert test.difference.value * 400 == pytest.approx(round(test.difference.value * 400))
    assert "look 2" in test.sentence


def test_nothing_of_a_withheld_model_is_told_but_that_it_is_no_better(trained: Path) -> None:
    found = compared(trained, "better", "same")
    (test,) = found.tests
    assert (test.difference, test.p_value, test.better) == (None, None, False)
    assert "stays in the ledger" in test.sentence
    folder = find_folder("same", trained)
    assert not list((folder / "vault").glob("*.npz"))
    assert found.runs[1].metrics == {}


def test_runs_on_other_sealed_rows_are_not_tested(trained: Path) -> None:
    (test,) = compared(trained, "better", "seeded").tests
    assert test.difference is None
    assert "different sealed rows (seeds 0 and 1)" in test.sentence


def test_only_what_differs_is_told(trained: Path) -> None:
    sections = {section.title: section for section in compared(trained, "first", "better").sections}
    asked = {difference.name: difference.values for difference in sections["asked"].differences}
    assert asked == {"algorithms": [["linear"], ["lightgbm", "linear"]], "trials": [2, 8]}
    assert sections["asked"].n_same > 20
    assert sections["data"].differences == []
    assert sections["versions"].differences == []
    assert any(d.name.startswith("lightgbm.") for d in sections["hyperparameters"].differences)


def test_runs_of_a_seed_group_are_averaged_with_their_spread(trained: Path) -> None:
    found = compared(trained, "first", "seeded")
    (group,) = found.groups
    scores = [entry.metrics["roc_auc"] for entry in found.runs]
    spread = group.metrics["roc_auc"]
    assert spread.mean == pytest.approx(np.mean(scores))
    assert spread.sd == pytest.approx(np.std(scores, ddof=1))
    assert (spread.low, spread.high, spread.n) == (min(scores), max(scores), 2)
    assert found.tests == []


def test_the_same_seed_twice_is_no_group() -> None:
    runs = [RunEntry(f"r{k}", "r", "job", "finished", "2026-01-01", seed=1, group="g", metrics={"a": k}) for k in range(3)]
    assert seed_groups(runs) == []


def test_one_run_is_nothing_to_compare(trained: Path) -> None:
    with pytest.raises(InvalidInputError, match="nothing to compare"):
        compared(trained, "first", "first")
