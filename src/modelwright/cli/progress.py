"""Drawing the events of a training: live on a terminal, lines elsewhere, JSON for machines, or nothing.

Progress goes to stderr, so that stdout holds the result and nothing else; JSON lines are themselves the result
and go to stdout.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

import msgspec

from modelwright.events import Event, Finished, Noted, StepStarted, TrialFinished
from modelwright.reports.format import duration, metric_title, number, shortened

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: The steps in order, with what they do in words.
STEPS = {
    "read": "reading the table",
    "audit": "looking for leaks and faults",
    "split": "sealing the evaluation rows",
    "baseline": "fitting the baselines",
    "search": "searching",
    "fit": "fitting the final model",
    "evaluate": "opening the sealed rows, once",
    "package": "writing model and report",
}
#: Refreshes of the live display in a second; more would take time from the fits.
_REFRESH_PER_S = 4


class Progress(Protocol):
    """Draws events between entering and leaving."""

    def __call__(self, event: Event) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def event_line(event: Event) -> str:
    """One event as one line of text; "" for those that say nothing to a reader.

    Examples
    --------
    >>> event_line(StepStarted(elapsed_s=1.25, step="split"))
    '    1.2 s  split     sealing the evaluation rows'
    """
    match event:
        case StepStarted(step=step, message=message):
            text = f"{step:<9} {message or STEPS.get(step, '')}"
        case Noted(message=message):
            text = f"{'':9} {message}"
        case TrialFinished():
            text = f"{'trial':<9} {trial_text(event)}"
        case _:
            return ""
    return f"{duration_column(event.elapsed_s)}  {text}".rstrip()


def duration_column(seconds: float) -> str:
    """Elapsed seconds, right-aligned."""
    return f"{seconds:7.1f} s"


def trial_text(event: TrialFinished) -> str:
    """What a trial gave, the best so far, and the time left."""
    if event.state == "complete":
        outcome = f"{metric_title(event.metric)} {number(event.score)}"
    else:
        outcome = event.state + (f": {shortened(event.error.splitlines()[0], 100)}" if event.error.strip() else "")
    parts = [f"{event.number:>3} {event.algorithm}" + (f" ({event.stage})" if event.stage else ""), outcome]
    if event.best is not None:
        parts.append(f"best {number(event.best)}")
    if event.time_left_s is not None:
        parts.append(f"{duration(max(0.0, event.time_left_s))} left")
    return " · ".join(parts)


class Silence:
    """Draws nothing (``--quiet``)."""

    def __call__(self, event: Event) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return


class Lines(Silence):
    """One plain line an event, for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def __call__(self, event: Event) -> None:
        if line := event_line(event):
            print(line, file=self._stream, flush=True)


class JsonLines(Silence):
    """One JSON object an event, on stdout."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def __call__(self, event: Event) -> None:
        print(msgspec.json.encode(event).decode(), file=self._stream, flush=True)


class Live(Silence):
    """A display that stays in place: the steps, the trial, the best score so far and the time left.

    What was inferred and decided scrolls above it and stays readable.
    """

    def __init__(self, console: Console, budget_s: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.live import Live as RichLive

        self._console = console
        self._budget_s = budget_s
        self._clock = clock
        self._begun = clock()
        self._steps: list[str] = []
        self._trial: TrialFinished | None = None
        self._counts: dict[str, int] = {}
        self._display = RichLive(
            console=console, refresh_per_second=_REFRESH_PER_S, get_renderable=self.renderable, transient=True
        )

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._display.stop()

    def __call__(self, event: Event) -> None:
        from rich.text import Text

        # The flow's clock began before this object was made; follow it.
        self._begun = min(self._begun, self._clock() - event.elapsed_s)
        match event:
            case StepStarted(step=step, message=message):
                self._steps.append(step)
                # In one piece: the display is drawn anew after every print.
                line = Text.assemble((f"{duration_column(event.elapsed_s)}  ", "dim"), (f"{step:<9} ", "bold"))
                self._console.print(line + Text(message or STEPS.get(step, "")), highlight=False)
            case Noted(message=message):
                self._console.print(" " * 21 + message, markup=False, highlight=False, style="dim")
            case TrialFinished():
                self._trial = event
                self._counts[event.state] = self._counts.get(event.state, 0) + 1
            case Finished():
                self._display.update(self.renderable())

    def renderable(self) -> RenderableType:
        """The display as it stands now."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        elapsed = max(0.0, self._clock() - self._begun)
        grid = Table.grid(padding=(0, 1))
        where = self._steps[-1] if self._steps else "starting"
        if self._budget_s is None:
            grid.add_row(Text(f"{where:<9}", style="bold cyan"), Text(f"{duration(elapsed)} so far"))
        else:
            left = max(0.0, self._budget_s - elapsed)
            bar = ProgressBar(total=self._budget_s, completed=min(elapsed, self._budget_s), width=30)
            grid.add_row(Text(f"{where:<9}", style="bold cyan"), bar, Text(f"{duration(left)} left"))
        if self._trial is None:
            return grid
        counts = ", ".join(f"{count} {state}" for state, count in self._counts.items())
        lines = Table.grid()
        lines.add_row(grid)
        lines.add_row(Text(f"trials    {counts}", style="dim"))
        last = msgspec.structs.replace(self._trial, best=None, time_left_s=None)
        lines.add_row(Text(f"last      {trial_text(last)}"))
        if self._trial.best is not None:
            lines.add_row(Text(f"best      {metric_title(self._trial.metric)} {number(self._trial.best)}", style="bold green"))
        return lines


def choose_progress(*, quiet: bool, as_json: bool, budget_s: float | None) -> Progress:
    """The drawing that suits the options and the place where stderr goes."""
    if as_json:
        return JsonLines()
    if quiet:
        return Silence()
    if not sys.stderr.isatty():
        return Lines()
    from rich.console import Console

    return Live(Console(stderr=True), budget_s)
