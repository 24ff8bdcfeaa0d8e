"""A job as it is read again: params, metrics, artifacts, state. Safe to use while the job goes on."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import InvalidInputError
from modelwright.jobs.folder import JobRecord, JobStatus, entry_of, read_labels, read_record, read_status
from modelwright.jobs.values import read_number
from modelwright.runs.entry import RunEntry, State
from modelwright.runs.folder import ARTIFACTS

if TYPE_CHECKING:
    import polars as pl

    from modelwright.jobs.log import Artifact


class JobRun:
    """A run of the user's own code, as it stood when it was opened.

    Parameters
    ----------
    folder : Path
        Run folder.

    Attributes
    ----------
    folder : Path
    record : JobRecord
        What was known when it began: name, source, seed, parent, provenance.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record: JobRecord = read_record(folder)

    @cached_property
    def _status(self) -> JobStatus:
        return read_status(self.folder)

    @property
    def id(self) -> str:
        """Identifier."""
        return self.record.id

    @property
    def name(self) -> str:
        """The name it was given."""
        return self.record.name

    @property
    def state(self) -> State:
        """ "running", "finished", "failed", "interrupted" or "killed"."""
        return self._status.state

    @property
    def error(self) -> str:
        """What ended it, where it failed."""
        return self._status.error

    @property
    def params(self) -> dict[str, Any]:
        """Params, as last logged."""
        return self._status.params

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return self._status.metrics

    @property
    def tags(self) -> dict[str, str]:
        """Tags, those added later too."""
        return read_labels(self.folder).tags

    @property
    def notes(self) -> list[str]:
        """Remarks made while it ran, its own note first."""
        own = read_labels(self.folder).note
        return ([own] if own else []) + [line.note for line in self._status.lines if line.note]

    @property
    def entry(self) -> RunEntry:
        """What a list of runs knows of it."""
        return entry_of(self.folder)

    @cached_property
    def series(self) -> pl.DataFrame:
        """Every logged metric in the order of logging: metric, step (null where none was given), value, time (UTC)."""
        import polars as pl

        found = [
            (name, line.step, read_number(value), line.time)
            for line in self._status.lines
            for name, value in line.metrics.items()
        ]
        names, steps, values, times = zip(*found, strict=True) if found else ((), (), (), ())
        frame = pl.DataFrame({
            "metric": pl.Series(names, dtype=pl.String),
            "step": pl.Series(steps, dtype=pl.Int64),
            "value": pl.Series(values, dtype=pl.Float64),
            "time": pl.Series([round(time * 1e6) for time in times], dtype=pl.Int64),
        })  # fmt: skip
        return frame.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """What was kept, by name: tables, figures, models, files, and the output of the process."""
        return self._status.artifacts

    def file(self, name: str) -> Path:
        """Path of an artifact, or of the folder of one."""
        return self.folder / ARTIFACTS / self._artifact(name).file

    def table(self, name: str) -> pl.DataFrame:
        """A table that was logged."""
        import polars as pl

        return pl.read_parquet(self._kind(name, "table"))

    def figure(self, name: str) -> bytes:
        """The bytes of a picture that was logged."""
        return self._kind(name, "figure").read_bytes()

    def model(self, name: str) -> Any:
        """A model that was logged, checked against its digest first; of a torch module its state dict.

        Raises
        ------
        BundleError
            If the file was changed, or holds types that nobody vouches for.
        """
        from modelwright.jobs import models

        self._kind(name, "model")
        return models.read(self.folder, self._artifact(name))

    def output(self, stream: str = "stdout") -> str:
        """What the process wrote to "stdout" or "stderr", where ``modelwright run`` started it."""
        return self._kind(f"{stream}.log", "output").read_text(encoding="utf-8", errors="replace")

    def _artifact(self, name: str) -> Artifact:
        if name not in self.artifacts:
            known = ", ".join(map(repr, self.artifacts)) or "none"
            raise InvalidInputError(f"There is no artifact {name!r}.", where=self.id, mend=f"Artifacts: {known}.")
        return self.artifacts[name]

    def _kind(self, name: str, kind: str) -> Path:
        found = self._artifact(name).kind
        if found != kind:
            raise InvalidInputError(
                f"The artifact {name!r} is a {found}, not a {kind}.", where=self.id, mend=f"Read it with file({name!r})."
            )
        return self.file(name)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in list(self.metrics.items())[:4])
        return f"<modelwright.JobRun {self.id}: {self.state}{f', {shown}' if shown else ''}>"

    def _repr_html_(self) -> str:
        rows = [(name, f"{value:.6g}") for name, value in self.metrics.items()]
        rows += [(name, str(value)) for name, value in self.params.items()]
        cells = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in rows)
        state = html.escape(f"{self.state} {self.error}")
        return f"<div><p><b>{html.escape(self.id)}</b>: {state}</p><table>{cells}</table></div>"
