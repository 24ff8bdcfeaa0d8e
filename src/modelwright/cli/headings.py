"""The list of commands under headings, in the order in which a newcomer needs them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

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
