"""From rows of a request to scores: each row judged by itself, so that it gets the same answer alone and among others."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.artifacts.model import PART_ROWS
from modelwright.errors import ModelwrightError
from modelwright.serving.decoding import Row
from modelwright.serving.problems import Problem
from modelwright.tables.cells import label_of

if TYPE_CHECKING:
    from modelwright.artifacts.model import Model
    from modelwright.tables.row import Cell
    from modelwright.tables.schema import Column

#: Up to so many rows are scored one by one, which is quicker than a table of them.
_ONE_BY_ONE = 8
#: Weight of the last request in what a row is said to take.
_NEWS = 0.2
EXPECTED = {"number": "number", "boolean": "boolean", "datetime": "datetime (ISO 8601)"}


@dataclass(frozen=True)
class Scores:
    """What a model says of some rows.

    ``values`` are labels, numbers or cluster numbers as Python has them; ``proba`` has a list of probabilities for each row,
    in the order of the classes, or is None.
    """

    values: list[Any]
    proba: list[list[float]] | None


class Scorer:
    """A model that reads rows of requests; safe to share between threads.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._compiled = model.compile()
        self._reader = self._compiled.reader
        self.names: list[str] = [str(name) for name in model.feature_names_in_]
        columns = {column.name: column for column in model.schema.columns}
        #: Columns that a row must have.
        self.columns: list[Column] = [columns[name] for name in self.names]
        #: Columns that are read where they are sent.
        self.optional: list[Column] = list(model.schema.with_role("time"))
        self.classes: list[Any] = model.classes_.tolist() if model.task in ("binary", "multiclass") else []
        self.class_names = [label_of(each) for each in self.classes]
        #: Processor seconds that a row among several takes, as measured; infinite before.
        self._row_s = math.inf

    def expected_s(self, n_rows: int) -> float:
        """Processor seconds that scoring rows is expected to take; 0 for a handful."""
        return 0.0 if n_rows <= _ONE_BY_ONE else self._row_s * n_rows

    def read(self, rows: list[Row]) -> list[list[Cell]] | None:
        """Cells of rows; None for a model that derives columns, whose rows are read when they are scored.

        Raises
        ------
        Problem
            For the first row that has a column missing, or a cell that cannot be read.
        """
        if self._compiled.by_table:
            for number, row in enumerate(rows):
                self._check_complete(row, number)
            return None
        read = self._reader.mapping
        found = []
        for number, row in enumerate(rows):
            cells = read(row)
            if cells is None:
                raise self._refusal(row, number)
            found.append(cells)
        return found

    def score(self, rows: list[Row], cells: list[list[Cell]] | None) -> Scores:
        """Scores of rows that `read` has read."""
        if cells is None:
            raw = np.array([self._through_table(row, number) for number, row in enumerate(rows)])
        elif len(cells) <= _ONE_BY_ONE:
            parts = [self._compiled.score(each) for each in cells]
            raw = parts[0] if len(parts) == 1 else np.concatenate(parts)
        else:
            raw = self.model.raw_conformed(self._reader.table(zip(*cells, strict=True)))
        return self._told(raw)

    def answer(self, rows: list[Row]) -> Scores:
        """Scores of rows, read the quickest way; raises as `read` does."""
        if len(rows) <= _ONE_BY_ONE:
            return self.score(rows, self.read(rows))
        begun = time.thread_time()
        columns = None if self._compiled.by_table else self._reader.columns(rows)
        if columns is None:
            scores = self.score(rows, self.read(rows))
        else:
            raw = self._compiled.score_columns(columns) if len(rows) <= PART_ROWS else None
            scores = self._told(self.model.raw_conformed(self._reader.table(columns)) if raw is None else raw)
        took = (time.thread_time() - begun) / len(rows)
        self._row_s = took if self._row_s == math.inf else self._row_s + (took - self._row_s) * _NEWS
        return scores

    def _told(self, raw: np.ndarray) -> Scores:
        if self.classes:
            return Scores(self.model.label(raw).tolist(), raw.tolist())
        return Scores(raw.tolist(), None)

    def _through_table(self, row: Row, number: int) -> Any:
        try:
            return self._compiled.raw(row)
        except ModelwrightError as error:
            names = [name for name in self.names if error.where == f"column {name!r}"]
            column = names[0] if names else None
            raise self._wrong_cell(column, number) from None

    def _check_complete(self, row: Row, number: int) -> None:
        for name in self.names:
            if name not in row:
                raise Problem(
                    400, "missing_column", "A column of the model is missing; it may be null, but must be there.",
                    row=number, column=name, expected=self._expected(name),
                )  # fmt: skip

    def _refusal(self, row: Row, number: int) -> Problem:
        try:
            self._check_complete(row, number)
        except Problem as problem:
            return problem
        return self._wrong_cell(next(iter(self._reader.unreadable(row)), None), number)

    def _wrong_cell(self, column: str | None, number: int) -> Problem:
        if column is None:
            return Problem(400, "wrong_row", "The row cannot be read as the model's columns.", row=number)
        expected = self._expected(column)
        return Problem(
            400, "wrong_type", "A cell is not of the type that the model was trained on; a missing value is null.",
            row=number, column=column, expected=expected,
        )  # fmt: skip

    def _expected(self, name: str) -> str:
        column = self.model.schema[name]
        formats = f" ({', '.join(column.formats[:3])})" if column.type == "datetime" and column.formats else ""
        return "datetime" + formats if formats else EXPECTED.get(column.type, "text")
