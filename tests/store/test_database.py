"""Stores that cannot be used say what is wrong and what mends it, and never tell a password."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from modelwright.errors import StorageError
from modelwright.store.database import Database
from modelwright.store.ledger import Ledger
from modelwright.store.migrations import MIGRATIONS


def refused(database: Database) -> StorageError:
    with pytest.raises(StorageError) as caught:
        Ledger(database).check()
    assert caught.value.where
    assert caught.value.mend
    return caught.value


def test_home_is_made_and_its_store_used_again(tmp_path: Path) -> None:
    for _ in range(2):
        Ledger(Database.of(tmp_path / "new" / "home")).check()
    assert (tmp_path / "new" / "home" / "store.db").is_file()
    with sqlite3.connect(tmp_path / "new" / "home" / "store.db") as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [
            (number,) for number in range(1, len(MIGRATIONS) + 1)
        ]
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    connection.close()


def test_schema_of_a_newer_version_is_refused(store_url: str) -> None:
    database = Database(store_url)
    with database.writing() as connection:
        connection.exec_driver_sql(f"INSERT INTO schema_version (version) VALUES ({len(MIGRATIONS) + 1})")
    error = refused(Database(store_url))
    assert f"schema version {len(MIGRATIONS) + 1}" in error.what
    assert "newer modelwright" in error.mend


def test_later_migration_brings_an_older_store_forward(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(Database(store_url)).check()
    monkeypatch.setattr("modelwright.store.database.MIGRATIONS", [*MIGRATIONS, ["CREATE TABLE later (x {REAL});\n"]])
    with Database(store_url).writing() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM later").scalar() == 0
        assert connection.exec_driver_sql("SELECT max(version) FROM schema_version").scalar() == len(MIGRATIONS) + 1


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("something else entirely, long enough to be read as a header of a database" * 20)
    error = refused(Database.of(tmp_path))
    assert "not a database" in error.what
    assert "Restore it" in error.mend


def test_damaged_database_is_refused(tmp_path: Path) -> None:
    Ledger(Database.of(tmp_path)).check()
    path = tmp_path / "store.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    assert "Restore it" in refused(Database.of(tmp_path)).mend


def test_store_without_its_tables_is_refused(tmp_path: Path) -> None:
    with Database.of(tmp_path).writing() as connection:
        connection.exec_driver_sql("DROP TABLE openings")
        connection.exec_driver_sql("DROP TABLE vaults")
    database = Database.of(tmp_path)
    with pytest.raises(StorageError, match="no such table"):
        Ledger(database).lines("v")


def test_database_that_may_only_be_read_is_refused(tmp_path: Path) -> None:
    Ledger(Database.of(tmp_path)).check()
    read_only = Database(f"sqlite:///file:{tmp_path / 'store.db'}?mode=ro&uri=true")
    assert Ledger(read_only).lines("v") == []
    assert "writable" in refused(read_only).mend


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_home_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "--home" in refused(Database.of(tmp_path)).mend
    finally:
        tmp_path.chmod(0o700)


def test_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--home"):
        Database.of(tmp_path / "file" / "home")


def test_store_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    assert "--home" in refused(Database.of(tmp_path)).mend


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@127.0.0.1:1/x", "postgres://u:s3cret@127.0.0.1:1/x"])
def test_unreachable_postgres_is_refused_without_its_password(url: str) -> None:
    error = refused(Database(url))
    assert "s3cret" not in str(error)
    assert "server runs" in error.mend


def test_wrong_password_is_refused(fresh_postgres: str) -> None:
    error = refused(Database(fresh_postgres.replace("s3cret", "wr0ng")))
    assert "wr0ng" not in str(error)
    assert "password" in error.mend


@pytest.mark.parametrize("url", ["mysql://h/x", "postgresql+nodriver://h/x", "nonsense"])
def test_other_urls_are_refused(url: str) -> None:
    refused(Database(url))


def test_store_in_use_is_waited_for_and_then_named(store_url: str) -> None:
    first = Database(store_url)
    statement = "INSERT INTO vaults VALUES ('v', 'd', 't', 'evaluation', 1, '', 0, '')"
    with first.writing() as connection:
        connection.exec_driver_sql(statement)
        with pytest.raises(StorageError, match="try again"), Database(store_url, wait_s=1).writing() as second:
            second.exec_driver_sql(statement)
