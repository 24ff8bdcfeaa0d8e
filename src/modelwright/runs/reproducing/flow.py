"""A run again, from the data to the score, readable from top to bottom.

::

    data         the table is read     -> fingerprint; what changed, down to the cell
    partition    the run's own rules   -> sides and folds, row by row
    columns      training rows         -> types and roles
    encoders     training rows         -> every byte
    members      rows, counts, seeds   -> every byte
    blending     not compared: validation predictions are not kept
    predictions  features alone        -> every value
    metrics      sealed rows           -> the score that the ledger holds, only where the predictions are the same

A clock decided in the first run how far training goes; the plan holds what it decided. On the same machine type with the
same versions the same counts give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelwright.artifacts.bundle import load_bundle
from modelwright.artifacts.model import Model
from modelwright.runs.reproducing import again
from modelwright.runs.reproducing.refit import refit
from modelwright.runs.reproducing.sealed import PREDICTIONS, SCORES, compare_sealed
from modelwright.runs.reproducing.suspects import UNKNOWN, other_packages, suspects
from modelwright.runs.reproducing.values import Reproduction, Step
from modelwright.tables.differences import Difference
from modelwright.training.record import RunRecord

BLENDING = "weights, calibration, threshold"
_NOT_KEPT = "they were chosen on predictions of validation rows, which a run does not keep; those of the run are used"


def reproduce(folder: Path, data: Any = None) -> Reproduction:
    """Do a run again by its plan, and say of each step whether it comes out equal.

    Parameters
    ----------
    folder : Path
        A run folder.
    data : str, Path or table, optional
        The rows; by default they are read from where the run read them.

    Returns
    -------
    Reproduction

    Raises
    ------
    DataError
        If the rows cannot be read, or the run is of a kind that cannot be repeated.
    BundleError
        If the run folder is incomplete or damaged.
    """
    record, spec, parts = again.read_run(folder)
    stored = load_bundle(folder / "model")
    table = again.read_table(record, spec, data)
    step, difference = again.compare_data(record, folder, table)
    steps = [step]
    if step.state == "different":
        return _answer(record, folder, [*steps, *_not_reached(record, steps, "the data differ")], difference)
    prepared, rows = again.prepare_again(record, spec, parts, table)
    steps += prepared
    if rows is None:
        return _answer(record, folder, [*steps, *_not_reached(record, steps, "the columns differ")])
    fitted = refit(record, rows, stored, folder / "model")
    steps += [*fitted.steps, _blending(record, stored)]
    steps += compare_sealed(record, spec, rows, fitted.model(stored), stored, folder)
    return _answer(record, folder, steps)


def _blending(record: RunRecord, stored: Model) -> Step:
    """Whether plan and model agree on what cannot be found again."""
    plan = ([member.weight for member in record.plan.members], record.plan.threshold)
    if plan != ([member.weight for member in stored.members], stored.threshold):
        return Step(BLENDING, "different", "those of the model are not those of the plan")
    return Step(BLENDING, "not compared", _NOT_KEPT)


def _not_reached(record: RunRecord, steps: list[Step], why: str) -> list[Step]:
    """The steps that were not done, because one before them makes them differ."""
    members = [f"member {k} {member.algorithm}" for k, member in enumerate(record.plan.members)]
    done = {step.name for step in steps}
    names = ["data", "partition", "columns", "encoders", *members, BLENDING, PREDICTIONS, SCORES]
    return [Step(name, "not compared", why) for name in names if name not in done]


def _answer(record: RunRecord, folder: Path, steps: list[Step], difference: Difference | None = None) -> Reproduction:
    packages = other_packages(record)
    found: list[str] = []
    unequal = [step for step in steps if step.state == "different"]
    if unequal:
        found = [f"data: {unequal[0].detail}"] if unequal[0].name == "data" else []
        found += suspects(record, folder, packages)
    return Reproduction(record.id, steps, found or ([UNKNOWN] if unequal else []), packages, difference)
