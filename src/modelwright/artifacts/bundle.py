"""A model on disk: plain files, a manifest of digests, no executable content.

::

    manifest.json     format version, versions of libraries, every file with its size and SHA-256
    model.json        task, target, classes, members with weights, calibration, threshold
    conformal.npz     scores of validation rows behind intervals and sets; absent where there were too few
    schema.json       columns with their reading instructions
    derived.json      the user's derived columns: expressions, or path, name and digest of a function; absent without any
    golden.json       training rows with their predictions, replayed wherever the model is loaded to serve (`golden`)
    encoders/N/       encoder.json, arrays.npz
    members/N/        whatever the learner saves: LightGBM text, CatBoost cbm, XGBoost ubj, npz, safetensors

Digests are checked before any parser sees a byte, since damaged files crash native parsers. The file of a user's function
is not in the folder: whoever loads the model must have it, unchanged.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelwright.artifacts.golden import Golden, write_golden
from modelwright.artifacts.model import Member, Model
from modelwright.ensembles.calibration import Calibration
from modelwright.ensembles.conformal import Conformal, Kind
from modelwright.errors import BundleError
from modelwright.features.derived import Derived, DerivedColumns, load_derived
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.tables.schema import Schema, Task
from modelwright.version import FORMAT_VERSION, __version__

MANIFEST_FILE = "manifest.json"
_CONFORMAL_FILE = "conformal.npz"
_DERIVED_FILE = "derived.json"
_CONFORMAL_ARRAYS = ("scores", "starts", "x", "scale")


class _MemberEntry(msgspec.Struct, frozen=True):
    algorithm: str
    weight: float
    encoder: int


class _ConformalEntry(msgspec.Struct, frozen=True):
    kind: Kind
    method: str
    n_rows: int
    n_effective: float
    rolling: tuple[float, ...] = ()


class _ModelFile(msgspec.Struct, frozen=True):
    task: Task
    target: str | None
    classes: list[Any]
    metric: str
    run: str
    temperature: float
    threshold: float | None
    members: list[_MemberEntry]
    # Absent in bundles of format 1, where the temperature is all the calibration there is.
    calibration: Calibration | None = None
    conformal: _ConformalEntry | None = None


class FileEntry(msgspec.Struct, frozen=True):
    """Size and digest of one file of a bundle."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a bundle consists of."""

    format_version: int
    modelwright: str
    libraries: dict[str, str]
    lineage: dict[str, str]
    files: list[FileEntry]


