"""The journal of a run: every job that the workers have finished, so that a killed run goes on from there.

::

    journal.jsonl     one line an answer, appended by one write; a torn last line is no line
    WORK/done/KEY/    what the job of that answer wrote, whole (`search.worker`)
    WORK/fits/…       the same files again (hard links), under the names that the search gives them

A job is known by a digest of what it is asked and of the bytes that it reads; neither the place of the working folder nor
what the clock allowed it counts. An answer is used again only if every file that it wrote is there with its digest. So the
journal needs no care about the order in which files reach the disk: what a power cut lost is done once more.

The same job twice in a run is done once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from modelwright.provenance.secrets import redacted_code
from modelwright.search.jobs import Done, Fit, Job, Prepare

#: Answers that say something about this moment, not about the job.
_PASSING = ("deadline", "stop", "died", "disk", "memory")


class Began(msgspec.Struct, frozen=True, tag="began"):
    """A process took up the run; what another version of the libraries answered before it does not count."""

    elapsed_s: float
    at: str = ""
    versions: str = ""


class TableRead(msgspec.Struct, frozen=True, tag="table"):
    """The table was read, divided and audited; what the clock or the memory decided of it is held for the next time."""

    elapsed_s: float
    fingerprint: str
    large: bool = False
    most_rows: int | None = None


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """A job has ended for good; ``place`` is the folder of its outputs below ``done/``."""

    elapsed_s: float
    key: str
    place: str
    job: Job
    done: Done


Line = Began | TableRead | Answered


def read_lines(file: Path) -> list[Line]:
    """The lines of a journal, oldest first; none where there is no journal.

    Parameters
    ----------
    file : Path
        What is torn or not understood is left out: its job is done again.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    decoder, found = msgspec.json.Decoder(Line), []
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        try:
            found.append(decoder.decode(line))
        except msgspec.MsgspecError:
            continue
    return found


def finished_trials(lines: Sequence[Line]) -> int:
    """How many configurations were tried: fitted and scored on at least one view, or failed by themselves."""
    fits = [line.job for line in lines if isinstance(line, Answered) and isinstance(line.job, Fit) and line.job.validate]
    return len({_digest([fit.algorithm, fit.params, fit.view.endswith("-generated")]) for fit in fits})


