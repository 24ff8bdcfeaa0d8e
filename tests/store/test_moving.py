"""A store that is moved arrives with every row, or the source is as it was; nobody writes to two of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright.errors import InvalidInputError, StorageError
from modelwright.store import moves
from modelwright.store.copying import Copied, copy_rows, digests
from modelwright.store.database import Database
from modelwright.store.migrations import MIGRATIONS
from modelwright.store.moving import cancel, move_database

AT = "2099-01-01T00:00:00+00:00"
VAULT = "v" * 64


def filled(database: Database, n: int = 3) -> Database:
    """Rows of every table, with what is hard to carry: no value, signs of other scripts, bytes, tiny numbers."""
    with database.writing() as connection:
        connection.execute(
            sa.text("INSERT INTO vaults VALUES (:v, 'data', 'Änderung ✓', 'evaluation', 10, '', :n, 'h')"), {"v": VAULT, "n": n}
        )
        for count in range(1, n + 1):
            values = {
                "vault": VAULT, "count": count, "data": "data", "part": "evaluation", "run": f"run-{count}",
                "purpose": "it's \"so\"",
                "at": AT, "by_whom": "ann", "metric": "roc_auc", "score": 0.1 + 0.2, "low": None, "high": 5e-324,
                "level_corrected": 0.95, "best_run": "", "best_count": 0, "predictions": "p", "previous": "",
                "hash": f"h{count}",
            }  # fmt: skip
            connection.execute(sa.insert(sa.table("openings", *map(sa.column, values))).values(**values))
        best = {
            "vault": VAULT, "count": 1, "kind": "k", "metric": "m", "run": "r", "level_corrected": 0.95, "shape": "<f8 (2,)",
            "predictions": bytes(range(256)),
        }  # fmt: skip
        connection.execute(sa.insert(sa.table("best", *map(sa.column, best))).values(**best))
        runs = {"home": "here", "run": "r", "name": "n", "kind": "job", "state": "finished", "created": AT, "stamp": "1:2"}
        connection.execute(sa.insert(sa.table("runs", *map(sa.column, [*runs, "entry"]))).values(**runs, entry=b"\x00\xff{}"))
        connection.exec_driver_sql("INSERT INTO pins VALUES ('', 'r', 'model churn, version 3', 'live')")
    return database


def state(database: Database) -> dict[str, Copied]:
    with database.reading() as connection:
        return digests(connection)


def notes(database: Database) -> list[str]:
    with database.reading() as connection:
        return [note.state for note in moves.read(connection)]


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'one.db'}")


@pytest.fixture
def other(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'two.db'}")


@pytest.mark.parametrize("way", ["to postgres", "from postgres"])
def test_every_row_arrives_in_the_other_kind_of_database(sqlite: Database, fresh_postgres: str, way: str) -> None:
    postgres = Database(fresh_postgres)
    source, target = (sqlite, postgres) if way == "to postgres" else (postgres, sqlite)
    before = state(filled(source))

    moved = move_database(source, target, at=AT)

    assert {table.table: table.n_rows for table in moved.tables if table.n_rows} == {
        "best": 1,
        "openings": 3,
        "pins": 1,
        "runs": 1,
        "vaults": 1,
    }
    assert state(target) == state(source) == before
    assert (notes(source), notes(target)) == (["moved"], ["arrived"])
    # The rules came along with the rows.
    for statement in ("DELETE FROM openings", "UPDATE best SET metric = 'x'"):
        with pytest.raises(StorageError, match="never"), target.writing() as connection:
            connection.exec_driver_sql(statement)


def test_table_of_a_later_migration_comes_along_and_its_numbers_go_on(
    sqlite: Database, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = {
        "sqlite": "CREATE TABLE later (id INTEGER PRIMARY KEY, yes BOOLEAN, home TEXT);\n",
        "postgresql": "CREATE TABLE later (id SERIAL PRIMARY KEY, yes BOOLEAN, home TEXT);\n",
    }
    monkeypatch.setattr("modelwright.store.database.MIGRATIONS", [*MIGRATIONS, [later]])
    postgres = Database(fresh_postgres)
    with sqlite.writing() as connection:
        connection.exec_driver_sql("INSERT INTO later VALUES (1, 1, 'a'), (7, 0, ''), (8, NULL, NULL)")

    move_database(sqlite, postgres, at=AT, change=lambda row: row | {"home": "new"} if row.get("home") == "" else row)

    with postgres.writing() as connection:
        connection.exec_driver_sql("INSERT INTO later (yes) VALUES (true)")
        found = connection.exec_driver_sql("SELECT id, yes, home FROM later ORDER BY id").fetchall()
    assert [tuple(row) for row in found] == [(1, True, "a"), (7, False, "new"), (8, None, None), (9, True, None)]


def test_moved_store_refuses_writers_and_says_where_it_went(sqlite: Database, other: Database) -> None:
    move_database(filled(sqlite), other, at=AT)
    with pytest.raises(StorageError, match=r"moved to sqlite:///.*two\.db on 2099-01-01") as caught, sqlite.writing():
        pass
    assert "--store" in caught.value.mend
    with other.writing() as connection:
        connection.exec_driver_sql("INSERT INTO pins VALUES ('', 'x', 'y', '')")
    assert state(sqlite)["pins"].n_rows == 1


def test_same_move_again_does_nothing_and_another_one_is_refused(sqlite: Database, other: Database, tmp_path: Path) -> None:
    move_database(filled(sqlite), other, at=AT)
    with other.writing() as connection:
        connection.exec_driver_sql("DELETE FROM pins")
    assert move_database(sqlite, other, at=AT).already
    assert state(other)["pins"].n_rows == 0
    with pytest.raises(InvalidInputError, match=r"was moved to .*two\.db"):
        move_database(sqlite, Database(f"sqlite:///{tmp_path / 'three.db'}"), at=AT)
    with pytest.raises(InvalidInputError, match="is done"):
        cancel(sqlite)


def test_target_in_use_is_refused_and_the_source_stays_open(sqlite: Database, other: Database) -> None:
    filled(other)
    before = state(other)
    with pytest.raises(InvalidInputError, match="another store that is in use"):
        move_database(filled(sqlite), other, at=AT)
    assert state(other) == before
    with sqlite.writing():
        pass


def test_database_of_another_program_is_refused_untouched(sqlite: Database, store_url: str) -> None:
    engine = sa.create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE customers (id INTEGER)")
    target = store_url.replace("store.db", "foreign.db")
    if target != store_url:
        os.rename(store_url.removeprefix("sqlite:///"), target.removeprefix("sqlite:///"))
    with pytest.raises(InvalidInputError, match="something else"):
        move_database(filled(sqlite), Database(target), at=AT)
    with Database(target).untouched() as connection:
        assert sa.inspect(connection).get_table_names() == ["customers"]
    engine.dispose()


def test_source_is_no_target(sqlite: Database, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(InvalidInputError, match="same"):
        move_database(filled(sqlite), Database(f"sqlite:///{tmp_path / 'link' / 'one.db'}"), at=AT)
    with sqlite.writing():
        pass


def test_store_comes_back_to_the_file_it_left(sqlite: Database, other: Database, tmp_path: Path) -> None:
    move_database(filled(sqlite), other, at=AT)
    with other.writing() as connection:
        connection.exec_driver_sql("INSERT INTO pins VALUES ('', 'x', 'y', '')")
    before = state(other)

    moved = move_database(other, Database(sqlite.url), at=AT)

    assert state(Database(sqlite.url)) == before
    assert Path(moved.aside).is_file()
    with Database(sqlite.url).writing():
        pass


_KILLED = """
import os, signal, sys
from modelwright.store import copying, moves, moving
from modelwright.store.database import Database

