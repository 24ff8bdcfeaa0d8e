"""Published runs at any address that fsspec reaches: complete or not at all, and read back by their digests.

::

    URL/runs/RUN~CONTENT/…               the files of a run, as in its folder; CONTENT is a digest over all of them
    URL/published/RUN~NUMBER~DIGEST.json says that RUN is complete: every file with its size and SHA-256, what lists show of
                                         it, and its labels

The second is written last, under a name that was never used and that holds a digest of its own content, so a torn one
counts for nothing; of several the highest number counts. Nothing is ever written over, hence nothing is asked of the
store but to write, read, list and remove: no renames, no locks. Two homes that made the same identifier in the same
second are told apart by the content, and the second is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from modelwright.errors import BundleError, InvalidInputError, ModelwrightError, StorageError
from modelwright.masking import masked
from modelwright.provenance.secrets import expanded, redacted
from modelwright.store.markers import (
    LABELS,
    MARKER_FORMAT,
    NAME,
    Marker,
    StoredFile,
    content_of,
    decoded,
    described,
    digest_of,
    encoded,
    file_digest,
    is_whole,
    raw,
    safe_path,
)  # fmt: skip
from modelwright.tables.locations import is_database, is_url
from modelwright.version import __version__

RUNS, PUBLISHED = "runs", "published"
_CHUNK = 1 << 20
#: Markers asked for in one call: stores that can read them side by side do, and fsspec's own work grows with the square.
_AT_ONCE = 200


class ArtifactStore:
    """Run folders at an address.

    Parameters
    ----------
    url : str
        Of any store that fsspec reaches (``s3://bucket/runs``, ``ftp://…``, ``file:///…``), or a path. References such as
        ``${NAME}`` are resolved when it is first used, and never written.

    Raises
    ------
    InvalidInputError
        On first use: if the address cannot be understood, or nothing installed here reaches it.
    StorageError
        On first use: if it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.shown = masked(url)

    @cached_property
    def _place(self) -> tuple[Any, str]:
        import fsspec.core

        if is_database(self.url):
            raise InvalidInputError(
                "Run folders cannot lie in a database.", where=self.shown, mend="Give a file store, such as s3://bucket/folder."
            )
        address = expanded(self.url, where="artifacts")
        scheme = address.partition("://")[0] if is_url(address) else "file"
        if not is_url(address):
            address = str(Path(address).expanduser().absolute())
        try:
            system, root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise InvalidInputError(
                f"Nothing installed here reaches {scheme}://: {error}.", where=self.shown, mend="Install what fsspec asks for."
            ) from None
        except ValueError as error:
            raise InvalidInputError(
                f"The address of the artifacts cannot be understood: {redacted(str(error))}.",
                where=self.shown,
                mend="Write it as s3://bucket/folder, file:///folder or another scheme that fsspec knows.",
            ) from None
        except Exception as error:
            raise self._error(error, "The artifacts cannot be reached") from error
        return system, root.rstrip("/")

    def names(self) -> dict[str, list[str]]:
        """Of every run that is there the names of its markers, the one that counts first. One look at one folder."""
        found: dict[str, list[tuple[str, str]]] = {}
        for name in self._listed(PUBLISHED):
            match = NAME.fullmatch(name)
            if match:
                found.setdefault(match["run"], []).append((match["number"], name))
        return {run: [name for _, name in sorted(markers, reverse=True)] for run, markers in sorted(found.items())}

    def markers(self, names: Iterable[str]) -> dict[str, bytes]:
        """Content of markers by name; those that are torn, or gone meanwhile, are left out."""
        system, root = self._place
        paths = {f"{root}/{PUBLISHED}/{name}": name for name in names}
        if not paths:
            return {}
        by_name: dict[str, bytes] = {}
        wanted = list(paths)
        for start in range(0, len(wanted), _AT_ONCE):
            with self._translated("The list of published runs cannot be read"):
                found = system.cat(wanted[start : start + _AT_ONCE], on_error="omit")
            # Some stores answer with a path of another form.
            if isinstance(found, dict):
                by_name |= {path.rpartition("/")[2]: content for path, content in found.items()}
        return {name: by_name[name] for name in paths.values() if name in by_name and is_whole(name, by_name[name])}

    def marker(self, run: str) -> tuple[str, Marker] | None:
        """Name and content of the marker that counts; None if the run is not published."""
        for name in self.names().get(run, []):
            content = self.markers([name]).get(name)
            if content is not None:
                return name, decoded(content, name)
        return None

    def publish(self, folder: Path, entry: bytes, *, replaces: str = "", verify: bool = False) -> tuple[str, bytes]:
        """Upload a run folder; it is seen by others when everything is there, and not before.

        Parameters
        ----------
        folder : Path
            Its name is the identifier of the run.
        entry : bytes
            JSON of what lists show.
        replaces : str
            Name of the marker of this run that this home knows; it may be replaced by other content.
        verify : bool, default=False
            Read every file back and compare digests; else sizes are compared.

        Returns
        -------
        tuple of str and bytes
            Name and content of the marker.

        Raises
        ------
        StorageError
            If anything cannot be written, or another run of that identifier is there. Nothing new is visible then.
        """
        run = folder.name
        if "~" in run or "/" in run:
            raise StorageError(f"{run!r} is no identifier of a run.", where=str(folder), mend="Rename the folder.")
        files, folders = described(folder)
        content = content_of(files, folders)
        known = self.marker(run)
        if known is not None and known[1].content != content and known[0] != replaces:
            raise StorageError(
                f"There is another run {run!r} at the artifacts already.",
                where=self.shown,
                mend="Rename the folder of this one.",
            )
        if known is None or known[1].content != content:
            self._upload(folder, f"{RUNS}/{run}~{content}", files)
        if verify or known is None or known[1].content != content:
            self._check(f"{RUNS}/{run}~{content}", files, digests=verify)
        labels = (folder / LABELS).read_bytes() if (folder / LABELS).is_file() else b"null"
        text = encoded(Marker(MARKER_FORMAT, run, __version__, content, files, folders, raw(entry), raw(labels)))
        if known is not None and NAME.fullmatch(known[0])["digest"] == digest_of(text):  # type: ignore[index]
            return known[0], text
        number = 1 if known is None else int(NAME.fullmatch(known[0])["number"]) + 1  # type: ignore[index]
        name = f"{run}~{number:06d}~{digest_of(text)}.json"
        system, root = self._place
        with self._translated("The run cannot be published"):
            system.makedirs(f"{root}/{PUBLISHED}", exist_ok=True)
            system.pipe_file(f"{root}/{PUBLISHED}/{name}", text)
        if name not in self.markers([name]):
            raise StorageError(
                "What was written cannot be read back.", where=self.shown, mend="Check the space that is left there."
            )
        if known is not None:
            self._forget([each for each in self.names().get(run, []) if each < name])
            if known[1].content != content:
                self._remove_folder(f"{RUNS}/{run}~{known[1].content}")
        return name, text

    def fetch(self, marker: Marker, into: Path) -> None:
        """Download a run into a folder that does not exist, and verify every file.

        Raises
        ------
        BundleError
            If a file is missing or not the one that was published.
        StorageError
            If the store or the disk fails.
        """
        system, root = self._place
        source = f"{root}/{RUNS}/{marker.run}~{marker.content}"
        try:
            into.mkdir(parents=True)
            for folder in marker.folders:
                (into / safe_path(folder)).mkdir(parents=True, exist_ok=True)
            for file in marker.files:
                path = into / safe_path(file.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                with self._translated("A file of the run cannot be read", f"{marker.run}/{file.path}"):
                    system.get_file(f"{source}/{file.path}", str(path))
                if (path.stat().st_size, file_digest(path)) != (file.size, file.sha256):
                    raise self._differs(f"{marker.run}/{file.path}")
            if bytes(marker.labels) != b"null":
                (into / LABELS).write_bytes(bytes(marker.labels))
        except OSError as error:
            raise StorageError(
                f"The run cannot be copied here: {error.strerror or error}.",
                where=str(into.parent),
                mend="Free space, or give another --home.",
            ) from error

    def verify(self, marker: Marker) -> None:
        """Read every file of a run and compare its digest.

        Raises
        ------
        BundleError
            Naming the first file that is missing or differs.
        """
        self._check(f"{RUNS}/{marker.run}~{marker.content}", marker.files, digests=True)

    def remove(self, run: str) -> None:
        """Remove a run: first what makes it visible, then its files. One that is not there is no error."""
        self._forget(self.names().get(run, []))
        for name in self._listed(RUNS):
            if name.rpartition("~")[0] == run:
                self._remove_folder(f"{RUNS}/{name}")

    def leftovers(self) -> list[str]:
        """Folders of uploads that were never finished, or whose removal was not; they may also be under way."""
        found = self.names()
        texts = self.markers(markers[0] for markers in found.values())
        whole = {f"{marker.run}~{marker.content}" for marker in (decoded(text, name) for name, text in texts.items())}
        return sorted(set(self._listed(RUNS)) - whole)

    def strangers(self) -> list[str]:
        """What lies at the address and is not of this kind."""
        return sorted(set(self._listed("")) - {RUNS, PUBLISHED, MOVED})

    def read_note(self) -> bytes | None:
        """What `write_note` left."""
        system, root = self._place
        if MOVED not in self._listed(""):
            return None
        with self._translated("The artifacts cannot be read"):
            content: bytes = system.cat_file(f"{root}/{MOVED}")
            return content

    def write_note(self, content: bytes) -> None:
        """Leave a note beside the runs, such as where they went."""
        system, root = self._place
        with self._translated("The artifacts cannot be written"):
            system.makedirs(root, exist_ok=True)
            system.pipe_file(f"{root}/{MOVED}", content)

    def remove_note(self) -> None:
        """Remove what `write_note` left; nothing there is no error."""
        system, root = self._place
        if MOVED in self._listed(""):
            with self._translated("The artifacts cannot be written"):
                system.rm_file(f"{root}/{MOVED}")

    def _upload(self, folder: Path, to: str, files: list[StoredFile]) -> None:
        system, root = self._place
        made: set[str] = set()
        for file in files:
            target = f"{root}/{to}/{file.path}"
            with self._translated("The run cannot be published", f"{folder.name}/{file.path}"):
                parent = target.rpartition("/")[0]
                if parent not in made:
                    system.makedirs(parent, exist_ok=True)
                    made.add(parent)
                system.put_file(str(folder / file.path), target)

    def _check(self, at: str, files: list[StoredFile], *, digests: bool) -> None:
        system, root = self._place
        for file in files:
            where = f"{at.partition('/')[2]}/{file.path}"
            with self._translated("A file of the run cannot be read", where):
                if not digests:
                    found = (system.info(f"{root}/{at}/{file.path}")["size"], file.sha256)
                else:
                    hasher, size = hashlib.sha256(), 0
                    with system.open(f"{root}/{at}/{file.path}", "rb") as stream:
                        while chunk := stream.read(_CHUNK):
                            hasher.update(chunk)
                            size += len(chunk)
                    found = (size, hasher.hexdigest())
            if found != (file.size, file.sha256):
                raise self._differs(where)

    def _listed(self, folder: str) -> list[str]:
        system, root = self._place
        with self._translated("The artifacts cannot be listed"):
            system.invalidate_cache()
            try:
                found = system.ls(f"{root}/{folder}".rstrip("/"), detail=False)
            except FileNotFoundError:
                return []
        names = (path.rstrip("/").rpartition("/")[2] for path in found)
        return [name for name in names if name and name not in (".", "..")]

    def _forget(self, names: list[str]) -> None:
        system, root = self._place
        with self._translated("What was published cannot be removed"):
            # The one that counts first would bring an older one to the fore.
            for name in reversed(names):
                system.rm_file(f"{root}/{PUBLISHED}/{name}")

    def _remove_folder(self, folder: str) -> None:
        system, root = self._place
        with self._translated("What was published cannot be removed"):
            system.invalidate_cache()
            if system.exists(f"{root}/{folder}"):
                system.rm(f"{root}/{folder}", recursive=True)

    def _differs(self, where: str) -> BundleError:
        return BundleError(
            f"The file {where} is not the one that was published.",
            where=self.shown,
            mend="Publish the run again from a home that has it: modelwright store push RUN.",
        )

    @contextmanager
    def _translated(self, what: str, where: str = "") -> Iterator[None]:
        """Errors of whatever reaches the store as ours: each library has its own kinds."""
        try:
            yield
        except (ModelwrightError, NotImplementedError):
            raise
        except Exception as error:
            raise self._error(error, what, where) from error

    def _error(self, error: Exception, what: str, where: str = "") -> StorageError:
        said = getattr(error, "strerror", None) or redacted(" ".join(str(error).split()))[:300] or type(error).__name__
        mend = "Check the address, the rights and the network, and the space that is left there."
        return StorageError(f"{what}: {said.rstrip('.')}.", where=f"{self.shown} {where}".rstrip(), mend=mend)


#: Name of the note that says where the runs went.
MOVED = "moved.json"
