"""The published runs as a home sees them: markers that were read once are kept, runs that are needed are copied in.

::

    HOME/runs/RUN/                a run made here, or copied here and verified
    HOME/published/PLACE/NAME     markers of `store.artifacts` as read; PLACE stands for the address

A marker never changes under its name, so what lies here is as good as what lies there, and a list needs one look at one
folder of the store.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import msgspec

from modelwright.errors import InvalidInputError, StorageError
from modelwright.store.artifacts import ArtifactStore
from modelwright.store.folders import sync
from modelwright.store.markers import LABELS, Marker, decoded, is_whole, run_of
from modelwright.store.unfinished import NEW


class WentNote(msgspec.Struct, frozen=True):
    """Where published runs went, as it may be shown, and when (ISO 8601)."""

    artifacts: str
    at: str


class Published:
    """A home and the address where its runs are published.

    Parameters
    ----------
    home : Path
    url : str
    """

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.store = ArtifactStore(url)
        self._folder = home / "published" / hashlib.sha256(self.store.shown.encode()).hexdigest()[:12]

    def markers(self) -> dict[str, Marker]:
        """The marker that counts of every run that is published."""
        found, kept = {}, self._kept()
        names = self.store.names()
        wanted = {run: next((name for name in markers if name in kept), None) for run, markers in names.items()}
        unknown = [markers[0] for run, markers in names.items() if wanted[run] != markers[0]]
        texts = self.store.markers(unknown)
        for run, markers in names.items():
            for name in markers:
                text = texts.get(name) or self._read(name) or self.store.markers([name]).get(name)
                if text is not None:
                    found[run] = decoded(text, name)
                    break
        self._keep(texts)
        for name in kept:
            # That a run of this home was published once is remembered: removed elsewhere, it is not published anew by itself.
            if run_of(name) not in names and not (self.home / "runs" / run_of(name)).exists():
                (self._folder / name).unlink(missing_ok=True)
        return found

    def publish(self, run: str, entry: bytes, *, verify: bool = False, moving: bool = False) -> None:
        """Publish a run of this home, or what changed of it (see `ArtifactStore.publish`).

        With ``moving`` also where an earlier move went away from: it is coming back.
        """
        if not moving:
            self.check()
        known = max((name for name in self._kept() if run_of(name) == run), default="")
        name, text = self.store.publish(self.home / "runs" / run, entry, replaces=known, verify=verify)
        self._keep({name: text})

    def bring(self, marker: Marker) -> Path:
        """The folder of a run in this home, copied and verified if it is not here; its labels as they were published.

        Parameters
        ----------
        marker : Marker

        Raises
        ------
        BundleError, StorageError
            As `ArtifactStore.fetch`; the home is then as it was.
        """
        folder = self.home / "runs" / marker.run
        if not folder.exists():
            beside = self.home / "tmp" / f"{NEW}{uuid.uuid4().hex}"
            try:
                self.store.fetch(marker, beside)
                sync(beside)
                folder.parent.mkdir(parents=True, exist_ok=True)
                os.rename(beside, folder)
            except OSError as error:
                if not folder.exists():  # else another process was faster
                    raise StorageError(
                        f"The run cannot be copied here: {error.strerror}.", where=str(folder), mend="Make it writable."
                    ) from error
            finally:
                shutil.rmtree(beside, ignore_errors=True)
        return folder

    def labels_differ(self, marker: Marker) -> bool:
        """Whether a run of this home has other labels than were published."""
        try:
            here = msgspec.json.decode((self.home / "runs" / marker.run / LABELS).read_bytes())
        except (OSError, msgspec.MsgspecError):
            here = None
        return bool(here != msgspec.json.decode(marker.labels))

    def known(self) -> set[str]:
        """Runs that this home has seen published."""
        return {run_of(name) for name in self._kept()}

    def remove(self, run: str) -> None:
        """Remove a run from the address; not from the home."""
        self.store.remove(run)
        for name in self._kept():
            if run_of(name) == run:
                (self._folder / name).unlink(missing_ok=True)

    def check(self) -> None:
        """Refuse an address that cannot be used, before anything costs time.

        Raises
        ------
        InvalidInputError, StorageError
        """
        note = self.note()
        if note is not None:
            raise InvalidInputError(
                f"The runs at this address were moved to {note.artifacts} on {note.at[:10]}.",
                where=self.store.shown,
                mend="Give the new address with --artifacts, or in modelwright.toml.",
            )

    def note(self) -> WentNote | None:
        """Where the runs of the address went; None if they did not."""
        text = self.store.read_note()
        try:
            return None if text is None else msgspec.json.decode(text, type=WentNote)
        except msgspec.MsgspecError:
            return WentNote("another address", "")

    def _kept(self) -> set[str]:
        try:
            return {name for name in os.listdir(self._folder) if not name.startswith(".")}
        except OSError:
            return set()

    def _read(self, name: str) -> bytes | None:
        try:
            # Ten thousand of them are read for a list: the plainest call.
            with open(f"{self._folder}/{name}", "rb", buffering=0) as file:
                text = file.read()
        except OSError:
            return None
        return text if is_whole(name, text) else None

    def _keep(self, texts: Mapping[str, bytes]) -> None:
        """Keep markers as they were read, and none that they replace."""
        if not texts:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                beside = self._folder / f".{uuid.uuid4().hex[:8]}"
                beside.write_bytes(text)
                os.replace(beside, self._folder / name)
            latest = {run_of(name): name for name in texts}
            for old in self._kept():
                if old < latest.get(run_of(old), ""):
                    (self._folder / old).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"What is known of the published runs cannot be kept: {error.strerror}.",
                where=str(self._folder),
                mend="Free space, or make the home writable.",
            ) from error
