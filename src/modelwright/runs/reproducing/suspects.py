"""What is different here from where a run was made, in the order in which it is to be suspected."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from modelwright.provenance.code import DIFF_FILE, code_of
from modelwright.provenance.machine import hardware, thread_settings
from modelwright.provenance.packages import installed
from modelwright.provenance.record import Provenance
from modelwright.provenance.secrets import redacted_code
from modelwright.training.environment import PACKAGES, code_digest
from modelwright.training.record import RunRecord
from modelwright.version import __version__

UNKNOWN = "nothing that was recorded differs: packages, threads, machine, Python and code are those of the run"
_MOST_NAMED = 8


def recorded_packages(record: RunRecord) -> dict[str, str]:
    """Version of every package that the run recorded: all that were installed, or those that can change a result."""
    provenance = record.provenance
    return dict(record.environment.get("packages", {}) if provenance is None else provenance.packages)


def other_packages(record: RunRecord) -> dict[str, tuple[str, str]]:
    """Packages whose version is another one here, (in the run, here); those that can change a result come first."""
    now = installed()
    differing = {
        name: (version, now.get(name, "absent"))
        for name, version in recorded_packages(record).items()
        if name != "modelwright" and now.get(name) != version
    }
    order = {name: place for place, name in enumerate(PACKAGES)}
    return dict(sorted(differing.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def suspects(record: RunRecord, folder: Path, packages: dict[str, tuple[str, str]]) -> list[str]:
    """What is different here but for the data, the most suspicious first.

    Parameters
    ----------
    record : RunRecord
    folder : Path
        Of the run.
    packages : dict
        From `other_packages`.
    """
    provenance, then = record.provenance, record.environment
    found = []
    if packages:
        shown = [f"{name} {now} here, {before} in the run" for name, (before, now) in list(packages.items())[:_MOST_NAMED]]
        more = f"; and {len(packages) - _MOST_NAMED} more" if len(packages) > _MOST_NAMED else ""
        found.append(f"packages: {'; '.join(shown)}{more}")
    if provenance is not None:
        found += _changed("thread settings", provenance.threads, thread_settings())
    if then.get("threads_per_fit", 1) != 1:
        found.append(f"threads: the members were fitted with {then['threads_per_fit']} threads")
    machine = {"machine": then.get("machine", "")}
    here = {"machine": platform.machine()}
    if provenance is not None:
        now = hardware()
        machine |= {"processor": provenance.hardware.cpu}
        here |= {"processor": now.cpu}
    found += _changed("machine", machine, here)
    python = {"Python": then.get("python", ""), "implementation": then.get("implementation", "")}
    found += _changed(
        "Python", python, {"Python": platform.python_version(), "implementation": platform.python_implementation()}
    )
    return found + _of_code(record, folder, provenance)


def _of_code(record: RunRecord, folder: Path, provenance: Provenance | None) -> list[str]:
    found = []
    if record.modelwright != __version__:
        found.append(f"code: modelwright {__version__} here, {record.modelwright} in the run")
    elif record.environment.get("code", code_digest()) != code_digest():
        found.append(f"code: modelwright is of version {__version__} in both, but its source is not the same")
    if provenance is not None and provenance.code is not None:
        then, (now, diff) = provenance.code, code_of(Path.cwd())
        if now is None or now.commit != then.commit:
            here = "no repository" if now is None else f"commit {now.commit[:12]}"
            found.append(f"your code: {here} here, commit {then.commit[:12]} in the run")
        elif redacted_code(diff) != _text(folder / DIFF_FILE):
            found.append(f"your code: the uncommitted changes are not those of the run ({DIFF_FILE} in its folder)")
    return found


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _changed(what: str, then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One sentence for settings that are not the same; what was not recorded is not compared."""
    names = sorted({*then, *now}, key=str)
    differing = [
        f"{name} {now.get(name, 'not set')} here, {then.get(name, 'not set')} in the run"
        for name in names
        if then.get(name, "not set") != now.get(name, "not set") and then.get(name, "?") != ""
    ]
    return [f"{what}: {'; '.join(differing)}"] if differing else []
