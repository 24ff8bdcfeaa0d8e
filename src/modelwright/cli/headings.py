"""The list of commands under headings, in the order in which a newcomer needs them."""

from __future__ import annotations

import copy
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_name
from typer.models import CommandInfo, TyperInfo

#: Heading -> its commands.
HEADINGS = {
    "Train and look": (
        "train", "audit", "show", "report", "explain", "card", "predict", "init", "algorithms", "version",
    ),
    "Runs, recorded and repeated": (
        "runs", "compare", "tag", "delete", "run", "tune", "resume", "reproduce", "check", "mirror", "import-mlflow", "store",
        "doctor",
    ),
    "Models, registered and packed": (
        "register", "models", "alias", "promote", "rollback", "decisions", "inspect", "bundle", "export", "container",
    ),
    "In production": (
        "up", "serve", "token", "monitor", "schedule", "worker", "status", "policy", "rehearse", "retrain", "gate", "approve",
        "release", "alert", "alerts",
    ),
}  # fmt: skip


def with_one_command(app: typer.Typer, word: str) -> typer.Typer:
    """The program with the one command that is asked for, or the whole one where the word names none.

    All of them together take longer to set up than most commands to run. Their list needs their first sentences only.
    """
    if word in ("--help", "-h"):
        listed = copy.copy(app)
        listed.registered_commands = [_without_options(info) for info in app.registered_commands]
        return listed
    commands = [info for info in app.registered_commands if _name_of(info) == word]
    groups = [info for info in app.registered_groups if _name_of_group(info) == word]
    if not commands and not groups:
        return app
    one = copy.copy(app)
    one.registered_commands, one.registered_groups = commands, groups
    return one


def _name_of(info: CommandInfo) -> str:
    return info.name or get_command_name(info.callback.__name__ if info.callback is not None else "")


def _without_options(info: CommandInfo) -> CommandInfo:
    def told() -> None:
        """Nothing: this command is only listed."""

    told.__doc__ = info.callback.__doc__ if info.callback is not None else None
    alike = copy.copy(info)
    alike.name, alike.callback = _name_of(info), told
    return alike


def _name_of_group(info: TyperInfo) -> str | None:
    own = info.typer_instance.info.name if info.typer_instance is not None else None
    return next((name for name in (info.name, own) if isinstance(name, str)), None)


class HeadedGroup(TyperGroup):
    """A group whose help lists its commands under `HEADINGS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command, in the order of the headings."""
        placed = [name for names in HEADINGS.values() for name in names]
        known = super().list_commands(ctx)
        return [name for name in placed if name in known] + [name for name in known if name not in placed]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each heading."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        width = max(map(len, commands))
        for heading, names in HEADINGS.items():
            rows = [
                # The first column is as wide in every section.
                (name.ljust(width), command.get_short_help_str(formatter.width - 6 - width))
                for name in names
                if (command := commands.get(name)) is not None and not command.hidden
            ]
            with formatter.section(heading):
                formatter.write_dl(rows)
