"""A fitted model in a form that a person can read: a table of coefficients, or the rules of a tree.

Notation: a linear model is ``intercept + sum of coefficient * input``; the inputs are told by `Term.meaning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from modelwright.features.dense import DenseCoder
from modelwright.features.matrix import MISSING, OTHER, Layout
from modelwright.learners.base import Learner
from modelwright.learners.baseline import ShallowTree
from modelwright.learners.linear import LinearModel

#: Terms kept at most; a table of thousands is no longer read.
MOST_TERMS = 300
#: Levels that a rule names.
_MOST_LEVELS = 5


class Term(msgspec.Struct, frozen=True):
    """One input of a linear model.

    ``meaning`` says what the coefficient is multiplied with: "per 1" is the number itself, "if 'a'" is 1 in rows of this
    level and else 0, "normal score" is the number bent and standardised, a logarithm is written out. ``coefficients`` has one
    number an output; ``strength`` is the largest of them for the standardised input, by which terms are ordered.
    """

    column: str
    meaning: str
    coefficients: list[float]
    strength: float


class Readable(msgspec.Struct, frozen=True):
    """The model in words and numbers.

    ``outputs`` names the columns of the coefficients; ``rules`` are the lines of a tree; ``n_left_out`` counts
    coefficients that are zero, or that are too many to be listed. With ``log_factor`` above 0 the sum is a logarithm, and
    this is what stands before its exponential.
    """

    kind: Literal["linear", "tree"]
    sentence: str
    outputs: list[str]
    intercept: list[float] = []
    terms: list[Term] = []
    rules: list[str] = []
    n_left_out: int = 0
    log_factor: float = 0.0


def readable(
    learner: Learner,
    layout: Layout,
    classes: Sequence[object],
    *,
    levels: Mapping[str, Sequence[str]] | None = None,
    offsets: Mapping[str, float] | None = None,
    terms: Sequence[str] = (),
) -> Readable | None:
    """What a person can read of a learner; None for learners that nobody can.

    Parameters
    ----------
    learner : Learner
        Fitted.
    layout : Layout
        Of the matrices that it was fitted on.
    classes : sequence
        Labels; empty for regression.
    levels : mapping of str to sequence of str, optional
        Known levels of each coded column, in the order of their codes from 1.
    offsets : mapping of str to float, optional
        What was subtracted from a numeric column before it was stored.
    terms : sequence of str, optional
        Words of the text columns, in the order of ``Matrix.text``.
    """
    levels, offsets = levels or {}, offsets or {}
    if isinstance(learner, LinearModel):
        return _linear(learner, layout, [str(label) for label in classes], levels, offsets, terms)
    if isinstance(learner, ShallowTree):
        return _tree(learner, layout, [str(label) for label in classes], levels)
    return None


def _linear(
    learner: LinearModel,
    layout: Layout,
    classes: list[str],
    levels: Mapping[str, Sequence[str]],
    offsets: Mapping[str, float],
    words: Sequence[str],
) -> Readable:
    coder, weights = learner.coder_, np.asarray(learner.coefficients_, dtype=np.float64)
    intercept = np.array(learner.intercept_, dtype=np.float64).reshape(-1)
    present = [classes[int(k)] for k in learner.classes_] if classes else []
    outputs = present[-1:] if len(present) == 2 else present or ["prediction"]
    found: list[Term] = []
    for place, (column, meaning, factor, shift) in enumerate(_inputs(coder, layout, levels, offsets)):
        shown = weights[place] * factor
        intercept = intercept - shown * shift
        found.append(Term(column, meaning, shown.tolist(), float(np.abs(weights[place]).max())))
    for word, own in zip(words, weights[coder.n_columns :], strict=False):
        found.append(Term(word, "weight in the text", own.tolist(), float(np.abs(own).max())))
    used = sorted((term for term in found if term.strength > 0), key=lambda term: -term.strength)
    sums = {
        0: "The prediction is the sum of the intercept and of each coefficient times its input.",
        1: f"The sum of the intercept and of each coefficient times its input is the log odds of {outputs[0]!r}: one more "
        "unit multiplies the odds by the exponential of the coefficient.",
    }
    what = sums.get(
        len(outputs) if classes else 0, "The sums of a class, exponentiated and divided by their total, are its probability."
    )
    if learner.log_factor_:
        what = (
            f"The prediction is {learner.log_factor_:.6g} * (exp(s) - 1), where s is the sum of the intercept and of each "
            "coefficient times its input: one more unit multiplies a large prediction by the exponential of the coefficient."
        )
    return Readable(
        "linear",
        f"{what} Missing numbers count as the median of their column.",
        outputs,
        intercept.tolist(),
        used[:MOST_TERMS],
        n_left_out=len(found) - len(used[:MOST_TERMS]),
        log_factor=learner.log_factor_,
    )


def _inputs(
    coder: DenseCoder, layout: Layout, levels: Mapping[str, Sequence[str]], offsets: Mapping[str, float]
) -> list[tuple[str, str, float, float]]:
    """(column, meaning, factor, shift) of each dense column: the input shown is (dense / factor) + shift."""
    found: list[tuple[str, str, float, float]] = []
    kinds = ("quantile", "log", "none")
    for place, j in enumerate(coder.numeric_):
        name, kind = layout.numeric[int(j)], kinds[int(coder.kind_[place])]
        factor, centre, offset = 1.0 / float(coder.scale_[place]), float(coder.centre_[place]), offsets.get(name, 0.0)
        if kind == "none":
            found.append((name, "per 1", factor, centre + offset))
        elif kind == "quantile":
            found.append((name, "normal score", 1.0, 0.0))
        else:
            middle, spread = (f"{value:.6g}" for value in (coder.bend_[place][0] + offset, coder.bend_[place][1]))
            found.append((name, f"per 1 of log(1 + |x - {middle}| / {spread}), negative below {middle}", factor, centre))
    found += [(layout.numeric[int(j)], "if missing", 1.0, 0.0) for j in coder.indicators_]
    for j, code in zip(coder.level_column_, coder.level_code_, strict=True):
        name = layout.codes[int(j)]
        found.append((name, f"if {_level(name, int(code), levels)}", 1.0, 0.0))
    per_column = len(coder.encoded_centre_) // max(len(coder.encoded_), 1)
    for j in np.repeat(coder.encoded_, per_column):
        found.append((layout.codes[int(j)], "mean target of its level, standardised", 1.0, 0.0))
    return found


def _level(column: str, code: int, levels: Mapping[str, Sequence[str]]) -> str:
    if code == MISSING:
        return "missing"
    known = levels.get(column, ())
    if code == OTHER:
        return "rare or new"
    return f"{known[code - 1]!r}" if code <= len(known) else f"level {code}"


def _tree(learner: ShallowTree, layout: Layout, classes: list[str], levels: Mapping[str, Sequence[str]]) -> Readable:
    trees = learner.trees_
    names = (*layout.numeric, *layout.codes)
    rules: list[str] = []

    def value(node: int) -> str:
        own = np.asarray(trees.values[int(trees.leaf[node])], dtype=np.float64)
        if not classes:
            return f"{own[0]:.4g}"
        shares = own / own.sum()
        present = [classes[int(k)] for k in learner.classes_]
        shown = [len(present) - 1] if len(present) == 2 else np.argsort(-shares, kind="stable")[:3]
        return ", ".join(f"{present[int(k)]} {100 * shares[int(k)]:.1f} %" for k in shown)

    def walk(node: int, depth: int) -> None:
        if trees.leaf[node] >= 0:
            rules.append(f"{'    ' * depth}{value(node)}")
            return
        j, missing_left = int(trees.feature[node]), bool(trees.missing_left[node])
        below, above = _sides(names[j], float(trees.threshold[node]), j >= len(layout.numeric), missing_left, levels)
        for side, text in enumerate((below, above)):
            rules.append(f"{'    ' * depth}if {names[j]} {text}:")
            walk(int(trees.children[2 * node + side]), depth + 1)

    walk(int(trees.roots[0]), 0)
    what = "mean of the target" if not classes else "shares of the classes"
    return Readable(
        "tree",
        f"From the top: follow the rule that holds; the last line gives the {what}.",
        classes or ["prediction"],
        rules=rules,
    )


def _sides(
    column: str, threshold: float, coded: bool, missing_left: bool, levels: Mapping[str, Sequence[str]]
) -> tuple[str, str]:
    """What holds on the two sides of a split, in words."""
    if not coded:
        texts = [f"≤ {threshold:.6g}", f"> {threshold:.6g}"]
    else:
        known = [f"{level!r}" for level in levels.get(column, ())]
        cut = max(0, int(np.floor(threshold)))
        texts = [_listed(["rare or new", *known[:cut]] if threshold >= 0 else []), _listed(known[cut:])]
    texts[0 if missing_left else 1] += " or is missing"
    return texts[0], texts[1]


def _listed(names: Sequence[str]) -> str:
    more = f" or {len(names) - _MOST_LEVELS} others" if len(names) > _MOST_LEVELS else ""
    return f"is {', '.join(names[:_MOST_LEVELS])}{more}"
