"""The packaged model as a table of coefficients or as rules, where it is one that a person can read."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modelwright.artifacts.model import Model
from modelwright.errors import BundleError
from modelwright.features.columns import CategoryColumn, NumberColumn, TextColumn
from modelwright.features.encoder import EncoderState
from modelwright.learners.readable import Readable, readable


def read_out(model: Model, folder: Path) -> Readable | None:
    """What a person can read of a model with one member; None for all others.

    Parameters
    ----------
    model : Model
    folder : Path
        Where it is packaged; the levels and words of its columns are read from there.

    Raises
    ------
    BundleError
        If the encoder's description cannot be read.
    """
    if len(model.members) != 1 or not model.members[0].learner.algorithm.interpretable:
        return None
    member = model.members[0]
    path = folder / "encoders" / str(member.encoder) / "encoder.json"
    try:
        columns = msgspec.json.decode(path.read_bytes(), type=EncoderState).columns
    except (OSError, msgspec.DecodeError) as error:
        raise BundleError(f"The encoder cannot be read: {error}.", where=str(path), mend="Train again.") from error
    return readable(
        member.learner,
        model.encoders[member.encoder].layout,
        model.classes_.tolist(),
        levels={column.name: column.levels for column in columns if isinstance(column, CategoryColumn)},
        offsets={column.name: column.offset for column in columns if isinstance(column, NumberColumn)},
        terms=[term for column in columns if isinstance(column, TextColumn) for term in column.terms],
    )
