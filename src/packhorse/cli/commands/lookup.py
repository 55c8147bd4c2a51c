"""``packhorse lookup``: a portal's controlled vocabularies."""

from __future__ import annotations

import click

from packhorse.cli.context import State, command
from packhorse.cli.rows import give_table, output_options
from packhorse.cli.texts import count
from packhorse.wire.immport.queries import LOOKUPS

__all__ = ["lookup_command"]


@command(
    "lookup",
    examples="""
    packhorse lookup immport
    packhorse lookup immport lkSex
    packhorse lookup immport lkAnalyte -o analytes.csv
    """,
)
@click.argument("remote")
@click.argument("name", required=False)
@output_options
@click.option("--fresh", is_flag=True, help="Ask the portal, whatever is kept: vocabularies are kept for a day.")
def lookup_command(
    state: State, *, remote: str, name: str | None, kind: str | None, target: str | None, overwrite: bool, fresh: bool
) -> None:
    """Show the controlled vocabulary NAME of REMOTE; without NAME, the names of all."""
    if name is None:
        for each in LOOKUPS:
            state.output.data("lookup", {"name": each})
            state.output.value(each)
            state.output.line(each)
        state.output.line(f"{count(len(LOOKUPS), 'vocabulary', 'vocabularies')}", "dim")
        return
    table = state.session.lookup(remote, name, fresh=fresh)
    give_table(state, table, kind, target, overwrite=overwrite, what="term")
