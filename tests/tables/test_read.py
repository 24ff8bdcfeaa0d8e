"""What reading promises beyond the contract suite: dialects, types, and an error with a mend for each mistake."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from modelwright.errors import DataError, MissingExtraError
from modelwright.tables.fingerprint import fingerprint
from modelwright.tables.read import read

EXAMPLE = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def read_text(folder: Path, text: str | bytes, name: str = "t.csv") -> pl.DataFrame:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path).frame


def refusal(data: Any, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read(data, **options)
    assert caught.value.mend, "the error says what to do"
    return caught.value


def refused_text(folder: Path, text: str | bytes, name: str = "t.csv") -> DataError:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    error = refusal(path)
    assert name in error.where
    return error


# Delimited text


def test_example_table_is_read_whole() -> None:
    frame = read(EXAMPLE).frame
    assert frame.width > 10
    assert frame.height > 1000
    assert fingerprint(frame) == fingerprint(read(pd.read_csv(EXAMPLE, keep_default_na=False, na_values=[""])).frame)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_although_others_occur_in_cells(tmp_path: Path, delimiter: str) -> None:
    others = "".join(sign for sign in ",;|" if sign != delimiter)
    text = f"a{delimiter}b\n" + "".join(f"{i}{delimiter}x{others * (i % 3)}\n" for i in range(20))
    assert read_text(tmp_path, text).columns == ["a", "b"]


def test_one_column_may_hold_commas(tmp_path: Path) -> None:
    assert read_text(tmp_path, "text\nhello, world\nfine\n")["text"].to_list() == ["hello, world", "fine"]


def test_blank_lines_are_no_rows_but_gaps_of_one_column_are(tmp_path: Path) -> None:
    assert read_text(tmp_path, "\na,b\n1,2\n\n3,\n\n\n").rows() == [(1, 2), (3, None)]
    assert read_text(tmp_path, "a\n1\n\n3\n")["a"].to_list() == [1, None, 3]


def test_stray_quotes_do_not_stop_reading(tmp_path: Path) -> None:
    assert read_text(tmp_path, 'a,b\n1,6" pipe\n2,x\n')["b"].to_list() == ['6" pipe', "x"]
    assert read_text(tmp_path, 'a,b\n1,"x"y\n2,z\n')["b"].to_list() == ["xy", "z"]


def test_an_unclosed_quote_is_refused_with_its_line(tmp_path: Path) -> None:
    assert refused_text(tmp_path, 'a,b\n1,2\n1,"x\n2,3\n4,5\n').where.endswith("line 3")


def test_old_macintosh_line_ends_are_read(tmp_path: Path) -> None:
    assert read_text(tmp_path, "a,b\r1,2\r3,4\r").rows() == [(1, 2), (3, 4)]


def test_decimal_commas_and_thousands_points_are_numbers(tmp_path: Path) -> None:
    frame = read_text(tmp_path, "p;q;n;t\n1,5;1.234,50;1.000;a,b\n-2;12,00;12.500;c\n;7;3;\n")
    assert frame["p"].to_list() == [1.5, -2.0, None]
    assert frame["q"].to_list() == [1234.5, 12.0, 7.0]
    assert frame["n"].to_list() == [1000, 12500, 3]
    assert frame["t"].dtype == pl.String


def test_quoted_decimal_commas_stay_text_where_commas_delimit(tmp_path: Path) -> None:
    assert read_text(tmp_path, 'a,b\n"1,5",1\n"2,5",2\n')["a"].to_list() == ["1,5", "2,5"]


def test_numbers_are_decided_by_the_whole_column(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i},{i}\n" for i in range(5000))
    frame = read_text(tmp_path, f"i,f,t\n{rows}5000,0.5,n/a\n")
    assert [frame[name].dtype for name in "ift"] == [pl.Int64, pl.Float64, pl.String]
    assert frame["t"][-1] == "n/a"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["00501", "10001"], ["00501", "10001"]),
        (["12345678901234567890123", "1"], ["12345678901234567890123", "1"]),
        (["18446744073709551615", "1"], [18446744073709551615, 1]),
        ([" 1 ", "+2"], [1, 2]),
        (["1e3", ".5", "-inf", "NaN"], [1000.0, 0.5, float("-inf"), None]),
        (["inf", "nan"], ["inf", "nan"]),
        (["True", "false"], [True, False]),
        (["true", "maybe"], ["true", "maybe"]),
        (["0", "-0.5"], [0.0, -0.5]),
        (["1_000", "2"], ["1_000", "2"]),
    ],
)
def test_cells_of_text_become_values(tmp_path: Path, cells: list[str], expected: list[object]) -> None:
    assert read_text(tmp_path, "a,k\n" + "".join(f"{cell},1\n" for cell in cells))["a"].to_list() == expected


def test_ragged_rows_are_refused_with_their_line(tmp_path: Path) -> None:
    assert refused_text(tmp_path, "a,b\n1,2\n3\n").where.endswith("line 3")
    assert refused_text(tmp_path, 'a,b\n"x\ny",2\n3,4,5\n').where.endswith("line 4")
    assert "1 fields" in refused_text(tmp_path, 'a,b\n"1",2\n3\n').what


def test_a_short_row_is_found_late_in_a_long_quoted_file(tmp_path: Path) -> None:
    rows = '"x, ""y""",\n' * 150_000
    assert read_text(tmp_path, f"a,b\n{rows}p,q\n").height == 150_001
    assert refused_text(tmp_path, f"a,b\n{rows}short\n").where.endswith("line 150002")