def write_bundle(
    model: Model, folder: Path, *, libraries: dict[str, str], lineage: dict[str, str], golden: Golden | None = None
) -> Manifest:
    """Write ``model`` into ``folder``, which must not exist.

    Parameters
    ----------
    model : Model
    folder : Path
    libraries : dict of str to str
        Versions of the packages that it was made with.
    lineage : dict of str to str
        Where it comes from: ``run``, ``data`` (fingerprint) and ``code`` (commit).
    golden : Golden, optional
        Rows to be replayed wherever the model is loaded to serve.
    """
    folder.mkdir(parents=True)
    for number, encoder in enumerate(model.encoders):
        path = folder / "encoders" / str(number)
        path.mkdir(parents=True)
        encoder.save(path)
    for number, member in enumerate(model.members):
        path = folder / "members" / str(number)
        path.mkdir(parents=True)
        member.learner.save(path)
    described = _ModelFile(
        task=model.task,
        target=model.target,
        classes=model.classes_.tolist(),
        metric=model.metric,
        run=model.run,
        temperature=model.calibration.temperature,
        threshold=model.threshold,
        members=[_MemberEntry(m.learner.algorithm.name, m.weight, m.encoder) for m in model.members],
        calibration=model.calibration,
        conformal=_write_conformal(model.conformal, folder),
    )
    (folder / "model.json").write_bytes(msgspec.json.format(msgspec.json.encode(described)))
    (folder / "schema.json").write_bytes(msgspec.json.format(msgspec.json.encode(model.schema)))
    if model.derived is not None:
        (folder / _DERIVED_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(model.derived.about)))
    if golden is not None:
        write_golden(golden, folder)
    files = [
        FileEntry(path.relative_to(folder).as_posix(), path.stat().st_size, _sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    manifest = Manifest(FORMAT_VERSION, __version__, libraries, lineage, files)
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def load_bundle(folder: Path, *, features: str | Path | None = None) -> Model:
    """Verify and load a model folder.

    Parameters
    ----------
    folder : Path
    features : str, Path or None
        The file of the function that derives columns, for models that have one; None looks for it at the path that it
        had when the model was trained, from the working folder.

    Raises
    ------
    BundleError
        If a file is missing, added, or differs from the manifest, or if the format is newer than this version; if
        the file of the function is absent or was changed.
    MissingExtraError
        If a member needs a library that is not installed.
    """
    verify_bundle(folder)
    try:
        described = msgspec.json.decode((folder / "model.json").read_bytes(), type=_ModelFile)
        schema = msgspec.json.decode((folder / "schema.json").read_bytes(), type=Schema)
    except (msgspec.DecodeError, OSError) as error:
        raise BundleError(f"The model description cannot be read: {error}.", where=str(folder), mend="Train again.") from error
    numbers = range(1 + max((m.encoder for m in described.members), default=-1))
    encoders = [Encoder.load(folder / "encoders" / str(number)) for number in numbers]
    members = [
        Member(registry.load(entry.algorithm, folder / "members" / str(number)), entry.weight, entry.encoder)
        for number, entry in enumerate(described.members)
    ]
    return Model(
        task=described.task,
        target=described.target,
        classes=described.classes,
        schema=schema,
        encoders=encoders,
        members=members,
        temperature=described.temperature,
        calibration=described.calibration,
        threshold=described.threshold,
        conformal=_read_conformal(described.conformal, folder),
        metric=described.metric,
        run=described.run,
        derived=_read_derived(folder, features),
    )


def _read_derived(folder: Path, features: str | Path | None) -> Derived | None:
    path = folder / _DERIVED_FILE
    if not path.is_file():
        return None
    try:
        about = msgspec.json.decode(path.read_bytes(), type=DerivedColumns)
    except (msgspec.DecodeError, OSError) as error:
        raise BundleError(f"The derived columns cannot be read: {error}.", where=str(path), mend="Train again.") from error
    return load_derived(about, features=features, bundle=folder)


def _write_conformal(conformal: Conformal | None, folder: Path) -> _ConformalEntry | None:
    if conformal is None:
        return None
    with (folder / _CONFORMAL_FILE).open("wb") as file:
        np.savez(file, **{name: getattr(conformal, name) for name in _CONFORMAL_ARRAYS})
    return _ConformalEntry(conformal.kind, conformal.method, conformal.n_rows, conformal.n_effective, conformal.rolling)


def _read_conformal(entry: _ConformalEntry | None, folder: Path) -> Conformal | None:
    if entry is None:
        return None
    try:
        # Opened here because numpy leaves the file open when it finds it damaged.
        with (folder / _CONFORMAL_FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Conformal(**msgspec.structs.asdict(entry), **{name: arrays[name] for name in _CONFORMAL_ARRAYS})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"The calibration scores cannot be read: {error}.", where=_CONFORMAL_FILE, mend="Train or copy the model again."
        ) from error


def verify_bundle(folder: Path) -> Manifest:
    """Check every file against the manifest before anything parses it."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise _not_a_bundle(folder)
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleError(
            f"The manifest is damaged: {error}.", where=str(path), mend="Copy the model folder again from its source."
        ) from error
    if manifest.format_version > FORMAT_VERSION:
        raise BundleError(
            f"The model has format {manifest.format_version}, this modelwright {__version__} reads up to {FORMAT_VERSION}.",
            where=str(folder),
            mend=f"Install modelwright {manifest.modelwright} or newer.",
        )
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {MANIFEST_FILE}
    listed = {entry.path for entry in manifest.files}
    for kind, names in (("missing", listed - present), ("not in the manifest", present - listed)):
        if names:
            raise BundleError(
                f"Files {kind}: {', '.join(sorted(names)[:5])}.",
                where=str(folder),
                mend="Copy the model folder again from its source.",
            )
    for entry in manifest.files:
        file = folder / entry.path
        if file.stat().st_size != entry.size or _sha256(file) != entry.sha256:
            raise BundleError(
                "The file differs from the manifest.", where=str(file), mend="Copy the model folder again from its source."
            )
    return manifest


def manifest_digest(folder: Path) -> str:
    """SHA-256 of the manifest, which names every file with its digest: two bundles with the same one are the same.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    BundleError
        If there is no manifest.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise _not_a_bundle(folder)
    return _sha256(path)


def _not_a_bundle(folder: Path) -> BundleError:
    return BundleError(
        "There is no manifest.json, so this is not a model folder.",
        where=str(folder),
        mend="Give the folder that training named as the model.",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
