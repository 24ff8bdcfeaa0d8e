"""What can go wrong, as types a caller can act on.

::

    ModelwrightError
    ├── InvalidInputError      what was given cannot be used; nothing was written (exit code 2)
    │   ├── SpecError          an option, a keyword or a key of modelwright.toml
    │   ├── DataError          the table: unreadable, empty, or not fit for the purpose
    │   └── SchemaError        rows to predict that do not match what the model was trained on
    ├── MissingExtraError      an optional dependency is not installed (exit code 2)
    ├── BundleError            a model folder is damaged, incomplete or of another format (exit code 2)
    ├── StorageError           the disk or the store refused a write (exit code 2)
    └── TrainingError          no model could be trained, although the input was fine (exit code 1)

Every message answers three questions: what was wrong, where, and what mends it. The three parts are kept
apart so that the command line, a server and a notebook can each lay them out.
"""

from __future__ import annotations


class ModelwrightError(Exception):
    """Base of every error raised on purpose.

    Parameters
    ----------
    what : str
        What was wrong, with the value received.
    where : str, default=""
        Column, row, file, step or key.
    mend : str, default=""
        What to do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} {self.mend}" if self.mend else text


class InvalidInputError(ModelwrightError, ValueError):
    """What was given cannot be used as it is."""

    exit_code = 2


class SpecError(InvalidInputError):
    """An option, a keyword argument or a key of ``modelwright.toml`` is wrong."""


class DataError(InvalidInputError):
    """A table cannot be read, or cannot serve the purpose it was given for."""


class SchemaError(InvalidInputError):
    """Rows to predict do not match the columns that the model was trained on."""


class MissingExtraError(ModelwrightError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package : str
        The package that could not be imported.
    extra : str
        The extra of modelwright that brings it.
    """

    exit_code = 2

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{package} is not installed.",
            mend=f"Install it with: pip install 'modelwright[{extra}]'",
        )


class BundleError(ModelwrightError):
    """A model folder is damaged, incomplete, or of a format this version cannot read."""

    exit_code = 2


class StorageError(ModelwrightError):
    """The disk or the store refused a write."""

    exit_code = 2


class TrainingError(ModelwrightError):
    """No model could be trained although the input was accepted."""
