"""The tracking server: which one it is, whether it answers, and its errors in our words.

Nothing here changes the settings of MLflow that a process of the user may have made (``mlflow.set_tracking_uri`` and its
like); a client of its own is used throughout.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

from modelwright.errors import MissingExtraError, ModelwrightError, SpecError, StorageError
from modelwright.masking import masked
from modelwright.provenance.secrets import expanded, redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI_VARIABLE = "MLFLOW_TRACKING_URI"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
DEFAULT_EXPERIMENT = "modelwright"
_CONNECT_S = 5.0
#: MLflow itself tries seven times with growing pauses and waits two minutes for an answer: too long at the end of a training.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def tracking_uri(given: str | None) -> str:
    """The URI that is meant: as given, else that of ``MLFLOW_TRACKING_URI``.

    Raises
    ------
    SpecError
        If neither names one.
    """
    uri = (given or os.environ.get(URI_VARIABLE) or "").strip()
    if not uri:
        raise SpecError(
            "There is no tracking server to speak to.",
            where=URI_VARIABLE,
            mend="Give its URI, such as http://localhost:5000 or sqlite:///mlflow.db, or set the variable.",
        )
    return uri


def shown_uri(uri: str) -> str:
    """The URI as it may be shown and kept: without a password."""
    return redacted(masked(uri))


def require_mlflow() -> None:
    """Raise `MissingExtraError` where MLflow is not installed."""
    from importlib.util import find_spec

    if find_spec("mlflow") is None:
        raise MissingExtraError("mlflow", "mlflow")


@contextmanager
def connected(uri: str) -> Iterator[MlflowClient]:
    """A client of the server; what goes wrong inside is raised in our words.

    Parameters
    ----------
    uri : str
        ``${NAME}`` stands for a variable of the environment, as in every address.

    Raises
    ------
    MissingExtraError
        If MLflow is not installed.
    StorageError
        If the server does not answer, or refuses.
    """
    require_mlflow()
    address = expanded(uri, where="tracking URI")
    _knock(address, uri)
    before = {name: os.environ.get(name) for name in _PATIENCE}
    os.environ.update({name: value for name, value in _PATIENCE.items() if before[name] is None})
    logger = logging.getLogger("mlflow")
    level = logger.level
    try:
        from mlflow import MlflowClient

        # What MLflow tells in passing would stand between our lines.
        level = logger.level
        logger.setLevel(logging.WARNING)
        yield MlflowClient(tracking_uri=address, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or address)
    except (ModelwrightError, KeyboardInterrupt):
        raise
    except Exception as error:
        if not _of_the_server(error):
            raise
        raise StorageError(
            f"The tracking server refused: {_first_line(error)}",
            where=shown_uri(uri),
            mend="Check that it runs, that it has space, and that you may write to it.",
        ) from error
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _of_the_server(error: Exception) -> bool:
    """Whether MLflow, or what it stands on, speaks; an error of our own code is passed on as it is."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, MlflowException | requests.RequestException | SQLAlchemyError | OSError)


def _knock(address: str, uri: str) -> None:
    """Refuse a server that nobody answers at, at once."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or getproxies():
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise StorageError(
            f"The tracking server does not answer: {getattr(error, 'strerror', None) or error}.",
            where=shown_uri(uri),
            mend="Check the URI and that the server runs.",
        ) from error


def _first_line(error: Exception) -> str:
    text = redacted(masked(str(error))).strip().splitlines()
    first = text[0] if text else type(error).__name__
    return f"{first[:300].rstrip('.')}."


def experiment_id(client: MlflowClient, name: str | None) -> str:
    """The experiment of this name, made if there is none.

    Raises
    ------
    StorageError
        If it was deleted on the server.
    """
    from mlflow.exceptions import MlflowException

    wanted = name or os.environ.get(EXPERIMENT_VARIABLE) or DEFAULT_EXPERIMENT
    found = client.get_experiment_by_name(wanted)
    if found is None:
        try:
            return client.create_experiment(wanted)
        except MlflowException:
            found = client.get_experiment_by_name(wanted)  # another process was faster
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise StorageError(
            f"The experiment {wanted!r} was deleted on the server.",
            where="experiment",
            mend="Restore it there, or name another with --experiment.",
        )
    return found.experiment_id
