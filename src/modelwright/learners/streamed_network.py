"""The network on rows that come in batches: trained anew, in passes over all rows, with the scaling of the sample.

Notation: n rows of a pass, m rows of the sample, E epochs that the sample's network took.

More rows need fewer passes: the sample's network has seen E m rows; here at least as many are seen, and a few passes are
made where rows are few enough for that. The schedule of the learning rate is laid over the rows to be seen, so a time
that is too short is planned for, from the measured cost of a step, and not found out at the end.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from modelwright.learners import network_training as training
from modelwright.learners.base import Validation
from modelwright.learners.network import Network
from modelwright.learners.network_body import learn_scaling, read_rows
from modelwright.learners.network_torch import one_deterministic_thread, torch_library
from modelwright.learners.streamed import Batch, Limits, Stream, StreamedFit
from modelwright.learners.target import Rows, code_validation

#: Passes at least, by rows.
_PASSES = ((1_000_000, 3), (10_000_000, 2), (math.inf, 1))
#: Share of the time left that is planned for.
_TIME_SHARE = 0.85
#: A network that has seen fewer rows than this share of what its sample's network saw is the worse one.
_LEAST_SEEN = 0.5


def fit_network(learner: Network, stream: Stream, sample: Batch, limits: Limits) -> StreamedFit:
    """A network over all rows of a stream; see `streamed.fit_streamed`."""
    if learner._coding.constant is not None:
        return StreamedFit(None, 0, notes=["The network found nothing to learn in the sample and stays a constant."])
    known = _coded(learner, sample)
    if known is None:
        return StreamedFit(None, 0, notes=["The network stays as fitted on the sample: no row of it has a known class."])
    seen_before = int(learner.params["n_epochs"]) * sample.X.n_rows
    passes = passes_over(stream.n_rows, seen_before)
    with one_deterministic_thread():
        return _train(learner, stream, known, limits, passes, seen_before)


def passes_over(n_rows: int, seen_before: int) -> int:
    """Passes over so many rows, given the rows that the sample's network saw in all its epochs."""
    return max(next(k for rows, k in _PASSES if n_rows <= rows), math.ceil(seen_before / n_rows))


def _train(learner: Network, stream: Stream, known: Rows, limits: Limits, passes: int, seen_before: int) -> StreamedFit:
    torch = torch_library()
    scaling = learn_scaling(known.X)
    classification = learner.task != "regression"
    cardinalities = learner._wiring.cardinalities
    inputs = read_rows(known.X, scaling, cardinalities)

    def trainer() -> training.Trainer:
        generator = torch.Generator().manual_seed(learner.seed)
        recipe = learner._recipe(1)
        network = training.Network(inputs, scaling["input.edges"], learner._wiring, recipe, generator)
        return training.Trainer(network, recipe, generator)

    planned, notes = passes * stream.n_rows, []
    if limits.deadline is not None:
        part = training.Part.of(inputs, known.target, known.weight, classification=classification)
        row_s = training.seconds_per_epoch(trainer(), part, 0) / part.n_rows
        planned = min(planned, int(_TIME_SHARE * limits.left_s() / row_s))
        if planned < _LEAST_SEEN * min(seen_before, stream.n_rows):
            return StreamedFit(None, 0, notes=["The network stays as fitted on the sample: there is no time for all rows."])
        if planned < passes * stream.n_rows:
            notes.append(f"The network saw {planned / stream.n_rows:.2g} passes over all rows instead of {passes}.")
    run = trainer()
    run.cycles = training.n_cycles(max(1, round(planned / known.X.n_rows)))
    coding, seen = learner._coding, 0
    while seen < planned and not limits.over:
        for batch in stream:
            rows = _coded(learner, batch)
            if rows is None:
                continue
            if not classification:
                assert batch.y is not None
                low, high = float(batch.y.min()), float(batch.y.max())
                coding = msgspec.structs.replace(coding, low=min(coding.low, low), high=max(coding.high, high))
            part = training.Part.of(
                read_rows(rows.X, scaling, cardinalities), rows.target, rows.weight, classification=classification
            )
            if not _steps(run, part, seen, planned, limits):
                return StreamedFit(None, 0, notes=["The network stays as fitted on the sample: its loss overflowed."])
            seen += batch.X.n_rows
            if seen >= planned or limits.over:
                break
    n_rows = min(seen, stream.n_rows)
    # Few passes over many rows are not as sure of themselves as many over the sample's.
    params = learner.params | {"n_epochs": max(1, round(seen / max(1, n_rows))), "temperature": 1.0}
    fitted = Network(params, task=learner.task, n_classes=learner.n_classes, seed=learner.seed)
    fitted._coding, fitted._wiring = msgspec.structs.replace(coding, n_rows=n_rows), learner._wiring
    fitted._weights = scaling | run.network.weights(inputs)
    return StreamedFit(fitted, n_rows, params["n_epochs"], params, notes)


def _steps(run: training.Trainer, part: training.Part, seen: int, planned: int, limits: Limits) -> bool:
    """Steps over the rows of a batch in random order; False where the loss overflowed."""
    torch = torch_library()
    order = torch.randperm(part.n_rows, generator=run.generator)
    loss, done = 0.0, 0
    for rows in torch.split(order, training.batch_size(run.recipe.batch_size, planned)):
        loss = run.step(part.rows(rows), min(1.0, (seen + done + len(rows) / 2) / planned))
        done += len(rows)
        if limits.over or not math.isfinite(loss):
            break
    return math.isfinite(loss)


def _coded(learner: Network, batch: Batch) -> Rows | None:
    """Rows with the target as the network learns it, those of known classes and positive weight."""
    assert batch.y is not None
    rows = code_validation(learner._coding, Validation(batch.X, np.asarray(batch.y), batch.weight))
    if rows is None or rows.weight is None:
        return rows
    return Rows(rows.X, rows.target, (rows.weight / rows.weight.mean()).astype(np.float32))
