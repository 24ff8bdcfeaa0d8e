"""``predict`` from and into databases: SQLite and a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

import modelwright
from modelwright.artifacts.batch import open_rows
from modelwright.cli.main import main
from modelwright.tables import databases, spooled

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"
N_ROWS = 1200


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert isinstance(left.value.code, int)
    return left.value.code


def engine_of(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.pool.NullPool)


def rows_of(url: str, sql: str) -> list[sa.Row[tuple[object, ...]]]:
    engine = engine_of(url)
    with engine.connect() as connection:
        return list(connection.execute(sa.text(sql)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("databases")
    rows = pl.read_csv(TELCO).head(400)
    modelwright.train(rows, target="Churn", trials=1, algorithms=["lightgbm"], home=folder, name="churn")
    return folder


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the table ``customers``: the rows of the file in their order, as the database types them."""
    local = f"sqlite:///{tmp_path / 'shop.db'}"
    address: str = local if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    frame = pl.read_csv(TELCO, infer_schema_length=None).head(N_ROWS).with_row_index("place")
    engine = engine_of(address)
    types = {pl.Int64: sa.BigInteger(), pl.UInt32: sa.BigInteger(), pl.Float64: sa.Double()}
    columns = [sa.Column(name, types.get(type(dtype), sa.Text())) for name, dtype in frame.schema.items()]
    customers = sa.Table("customers", sa.MetaData(), *columns)
    with engine.begin() as connection:
        customers.drop(connection, checkfirst=True)
        customers.create(connection)
        connection.execute(sa.insert(customers), frame.to_dicts())
    yield address
    with engine.begin() as connection:
        for name in sa.inspect(engine).get_table_names():
            connection.execute(sa.text(f'DROP TABLE "{name}"'))
    engine.dispose()


@pytest.fixture
def whole(home: Path, tmp_path: Path) -> pl.DataFrame:
    """What the file gives."""
    place = tmp_path / "customers.csv"
    pl.read_csv(TELCO, infer_schema=False).head(N_ROWS).write_csv(place)
    out = tmp_path / "whole.parquet"
    assert run("predict", "churn", place, "-o", out, "--home", home, "-q", "--keep", "customerID") == 0
    return pl.read_parquet(out)


def test_rows_of_a_query_come_in_parts_and_give_the_bits_of_the_file(
    home: Path, url: str, whole: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "_FETCH_ROWS", 250)
    query = "SELECT * FROM customers ORDER BY place"
    with open_rows(url, query=query) as rows:
        assert rows.streamed
        assert rows.n_rows == N_ROWS
    out = tmp_path / "out.parquet"
    assert run("predict", "churn", url, "--query", query, "-o", out, "--home", home, "-q", "--keep", "customerID") == 0
    assert pl.read_parquet(out).equals(whole)


def test_predictions_go_into_a_table_beside_the_keys_of_their_rows(home: Path, url: str, whole: pl.DataFrame) -> None:
    command = ("predict", "churn", url, "--query", "customers", "-o", url, "--table", "scores", "--home", home, "-q")
    assert run(*command, "--keep", "customerID,place") == 0
    found = rows_of(url, 'SELECT "customerID", prediction, "proba_Yes" FROM scores ORDER BY place')
    assert [tuple(row) for row in found] == list(whole.select("customerID", "prediction", "proba_Yes").iter_rows())


def test_a_table_that_is_there_is_refused_replaced_or_lengthened(
    home: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "SELECT * FROM customers WHERE place < 10"
    command = ("predict", "churn", url, "--query", query, "-o", url, "--table", "scores", "--home", home)
    counts = []
    for words in ((), ("--if-exists", "append"), ("--if-exists", "replace")):
        assert run(*command, *words) == 0
        counts.append(rows_of(url, "SELECT count(*) FROM scores")[0][0])
    assert counts == [10, 20, 10]
    assert run(*command) == 2
    told = capsys.readouterr()
    assert "there already" in told.err
    assert "--if-exists" in told.err
    assert "s3cret" not in told.err + told.out
    # Other columns than the table has: the database refuses, and nothing is changed.
    assert run(*command, "--if-exists", "append", "--keep", "tenure") == 2
    assert "The database refused" in capsys.readouterr().err
    assert rows_of(url, "SELECT count(*) FROM scores")[0][0] == 10


def test_what_does_not_fit_together_is_refused_before_any_work(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = f"sqlite:///{tmp_path / 'new.db'}"
    wrong: list[tuple[tuple[str, ...], str]] = [
        (("-o", database), "name of a table"),
        (("-o", str(tmp_path / "out.csv"), "--table", "scores"), "--table is for databases"),
        (("-o", database, "--table", "scores", "--if-exists", "maybe"), "none of fail"),
        (("-o", str(tmp_path / "out.csv"), "--keep", "nonsense"), "'nonsense' is not in the data"),
        (("-o", str(tmp_path / "no" / "folder.csv")), "does not exist"),
    ]
    for words, told in wrong:
        assert run("predict", "churn", TELCO, *words, "--home", home) == 2
        assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out.csv").exists()


def test_a_column_has_the_type_of_all_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are what they are read as in one piece: a part alone holds whole numbers, or nothing."""
    address = f"sqlite:///{tmp_path / 'mixed.db'}"
    engine = engine_of(address)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (a, b, c)"))
        cells = [{"a": k if k < 20 else k + 0.5, "b": None if k < 20 else "x", "c": k if k % 2 else "word"} for k in range(40)]
        connection.execute(sa.text("INSERT INTO t VALUES (:a, :b, :c)"), cells)
    monkeypatch.setattr(databases, "_FETCH_ROWS", 10)
    scan = spooled.spooled(address, "t", tmp_path)
    assert pl.concat(scan.batches()).equals(databases.read_database(address, "t")[0])


def test_the_kept_rows_of_a_query_are_removed(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_rows(url, query="customers") as rows:
        assert list(tmp_path.glob("modelwright-rows-*"))
        assert sum(batch.height for batch in rows.batches) == N_ROWS
    assert not list(tmp_path.glob("modelwright-rows-*"))
