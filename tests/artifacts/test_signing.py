"""A signature says who vouches for a bundle; without one that is trusted it is not loaded."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

import modelwright
from modelwright.artifacts.archive import export_bundle, import_bundle
from modelwright.artifacts.bundle import load_bundle, manifest_digest
from modelwright.artifacts.manifest import SIGNATURE_FILE
from modelwright.artifacts.signing import make_keys, read_signature, sign_bundle, verify_signature
from modelwright.errors import BundleError, InvalidInputError


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder / "ours")
    make_keys(folder / "theirs")
    return folder


@pytest.fixture
def signed(bundle: Path, keys: Path, tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(bundle, tmp_path / "model"))
    sign_bundle(copy, keys / "ours")
    return copy


def test_a_bundle_signed_by_a_trusted_key_is_loaded(signed: Path, bundle: Path, keys: Path) -> None:
    assert modelwright.load(signed, trusted_keys=keys / "ours.pub").run == load_bundle(bundle).run
    assert load_bundle(signed, trusted_keys=[keys / "theirs.pub", str(keys / "ours.pub")])
    assert load_bundle(signed)  # without trusted keys nobody asks
    assert manifest_digest(signed) == manifest_digest(bundle)


def test_unsigned_and_foreign_and_changed_ones_are_refused(signed: Path, bundle: Path, keys: Path) -> None:
    with pytest.raises(BundleError, match="is not signed"):
        load_bundle(bundle, trusted_keys=keys / "ours.pub")
    with pytest.raises(BundleError, match="not trusted"):
        load_bundle(signed, trusted_keys=keys / "theirs.pub")
    content = json.loads((signed / SIGNATURE_FILE).read_text())
    theirs = sign_bundle(signed, keys / "theirs")
    for changed in (theirs.signature, base64.b64encode(b"x" * 64).decode(), "no base64", ""):
        (signed / SIGNATURE_FILE).write_text(json.dumps(content | {"signature": changed}))
        with pytest.raises(BundleError, match="does not fit"):
            load_bundle(signed, trusted_keys=keys / "ours.pub")
    for damaged in ("", "{", "[]", json.dumps(content | {"more": 1})):
        (signed / SIGNATURE_FILE).write_text(damaged)
        with pytest.raises(BundleError, match="damaged"):
            load_bundle(signed, trusted_keys=keys / "ours.pub")
    (signed / SIGNATURE_FILE).write_text(json.dumps(content | {"algorithm": "none"}))
    with pytest.raises(BundleError, match="not trusted"):
        load_bundle(signed, trusted_keys=keys / "ours.pub")


def test_a_manifest_made_anew_is_no_longer_signed(signed: Path, keys: Path) -> None:
    from modelwright.artifacts.manifest import MANIFEST_FILE, read_manifest, write_manifest

    lineage = read_manifest(signed).lineage
    signature = (signed / SIGNATURE_FILE).read_bytes()
    (signed / SIGNATURE_FILE).unlink()
    (signed / MANIFEST_FILE).unlink()
    write_manifest(signed, libraries={}, lineage=lineage | {"run": "another"})
    (signed / SIGNATURE_FILE).write_bytes(signature)
    assert load_bundle(signed)
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(signed, trusted_keys=keys / "ours.pub")


def test_a_signature_travels_in_an_archive_and_is_asked_for_on_import(signed: Path, keys: Path, tmp_path: Path) -> None:
    export_bundle(signed, tmp_path / "a.tar.gz")
    import_bundle(tmp_path / "a.tar.gz", tmp_path / "back", trusted_keys=keys / "ours.pub")
    assert read_signature(tmp_path / "back") == read_signature(signed)
    with pytest.raises(BundleError, match="not trusted"):
        import_bundle(tmp_path / "a.tar.gz", tmp_path / "other", trusted_keys=keys / "theirs.pub")
    assert not (tmp_path / "other").exists()


def test_keys_are_the_owners_alone_never_replaced_and_openssl_reads_them(keys: Path) -> None:
    assert (keys / "ours").stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInputError, match="such a file already"):
        make_keys(keys / "ours")
    if shutil.which("openssl"):
        command = ["openssl", "pkey", "-in", str(keys / "ours"), "-pubout"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == (keys / "ours.pub").read_bytes()


def test_files_that_are_no_keys_are_named(signed: Path, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "no.key").write_text("hello")
    for file in (tmp_path / "no.key", keys / "ours.pub"):
        with pytest.raises(InvalidInputError, match="no private Ed25519 key"):
            sign_bundle(signed, file)
    with pytest.raises(InvalidInputError, match="no public Ed25519 key"):
        verify_signature(signed, keys / "ours")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        verify_signature(signed, tmp_path / "none.pub")