at = sys.argv[3]
def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
if at == "frozen":
    moving._copy = kill
elif at == "copied":
    whole = copying._set_counters
    copying._set_counters = lambda connection, table: kill() if table.name == "pins" else whole(connection, table)
else:
    moving._with_state = kill
moving.move_database(Database(sys.argv[1]), Database(sys.argv[2]), at="2099-01-01T00:00:00+00:00")
"""


@pytest.mark.parametrize("at", ["frozen", "copied", "arrived"])
def test_move_that_was_killed_goes_on(sqlite: Database, store_url: str, at: str) -> None:
    target = store_url
    before = state(filled(sqlite))
    done = subprocess.run([sys.executable, "-c", _KILLED, sqlite.url, target, at], check=False)
    assert done.returncode == -signal.SIGKILL
    assert state(sqlite) == before
    with pytest.raises(StorageError, match="is being moved"), sqlite.writing():
        pass

    move_database(sqlite, Database(target), at=AT)

    assert state(Database(target)) == before
    assert (notes(sqlite), notes(Database(target))) == (["moved"], ["arrived"])


def test_killed_move_can_be_given_up(sqlite: Database, other: Database) -> None:
    filled(sqlite)
    subprocess.run([sys.executable, "-c", _KILLED, sqlite.url, other.url, "copied"], check=False)
    assert cancel(sqlite) is not None
    with sqlite.writing():
        pass
    assert cancel(sqlite) is None


_LIMITED = """
import resource, sys
from modelwright.errors import StorageError
from modelwright.store.database import Database
from modelwright.store.moving import move_database

