"""Evaluation rows cannot reach what is trained: scramble them, and every file of the training stays the same.

All of a training is compared: the encoded views, what every learner saved in every fit of the search, and the model
folder. Only what names the data or the run may differ. Which rows are sealed is held fast, for the rule that divides
the rows may read them (copies must stay together, classes keep their share).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.learners import registry
from modelwright.reports import report
from modelwright.runs.run import Run
from modelwright.search.portfolio import Entry
from modelwright.search.tuning import Tuner
from modelwright.splits.partition import Split
from modelwright.store.folders import RunFolder
from modelwright.tables.schema import Task
from modelwright.training import prepare, searching

N = 240
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression", "clustering")
INSTALLED = {task: [n for n in registry.names(task, baseline=False) if not registry.available(n)] for task in TASKS}


def _table(task: str) -> pl.DataFrame:
    """Every kind of column that has an encoder of its own, with gaps."""
    rng = np.random.default_rng(7)
    x, z = rng.normal(size=N), rng.gamma(1.0, size=N)
    kind = rng.choice(["a", "b", "c"], N)
    signal = x + (kind == "a") + 0.3 * rng.normal(size=N)
    words = np.array(["late", "broken", "fine", "thanks", "never", "again", "refund", "quick"])
    frame = pl.DataFrame(
        {
            "number": x,
            "skewed": [None if k % 9 == 0 else float(v) for k, v in enumerate(z)],
            "whole": rng.integers(0, 400, N),
            "kind": kind,
            "town": [f"town {k}" for k in rng.integers(0, 40, N)],
            "flag": rng.random(N) < 0.5,
            "since": [datetime(2023, 1, 1) + timedelta(hours=int(h)) for h in rng.integers(0, 9000, N)],
            "note": [" ".join(rng.choice(words, 12)) for _ in range(N)],
            "household": np.arange(N) // 3,
            "day": rng.permutation(N),
        }
    )
    targets = {
        "binary": np.where(signal > 0.4, "yes", "no"),
        "multiclass": np.array(["low", "mid", "high"])[np.digitize(signal, [-0.2, 0.9])],
        "regression": signal,
    }
    return frame if task == "clustering" else frame.with_columns(y=pl.Series(targets[task]))


def _shuffled(values: pl.Series, rng: np.random.Generator) -> pl.Series:
    return values.gather(rng.permutation(len(values)))


def _constant(values: pl.Series, rng: np.random.Generator) -> pl.Series:
    return values.head(1).new_from_index(0, len(values))


def _missing(values: pl.Series, rng: np.random.Generator) -> pl.Series:
    return values.clear(len(values))


Scramble = Callable[[pl.Series, np.random.Generator], pl.Series]


def _scrambled(frame: pl.DataFrame, sealed: np.ndarray, how: Scramble, keep: tuple[str, ...]) -> pl.DataFrame:
    """Evaluation rows with other features, and with other targets where a missing one would not count as a row."""
    rng = np.random.default_rng(11)
    rest = np.setdiff1d(np.arange(frame.height), sealed)
    columns = []
    for name in frame.columns:
        changed = frame[name].gather(sealed)
        if name == "y":
            changed = _poisoned(changed, rng) if how is _missing else how(changed, rng)
        elif name not in keep:
            changed = how(changed, rng)
        whole = pl.concat([frame[name].gather(rest), changed])
        columns.append(whole.gather(np.argsort(np.concatenate([rest, sealed]))))
    return pl.DataFrame(columns)


def _poisoned(target: pl.Series, rng: np.random.Generator) -> pl.Series:
    """Wrong for every row: another class, or an absurd number."""
    if target.dtype.is_numeric():
        return pl.Series(target.name, 1e6 * rng.normal(size=len(target)))
    labels = target.unique().sort().to_list()
    return pl.Series(target.name, [labels[(labels.index(v) + 1) % len(labels)] for v in target])


@pytest.fixture
def files_of(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Digest of every file that a training works on, by path; filled when the run is published."""
    seen: dict[str, str] = {}
    publish = RunFolder.publish

    def look(folder: RunFolder) -> Path:
        seen.clear()
        seen.update(_digests(folder.work / "views"), **_digests(folder.work / "fits"))
        return publish(folder)

    monkeypatch.setattr(RunFolder, "publish", look)
    return seen


