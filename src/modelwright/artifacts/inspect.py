"""What is inside a bundle, told from its manifest and its JSON files; no parser of a model is asked."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modelwright.artifacts.bundle import read_description, read_json, read_schema
from modelwright.artifacts.golden import read_golden
from modelwright.artifacts.manifest import FileEntry, manifest_digest, verify_bundle
from modelwright.artifacts.signing import read_signature
from modelwright.artifacts.versions import installed, needed
from modelwright.features.derived import DerivedColumns


class InspectedColumn(msgspec.Struct, frozen=True):
    """A column that the model reads; ``type`` is its logical type."""

    name: str
    type: str
    role: str


class InspectedMember(msgspec.Struct, frozen=True):
    """A member with its weight."""

    algorithm: str
    weight: float


class InspectedLibrary(msgspec.Struct, frozen=True):
    """A library that a member needs: the version that wrote it, and the one here ("" if none is recorded or installed)."""

    name: str
    written_by: str
    here: str


class Inspected(msgspec.Struct, frozen=True):
    """A bundle from outside.

    ``digest`` names it; ``signed_by`` is the fingerprint of a key, unchecked, or "". ``n_golden`` counts golden rows.
    """

    digest: str
    format_version: int
    modelwright: str
    task: str
    target: str | None
    classes: list[str | int | float | bool]
    metric: str
    members: list[InspectedMember]
    calibration: str
    threshold: float | None
    columns: list[InspectedColumn]
    derived: list[str]
    features: str
    n_golden: int
    lineage: dict[str, str]
    libraries: dict[str, str]
    needs: list[InspectedLibrary]
    signed_by: str
    size_bytes: int
    files: list[FileEntry]


def inspect_bundle(folder: Path) -> Inspected:
    """Verify a bundle and tell what is inside.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    BundleError
        If it is damaged.
    """
    manifest = verify_bundle(folder)
    described, schema, golden = read_description(folder), read_schema(folder), read_golden(folder)
    derived, path = _derived(folder)
    signature = read_signature(folder)
    columns = [*schema.features, *(column for column in schema.with_role("time") if column not in schema.features)]
    libraries = []
    for names in needed(member.algorithm for member in described.members):
        recorded = next((name for name in names if name in manifest.libraries), names[0])
        here = installed(names)
        libraries.append(
            InspectedLibrary(recorded, manifest.libraries.get(recorded, ""), "" if here is None else f"{here[0]} {here[1]}")
        )
    return Inspected(
        digest=manifest_digest(folder),
        format_version=manifest.format_version,
        modelwright=manifest.modelwright,
        task=described.task,
        target=described.target,
        classes=described.classes,
        metric=described.metric,
        members=[InspectedMember(member.algorithm, member.weight) for member in described.members],
        calibration="none" if described.calibration is None else described.calibration.method,
        threshold=described.threshold,
        columns=[InspectedColumn(column.name, column.type, column.role) for column in columns],
        derived=derived,
        features=path,
        n_golden=0 if golden is None else len(golden.rows),
        lineage=manifest.lineage,
        libraries=manifest.libraries,
        needs=libraries,
        signed_by="" if signature is None else signature.key,
        size_bytes=sum(entry.size for entry in manifest.files),
        files=manifest.files,
    )


def _derived(folder: Path) -> tuple[list[str], str]:
    """Names of derived columns, and the file of the function that some models need."""
    path = folder / "derived.json"
    if not path.is_file():
        return [], ""
    about = read_json(path, DerivedColumns)
    return list(about.names), "" if about.function is None else str(about.function)
