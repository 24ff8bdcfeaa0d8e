"""What an encoder promises about any table."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.errors import BundleError, DataError, SchemaError
from modelwright.features.encoder import Encoder
from modelwright.features.matrix import Matrix
from modelwright.tables.schema import Column, Schema

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def one_column(cells, type_="number", role="feature", dtype=pl.Float64, name="x"):
    """A table of one column and its schema."""
    return pl.DataFrame({name: pl.Series(cells, dtype=dtype)}), Schema((Column(name, type_, role),))


def assert_same_bits(one: Matrix, other: Matrix) -> None:
    assert one.layout == other.layout
    assert one.numeric.tobytes() == other.numeric.tobytes()
    assert one.codes.tobytes() == other.codes.tobytes()
    if one.text is None:
        assert other.text is None
        return
    assert one.text.indptr.tobytes() == other.text.indptr.tobytes()
    assert one.text.indices.tobytes() == other.text.indices.tobytes()
    assert one.text.data.tobytes() == other.text.data.tobytes()


@pytest.fixture
def mixed() -> tuple[pl.DataFrame, Schema]:
    """Forty rows with a column of every type, cells missing in each."""
    n = 40
    words = ["good", "bad", "late", "flight", "crew", "seat", "bag"]
    frame = pl.DataFrame(
        {
            "label": [str(i % 2) for i in range(n)],
            "amount": [None if i % 9 == 0 else i * 1.1 for i in range(n)],
            "member": [None if i % 11 == 0 else i % 3 == 0 for i in range(n)],
            "city": [None if i % 7 == 0 else "abcde"[i % 5] for i in range(n)],
            "joined": [
                None if i % 8 == 0 else datetime(2020 + i % 3, 1 + i % 12, 1 + i % 28, i % 24, i % 60) for i in range(n)
            ],
            "note": [None if i % 10 == 0 else " ".join(words[(i * k) % 7] for k in range(1, 2 + i % 6)) for i in range(n)],
            "remark": [" ".join(words[(i + k) % 7] for k in range(2)) for i in range(n)],
            "seen": [datetime(2021, 1 + i % 12, 1 + i % 28, i % 24) for i in range(n)],
            "key": [f"k{i}" for i in range(n)],
        },
        schema_overrides={"joined": pl.Datetime("us"), "seen": pl.Datetime("us")},
    )
    schema = Schema(
        (
            Column("label", "category", "target"),
            Column("amount", "number", "feature"),
            Column("member", "boolean", "feature"),
            Column("city", "category", "feature"),
            Column("joined", "datetime", "feature"),
            Column("note", "text", "text"),
            Column("remark", "text", "feature"),
            Column("seen", "datetime", "time"),
            Column("key", "id", "id"),
        )
    )
    return frame, schema


def test_every_type_finds_its_place_in_the_matrix(mixed):
    frame, schema = mixed
    matrix = Encoder.fit(frame, schema).transform(frame)
    plain = matrix.layout.numeric[: len(matrix.layout.numeric) - matrix.layout.text_components]
    assert plain == (
        *("amount", "member"),
        *("joined.year", "joined.month", "joined.day", "joined.weekday", "joined.hour", "joined.minute"),
        *("joined.day_of_year", "joined.days"),
        *("note.length", "note.words", "remark.length"),
        *("seen.month", "seen.day", "seen.weekday", "seen.hour"),
    )
    assert matrix.layout.codes == ("city",)
    assert matrix.layout.cardinalities == (6,)
    assert matrix.layout.text_components > 0
    assert matrix.text.shape == (40, matrix.layout.text_terms)
    assert matrix.numeric.dtype == np.float32
    assert matrix.codes.dtype == np.int32
    assert matrix.text.dtype == np.float32


def test_origin_names_the_source_of_every_matrix_column(mixed):
    frame, schema = mixed
    encoder = Encoder.fit(frame, schema)
    assert set(encoder.origin) == {*encoder.layout.numeric, *encoder.layout.codes}
    assert encoder.origin["joined.month"] == "joined"
    assert encoder.origin["note.topic_1"] == "note"
    assert encoder.origin["city"] == "city"


def test_one_row_equals_the_batch_bit_for_bit(mixed):
    frame, schema = mixed
    encoder = Encoder.fit(frame, schema)
    batch = encoder.transform(frame)
    for row in range(frame.height):
        assert_same_bits(encoder.transform(frame.slice(row, 1)), batch.take(np.array([row])))


def test_rows_of_a_large_batch_equal_rows_of_a_small_one():
    frame, schema = one_column(["a", "b", None, "rare", "c", "c", "b", "a"] * 400 + ["x"], "category", dtype=pl.String)
    encoder = Encoder.fit(frame.head(8), schema)
    large = encoder.transform(frame)
    assert large.codes[:8].tolist() == encoder.transform(frame.head(8)).codes.tolist()
    assert large.codes[-1, 0] == 0


def test_loaded_encoder_gives_the_same_bits(mixed, tmp_path):
    frame, schema = mixed
    encoder = Encoder.fit(frame, schema)
    encoder.save(tmp_path / "encoder")
    loaded = Encoder.load(tmp_path / "encoder")
    assert_same_bits(loaded.transform(frame), encoder.transform(frame))
    assert loaded.origin == encoder.origin
    assert loaded.sources == encoder.sources


def test_second_fit_writes_the_same_bytes(mixed, tmp_path):
    frame, schema = mixed
    for name in ("one", "two"):
        Encoder.fit(frame, schema, seed=3).save(tmp_path / name)
    for file in ("encoder.json", "arrays.npz"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_order_of_the_training_rows_changes_only_the_text_components():
    frame = pl.DataFrame({"x": [1.0, 2.0, None, 4.0], "c": ["b", "a", "b", "a"]})
    schema = Schema((Column("x", "number", "feature"), Column("c", "category", "feature")))
    assert_same_bits(Encoder.fit(frame, schema).transform(frame), Encoder.fit(frame.reverse(), schema).transform(frame))


def test_rows_outside_the_fit_leave_no_trace(mixed):
    frame, schema = mixed
    encoder = Encoder.fit(frame.head(20), schema)
    before = encoder.transform(frame)
    other = frame.with_columns(
        pl.lit(1e9).alias("amount"), pl.lit("never").alias("city"), pl.lit("new words here").alias("note")
    )
    encoder.transform(other)
    assert_same_bits(encoder.transform(frame), before)
    again = Encoder.fit(pl.concat([frame.head(20), other.tail(20)]).head(20), schema)
    assert_same_bits(again.transform(frame), before)


def test_target_and_keys_are_never_read(mixed):
    frame, schema = mixed
    encoder = Encoder.fit(frame, schema)
    assert not {"label", "key"} & set(encoder.sources)
    assert_same_bits(encoder.transform(frame.drop("label", "key")), encoder.transform(frame))


def test_constant_numbers_are_left_out():
    frame, schema = one_column([3.0, 3.0, 3.0])
    assert Encoder.fit(frame, schema).layout.numeric == ()


@pytest.mark.parametrize(
    ("type_", "dtype"),
    [
        ("number", pl.Float64),
        ("boolean", pl.Boolean),
        ("category", pl.String),
        ("datetime", pl.Datetime("us")),
        ("text", pl.String),
    ],
)
def test_columns_without_any_cell_are_left_out(type_, dtype):
    frame, schema = one_column([None, None, None], type_, dtype=dtype)
    matrix = Encoder.fit(frame, schema).transform(frame)
    assert matrix.numeric.shape == (3, 0)
    assert matrix.codes.shape == (3, 0)
    assert matrix.text is None


def test_number_present_in_some_rows_is_kept_although_it_has_one_value():
    frame, schema = one_column([3.0, None, 3.0])
    assert Encoder.fit(frame, schema).transform(frame).numeric[:, 0].tolist() == pytest.approx([3.0, np.nan, 3.0], nan_ok=True)


def test_infinite_and_huge_numbers_become_the_largest_ones():
    frame, schema = one_column([np.inf, -np.inf, 1e300, None, np.nan, 1.0])
    values = Encoder.fit(frame, schema).transform(frame).numeric[:, 0]
    assert not np.isinf(values).any()
    assert values[:3].tolist() == pytest.approx([3e38, -3e38, 3e38])
    assert np.isnan(values).tolist() == [False, False, False, True, True, False]
    assert values[5] == 1.0


def test_numbers_far_from_zero_stay_apart_in_single_precision():
    seconds = [1.7e9 + i for i in range(50)]
    frame, schema = one_column(seconds)
    values = Encoder.fit(frame, schema).transform(frame).numeric[:, 0]
    assert values.tolist() == list(range(50))


def test_booleans_become_zero_and_one():
    frame, schema = one_column([True, False, None], "boolean", dtype=pl.Boolean)
    values = Encoder.fit(frame, schema).transform(frame).numeric[:, 0]
    assert values.tolist() == pytest.approx([1.0, 0.0, np.nan], nan_ok=True)


def test_absent_time_column_counts_as_missing(mixed):
    frame, schema = mixed
    encoder = Encoder.fit(frame, schema)
    matrix = encoder.transform(frame.drop("seen"))
    month = matrix.layout.numeric.index("seen.month")
    assert np.isnan(matrix.numeric[:, month : month + 4]).all()


def test_absent_feature_is_refused_by_name(mixed):
    frame, schema = mixed
    encoder = Encoder.fit(frame, schema)
    with pytest.raises(SchemaError, match="column 'city'"):
        encoder.transform(frame.drop("city"))


def test_table_without_rows_is_refused(mixed):
    frame, schema = mixed
    with pytest.raises(DataError, match="no rows"):
        Encoder.fit(frame.head(0), schema)


def test_no_rows_to_transform_give_an_empty_matrix(mixed):
    frame, schema = mixed
    matrix = Encoder.fit(frame, schema).transform(frame.head(0))
    assert matrix.n_rows == 0
    assert matrix.text.shape[0] == 0


def test_a_single_training_row_gives_no_columns(mixed):
    frame, schema = mixed
    matrix = Encoder.fit(frame.slice(1, 1), schema).transform(frame)
    assert matrix.numeric.shape == (40, 0)


def test_generated_names_step_aside_for_given_ones():
    frame = pl.DataFrame({"d": [datetime(2024, 1, 1), datetime(2024, 2, 1)], "d.month": [5.0, 6.0]})
    schema = Schema((Column("d", "datetime", "feature"), Column("d.month", "number", "feature")))
    encoder = Encoder.fit(frame, schema)
    assert encoder.origin["d.month"] == "d.month"
    assert encoder.origin["d.month_2"] == "d"


def test_id_that_the_user_wants_as_a_feature_is_read_by_its_cells():
    frame, schema = one_column(["a", "b", "a", "b"], "id", dtype=pl.String)
    assert Encoder.fit(frame, schema).layout.codes == ("x",)
    frame, schema = one_column([1.0, 2.0, 3.0], "id")
    assert Encoder.fit(frame, schema).layout.numeric == ("x",)


@pytest.mark.parametrize("damage", ["encoder.json", "arrays.npz"])
def test_damaged_files_are_refused(mixed, tmp_path, damage):
    frame, schema = mixed
    Encoder.fit(frame, schema).save(tmp_path)
    (tmp_path / damage).write_bytes((tmp_path / damage).read_bytes()[:-40])
    with pytest.raises(BundleError, match="encoder"):
        Encoder.load(tmp_path)


def test_churn_table_is_encoded_whole():
    frame = pl.read_csv(TELCO, infer_schema_length=None, null_values=["", " "])
    columns, cast = [], []
    for name, dtype in frame.schema.items():
        number = dtype.is_numeric()
        columns.append(Column(name, "number" if number else "category", "target" if name == frame.columns[-1] else "feature"))
        cast.append(pl.col(name).cast(pl.Float64 if number else pl.String))
    frame = frame.select(cast)
    encoder = Encoder.fit(frame.head(1000), Schema(tuple(columns)))
    matrix = encoder.transform(frame)
    assert matrix.n_rows == frame.height
    assert "customerID" not in matrix.layout.codes, "a level that occurs once is no level"
    for j, cardinality in enumerate(matrix.layout.cardinalities):
        assert matrix.codes[:, j].min() >= -1
        assert matrix.codes[:, j].max() < cardinality
    assert np.array_equal(
        matrix.numeric[:, matrix.layout.numeric.index("tenure")], frame["tenure"].to_numpy().astype(np.float32)
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.floats(width=64),
            st.none() | st.text(max_size=4),
            st.none() | st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2200, 1, 1)),
            st.none() | st.text(alphabet="ab c\n", max_size=12),
        ),
        min_size=1,
        max_size=20,
    ),
    n_training=st.integers(min_value=1, max_value=20),
)
def test_any_rows_give_finite_or_missing_numbers_and_known_codes(rows, n_training):
    dtypes = {"x": pl.Float64, "c": pl.String, "d": pl.Datetime("us"), "t": pl.String}
    frame = pl.DataFrame(rows, schema=dtypes, orient="row")
    types = {"x": "number", "c": "category", "d": "datetime", "t": "text"}
    encoder = Encoder.fit(
        frame.head(n_training), Schema(tuple(Column(name, type_, "feature") for name, type_ in types.items()))
    )
    matrix = encoder.transform(frame)
    assert not np.isinf(matrix.numeric).any()
    for j, cardinality in enumerate(matrix.layout.cardinalities):
        assert set(matrix.codes[:, j]) <= set(range(-1, cardinality))
        assert (matrix.codes[:, j] == -1).tolist() == frame["c"].is_null().to_list()
    last = frame.height - 1
    assert_same_bits(encoder.transform(frame.tail(1)), matrix.take(np.array([last])))
