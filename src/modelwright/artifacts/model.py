"""The deliverable: encoders, members, calibration and threshold behind ``predict``."""

from __future__ import annotations

import html
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from modelwright.artifacts.row_reader import few_rows
from modelwright.ensembles.calibration import NONE, Calibration, calibrate
from modelwright.ensembles.conformal import Conformal, intervals, sets
from modelwright.errors import InvalidInputError
from modelwright.features.derived import Derived
from modelwright.features.encoder import Encoder
from modelwright.learners.base import Learner
from modelwright.provenance.machine import available_cpus
from modelwright.tables.conform import conform
from modelwright.tables.read import read
from modelwright.tables.schema import Schema, Task

if TYPE_CHECKING:
    from modelwright.artifacts.compiled import CompiledModel, Row
    from modelwright.artifacts.explain import Explanation


#: Rows that are scored at once: what is made of them stays small and in the cache, and there are parts for every core.
PART_ROWS = 8192


@dataclass(frozen=True)
class Member:
    """One learner of the model, its weight, and the number of its encoder."""

    learner: Learner
    weight: float
    encoder: int


class Model:
    """A trained model; made by training or by `modelwright.load`, not by hand.

    Attributes
    ----------
    task : {"binary", "multiclass", "regression", "clustering"}
    target : str or None
        Name of the predicted column.
    classes_ : ndarray of shape (n_classes,)
        Class labels in the order of the columns of `predict_proba`; empty for regression. For a binary task the
        positive class comes second.
    feature_names_in_ : ndarray of str
        Columns that `predict` needs, by name, in any order.
    """

    def __init__(
        self,
        *,
        task: Task,
        target: str | None,
        classes: list[Any],
        schema: Schema,
        encoders: list[Encoder],
        members: list[Member],
        temperature: float = 1.0,
        calibration: Calibration | None = None,
        threshold: float | None = None,
        conformal: Conformal | None = None,
        metric: str = "",
        run: str = "",
        derived: Derived | None = None,
    ) -> None:
        self.task: Task = task
        self.target = target
        self.classes_ = np.array(classes)
        self.schema = schema
        self.encoders = encoders
        self.members = members
        # Bundles of before there was a choice of calibration hold a temperature.
        self.calibration = calibration or (NONE if temperature == 1.0 else Calibration("temperature", temperature))
        self.threshold = threshold
        self.conformal = conformal
        self.metric = metric
        self.run = run
        #: The user's derived columns, computed from the rows before the schema is applied; None if there are none.
        self.derived = derived
        self._compiled: CompiledModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_compiled": None}

    @property
    def feature_names_in_(self) -> np.ndarray:
        names = [column.name for column in self.schema.features]
        if self.derived is not None:  # what they are derived from is needed, they are not
            needed = {*names, *self.derived.sources} - set(self.derived.names)
            names = [column.name for column in self.schema.columns if column.name in needed]
        return np.array(names)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the target, or the cluster number.

        Parameters
        ----------
        X : table
            Anything that training reads: a DataFrame of pandas, Polars or Arrow, a dict of columns, a list of
            dicts, a path. Columns are found by name; order does not matter, extra columns are ignored.

        Returns
        -------
        ndarray of shape (n_rows,)
            Class labels, numbers, or cluster numbers.

        Raises
        ------
        SchemaError
            If a column is missing or holds values of another type.
        """
        if self.task in ("regression", "clustering"):
            return self.raw(X)
        return self.label(self.predict_proba(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated class probabilities.

        Parameters
        ----------
        X : table
            As for `predict`.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Columns in the order of `classes_`; rows sum to 1.

        Raises
        ------
        InvalidInputError
            For a regression or clustering model.
        SchemaError
            If a column is missing or holds values of another type.
        """
        self.check_proba()
        return self.raw(X)

    def check_proba(self) -> None:
        """Raise `InvalidInputError` where there are no class probabilities."""
        if self.task not in ("binary", "multiclass"):
            raise InvalidInputError(f"A {self.task} model has no class probabilities.", mend="Call predict instead.")

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Intervals that hold the true number with at least the coverage asked for, on rows like those trained on.

        Parameters
        ----------
        X : table
            As for `predict`.
        coverage : float, default=0.9
            Share of rows, in (0, 1).

        Returns
        -------
        ndarray of shape (n_rows, 2)
            Lower and upper end, in the units of the target.

        Raises
        ------
        InvalidInputError
            If the model predicts classes or clusters, was saved without calibration rows, or was calibrated on too few
            rows for so much coverage.
        SchemaError
            If a column is missing or holds values of another type.
        """
        return intervals(self._conformal("interval", coverage), self.raw(X), coverage)

    def predict_set(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Sets of classes that hold the true one with at least the coverage asked for, in each class.

        Parameters
        ----------
        X : table
            As for `predict`.
        coverage : float, default=0.9
            Share of rows, in (0, 1).

        Returns
        -------
        ndarray of shape (n_rows, n_classes), bool
            Columns in the order of `classes_`; the most probable class is always in its set.

        Raises
        ------
        InvalidInputError, SchemaError
            As for `predict_interval`.

        Examples
        --------
        >>> held = model.predict_set(rows)  # doctest: +SKIP
        >>> model.classes_[held[0]]  # doctest: +SKIP
        array(['No', 'Yes'], dtype='<U3')
        """
        return sets(self._conformal("set", coverage), self.raw(X), coverage)

    def explain(self, X: Any, *, background: Any = None, seed: int = 0) -> Explanation:
        """What each column adds to the predictions of rows; see `modelwright.artifacts.explain.explain`."""
        from modelwright.artifacts.explain import explain

        return explain(self, X, background=background, seed=seed)

    def compile(self) -> CompiledModel:
        """This model for one row at a time, without tables; made once, reusable, safe to share between threads.

        Examples
        --------
        >>> score = model.compile()  # doctest: +SKIP
        >>> score.predict_proba({"age": 31, "plan": "basic"})  # doctest: +SKIP
        array([0.83, 0.17])
        """
        rows = self._single_rows()
        rows.prepare()
        return rows

    def _single_rows(self) -> CompiledModel:
        if self._compiled is None:
            from modelwright.artifacts.compiled import CompiledModel

            self._compiled = CompiledModel(self)
        return self._compiled

    def predict_one(self, row: Row) -> Any:
        """Predict for one row given as a dict; the quickest way, see `compile`.

        Parameters
        ----------
        row : mapping of str to value, or sequence in the order of ``feature_names_in_``
            None, NaN and "" are missing; further columns are ignored.

        Returns
        -------
        label, float or int
            What `predict` gives for the row.

        Raises
        ------
        InvalidInputError
            If a sequence has another length than ``feature_names_in_``.
        SchemaError
            If a column is missing or holds a value of another type.
        """
        return self._single_rows().predict(row)

    def _conformal(self, kind: str, coverage: float) -> Conformal:
        """The calibration scores, or why there are none; asked before any row is predicted."""
        what = "prediction intervals" if kind == "interval" else "prediction sets"
        wanted = "interval" if self.task == "regression" else "set"
        if self.task == "clustering" or kind != wanted:
            mend = "Call predict instead." if self.task == "clustering" else f"Call predict_{wanted} instead."
            raise InvalidInputError(f"A {self.task} model has no {what}.", mend=mend)
        if self.conformal is None:
            raise InvalidInputError(
                f"This model was saved without the scores of validation rows, so it has no {what}.",
                mend="Train again, on at least 50 rows.",
            )
        if not 0 < coverage < 1:
            raise InvalidInputError(
                f"{coverage!r} is not a coverage.", where="coverage", mend="Give a share between 0 and 1, such as 0.9."
            )
        return self.conformal

    def label(self, proba: np.ndarray) -> np.ndarray:
        """Class labels for probabilities, by the threshold chosen on validation rows (binary) or the largest."""
        if self.threshold is not None and len(self.classes_) == 2:
            return self.classes_[(proba[:, 1] >= self.threshold).astype(np.int64)]
        if len(self.classes_) == 2:
            return self.classes_[(proba[:, 1] > proba[:, 0]).astype(np.int64)]  # for one row a third of the time of argmax
        return self.classes_[proba.argmax(axis=1)]

    def raw(self, X: Any) -> np.ndarray:
        """Calibrated probabilities, numbers or cluster numbers."""
        if few_rows(X):
            quick = self._single_rows().few(X)
            if quick is not None:
                return quick
        frame = self.rows(X)
        conformed, _ = conform(frame, self.schema, columns=self.columns_read(frame))
        return self.raw_conformed(conformed)

    def rows(self, X: Any) -> pl.DataFrame:
        """Rows as read, with the derived columns."""
        frame = X if isinstance(X, pl.DataFrame) else read(X).frame
        return frame if self.derived is None else self.derived.apply(frame)

    def columns_read(self, frame: pl.DataFrame) -> tuple[Any, ...]:
        """Columns taken from a frame: the features, and the time column when it is there."""
        return self.schema.features + tuple(c for c in self.schema.with_role("time") if c.name in frame.columns)

    def raw_conformed(self, conformed: pl.DataFrame) -> np.ndarray:
        """Like `raw`, for rows that already follow the schema."""
        total = self.uncalibrated(conformed)
        return total if self.task in ("regression", "clustering") else calibrate(total, self.calibration)

    def uncalibrated(self, conformed: pl.DataFrame) -> np.ndarray:
        """What the weighed members say together, before calibration; many rows in parts, side by side."""
        parts = [conformed[start : start + PART_ROWS] for start in range(0, conformed.height, PART_ROWS)]
        threads = min(len(parts), available_cpus())
        if threads < 2:
            return self._together(conformed) if len(parts) < 2 else np.concatenate([self._together(part) for part in parts])
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(self._together, parts)))

    def _together(self, conformed: pl.DataFrame) -> np.ndarray:
        matrices: dict[int, Any] = {}
        total: np.ndarray | None = None
        for member in self.members:
            if member.encoder not in matrices:
                matrices[member.encoder] = self.encoders[member.encoder].transform(conformed)
            prediction = member.learner.predict(matrices[member.encoder])
            if self.task == "clustering":
                return prediction
            part = prediction * member.weight
            total = part if total is None else total + part
        assert total is not None, "a model has at least one member"
        return total

    def __repr__(self) -> str:
        what = f"predicts {self.target!r}" if self.target else "finds clusters"
        members = ", ".join(f"{m.learner.algorithm.name} {m.weight:.2f}" for m in self.members)
        return f"<modelwright.Model {what} ({self.task}) from {len(self.schema.features)} columns: {members}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(m.learner.algorithm.title)}</td><td style='text-align:right'>{m.weight:.2f}</td></tr>"
            for m in self.members
        )
        head = f"predicts <b>{html.escape(str(self.target))}</b>" if self.target else "finds clusters"
        return (
            f"<div><p>modelwright model, {html.escape(self.task)}: {head} from {len(self.schema.features)} columns</p>"
            f"<table><thead><tr><th>member</th><th>weight</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )
