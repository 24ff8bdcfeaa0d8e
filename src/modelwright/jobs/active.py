"""A run while it runs: `start_run`, and what can be logged to it."""

from __future__ import annotations

import atexit
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from modelwright.errors import InvalidInputError
from modelwright.jobs import surrounding
from modelwright.jobs.endings import LONGEST_ERROR, peak_memory_mb
from modelwright.jobs.endings import ending as ending
from modelwright.jobs.folder import JobRecord, begin_line, new_job, read_record
from modelwright.jobs.log import End, Line, Log
from modelwright.jobs.seeding import seed_everything, seed_of
from modelwright.jobs.values import metric_value, name_of, plain, shown, step_of, writable
from modelwright.provenance.labels import Labels
from modelwright.provenance.secrets import redacted, redacted_code, redacted_value
from modelwright.runs.folder import LOG
from modelwright.spec import DEFAULT_HOME

if TYPE_CHECKING:
    from modelwright.jobs.log import Artifact


class ActiveRun:
    """A run that is going on; made by `start_run`.

    Threads may log at once. So may processes: forked ones with this object, others with ``start_run()`` or
    ``start_run(resume=run.id)``.

    Attributes
    ----------
    id, name : str
    folder, home : Path
    seed : int or None
    parent : str
        Identifier of the surrounding run, or empty.
    """

    def __init__(self, folder: Path, record: JobRecord, log: Log, *, owner: bool, works: bool = True) -> None:
        self.id = record.id
        self.name = record.name
        self.folder = folder
        self.home = folder.parent.parent
        self.seed = record.seed
        self.parent = record.parent
        self._log = log
        # Only the process that began the run, or took it over, says its last word.
        self._pid = os.getpid()
        self._owner = self._pid if owner else None
        # Otherwise another process does the work, and tells its memory itself.
        self._works = works
        self._ended = False
        #: Kept for `autolog`: fits so far by name, and what is still to be told at the end.
        self._fits: dict[str, int] = {}
        self._before_end: list[Callable[[], None]] = []

    def log(
        self, *, metrics: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None, step: int | None = None
    ) -> None:
        """Log metrics, params, or both at once.

        Parameters
        ----------
        metrics : mapping of str to number, optional
            NaN and infinite ones are kept. Arrays and tensors of one element count as numbers.
        params : mapping of str to plain value, optional
            Text, numbers, truth values, None, lists and dicts of these.
        step : int, optional
            Of the metrics: epoch, batch, iteration.

        Raises
        ------
        InvalidInputError
            If a value has a wrong type; then nothing of the call is logged.
        StorageError
            If the disk is full.
        """
        self._log.append(
            Line(
                time=time.time(),
                metrics={name_of(name, "metric"): metric_value(name, value) for name, value in (metrics or {}).items()},
                params=shown({name_of(name, "param"): plain(name, value) for name, value in (params or {}).items()}),
                step=step_of(step),
            )
        )

    def log_metric(self, name: str, value: Any, *, step: int | None = None) -> None:
        """Log one metric; see `log`."""
        self._log.append(
            Line(time=time.time(), metrics={name_of(name, "metric"): metric_value(name, value)}, step=step_of(step))
        )

    def log_param(self, name: str, value: Any) -> None:
        """Log one param; see `log`. Where it was logged before, the later value counts."""
        self._log.append(Line(time=time.time(), params=shown({name_of(name, "param"): plain(name, value)})))

    def note(self, text: str) -> None:
        """Keep a remark about what happened."""
        self._log.append(Line(time=time.time(), note=redacted(writable(str(text), "note"))))

    def log_table(self, name: str, frame: Any) -> Artifact:
        """Keep a table, as Parquet.

        Parameters
        ----------
        name : str
            A table of the same name is replaced.
        frame : table
            Polars, pandas, Arrow, NumPy, a dict of columns or a list of dicts.
        """
        from modelwright.jobs import artifacts

        return self._keep(artifacts.table(self.folder, name, frame))

    def log_figure(self, name: str, figure: Any) -> Artifact:
        """Keep a picture.

        Parameters
        ----------
        name : str
            With an ending such as ".svg" or ".pdf" it chooses the format of a matplotlib figure; PNG by default.
        figure : matplotlib figure, Altair chart, or bytes or text of an image file
            A chart is kept as a picture and as its specification.
        """
        from modelwright.jobs import artifacts

        first, *_ = [self._keep(made) for made in artifacts.figure(self.folder, name, figure)]
        return first

    def log_model(self, name: str, model: Any) -> Artifact:
        """Keep a fitted model, in a format that executes nothing when it is read.

        Parameters
        ----------
        name : str
        model : object
            A model of modelwright; a LightGBM, XGBoost or CatBoost model (native formats); a torch module or state dict
            (safetensors); a scikit-learn estimator (skops, which must be installed).

        Raises
        ------
        InvalidInputError
            For anything else: save it to a file and give that to `log_file`.
        """
        from modelwright.jobs import models

        return self._keep(models.write(self.folder, name, model))

    def log_file(self, path: str | Path, name: str | None = None) -> Artifact:
        """Keep a copy of a file or folder, by default under its own name."""
        from modelwright.jobs import artifacts

        return self._keep(artifacts.file(self.folder, path, name))

    def end(self, state: Literal["finished", "failed", "interrupted"] = "finished", *, error: str = "") -> None:
        """Say the last word; leaving the ``with`` block does it. A run that was only joined goes on."""
        self.end_as(End(state, error=redacted_code(error)[:LONGEST_ERROR]))

    def end_as(self, end: End) -> None:
        """Like `end`, with everything that is known of it."""
        if not self._ended:
            self._finish(end)

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end_as(ending(error))

    def __repr__(self) -> str:
        return f"<modelwright run {self.id}{' (ended)' if self._ended else ''}>"

    def _keep(self, made: Artifact) -> Artifact:
        self._log.append(Line(time=time.time(), artifact=made))
        return made

    def _tell_rest(self) -> None:
        while self._before_end:
            self._before_end.pop()()

    def _finish(self, end: End) -> None:
        if os.getpid() == self._pid:
            self._tell_rest()
        self._ended = True
        surrounding.leave(self)
        atexit.unregister(self._at_exit)
        if self._owner is None or self._owner == os.getpid():
            try:
                if self._owner is not None:
                    peak = peak_memory_mb() if self._works else None
                    self._log.append(Line(time=time.time(), end=end, peak_memory_mb=peak))
            finally:
                self._log.close()

    def _at_exit(self) -> None:
        """For runs without a ``with`` block, when Python ends."""
        if not self._ended and self._owner == os.getpid():
            self._finish(ending(getattr(sys, "last_value", None)))


