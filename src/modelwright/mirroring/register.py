"""The model of a mirrored run in the registry of MLflow: one version a run, found by aliases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.runs.entry import RunEntry
from modelwright.runs.run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Registered(msgspec.Struct, frozen=True):
    """A version in the registry; ``new`` says whether it was made."""

    name: str
    version: str
    aliases: list[str]
    new: bool


def check_register(folder: Path, entry: RunEntry, because: str) -> None:
    """Refuse, before anything is sent, to register what should not be.

    Parameters
    ----------
    folder : Path
    entry : RunEntry
    because : str
        Why it is registered although a barrier stands against it.

    Raises
    ------
    InvalidInputError
        If there is no model, or a barrier and no reason.
    """
    if entry.kind != "training" or not (folder / "model").is_dir():
        raise InvalidInputError(
            f"The run {entry.id!r} has no model to register.", where="--register", mend="Register a training."
        )
    barriers = Run(folder).record.barriers
    if barriers and not because.strip():
        raise InvalidInputError(
            f"The model may not be registered as it is: {' '.join(barriers)}",
            where="--register",
            mend="Settle that, or say why it is right all the same with --because.",
        )


def register(
    client: MlflowClient, entry: RunEntry, mlflow_run: str, source: str, name: str, aliases: Sequence[str], because: str
) -> Registered:
    """Make the version of a run unless it is there, and let the aliases point to it.

    Parameters
    ----------
    client : MlflowClient
    entry : RunEntry
    mlflow_run : str
        Identifier of the run on the server.
    source : str
        Where the model lies.
    name : str
        Of the registered model; made if absent.
    aliases : sequence of str
    because : str
        Kept as a tag.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name)
    there = [each for each in client.search_model_versions(f"name = '{_quoted(name)}'") if each.run_id == mlflow_run]
    tags = {"modelwright.run": entry.id, "modelwright.data": entry.data} | ({"modelwright.because": because} if because else {})
    version = there[0] if there else client.create_model_version(name, source, run_id=mlflow_run, tags=tags)
    for alias in aliases:
        client.set_registered_model_alias(name, alias, version.version)
    return Registered(name=name, version=str(version.version), aliases=list(aliases), new=not there)


def _quoted(name: str) -> str:
    if "'" in name:
        raise InvalidInputError("The name of a model has no quotation marks.", where="--register", mend="Give another name.")
    return name
