"""Runs that are published at an address: pushed from a home, listed beside its own, and copied in when they are named.

Everything else works on folders of the home; whoever is given an address calls `bring` first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from modelwright.errors import InvalidInputError, ModelwrightError
from modelwright.masking import MASK
from modelwright.provenance.labels import Labels
from modelwright.runs.entries import entry_of, is_run
from modelwright.runs.entry import RunEntry
from modelwright.runs.labels import write_labels
from modelwright.runs.listing import run_folders
from modelwright.store.markers import Marker
from modelwright.store.published import Published


def push(home: Path, url: str, run: str, *, verify: bool = False) -> None:
    """Publish a run of a home, completely or not at all; one that is published already gets its present labels.

    Parameters
    ----------
    home : Path
    url : str
    run : str
        Its identifier.
    verify : bool, default=False
        Read every file back.

    Raises
    ------
    StorageError
        If the address refuses; the run of the home stays as it is.
    """
    entry = entry_of(home / "runs" / run)
    Published(home, url).publish(run, msgspec.json.encode(entry), verify=verify)


def check(home: Path, url: str | None) -> None:
    """Refuse an address that cannot be used; None is no address."""
    if url is not None:
        Published(home, url).check()


def publish_finished(home: Path, url: str | None, run: str) -> None:
    """`push` for a run that was just made: an error says that the run itself is safe.

    Parameters
    ----------
    home : Path
    url : str or None
        None does nothing. One that was kept with its password masked cannot be used.
    run : str

    Raises
    ------
    ModelwrightError
        As `push`, with what to do next.
    """
    if url is None:
        return
    if MASK in url:
        raise InvalidInputError(
            f"The run is finished and lies in {home / 'runs' / run}; the address of the artifacts holds a password, which is"
            " not kept.",
            where=url,
            mend=f"Publish it with: modelwright store push {run} --artifacts URL",
        )
    try:
        push(home, url, run)
    except ModelwrightError as error:
        error.add_note(f"The run is finished and lies in {home / 'runs' / run}; publish it with: modelwright store push {run}")
        raise


def waiting(home: Path, url: str) -> list[str]:
    """Runs of a home that ended and were never published."""
    published = Published(home, url)
    there = published.known() | set(published.markers())
    return [run for run in ended(home) if run not in there]


def ended(home: Path) -> list[str]:
    """Runs of a home that nobody works on; those that cannot be read are left out."""
    found = []
    for run, _ in run_folders(home):
        if is_run(home / "runs" / run):
            try:
                state = entry_of(home / "runs" / run).state
            except ModelwrightError:
                continue
            if state != "running":
                found.append(run)
    return sorted(found)


def bring(references: Iterable[str | Path], home: Path, url: str | None) -> None:
    """Copy the runs that are named into the home, if they are published and not there, and verify them.

    Parameters
    ----------
    references : iterable of str or Path
        As a command was given them; paths of runs, and names that nobody published, are left to what comes after.
    home : Path
    url : str or None
        None does nothing.

    Raises
    ------
    BundleError
        If a file is not the one that was published; nothing is kept then.
    StorageError
        If the address cannot be read.
    """
    if url is None:
        return
    wanted = [str(reference) for reference in references if not _is_folder(Path(reference))]
    if not wanted:
        return
    published = Published(home, url)
    markers = published.markers()
    for reference in wanted:
        marker = _named(reference, markers, home)
        if marker is not None:
            folder = published.bring(marker)
            if published.labels_differ(marker):
                write_labels(folder, msgspec.json.decode(marker.labels, type=Labels | None) or Labels())


def bring_all(home: Path, url: str) -> list[str]:
    """Copy every published run into the home; returns those that were not there."""
    published, found = Published(home, url), []
    for run, marker in published.markers().items():
        if not (home / "runs" / run).exists():
            published.bring(marker)
            found.append(run)
    return found


def published_entries(home: Path, url: str, local: Iterable[RunEntry]) -> tuple[list[RunEntry], list[str]]:
    """Entries of a home and of the address together, and what a user should know of them.

    Parameters
    ----------
    home : Path
    url : str
    local : iterable of RunEntry
        Those of the home.
    """
    published, notes = Published(home, url), []
    if (went := published.note()) is not None:
        notes.append(f"The runs at {published.store.shown} were moved to {went.artifacts} on {went.at[:10]}.")
    markers, known = published.markers(), published.known()
    found = {entry.id: entry for entry in local}
    lacking = [run for run, entry in found.items() if run not in markers and entry.state != "running"]
    waits = [run for run in lacking if run not in known and found[run].state == "finished"]
    gone = [run for run in lacking if run in known]
    for run, marker in markers.items():
        try:
            there = msgspec.json.decode(marker.entry, type=RunEntry)
        except msgspec.MsgspecError as error:
            notes.append(f"Run {run} was published by another version: {error}")
            continue
        here = found.get(run)
        # Labels may have been changed from another home; everything else is the same.
        found[run] = there if here is None else msgspec.structs.replace(here, tags=there.tags, note=there.note)
    if waits:
        notes.append(f"Not published yet: {_some(waits)}. Do so with: modelwright store push")
    if gone:
        notes.append(f"Removed at {published.store.shown}, and still in this home: {_some(gone)}.")
    return list(found.values()), notes


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


def _is_folder(path: Path) -> bool:
    return is_run(path) or (path / "manifest.json").is_file()


def _named(reference: str, markers: dict[str, Marker], home: Path) -> Marker | None:
    """By identifier, else the latest run of a name, unless the home has a later one."""
    if reference in markers:
        return markers[reference]
    of_name = re.compile(re.escape(reference) + r"-(\d{8}-\d{6})(?:-(\d+))?")

    def latest(runs: Iterable[str]) -> tuple[str, int, str] | None:
        found = [(match[1], int(match[2] or 1), run) for run in runs if (match := of_name.fullmatch(run))]
        return max(found, default=None)

    there = latest(markers)
    here = latest(run for run, _ in run_folders(home))
    return None if there is None or (here is not None and here > there) else markers[there[2]]
