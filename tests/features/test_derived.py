"""Derived columns: what an expression or a function may do, and that it does the same to every row."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from modelwright.errors import BundleError, SchemaError, SpecError
from modelwright.features.derived import Derived, DerivedColumns, learn_derived, load_derived
from modelwright.features.expressions import Definition, expression
from modelwright.tables.types import infer_schema

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def churn() -> pl.DataFrame:
    return pl.read_csv(TELCO).head(600)


def learn(rows: pl.DataFrame, features: Any, **options: Any) -> Derived:
    schema = infer_schema(rows, target="Churn" if "Churn" in rows.columns else None, **options)
    return learn_derived(rows, schema, features)


def values(rows: pl.DataFrame, expression: Any) -> list[Any]:
    return learn(rows, {"derived": expression}).apply(rows)["derived"].to_list()


def test_expressions_are_computed_and_may_read_each_other(churn: pl.DataFrame) -> None:
    derived = learn(
        churn,
        {
            "each": "TotalCharges / tenure",
            "auto": "PaymentMethod LIKE '%automatic%'",
            "both": "CASE WHEN auto THEN each END",
            "loud": pl.col("Contract").str.to_uppercase(),
        },
    )
    found = derived.apply(churn)
    assert found.columns == [*churn.columns, "each", "auto", "both", "loud"]
    assert found["each"][1] == pytest.approx(churn["TotalCharges"][1] / churn["tenure"][1])
    assert found["auto"].sum() == churn["PaymentMethod"].str.contains("automatic").sum()
    assert found["both"].null_count() == churn.height - found["auto"].sum() + found.filter("auto")["each"].null_count()
    assert found["loud"][0] == churn["Contract"][0].upper()
    assert derived.sources == ("tenure", "Contract", "PaymentMethod", "TotalCharges")


def test_rows_of_any_origin_are_derived_alike(churn: pl.DataFrame) -> None:
    derived = learn(churn, {"each": "TotalCharges / tenure", "old": "SeniorCitizen = 1", "yes": "Partner = 'Yes'"})
    as_read = derived.apply(churn).select(derived.names)
    as_text = derived.apply(churn.cast(pl.String)).select(derived.names)
    assert as_text.equals(as_read)
    assert derived.apply(churn[7:8]).select(derived.names).equals(as_read[7:8])
    assert derived.apply(churn.select(derived.sources)).select(derived.names).equals(as_read)


def test_divisions_by_zero_are_missing_and_spans_are_days() -> None:
    start = ["2024-01-01", "2024-02-27", "2023-03-05"]
    rows = pl.DataFrame({"a": [1.0, 2.0, 0.0], "b": [0.0, 4.0, 0.0], "start": start})
    assert values(rows, "a / b") == [None, 0.5, None]
    assert values(rows, "start - DATE '2024-01-01'") == [0.0, 57.0, -302.0]
    assert values(rows, "EXTRACT(YEAR FROM start)") == [2024, 2024, 2023]


def test_numbers_kept_as_text_and_declared_missing_are_numbers_and_missing() -> None:
    rows = pl.DataFrame({"price": ["1,200.50", "?", "-999", "7"], "n": [2, 2, 2, 2]})
    derived = learn(rows, {"each": "price / n"}, missing_values={"price": (-999.0,)})
    assert derived.apply(rows)["each"].to_list() == [600.25, None, None, 3.5]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("tenure - AVG(tenure)", "many rows"),
        ("SUM(tenure) OVER (PARTITION BY gender)", "window"),
        ("RANK() OVER (ORDER BY tenure)", "Rank"),
        ("COUNT(*)", "counts rows"),
        ("(SELECT 1)", "query"),
        (pl.col("tenure").shift(1), "Shift"),
        (pl.col("tenure").cum_sum(), "CumSum"),
        (pl.col("tenure").fill_null(strategy="mean"), "FillNull"),
        (pl.col("tenure").clip(0, pl.col("tenure").max()), "many rows"),
        (pl.col("gender").is_duplicated(), "IsDuplicated"),
        (pl.col("gender").shuffle(seed=1), "Random"),
        (pl.col("tenure").map_elements(lambda x: x, return_dtype=pl.Float64), "Python function"),
        (pl.col("^Tot.*$"), "pattern"),
        ("CURRENT_DATE", "clock"),
        ("tenure +", "cannot be read"),
        ("TotalCharges tenure", "at its end"),
        ("gender / tenure", "cannot be computed"),
        (3, "not an expression"),
    ],
)
def test_what_looks_beyond_a_row_or_cannot_be_read_is_refused_by_name(churn: pl.DataFrame, given: Any, what: str) -> None:
    with pytest.raises(SpecError, match=what) as error:
        learn(churn, {"wrong": given})
    assert "'wrong'" in error.value.where
    assert error.value.mend


@pytest.mark.parametrize(
    ("features", "what", "mend"),
    [
        ({"x": "TotalCharge / 2"}, "no column 'TotalCharge'", "Did you mean 'TotalCharges'"),
        ({"x": "CASE WHEN Churn = 'Yes' THEN 1 END"}, "the target", "other columns"),
        ({"tenure": "TotalCharges / 2"}, "column of that name", "another name"),
        ({"a": "b * 2", "b": "tenure * 2"}, "derived after it", "before"),
        ({"a": "a * 2"}, "itself", "before"),
    ],
)
def test_wrong_names_are_told_with_the_mend(churn: pl.DataFrame, features: dict[str, str], what: str, mend: str) -> None:
    with pytest.raises(SpecError, match=what) as error:
        learn(churn, features)
    assert mend in error.value.mend


def test_absent_column_is_a_schema_error(churn: pl.DataFrame) -> None:
    derived = learn(churn, {"each": "TotalCharges / tenure"})
    with pytest.raises(SchemaError, match="'tenure'"):
        derived.apply(churn.drop("tenure"))


def test_only_keeps_what_is_needed(churn: pl.DataFrame) -> None:
    derived = learn(churn, {"a": "tenure * 2", "b": "a + SeniorCitizen", "c": "MonthlyCharges * 2"})
    kept = derived.only(["b"])
    assert kept is not None
    assert (kept.names, kept.sources) == (("a", "b"), ("SeniorCitizen", "tenure"))
    assert kept.apply(churn)["b"].equals(derived.apply(churn)["b"])
    assert derived.only(["gender"]) is None


def test_what_is_kept_gives_the_same_values_again(churn: pl.DataFrame) -> None:
    derived = learn(churn, {"a": "LN(tenure + 1)", "b": pl.when(pl.col("gender") == "Male").then(pl.col("tenure"))})
    again = load_derived(msgspec.json.decode(msgspec.json.encode(derived.about), type=DerivedColumns))
    assert again.apply(churn).equals(derived.apply(churn))


def test_pickled_function_in_a_file_is_refused_before_polars_sees_it(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    tree = json.loads(pl.col("a").map_elements(lambda x: mark.touch() or x).meta.serialize(format="json"))
    with pytest.raises(BundleError, match="Python function"):
        expression(Definition("x", "polars", json.dumps({"Alias": [tree, "y"]}), "", ("a",)))
    assert not mark.exists()


GOOD = """
import polars as pl

