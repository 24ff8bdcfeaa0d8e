"""Which commit a folder is at, as a bundle's lineage has it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from modelwright.provenance.code import commit_of


def test_the_commit_is_told_and_changes_are_marked(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    assert commit_of(tmp_path) == ""
    (tmp_path / "a.py").write_text("a = 1\n")
    git("add", "a.py")
    git("commit", "-qm", "first")
    assert commit_of(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "a.py").write_text("a = 2\n")
    assert commit_of(tmp_path) == git("rev-parse", "HEAD") + "+"
