"""Golden rows: a few training rows that travel with the model, and what it said of them when it was packaged.

Whoever loads a bundle on another machine or with other library versions replays them; one different bit means that the
model would not answer as it did when it was judged. Cells are kept as a client would send them in JSON, and the stored
predictions are those of these very cells.

::

    golden.json     rows (values by column), raw (probabilities, numbers or cluster numbers), labels (of classes)
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from modelwright.artifacts.manifest import UNREADABLE
from modelwright.errors import BundleError, ModelwrightError

if TYPE_CHECKING:
    from modelwright.artifacts.model import Model

GOLDEN_FILE = "golden.json"
#: Rows that a bundle holds, where the table has as many.
N_ROWS = 20
#: Share of them that lies evenly in the table; the others are taken for their missing cells.
_EVEN_SHARE = 0.6
#: What JSON and polars both keep as a whole number.
_LARGEST_INTEGER = 2**63


class Golden(msgspec.Struct, frozen=True):
    """Rows with their predictions.

    ``raw`` has for each row its class probabilities, or one number or cluster number; ``labels`` the predicted classes, and
    is empty for numbers and clusters.
    """

    rows: list[dict[str, Any]]
    raw: list[list[float]]
    labels: list[Any] = []


def golden_of(model: Model, frame: pl.DataFrame, *, n_rows: int = N_ROWS) -> Golden:
    """Choose rows and let the model predict them.

    Parameters
    ----------
    model : Model
    frame : DataFrame
        Training rows as read; the same rows give the same choice.
    n_rows : int, default=20

    Returns
    -------
    Golden
        Without rows that cannot be asked for alone.
    """
    wanted = {*model.feature_names_in_.tolist(), *(column.name for column in model.schema.with_role("time"))}
    known = frame.select([name for name in frame.columns if name in wanted])
    rows, raw = [], []
    score = model.compile()
    for row in known[chosen(known, n_rows)].to_dicts():
        sent = {name: json_cell(value) for name, value in row.items()}
        try:
            raw.append(_values(score.raw(sent)))
        except ModelwrightError:  # a cell that is forgiven among thousands of rows but not alone
            continue
        rows.append(sent)
    return Golden(rows, raw, _labels(model, raw))


def chosen(frame: pl.DataFrame, n_rows: int) -> list[int]:
    """Positions of the golden rows: some spread evenly, some with missing cells, in the order of the table.

    Parameters
    ----------
    frame : DataFrame
    n_rows : int
    """
    if frame.height <= n_rows:
        return list(range(frame.height))
    found = dict.fromkeys(_even(frame.height, max(1, int(n_rows * _EVEN_SHARE))))
    for name in frame.columns:
        if len(found) >= n_rows:
            break
        missing = frame[name].is_null()
        if missing.any() and not missing[list(found)].any():
            found[int(missing.arg_max() or 0)] = None
    for position in _even(frame.height, 2 * n_rows):
        if len(found) >= n_rows:
            break
        found[position] = None
    return sorted(found)


def write_golden(golden: Golden, folder: Path) -> None:
    """Write ``golden.json``."""
    (folder / GOLDEN_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(golden)))


def read_golden(folder: Path) -> Golden | None:
    """The golden rows of a bundle; None if it has none.

    Parameters
    ----------
    folder : Path
        A bundle whose digests were verified.

    Raises
    ------
    BundleError
        If they cannot be read.
    """
    path = folder / GOLDEN_FILE
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Golden)
    except UNREADABLE as error:
        raise BundleError(
            f"The golden rows cannot be read: {error}.", where=str(path), mend="Copy the model folder again."
        ) from error


def check_golden(model: Model, folder: Path) -> None:
    """Replay the golden rows of a bundle, each alone and all together, and compare every bit.

    Parameters
    ----------
    model : Model
        As loaded from the folder.
    folder : Path
        A bundle; one without golden rows (of before they existed) has nothing to compare.

    Raises
    ------
    BundleError
        If a prediction differs from the stored one, or a row cannot be predicted.
    """
    golden = read_golden(folder)
    if golden is None or not golden.rows:
        return
    try:
        score = model.compile()
        alone = [_values(score.raw(row)) for row in golden.rows]
        together = [_values(each) for each in model.raw(golden.rows)]
    except ModelwrightError as error:
        raise _refusal(f"A golden row cannot be predicted: {error.what}", folder) from error
    for found in (alone, together):
        for number, (now, then) in enumerate(zip(found, golden.raw, strict=True)):
            if np.array(now, dtype=np.float64).tobytes() != np.array(then, dtype=np.float64).tobytes():
                gap = max((abs(a - b) for a, b in zip(now, then, strict=False)), default=math.nan)
                raise _refusal(
                    f"Golden row {number} of {len(golden.rows)} gets another prediction than at packaging (off by {gap:.3g}).",
                    folder,
                )
    if _labels(model, golden.raw) != golden.labels:
        raise _refusal("The golden rows get other classes than at packaging.", folder)


def json_cell(value: Any) -> Any:
    """A cell as JSON has it: dates as ISO 8601, what is not finite as missing.

    Examples
    --------
    >>> json_cell(dt.datetime(2024, 2, 29, 8, 30)), json_cell(float("nan")), json_cell("late")
    ('2024-02-29T08:30:00', None, 'late')
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER else float(value)
    if isinstance(value, float | decimal.Decimal):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    return str(value) if isinstance(value, dt.timedelta) else None


def _even(height: int, n: int) -> list[int]:
    return np.unique(np.linspace(0, height - 1, n).astype(np.int64)).tolist()


def _values(raw: Any) -> list[float]:
    return [float(value) for value in np.atleast_1d(raw)]


def _labels(model: Model, raw: list[list[float]]) -> list[Any]:
    if model.task not in ("binary", "multiclass") or not raw:
        return []
    return model.label(np.array(raw)).tolist()


def _refusal(what: str, folder: Path) -> BundleError:
    return BundleError(
        what,
        where=str(folder),
        mend="Install the library versions that the bundle was made with (modelwright inspect tells them), or train again.",
    )