def _digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"{folder.name}/{path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _artifact(run: Run) -> dict[str, str]:
    """The model folder, without what names the run and the data."""
    found = _digests(run.folder / "model")
    described = json.loads((run.folder / "model" / "model.json").read_text())
    assert described.pop("run") == run.record.id
    found["model/model.json"] = json.dumps(described, sort_keys=True)
    del found["model/manifest.json"]
    return found


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[Split]:
    """Let the first call decide which rows are sealed; later ones get the same answer."""
    kept: list[Split] = []
    seal = prepare.seal

    def once(*given: object, **options: object) -> Split:
        if not kept:
            kept.append(seal(*given, **options))  # type: ignore[arg-type]
        return kept[0]

    monkeypatch.setattr(prepare, "seal", once)
    return kept


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rounds in every fit: what a fit may read does not depend on how long it takes."""
    rounds = {"n_estimators": 12, "n_epochs": 3}

    def entries(task: Task, *_: object, **options: object) -> list[Entry]:
        found = []
        for name in INSTALLED[task]:
            iterations = registry.get(name).algorithm.iterations
            found.append(Entry(name, {iterations: rounds[iterations]} if iterations in rounds else {}))
        return found

    ask = Tuner.ask

    def proposal(tuner: Tuner, number: int) -> dict[str, Any]:
        params = ask(tuner, number)
        return {key: min(value, rounds[key]) if key in rounds else value for key, value in params.items()}

    monkeypatch.setattr(searching, "portfolio", entries)
    monkeypatch.setattr(Tuner, "ask", proposal)
    monkeypatch.setattr(report, "render", lambda record: "")


def _compare(
    task: Task,
    scrambles: list[Scramble],
    tmp_path: Path,
    files: dict[str, str],
    split: list[Split],
    *,
    keep: tuple[str, ...] = (),
    **options: object,
) -> Run:
    """Train, scramble the evaluation rows, train again; the files must be the same."""
    frame = _table(task)
    given: dict[str, Any] = {"target": None if task == "clustering" else "y", "task": task, "name": "same"} | options
    first = modelwright.train(frame, home=tmp_path / "first", **given)
    expected, fits = _artifact(first), dict(files)
    assert any(name.startswith("fits/") for name in fits)
    for how in scrambles:
        changed = _scrambled(frame, split[0].evaluation, how, keep)
        assert not changed.equals(frame)
        assert changed[split[0].training].equals(frame[split[0].training])
        again = modelwright.train(changed, home=tmp_path / how.__name__, **given)
        assert again.record.fingerprint != first.record.fingerprint
        differing = [name for name in fits if files.get(name) != fits[name]]
        assert not differing, f"{how.__name__} evaluation rows changed {differing[:5]}"
        assert files.keys() == fits.keys()
        assert _artifact(again) == expected, how.__name__
    return first


#: Libraries that take seconds to import in each worker are tried with one task; their learners treat all tasks alike.
HEAVY = {"catboost", "network", "xgboost"}


@pytest.mark.parametrize(
    ("task", "scrambles"),
    [("binary", [_shuffled, _missing]), ("multiclass", [_constant]), ("regression", [_missing]), ("clustering", [_missing])],
)
def test_no_learner_encoder_or_search_step_sees_evaluation_rows(
    task: Task, scrambles: list[Scramble], tmp_path: Path, files_of: dict[str, str], held: list[Split], short: None
) -> None:
    names = [name for name in INSTALLED[task] if task == "binary" or name not in HEAVY]
    run = _compare(task, scrambles, tmp_path, files_of, held, algorithms=names, trials=len(names) + 2)
    tried = {trial.algorithm for trial in run.record.trials if trial.score is not None}
    assert set(names) <= tried
    assert set(registry.names(task, baseline=True)) <= tried
    assert len([trial for trial in run.record.trials if not trial.baseline]) > len(names)  # some were proposed by the tuner


@pytest.mark.parametrize("roles", [{"group": "household"}, {"time": "day", "group": "household", "gap": "3"}])
def test_splits_by_time_and_group_keep_evaluation_rows_out(
    roles: dict[str, str], tmp_path: Path, files_of: dict[str, str], held: list[Split], short: None
) -> None:
    keep = tuple(roles[role] for role in ("time", "group") if role in roles)
    _compare("regression", [_missing], tmp_path, files_of, held, keep=keep, algorithms=["linear"], trials=1, **roles)


def test_a_cut_in_time_needs_no_holding_fast_and_a_changed_training_row_is_noticed(tmp_path: Path, short: None) -> None:
    frame = _table("binary")
    given: dict[str, Any] = {"target": "y", "time": "day", "algorithms": ["linear"], "trials": 1, "name": "same"}
    first = modelwright.train(frame, home=tmp_path / "first", **given)
    late = np.flatnonzero(frame["day"].to_numpy() >= int(0.8 * N))
    again = modelwright.train(_scrambled(frame, late, _missing, ("day",)), home=tmp_path / "again", **given)
    assert _artifact(again) == _artifact(first)
    # Without this, files compared too loosely would pass all of the above.
    frame[int(np.argmin(frame["day"].to_numpy())), "number"] = 1.25
    other = modelwright.train(frame, home=tmp_path / "other", **given)
    assert _artifact(other) != _artifact(first)
