"""Which versions of libraries may load a bundle.

Only libraries that read a member's own file format count, and only their major version. Within a major version their
makers keep files readable in both directions, and whether the arithmetic is still the same is not a matter of version
numbers: the golden rows tell it to the bit (`golden`). Across major versions neither is promised, and a parser that
misreads a file may end the process, so that nothing could be told afterwards. Members kept as arrays (linear models,
forests, clusters) are read by this package alone; for them the format version of the bundle decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from modelwright.artifacts.manifest import Manifest
from modelwright.errors import BundleError

#: Algorithm -> distributions that read its files; those in one tuple are the same library under several names.
READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "lightgbm": (("lightgbm",),),
    "catboost": (("catboost",),),
    "xgboost": (("xgboost-cpu", "xgboost"),),
    "network": (("torch",), ("safetensors",)),
}


def check_versions(manifest: Manifest, algorithms: Iterable[str], folder: Path) -> None:
    """Refuse a bundle whose members need another major version of a library than is installed.

    Parameters
    ----------
    manifest : Manifest
    algorithms : iterable of str
        Of the members.
    folder : Path
        For messages.

    Raises
    ------
    BundleError
        Naming the library, both versions, and the command that installs the one needed.
    """
    for names in needed(algorithms):
        recorded = next(((name, manifest.libraries[name]) for name in names if name in manifest.libraries), None)
        here = installed(names)
        # What is not installed is told by the learner, with the extra that brings it.
        if recorded is None or here is None or _major(recorded[1]) == _major(here[1]):
            continue
        raise BundleError(
            f"The model was trained with {recorded[0]} {recorded[1]}, here is {here[0]} {here[1]}: "
            "files of another major version may be misread.",
            where=str(folder),
            mend=f"pip install '{recorded[0]}=={recorded[1]}', or train again with {here[0]} {here[1]}.",
        )


def needed(algorithms: Iterable[str]) -> list[tuple[str, ...]]:
    """Distributions that read the files of members, each once."""
    return list(dict.fromkeys(names for algorithm in algorithms for names in READERS.get(algorithm, ())))


def installed(names: Sequence[str]) -> tuple[str, str] | None:
    """The first of some distributions that is installed, with its version."""
    for name in names:
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _major(version: str) -> str:
    return version.partition(".")[0]