def test_repeated_names_are_refused_and_named(tmp_path: Path) -> None:
    assert "'a'" in refused_text(tmp_path, "a,b,a\n1,2,3\n").what
    assert "'a'" in refusal(pd.DataFrame([[1, 2]], columns=["a", "a"])).what
    assert "'a'" in refusal(pa.table([[1], [2]], names=["a", "a"])).what
    assert "'1'" in refusal({1: [1], "1": [2]}).what


def test_names_lose_byte_order_marks_and_are_never_empty(tmp_path: Path) -> None:
    assert read({"\ufeffa": [1], "": [2]}).frame.columns == ["a", "column_2"]
    assert read_text(tmp_path, ",b\n0,1\n").columns == ["column_1", "b"]


# JSON, folders


def test_json_of_mixed_types_and_missing_keys_is_read(tmp_path: Path) -> None:
    lines = '{"a": 1, "b": true}\n{"a": NaN, "c": "x"}\n\n{"a": 2.5, "b": 7}\n'
    assert read_text(tmp_path, lines, "t.jsonl").rows() == [(1.0, "True", None), (None, None, "x"), (2.5, "7", None)]


def test_json_keeps_large_integers(tmp_path: Path) -> None:
    assert read_text(tmp_path, '{"a": 18446744073709551615}\n{"a": 1}\n', "t.jsonl")["a"].to_list() == [2**64 - 1, 1]


def test_json_object_of_columns_is_read(tmp_path: Path) -> None:
    assert read_text(tmp_path, '{"a": [1, 2],\n "b": ["x", ""]}', "t.json").rows() == [(1, "x"), (2, None)]


def test_broken_json_is_refused_with_its_line(tmp_path: Path) -> None:
    assert refused_text(tmp_path, '{"a": 1}\n{"a": 2\n', "t.jsonl").where.endswith("line 2")
    assert refused_text(tmp_path, '{"a": 1}\n[2]\n', "u.jsonl")
    assert refused_text(tmp_path, '{"a": {"b": 1}, "c": 2,\n"d": 3}', "t.json")
    assert refused_text(tmp_path, "[1, 2]", "v.json")


def test_files_of_a_folder_may_differ_in_column_order_and_number_type(tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_text("b,a\n1.5,2\n")
    (tmp_path / "1.csv").write_text("a,b\n1,1\n")
    (tmp_path / "read me.md").write_text("not data")
    assert read(tmp_path).frame.rows() == [(1, 1.0), (2, 1.5)]


def test_typed_files_are_joined_exactly(tmp_path: Path) -> None:
    pl.DataFrame({"a": [2**63 - 1], "n": pl.Series([None], dtype=pl.Int8)}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"a": pl.Series([2**63 + 1], dtype=pl.UInt64), "n": ["x"]}).write_parquet(tmp_path / "2.parquet")
    assert read(tmp_path).frame.rows() == [(2**63 - 1, None), (2**63 + 1, "x")]


def test_files_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    error = refusal(tmp_path)
    assert "2.csv" in error.where
    assert "['b']" in error.what
    assert "['c']" in error.what
    (tmp_path / "2.csv").unlink()
    pl.DataFrame({"a": [1], "b": [1]}).write_parquet(tmp_path / "2.parquet")
    assert "several formats" in refusal(tmp_path).what
    (tmp_path / "1.csv").unlink()
    pl.DataFrame({"a": ["x"], "b": [1]}).write_parquet(tmp_path / "3.parquet")
    assert refusal(tmp_path).where == "column 'a'"


