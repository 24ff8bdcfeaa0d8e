"""From a table to the `Matrix` that learners read.

An encoder is fitted on training rows only and afterwards treats every row alone: the same row gives the same
bits whatever rows come with it. Its state is plain values, one record for each column it reads.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import polars as pl
from scipy import sparse

from modelwright.errors import BundleError, DataError
from modelwright.features.categories import code_cells, index_levels
from modelwright.features.columns import (
    TEXT_SIZES,
    CategoryColumn,
    DateColumn,
    EncodedColumn,
    NumberColumn,
    TextColumn,
    learn_columns,
    namer,
    numeric_names,
    read_cells,
    read_numbers,
    read_stamps,
)
from modelwright.features.dates import date_part
from modelwright.features.generated import Generator
from modelwright.features.matrix import Layout, Matrix
from modelwright.features.rows import ColumnEncoder, RowEncoder, column_encoder, row_encoder
from modelwright.features.text import TextVectors, text_sizes
from modelwright.features.text_scores import learn_scores
from modelwright.pickling import reduce_by_saving
from modelwright.tables.schema import Schema, Task

#: What `tables.conform` makes of a column by its type, and what the records of an encoder read.
_KIND_OF_TYPE = {"number": "number", "boolean": "number", "datetime": "date"}
_KIND_OF: dict[type, str] = {NumberColumn: "number", DateColumn: "date", CategoryColumn: "text", TextColumn: "text"}
_STATE_FILE = "encoder.json"
_ARRAYS_FILE = "arrays.npz"


class EncoderState(msgspec.Struct, frozen=True):
    """What ``encoder.json`` holds."""

    columns: tuple[EncodedColumn, ...]


class Encoder:
    """Turns conformed tables into matrices.

    Made by `Encoder.fit` or `Encoder.load`.

    Numeric columns stand in table order: numbers and booleans (0, 1), parts of datetimes ("date.month"), length
    and words of texts ("note.length"), and behind all others the text components ("note.topic_1"). A time column
    gives only parts that repeat (month, day, weekday, hour), never the year: what a model learns from when a row
    was recorded must hold for rows recorded later.

    Columns that are constant in the training rows are left out. A number or category is constant when it has one
    value and no missing cell, or nothing but missing cells; a part of a date when it has one value.

    With a generator (`with_generator`) the generated columns stand behind the numeric ones of the table.

    Attributes
    ----------
    layout : Layout
    origin : dict of str to str
        Source column of every numeric and coded matrix column that is not generated.
    origins : dict of str to tuple of str
        Source columns of every numeric and coded matrix column; a generated one may have several.
    generator : Generator or None
    sources : tuple of str
        Columns that `transform` reads.
    """

    def __init__(self, state: EncoderState, vectors: dict[str, TextVectors], generator: Generator | None = None) -> None:
        self._state = state
        self.generator = generator
        self._vectors = vectors
        self._levels = {c.source: index_levels(c.levels) for c in state.columns if isinstance(c, CategoryColumn)}
        self._texts = tuple(c for c in state.columns if isinstance(c, TextColumn))
        numeric = {name: column.source for column in state.columns for name in numeric_names(column)}
        topics = {name: text.source for text in self._texts for name in text.topic_names}
        coded = [column for column in state.columns if isinstance(column, CategoryColumn)]
        self.sources = tuple(column.source for column in state.columns)
        self.origin: dict[str, str] = numeric | topics | {column.name: column.source for column in coded}
        self._encoded = Layout(
            numeric=(*numeric, *topics),
            codes=tuple(column.name for column in coded),
            cardinalities=tuple(len(column.levels) + 1 for column in coded),
            text_terms=sum(len(text.terms) for text in self._texts),
            text_components=len(topics),
        )
        self.layout = self._encoded if generator is None else generator.layout(self._encoded)
        self.origins: dict[str, tuple[str, ...]] = {name: (source,) for name, source in self.origin.items()}
        if generator is not None:
            for name, parents in generator.parents(self._encoded).items():
                self.origins[name] = tuple(dict.fromkeys(self.origin[parent] for parent in parents))

    def with_generator(self, generator: Generator | None) -> Encoder:
        """The same encoder, with generated columns in its matrices (without, if None).

        Parameters
        ----------
        generator : Generator or None
            Learned from matrices of this encoder without a generator.
        """
        return Encoder(self._state, self._vectors, generator)

    def with_text_scores(
        self, X: Matrix, y: np.ndarray, weight: np.ndarray | None = None, *, task: Task, n_classes: int, seed: int
    ) -> tuple[Encoder, Matrix]:
        """The same encoder with what each text says of the target among its components ("note.score_1"); see `text_scores`.

        Parameters
        ----------
        X : Matrix of n rows
            The training rows, by this encoder without a generator.
        y : ndarray of shape (n,)
        weight : ndarray of shape (n,), optional
        task, n_classes, seed
            As for `learn_scores`.

        Returns
        -------
        tuple of Encoder and Matrix
            The matrix has the scores out of fold. Both are as they were where no text says anything.
        """
        if X.text is None:
            return self, X
        name = namer({*self._encoded.numeric, *self._encoded.codes, *self.sources})
        texts, vectors, numeric = {}, dict(self._vectors), [X.numeric[:, : -self._encoded.text_components or None]]
        term, topic = 0, X.numeric.shape[1] - self._encoded.text_components
        for text in self._texts:
            fitted = self._vectors[text.source]
            topics = X.numeric[:, topic : topic + fitted.n_components]
            term, topic, terms = term + len(text.terms), topic + fitted.n_components, X.text[:, term : term + len(text.terms)]
            numeric.append(topics)
            learned = learn_scores(terms, y, weight, task=task, n_classes=n_classes, seed=seed) if fitted.n_components else None
            if learned is None:
                continue
            coefficients, scores = learned
            scores[np.isnan(topics[:, 0])] = np.nan
            numeric.append(scores)
            names = tuple(name(f"{text.source}.score_{k + 1}") for k in range(scores.shape[1]))
            texts[text.source] = msgspec.structs.replace(text, topic_names=(*text.topic_names, *names))
            vectors[text.source] = TextVectors(text.terms, fitted.idf, np.hstack([fitted.components, coefficients]))
        if not texts:
            return self, X
        columns = tuple(texts.get(column.source, column) for column in self._state.columns)
        scored = Encoder(EncoderState(columns), vectors)
        return scored, Matrix(np.concatenate(numeric, axis=1), X.codes, X.text, scored.layout)

    @classmethod
    def fit(cls, frame: pl.DataFrame, schema: Schema, *, seed: int = 0) -> Encoder:
        """Learn from training rows.

        Parameters
        ----------
        frame : DataFrame
            Conformed training rows. Columns whose role is not feature, text or time are not looked at.
        schema : Schema
        seed : int, default=0
            Drives the sampling and the SVD of text columns.

        Raises
        ------
        DataError
            If the table has no rows.
        SchemaError
            If a column of the schema is absent.
        """
        if frame.height == 0:
            raise DataError("There are no rows to learn from.", mend="Give a table with at least one row.")
        columns, vectors = learn_columns(frame, schema, seed=seed)
        return cls(EncoderState(columns), vectors)

    def term_sources(self) -> tuple[list[str], np.ndarray]:
        """Text columns, and for each term of ``Matrix.text`` the number of the one it belongs to; shape (v,)."""
        sizes = [len(text.terms) for text in self._texts]
        return [text.source for text in self._texts], np.repeat(np.arange(len(sizes)), sizes)

    def transform(self, frame: pl.DataFrame) -> Matrix:
        """Encode conformed rows, each by itself.

        Parameters
        ----------
        frame : DataFrame
            Conformed rows; further columns are not looked at. An absent time column counts as missing.

        Raises
        ------
        SchemaError
            If a column that the encoder reads is absent.
        """
        n_rows = frame.height
        numeric = np.empty((n_rows, len(self._encoded.numeric)), dtype=np.float32)
        codes = np.empty((n_rows, len(self._encoded.codes)), dtype=np.int32)
        texts: list[sparse.csr_matrix] = []
        topic = len(self._encoded.numeric) - self._encoded.text_components
        i = j = 0
        for column in self._state.columns:
            if isinstance(column, NumberColumn):
                numeric[:, i] = read_numbers(frame, column.source, column.offset)
                i += 1
            elif isinstance(column, CategoryColumn):
                codes[:, j] = code_cells(read_cells(frame, column.source), self._levels[column.source])
                j += 1
            elif isinstance(column, DateColumn):
                stamps = read_stamps(frame, column.source, optional=column.optional)
                for part in column.parts:
                    numeric[:, i] = date_part(stamps, part, column.origin_us)
                    i += 1
            else:
                cells = read_cells(frame, column.source).to_list()
                if column.sizes:
                    sizes = text_sizes(cells)
                    for size in column.sizes:
                        numeric[:, i] = sizes[:, TEXT_SIZES.index(size)]
                        i += 1
                fitted = self._vectors[column.source]
                weights = fitted.weigh(cells)
                numeric[:, topic : topic + fitted.n_components] = fitted.project(weights, cells)
                topic += fitted.n_components
                texts.append(weights)
        encoded = Matrix(numeric, codes, self._side_by_side(texts), self._encoded)
        return encoded if self.generator is None else self.generator.transform(encoded)

    def row_encoder(self, places: Mapping[str, int]) -> RowEncoder:
        """`transform` for one row at a time, equal to it to the bit.

        Parameters
        ----------
        places : mapping of str to int
            Where the cell of each source column stands in a row (see `tables.row`).
        """
        encode = row_encoder(self._state.columns, self._levels, self._vectors, self._encoded, places)
        generator = self.generator
        return encode if generator is None else lambda cells: generator.transform(encode(cells))

    def column_encoder(self, places: Mapping[str, int]) -> ColumnEncoder | None:
        """`transform` for cells that stand column by column, equal to it to the bit; None where texts are read."""
        encode = column_encoder(self._state.columns, self._levels, self._encoded, places)
        generator = self.generator
        return encode if generator is None or encode is None else lambda cells: generator.transform(encode(cells))

    def reads_cells(self, schema: Schema) -> bool:
        """Whether `row_encoder` can read cells of this schema: numbers as numbers, dates as dates, the others as text."""
        return all(
            _KIND_OF_TYPE.get(schema[column.source].type, "text") == _KIND_OF[type(column)] for column in self._state.columns
        )

    def save(self, folder: Path) -> None:
        """Write ``encoder.json`` and ``arrays.npz`` into ``folder``, which is made if absent; the generator beside."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray] = {}
        for number, text in enumerate(self._texts):
            fitted = self._vectors[text.source]
            arrays[f"idf_{number}"] = fitted.idf
            arrays[f"components_{number}"] = fitted.components
        (folder / _STATE_FILE).write_bytes(msgspec.json.encode(self._state))
        with (folder / _ARRAYS_FILE).open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        if self.generator is None:
            Generator.remove(folder)
        else:
            self.generator.save(folder)

    def __reduce__(self) -> Any:
        return reduce_by_saving(self)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; matrices are equal bit for bit.

        Raises
        ------
        BundleError
            If a file is absent or damaged.
        """
        try:
            state = msgspec.json.decode((folder / _STATE_FILE).read_bytes(), type=EncoderState)
            texts = [column for column in state.columns if isinstance(column, TextColumn)]
            vectors = {}
            # Opened here because numpy leaves the file open when it finds it damaged.
            with (folder / _ARRAYS_FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                named = {f"{name}_{number}" for number in range(len(texts)) for name in ("idf", "components")}
                if set(arrays.files) != named:
                    raise ValueError(f"{_ARRAYS_FILE} does not hold the arrays of its text columns")
                for number, text in enumerate(texts):
                    idf, components = arrays[f"idf_{number}"], arrays[f"components_{number}"]
                    if idf.shape != (len(text.terms),) or components.shape != (len(text.terms), len(text.topic_names)):
                        raise ValueError(f"the arrays of text column {text.source!r} do not fit its terms")
                    vectors[text.source] = TextVectors(text.terms, idf, components)
        except (OSError, ValueError, KeyError, EOFError, msgspec.MsgspecError, zipfile.BadZipFile) as error:
            raise BundleError(
                f"The encoder cannot be read: {error}.", where=folder.name, mend="Restore the model folder or train again."
            ) from error
        return cls(state, vectors, Generator.load(folder))

    def _side_by_side(self, texts: list[sparse.csr_matrix]) -> sparse.csr_matrix | None:
        if self.layout.text_terms == 0:
            return None
        return texts[0] if len(texts) == 1 else sparse.csr_matrix(sparse.hstack(texts, format="csr", dtype=np.float32))
