"""Tables that count as too large for memory: what is sealed, what is sampled, what is fitted on all rows."""

from __future__ import annotations

import datetime as dt
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.artifacts.period import period_lineage, read_period
from modelwright.errors import DataError, SpecError
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.learners.streamed import Batch, Limits, fit_streamed
from modelwright.reports.report import render
from modelwright.runs.reproducing.flow import reproduce
from modelwright.spec import Spec, resolve_spec
from modelwright.splits.hashed_sides import EVALUATION, SAMPLED, TRAINING
from modelwright.training import flow
from modelwright.training.large.source import Prepared, in_time, large_scan, prepare_large
from modelwright.training.large.stream import TrainingRows

N = 50_000


def table(n: int = N, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    kind = rng.integers(0, 6, n)
    chance = 1 / (1 + np.exp(-(2 * x[:, 0] - x[:, 1] * x[:, 2] + 0.5 * (kind == 2))))
    return pl.DataFrame(
        {
            **{f"x{j}": x[:, j] for j in range(4)},
            "kind": [f"level {k}" for k in kind],
            "shop": rng.integers(0, 500, n),
            "when": np.arange(n),
            "amount": 10 * x[:, 0] + x[:, 3] ** 2 + rng.normal(size=n),
            "bought": np.where(rng.random(n) < chance, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    frame = table()
    for part in range(3):
        frame[part * 20_000 : (part + 1) * 20_000].write_parquet(folder / f"part-{part}.parquet", row_group_size=7_000)
    return folder


def spec_of(data: Path, **given: object) -> Spec:
    return resolve_spec(None, {"data": str(data), "target": "bought", "exclude": ("when", "shop", "amount"), **given})


def prepared(spec: Spec, folder: Path, *, sample_rows: int = 4_000) -> Prepared:
    scan = large_scan(spec, 1e6)
    assert scan is not None, "the table is too large for a megabyte"
    return prepare_large(spec, scan, folder, sample_rows=sample_rows)


def streamed_rows(found: Prepared, spec: Spec) -> tuple[Encoder, TrainingRows, Batch]:
    encoder = Encoder.fit(found.training.frame, found.training.schema)
    sample = Batch(encoder.transform(found.training.frame), found.training.y, found.training.weight)
    return encoder, TrainingRows(found.large, encoder, spec), sample


def test_a_table_that_fits_keeps_the_ordinary_flow(parquet: Path) -> None:
    assert large_scan(spec_of(parquet), 1e9) is None
    assert large_scan(spec_of(parquet), 1e6) is not None
    assert large_scan(Spec(data=table(100)), 1.0) is None, "a table in memory is there already"


def test_every_form_of_a_table_gives_the_same_fingerprint_sides_and_sample(parquet: Path, tmp_path: Path) -> None:
    table().write_csv(tmp_path / "whole.csv")
    table().write_ipc(tmp_path / "whole.arrow")
    found = [
        prepared(spec_of(data), tmp_path / name)
        for name, data in (("a", parquet), ("b", tmp_path / "whole.csv"), ("c", tmp_path / "whole.arrow"))
    ]
    for other in found[1:]:
        assert other.facts.fingerprint == found[0].facts.fingerprint
        np.testing.assert_array_equal(other.large.side, found[0].large.side)
        assert other.training.raw.equals(found[0].training.raw)
        assert other.training.vault is not None
        assert found[0].training.vault is not None
        assert other.training.vault.about.identity == found[0].training.vault.about.identity


def test_same_seed_same_sample_other_seed_other_rows(parquet: Path, tmp_path: Path) -> None:
    first, again = (prepared(spec_of(parquet), tmp_path / name) for name in "ab")
    other = prepared(spec_of(parquet, seed=1), tmp_path / "c")
    np.testing.assert_array_equal(first.positions.training, again.positions.training)
    assert len(np.intersect1d(first.positions.training, other.positions.training)) < 0.5 * len(first.positions.training)


def test_shares_are_kept_and_parts_are_disjoint(parquet: Path, tmp_path: Path) -> None:
    found = prepared(spec_of(parquet, evaluation=0.3, reserve=0.1), tmp_path)
    side = found.large.side
    assert abs(np.mean(side == EVALUATION) - 0.3) < 0.01
    assert len(found.positions.reserve) == pytest.approx(0.1 * N, rel=0.1)
    assert len(found.positions.training) == 4_000
    assert (side[found.positions.training] == SAMPLED).all()
    assert (side[found.positions.evaluation] == EVALUATION).all()
    shares = [np.mean(table()["bought"].to_numpy()[side == s] == "yes") for s in (TRAINING, EVALUATION)]
    assert abs(shares[0] - shares[1]) < 0.02


def test_exact_copies_and_entities_stay_on_one_side(tmp_path: Path) -> None:
    doubled = pl.concat([table(20_000), table(20_000)])
    doubled.write_parquet(tmp_path / "doubled.parquet")
    found = prepared(spec_of(tmp_path / "doubled.parquet"), tmp_path / "a")
    trains = np.isin(found.large.side, (TRAINING, SAMPLED))
    np.testing.assert_array_equal(trains[:20_000], trains[20_000:])
    by_shop = prepared(spec_of(tmp_path / "doubled.parquet", exclude=("when", "amount"), group="shop"), tmp_path / "b")
    trains = np.isin(by_shop.large.side, (TRAINING, SAMPLED))
    sides = doubled.with_columns(trains=trains).group_by("shop").agg(pl.col("trains").n_unique())
    assert (sides["trains"] == 1).all()


def test_a_cut_in_time_seals_the_latest_rows(parquet: Path, tmp_path: Path) -> None:
    found = prepared(spec_of(parquet, exclude=("shop", "amount"), time="when", gap="1000"), tmp_path)
    sealed = np.flatnonzero(found.large.side == EVALUATION)
    trains = np.flatnonzero(np.isin(found.large.side, (TRAINING, SAMPLED)))
    assert sealed.min() - trains.max() >= 1_000
    assert len(sealed) == pytest.approx(0.2 * N, rel=0.02)
    told = period_lineage(found.large.times, n_rows=found.large.n_training, n_data=N)
    assert (float(told["first"]), float(told["last"])) == (0.0, trains.max())


def test_the_period_of_training_is_that_of_all_rows_however_they_stand(tmp_path: Path) -> None:
    shuffled = table().sample(fraction=1.0, shuffle=True, seed=1)
    days = (pl.datetime(2020, 1, 1) + pl.duration(minutes=pl.col("when"))).dt.strftime("%d/%m/%Y %H:%M").alias("day")
    shuffled.with_columns(days).write_parquet(tmp_path / "days.parquet")
    given = {
        "exclude": ("when", "shop", "amount"),
        "time": "day",
        "home": str(tmp_path),
        "trials": 1,
        "algorithms": ("linear",),
    }
    record, folder = flow.train(
        spec_of(tmp_path / "days.parquet", **given), started=time.monotonic(), emit=lambda event: None,
        stop=threading.Event(), render=render, memory_bytes=1e6,
    )  # fmt: skip
    found = read_period(folder / "model")
    began = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert (found.time, found.n_rows, found.n_data) == ("day", record.n_training, N)
    assert dt.datetime.fromisoformat(found.first) == began
    ended = dt.datetime.fromisoformat(found.last) - began
    assert ended.total_seconds() / 60 == pytest.approx(0.8 * N, rel=0.01)


def test_no_sealed_row_is_ever_streamed(parquet: Path, tmp_path: Path) -> None:
    """Sealed rows get a target that no training row has; sides do not follow from the target, so they stay."""
    asked = {"target": "amount", "exclude": ("when", "shop", "bought")}
    sealed = np.isin(prepared(spec_of(parquet, **asked), tmp_path / "a").large.side, (TRAINING, SAMPLED), invert=True)
    marked = table().with_columns(amount=pl.when(pl.Series(sealed)).then(1e6).otherwise(pl.col("amount")))
    marked.write_parquet(tmp_path / "marked.parquet")
    spec = spec_of(tmp_path / "marked.parquet", **asked)
    found = prepared(spec, tmp_path / "b")
    np.testing.assert_array_equal(np.isin(found.large.side, (TRAINING, SAMPLED), invert=True), sealed)
    _, rows, _ = streamed_rows(found, spec)
    streamed = np.concatenate([batch.y for batch in rows if batch.y is not None])
    assert streamed.max() < 1e5
    assert len(streamed) == rows.n_rows == int((~sealed).sum())
    assert found.training.y is not None
    assert found.training.y.max() < 1e5
    assert (pl.read_ipc(tmp_path / "b" / "evaluation.arrow")["amount"] == 1e6).all()


def test_a_rare_class_is_drawn_more_often_and_weighs_less(tmp_path: Path) -> None:
    rare = np.zeros(N, dtype=bool)
    rare[np.random.default_rng(3).choice(N, 300, replace=False)] = True
    frame = table().with_columns(bought=pl.when(pl.Series(rare)).then(pl.lit("rare")).otherwise(pl.col("bought")))
    frame.write_parquet(tmp_path / "rare.parquet")
    found = prepared(spec_of(tmp_path / "rare.parquet"), tmp_path / "a")
    y, weight = found.training.y, found.training.weight
    assert y is not None
    assert weight is not None
    k = found.facts.classes.index("rare")
    assert np.sum(y == k) >= 190
    assert weight[y == k].sum() / weight.sum() == pytest.approx(300 / N, rel=0.2)


def test_how_sure_the_sample_may_be_is_not_said_of_all_rows(parquet: Path, tmp_path: Path) -> None:
    spec = spec_of(parquet)
    _, rows, sample = streamed_rows(prepared(spec, tmp_path), spec)
    learner = registry.create("lightgbm", {"n_estimators": 20, "temperature": 1.7}, task="binary", n_classes=2)
    learner.fit(sample.X, sample.y)
    fitted = fit_streamed(learner, rows, sample, Limits())
    assert fitted.learner is not None
    assert learner.coding.temperature == 1.7
    assert fitted.learner.coding.temperature == fitted.params["temperature"] == 1.0


@pytest.mark.parametrize("algorithm", ["lightgbm", "linear", "network"])
def test_all_rows_serve_no_worse_than_the_sample(parquet: Path, tmp_path: Path, algorithm: str) -> None:
    spec = spec_of(parquet)
    found = prepared(spec, tmp_path)
    encoder, rows, sample = streamed_rows(found, spec)
    params = {"lightgbm": {"n_estimators": 60}, "linear": {}, "network": {"n_epochs": 8, "width": 32}}[algorithm]
    learner = registry.create(algorithm, params, task="binary", n_classes=2)
    learner.fit(sample.X, sample.y)
    fitted = fit_streamed(learner, rows, sample, Limits())
    assert fitted.learner is not None
    assert fitted.n_rows == found.large.n_training
    fresh = table(20_000, seed=9)
    X, y = encoder.transform(fresh), (fresh["bought"] == "yes").to_numpy()

    def loss(of: object) -> float:
        return float(-np.mean(np.log(of.predict(X)[np.arange(len(y)), y.astype(int)])))  # type: ignore[attr-defined]

    assert loss(fitted.learner) <= loss(learner) + 2e-4
    (tmp_path / "model").mkdir()
    fitted.learner.save(tmp_path / "model")
    again = registry.load(algorithm, tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), fitted.learner.predict(X))


@pytest.mark.parametrize("factor", [0.0, 1.1])
def test_regression_in_batches_equals_the_ridge_on_all_rows(tmp_path: Path, factor: float) -> None:
    whole = table()
    if factor:
        whole = whole.with_columns((pl.col("amount") / 10).exp())
    whole.write_parquet(tmp_path / "rows.parquet", row_group_size=7_000)
    spec = spec_of(tmp_path / "rows.parquet", target="amount", exclude=("when", "shop", "bought", "kind"))
    found = prepared(spec, tmp_path)
    encoder, rows, sample = streamed_rows(found, spec)
    learner = registry.create("linear", {"skew": "none", "log_target": factor}, task="regression")
    learner.fit(sample.X, sample.y)
    fitted = fit_streamed(learner, rows, sample, Limits()).learner
    frame = whole[np.flatnonzero(np.isin(found.large.side, (TRAINING, SAMPLED)))]
    inputs = np.column_stack([frame.select(f"x{j}" for j in range(4)).to_numpy(), np.ones(frame.height)])
    y = frame["amount"].to_numpy()
    exact = np.linalg.lstsq(inputs, np.log1p(y) if factor else y, rcond=None)[0]
    got = fitted.coefficients_[:, 0] / learner.coder_.scale_  # type: ignore[union-attr, attr-defined]
    np.testing.assert_allclose(got, exact[:4], atol=2e-3 if factor else 2e-2)
    expected = factor * np.expm1(inputs @ exact) if factor else inputs @ exact
    within = (expected > y.min()) & (expected < y.max())
    predicted = fitted.predict(encoder.transform(frame))  # type: ignore[union-attr]
    np.testing.assert_allclose(predicted[within], expected[within], rtol=1e-2, atol=0.1)


@pytest.mark.parametrize("algorithm", ["kmeans", "minibatch_kmeans"])
def test_clusters_are_found_in_all_rows(tmp_path: Path, algorithm: str) -> None:
    rng = np.random.default_rng(0)
    of = rng.integers(0, 3, N)
    pl.DataFrame({"a": of * 10 + rng.normal(size=N), "b": (of == 1) * 8 + rng.normal(size=N)}).write_csv(tmp_path / "c.csv")
    spec = resolve_spec(None, {"data": str(tmp_path / "c.csv")})
    found = prepared(spec, tmp_path / "a")
    _, rows, sample = streamed_rows(found, spec)
    learner = registry.create(algorithm, {"n_clusters": 3}, task="clustering")
    learner.fit(sample.X, None)
    fitted = fit_streamed(learner, rows, sample, Limits())
    assert fitted.learner is not None
    assert fitted.n_rows == found.large.n_training
    clusters = np.concatenate([fitted.learner.predict(batch.X) for batch in rows])
    assert np.bincount(clusters, minlength=3).min() > 0.25 * rows.n_rows


def test_a_part_of_the_rows_is_taken_in_whole_batches(parquet: Path, tmp_path: Path) -> None:
    spec = spec_of(parquet)
    found = prepared(spec, tmp_path)
    encoder, _, _ = streamed_rows(found, spec)
    rows = TrainingRows(found.large, encoder, spec, 0.3)
    assert 0 < rows.n_rows <= found.large.n_training
    assert sum(batch.X.n_rows for batch in rows) == rows.n_rows


def test_time_for_few_rows_only_takes_the_first_ones(parquet: Path) -> None:
    scan = large_scan(spec_of(parquet), 1e6)
    assert scan is not None
    assert in_time(scan, 1e9).most_rows is None


def test_wrong_names_and_targets_are_refused_as_in_the_ordinary_flow(parquet: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="There is no column 'bougt'"):
        prepared(spec_of(parquet, target="bougt"), tmp_path / "a")
    with pytest.raises(DataError, match="neither dates nor numbers"):
        prepared(spec_of(parquet, time="kind", exclude=()), tmp_path / "b")


def test_a_whole_run_fits_its_members_on_all_training_rows(parquet: Path, tmp_path: Path) -> None:
    spec = spec_of(parquet, trials=2, algorithms=("lightgbm",), home=str(tmp_path))
    record, folder = flow.train(
        spec, started=time.monotonic(), emit=lambda event: None, stop=threading.Event(), render=render, memory_bytes=1e6
    )
    assert record.n_rows == N
    assert record.n_training == pytest.approx(0.8 * N, rel=0.02)
    assert [member.n_rows for member in record.plan.members] == [record.n_training] * len(record.plan.members)
    assert record.evaluation is not None
    assert record.evaluation.score.value > 0.8
    run = modelwright.open_run(folder)
    assert run.model.predict_proba(table(100)).shape == (100, 2)
    with pytest.raises(DataError, match="larger than memory"):
        reproduce(folder)


def test_a_class_that_comes_up_late_counts_against_a_model_of_many_rows(tmp_path: Path) -> None:
    frame = table(20_000).with_columns(
        bought=pl.when(pl.col("when") >= 19_000).then(pl.lit("later")).otherwise("bought")
    )  # fmt: skip
    frame.write_parquet(tmp_path / "late.parquet", row_group_size=5_000)
    spec = spec_of(
        tmp_path / "late.parquet", exclude=("shop", "amount"), time="when", trials=3,
        algorithms=("lightgbm", "linear", "network"), home=str(tmp_path),
    )  # fmt: skip
    record, folder = flow.train(
        spec, started=time.monotonic(), emit=lambda event: None, stop=threading.Event(), render=render, memory_bytes=1e5
    )
    assert "No training row is of class 'later'" in record.plan.split_sentence
    assert record.evaluation is not None
    assert record.evaluation.others["accuracy"].value < 0.8
    late = modelwright.open_run(folder).model.predict_proba(frame.tail(100))
    assert late[:, record.plan.classes.index("later")].max() < 0.02


def test_a_run_within_seconds_ends_in_time_and_says_what_it_left_out(parquet: Path, tmp_path: Path) -> None:
    spec = spec_of(parquet, budget="12s", algorithms=("lightgbm", "linear"), home=str(tmp_path))
    started = time.monotonic()
    record, _ = flow.train(
        spec, started=started, emit=lambda event: None, stop=threading.Event(), render=render, memory_bytes=1e6
    )
    assert record.wall_s <= 12 * 1.05 + 2
    assert any("larger than memory" in note for note in record.notes)
