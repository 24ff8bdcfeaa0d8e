"""Commands about a model on disk: inspect, and bundle export, import, verify, sign and keygen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.options import console, program

Model = Annotated[
    str, typer.Argument(help="Model folder, run folder, run by identifier or name, or churn@champion.", metavar="MODEL")
]
Home = Annotated[str | None, typer.Option(help="Folder that holds the runs.  [default: .modelwright]")]
Features = Annotated[
    str | None, typer.Option(metavar="FILE.py", help="File of the function that derives columns, if it was moved.")
]
TrustedKeys = Annotated[
    list[str] | None, typer.Option("--trusted-key", metavar="FILE.pub", help="A public key, one of which must have signed it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]

bundle = typer.Typer(name="bundle", help="Move, verify and sign a model.", rich_markup_mode=None)


def inspect(model: Model, home: Home = None, as_json: AsJson = False) -> None:
    """Tell what is inside a model without loading it."""
    from modelwright.artifacts.inspect import inspect_bundle
    from modelwright.cli.bundled import print_inspected

    found = inspect_bundle(folder_of(model, home))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(found).decode())
    else:
        print_inspected(console(), found)


@bundle.command()
def export(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.tar.gz", help="File to write.")],
    home: Home = None,
) -> None:
    """Write a model into one file; the same model gives the same bytes."""
    from modelwright.artifacts.archive import export_bundle

    manifest = export_bundle(folder_of(model, home), output)
    typer.echo(f"{len(manifest.files) + 1} files, {output.stat().st_size:,} bytes: {output}")


@bundle.command("import")
def import_(
    archive: Annotated[Path, typer.Argument(help="File made by bundle export.", metavar="ARCHIVE")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to make.  [default: name of the archive]")
    ] = None,
    trusted_keys: TrustedKeys = None,
    features: Features = None,
    most: Annotated[str, typer.Option("--max-size", metavar="SIZE", help="Bytes that it may unpack to.")] = "8GB",
) -> None:
    """Unpack a model, verify it, and load it once in a process of its own."""
    from modelwright.artifacts.archive import import_bundle
    from modelwright.spec_values import parse_size

    folder = output or Path(archive.name.removesuffix(".gz").removesuffix(".tar"))
    most_bytes = int(parse_size(most))
    import_bundle(archive, folder, trusted_keys=trusted_keys or (), features=features, most_bytes=most_bytes)
    typer.echo(f"{folder}: verified, loaded and replayed. See it with: {program()} inspect {folder}")


@bundle.command()
def verify(
    model: Model,
    trusted_keys: TrustedKeys = None,
    identity: Annotated[
        str | None, typer.Option(metavar="WHO", help="Who must have signed it through Sigstore: an address, a pipeline.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(metavar="URL", help="Who vouches for that identity.")] = None,
    openssf_key: Annotated[Path | None, typer.Option(metavar="FILE.pem", help="Public key of its OpenSSF signature.")] = None,
    features: Features = None,
    home: Home = None,
) -> None:
    """Compare digests and signature, and replay the golden rows in a process of its own."""
    from modelwright.artifacts.inspect import inspect_bundle
    from modelwright.artifacts.probe import probe_bundle

    if (identity is None) != (issuer is None):
        from modelwright.errors import InvalidInputError

        raise InvalidInputError(
            "An identity means nothing without who vouches for it.", where="--identity and --issuer", mend="Give both."
        )
    folder = folder_of(model, home)
    if identity is not None and issuer is not None:
        from modelwright.artifacts.openssf import verify_identity

        verify_identity(folder, identity, issuer)
    if openssf_key is not None:
        from modelwright.artifacts.openssf import verify_key

        verify_key(folder, openssf_key)
    probe_bundle(folder, trusted_keys=trusted_keys or (), features=features)
    found = inspect_bundle(folder)
    by = [found.signed_by or ""] if trusted_keys else []
    by += [identity] if identity is not None else []
    by += [f"the key of {openssf_key}"] if openssf_key is not None else []
    signed = f"signed by {' and '.join(by)}" if by else "no signature asked for"
    replayed = f"{found.n_golden} golden rows give the stored bits" if found.n_golden else "it has no golden rows"
    typer.echo(f"{folder} is whole: {len(found.files)} digests fit, {signed}, it loads, {replayed}.\ndigest {found.digest}")


@bundle.command()
def sign(
    model: Model,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Private key, as made by bundle keygen.")] = None,
    sigstore: Annotated[bool, typer.Option("--sigstore", help="Sign as yourself or your pipeline, through Sigstore.")] = False,
    openssf_key: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", help="Private elliptic-curve key, for an OpenSSF signature.")
    ] = None,
    token: Annotated[
        str | None, typer.Option("--identity-token", envvar="SIGSTORE_ID_TOKEN", help="For --sigstore; else a browser asks.")
    ] = None,
    home: Home = None,
) -> None:
    """Sign a model, with a private key or through Sigstore."""
    from modelwright.artifacts.bundle import verify_bundle
    from modelwright.artifacts.signing import sign_bundle

    if (key is not None) + sigstore + (openssf_key is not None) != 1:
        from modelwright.errors import InvalidInputError

        raise InvalidInputError(
            "A signature is made in one way.", where="bundle sign", mend="Give one of --key, --sigstore and --openssf-key."
        )
    folder = own_folder_of(model, home)
    if key is None:
        from modelwright.artifacts.openssf import sign_by_identity, sign_by_key

        made = sign_by_identity(folder, token) if openssf_key is None else sign_by_key(folder, openssf_key)
        typer.echo(f"{folder}: signed in {made.name}.")
        return
    verify_bundle(folder)
    typer.echo(f"{folder}: signed by {sign_bundle(folder, key).key}.")


@bundle.command()
def keygen(
    key: Annotated[Path, typer.Argument(help="File of the private key; the public one gets .pub.", metavar="FILE")],
) -> None:
    """Make a pair of keys to sign models with."""
    from modelwright.artifacts.signing import make_keys

    public, fingerprint = make_keys(key)
    typer.echo(f"private {key} (keep it to yourself)\npublic  {public}\nkey     {fingerprint}")


def folder_of(model: str, home: str | None) -> Path:
    """The bundle that a folder, a registered model, or the identifier or name of a run means."""
    from modelwright.cli.place import home_and_store
    from modelwright.registry.find import find_bundle

    return find_bundle(model, *home_and_store(home))


def own_folder_of(model: str, home: str | None) -> Path:
    """As `folder_of`, but no registered model: its folder never changes."""
    from modelwright.artifacts.manifest import MANIFEST_FILE
    from modelwright.cli.place import home_and_store
    from modelwright.store.folders import find_run

    folder = Path(model)
    return folder if (folder / MANIFEST_FILE).is_file() else find_run(model, home_and_store(home)[0]) / "model"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(inspect)
    app.add_typer(bundle)
