"""The plan of a run once more, by counts: the same members, byte for byte.

A clock decides in the first run how far training goes; the plan holds what it decided (rows, hyperparameters, iteration
counts, seeds, one thread a fit). On the same machine type with the same versions the same counts give the same bytes.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from modelwright.errors import BundleError, DataError
from modelwright.learners import registry
from modelwright.search.executor import Executor
from modelwright.search.jobs import Fit
from modelwright.search.views import Views
from modelwright.spec import Spec
from modelwright.splits.partition import Split
from modelwright.training.environment import available_cpus, libraries
from modelwright.training.prepare import Division, Training, read_source, type_rows
from modelwright.training.record import MemberRecord, RunRecord


class Replayed(msgspec.Struct, frozen=True):
    """One member fitted again; ``different`` names the files whose bytes differ, ``why`` says why it was not fitted."""

    algorithm: str
    equal: bool
    different: list[str] = []
    why: str = ""


class Replay(msgspec.Struct, frozen=True):
    """A run fitted again by its plan.

    ``versions`` lists packages whose version differs from the run's, the first suspects of a difference.
    """

    run: str
    members: list[Replayed]
    encoders_equal: bool
    versions: dict[str, tuple[str, str]] = {}

    @property
    def equal(self) -> bool:
        """Whether every byte of every member and encoder is the same."""
        return self.encoders_equal and all(member.equal for member in self.members)


def replay(folder: Path, data: Any = None) -> Replay:
    """Fit the members of a run again and compare them with its model.

    Parameters
    ----------
    folder : Path
        A run folder.
    data : str, Path or table, optional
        The rows; by default they are read from where the run read them.

    Returns
    -------
    Replay

    Raises
    ------
    DataError
        If the table is not the one of the run.
    BundleError
        If the run folder is incomplete.
    """
    record, training = _training_of(folder, data)
    model = folder / "model"
    with tempfile.TemporaryDirectory(prefix="modelwright-") as name:
        work = Path(name)
        views = Views(
            work / "views", training.frame, training.schema, training.y, training.weight,
            seed=record.plan.seed, task=record.task, n_classes=len(record.plan.classes),
        )  # fmt: skip
        with Executor(available_cpus(), work / "workers.log", threading.Event()) as executor:
            rows = np.arange(training.frame.height)
            kinds = sorted({member.generated for member in record.plan.members})
            jobs = [views.job(_view(generated), rows, generated=generated) for generated in kinds]
            for _, done in executor.run(jobs):
                if done.error:
                    raise DataError(f"The features could not be encoded: {done.error}.", where=record.id)
            fits = [_fit(record, member, views, work / str(k)) for k, member in enumerate(record.plan.members)]
            answers = dict(executor.run(fits))
        members = []
        for k, member in enumerate(record.plan.members):
            if not member.refit:
                members.append(Replayed(member.algorithm, False, why="delivered as fitted for validation, on fewer rows"))
                continue
            if answers[k].error:
                members.append(Replayed(member.algorithm, False, why=answers[k].error))
                continue
            again = work / f"again-{k}"
            again.mkdir()
            registry.load(member.algorithm, work / str(k) / "model").save(again)
            different = _different(again, model / "members" / str(k))
            members.append(Replayed(member.algorithm, not different, different))
        made = [_digests(views.path(_view(generated)) / "encoder") for generated in kinds]
    kept = [_digests(path) for path in sorted((model / "encoders").iterdir())]
    recorded = record.environment.get("packages", {})
    now = libraries()
    versions = {name: (recorded[name], now.get(name, "absent")) for name in recorded if recorded[name] != now.get(name)}
    return Replay(record.id, members, all(encoder in made for encoder in kept), versions)


def _training_of(folder: Path, data: Any) -> tuple[RunRecord, Training]:
    """The record, and the training rows as the run had them."""
    try:
        record = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunRecord)
        parts = pl.read_parquet(folder / "partition.parquet")
        spec = msgspec.convert(record.spec, Spec)
    except (OSError, msgspec.MsgspecError, pl.exceptions.PolarsError) as error:
        raise BundleError(f"The run cannot be read: {error}.", where=folder.name, mend="Give the folder of a run.") from error
    if record.plan.streamed:
        raise DataError(
            "This run was fitted on a table larger than memory, in batches, and such runs are not replayed.",
            where=record.id,
            mend="Replay a run on a part of the rows.",
        )
    source = read_source(msgspec.structs.replace(spec, data=spec.data if data is None else data))
    if source.fingerprint != record.fingerprint:
        raise DataError(
            f"This is not the table of the run: its fingerprint is {source.fingerprint[:12]}, not {record.fingerprint[:12]}.",
            where=source.description,
            mend="Give the rows of the run, unchanged.",
        )
    rows = {name: parts.filter(pl.col("part") == name)["row"].to_numpy() for name in ("training", "evaluation")}
    split = Split("none", rows["training"], rows["evaluation"][:0], "As the run divided the rows.")
    training = type_rows(source, spec, Division(split))
    if training.schema != record.plan.schema:
        raise DataError("The columns are read otherwise than in the run.", where=source.description, mend="Use its version.")
    return record, training


def _fit(record: RunRecord, member: MemberRecord, views: Views, out: Path) -> Fit:
    params = dict(member.params)
    iterations = registry.get(member.algorithm).algorithm.iterations
    if iterations and member.n_iterations:
        params[iterations] = member.n_iterations
    return Fit(
        view=str(views.path(_view(member.generated))),
        out=str(out),
        algorithm=member.algorithm,
        params=params,
        task=record.task,
        n_classes=len(record.plan.classes),
        metric=record.metric,
        seed=member.seed,
        validate=False,
    )


def _view(generated: bool) -> str:
    return "full-generated" if generated else "full"


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.is_file()}


def _different(a: Path, b: Path) -> list[str]:
    ours, theirs = _digests(a), _digests(b)
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