def start_run(
    name: str | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    note: str = "",
    home: str | Path | None = None,
    seed: int | None = None,
    resume: str | Path | None = None,
    autolog: bool | None = None,
) -> ActiveRun:
    """Begin a run of your own code.

    Without a name, the run that surrounds this one is joined, if there is one: in the same process, in the process that
    started this one, or the one that ``modelwright run`` made. With a name a new run begins, as a child of the surrounding
    one.

    Parameters
    ----------
    name : str, optional
        By default that of the script.
    params : mapping, optional
        Logged at once.
    tags : mapping of str to str, optional
    note : str, default=""
    home : str or Path, optional
        Where runs are kept; by default where the surrounding run is, or ``.modelwright``.
    seed : int, optional
        Seeds `random`, NumPy and torch, and is recorded.
    resume : str or Path, optional
        A run, by identifier, name or folder, to go on with. While its own process lives, it is joined.
    autolog : bool, optional
        Switches `autolog` on or off.

    Returns
    -------
    ActiveRun
        For a ``with`` block. An exception in it ends the run as "failed", Ctrl-C as "interrupted", and is passed on.

    Raises
    ------
    InvalidInputError
        If an argument has a wrong type, or there is no run to resume.
    StorageError
        If the folder cannot be written.

    Examples
    --------
    >>> import modelwright, tempfile
    >>> home = tempfile.mkdtemp()
    >>> with modelwright.start_run("fit", params={"lr": 0.1}, home=home) as run:
    ...     for epoch in range(3):
    ...         run.log_metric("loss", 1 / (1 + epoch), step=epoch)
    >>> modelwright.open_run("fit", home=home).metrics
    {'loss': 0.3333333333333333}
    """
    asked = shown({name_of(key, "param"): plain(key, value) for key, value in (params or {}).items()})
    seed = seed_of(seed)
    if name is not None:
        name_of(name, "run")
    if autolog is not None:
        from modelwright.jobs.autolog import autolog as switch

        switch(autolog)
    outer = surrounding.current()
    if resume is None and (name is not None or outer is None):
        if name is None:
            from modelwright.jobs.origin import script_name

            name = script_name()
        labels = Labels(tags={name_of(key, "tag"): _tag(key, value) for key, value in (tags or {}).items()}, note=str(note))
        return begin(name, params=asked, labels=labels, home=home, seed=seed)
    if tags or note:
        raise InvalidInputError(
            "The run exists already.", where="tags, note", mend="Give them where it begins, or with: modelwright tag"
        )
    if resume is not None:
        run = _resumed(resume, home, outer)
    else:
        assert outer is not None
        run = join(outer.folder)
        surrounding.enter(run)
    if seed is not None:
        seed_everything(seed)
        run.seed = seed
        asked.setdefault("seed", seed)
    if asked:
        run._log.append(Line(time=time.time(), params=asked))
    return run


