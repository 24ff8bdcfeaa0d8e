"""What passed the gate, trained once more in the same way on all labelled rows, those of the gate included.

Between the last row that a challenger learned from and the day on which it goes live lie the rows that it was judged on, and
those that came while it was trained and waited for labels: the newest there are, which is what matters most where the world
changes. The gate has spent them; nothing is held back from them any more, so no score is claimed of the model that comes of
it. It takes the place of the one that was judged unless it answers another question, or is worse on the very rows of the gate.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.registry.registry import Registry
from modelwright.retraining.asked import RETRAINING, policy_of_work, training_spec
from modelwright.retraining.figures import LabelledRow, compared
from modelwright.retraining.snapshot import Stretch, labelled_predictions, take_snapshot
from modelwright.spec import Spec
from modelwright.store.database import Database

if TYPE_CHECKING:
    from modelwright.retraining.children import Work

#: Tag of a version that was fitted again: the retraining that did it.
REFIT = "refit"
#: Labelled rows of the gate that a refitted model is looked at with.
_MOST_ROWS = 5_000


def collect_rows(work: Work) -> dict[str, Any]:
    """Write down all labelled rows there are; nothing where they are those that the challenger has learned from.

    Parameters
    ----------
    work : Work
    """
    policy, before = policy_of_work(work), work.given["snapshot"]
    if not policy.refit:
        return {}
    spec = msgspec.convert(before["spec"], Spec, strict=False)
    span = policy.train_on
    stretch = Stretch(span.seconds, span.rows, span.since, policy.label_delay_s, kept_rows=0, kept_share=0.0)
    database = Database.of(Path(work.home), work.store)
    taken = take_snapshot(spec, database, work.model, Path(work.home), stretch, dt.datetime.now(dt.UTC))
    return {} if taken.fingerprint == before["fingerprint"] else msgspec.to_builtins(taken)


def refit_spec(work: Work) -> Spec:
    """What the training is asked: as before, on all rows, with none set aside for a score."""
    spec = training_spec(work)
    return msgspec.structs.replace(
        spec, data=work.given["collect"]["path"], name=f"{work.retraining}-refit", evaluation="none",
        tags={**spec.tags, RETRAINING: origin_of(work.retraining, work.given["options"]), REFIT: work.retraining},
    )  # fmt: skip


def origin_of(retraining: str, options: dict[str, Any]) -> str:
    """The retraining that wrote down spec and policy: itself, or of a second judgement the one before."""
    return str(options.get("origin", retraining))


def objection(work: Work, bundle: Path) -> str:
    """Why the refitted model must not take the place of the judged one; empty if nothing speaks against it.

    Parameters
    ----------
    work : Work
    bundle : Path
        Of the refitted model.
    """
    from modelwright.artifacts.bundle import load_bundle

    registry = Registry(Path(work.home), work.store)
    judged = load_bundle(registry.resolve(f"{work.model}/{work.given['register']['version']}").folder)
    refitted = load_bundle(bundle)
    if refitted.task != judged.task or refitted.classes_.tolist() != judged.classes_.tolist():
        return "it answers another question: the newest rows have other classes"
    until = work.given["snapshot"]["until"]
    rows = [(row, value) for row, value in labelled_predictions(registry.database, work.model) if row.at > until]
    found = compared(judged, refitted, [LabelledRow(row.features, value, row.at) for row, value in rows[-_MOST_ROWS:]])
    allowed = policy_of_work(work).gate.margin
    if "loss" in found and found["loss"] > allowed * found["unit"]:
        return f"its {found['metric']} is worse by {found['loss']:.3g} on the rows of the gate, which it has learned from"
    return ""
