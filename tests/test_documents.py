"""The documents say what is so, and name nothing that a reader does not have."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from modelwright.cli.main import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
COMMANDS = tuple(command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands)
#: Commands that stand under a word of their own, such as "bundle export".
GROUPED = tuple(
    f"{group.name or group.typer_instance.info.name} {command.name or command.callback.__name__.replace('_', '-')}"
    for group in app.registered_groups
    for command in group.typer_instance.registered_commands
)
#: Documents that show commands to users.
SHOWN = sorted(
    {"README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))}
    - {"docs/benchmarks.md", "docs/architecture.md"}
)


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("document", names(DOCUMENTS))
def test_links_to_files_of_the_repository_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    dead = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert dead == []


@pytest.mark.parametrize("document", names(DOCUMENTS))
def test_no_document_names_a_path_of_somebodys_machine(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w.])/(?:home|root|Users|work|tmp|opt)/\S*", text) == []


def test_architecture_names_only_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", text)
    source = ROOT / "src" / "modelwright"
    places = (source, ROOT, ROOT / "src")
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert missing == []
    assert len(named) > 20


@pytest.mark.parametrize("document", SHOWN)
def test_a_document_shows_only_commands_and_options_that_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    # Options of the user's own script are its words, not ours.
    text = re.sub(r"```python.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"(modelwright run (?:[^`\n]*? )?[\w/]+(?:\.py|:)\w*)[^`\n]*", r"\1", text)
    text = re.sub(r"^(\$ docker|mlflow) .*$", "", text, flags=re.MULTILINE)  # so are those of another program
    lines = re.findall(rf"modelwright ({'|'.join(GROUPED)}|[a-z][a-z-]*)([^`\n]*)", text)
    shown = [(command, rest) for command, rest in lines if command in (*COMMANDS, *GROUPED)]
    assert shown
    typed = [line.split() for line in text.splitlines() if line.startswith("$ modelwright ")]
    assert all(words[2] in COMMANDS or " ".join(words[2:4]) in GROUPED for words in typed)
    pages: dict[str, str] = {}
    for command in {"train", *(command for command, _ in shown)}:
        program = [sys.executable, "-m", "modelwright.cli.main", *command.split(), "--help"]
        pages[command] = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    for command, rest in shown:
        for option in re.findall(r"--[a-z][a-z-]+", rest):
            assert option in pages[command], f"{command} {option}"
    everything = "".join(pages.values())
    for option in set(re.findall(r"--[a-z][a-z-]+", text)):
        assert option in everything, option


def test_every_decision_is_listed_and_answers_the_same_questions() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(folder.glob("[0-9]*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert f"]({path.name})" in index
        for part in ("Situation", "Decision", "Why", "What follows", "Refused"):
            assert f"**{part}.**" in text, f"{path.name} lacks {part}"


def test_constraints_are_exact_versions_and_cover_what_is_required() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    needed = {re.sub(r"[-_.]+", "-", re.split(r"[\[>=<]", requirement)[0]).lower() for requirement in wanted}
    assert needed - {"modelwright"} - pinned == set()


def test_changelog_begins_with_this_version() -> None:
    from modelwright.version import __version__

    (first, *_) = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert first == __version__
