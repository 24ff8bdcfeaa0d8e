"""Members fitted again, each on the rows and by the counts of the plan, and compared byte by byte."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from modelwright.artifacts.model import Member, Model
from modelwright.errors import DataError
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.provenance.machine import available_cpus
from modelwright.runs.reproducing.again import Again
from modelwright.runs.reproducing.values import Step
from modelwright.search.executor import Executor
from modelwright.search.jobs import Fit, Job
from modelwright.search.views import Views
from modelwright.splits.partition import Fold
from modelwright.training.record import MemberRecord, RunRecord

_UNKNOWN_ROWS = "delivered as fitted for validation, by a version that did not keep on which rows"


@dataclass
class Refitted:
    """What the fits gave: steps, and the members with their encoders where all could be fitted."""

    steps: list[Step] = field(default_factory=list)
    members: list[Member] | None = None
    encoders: list[Encoder] = field(default_factory=list)

    def model(self, stored: Model) -> Model | None:
        """The model of the run with the members fitted now; its blending and calibration are those of the run."""
        if self.members is None:
            return None
        return Model(
            task=stored.task,
            target=stored.target,
            classes=stored.classes_.tolist(),
            schema=stored.schema,
            encoders=self.encoders,
            members=self.members,
            calibration=stored.calibration,
            threshold=stored.threshold,
            conformal=stored.conformal,
            metric=stored.metric,
            run=stored.run,
            derived=stored.derived,
        )


def refit(record: RunRecord, again: Again, stored: Model, folder: Path) -> Refitted:
    """Fit the members of a plan again.

    Parameters
    ----------
    record : RunRecord
    again : Again
    stored : Model
        The model of the run.
    folder : Path
        Its folder, with what was saved of encoders and members.

    Raises
    ------
    DataError
        If rows cannot be encoded.
    """
    named = {member.algorithm for member in record.plan.members}
    libraries = registry.libraries([name for name in registry.names() if name in named])
    with (
        TemporaryDirectory(prefix="modelwright-") as name,
        Executor(available_cpus(), Path(name) / "workers.log", threading.Event(), libraries=libraries) as executor,
    ):
        work = Path(name)
        found = Refitted()
        known = [member for member in record.plan.members if member.refit or member.fold is not None]
        views = _write_views(record, again, known, work, executor)
        fits = {k: _fit(record, m, views, work / str(k)) for k, m in enumerate(record.plan.members) if m in known}
        answers = dict(zip(fits, _in_order(executor, fits.values()), strict=True))
        found.steps += _compare_encoders(record, stored, views, known, folder)
        members: list[Member | None] = []
        for k, member in enumerate(record.plan.members):
            title = f"member {k} {member.algorithm}"
            if k not in answers:
                found.steps.append(Step(title, "not compared", _UNKNOWN_ROWS))
                members.append(None)
                continue
            if answers[k]:
                found.steps.append(Step(title, "different", f"it cannot be fitted: {answers[k]}"))
                members.append(None)
                continue
            learner = registry.load(member.algorithm, work / str(k) / "model")
            saved = work / f"saved-{k}"
            saved.mkdir()
            learner.save(saved)
            unequal = _different(saved, folder / "members" / str(k))
            how = "" if member.refit else ", as fitted for validation"
            detail = f"differs in {', '.join(unequal)}" if unequal else f"every byte{how}"
            found.steps.append(Step(title, "different" if unequal else "equal", detail))
            members.append(replace(stored.members[k], learner=learner))
        if all(member is not None for member in members):
            found.members = [member for member in members if member is not None]
            found.encoders = list(stored.encoders)  # one that no member reads any more stays
            for k, member in enumerate(record.plan.members):
                found.encoders[stored.members[k].encoder] = Encoder.load(views.path(_view(member)) / "encoder")
        return found


def _write_views(record: RunRecord, again: Again, members: list[MemberRecord], work: Path, executor: Executor) -> Views:
    training = again.training
    views = Views(
        work / "views", training.frame, training.schema, training.y, training.weight,
        seed=record.plan.seed, task=record.task, n_classes=len(record.plan.classes),
    )  # fmt: skip
    wanted = {_view(member): member for member in members}
    jobs = []
    for name, member in sorted(wanted.items()):
        part = _part(member, again)
        rows = np.arange(training.frame.height) if part is None else part.training
        jobs.append(views.job(name, rows, None if part is None else part.validation, generated=member.generated))
    for error in _in_order(executor, jobs):
        if error:
            raise DataError(f"The features could not be encoded: {error}.", where=record.id)
    return views


def _in_order(executor: Executor, jobs: Iterable[Job]) -> list[str]:
    """Errors of the jobs, in their order; empty for those that went well."""
    return [done.error for _, done in sorted(executor.run(jobs), key=lambda answer: answer[0])]


def _part(member: MemberRecord, again: Again) -> Fold | None:
    """Rows of a member that was delivered as fitted for validation."""
    if member.refit or member.fold is None:
        return None
    return again.probe if member.fold < 0 else again.fold(member.fold, member.n_rows)


def _view(member: MemberRecord) -> str:
    part = "full" if member.refit or member.fold is None else "probe" if member.fold < 0 else f"fold{member.fold}"
    return part + ("-generated" if member.generated else "")


def _fit(record: RunRecord, member: MemberRecord, views: Views, out: Path) -> Fit:
    return Fit(
        view=str(views.path(_view(member))),
        out=str(out),
        algorithm=member.algorithm,
        params=member.params,
        task=record.task,
        n_classes=len(record.plan.classes),
        metric=record.metric,
        seed=member.seed,
        # Validation rows say where a fit ends, so the fit for validation has them again.
        validate=not member.refit,
        stop_after=member.clock,
    )


def _compare_encoders(record: RunRecord, stored: Model, views: Views, known: list[MemberRecord], folder: Path) -> list[Step]:
    unequal, compared = [], 0
    for number in range(len(stored.encoders)):
        member = next((m for m, s in zip(record.plan.members, stored.members, strict=True) if s.encoder == number), None)
        if member is None or member not in known:
            continue
        compared += 1
        files = _different(views.path(_view(member)) / "encoder", folder / "encoders" / str(number))
        unequal += [f"{number}/{name}" for name in files]
    if unequal:
        return [Step("encoders", "different", f"differ in {', '.join(unequal)}")]
    if not compared:
        return [Step("encoders", "not compared", _UNKNOWN_ROWS)]
    return [Step("encoders", "equal", "every byte")]


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.is_file()}


def _different(a: Path, b: Path) -> list[str]:
    ours, theirs = _digests(a), _digests(b)
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