# Memory


def test_pandas_columns_of_every_kind_are_read() -> None:
    frame = pd.DataFrame(
        {
            "mixed": [1, "x", None, 2.5],
            "flag": pd.array([True, None, False, True], dtype="boolean"),
            "count": pd.array([1, None, 2**53 + 1, 4], dtype="Int64"),
            "kind": pd.Categorical(["u", None, "v", "u"]),
            "when": pd.to_datetime(["2024-01-01T12:00", None, "2024-01-03T00:00", "2024-01-04T00:00"]).tz_localize(
                "Europe/Zurich"
            ),
            "spent": pd.to_timedelta([1, 2, None, 4], unit="s"),
            "day": [dt.date(2024, 1, 1), None, dt.date(2024, 1, 3), dt.date(2024, 1, 4)],
            "clock": [dt.time(8, 30), None, dt.time(9), dt.time(10)],
            "price": [Decimal("1.5"), None, Decimal("2"), Decimal("3")],
            "small": np.array([1, 2, 3, 4], dtype="int8"),
        }
    )
    read_frame = read(frame).frame
    assert read_frame.to_dict(as_series=False) == {
        "mixed": ["1", "x", None, "2.5"],
        "flag": [True, None, False, True],
        "count": [1, None, 2**53 + 1, 4],
        "kind": ["u", None, "v", "u"],
        "when": [dt.datetime(2024, 1, 1, 11), None, dt.datetime(2024, 1, 2, 23), dt.datetime(2024, 1, 3, 23)],
        "spent": [1.0, 2.0, None, 4.0],
        "day": [dt.datetime(2024, 1, 1), None, dt.datetime(2024, 1, 3), dt.datetime(2024, 1, 4)],
        "clock": ["08:30:00", None, "09:00:00", "10:00:00"],
        "price": [1.5, None, 2.0, 3.0],
        "small": [1, 2, 3, 4],
    }


def test_named_index_of_pandas_becomes_columns_and_an_unnamed_one_does_not() -> None:
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["u", "v"], name="key"))
    assert read(frame).frame.rows() == [("u", 1), ("v", 2)]
    assert read(frame.rename_axis(None)).frame.columns == ["x"]


def test_the_callers_pandas_frame_is_left_alone() -> None:
    frame = pd.DataFrame({"x": [-0.0, np.nan]}, index=pd.Index([1, 2], name="key"))
    before = frame.copy(deep=True)
    read(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_numpy_arrays_are_read() -> None:
    assert read(np.array([[1, 2], [3, 4]], dtype=np.int16)).frame.to_dict(as_series=False) == {"x0": [1, 3], "x1": [2, 4]}
    assert read(np.array([["a", ""], ["b", "c"]])).frame.rows() == [("a", None), ("b", "c")]
    assert read(np.array([[1, "a"], [2.5, None]], dtype=object)).frame.rows() == [(1.0, "a"), (2.5, None)]
    masked = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, True], [False, False]])
    assert read(masked).frame.rows() == [(1.0, None), (3.0, 4.0)]
    assert read(np.array([[1.0]], dtype=">f8")).frame.rows() == [(1.0,)]
    days = np.array([("2024-01-01", 1)], dtype=[("d", "M8[D]"), ("k", "i4")])
    assert read(days).frame.rows() == [(dt.datetime(2024, 1, 1), 1)]


def test_records_may_lack_keys() -> None:
    assert read([{"a": 1}, {"b": "x", "a": 2}]).frame.rows() == [(1, None), (2, "x")]


def test_columns_may_be_arrays_and_series() -> None:
    data = {"n": np.array([1, 2]), "p": pl.Series([1.5, None]), "d": pd.Series(["x", None]), "t": ("u", "v")}
    assert read(data).frame.rows() == [(1, 1.5, "x", "u"), (2, None, None, "v")]


@pytest.mark.parametrize("series", [pd.DataFrame({"a": [1], "b": ["x"]}).iloc[0], pd.Series([1.0]), pl.Series("a", [1])])
def test_a_series_is_asked_to_be_a_row_or_a_column(series: object) -> None:
    error = refusal(series)
    assert error.where.endswith("Series")
    assert "df.iloc[[0]]" in error.mend
    assert "to_frame()" in error.mend


def test_record_batch_and_table_are_read_as_they_are() -> None:
    assert read(pa.record_batch({"a": [1, None]})).frame.rows() == [(1,), (None,)]
    table = read({"a": [1]})
    assert read(table) is table


