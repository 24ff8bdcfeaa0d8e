"""What a model answers for a row depends on that row alone, and on nothing about how it arrives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.errors import SchemaError
from modelwright.runs.run import Run

N = 200


def _table(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x, plan = rng.normal(size=n), rng.choice(["basic", "plus", "pro"], n)
    words = np.array(["late", "broken", "fine", "thanks", "never", "again", "refund", "quick"])
    return pl.DataFrame(
        {
            "amount": [None if k % 11 == 0 else float(v) for k, v in enumerate(x)],
            "visits": rng.integers(0, 300, n),
            "plan": plan,
            "town": [f"town {k}" for k in rng.integers(0, 30, n)],
            "member": rng.random(n) < 0.5,
            "since": [datetime(2023, 1, 1) + timedelta(hours=int(h)) for h in rng.integers(0, 9000, n)],
            "note": [" ".join(rng.choice(words, 12)) for _ in range(n)],
            "y": np.where(x + (plan == "pro") + 0.3 * rng.normal(size=n) > 0.3, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Members of different kinds: a linear model, boosted trees, a forest."""
    home = tmp_path_factory.mktemp("home")
    return modelwright.train(_table(500), target="y", algorithms=["linear", "lightgbm", "extra_trees"], trials=3, home=home)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return _table(N, seed=1).drop("y")


@pytest.fixture(scope="module")
def expected(run: Run, rows: pl.DataFrame) -> np.ndarray:
    return run.model.predict_proba(rows)


def test_one_row_at_a_time_and_reversed_equal_the_batch_bit_for_bit(run: Run, rows: pl.DataFrame, expected: np.ndarray) -> None:
    alone = np.vstack([run.model.predict_proba(rows[k : k + 1]) for k in range(N)])
    np.testing.assert_array_equal(alone, expected)
    np.testing.assert_array_equal(run.model.predict_proba(rows.reverse())[::-1], expected)
    np.testing.assert_array_equal(run.model.predict_proba(pl.concat([rows[100:], rows, rows[:7]]))[100 : 100 + N], expected)


def test_a_fresh_process_answers_the_same_bits_in_batch_and_alone(
    run: Run, rows: pl.DataFrame, expected: np.ndarray, tmp_path: Path
) -> None:
    rows.write_parquet(tmp_path / "rows.parquet")
    code = f"""
import modelwright, numpy as np, polars as pl
model = modelwright.load({str(run.folder)!r})
rows = pl.read_parquet({str(tmp_path / "rows.parquet")!r}).reverse()
np.save({str(tmp_path / "batch.npy")!r}, model.predict_proba(rows)[::-1])
np.save({str(tmp_path / "alone.npy")!r}, np.vstack([model.predict_proba(rows[k]) for k in range(rows.height)])[::-1])
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "batch.npy"), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "alone.npy"), expected)


SAME: dict[str, Callable[[pl.DataFrame], object]] = {
    "columns in another order": lambda rows: rows.select(reversed(rows.columns)),
    "a further column": lambda rows: rows.with_columns(pl.lit(1.5).alias("added"), pl.lit("yes").alias("y")),
    "whole numbers as floats": lambda rows: rows.with_columns(pl.col("visits").cast(pl.Float64)),
    "whole numbers in fewer bits": lambda rows: rows.with_columns(pl.col("visits").cast(pl.Int16)),
    "numbers as text": lambda rows: rows.with_columns(pl.col("visits").cast(pl.String)),
    "text as categories": lambda rows: rows.with_columns(pl.col("plan", "town").cast(pl.Categorical)),
    "blanks around text": lambda rows: rows.with_columns("  " + pl.col("plan") + " "),
    "dates as text": lambda rows: rows.with_columns(pl.col("since").dt.to_string("%Y-%m-%d %H:%M:%S")),
    "dates in milliseconds": lambda rows: rows.with_columns(pl.col("since").cast(pl.Datetime("ms"))),
    "true and false as 0 and 1": lambda rows: rows.with_columns(pl.col("member").cast(pl.Int8)),
    "missing numbers as NaN": lambda rows: rows.with_columns(pl.col("amount").fill_null(float("nan"))),
    "a pandas table": lambda rows: rows.to_pandas(),
    "a list of records": lambda rows: rows.to_dicts(),
}


@pytest.mark.parametrize("how", SAME)
def test_the_same_rows_in_another_form_get_the_same_answer(
    run: Run, rows: pl.DataFrame, expected: np.ndarray, how: str
) -> None:
    np.testing.assert_array_equal(run.model.predict_proba(SAME[how](rows)), expected)


@pytest.mark.parametrize("how", SAME)
def test_so_does_a_single_row(run: Run, rows: pl.DataFrame, expected: np.ndarray, how: str) -> None:
    for k in (0, 1, 57):
        np.testing.assert_array_equal(run.model.predict_proba(SAME[how](rows[k : k + 1])), expected[k : k + 1])


REFUSED: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "a missing column": (lambda rows: rows.drop("visits"), "visits"),
    "a renamed column": (lambda rows: rows.rename({"plan": "Plan "}), "plan"),
    "words in a column of numbers": (lambda rows: rows.with_columns(pl.lit("many").alias("visits")), "visits"),
    "numbers in a column of dates": (lambda rows: rows.with_columns(pl.lit("soon").alias("since")), "since"),
    "lists in a column of numbers": (
        lambda rows: rows.with_columns(pl.concat_list("visits", "visits").alias("visits")),
        "visits",
    ),
}


@pytest.mark.parametrize("how", REFUSED)
@pytest.mark.parametrize("n", [N, 1])
def test_rows_that_do_not_fit_are_refused_and_the_column_is_named(run: Run, rows: pl.DataFrame, how: str, n: int) -> None:
    change, column = REFUSED[how]
    with pytest.raises(SchemaError, match=column):
        run.model.predict_proba(change(rows[:n]))


def test_an_unseen_level_counts_as_one_for_every_name_and_changes_no_other_row(
    run: Run, rows: pl.DataFrame, expected: np.ndarray
) -> None:
    def with_town(name: str) -> pl.DataFrame:
        return rows.with_columns(pl.when(pl.int_range(N) < 50).then(pl.lit(name)).otherwise("town").alias("town"))

    first, second = (run.model.predict_proba(with_town(name)) for name in ("Atlantis", "Xanadu"))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[50:], expected[50:])


def test_a_column_of_gaps_is_never_a_silent_constant(run: Run, rows: pl.DataFrame, expected: np.ndarray) -> None:
    # Rows still differ by what else they hold, and each answers as it would alone with that gap.
    gone = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias("amount"))
    answers = run.model.predict_proba(gone)
    assert len(np.unique(answers[:, 1])) > N // 2
    np.testing.assert_array_equal(answers[::11], expected[::11])
    np.testing.assert_array_equal(run.model.predict_proba(gone.with_columns(pl.lit(None).alias("amount"))), answers)


def test_no_rows_give_no_answers(run: Run, rows: pl.DataFrame) -> None:
    assert run.model.predict_proba(rows.clear()).shape == (0, 2)