source, target = Database(sys.argv[1]), Database(sys.argv[2])
with target.reading():
    pass
with source.exclusively():
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    move_database(source, target, at="2099-01-01T00:00:00+00:00")
except StorageError as error:
    print(error, *getattr(error, "__notes__", []))
"""


def test_full_disk_at_the_target_is_told_and_the_source_stays_open(sqlite: Database, other: Database) -> None:
    filled(sqlite)
    with sqlite.writing() as connection:
        connection.execute(
            sa.text("INSERT INTO best VALUES (:v, 2, 'k', 'm', 'r', 1, 1, 1, 0.9, 1, 1, NULL, 's', :blob)"),
            {"v": VAULT, "blob": os.urandom(3_000_000)},
        )
    before = state(sqlite)
    command = [sys.executable, "-c", _LIMITED, sqlite.url, other.url, "1000000"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "The store refused" in done.stdout
    assert "two.db" in done.stdout
    assert state(sqlite) == before
    with sqlite.writing():
        pass
    move_database(sqlite, other, at=AT)
    assert state(other) == before


def test_error_while_copying_leaves_both_sides_as_they_were(
    sqlite: Database, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = Database(fresh_postgres)
    with filled(sqlite).writing() as connection:
        # SQLite takes what Postgres refuses: a text that is too long for its column.
        connection.execute(sa.text("INSERT INTO pins VALUES ('', :run, 'h', 'w')"), {"run": "r" * 400})
    with pytest.raises(StorageError, match="too long"):
        move_database(sqlite, postgres, at=AT)
    assert all(copied.n_rows == 0 for copied in state(postgres).values())
    assert notes(sqlite) == []
    with sqlite.writing():
        pass


def test_value_that_changes_on_its_way_is_noticed(sqlite: Database, other: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(sqlite)
    with other.writing() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER liar AFTER INSERT ON pins BEGIN UPDATE pins SET why = 'other' WHERE run = new.run; END"
        )
    with pytest.raises(StorageError, match="'pins' came back otherwise"):
        move_database(sqlite, other, at=AT)
    assert notes(sqlite) == []
    assert state(other)["openings"].n_rows == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_line_of_concurrent_writers_is_lost(
    kind: str, sqlite: Database, other: Database, request: pytest.FixtureRequest
) -> None:
    source = sqlite if kind == "sqlite" else Database(request.getfixturevalue("fresh_postgres"))
    filled(source)
    written: list[str] = []
    refused: list[str] = []
    started = threading.Barrier(5)

    def write(name: str) -> None:
        database = Database(source.url)
        started.wait()
        for number in range(10_000):
            try:
                with database.writing() as connection:
                    connection.exec_driver_sql(f"INSERT INTO pins VALUES ('', '{name}-{number}', 'h', '')")
            except StorageError as error:
                refused.append(error.what)
                return
            written.append(f"{name}-{number}")

    writers = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(4)]
    for writer in writers:
        writer.start()
    started.wait()
    while len(written) < 20:
        threading.Event().wait(0.01)
    move_database(source, other, at=AT)
    for writer in writers:
        writer.join()

    assert len(refused) == 4
    assert all("moved" in what for what in refused)
    with other.reading() as connection:
        arrived = {row[0] for row in connection.exec_driver_sql("SELECT run FROM pins")}
    assert arrived == {*written, "r"}


def test_rows_are_compared_whatever_their_order(sqlite: Database, other: Database) -> None:
    filled(sqlite)
    with sqlite.reading() as source, other.exclusively() as target:
        copied, stayed = copy_rows(source, target)
    assert stayed == []
    assert {table.table: table for table in copied} == state(sqlite)
