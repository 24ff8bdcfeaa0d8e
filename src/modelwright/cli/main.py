"""The commands.

Nothing heavier than Typer is imported before a command runs, so that ``modelwright --help`` answers at once; a test
holds it to that.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwright.cli import (
    alerting_commands,
    bundle_commands,
    checking,
    comparing,
    export_commands,
    gating,
    jobs_commands,
    listing,
    looking,
    mirroring,
    monitoring,
    policy_commands,
    predict_command,
    registering,
    rehearsing,
    reproducing,
    resuming,
    retraining_commands,
    serving_commands,
    store_commands,
    tuning_command,
)
from modelwright.cli.failure import INTERRUPTED, interrupts_told, report_failure, usage_error
from modelwright.cli.headings import HeadedGroup, with_one_command
from modelwright.cli.options import (
    console,
    features_of,
    hyperparams_of,
    list_of_names,
    missing_values_of,
    option_name,
    program,
    types_of,
)
from modelwright.cli.place import home_with
from modelwright.cli.watched import tell_unwatched
from modelwright.learners.lean_import import own_process
from modelwright.version import __version__

app = typer.Typer(
    name="modelwright",
    cls=HeadedGroup,
    help="A table in, a trained and honestly scored model out.",
    add_completion=True,
    pretty_exceptions_enable=False,
    # Plain help pages: the rich ones cost half of the 0.3 s that a help page may take.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[str | None, typer.Argument(help="File, folder, glob or URL of the rows to learn from.", metavar="DATA")]
Target = Annotated[str | None, typer.Option("--target", "-t", help="Column to predict; without one, rows are clustered.")]
Home = Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")]
Query = Annotated[str | None, typer.Option(help="SQL, when the rows come from a database URL.")]


@app.command()
def train(
    data: Data = None,
    target: Target = None,
    task: Annotated[str | None, typer.Option(help="binary, multiclass, regression or clustering.  [default: inferred]")] = None,
    metric: Annotated[str | None, typer.Option(help="What the search improves.  [default: the usual one of the task]")] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", "-b", help="Time for everything, such as 60s, 5m or 2h.  [default: 5m]")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Stop after this many trials; alone, no clock is set.")] = None,
    algorithms: Annotated[str | None, typer.Option("--algorithms", "-a", help="Names to choose from, comma separated.")] = None,
    time_column: Annotated[
        str | None, typer.Option("--time", metavar="COLUMN", help="When a row happened; the latest rows are sealed.")
    ] = None,
    group: Annotated[str | None, typer.Option(metavar="COLUMN", help="Equal values stay on one side of the split.")] = None,
    weight: Annotated[str | None, typer.Option(metavar="COLUMN", help="Row weights.")] = None,
    positive: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class of a binary target that counts as positive.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="COLUMNS", help="Columns to leave out; comma separated.")] = None,
    evaluation: Annotated[
        str | None, typer.Option(help="Share of rows to seal, a table of its own, or none.  [default: 0.2]")
    ] = None,
    types: Annotated[list[str] | None, typer.Option("--type", metavar="COLUMN=TYPE", help="Correct an inferred type.")] = None,
    missing_values: Annotated[
        list[str] | None, typer.Option("--missing-value", metavar="[COLUMN=]VALUE", help='A cell value that means "missing".')
    ] = None,
    gap: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Time left out between training and later rows, such as 7d.")
    ] = None,
    partition: Annotated[
        str | None, typer.Option(metavar="RULE", help="random, group, time or group_time.  [default: by the roles]")
    ] = None,
    reserve: Annotated[str | None, typer.Option(metavar="SHARE", help="Share of rows sealed besides, as a reserve.")] = None,
    open_reserve: Annotated[bool, typer.Option("--open-reserve", help="Evaluate on the reserve, after ten openings.")] = False,
    purpose: Annotated[str | None, typer.Option(help="Why the sealed rows are opened; stands in the ledger.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 3 if a critical finding is not waived.")] = False,
    known: Annotated[list[str] | None, typer.Option(metavar="COLUMNS", help="Later dates that are known beforehand.")] = None,
    cost: Annotated[
        str | None, typer.Option(metavar="fp=1,fn=20", help="What errors cost; the threshold makes the expected cost least.")
    ] = None,
    floor: Annotated[
        str | None, typer.Option(metavar="recall=0.9", help="Least recall or precision that the threshold must hold.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Fit the final model with so many seeds, to show their spread.")] = None,
    sensitive: Annotated[
        list[str] | None, typer.Option(metavar="COLUMNS", help="Tell the metrics apart by the values of these.")
    ] = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help="Database of the ledger.  [default: SQLite in home]")] = None,
    artifacts: Annotated[str | None, typer.Option(metavar="URL", help="Publish the finished run at this address too.")] = None,
    sampler: Annotated[
        str | None, typer.Option(help="Who proposes hyperparameters: tpe, cmaes, gp, random or grid.  [default: tpe]")
    ] = None,
    hyperparams: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="ALGORITHM.NAME=VALUES", help="Values to try: lightgbm.num_leaves=15,63."),
    ] = None,
    max_trial_time: Annotated[str | None, typer.Option(metavar="TIME", help="Time that one fit may take.")] = None,
    max_failures: Annotated[int | None, typer.Option(help="Stop after so many failed fits.")] = None,
    max_latency: Annotated[str | None, typer.Option(metavar="TIME", help="Time that one row may take, such as 1ms.")] = None,
    max_size: Annotated[str | None, typer.Option(metavar="SIZE", help="Size of the packaged model, such as 20MB.")] = None,
    max_fit_memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory that one fit may take.")] = None,
    interpretable: Annotated[bool, typer.Option("--interpretable", help="Only models that a person can read.")] = False,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME=EXPRESSION", help="A derived column, such as 'each=rooms/persons'.")
    ] = None,
    features: Annotated[str | None, typer.Option(metavar="FILE.py:FUNCTION", help="Function that derives columns.")] = None,
    select_features: Annotated[bool, typer.Option("--select-features", help="Leave out columns that do not help.")] = False,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME=TEXT", help="Label the run, such as team=risk; may be repeated.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="A sentence about the run.")] = None,
    fail_if: checking.FailIf = None,
    summary: checking.Summary = None,
    junit: checking.JUnit = None,
    mlflow: mirroring.OfRun = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same run.  [default: 0]")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.  [default: from the data]")] = None,
    home: Home = None,
    query: Query = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print events and result as JSON lines.")] = False,
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Train a model and score it on rows that nothing has seen.

    What is not given here is taken from modelwright.toml in the working folder.
    """
    # Before the imports: they are part of the budget.
    started = time.monotonic()
    from modelwright.api import train_spec
    from modelwright.cli.jobs_commands import tags_of
    from modelwright.cli.progress import choose_progress
    from modelwright.errors import SpecError
    from modelwright.spec import FILE_NAME, resolve_spec

    overrides = {
        "data": data, "target": target, "task": task, "metric": metric, "budget": budget, "trials": trials,
        "algorithms": algorithms, "time": time_column, "group": group, "weight": weight, "positive": positive,
        "exclude": list_of_names(exclude), "evaluation": evaluation, "types": types_of(types),
        "missing_values": missing_values_of(missing_values), "seed": seed, "name": name, "home": home, "query": query,
        "gap": gap, "partition": partition, "reserve": reserve, "open_reserve": open_reserve or None, "purpose": purpose,
        "strict": strict or None,
        "known": list_of_names(known), "cost": cost, "floor": floor, "repeats": repeats,
        "sensitive": list_of_names(sensitive), "store": store, "artifacts": artifacts, "sampler": sampler,
        "hyperparams": hyperparams_of(hyperparams), "max_trial_time": max_trial_time, "max_failures": max_failures,
        "max_latency": max_latency, "max_size": max_size, "max_fit_memory": max_fit_memory,
        "interpretable": interpretable or None, "features": features_of(feature, features),
        "select_features": select_features or None, "tags": tags_of(tags) or None, "note": note,
    }  # fmt: skip
    file = Path(FILE_NAME)
    spec = resolve_spec(file if file.is_file() else None, overrides, naming=option_name)
    if spec.data is None:
        raise SpecError(
            "There is no table to learn from.",
            where="DATA",
            mend=f"Give one: modelwright train rows.csv (or data = in {FILE_NAME}).",
        )
    gates = checking.prepared(fail_if, summary, junit)
    server = mirroring.prepared(mlflow)
    with interrupts_told(), choose_progress(quiet=quiet, as_json=as_json, budget_s=spec.budget_s) as progress:
        run = train_spec(spec, on_event=progress, started=started)
    _print_result(run.record, run.folder, quiet=quiet, as_json=as_json)
    tell_unwatched(Path(spec.home), spec.store)
    if open_report:
        import webbrowser

        webbrowser.open(run.report.resolve().as_uri())
    mirroring.mirror_finished(run.folder, server, quiet=quiet, as_json=as_json)
    checking.judge(run.folder, gates, summary, junit, quiet=quiet, as_json=as_json)
    if spec.strict and any(finding.bars_promotion for finding in run.record.findings):
        from modelwright.cli.audited import STRICT_EXIT

        raise typer.Exit(STRICT_EXIT)