def add(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(each=pl.col("TotalCharges") / pl.col("tenure"), loud=pl.col("Contract").str.to_uppercase())
"""


def _function(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    monkeypatch.chdir(folder)
    (folder / "mine.py").write_text(text)
    return "mine.py:add"


def test_function_derives_columns_and_only_what_it_reads_is_needed(
    churn: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = learn(churn, _function(tmp_path, monkeypatch, GOOD))
    assert derived.names == ("each", "loud")
    assert derived.sources == ("tenure", "Contract", "TotalCharges")
    assert derived.about.function is not None
    assert (derived.about.function.path, derived.about.function.name) == ("mine.py", "add")
    assert derived.apply(churn.select(derived.sources))["loud"][0] == churn["Contract"][0].upper()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("frame.with_columns(z=pl.col('tenure') - pl.col('tenure').mean())", "rows that come with it"),
        ("frame.with_columns(z=pl.len().over('tenure'))", "rows that come with it"),
        # No cell of these rows is empty, so only rows with cells emptied on purpose tell.
        ("frame.with_columns(z=pl.col('MonthlyCharges').fill_null(pl.col('MonthlyCharges').mean()))", "rows that come with it"),
        ("frame.with_columns(z=pl.Series(__import__('random').random() for _ in range(frame.height)))", "on chance"),
        ("frame.with_columns(z=pl.col('Churn'))", "failed: ColumnNotFoundError"),
        ("frame.with_columns(Churn=pl.lit(1))", "has a column 'Churn'"),
        ("frame.with_columns(pl.col('tenure') * 2)", "changed the column 'tenure'"),
        ("frame.head(3)", "made 3 rows"),
        ("frame", "added no column"),
        ("frame.to_dict()", "returned dict"),
        ("frame.with_columns(z=pl.struct('tenure'))", "Struct"),
    ],
)
def test_function_that_looks_beyond_a_row_is_refused(
    churn: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, what: str
) -> None:
    given = _function(tmp_path, monkeypatch, f"import polars as pl\n\ndef add(frame):\n    return {body}\n")
    with pytest.raises(SpecError, match=what) as error:
        learn(churn, given)
    assert "mine.py:add" in error.value.where


def test_absent_file_function_or_broken_file_is_told(
    churn: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _function(tmp_path, monkeypatch, GOOD)
    with pytest.raises(SpecError, match="no such file"):
        learn(churn, "other.py:add")
    with pytest.raises(SpecError, match="no function 'ad'") as error:
        learn(churn, "mine.py:ad")
    assert "add" in error.value.mend
    (tmp_path / "mine.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(SpecError, match="cannot be run"):
        learn(churn, "mine.py:add")


def test_function_is_found_again_only_if_its_file_is_unchanged(
    churn: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = learn(churn, _function(tmp_path, monkeypatch, GOOD)).about
    assert load_derived(about).apply(churn)["each"].len() == churn.height
    moved = tmp_path / "elsewhere" / "mine.py"
    moved.parent.mkdir()
    (tmp_path / "mine.py").rename(moved)
    with pytest.raises(BundleError, match="not there") as error:
        load_derived(about)
    assert "features=" in error.value.mend
    assert load_derived(about, features=moved).names == load_derived(about, features=f"{moved}:add").names
    with pytest.raises(BundleError, match="Nothing in a model folder is run"):
        load_derived(about, features=moved, bundle=tmp_path)
    moved.write_text(GOOD + "\n")
    with pytest.raises(BundleError, match="was changed"):
        load_derived(about, features=moved)


def test_dates_stay_dates(churn: pl.DataFrame) -> None:
    rows = pl.DataFrame({"day": [date(2024, 1, 31), date(2023, 5, 1)], "n": [1, 2]})
    assert values(rows, "EXTRACT(MONTH FROM day)") == [1, 5]
    assert values(rows, "day > DATE '2023-12-31'") == [True, False]
