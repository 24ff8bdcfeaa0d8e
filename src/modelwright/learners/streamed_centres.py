"""k-means on rows that come in batches: one pass from the centres of the sample.

Lloyd's algorithm moves every centre to the mean of all rows nearest to it (the sample's centres have converged, so a
pass over all rows is the one step that is missing). The mini-batch form moves the centres after each batch, each by
the share that the batch has of its rows so far (Sculley, WWW 2010).
"""

from __future__ import annotations

import numpy as np

from modelwright.learners.kmeans import CentreModel, MiniBatchKMeans
from modelwright.learners.rowwise import squared_distances
from modelwright.learners.streamed import Batch, Limits, Stream, StreamedFit

#: Rows whose distances to all centres are held at once.
_CHUNK_ROWS = 8192


def fit_centres(learner: CentreModel, stream: Stream, sample: Batch, limits: Limits) -> StreamedFit:
    """Centres over all rows of a stream; see `streamed.fit_streamed`."""
    del sample  # its scaling and centres are in the learner
    centres = learner.centres_.copy()
    moving = isinstance(learner, MiniBatchKMeans)
    sums, sizes = np.zeros_like(centres), np.zeros(len(centres))
    n_rows = 0
    notes: list[str] = []
    if centres.shape[1]:
        for batch in stream:
            scaled = learner.coder_.transform(batch.X)
            weight = np.ones(len(scaled)) if batch.weight is None else batch.weight
            for start in range(0, len(scaled), _CHUNK_ROWS):
                rows, heavy = scaled[start : start + _CHUNK_ROWS], weight[start : start + _CHUNK_ROWS]
                nearest = squared_distances(rows, centres).argmin(axis=1)
                found = np.bincount(nearest, weights=heavy, minlength=len(centres))
                sizes += found
                here = _sums(rows * heavy[:, None], nearest, len(centres))
                if moving:
                    filled = found > 0
                    step = here[filled] / found[filled, None] - centres[filled]
                    centres[filled] += step * (found[filled] / sizes[filled])[:, None]
                else:
                    sums += here
            n_rows += len(scaled)
            if limits.over:
                notes.append(f"The centres are from {n_rows:,} of {stream.n_rows:,} training rows: time was up.")
                break
    if not moving:
        filled = sizes > 0
        centres[filled] = sums[filled] / sizes[filled, None]
    fitted = type(learner)(learner.params, task=learner.task, n_classes=learner.n_classes, seed=learner.seed)
    fitted.coder_ = learner.coder_
    fitted.centres_ = centres[np.lexsort((*centres.T[::-1], -sizes))] if centres.shape[1] else centres
    return StreamedFit(fitted, n_rows or stream.n_rows, 1, None, notes)


def _sums(rows: np.ndarray, nearest: np.ndarray, k: int) -> np.ndarray:
    return np.column_stack([np.bincount(nearest, weights=column, minlength=k) for column in rows.T])