def test_nested_columns_are_kept() -> None:
    frame = read(pl.DataFrame({"tags": [["a"], []], "at": [{"x": 1}, {"x": 2}]})).frame
    assert frame.dtypes[0] == pl.List(pl.String)
    assert frame.dtypes[1] == pl.Struct({"x": pl.Int64})
    assert fingerprint(frame).startswith("mw1:")


# Text that is a date


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2024-02-29", None], [dt.datetime(2024, 2, 29), None]),
        (["2024-02-29 07:30", "2024-03-01"], [dt.datetime(2024, 2, 29, 7, 30), dt.datetime(2024, 3, 1)]),
        (
            ["2024-02-29T07:30:01.25", "2024-02-29 00:00:00"],
            [dt.datetime(2024, 2, 29, 7, 30, 1, 250000), dt.datetime(2024, 2, 29)],
        ),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:00:00+02:30"], [dt.datetime(2024, 1, 1), dt.datetime(2023, 12, 31, 21, 30)]),
        (["2024-01-01T00:00-0100"], [dt.datetime(2024, 1, 1, 1)]),
        (["2024-02-30"], ["2024-02-30"]),
        (["2024-01-01", "soon"], ["2024-01-01", "soon"]),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"], ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"]),
        (["2024-01", "2024"], ["2024-01", "2024"]),
    ],
)
def test_text_is_a_datetime_only_if_every_cell_is_iso_8601(cells: list[str | None], expected: list[object]) -> None:
    assert read({"a": cells}).frame["a"].to_list() == expected


def test_infinite_values_are_kept_and_nan_is_null() -> None:
    assert read({"a": [np.inf, np.nan, 1.0]}).frame["a"].to_list() == [np.inf, None, 1.0]


# Databases


def test_bare_table_names_and_signs_in_queries_are_understood(tmp_path: Path) -> None:
    url = sqlite(tmp_path)
    assert read(url, query="main.t").frame.rows() == [(1, "50%"), (2, ":x")]
    assert read(url, query="SELECT a FROM t WHERE b LIKE '%\\%' ESCAPE '\\' OR b = ':x' ORDER BY a").frame["a"].to_list() == [
        1,
        2,
    ]


def test_postgres_types_are_read(postgres_url: str) -> None:
    query = (
        "SELECT 1.50::numeric AS n, '2024-01-01 00:00+02'::timestamptz AS z, '2024-01-01'::date AS d, '1 hour'::interval AS i, "
        "'{\"k\": 1}'::jsonb AS j, ARRAY[1, 2] AS l, NULL::text AS e, '08:30'::time AS c"
    )
    frame = read(postgres_url, query=query).frame
    assert frame.row(0)[:4] == (1.5, dt.datetime(2023, 12, 31, 22), dt.datetime(2024, 1, 1), 3600.0)
    assert frame["l"].to_list() == [[1, 2]]
    assert frame.row(0)[6:] == (None, "08:30:00")


def sqlite(folder: Path) -> str:
    import sqlite3

    connection = sqlite3.connect(folder / "x.db")
    connection.execute("CREATE TABLE t (a INTEGER, b TEXT)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "50%"), (2, ":x")])
    connection.commit()
    connection.close()
    return f"sqlite:///{folder / 'x.db'}"


def test_reading_never_writes(tmp_path: Path, postgres_url: str) -> None:
    url = sqlite(tmp_path)
    assert "readonly" in refusal(url, query="DELETE FROM t").what
    assert read(url, query="t").frame.height == 2
    assert "refused" in refusal(postgres_url, query="CREATE TABLE made (a int)").what


def test_database_mistakes_are_refused_without_showing_the_password(tmp_path: Path, postgres_url: str) -> None:
    wrong = postgres_url.replace("s3cret", "hunter2")
    errors = [
        refusal(sqlite(tmp_path)),
        refusal(f"sqlite:///{tmp_path}/missing.db", query="t"),
        refusal(f"sqlite:///{tmp_path}/x.db", query="nowhere"),
        refusal(postgres_url, query="SELECT * FROM nowhere"),
        refusal(postgres_url),
        refusal(wrong, query="t"),
        refusal("postgresql+psycopg://u:hunter2@127.0.0.1:1/x?connect_timeout=2", query="t"),
        refusal("postgresql://u:hunter2@host:port/x", query="t"),
        refusal({"a": [1]}, query="t"),
    ]
    for error in errors:
        assert "hunter2" not in f"{error}{error.__cause__}"
        assert "s3cret" not in f"{error}{error.__cause__}"
    assert not (tmp_path / "missing.db").exists()
    assert ":***@" in read(postgres_url, query="SELECT 1 AS a").source


def test_missing_postgres_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError) as caught:
        read("postgresql://u:p@127.0.0.1/x", query="t")
    assert (caught.value.package, caught.value.extra) == ("psycopg", "postgres")


