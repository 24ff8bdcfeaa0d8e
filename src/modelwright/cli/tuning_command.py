"""The command that searches over a job: tune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.jobs_commands import publish
from modelwright.cli.listing import Artifacts
from modelwright.cli.mirroring import OfRun, mirror_finished, prepared
from modelwright.cli.options import console, option_name, program

if TYPE_CHECKING:
    from modelwright.jobs.tuning.result import Tuning

_OPTIONS = frozenset({
    "job", "param", "select", "points", "strategy", "halving", "trials", "max_time", "max_trial_time", "max_failures", "stop",
    "workers", "ahead", "seed", "name", "resume",
})  # fmt: skip
#: Trials that the summary lists.
_LISTED = 5


def tune(
    job: Annotated[str | None, typer.Argument(help="job.py:function, module:function or script.py.", metavar="JOB")] = None,
    params: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUES", help="lr='log(1e-4,1e-1)', depth='int(1,9)', kind=a,b,c."),
    ] = None,
    select: Annotated[
        str | None, typer.Option("--select", "-s", metavar="METRIC", help="What decides: max:roc_auc, min:loss, min:loss:best.")
    ] = None,
    points: Annotated[str | None, typer.Option(metavar="FILE", help="CSV or JSON file of points to go through.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="tpe, random, grid, list, cmaes or gp.  [default: tpe, or list with --points]")
    ] = None,
    halving: Annotated[
        str | None,
        typer.Option(metavar="RANGE", help="epochs=1..27 raises a parameter for the best; 1..27 stops by steps of the metric."),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="At most so many.  [default: 50 where nothing else ends it]")] = None,
    max_time: Annotated[str | None, typer.Option(metavar="TIME", help="Time of the search, such as 10m or 2h.")] = None,
    max_trial_time: Annotated[
        str | None, typer.Option("--max-trial-time", "--trial-time", metavar="TIME", help="Time that one trial may take.")
    ] = None,
    max_failures: Annotated[int | None, typer.Option(help="Stop after so many failed trials.")] = None,
    stop: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help='"no improvement in 20" or "roc_auc > 0.95"; several: any.')
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", "-w", help="Trials at once.  [default: one a processor]")] = None,
    ahead: Annotated[
        int | None, typer.Option(help="Trials open at once where results decide on later ones.  [default: 8]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same trials.  [default: 0]")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.  [default: from the job]")] = None,
    home: Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with this search, instead of JOB.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print events and result as JSON lines.")] = False,
    artifacts: Artifacts = None,
    mlflow: OfRun = None,
) -> None:
    """Search for the best parameters of a job of your own.

    Every trial is a run, in a process of its own with one thread. Ctrl-C ends the search and keeps what has ended.
    """
    import modelwright
    from modelwright.cli.progress import choose_progress
    from modelwright.errors import SpecError
    from modelwright.jobs.tuning.settings import read_time

    server = prepared(mlflow)
    try:
        budget_s = None if max_time is None else read_time("max_time", max_time)
        space = params_of(params)
        with choose_progress(quiet=quiet, as_json=as_json, budget_s=budget_s) as progress:
            found = modelwright.tune(
                job, space, select=select, points=points, strategy=strategy, halving=halving, trials=trials, max_time=max_time,
                max_trial_time=max_trial_time, max_failures=max_failures, stop=stop or None, workers=workers, ahead=ahead,
                seed=seed, name=name, home=home, resume=resume, on_event=progress,
            )  # fmt: skip
    except SpecError as error:
        raise SpecError(error.what, where=_spelled(error.where), mend=error.mend) from error
    print_tuning(found, quiet=quiet, as_json=as_json)
    publish(found.folder, artifacts)
    trials_of = (found.folder.parent / trial.run for trial in found.counted if trial.run)
    mirror_finished(found.folder, server, quiet=quiet, as_json=as_json, children=trials_of)


def _spelled(where: str) -> str:
    """The place of an error as the command line spells it."""
    key, blank, rest = where.partition(" ")
    return (("JOB" if key == "job" else option_name(key)) if key in _OPTIONS else key) + blank + rest


def params_of(values: list[str] | None) -> dict[str, str] | None:
    """Values by parameter, from texts such as "lr=log(1e-4,1e-1)"."""
    from modelwright.errors import SpecError

    space: dict[str, str] = {}
    for value in values or []:
        name, equals, text = value.partition("=")
        name = name.strip()
        if not (equals and name):
            raise SpecError(f"{value!r} is not NAME=VALUES.", where="param", mend="Write lr='log(1e-4,1e-1)' or depth=2,4,8.")
        if name in space:
            raise SpecError(f"{name!r} is given twice.", where="param", mend=f"Write all its values once: {name}=1,2,4.")
        space[name] = text
    return space or None


def print_tuning(found: Tuning, *, quiet: bool = False, as_json: bool = False) -> None:
    """The result of a search, for people or programs."""
    best = found.best
    if as_json:
        import msgspec

        told = {"type": "Tuning", "run": found.run.id, "folder": str(found.folder), "ended": found.ended, "best": best}
        typer.echo(msgspec.json.encode({**told, "trials": found.counted}).decode())
    elif quiet:
        if best is not None:
            typer.echo(f"{found.settings.selector.metric} {best.value:.6g} {_setting(best.params)} {best.run}")
    else:
        out = console()
        for part in tuning_parts(found):
            out.print(part, highlight=False, markup=False)


def tuning_parts(found: Tuning) -> list[Any]:
    """Best trials, why it ended, where it lies and what can be done next."""
    from rich.table import Table

    from modelwright.jobs.tuning.flow import point_text
    from modelwright.reports.format import duration, metric_title, number

    selector, fixed = found.settings.selector, found.settings.space.fixed
    complete = sorted(
        (trial for trial in found.counted if trial.state == "complete"),
        key=lambda trial: (trial is not found.best, -selector.utility(trial.value or 0.0)),
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("trial", metric_title(selector.metric), "parameters", "time", "run"):
        table.add_column(title, justify="right" if title in ("trial", "time") else "left")
    for trial in complete[:_LISTED]:
        varied = {name: value for name, value in trial.params.items() if name not in fixed}
        table.add_row(str(trial.number), number(trial.value), point_text(varied), duration(trial.seconds), trial.run)
    counts: dict[str, int] = {}
    for trial in found.counted:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    lines = [f"\n{len(found.counted)} trials: {states}."]
    if found.ended is not None:
        lines[0] += f" The search ended: {found.ended.reason}."
    lines += [f"Report  {found.report}"] if found.report.is_file() else []
    if found.ended is not None and found.ended.kind in ("interrupt", "time"):
        lines.append(f"Go on   {program()} tune --resume {found.run.id}")
    return [table, "\n".join(lines)]


def _setting(params: dict[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(params).decode()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tune)
