"""Prediction in batch: rows in, predictions and bad rows out, with a bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.artifacts.batch import open_rows, score_rows
from modelwright.cli.scored import DatabaseTable, Draft, TableDraft, scored_frame, with_kept
from modelwright.errors import InvalidInputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from modelwright.artifacts.model import Model


@dataclass(frozen=True)
class Predicted:
    """How many rows were scored and set aside, and the columns that were written."""

    n_scored: int
    n_bad: int
    columns: tuple[str, ...]


def predict_into(
    model: Model,
    data: str,
    output: Path | DatabaseTable,
    *,
    query: str | None = None,
    coverage: float | None = None,
    keep: Sequence[str] = (),
    aside: Path | None = None,
    quiet: bool = False,
) -> Predicted:
    """Score a table into a file, or into a table of a database.

    Parameters
    ----------
    model : Model
    data : str
        What `tables.read` reads.
    output : Path or DatabaseTable
        The ending of a file says the format.
    query : str, optional
        For databases.
    coverage : float, optional
        Adds intervals or sets.
    keep : sequence of str, optional
        Columns of the data that stand before the predictions.
    aside : Path, optional
        File for bad rows; without one the first bad row is an error. A file of an earlier call is removed where no row is
        bad, so that it cannot be taken for this one's.
    quiet : bool, default=False

    Raises
    ------
    InvalidInputError
        If a file would be overwritten by another of the three, or a column cannot be kept.
    SchemaError
        See `score_rows`.
    StorageError
        If the disk or the database refuses; then neither file is there or changed.
    """
    places = [place.resolve() for place in (Path(data), output, aside) if isinstance(place, Path)]
    if len(set(places)) < len(places):
        raise InvalidInputError("Two of data, output and bad rows are one file.", where=str(output), mend="Name another file.")
    columns: tuple[str, ...] = ()
    n_bad = 0
    with ExitStack() as stack:
        good = stack.enter_context(Draft(output) if isinstance(output, Path) else TableDraft(output))
        bad = None if aside is None else stack.enter_context(Draft(aside))
        rows = stack.enter_context(open_rows(data, query=query))
        bar = stack.enter_context(_bar(quiet))
        task = bar.add_task("scoring", total=rows.n_rows)
        parts = score_rows(
            model,
            rows,
            lambda frame: with_kept(scored_frame(model, frame, coverage), frame, keep),
            on_bad_row="fail" if bad is None else "skip",
        )
        for part in parts:
            good.add(part.scored)
            columns = columns or tuple(part.scored.columns)
            if bad is not None:
                bad.add(part.bad)
                n_bad = bad.n_rows
            bar.update(task, advance=part.n_rows)
        good.finish()
        if bad is not None and n_bad:
            bad.finish()
            bad.publish()
        elif aside is not None:
            aside.unlink(missing_ok=True)
        good.publish()
    return Predicted(good.n_rows, n_bad, columns)


def _bar(quiet: bool) -> Progress:
    from rich import progress
    from rich.console import Console

    shown = not quiet and sys.stderr.isatty()
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not shown,
    )
