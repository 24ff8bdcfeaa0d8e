"""The vault: sealed rows in a file of their own, which is read only with a permit.

::

    RUN/vault/evaluation.arrow, evaluation.json    the evaluation rows, and what they are
    RUN/vault/reserve.arrow, reserve.json          the reserve, where there is one

Training code receives the training rows only. A `Permit` comes from an opening of the ledger
(`modelwright.store.ledger`), which counts the look and needs a reason.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from modelwright.errors import DataError, InvalidInputError, StorageError
from modelwright.splits.looks import Part

_BLOCK = 1 << 20


class SealedRows(msgspec.Struct, frozen=True):
    """What sealed rows are, without the rows.

    Parameters
    ----------
    identity : str
        64 hexadecimal digits: the same data, target and rows have the same identity in every run.
    part : {"evaluation", "reserve"}
    data : str
        Fingerprint of the table they were taken from.
    target : str
        Column to predict; empty for clustering.
    n_rows : int
    file_hash : str
        SHA-256 of the file that holds the rows.
    before : str, default=""
        Identity of the evaluation rows that must be worn before this reserve is opened.
    """

    identity: str
    part: Part
    data: str
    target: str
    n_rows: int
    file_hash: str
    before: str = ""


class Permit:
    """The right to read the rows of one vault while an opening lasts; the ledger gives it and ends it.

    Parameters
    ----------
    vault : str
        Identity of the sealed rows.
    """

    def __init__(self, vault: str) -> None:
        self.vault = vault
        self.valid = True


def identity(rows_digest: str, target: str | None, part: Part) -> str:
    """Identity of sealed rows.

    Parameters
    ----------
    rows_digest : str
        Digest of the table's fingerprint and the row positions (`Split.digest`), or the fingerprint of an evaluation
        table of its own.
    target : str or None
        With another target the same rows are another vault: a score tells about the values it was computed from.
    part : {"evaluation", "reserve"}
    """
    return hashlib.sha256(f"modelwright vault 1\n{part}\n{rows_digest}\n{target or ''}".encode()).hexdigest()


@dataclass(frozen=True)
class Vault:
    """Sealed rows in a folder.

    Parameters
    ----------
    folder : Path
    about : SealedRows
    """

    folder: Path
    about: SealedRows

    @classmethod
    def seal(
        cls,
        folder: Path,
        frame: pl.DataFrame,
        *,
        data: str,
        rows_digest: str,
        target: str | None,
        part: Part = "evaluation",
        before: Vault | None = None,
    ) -> Vault:
        """Write the rows to be sealed into ``folder``, which is made if absent.

        Parameters
        ----------
        folder : Path
        frame : DataFrame
        data : str
            Fingerprint of the table they were taken from.
        rows_digest, target, part
            As in `identity`.
        before : Vault or None
            For a reserve: the evaluation rows that must be worn first.

        Raises
        ------
        StorageError
            If the rows cannot be written, or the folder holds sealed rows already.
        """
        path = folder / f"{part}.arrow"
        if path.exists():
            raise StorageError("The folder holds sealed rows already.", where=str(path), mend="Choose another run folder.")
        objects = [name for name, dtype in frame.schema.items() if dtype == pl.Object]
        if objects:
            frame = frame.with_columns(pl.Series(name, [str(v) for v in frame[name].to_list()]) for name in objects)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            frame.write_ipc(path)
            about = SealedRows(
                identity=identity(rows_digest, target, part),
                part=part,
                data=data,
                target=target or "",
                n_rows=frame.height,
                file_hash=_file_hash(path),
                before="" if before is None else before.about.identity,
            )
            path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(about)))
        except OSError as error:
            raise StorageError(
                f"The {part} rows cannot be written: {error}.",
                where=str(path),
                mend="Free disk space or choose another folder.",
            ) from error
        return cls(folder, about)

    @classmethod
    def of(cls, folder: Path, part: Part = "evaluation") -> Vault:
        """The vault of a run that is there already.

        Raises
        ------
        DataError
            If the folder holds no such sealed rows.
        """
        path = folder / f"{part}.json"
        try:
            return cls(folder, msgspec.json.decode(path.read_bytes(), type=SealedRows))
        except OSError:
            raise DataError(
                f"There are no sealed {part} rows.", where=str(path), mend=f"Train with {part} rows, or give another run."
            ) from None
        except msgspec.DecodeError as error:
            raise DataError(f"The seal cannot be read: {error}.", where=str(path), mend="Train again.") from error

    def rows(self, permit: Permit) -> pl.DataFrame:
        """The sealed rows.

        Parameters
        ----------
        permit : Permit
            An opening of this vault that has not ended.

        Raises
        ------
        InvalidInputError
            Without such a permit.
        DataError
            If the file of rows is gone, or is not the one that was sealed.
        """
        if not isinstance(permit, Permit) or not permit.valid or permit.vault != self.about.identity:
            raise InvalidInputError(
                "The rows are sealed.",
                where=str(self.folder),
                mend="Open them through the ledger, with a reason; it counts the look.",
            )
        return self._read()

    def features(self) -> pl.DataFrame:
        """The sealed rows without their target, which tell nothing of a score; no permit is needed to predict them.

        Raises
        ------
        DataError
            As `check`.
        """
        return self._read(target=False)

    def _read(self, *, target: bool = True) -> pl.DataFrame:
        self.check()
        path = self.folder / f"{self.about.part}.arrow"
        return pl.read_ipc(path, columns=[n for n in pl.read_ipc_schema(path) if target or n != self.about.target])

    def check(self) -> None:
        """Whether the file of rows is the one that was sealed; looking at its digest is no look at the rows.

        Raises
        ------
        DataError
            If the file is gone or was changed.
        """
        path = self.folder / f"{self.about.part}.arrow"
        if not path.exists():
            raise DataError(
                f"The sealed {self.about.part} rows are missing.", where=str(path), mend="Train again to seal new ones."
            )
        if _file_hash(path) != self.about.file_hash:
            raise DataError(
                f"The sealed {self.about.part} rows were changed since they were sealed.",
                where=str(path),
                mend="Train again to seal new ones.",
            )


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
