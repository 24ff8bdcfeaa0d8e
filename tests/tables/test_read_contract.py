"""Every source we ship against the contract suite: the same table gives the same frame and fingerprint."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sqlalchemy as sa

from modelwright.testing.sources import SourceContract

POSTGRES = {pl.Int64: "bigint", pl.Float64: "double precision", pl.Boolean: "boolean", pl.String: "text"}
SQLITE = {pl.Int64: "integer", pl.Float64: "real", pl.Boolean: "boolean", pl.String: "text"}


def as_csv(frame: pl.DataFrame, **options: Any) -> bytes:
    return frame.write_csv(**options).encode()


def fill_table(url: str, frame: pl.DataFrame, types: dict[Any, str], *, datetime_type: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    names = [f'"{name}"' for name in frame.columns]
    declared = ", ".join(
        f"{name} {types.get(dtype.base_type(), datetime_type)}" for name, dtype in zip(names, frame.dtypes, strict=True)
    )
    marks = ", ".join(f":c{i}" for i in range(frame.width))
    if datetime_type == "text":
        frame = frame.with_columns(pl.col(pl.Datetime).dt.to_string("iso"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS orders"))
        connection.execute(sa.text(f"CREATE TABLE orders ({declared})"))
        rows = [{f"c{i}": cell for i, cell in enumerate(row)} for row in frame.iter_rows()]
        if rows:
            connection.execute(sa.text(f"INSERT INTO orders VALUES ({marks})"), rows)
    engine.dispose()


class FileContract(SourceContract):
    name = ""

    def content(self, frame: pl.DataFrame) -> bytes:
        raise NotImplementedError

    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        path = folder / self.name
        path.write_bytes(self.content(frame))
        return {"data": path}


def zstd_compress(content: bytes) -> bytes:
    from backports import zstd

    return zstd.compress(content)


class TestCsv(FileContract):
    name = "t.csv"

    def content(self, frame: pl.DataFrame) -> bytes:
        return as_csv(frame)


class TestCsvWithByteOrderMark(TestCsv):
    def content(self, frame: pl.DataFrame) -> bytes:
        return b"\xef\xbb\xbf" + as_csv(frame)


class TestCsvInUtf16(TestCsv):
    def content(self, frame: pl.DataFrame) -> bytes:
        return as_csv(frame).decode().encode("utf-16")


class TestCsvInWindows1252(TestCsv):
    def content(self, frame: pl.DataFrame) -> bytes:
        return as_csv(frame).decode().encode("cp1252")


class TestCsvWithCarriageReturns(TestCsv):
    def content(self, frame: pl.DataFrame) -> bytes:
        return as_csv(frame, line_terminator="\r\n")


class TestTsv(FileContract):
    name = "t.tsv"

    def content(self, frame: pl.DataFrame) -> bytes:
        return as_csv(frame, separator="\t")


class TestSemicolonsAndDecimalCommas(TestCsv):
    def content(self, frame: pl.DataFrame) -> bytes:
        return as_csv(frame, separator=";", decimal_comma=True)


class TestBars(TestCsv):
    def content(self, frame: pl.DataFrame) -> bytes:
        return as_csv(frame, separator="|")


class TestCsvGzip(FileContract):
    name = "t.csv.gz"

    def content(self, frame: pl.DataFrame) -> bytes:
        return gzip.compress(as_csv(frame))


class TestCsvZstandard(FileContract):
    name = "t.csv.zst"

    def content(self, frame: pl.DataFrame) -> bytes:
        buffer = io.BytesIO()
        frame.lazy().sink_csv(buffer, compression="zstd")
        return buffer.getvalue()


class TestParquet(FileContract):
    name = "t.parquet"

    def content(self, frame: pl.DataFrame) -> bytes:
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        return buffer.getvalue()


class TestParquetGzip(TestParquet):
    name = "t.parquet.gz"

    def content(self, frame: pl.DataFrame) -> bytes:
        return gzip.compress(super().content(frame))


class TestParquetZstandard(TestParquet):
    name = "t.parquet.zst"

    def content(self, frame: pl.DataFrame) -> bytes:
        return zstd_compress(super().content(frame))


class TestArrow(FileContract):
    name = "t.arrow"

    def content(self, frame: pl.DataFrame) -> bytes:
        buffer = io.BytesIO()
        frame.write_ipc(buffer)
        return buffer.getvalue()


class TestArrowZstandard(TestArrow):
    name = "t.arrow.zst"

    def content(self, frame: pl.DataFrame) -> bytes:
        return zstd_compress(super().content(frame))


class TestArrowGzip(TestArrow):
    name = "t.arrow.gz"

    def content(self, frame: pl.DataFrame) -> bytes:
        return gzip.compress(super().content(frame))


class TestArrowStream(FileContract):
    name = "t.feather"

    def content(self, frame: pl.DataFrame) -> bytes:
        buffer = io.BytesIO()
        frame.write_ipc_stream(buffer)
        return buffer.getvalue()


class TestJsonLines(FileContract):
    name = "t.jsonl"

    def content(self, frame: pl.DataFrame) -> bytes:
        return frame.write_ndjson().encode()


class TestJsonLinesZstandard(FileContract):
    name = "t.ndjson.zst"

    def content(self, frame: pl.DataFrame) -> bytes:
        buffer = io.BytesIO()
        frame.lazy().sink_ndjson(buffer, compression="zstd")
        return buffer.getvalue()


class TestJsonLinesGzip(TestJsonLines):
    name = "t.jsonl.gz"

    def content(self, frame: pl.DataFrame) -> bytes:
        return gzip.compress(super().content(frame))


class TestJsonArray(FileContract):
    name = "t.json"

    def content(self, frame: pl.DataFrame) -> bytes:
        return frame.write_json().encode()


class TestFolderOfCsvFiles(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        for i in range(3):
            frame.slice(i * 100, 100).write_csv(folder / f"part-{i}.csv")
        (folder / "_SUCCESS").touch()
        return {"data": folder}


class TestGlobOfParquetFiles(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        frame.head(100).write_parquet(folder / "a.parquet")
        frame.slice(100).select(reversed(frame.columns)).write_parquet(folder / "b.parquet")
        (folder / "notes.txt").write_text("not data")
        return {"data": str(folder / "*.parquet")}


class TestObjectStore(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        import fsspec

        url = f"memory://{folder.name}/t.csv"
        with fsspec.open(url, "wb") as file:
            file.write(as_csv(frame))
        return {"data": url}


class TestObjectStoreFolder(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        import fsspec

        for i in range(3):
            with fsspec.open(f"memory://{folder.name}/parts/{i}.csv", "wb") as file:
                file.write(as_csv(frame.slice(i * 100, 100)))
        return {"data": f"memory://{folder.name}/parts"}


class TestSqlite(SourceContract):
    keeps_types = False

    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        url = f"sqlite:///{folder / 'shop.db'}"
        fill_table(url, frame, SQLITE, datetime_type="text")
        return {"data": url, "query": "SELECT * FROM orders ORDER BY id"}


class TestPostgres(SourceContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgres_url: str) -> None:
        self.url = postgres_url

    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        fill_table(self.url, frame, POSTGRES, datetime_type="timestamp")
        return {"data": self.url, "query": "SELECT * FROM orders ORDER BY id"}


class TestPolars(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        return {"data": frame}


class TestPolarsLazy(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        return {"data": frame.lazy()}


class TestPyarrowTable(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        return {"data": frame.to_arrow()}


class TestArrowStreamObject(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        class Foreign:
            def __arrow_c_stream__(self, requested_schema: object = None) -> object:
                return frame.__arrow_c_stream__(requested_schema)

        return {"data": Foreign()}


class TestPandas(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        return {"data": pd.DataFrame(frame.to_dict(as_series=False))}


class TestPandasObjects(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        return {"data": pd.DataFrame(frame.to_dict(as_series=False), dtype=object)}


class TestPandasNullable(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        wide = pd.DataFrame(frame.to_dict(as_series=False))
        return {"data": wide.astype({"id": "Int64", "price in €": "Float64", "member": "boolean", "city": "category"})}


class TestPandasThroughPyarrow(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        return {"data": frame.to_pandas(use_pyarrow_extension_array=True)}


class TestStructuredArray(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        kinds = {pl.Int64: "i8", pl.Boolean: "?"}
        dtype = [(name, kinds.get(kind.base_type(), "O")) for name, kind in frame.schema.items()]
        return {"data": np.array(frame.rows(), dtype=dtype)}


class TestDictOfColumns(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        return {"data": frame.to_dict(as_series=False)}


class TestListOfDicts(SourceContract):
    def store(self, frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
        return {"data": frame.to_dicts()}
