"""Commands that take a model elsewhere: export, container."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.bundle_commands import Home, Model, folder_of


def export(
    model: Model,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="onnx or mlflow.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File (.onnx) or folder (mlflow) to make.")],
    data: Annotated[str | None, typer.Option(metavar="DATA", help="Rows to compare on, besides the golden ones.")] = None,
    home: Home = None,
) -> None:
    """Write a model in another format, after its answers were compared on real rows.

    The comparison is made on the golden rows, and on DATA where it is given. What does not answer as the model does, or
    cannot be converted, is refused with the reason.
    """
    from modelwright.errors import InvalidInputError

    folder = folder_of(model, home)
    rows = None
    if data is not None:
        from modelwright.tables.read import read

        rows = read(data).frame
    if to == "onnx":
        from modelwright.artifacts.onnx.export import export_onnx

        parity = export_onnx(folder, output, rows=rows)
        typer.echo(f"{output}: {parity.n_rows:,} rows compared, largest difference {parity.largest:.2g}, all labels equal.")
    elif to == "mlflow":
        from modelwright.artifacts.pyfunc import write_pyfunc

        n_rows = write_pyfunc(folder, output, rows=rows)
        typer.echo(f"{output}: {n_rows:,} rows give the same bits. Serve it with: mlflow models serve -m {output}")
    else:
        raise InvalidInputError(f"{to!r} is no format.", where="--to", mend="Choose onnx or mlflow.")


def container(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to make.")],
    name: Annotated[str, typer.Option(help="Name under which the model is served.")] = "model",
    wheel: Annotated[
        Path | None, typer.Option(metavar="FILE.whl", help="A wheel of modelwright to install, where no index has it.")
    ] = None,
    kubernetes: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="Write kubernetes.yaml too, for the image of this name.")
    ] = None,
    systemd: Annotated[bool, typer.Option("--systemd", help="Write a systemd unit too.")] = False,
    home: Home = None,
) -> None:
    """Write what a container of a model is built from: Dockerfile, locked requirements, bundle.

    Nothing is built or sent. The container runs as a user without rights and asks for a token from its environment.
    """
    from modelwright.artifacts.container import write_container

    written = write_container(folder_of(model, home), output, name=name, wheel=wheel, kubernetes_image=kubernetes, unit=systemd)
    typer.echo(f"{output}: {', '.join(written)}. Build it with: docker build -t {name.lower()} {output}")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(export)
    app.command()(container)