# Mistakes with files and objects


def test_missing_files_are_refused_with_near_names(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text("a\n1\n")
    assert "customers.csv" in refusal(tmp_path / "costumers.csv").mend
    assert "does not exist" in refusal(tmp_path / "no" / "x.csv").mend
    assert refusal(str(tmp_path / "*.parquet")).what == "No file matches."
    assert refusal("memory://nowhere/x.csv").what == "There is no such file."


def test_files_without_content_are_refused(tmp_path: Path) -> None:
    assert "empty" in refused_text(tmp_path, "").what
    assert "empty" in refused_text(tmp_path, " \n\n").what
    assert "no rows" in refused_text(tmp_path, "a,b\n").what
    assert "no rows" in refused_text(tmp_path, "a,b").what
    assert "empty" in refused_text(tmp_path, "", "t.jsonl").what
    assert "no columns" in refused_text(tmp_path, "[]", "t.json").what
    assert "no columns" in refusal([]).what
    assert "no columns" in refusal(pl.DataFrame()).what
    assert "no rows" in refusal(pd.DataFrame({"a": []})).what


def test_folders_without_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")
    assert "holds no file" in refusal(tmp_path).what


def test_unknown_extensions_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    assert ".parquet" in refused_text(tmp_path, "x", "t.doc").mend
    assert "sqlite:///" in refused_text(tmp_path, "x", "t.db").mend
    assert "no extension" in refused_text(tmp_path, "x", "data").what


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    assert "Parquet" in refused_text(tmp_path, b"PAR1 cut off", "t.parquet").what
    assert "Arrow" in refused_text(tmp_path, b"ARROW1 cut off", "t.arrow").what
    assert "Arrow" in refused_text(tmp_path, b"no magic", "t.feather").what
    assert "damaged" in refused_text(tmp_path, gzip.compress(b"a,b\n1,2\n" * 100)[:-9], "t.csv.gz").what
    assert "damaged" in refused_text(tmp_path, b"\x28\xb5\x2f\xfd" + b"\x00" * 9, "t.csv.zst").what
    assert "zero bytes" in refused_text(tmp_path, b"a,b\n1,\x00\n").what
    assert "UTF-16" in refused_text(tmp_path, b"\xff\xfea\x00b").what
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "p.csv")
    assert "Parquet" in refusal(tmp_path / "p.csv").what


def test_files_that_may_not_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    path.chmod(stat.S_IWUSR)
    if os.geteuid() == 0:  # Root may read everything, so the refusal is played.

        def refuse(self: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", refuse)
    assert "not permitted" in refusal(path).what


def test_objects_that_are_no_table_are_refused() -> None:
    assert "no table" in refusal(42).what
    assert "no table" in refusal(b"a,b").what
    assert "no record" in refusal([1, 2]).what
    assert "shape (3,)" in refusal(np.zeros(3)).what
    assert "no column" in refusal({"a": 1}).what
    assert "differ in length" in refusal({"a": [1], "b": [1, 2]}).what
    assert "empty" in refusal("").what


def test_urls_are_shown_without_secrets() -> None:
    assert refusal("nosuch://bucket/x.csv?sig=hunter2").where == "nosuch://bucket/x.csv"
    assert "hunter2" not in str(refusal("ftps3://user:hunter2@host/x.csv"))


def test_reading_needs_neither_pyarrow_nor_warnings() -> None:
    code = """
import sys
sys.modules["pyarrow"] = None
import pandas as pd, polars as pl, datetime as dt
from modelwright.tables.read import read
frame = pd.DataFrame({"a": ["x", None], "b": pd.Categorical(["u", "v"]), "d": [1, 2]})
frame.insert(2, "c", pd.to_datetime(["2024-01-01", None]))
frame["e"] = pd.array([1, None], dtype="Int64")
print(read(frame).frame.rows())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[('x', 'u', datetime.datetime(2024, 1, 1, 0, 0), 1, 1), (None, 'v', None, 2, None)]"


def test_reading_files_loads_neither_pandas_nor_pyarrow(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    code = (
        f"import sys; from modelwright.tables.read import read; read({str(tmp_path)!r});"
        "print([name for name in ('pandas', 'pyarrow') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
