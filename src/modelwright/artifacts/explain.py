"""Why the model predicts what it predicts for a row: contributions of the user's own columns that add up.

Notation: n rows, C columns of the table, K outputs (classes, or 1).

Members with an additive form (boosted trees, forests, linear models; see `learners.contributions`) are taken apart
exactly. Others (support vector machines, networks) are asked with columns switched one after another from a row of a
background to the row explained, in random orders [1]_: their contributions add up too, and are estimates. The parts
of the members are weighed like their predictions; calibration stretches all parts of a class alike.

References
----------
.. [1] Strumbelj, Kononenko, "Explaining prediction models and individual predictions with feature contributions",
   Knowledge and Information Systems 41 (2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from modelwright.artifacts.model import Member, Model
from modelwright.ensembles.calibration import calibrate
from modelwright.errors import InvalidInputError
from modelwright.features.encoder import Encoder
from modelwright.learners.contributions import Contributions, contributions
from modelwright.tables.conform import conform

#: Orders drawn for learners without an additive form; each with its reverse.
_ORDERS = 12
_FEWEST_BACKGROUND = 20
_MOST_BACKGROUND = 200


@dataclass(frozen=True)
class Explanation:
    """Contributions of columns to predictions.

    Attributes
    ----------
    columns : list of str
        Columns of the table, C of them.
    values : ndarray of shape (n, C, K)
        What each adds; in the units of the target, or of the probability of each class.
    base : ndarray of shape (K,)
        What the model says before it knows anything of the row.
    prediction : ndarray of shape (n, K)
        ``base + values.sum(axis=1)``.
    classes : list
        Labels of the K classes; empty for regression.
    exact : bool
        False if a member had to be estimated by sampling.
    """

    columns: list[str]
    values: np.ndarray
    base: np.ndarray
    prediction: np.ndarray
    classes: list[Any]
    exact: bool

    def output(self, row: int) -> int:
        """The output that is explained first: the positive class of two, the most probable of many."""
        if len(self.classes) == 2:
            return 1
        return int(self.prediction[row].argmax()) if self.classes else 0

    def top(self, row: int, most: int, output: int | None = None) -> list[tuple[str, float]]:
        """Columns with the largest contributions to one row, largest first."""
        chosen = self.values[row, :, self.output(row) if output is None else output]
        order = np.argsort(-np.abs(chosen), kind="stable")[:most]
        return [(self.columns[j], float(chosen[j])) for j in order]

    def frame(self) -> pl.DataFrame:
        """One row an explained row and output: row, class (for classes), prediction, base, and a column a column."""
        n, _, k = self.values.shape
        parts = []
        for output in range(k):
            named = {"class": [str(self.classes[output])] * n} if self.classes else {}
            facts = {
                "row": np.arange(n),
                **named,
                "prediction": self.prediction[:, output],
                "base": np.full(n, self.base[output]),
            }
            parts.append(pl.DataFrame(facts).hstack(self._wide(output)))
        return pl.concat(parts).sort("row", maintain_order=True)

    def _wide(self, output: int) -> pl.DataFrame:
        # A column of the table may be called like one of ours.
        taken = {"row", "class", "prediction", "base"}
        names = [f"{name} " if name in taken else name for name in self.columns]
        return pl.DataFrame(dict(zip(names, self.values[:, :, output].T, strict=True)))


def explain(model: Model, X: Any, *, background: Any = None, seed: int = 0) -> Explanation:
    """Take predictions apart.

    Parameters
    ----------
    model : Model
    X : table of n rows
        Anything that `Model.predict` reads.
    background : table, optional
        Rows that stand for "not known" where a member has no additive form; by default the rows of ``X``, of which
        there must be 20 then.
    seed : int, default=0
        Of the orders drawn for such members.

    Returns
    -------
    Explanation

    Raises
    ------
    InvalidInputError
        For a clustering model, or if rows for a background are needed and absent.
    SchemaError
        If a column is missing or holds values of another type.
    """
    if model.task == "clustering":
        raise InvalidInputError("A clustering model makes no prediction that could be taken apart.", mend="See the report.")
    frame = _conformed(model, X)
    columns = [column.name for column in model.schema.features]
    columns += [c.name for c in model.schema.with_role("time") if c.name in frame.columns]
    place = {name: j for j, name in enumerate(columns)}
    k = len(model.classes_) or 1
    base, values, exact = np.zeros(k), np.zeros((frame.height, len(columns), k)), True
    for member in model.members:
        encoder = model.encoders[member.encoder]
        X_coded = encoder.transform(frame)
        sources, terms = encoder.term_sources()
        parts = contributions(member.learner, X_coded, terms)
        if parts is None:
            exact = False
            rows = frame if background is None else _conformed(model, background)
            member_base, member_values = _sampled(member, encoder, frame, rows, columns, seed)
        else:
            member_base, member_values = parts.base, np.zeros_like(values)
            _add(member_values, parts, encoder, sources, place)
        base = base + member.weight * member_base
        values += member.weight * member_values
    prediction = base + values.sum(axis=1)
    if model.task != "regression":
        base, values, prediction = _calibrated(model, base, values, prediction)
    return Explanation(columns, values, base, prediction, model.classes_.tolist(), exact)


def _conformed(model: Model, X: Any) -> pl.DataFrame:
    frame = model.rows(X)
    return conform(frame, model.schema, columns=model.columns_read(frame))[0]


def _add(out: np.ndarray, parts: Contributions, encoder: Encoder, text_sources: list[str], place: dict[str, int]) -> None:
    """Sum the parts of encoded columns into the columns of the table, in place."""
    names = (*encoder.layout.numeric, *encoder.layout.codes)
    for j, name in enumerate(names):
        # What a generated column adds is shared by the columns that it is made of.
        sources = encoder.origins[name]
        for source in sources:
            out[:, place[source]] += parts.columns[:, j] / len(sources)
    for number, source in enumerate(text_sources if parts.text is not None else ()):
        assert parts.text is not None
        out[:, place[source]] += parts.text[:, number]


def _sampled(
    member: Member, encoder: Encoder, frame: pl.DataFrame, background: pl.DataFrame, columns: list[str], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Base and contributions by switching columns one after another, in random orders and their reverses."""
    if background.height < _FEWEST_BACKGROUND:
        raise InvalidInputError(
            f"{member.learner.algorithm.title} has no exact form, and {background.height} rows cannot stand for others.",
            mend=f"Give at least {_FEWEST_BACKGROUND} rows as background.",
        )
    rng = np.random.default_rng([seed, 59])
    chosen = rng.choice(background.height, min(_ORDERS, _MOST_BACKGROUND, background.height), replace=False)

    def predict(rows: pl.DataFrame) -> np.ndarray:
        found = member.learner.predict(encoder.transform(rows))
        return found[:, None] if found.ndim == 1 else found

    base = predict(background[chosen]).mean(axis=0)
    values = np.zeros((frame.height, len(columns), len(base)))
    for start in chosen:
        drawn = rng.permutation(len(columns))
        for order in (drawn, drawn[::-1]):
            mixed = pl.concat([background[int(start) : int(start) + 1].select(frame.columns)] * frame.height)
            before = predict(mixed)
            for j in order:
                mixed = mixed.with_columns(frame[columns[j]])
                after = predict(mixed)
                values[:, j] += after - before
                before = after
    return base, values / (2 * len(chosen))


def _calibrated(
    model: Model, base: np.ndarray, values: np.ndarray, prediction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same behind the calibration of the model; the parts of a class are stretched alike."""
    wanted, start = calibrate(prediction, model.calibration), calibrate(base[None], model.calibration)[0]
    moved = prediction - base
    factor = np.divide(wanted - start, moved, out=np.ones_like(moved), where=np.abs(moved) > 1e-9)
    stretched = values * factor[:, None, :]
    return start, stretched, start + stretched.sum(axis=1)
