"""What a rehearsal tells while it runs: a bar on a screen, a line for each retraining elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

import typer


class Told:
    """Draws windows as they pass; a context."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Told:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, name: str, done: int, n_windows: int, happened: str) -> None:
        """Tell of a window."""
        if self._bar is not None:
            if name not in self._tasks:
                self._tasks[name] = self._bar.add_task(name, total=n_windows)
            self._bar.update(self._tasks[name], completed=done)
        if happened and not self._quiet:
            line = f"{name}, window {done}: {happened}"
            if self._bar is not None:
                self._bar.console.print(line, highlight=False)
            else:
                typer.echo(line, err=True)
