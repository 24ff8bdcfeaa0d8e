"""Bringing runs of a tracking server in: each becomes a run folder like that of a job, with its own times.

What a server says is not trusted: names of files stay within the run, files of this machine are not copied because a server
far away names them, and passwords are masked like our own. A run that is here already is not brought in again; which ones
are is read from the folders, so a copied home knows it too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.mirroring.content import RUN_TAG
from modelwright.mirroring.files import Taken, take_files
from modelwright.mirroring.imported import DETAILS, imported_lines_of, record_of, user_tags, written
from modelwright.mirroring.server import connected, shown_uri
from modelwright.runs.folder import JOB

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as ServerRun


class Imported(msgspec.Struct, frozen=True):
    """What came of an import: identifiers of new runs, how many were here, are our own, or still running."""

    uri: str
    runs: list[str]
    n_known: int = 0
    n_own: int = 0
    n_running: int = 0
    notes: list[str] = []


class _Details(msgspec.Struct, frozen=True):
    mlflow: dict[str, Any] = {}


class _Known(msgspec.Struct, frozen=True):
    id: str
    details: _Details = _Details()


def import_runs(
    uri: str,
    home: Path,
    *,
    experiments: Sequence[str] = (),
    max_file_bytes: int = 100_000_000,
    max_run_bytes: int = 1_000_000_000,
    tell: Callable[[str], None] | None = None,
) -> Imported:
    """Bring the runs of a server into a home.

    Parameters
    ----------
    uri : str
        Of the server; anything that MLflow takes.
    home : Path
        The ``.modelwright`` folder; made if absent.
    experiments : sequence of str
        Their names; none means all that are not deleted.
    max_file_bytes, max_run_bytes : int
        A larger file is left there and named; so are files of a run beyond its sum.
    tell : callable, optional
        Hears a sentence now and then while it goes on.

    Returns
    -------
    Imported

    Raises
    ------
    InvalidInputError
        If there is no such experiment.
    StorageError
        If the server does not answer, or the disk refuses; runs that were brought in stay, and the next import goes on.
    MissingExtraError
        If MLflow is not installed.
    """
    with connected(uri) as client:
        places = _places(client, experiments)
        known = _known(home)
        # As it was before: a run that comes in now may get the very identifier that its children name as ours.
        own = {folder.name for folder in (home / "runs").glob("*")} - set(known.values())
        runs, notes = [], []
        counts = {"n_known": 0, "n_own": 0, "n_running": 0}
        for run in _parents_first(list(_runs(client, list(places)))):
            identifier, tags = run.info.run_id, run.data.tags
            if identifier in known:
                counts["n_known"] += 1
            elif tags.get(RUN_TAG) in own:
                counts["n_own"] += 1
            elif run.info.status in ("RUNNING", "SCHEDULED"):
                counts["n_running"] += 1
            else:
                parent = known.get(tags.get("mlflow.parentRunId", ""), "")
                made, said = _bring(client, run, home, places, uri, parent, max_file_bytes, max_run_bytes)
                known[identifier] = made
                runs.append(made)
                notes += said
                if tell is not None and len(runs) % 100 == 0:
                    tell(f"{len(runs)} runs brought in")
        return Imported(uri=shown_uri(uri), runs=runs, notes=notes, **counts)


def _bring(
    client: MlflowClient, run: ServerRun, home: Path, places: dict[str, str], uri: str, parent: str, max_file: int, max_run: int
) -> tuple[str, list[str]]:
    """Identifier of the new run, and what is to be said of it."""
    record = record_of(run, experiment=places[run.info.experiment_id], uri=shown_uri(uri), parent=parent)
    histories = {
        name: [(each.timestamp, each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    with tempfile.TemporaryDirectory(prefix="modelwright-") as place:
        taken = Taken([], [])
        if max_file > 0:
            taken = take_files(client, run, uri, Path(place), max_file_bytes=max_file, max_run_bytes=max_run)
        lines = imported_lines_of(run, histories, taken.left)
        made = written(home, record, user_tags(run), lines, taken.files)
    return made, [f"{made}: {note}" for note in taken.left]


def _places(client: MlflowClient, wanted: Sequence[str]) -> dict[str, str]:
    """Name of each wanted experiment by its identifier."""
    found: dict[str, str] = {}
    token = None
    while True:
        page = client.search_experiments(page_token=token)
        found |= {each.experiment_id: each.name for each in page}
        token = page.token
        if not token:
            break
    for name in wanted:
        if name not in found.values():
            known = ", ".join(sorted(found.values())[:10]) or "none"
            raise InvalidInputError(
                f"There is no experiment {name!r}.", where="--experiment", mend=f"Experiments there: {known}."
            )
    return {key: name for key, name in found.items() if not wanted or name in wanted}


def _runs(client: MlflowClient, places: list[str]) -> Iterator[ServerRun]:
    token = None
    while True:
        page = client.search_runs(places, max_results=1000, page_token=token, order_by=["attributes.start_time ASC"])
        yield from page
        token = page.token
        if not token:
            return


def _parents_first(runs: list[ServerRun]) -> list[ServerRun]:
    """In the order of their start, but no child before its parent; a circle is broken anywhere."""
    there = {run.info.run_id: run for run in runs}
    ordered: dict[str, ServerRun] = {}
    for run in runs:
        line = []
        each: ServerRun | None = run
        while each is not None and each.info.run_id not in ordered and each not in line:
            line.append(each)
            each = there.get(each.data.tags.get("mlflow.parentRunId", ""))
        for above in reversed(line):
            ordered[above.info.run_id] = above
    return list(ordered.values())


def _known(home: Path) -> dict[str, str]:
    """Our identifier of each run that was brought in, by that of MLflow."""
    found: dict[str, str] = {}
    for path in (home / "runs").glob(f"*/{JOB}"):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=_Known)
        except (OSError, msgspec.MsgspecError):
            continue  # not ours to judge here; the list of runs names it
        if DETAILS in msgspec.to_builtins(record.details) and (of_server := record.details.mlflow.get("run_id")):
            found[str(of_server)] = path.parent.name
    return found
