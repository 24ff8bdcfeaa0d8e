"""The training rows of a large table, encoded batch by batch; sealed rows never leave this module."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from modelwright.errors import DataError
from modelwright.features.encoder import Encoder
from modelwright.learners.streamed import Batch
from modelwright.spec import Spec
from modelwright.splits.hashed import by_row_number, positions
from modelwright.splits.hashed_sides import SAMPLED, TRAINING
from modelwright.tables.conform import check_finite, conform
from modelwright.tables.roles import encode_target
from modelwright.training.large.source import Large
from modelwright.training.prepare import declared_missing


class TrainingRows:
    """A `learners.streamed.Stream` of the rows that train.

    Parameters
    ----------
    large : Large
    encoder : Encoder
        As fitted on the sample.
    spec : Spec
    share : float, default=1.0
        Part of the rows, taken in whole batches that are drawn by hash, so that none of the others is encoded.
    """

    def __init__(self, large: Large, encoder: Encoder, spec: Spec, share: float = 1.0) -> None:
        self._large, self._encoder, self._spec = large, encoder, spec
        size = large.rows.scan.batch_rows
        n_batches = -(-large.rows.n_rows // size)
        order = np.argsort(positions(by_row_number(0, n_batches, salt=f"batches {spec.seed}")), kind="stable")
        trains = np.isin(large.side, (TRAINING, SAMPLED))
        counts = np.array([int(np.count_nonzero(trains[k * size : (k + 1) * size])) for k in range(n_batches)])
        reached = np.cumsum(counts[order])
        n_taken = n_batches if share >= 1.0 else int(np.searchsorted(reached, share * reached[-1])) + 1
        self._taken = np.zeros(n_batches, dtype=bool)
        self._taken[order[:n_taken]] = True
        self.n_rows = int(counts[self._taken].sum())

    def __iter__(self) -> Iterator[Batch]:
        large, spec = self._large, self._spec
        read = large.schema.features + large.schema.with_role("time")
        wanted = {column.name for column in read} | {name for name in (spec.target, spec.weight) if name is not None}
        names = [name for name in large.rows.scan.names if name in wanted]
        size = large.rows.scan.batch_rows
        for number, stored in large.rows.scan.some(names, self._taken.tolist()):
            side = large.side[number * size : number * size + stored.height]
            rows = np.flatnonzero((side == TRAINING) | (side == SAMPLED))
            if not len(rows):
                continue
            frame = large.rows.typed(stored)[rows]
            conformed, _ = conform(frame, large.schema, columns=read)
            check_finite(conformed, large.schema)
            y = None
            if spec.target is not None:
                missing = declared_missing(spec, spec.target)
                classes = large.facts.classes or None
                y, _ = encode_target(frame[spec.target], large.facts.task, classes=classes, missing_values=missing)
            weight = None
            if spec.weight is not None:
                weight = frame[spec.weight].cast(float, strict=False).to_numpy()
                if not np.all(np.isfinite(weight) & (weight >= 0)):
                    raise DataError(
                        "A weight is missing, negative or not a number.",
                        where=f"column {spec.weight!r}",
                        mend="Give every row a weight of 0 or more.",
                    )
            yield Batch(self._encoder.transform(conformed), y, weight, side[rows] == SAMPLED)
