"""Published runs are there completely or not at all, come back byte for byte, and no address tells a secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.errors import BundleError, InvalidInputError, StorageError
from modelwright.store.artifacts import ArtifactStore
from modelwright.store.markers import decoded
from modelwright.store.published import Published

ENTRY = b'{"id":"churn-20990101-000000"}'
RUN = "churn-20990101-000000"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one run folder of nested files."""
    place = tmp_path / "home"
    make_run(place)
    return place


def make_run(home: Path, text: str = "{}") -> Path:
    folder = home / "runs" / RUN
    (folder / "model" / "members" / "0").mkdir(parents=True)
    (folder / "artifacts").mkdir()
    (folder / "run.json").write_text(text)
    (folder / "model" / "manifest.json").write_bytes(bytes(range(256)) * 40)
    (folder / "model" / "members" / "0" / "with blank & 100%.txt").write_text("tree")
    (folder / "labels.json").write_text('{"tags":{"team":"x"},"note":""}')
    return folder


def content(folder: Path) -> dict[str, bytes | None]:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.name != "labels.json"}
    return {name: path.read_bytes() if path.is_file() else None for name, path in paths.items()}


def test_run_comes_back_byte_for_byte_in_another_home(home: Path, tmp_path: Path, artifacts_url: str) -> None:
    Published(home, artifacts_url).publish(RUN, ENTRY, verify=True)

    other = Published(tmp_path / "other", artifacts_url)
    folder = other.bring(other.markers()[RUN])

    assert content(folder) == content(home / "runs" / RUN)
    assert json.loads((folder / "labels.json").read_text())["tags"] == {"team": "x"}
    other.store.verify(other.markers()[RUN])


def test_publishing_again_changes_nothing_and_new_labels_are_seen(home: Path, tmp_path: Path, artifacts_url: str) -> None:
    published = Published(home, artifacts_url)
    published.publish(RUN, ENTRY)
    first = published.store.names()
    published.publish(RUN, ENTRY)
    assert published.store.names() == first

    (home / "runs" / RUN / "labels.json").write_text('{"tags":{"team":"y"},"note":""}')
    published.publish(RUN, ENTRY)

    marker = Published(tmp_path / "other", artifacts_url).markers()[RUN]
    assert json.loads(bytes(marker.labels))["tags"] == {"team": "y"}
    assert len(published.store.names()[RUN]) == 1
    assert published.store.leftovers() == []


def test_removed_run_is_gone_with_its_files(home: Path, artifacts_url: str) -> None:
    published = Published(home, artifacts_url)
    published.publish(RUN, ENTRY)
    published.remove(RUN)
    assert published.markers() == {}
    assert published.store.leftovers() == []
    published.remove(RUN)  # once more is no error


def test_store_that_refuses_half_way_shows_nothing_and_the_next_attempt_succeeds(
    home: Path, tmp_path: Path, artifacts_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = Published(home, artifacts_url)
    system = published.store._place[0]
    whole = system.put_file

    def full(local: str, remote: str) -> None:
        if remote.endswith("run.json"):
            raise OSError(28, "No space left on device")
        whole(local, remote)

    with monkeypatch.context() as patched:
        patched.setattr(system, "put_file", full)
        with pytest.raises(StorageError, match="No space left") as caught:
            published.publish(RUN, ENTRY)
    assert "space" in caught.value.mend
    assert Published(tmp_path / "other", artifacts_url).markers() == {}
    assert len(published.store.leftovers()) == 1

    published.publish(RUN, ENTRY)
    assert set(Published(tmp_path / "other", artifacts_url).markers()) == {RUN}
    assert published.store.leftovers() == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from modelwright.store.published import Published

left = int(sys.argv[3])
published = Published(Path(sys.argv[1]), sys.argv[2])
system = published.store._place[0]

def counting(function):
    def call(*arguments, **more):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*arguments, **more)
    return call

for name in ("put_file", "pipe_file", "makedirs", "rm_file"):
    setattr(system, name, counting(getattr(system, name)))
published.publish(sys.argv[4], b"{}")
"""


def test_killed_before_any_write_a_run_is_there_whole_or_not_at_all(home: Path, tmp_path: Path) -> None:
    seen = []
    for step in range(12):
        url = (tmp_path / f"bucket{step}").as_uri()
        done = subprocess.run([sys.executable, "-c", _KILLED, str(home), url, str(step), RUN], check=False)
        other = Published(tmp_path / f"other{step}", url)
        markers = other.markers()
        if RUN in markers:
            other.store.verify(markers[RUN])
        seen.append((done.returncode, RUN in markers))
        if done.returncode == 0:
            break
        Published(home, url).publish(RUN, ENTRY, verify=True)
        assert set(other.markers()) == {RUN}
    assert seen[0] == (-signal.SIGKILL, False)
    assert seen[-1] == (0, True)
    assert len(seen) > 5


_LIMITED = """
import resource, sys
from pathlib import Path
from modelwright.errors import StorageError
from modelwright.store.published import Published

resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
published = Published(Path(sys.argv[1]), sys.argv[2])
try:
    if sys.argv[3] == "publish":
        published.publish(sys.argv[4], b"{}")
    else:
        published.bring(published.markers()[sys.argv[4]])
except StorageError as error:
    print(error.what, error.mend)
"""


@pytest.mark.parametrize("way", ["publish", "bring"])
def test_disk_that_takes_no_more_is_told_and_nothing_half_is_kept(home: Path, tmp_path: Path, way: str) -> None:
    url = (tmp_path / "bucket").as_uri()
    other = tmp_path / "other"
    if way == "bring":
        Published(home, url).publish(RUN, ENTRY)
    place = home if way == "publish" else other
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(place), url, way, RUN], check=True, capture_output=True, text=True
    )
    assert "File too large" in done.stdout
    assert "pace" in done.stdout  # the mend
    if way == "publish":
        assert Published(other, url).markers() == {}
    else:
        assert not (other / "runs" / RUN).exists()
        assert list((other / "tmp").iterdir()) == []


def test_changed_file_is_refused_and_nothing_is_kept(home: Path, tmp_path: Path) -> None:
    Published(home, (tmp_path / "bucket").as_uri()).publish(RUN, ENTRY)
    (file,) = (tmp_path / "bucket" / "runs").rglob("manifest.json")
    file.write_bytes(file.read_bytes()[:-1] + b"x")

    other = Published(tmp_path / "other", (tmp_path / "bucket").as_uri())
    with pytest.raises(BundleError, match=r"model/manifest\.json is not the one that was published"):
        other.bring(other.markers()[RUN])
    assert not (tmp_path / "other" / "runs" / RUN).exists()


def test_torn_marker_counts_for_nothing(home: Path, tmp_path: Path) -> None:
    published = Published(home, (tmp_path / "bucket").as_uri())
    published.publish(RUN, ENTRY)
    (name,) = published.store.names()[RUN]
    folder = tmp_path / "bucket" / "published"
    (folder / f"{RUN}~000002~0123456789abcdef.json").write_bytes((folder / name).read_bytes()[:100])

    other = Published(tmp_path / "other", (tmp_path / "bucket").as_uri())
    assert set(other.markers()) == {RUN}
    other.bring(other.markers()[RUN])


def test_other_content_under_the_same_identifier_is_refused(home: Path, tmp_path: Path) -> None:
    url = (tmp_path / "bucket").as_uri()
    Published(home, url).publish(RUN, ENTRY)
    make_run(tmp_path / "other", text='{"other": true}')
    with pytest.raises(StorageError, match="another run"):
        Published(tmp_path / "other", url).publish(RUN, ENTRY)


def test_marker_that_names_files_outside_the_run_is_refused(home: Path, tmp_path: Path) -> None:
    published = Published(home, (tmp_path / "bucket").as_uri())
    published.publish(RUN, ENTRY)
    (name,) = published.store.names()[RUN]
    text = (tmp_path / "bucket" / "published" / name).read_bytes().replace(b'"run.json"', b'"../../x"')
    with pytest.raises(BundleError, match="no path within a run"):
        published.store.fetch(decoded(text, name), tmp_path / "into")
    assert not (tmp_path / "x").exists()


def test_secret_by_reference_stands_in_no_stored_byte(
    home: Path, ftp_url: str, ftp_server: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    Published(home, ftp_url).publish(RUN, ENTRY)
    secret = os.environ["FTP_SECRET"].encode()
    stored = [path for root in (home, ftp_server[0]) for path in root.rglob("*")]
    assert not [path for path in stored if secret in str(path).encode() or (path.is_file() and secret in path.read_bytes())]
    assert "${FTP_SECRET}" in ArtifactStore(ftp_url).shown

    monkeypatch.delenv("FTP_SECRET")
    store = ArtifactStore(ftp_url)  # nothing is resolved before it is used
    with pytest.raises(InvalidInputError, match="FTP_SECRET"):
        store.names()


def test_wrong_password_is_told_without_it(ftp_url: str) -> None:
    with pytest.raises(StorageError) as caught:
        ArtifactStore(ftp_url.replace("${FTP_SECRET}", "falsch-123x")).names()
    assert "falsch-123x" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "what"),
    [("nothing://x", "cannot be understood"), ("postgresql://host/db", "cannot lie in a database")],
)
def test_address_that_nothing_reaches_is_refused(url: str, what: str) -> None:
    with pytest.raises(InvalidInputError, match=what):
        ArtifactStore(url).names()
