"""How much each sealed row moved the score of a model, kept so that two runs can be compared without opening the rows again.

Written beside the sealed rows, and only where the look showed the model's own score (decision 0012). Nothing of it is ever
shown row by row: it is read for one paired test, whose difference is that of two scores that were shown already.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.errors import DataError
from modelwright.metrics.dependence import Design, design
from modelwright.metrics.influence import Influence, influence, kinds_of
from modelwright.metrics.metric import Metric
from modelwright.metrics.paired import PairedResult, compare_influences
from modelwright.metrics.registry import METRICS, as_read

#: Beside ``evaluation.arrow``.
FILE = "{part}.influences.npz"


@dataclass(frozen=True)
class Kept:
    """Influences of sealed rows, with what says which rows belong together.

    ``vault`` is the identity of the rows, ``kinds`` as in `metrics.influence.kinds_of`, ``look`` the number of the look.
    """

    vault: str
    metric: str
    look: int
    influence: Influence
    design: Design
    kinds: np.ndarray | None


def influences_of(
    vault: str,
    look: int,
    metric: Metric,
    y: np.ndarray,
    prediction: np.ndarray,
    *,
    threshold: float | None = None,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
) -> Kept | None:
    """Influences of the rows on a score; None where the metric has no such form.

    Parameters
    ----------
    vault : str
    look : int
    metric : Metric
    y, prediction, threshold, weight, groups, blocks
        As in `metrics.paired.compare`.
    """
    if metric.name == "silhouette":
        return None
    read = as_read(metric, prediction, threshold)
    found = influence(metric, y, read, weight)
    if found is None or not np.isfinite(found.value) or not np.isfinite(found.psi).all():
        return None
    plan = design(len(y), weight, groups, blocks)
    return Kept(vault, metric.name, look, found, plan, kinds_of(metric, y, read))


def save_influences(kept: Kept, folder: Path, part: str) -> None:
    """Write them into the folder of the sealed rows.

    Parameters
    ----------
    kept : Kept
    folder : Path
    part : str
        "evaluation" or "reserve".
    """
    arrays = {
        "vault": np.array(kept.vault), "metric": np.array(kept.metric), "look": np.array(kept.look),
        "value": np.array(kept.influence.value), "psi": kept.influence.psi, "strata": kept.influence.strata,
        "kinds": kept.kinds, "weight": kept.design.weight, "group": kept.design.group, "moment": kept.design.moment,
    }  # fmt: skip
    there: dict[str, Any] = {name: array for name, array in arrays.items() if array is not None}
    with (folder / FILE.format(part=part)).open("wb") as file:
        np.savez_compressed(file, **there)


def load_influences(folder: Path, part: str = "evaluation") -> Kept | None:
    """Read them; None where none were kept.

    Parameters
    ----------
    folder : Path
        The ``vault`` folder of a run.
    part : str, default="evaluation"

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = folder / FILE.format(part=part)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            optional = {name: arrays.get(name, None) for name in ("strata", "kinds", "weight", "group", "moment")}
            psi = arrays["psi"]
            return Kept(
                str(arrays["vault"]),
                str(arrays["metric"]),
                int(arrays["look"]),
                Influence(float(arrays["value"]), psi, optional["strata"]),
                Design(len(psi), optional["weight"], optional["group"], optional["moment"]),
                optional["kinds"],
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"The influences cannot be read: {error}.", where=str(path), mend="Copy the run folder again."
        ) from error


def compare_kept(ours: Kept, theirs: Kept, level: float = 0.95) -> PairedResult | None:
    """Paired test of two runs on the same sealed rows; positive means ours is better.

    Parameters
    ----------
    ours, theirs : Kept
    level : float, default=0.95

    Returns
    -------
    PairedResult or None
        None if rows or metrics differ.
    """
    if (ours.vault, ours.metric, len(ours.influence.psi)) != (theirs.vault, theirs.metric, len(theirs.influence.psi)):
        return None
    metric = METRICS[ours.metric]
    kinds = _joined([k for k in (ours.kinds, theirs.kinds) if k is not None])
    return compare_influences(metric, ours.influence, theirs.influence, ours.design, kinds, level)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray | None:
    """Kinds of rows that are alike in both."""
    if not parts:
        return None
    kinds = parts[0]
    for part in parts[1:]:
        kinds = np.unique(kinds * (int(part.max()) + 1) + part, return_inverse=True)[1]
    return kinds
