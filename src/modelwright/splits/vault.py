"""The vault: evaluation rows in a file of their own, and a line for every time they were read.

Training code receives the training rows only; whoever wants the others asks the vault and leaves a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from modelwright.errors import DataError, StorageError

ROWS = "evaluation.arrow"
OPENINGS = "openings.jsonl"


class Opening(msgspec.Struct, frozen=True):
    """One reading of the evaluation rows; ``count`` is 1 for the first."""

    reason: str
    count: int
    at: str = ""


@dataclass(frozen=True)
class Vault:
    """Sealed rows in a folder.

    Parameters
    ----------
    folder : Path
        Holds ``evaluation.arrow`` and, once opened, ``openings.jsonl``.
    """

    folder: Path

    @classmethod
    def seal(cls, folder: Path, frame: pl.DataFrame) -> Vault:
        """Write the evaluation rows into ``folder``, which is made if absent.

        Raises
        ------
        StorageError
            If the rows cannot be written, or the folder holds sealed rows already.
        """
        path = folder / ROWS
        if path.exists():
            raise StorageError("The folder holds sealed rows already.", where=str(path), mend="Choose another run folder.")
        objects = [name for name, dtype in frame.schema.items() if dtype == pl.Object]
        if objects:
            frame = frame.with_columns(pl.Series(name, [str(v) for v in frame[name].to_list()]) for name in objects)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            frame.write_ipc(path)
        except OSError as error:
            raise StorageError(
                f"The evaluation rows cannot be written: {error}.",
                where=str(path),
                mend="Free disk space or choose another folder.",
            ) from error
        return cls(folder)

    def open(self, reason: str, *, at: str = "") -> pl.DataFrame:
        """The evaluation rows; the opening is entered before they are read.

        Parameters
        ----------
        reason : str
            What they are read for.
        at : str, default=""
            When, as ISO 8601 text; clocks belong to the caller.

        Raises
        ------
        DataError
            If the file of rows is gone.
        """
        path = self.folder / ROWS
        if not path.exists():
            raise DataError("The sealed evaluation rows are missing.", where=str(path), mend="Train again to seal new ones.")
        line = msgspec.json.encode(Opening(reason, len(self.openings()) + 1, at))
        try:
            with (self.folder / OPENINGS).open("ab") as ledger:
                ledger.write(line + b"\n")
        except OSError as error:
            raise StorageError(
                f"The opening cannot be entered: {error}.", where=str(self.folder / OPENINGS), mend="Make the folder writable."
            ) from error
        return pl.read_ipc(path)

    def openings(self) -> list[Opening]:
        """All openings so far, oldest first."""
        path = self.folder / OPENINGS
        if not path.exists():
            return []
        return [msgspec.json.decode(line, type=Opening) for line in path.read_bytes().splitlines() if line.strip()]
