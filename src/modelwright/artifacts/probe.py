"""The first load of a bundle, in a child process.

Digests prove that a bundle is what its maker wrote, not that its maker meant well or that this machine's libraries can
read it, and a native parser that trips ends its process. So a bundle from elsewhere is loaded once by a child that has
little time, bounded memory and nothing to lose: it loads, replays the golden rows and says how that went.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from modelwright.artifacts.manifest import Manifest, verify_bundle
from modelwright.artifacts.signing import verify_signature
from modelwright.errors import BundleError, ModelwrightError
from modelwright.learners.lean_import import own_process

#: Seconds; a child that imports torch takes four on a busy machine.
TIMEOUT_S = 120.0
#: Memory that every child may take, and how much more for each byte of the bundle: parsers unfold what they read.
_BASE_BYTES, _PER_BYTE = 2_000_000_000, 20
_TRAIN_AGAIN = "Do not use it. Get it again from its maker, or train again."


class _Outcome(msgspec.Struct, frozen=True):
    """What the child says, on its last line."""

    what: str = ""
    where: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Probe:
    """A child at work on a bundle; see `start_probe`."""

    folder: Path
    manifest: Manifest
    timeout_s: float
    child: subprocess.Popen[bytes]

    def finish(self) -> None:
        """Wait for what the child says.

        Raises
        ------
        BundleError
            If the bundle cannot be loaded, a golden row gets another prediction, or the child dies or takes too long.
        """
        where = str(self.folder)
        try:
            said, _ = self.child.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise BundleError(
                f"Loading the bundle took longer than {self.timeout_s:.3g} s.", where=where, mend=_TRAIN_AGAIN
            ) from error
        finally:
            self.close()
        try:
            outcome = msgspec.json.decode(said.rpartition(b"\x1e")[2], type=_Outcome)
        except msgspec.DecodeError:
            raise BundleError(
                f"The process that tried to load the bundle {_ended(self.child.returncode)}.", where=where, mend=_TRAIN_AGAIN
            ) from None
        if outcome.what:
            raise BundleError(outcome.what, where=outcome.where, mend=outcome.mend)

    def close(self) -> None:
        """End the child, if it has not ended."""
        self.child.kill()
        with self.child:
            return


def start_probe(
    folder: Path,
    *,
    features: str | Path | None = None,
    trusted_keys: str | Path | Sequence[str | Path] = (),
    timeout_s: float = TIMEOUT_S,
    memory_bytes: int | None = None,
) -> Probe:
    """Verify a bundle, and begin to load it and to replay its golden rows in a child process.

    Parameters
    ----------
    folder : Path
    features, trusted_keys
        As for `bundle.load_bundle`.
    timeout_s : float, default=120.0
        Seconds of waiting after which the child is ended.
    memory_bytes : int, optional
        Memory of the child; by default 2 GB and 20 times the size of the bundle. Not bounded on Windows and macOS.

    Raises
    ------
    BundleError
        If a digest or signature does not fit.
    """
    manifest = verify_bundle(folder)
    verify_signature(folder, trusted_keys)
    most = memory_bytes or _BASE_BYTES + _PER_BYTE * sum(entry.size for entry in manifest.files)
    # -P: what lies in the working folder is no module of ours.
    command = [sys.executable, "-P", "-m", __name__, str(folder), str(most), str(int(timeout_s) + 1)]
    command += [] if features is None else [str(features)]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return Probe(folder, manifest, timeout_s, child)


def probe_bundle(folder: Path, **options: Any) -> None:
    """Load a bundle and replay its golden rows in a child process: `start_probe`, and `Probe.finish`."""
    start_probe(folder, **options).finish()


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended without an answer (exit code {code})"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _bound(memory_bytes: int, seconds: int) -> None:
    """Keep this process small and short, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {"RLIMIT_CORE": 0, "RLIMIT_CPU": seconds}
    if sys.platform == "linux":  # elsewhere the system takes the limit and does not hold it
        limits["RLIMIT_DATA"] = memory_bytes
    for name, value in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _main(folder: str, memory_bytes: str, seconds: str, features: str | None = None) -> None:
    """What the child does."""
    from modelwright.artifacts.bundle import load_bundle
    from modelwright.artifacts.golden import check_golden

    try:
        _bound(int(memory_bytes), int(seconds))
        model = load_bundle(Path(folder), features=features)
        check_golden(model, Path(folder))
        outcome = _Outcome()
    except ModelwrightError as error:
        outcome = _Outcome(error.what, error.where, error.mend)
    except MemoryError:
        outcome = _Outcome("Loading the bundle takes more memory than it may.", folder, _TRAIN_AGAIN)
    # Libraries may have printed; what is ours stands behind a sign that text does not have.
    sys.stdout.buffer.write(b"\x1e" + msgspec.json.encode(outcome))
    sys.stdout.flush()


if __name__ == "__main__":
    own_process()
    _main(*sys.argv[1:])
