"""The sealed rows again: predicted without their targets, and scored again only where nothing new can be learned from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from modelwright.artifacts.model import Model
from modelwright.errors import ModelwrightError
from modelwright.metrics import registry as metrics
from modelwright.metrics.estimate import Interval
from modelwright.runs.reproducing.again import Again
from modelwright.runs.reproducing.values import Step
from modelwright.spec import Spec
from modelwright.splits.vault import Vault
from modelwright.store.database import FILE_NAME, Database
from modelwright.store.ledger import Ledger
from modelwright.store.lines import number
from modelwright.tables.conform import conform
from modelwright.training.judge import judge, judge_clusters, typed
from modelwright.training.opening import predictions_digest
from modelwright.training.record import Evaluation, RunRecord

PREDICTIONS, SCORES = "predictions of the sealed rows", "metrics"
OTHER = "scoring other predictions of the sealed rows would be a further look at them"


@dataclass(frozen=True)
class _Predicted:
    step: Step
    #: The predictions, where they are those of the run.
    values: np.ndarray | None = None


def compare_sealed(record: RunRecord, spec: Spec, again: Again, model: Model | None, stored: Model, folder: Path) -> list[Step]:
    """Predict the sealed rows with the members fitted again, and score them where the predictions are those of the run.

    Parameters
    ----------
    record : RunRecord
    spec : Spec
    again : Again
    model : Model or None
        With the members fitted again; None if not all of them could be.
    stored : Model
        The model of the run.
    folder : Path
        The run folder.
    """
    if record.evaluation is None:
        why = "no rows were sealed"
        return [Step(PREDICTIONS, "not compared", why), Step(SCORES, "not compared", why)]
    if model is None:
        why = "not all members were fitted again"
        return [Step(PREDICTIONS, "not compared", why), Step(SCORES, "not compared", why)]
    look = record.evaluation.look
    try:
        vault = Vault.of(folder / "vault", "evaluation" if look is None else look.part)
        found = _predictions(record.evaluation, vault, model, stored)
    except ModelwrightError as error:
        return [Step(PREDICTIONS, "not compared", str(error)), Step(SCORES, "not compared", str(error))]
    if found.values is None:
        return [found.step, Step(SCORES, "not compared", OTHER)]
    return [found.step, _metrics(record, spec, again, found.values, model, vault, folder)]


def _predictions(evaluation: Evaluation, vault: Vault, model: Model, stored: Model) -> _Predicted:
    rows = vault.features()
    values = _predict(model, rows)
    recorded, said = evaluation.predictions, f"{rows.height:,} rows, from their features alone"
    if recorded and predictions_digest(values) == recorded:
        return _Predicted(Step(PREDICTIONS, "equal", said), values)
    before = _predict(stored, rows)
    if not recorded:  # a record of before their digest was kept
        if np.array_equal(values, before, equal_nan=True):
            return _Predicted(Step(PREDICTIONS, "equal", f"{said}; those of the stored model, for the run kept none"), values)
        return _Predicted(Step(PREDICTIONS, "different", _apart(values, before)))
    if predictions_digest(before) == recorded:
        return _Predicted(Step(PREDICTIONS, "different", _apart(values, before)))
    detail = "the stored model itself does not predict here what it predicted when it was evaluated"
    return _Predicted(Step(PREDICTIONS, "different", detail))


def _predict(model: Model, rows: pl.DataFrame) -> np.ndarray:
    frame = model.rows(rows)
    return model.raw_conformed(conform(frame, model.schema, columns=model.columns_read(frame))[0])


def _apart(now: np.ndarray, before: np.ndarray) -> str:
    rows = (now != before).reshape(len(now), -1).any(axis=1)
    return f"{int(rows.sum()):,} of {len(now):,} rows differ, by {float(np.abs(now - before).max()):.3g} at most"


def _metrics(
    record: RunRecord, spec: Spec, again: Again, prediction: np.ndarray, model: Model, vault: Vault, folder: Path
) -> Step:
    """The score of the same predictions once more, against the ledger's own line.

    The targets are read for this, which is no further look and is not counted: the predictions are those of a look that is in
    the ledger, so the number is known already. Whoever has other predictions does not get here.
    """
    evaluation = record.evaluation
    assert evaluation is not None
    try:
        ledger = _ledger(spec, folder)
        if ledger is None:
            return Step(SCORES, "not compared", "the ledger that holds the look is not there; it stays in the home of the run")
        with ledger.again(vault.about, record.id) as (permit, line):
            found = _judged(record, spec, again, prediction, model, vault.rows(permit))
    except ModelwrightError as error:
        return Step(SCORES, "not compared", str(error))
    wrong = []
    if line.metric == found.metric:
        for name, then in (("value", line.score), ("low", line.low), ("high", line.high)):
            now = number(getattr(found.score, name))
            if now != then:
                wrong.append(f"{record.metric} {name} {now} now, {then} in the ledger")
    revealed = evaluation.look is None or evaluation.look.reveals
    others: dict[str, Interval] = evaluation.others if revealed else {}
    wrong += [
        f"{name} {found.others[name].value} now, {then.value} in the run"
        for name, then in others.items()
        if name in found.others and found.others[name] != then
    ]
    if wrong:
        return Step(SCORES, "different", "; ".join(wrong))
    names = [record.metric, *(name for name in others if name in found.others)]
    return Step(SCORES, "equal", f"{', '.join(names)}, with intervals; no look was counted, for the numbers were known")


def _judged(record: RunRecord, spec: Spec, again: Again, prediction: np.ndarray, model: Model, raw: pl.DataFrame) -> Evaluation:
    metric = metrics.get(record.metric, record.task)
    sealed = typed(raw, again.training, again.source.facts(), spec, model)
    if model.task == "clustering" or sealed.y is None:
        return judge_clusters(sealed, model, metric, prediction, None)[0]
    return judge(sealed, model, prediction, metric, [], seed=spec.seed)


def _ledger(spec: Spec, folder: Path) -> Ledger | None:
    """The ledger of the run: of its store, or of the home that its folder lies in."""
    if spec.store is not None:
        return Ledger(Database.of(Path(spec.home), spec.store))
    homes = [folder.resolve().parents[1], Path(spec.home)]
    home = next((home for home in homes if (home / FILE_NAME).is_file()), None)
    return None if home is None else Ledger(Database.of(home))
