"""The command that plays history through the loop: rehearse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.options import console, list_of_names, types_of

if TYPE_CHECKING:
    from modelwright.retraining.rehearsal.values import Rehearsal


def rehearse(
    data: Annotated[str, typer.Argument(metavar="DATA", help="History: a file, folder or URL as for train.")],
    target: Annotated[str, typer.Option("--target", "-t", help="Column to predict.")],
    time: Annotated[str | None, typer.Option(help="Column that orders the rows.  [default: they stand in order]")] = None,
    policies: Annotated[
        list[str] | None,
        typer.Option("--policy", metavar="[NAME=]FILE", help="A modelwright.toml with a section [policy]; several to compare."),
    ] = None,
    every: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Also: train every N windows, whatever happens.  [default: 8 times]")
    ] = None,
    first: Annotated[float, typer.Option(help="Share of the rows that the first model learns from.")] = 0.2,
    windows: Annotated[int, typer.Option(help="Into how many windows the other rows are cut.")] = 40,
    window_rows: Annotated[int | None, typer.Option(help="Rows of a window, instead.")] = None,
    step: Annotated[
        str | None, typer.Option(metavar="TIME", help="From row to row, where the table holds no dates, such as 30m.")
    ] = None,
    label_delay: Annotated[str | None, typer.Option(metavar="TIME", help="How long labels take, such as 7d.")] = None,
    trials: Annotated[int, typer.Option(help="Trials of each training.")] = 1,
    algorithms: Annotated[list[str] | None, typer.Option("--algorithms", "-a", help="Names.  [default: lightgbm]")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Columns to leave out.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", metavar="COLUMN=TYPE", help="Correct a column type.")] = None,
    metric: Annotated[str | None, typer.Option(help="What counts.  [default: the usual one of the task]")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rehearsal as a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result alone.")] = False,
) -> None:
    """Play history through monitoring, triggers, retraining and gate under several policies, and compare them.

    A model that is never trained again and one that is trained by the calendar run beside them. Nothing is kept but the page.
    """
    import msgspec

    from modelwright.api_rehearsal import rehearse as play
    from modelwright.cli.comparing import write_page
    from modelwright.cli.rehearsed import Told

    options: dict[str, Any] = {
        "exclude": list_of_names(exclude), "types": types_of(types), "metric": metric,
    }  # fmt: skip
    with Told(quiet=quiet or as_json) as told:
        found = play(
            data, target=target, time=time, policies=_policies(policies), every=every or None, first=first, windows=windows,
            window_rows=window_rows, step=step, label_delay=label_delay, trials=trials,
            algorithms=list_of_names(algorithms) or ("lightgbm",), on_window=told, **options,
        )  # fmt: skip
    if html is not None:
        from modelwright.reports.rehearsal_page import render_rehearsal

        write_page(html, render_rehearsal(found))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        _show(found)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rehearse)


def _policies(given: list[str] | None) -> dict[str, Any] | None:
    """Policies by name, from files."""
    if not given:
        return None
    from modelwright.errors import InvalidInputError
    from modelwright.spec import read_toml

    found = {}
    for text in given:
        name, equals, path = text.partition("=")
        name, path = (name, path) if equals else (Path(text).stem, text)
        section = read_toml(Path(path)).get("policy")
        if section is None:
            raise InvalidInputError(f"{path} has no section [policy].", where="--policy", mend="Write one; see docs/policy.md.")
        if name in found:
            raise InvalidInputError(f"Two policies are called {name!r}.", where="--policy", mend="Write --policy NAME=FILE.")
        found[name] = section
    return found


def _show(found: Rehearsal) -> None:
    from rich.table import Table

    from modelwright.reports.format import duration, metric_title, number
    from modelwright.reports.rehearsal_page import verdict

    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for title in ("policy", metric_title(found.metric), "gain", "95 %", "retrained", "went live", "training time"):
        table.add_column(title, justify="left" if title == "policy" else "right", no_wrap=title != "policy")
    for life in found.lives:
        gain = found.gain(life)
        against = ("", "") if life is found.lives[0] else (f"{gain.value:+.4g}", f"{gain.low:+.3g} to {gain.high:+.3g}")
        cells = (str(life.n_trained), str(life.promoted), duration(life.seconds) if life.retrained else "")
        table.add_row(life.name, number(life.score), *against, *cells)
    screen = console()
    screen.print(table)
    screen.print(verdict(found), highlight=False)
