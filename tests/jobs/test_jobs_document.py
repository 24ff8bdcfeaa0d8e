"""Every example of docs/jobs.md runs as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "jobs.md"


def test_every_example_of_the_page_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"^```(python|console)\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) >= 9
    for kind, text in blocks:
        named = re.match(r"# (\w+\.py)\n", text)
        if named:
            (tmp_path / named[1]).write_text(text)
            continue
        calls = [["-c", text]] if kind == "python" else [shlex.split(line)[1:] for line in text.splitlines()]
        for words in calls:
            program = words if kind == "python" else ["-m", "modelwright.cli.main", *words[1:]]
            done = subprocess.run([sys.executable, *program], cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


def test_the_page_names_only_options_that_exist() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    program = [sys.executable, "-m", "modelwright.cli.main", "run", "--help"]
    page = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    of_scripts = {"--name", "--lr", "--fast", "--layers"}
    assert [option for option in re.findall(r"--[a-z][a-z-]+", text) if option not in page and option not in of_scripts] == []
