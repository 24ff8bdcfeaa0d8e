"""Mirroring: a run of ours, told to a tracking server. Doing it again repairs what is missing there and makes nothing twice.

What is made carries our identifiers as tags, by which it is found again; times of metrics are those of the record, so that a
value told twice is the same value. The tag of the run that says "done" is written last of all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.mirroring.content import DONE_TAG, RUN_TAG, TRIAL_TAG, Told, digest_of, told_of
from modelwright.mirroring.register import Registered, check_register, register
from modelwright.mirroring.server import connected, experiment_id, shown_uri
from modelwright.runs.entries import entry_of
from modelwright.runs.entry import RunEntry
from modelwright.runs.folder import RECORD
from modelwright.training.record import RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as ServerRun

#: What MLflow takes in one call.
_METRICS_AT_ONCE, _OTHERS_AT_ONCE = 1000, 100
_MODEL = "model"


class Mirrored(msgspec.Struct, frozen=True):
    """What became of a run on the server; ``new`` says whether it was made, ``changed`` whether anything was sent."""

    run: str
    uri: str
    experiment: str
    mlflow_run: str
    new: bool
    changed: bool
    n_children: int
    registered: Registered | None = None


def mirror_run(
    folder: Path,
    uri: str,
    *,
    experiment: str | None = None,
    name: str | None = None,
    aliases: Sequence[str] = (),
    because: str = "",
) -> Mirrored:
    """Tell a run to a tracking server: with child runs, curves, data, files and model.

    Parameters
    ----------
    folder : Path
        Run folder of any kind.
    uri : str
        Of the server; anything that MLflow takes.
    experiment : str, optional
        By default that of ``MLFLOW_EXPERIMENT_NAME``, else "modelwright".
    name : str, optional
        Register the model under this name.
    aliases : sequence of str
        Of the registered version.
    because : str, default=""
        Why the model is registered although its run names a barrier.

    Returns
    -------
    Mirrored

    Raises
    ------
    StorageError
        If the server does not answer or refuses; the run is untouched, and mirroring again goes on from there.
    InvalidInputError
        If the run has no model to register, is still going on, or a barrier stands against it.
    MissingExtraError
        If MLflow is not installed.
    """
    entry = entry_of(folder)
    if entry.state == "running":
        raise InvalidInputError(
            f"The run {entry.id!r} is still going on.", where=str(folder), mend="Mirror it when it has ended."
        )
    if name is not None:
        check_register(folder, entry, because)
    elif aliases:
        raise InvalidInputError("An alias belongs to a registered model.", where="--alias", mend="Name it with --register.")
    with connected(uri) as client:
        place = experiment_id(client, experiment)
        found = _found(client, f"tags.`{RUN_TAG}` = '{entry.id}'")
        top = next((run for run in found if TRIAL_TAG not in run.data.tags), None)
        digest = digest_of(folder)
        fresh = top is None or top.data.tags.get(DONE_TAG) != digest
        told, children = told_of(folder, entry)
        if fresh:
            top = _tell(client, place, told, top, _parent(client, entry))
            _children(client, top, entry, children, found)
            _data(client, top, folder, entry)
            _files(client, top, folder, entry)
            client.set_tag(top.info.run_id, DONE_TAG, digest)
        assert top is not None
        registered = None
        if name is not None:
            source = f"{top.info.artifact_uri.rstrip('/')}/{_MODEL}"
            registered = register(client, entry, top.info.run_id, source, name, aliases, because)
        return Mirrored(
            run=entry.id,
            uri=shown_uri(uri),
            experiment=client.get_experiment(top.info.experiment_id).name,
            mlflow_run=top.info.run_id,
            new=not any(run.info.run_id == top.info.run_id for run in found),
            changed=fresh,
            n_children=len(children),
            registered=registered,
        )


def _found(client: MlflowClient, condition: str) -> list[ServerRun]:
    """Runs of all experiments for which the condition holds; deleted ones are gone."""
    places: list[str] = []
    token = None
    while True:
        page = client.search_experiments(page_token=token)
        places += [each.experiment_id for each in page]
        token = page.token
        if not token:
            break
    runs: list[ServerRun] = []
    while True:
        found = client.search_runs(places, condition, max_results=1000, page_token=token or None)
        runs += found
        token = found.token
        if not token:
            return runs


def _parent(client: MlflowClient, entry: RunEntry) -> str | None:
    """The surrounding run on the server, if it was mirrored before."""
    if not entry.parent:
        return None
    found = _found(client, f"tags.`{RUN_TAG}` = '{entry.parent}'")
    return next((run.info.run_id for run in found if TRIAL_TAG not in run.data.tags), None)


def _children(client: MlflowClient, top: ServerRun, entry: RunEntry, children: list[Told], found: list[ServerRun]) -> None:
    there = {run.data.tags[TRIAL_TAG]: run for run in found if TRIAL_TAG in run.data.tags}
    for child in children:
        run = there.get(str(child.trial))
        if run is not None and run.info.status == child.status:  # the last thing that is told of a child
            continue
        tags = {**child.tags, RUN_TAG: entry.id}
        _tell(client, top.info.experiment_id, msgspec.structs.replace(child, tags=tags), run, top.info.run_id)


def _tell(client: MlflowClient, place: str, told: Told, run: ServerRun | None, parent: str | None) -> ServerRun:
    """Make the run, or bring it up to date; its end is told last."""
    from mlflow.entities import Metric, Param, RunTag

    tags = told.tags | ({"mlflow.parentRunId": parent} if parent else {})
    if run is None:
        run = client.create_run(place, start_time=told.start_ms, tags=tags, run_name=told.name)
        known: dict[str, str] = {}
        points = told.metrics
    else:
        known = run.data.params
        points = [point for point in told.metrics if point.name not in run.data.metrics]
        points += _missing(client, run, told)
        for some in _parts([RunTag(name, value) for name, value in tags.items()], _OTHERS_AT_ONCE):
            client.log_batch(run.info.run_id, tags=some)
    identifier = run.info.run_id
    # A param of MLflow is never changed, so one that is there stays.
    params = [Param(name, value) for name, value in told.params.items() if name not in known]
    metrics = [Metric(point.name, point.value, point.time_ms, point.step) for point in points]
    first = params[:_OTHERS_AT_ONCE]
    if first or metrics:
        # Together with the params a call takes a thousand things in all.
        client.log_batch(identifier, metrics=metrics[: _METRICS_AT_ONCE - len(first)], params=first)
    for more in _parts(metrics[_METRICS_AT_ONCE - len(first) :], _METRICS_AT_ONCE):
        client.log_batch(identifier, metrics=more)
    for rest in _parts(params[_OTHERS_AT_ONCE:], _OTHERS_AT_ONCE):
        client.log_batch(identifier, params=rest)
    client.set_terminated(identifier, told.status, told.end_ms)
    return run


def _missing(client: MlflowClient, run: ServerRun, told: Told) -> list[Any]:
    """Points of metrics that are on the server in part only."""
    wanted: dict[str, list[Any]] = {}
    for point in told.metrics:
        if point.name in run.data.metrics:
            wanted.setdefault(point.name, []).append(point)
    missing = []
    for name, points in wanted.items():
        there = {(each.step, each.timestamp, each.value) for each in client.get_metric_history(run.info.run_id, name)}
        missing += [point for point in points if (point.step, point.time_ms, point.value) not in there]
    return missing


def _parts(values: list[Any], size: int) -> Iterator[list[Any]]:
    values_left = iter(values)
    while part := list(islice(values_left, size)):
        yield part


def _data(client: MlflowClient, top: ServerRun, folder: Path, entry: RunEntry) -> None:
    """The table as an input of the run, with our fingerprint as its digest."""
    if not entry.data or (top.inputs is not None and top.inputs.dataset_inputs):
        return
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # Only 36 letters are taken; the run has the whole as a tag.
    digest = entry.data.rpartition(":")[2][:36]
    about: dict[str, Any] = {"fingerprint": entry.data}
    columns: list[dict[str, Any]] = []
    if (folder / RECORD).is_file():
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=RunRecord)
        about |= {"num_rows": record.n_rows, "num_columns": record.n_columns, "target": record.target}
        columns = [
            {"name": each.name, "type": each.type, "role": each.role, "read_as": each.physical}
            for each in record.plan.schema.columns
        ]
    source = entry.source or "memory"
    dataset = Dataset(
        name=Path(source).name[:500] or "table",
        digest=digest,
        source_type="modelwright",
        source=msgspec.json.encode({"source": source}).decode(),
        profile=msgspec.json.encode(about).decode(),
        # The server keeps 65,535 letters; a wide table goes without.
        schema=text if len(text := msgspec.json.encode({"columns": columns}).decode()) < 65_000 else None,
    )
    client.log_inputs(top.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _files(client: MlflowClient, top: ServerRun, folder: Path, entry: RunEntry) -> None:
    """Report and files of the run, and its model as MLflow keeps models."""
    for path in sorted(folder.rglob("*")):
        within = path.relative_to(folder)
        own_model = entry.kind == "training" and within.parts[0] == _MODEL
        if (
            path.is_file()
            and not path.is_symlink()
            and not own_model
            and not any(part.startswith(".") for part in within.parts)
        ):
            parent = within.parent.as_posix()
            client.log_artifact(top.info.run_id, str(path), None if parent == "." else parent)
    if entry.kind == "training" and (folder / _MODEL).is_dir():
        from modelwright.mirroring.model import save_as_pyfunc

        with tempfile.TemporaryDirectory(prefix="modelwright-") as place:
            save_as_pyfunc(folder, Path(place) / _MODEL)
            client.log_artifacts(top.info.run_id, str(Path(place) / _MODEL), _MODEL)