class Journal:
    """Answers of this run, those of killed processes before this one included.

    Parameters
    ----------
    file : Path
        Made if absent; lines are appended.
    work : Path
        Working folder, below which jobs write.
    elapsed : callable
        Seconds that the run has taken.
    lines : sequence of Line
        As `read_lines` found them.
    versions : str
        Versions of what answers depend on. Answers of other versions are forgotten.
    at : str
        This moment (ISO 8601).
    """

    def __init__(
        self,
        file: Path,
        work: Path,
        elapsed: Callable[[], float],
        *,
        lines: Sequence[Line] = (),
        versions: str = "",
        at: str = "",
    ) -> None:
        self._work, self._elapsed = work, elapsed
        self._known: dict[str, Answered] = {}
        #: Keys whose answers this process has used or given.
        self._used: set[str] = set()
        #: Keys whose outputs were looked at.
        self._whole: set[str] = set()
        self._sent: dict[str, int] = {}
        self._files: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._views: dict[Path, str] = {}
        self._placed: dict[Path, str] = {}
        self._unsynced = False
        self.table: TableRead | None = None
        self.earlier = [line for line in lines if isinstance(line, Began)]
        versions_then = ""
        for line in lines:
            if isinstance(line, Began):
                versions_then = line.versions
            elif isinstance(line, TableRead):
                self.table = line
            elif versions_then == versions:
                self._known[line.key] = line
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        _cut_torn_line(self._descriptor)
        self._clear({line.place for line in self._known.values()})
        self._write(Began(elapsed(), at, versions))
        self.sync()

    def close(self) -> None:
        """Let the file go."""
        os.close(self._descriptor)

    def sync(self) -> None:
        """Bring the lines to the disk."""
        if self._unsynced:
            os.fsync(self._descriptor)
            self._unsynced = False

    def read(self, fingerprint: str, *, large: bool = False, most_rows: int | None = None) -> None:
        """Note the table that was read."""
        self._write(TableRead(self._elapsed(), fingerprint, large, most_rows))

    @property
    def n_finished(self) -> int:
        """As `finished_trials`."""
        return finished_trials(list(self._known.values()))

    def knows(self, job: Job) -> bool:
        """Whether the job was answered before, and all that it wrote is there."""
        key = self._key(job)
        line = self._known.get(key)
        if line is None:
            return False
        if key not in self._whole:
            if digests(self._work / "done" / line.place) != line.done.outputs:
                del self._known[key]
                return False
            self._whole.add(key)
        return True

    def answer(self, job: Job) -> Done | None:
        """What the job was answered before, its outputs in their place; None if it must be done."""
        if not self.knows(job):
            return None
        line = self._known[key := self._key(job)]
        self._used.add(key)
        self._put(line, job)
        return line.done

    def begin(self, job: Job) -> Job:
        """The job as it is sent: its outputs go where they are kept."""
        key = self._key(job)
        # The same job may be under way already; each writes to its own place.
        self._sent[key] = number = self._sent.get(key, 0) + 1
        return msgspec.structs.replace(job, out=str(self._work / "done" / (key if number == 1 else f"{key}-{number}")))

    def end(self, job: Job, sent: Job, done: Done) -> None:
        """Enter the answer to a job, and put its outputs in their place."""
        passing = done.ended in _PASSING or done.error.startswith(("OSError", "out of memory"))
        if passing or (done.error and isinstance(job, Prepare)):
            return
        key = self._key(job)
        done = msgspec.structs.replace(done, error=redacted_code(done.error))
        line = Answered(self._elapsed(), key, Path(sent.out).name, self._relative(job), done)
        self._write(line)
        self._known.setdefault(key, line)
        self._used.add(key)
        self._whole.add(key)
        self._put(line, job)

    def unused(self) -> list[Fit]:
        """Validated fits that were finished before this process began and that it has not asked for; oldest first."""
        lines = [line for key, line in self._known.items() if key not in self._used]
        return [line.job for line in lines if isinstance(line.job, Fit) and line.job.validate and not line.done.error]

    # -- inside --------------------------------------------------------------------------------------------

    def _write(self, line: Line) -> None:
        content = msgspec.json.encode(line) + b"\n"
        if os.write(self._descriptor, content) < len(content):
            _cut_torn_line(self._descriptor)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "journal.jsonl")
        self._unsynced = True

    def _clear(self, kept: set[str]) -> None:
        """Remove what was under way when the run was killed, and the names that are given anew."""
        for path in self._work.iterdir() if self._work.is_dir() else ():
            if path.name != "done" and path.is_dir():
                shutil.rmtree(path)
        done = self._work / "done"
        done.mkdir(parents=True, exist_ok=True)
        for path in done.iterdir():
            if path.name not in kept:
                shutil.rmtree(path)

    def _put(self, line: Answered, job: Job) -> None:
        """Give the outputs the name that the job gives them."""
        out = Path(job.out)
        if line.done.error or self._placed.get(out) == line.place:
            return
        if out.exists():
            shutil.rmtree(out)
        shutil.copytree(self._work / "done" / line.place, out, copy_function=_link)
        self._placed[out] = line.place
        if isinstance(job, Prepare):
            self._views[out] = _digest(line.done.outputs)

    def _key(self, job: Job) -> str:
        """Digest of what is asked and read."""
        asked = msgspec.to_builtins(job)
        for name in ("out", "time_limit_s"):
            asked.pop(name, None)
        if isinstance(job, Fit):
            asked["view"] = self._view_digest(Path(job.view))
        else:
            for name in ("table", "schema", "training_rows", "validation_rows", "y", "weight"):
                asked[name] = self._file_digest(Path(asked[name])) if asked[name] else ""
        return _digest(asked)

    def _view_digest(self, view: Path) -> str:
        if view not in self._views:
            self._views[view] = _digest(digests(view))
        return self._views[view]

    def _file_digest(self, file: Path) -> str:
        """Of a file that may be written again under the same name."""
        about = file.stat()
        state = (about.st_ino, about.st_size, about.st_mtime_ns)
        if file not in self._files or self._files[file][0] != state:
            with file.open("rb") as stream:
                self._files[file] = (state, hashlib.file_digest(stream, "sha256").hexdigest())
        return self._files[file][1]

    def _relative(self, job: Job) -> Job:
        """The job without the place of the working folder."""
        paths = ("out", "view") if isinstance(job, Fit) else ("out", "table", "schema", "training_rows", "validation_rows")
        inside = {}
        for name in (*paths, *(("y", "weight") if isinstance(job, Prepare) else ())):
            path = getattr(job, name)
            inside[name] = os.path.relpath(path, self._work) if path else ""
        return msgspec.structs.replace(job, **inside)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def _link(source: str, target: str) -> None:
    """A hard link; a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _cut_torn_line(descriptor: int) -> None:
    """Drop what follows the last whole line, so that the next line is not glued to it."""
    size = os.fstat(descriptor).st_size
    end, block = size, 1 << 16
    while end > 0:
        start = max(0, end - block)
        at = os.pread(descriptor, end - start, start).rfind(b"\n")
        if at >= 0:
            end = start + at + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
