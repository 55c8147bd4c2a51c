"""``packhorse immport …``: a group whose commands stand in modules of their own, imported when they are called."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from packhorse.cli.context import Group, global_options

__all__ = ["SUBCOMMANDS", "immport_command"]

SUBCOMMANDS: Final[dict[str, str]] = {
    "upload": "immport_upload",
    "validate": "immport_upload",
    "batch-update": "immport_upload",
    "ticket": "immport_ticket",
    "templates": "immport_ticket",
    "workspaces": "immport_ticket",
    "aspera-dir": "immport_aspera",
}
"""Each command's module under ``packhorse.cli.commands``; there it is ``NAME_command``, with ``_`` for ``-``."""


class _Lazy(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = SUBCOMMANDS.get(cmd_name)
        if known is None:
            return None
        found = getattr(import_module(f"packhorse.cli.commands.{known}"), f"{cmd_name.replace('-', '_')}_command")
        assert isinstance(found, click.Command)
        return found


@click.group("immport", cls=_Lazy)
@global_options(hidden=True)
def immport_command() -> None:
    """What only ImmPort has: submissions, and the folder of its Aspera scripts."""
