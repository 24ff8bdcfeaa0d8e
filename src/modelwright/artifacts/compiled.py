"""From rows to scores without a table: a dict in, a number or a handful of probabilities out.

Everything that can be looked up once is: which cell stands where, how it is read, its code, each learner's own way to
score one row. What is left are a few microseconds of Python and the learners' arithmetic, which is that of the batch
path: both give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.artifacts.row_reader import RowReader
from modelwright.ensembles.calibration import calibrate
from modelwright.errors import InvalidInputError
from modelwright.features.matrix import Matrix
from modelwright.tables.conform import conform
from modelwright.tables.row import Cell

if TYPE_CHECKING:
    from modelwright.artifacts.model import Model

#: A row as callers have it: values by column name, or values in the order of ``feature_names_in_``.
Row = Mapping[str, Any] | Sequence[Any]


class CompiledModel:
    """`Model` for one row at a time; made by ``model.compile()``, reusable, and safe to share between threads.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.reader = RowReader(model.schema)
        places = self.reader.places
        encoders = sorted({member.encoder for member in model.members})
        #: An encoder that reads the text of numbers, as the user may ask for, needs the table's way of writing them.
        self._unlike = not all(model.encoders[number].reads_cells(model.schema) for number in encoders)
        self._by_table = self._unlike or model.derived is not None
        self._encoders = [model.encoders[number].row_encoder(places) for number in encoders]
        self._by_columns = [model.encoders[number].column_encoder(places) for number in encoders]
        self._members = [(member.learner.predict, member.weight, encoders.index(member.encoder)) for member in model.members]

    @property
    def by_table(self) -> bool:
        """Whether rows must become a table first: the model derives columns, or reads the text of numbers."""
        return self._by_table

    def prepare(self) -> None:
        """Build now what learners would otherwise build when some rows have come."""
        for member in self._model.members:
            member.learner.prepare_rows()

    def predict(self, row: Row) -> Any:
        """Class label, number, or cluster number of one row; see `Model.predict`."""
        raw = self.raw(row)
        if self._model.task in ("regression", "clustering"):
            return raw
        return self._model.label(raw[None])[0]

    def predict_proba(self, row: Row) -> np.ndarray:
        """Calibrated class probabilities of one row, shape (n_classes,); see `Model.predict_proba`."""
        self._model.check_proba()
        return np.asarray(self.raw(row))

    def raw(self, row: Row) -> Any:
        """Calibrated probabilities of shape (n_classes,), a number, or a cluster number.

        Parameters
        ----------
        row : mapping, or sequence in the order of ``feature_names_in_``
            Values by column name; further ones are ignored. None, NaN and "" are missing.

        Raises
        ------
        InvalidInputError
            If a sequence has another length than ``feature_names_in_``.
        SchemaError
            If a column is missing or holds a value of another type.
        """
        row = self._named(row)
        cells = None if self._by_table else self.reader.mapping(row)
        found = self._through_table(row) if cells is None else self.score(cells)
        return found[0] if found.ndim > 1 else found[0].item()

    def score(self, cells: Sequence[Cell]) -> np.ndarray:
        """`Model.raw` for the cells of one row, in the order of ``reader``; shape (1,) or (1, n_classes)."""
        return self._weighed([encode(cells) for encode in self._encoders])

    def score_columns(self, columns: Sequence[Sequence[Cell] | np.ndarray]) -> np.ndarray | None:
        """`Model.raw` for the cells of some rows, column by column in the order of ``reader``; None where texts are read."""
        matrices = [encode(columns) for encode in self._by_columns if encode is not None]
        return self._weighed(matrices) if len(matrices) == len(self._by_columns) else None

    def _weighed(self, matrices: list[Matrix]) -> np.ndarray:
        """What the members say together of the matrices of each encoder."""
        if self._model.task == "clustering":
            predict, _, encoder = self._members[0]
            return predict(matrices[encoder])
        total: np.ndarray | None = None
        for predict, weight, encoder in self._members:
            part = predict(matrices[encoder]) * weight
            total = part if total is None else total + part
        assert total is not None, "a model has at least one member"
        return total if self._model.task == "regression" else calibrate(total, self._model.calibration)

    def few(self, X: Any) -> np.ndarray | None:
        """`Model.raw` for a table of a few rows; None where it must be read as a table.

        Parameters
        ----------
        X : table
            Such that `row_reader.few_rows` holds.
        """
        if self._by_table:
            return None
        rows = self.reader.few(X)
        return None if rows is None else np.concatenate([self.score(cells) for cells in rows])

    def _named(self, row: Row) -> Mapping[str, Any]:
        if isinstance(row, Mapping):
            return row
        names = self._model.feature_names_in_.tolist()
        listed = isinstance(row, Sequence) and not isinstance(row, str | bytes)
        if not listed or len(row) != len(names):
            given = f"{len(row)} values" if listed else f"a {type(row).__name__}"
            raise InvalidInputError(
                f"The model reads {len(names)} columns, but the row is {given}.",
                where="row",
                mend="Give a dict of values by column name, or a list in the order of feature_names_in_.",
            )
        return dict(zip(names, row, strict=True))

    def _through_table(self, row: Mapping[str, Any]) -> np.ndarray:
        """The way of a table: derived columns, columns that are missing, cells that cannot be read."""
        frame = self._model.rows([row])
        conformed, _ = conform(frame, self._model.schema, columns=self._model.columns_read(frame))
        return self._model.raw_conformed(conformed) if self._unlike else self.score(self.reader.conformed(conformed)[0])