def begin(
    name: str,
    *,
    params: dict[str, Any] | None = None,
    labels: Labels | None = None,
    home: str | Path | None = None,
    seed: int | None = None,
    kind: Literal["job", "tuning"] = "job",
    parent: str | None = None,
    source: str | None = None,
    metric: str = "",
    greater_is_better: bool | None = None,
    details: dict[str, Any] | None = None,
    enter: bool = True,
    command: list[str] | None = None,
) -> ActiveRun:
    """Begin a run that this process owns, with checked, plain values; what `start_run` and its like are made of.

    Parameters
    ----------
    name, params, labels, home, seed
        As for `start_run`.
    kind, metric, greater_is_better, details
        Of the record (`JobRecord`).
    parent : str, optional
        By default the surrounding run.
    source : str, optional
        By default the script that is running.
    enter : bool, default=True
        Whether the run surrounds what this process does from now on, and its generators are seeded. Not so for a run that
        another process does.
    command : list of str, optional
        By default that of this process.
    """
    from modelwright.jobs.origin import file_of, origin, script

    outer = surrounding.current() if parent is None else None
    parent_id = (outer.id if outer is not None else "") if parent is None else parent
    provenance, diff = origin(file_of(source), command=command, parent=parent_id)
    record = JobRecord(
        id="",
        name=name,
        created="",
        kind=kind,
        parent=parent_id,
        source=script() if source is None else source,
        seed=seed,
        metric=metric,
        greater_is_better=greater_is_better,
        details=details or {},
        provenance=provenance,
    )
    place = Path(home) if home is not None else outer.home if outer is not None else Path(DEFAULT_HOME)
    first = begin_line(time.time(), os.getpid(), socket.gethostname(), params)
    record, folder, log = new_job(place, redacted_value(record), redacted_value(labels or Labels()), first, diff=diff)
    run = ActiveRun(folder, record, log, owner=True, works=enter)
    if enter:
        surrounding.enter(run)
        atexit.register(run._at_exit)
        if seed is not None:
            seed_everything(seed)
    return run


def join(folder: Path) -> ActiveRun:
    """The run of this folder, to log to; whoever owns it ends it."""
    return ActiveRun(folder, read_record(folder), Log(folder / LOG), owner=False)


def _resumed(reference: str | Path, home: str | Path | None, outer: ActiveRun | None) -> ActiveRun:
    from modelwright.store.folders import find_run

    place = Path(home) if home is not None else outer.home if outer is not None else Path(DEFAULT_HOME)
    folder = find_run(reference, place, records=("job.json",)).absolute()
    record = read_record(folder)
    log = Log(folder / LOG)
    owner = log.lock()
    run = ActiveRun(folder, record, log, owner=owner)
    if owner:
        log.append(begin_line(time.time(), os.getpid(), socket.gethostname()))
        atexit.register(run._at_exit)
    surrounding.enter(run)
    return run


def _tag(name: str, value: Any) -> str:
    if not isinstance(value, str | int | float):
        raise InvalidInputError(
            f"A tag is text, not {type(value).__name__}.", where=f"tag {name!r}", mend="Log it as a param instead."
        )
    return writable(str(value), f"tag {name!r}")
