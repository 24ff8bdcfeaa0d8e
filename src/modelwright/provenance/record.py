"""Where a run comes from, as values: code, command, packages, machine, source. Who finds them out stands beside."""

from __future__ import annotations

import msgspec


class Code(msgspec.Struct, frozen=True):
    """State of the Git repository that the command was given in.

    ``diff`` names the file of the run folder that has the uncommitted changes of tracked files; empty where there are none.
    ``left_out`` says what the diff does not have, such as untracked files or one that is too large.
    """

    commit: str
    branch: str = ""
    diff: str = ""
    left_out: list[str] = []

    @property
    def dirty(self) -> bool:
        """Whether the commit alone does not say what ran."""
        return bool(self.diff or self.left_out)


class Hardware(msgspec.Struct, frozen=True):
    """The machine, as far as it can change a result or a duration."""

    machine: str
    cpu: str = ""
    cores: int = 0
    memory_bytes: int = 0
    gpus: list[str] = []


class SourceVersion(msgspec.Struct, frozen=True):
    """Which state of the source was read: size and time of a file, or what a server calls its version."""

    source: str
    size_bytes: int | None = None
    modified: str = ""
    version: str = ""


class Provenance(msgspec.Struct, frozen=True):
    """Everything about a run's origin that is not its data.

    ``packages`` are all installed distributions, ``threads`` the settings of the environment that limit threads,
    ``command`` the words of the call without secrets.
    """

    command: list[str]
    user: str
    python: str
    system: str
    packages: dict[str, str]
    hardware: Hardware
    threads: dict[str, str] = {}
    code: Code | None = None
    source: SourceVersion | None = None
