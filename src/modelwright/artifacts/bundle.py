"""A model on disk: plain files, a manifest of digests, no executable content.

::

    manifest.json     format version, versions of libraries, every file with its size and SHA-256 (`manifest`)
    model.json        task, target, classes, members with weights, calibration, threshold
    conformal.npz     scores of validation rows behind intervals and sets; absent where there were too few
    schema.json       columns with their reading instructions
    derived.json      the user's derived columns: expressions, or path, name and digest of a function; absent without any
    golden.json       training rows with their predictions, replayed wherever the model is loaded to serve (`golden`)
    reference.*       what rows and answers were like, for monitoring; absent in older bundles (`reference`)
    encoders/N/       encoder.json, arrays.npz
    members/N/        whatever the learner saves: LightGBM text, CatBoost cbm, XGBoost ubj, npz, safetensors

Digests are checked before any parser sees a byte, since damaged files crash native parsers; a bundle from elsewhere is
first loaded in a child process (`probe`). The file of a user's function
is not in the folder: whoever loads the model must have it, unchanged.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from modelwright.artifacts.golden import Golden, write_golden
from modelwright.artifacts.manifest import UNREADABLE, Manifest, write_manifest
from modelwright.artifacts.manifest import manifest_digest as manifest_digest
from modelwright.artifacts.manifest import verify_bundle as verify_bundle
from modelwright.artifacts.model import Member, Model
from modelwright.artifacts.reference import Reference, write_reference
from modelwright.artifacts.signing import verify_signature
from modelwright.artifacts.versions import check_versions
from modelwright.ensembles.calibration import Calibration
from modelwright.ensembles.conformal import Conformal, Kind
from modelwright.errors import BundleError, ModelwrightError
from modelwright.features.derived import Derived, DerivedColumns, load_derived
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.tables.schema import Schema, Task

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_CONFORMAL_FILE = "conformal.npz"
_DERIVED_FILE = "derived.json"
_CONFORMAL_ARRAYS = ("scores", "starts", "x", "scale")


class MemberEntry(msgspec.Struct, frozen=True):
    """One member: its algorithm, its weight, and the number of its encoder."""

    algorithm: str
    weight: float
    encoder: int


class _ConformalEntry(msgspec.Struct, frozen=True):
    kind: Kind
    method: str
    n_rows: int
    n_effective: float
    rolling: tuple[float, ...] = ()


class ModelFile(msgspec.Struct, frozen=True):
    """What ``model.json`` holds."""

    task: Task
    target: str | None
    classes: list[Any]
    metric: str
    run: str
    temperature: float
    threshold: float | None
    members: list[MemberEntry]
    # Absent in bundles of format 1, where the temperature is all the calibration there is.
    calibration: Calibration | None = None
    conformal: _ConformalEntry | None = None


def write_bundle(
    model: Model,
    folder: Path,
    *,
    libraries: dict[str, str],
    lineage: dict[str, str],
    golden: Golden | None = None,
    reference: Reference | None = None,
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
    reference : Reference, optional
        What windows of later rows are compared with.
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
    described = ModelFile(
        task=model.task,
        target=model.target,
        classes=model.classes_.tolist(),
        metric=model.metric,
        run=model.run,
        temperature=model.calibration.temperature,
        threshold=model.threshold,
        members=[MemberEntry(m.learner.algorithm.name, m.weight, m.encoder) for m in model.members],
        calibration=model.calibration,
        conformal=_write_conformal(model.conformal, folder),
    )
    (folder / "model.json").write_bytes(msgspec.json.format(msgspec.json.encode(described)))
    (folder / "schema.json").write_bytes(msgspec.json.format(msgspec.json.encode(model.schema)))
    if model.derived is not None:
        (folder / _DERIVED_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(model.derived.about)))
    if golden is not None:
        write_golden(golden, folder)
    if reference is not None:
        write_reference(reference, folder)
    return write_manifest(folder, libraries=libraries, lineage=lineage)


def load_bundle(
    folder: Path, *, features: str | Path | None = None, trusted_keys: str | Path | Sequence[str | Path] = ()
) -> Model:
    """Verify and load a model folder.

    Parameters
    ----------
    folder : Path
    features : str, Path or None
        The file of the function that derives columns, for models that have one; None looks for it at the path that it
        had when the model was trained, from the working folder.
    trusted_keys : str, Path or sequence of them, default=()
        Files of public keys, one of which must have signed the bundle; without any, signatures are not looked at.

    Raises
    ------
    BundleError
        If a file is missing, added, or differs from the manifest, or if the format is newer than this version; if no
        trusted key has signed it; if a library of a member has another major version than it was trained with; if the
        file of the function is absent or was changed.
    MissingExtraError
        If a member needs a library that is not installed.
    """
    manifest = verify_bundle(folder)
    verify_signature(folder, trusted_keys)
    described = read_description(folder)
    schema = read_schema(folder)
    check_versions(manifest, [entry.algorithm for entry in described.members], folder)
    try:
        return _built(folder, described, schema, features)
    except ModelwrightError:
        raise
    except Exception as error:  # what parsers say of content that is whole but makes no sense
        raise BundleError(
            f"The content of the bundle makes no sense: {type(error).__name__}.", where=str(folder), mend="Train again."
        ) from error


def read_description(folder: Path) -> ModelFile:
    """``model.json`` of a verified bundle."""
    return read_json(folder / "model.json", ModelFile)


def read_schema(folder: Path) -> Schema:
    """``schema.json`` of a verified bundle."""
    return read_json(folder / "schema.json", Schema)


def read_json(path: Path, kind: type[_Struct]) -> _Struct:
    """One of the JSON files of a verified bundle."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except UNREADABLE as error:
        raise BundleError(f"The model description cannot be read: {error}.", where=str(path), mend="Train again.") from error


def _built(folder: Path, described: ModelFile, schema: Schema, features: str | Path | None) -> Model:
    n_encoders = sum(path.is_dir() for path in (folder / "encoders").glob("*"))
    if not described.members or any(not 0 <= member.encoder < n_encoders for member in described.members):
        raise BundleError("The members name no encoder of the bundle.", where=str(folder), mend="Train again.")
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
    return load_derived(read_json(path, DerivedColumns), features=features, bundle=folder)


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