@app.command()
def init(
    data: Annotated[str, typer.Argument(help="File, folder, glob or URL of the rows to learn from.")],
    target: Target = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented modelwright.toml for a table."""
    from modelwright.errors import SpecError
    from modelwright.spec import FILE_NAME, resolve_spec
    from modelwright.spec_template import write_template
    from modelwright.training.prepare import read_source

    file = Path(FILE_NAME)
    spec = resolve_spec(None, {"data": data, "target": target}, naming=option_name)
    if file.exists() and not force:
        raise SpecError(f"{FILE_NAME} exists already and was left as it is.", mend="Edit it, or replace it with --force.")
    source = read_source(spec)
    write_template(file, spec, force=force)
    typer.echo(f"{source.description}: {source.frame.height:,} rows, {source.frame.width} columns; {source.task}.")
    typer.echo(f"Wrote {file}. Look through it, then run: {program()} train")


@app.command()
def algorithms(
    name: Annotated[str | None, typer.Argument(help="Tell everything about this one.")] = None,
) -> None:
    """List the algorithms, or describe one.

    The description says what it minimises, what it trains, what can be tuned, and when to use it.
    """
    from modelwright.cli.describe import algorithm_list, algorithm_page
    from modelwright.learners import registry

    out = console()
    if name is None:
        out.print(algorithm_list([(registry.get(each).algorithm, registry.available(each)) for each in registry.names()]))
        out.print(f"\nMore about one: {program()} algorithms lightgbm", highlight=False)
        return
    for part in algorithm_page(registry.get(name).algorithm, registry.available(name)):
        out.print(part, highlight=False)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="Run folder, or the identifier or name of a run.")],
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    artifacts: listing.Artifacts = None,
) -> None:
    """Show the summary of a run of any kind."""
    from modelwright.runs.folder import RECORD
    from modelwright.runs.shown import folder_or_entry

    folder, entry = folder_or_entry(run, home_with([run], home, artifacts))
    if folder is not None and (folder / RECORD).is_file():
        from modelwright.cli.shown import origin_lines
        from modelwright.runs.run import Run

        record = Run(folder).record
        _print_result(record, folder, quiet=False, as_json=as_json)
        if as_json:
            return
        typer.echo("\n".join(origin_lines(record)), nl=record.provenance is not None)
    from modelwright.cli.shown import entry_json, entry_lines, label_lines

    if as_json:
        typer.echo(entry_json(entry, folder))
    elif folder is not None and entry.kind == "tuning":
        from modelwright.cli.tuning_command import print_tuning
        from modelwright.jobs.tuning.result import search_of

        typer.echo("\n".join(entry_lines(entry, folder, program())) + "\n")
        if (found := search_of(folder)) is not None:
            print_tuning(found)
    elif entry.kind == "training" and folder is not None:
        typer.echo("\n".join(label_lines(entry)), nl=bool(entry.tags or entry.note))
    else:
        typer.echo("\n".join(entry_lines(entry, folder, program())))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _version_and_leave(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


predict_command.register(app)
reproducing.register(app)
looking.register(app)
registering.register(app)
resuming.register(app)
jobs_commands.register(app)
listing.register(app)
comparing.register(app)
checking.register(app)
mirroring.register(app)
tuning_command.register(app)
rehearsing.register(app)
store_commands.register(app)
serving_commands.register(app)
monitoring.register(app)
retraining_commands.register(app)
gating.register(app)
bundle_commands.register(app)
export_commands.register(app)
policy_commands.register(app)
alerting_commands.register(app)


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version_and_leave, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A table in, a trained and honestly scored model out."""


def _print_result(record: Any, folder: Path, *, quiet: bool, as_json: bool) -> None:
    from modelwright.cli.render import print_summary, quiet_lines, result_json

    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(result_json(record, folder)).decode())
    elif quiet:
        typer.echo("\n".join(quiet_lines(record, folder)))
    else:
        print_summary(console(), record, folder, program=program())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Exit codes: 0 done, 1 failed although the input was fine, 2 the input or an option is wrong, 3 a critical finding with
    --strict or an alarm with --fail-on, 4 a gate of --fail-if, 130 interrupted.
    """
    given = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if arguments is None:
        own_process()
    try:
        chosen = with_one_command(app, given[0])
        code = chosen(args=mirroring.with_optional_values(given), prog_name="modelwright", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except typer.TyperException as error:
        code = report_failure(usage_error(error), as_json="--json" in given)
    except BrokenPipeError:
        # The reader of a pipe has gone; there is nobody left to tell.
        sys.stderr.close()
        code = 1
    except Exception as error:
        code = report_failure(error, as_json="--json" in given)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
