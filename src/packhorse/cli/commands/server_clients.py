"""``packhorse server client …``: which programs users may sign in with (OAuth)."""

from __future__ import annotations

from pathlib import Path

import click

from packhorse.cli.commands.serve import server_config as _config
from packhorse.cli.commands.serve import server_home_option as _home
from packhorse.cli.context import Group, State, command, global_options

__all__ = ["client"]


@click.group("client", cls=Group)
@global_options(hidden=True)
def client() -> None:
    """Register programs that sign users in with OAuth."""


@command(
    "add",
    group=client,
    examples="""
    packhorse server client add notebook --redirect http://127.0.0.1/callback
    packhorse server client add pipeline --confidential --user ada --scope browse
    """,
)
@click.argument("client_id")
@click.option("--name", default="", metavar="TEXT", help="What users are shown. Default: the id.")
@click.option("--redirect", "redirects", multiple=True, metavar="URL", help="Where codes may be sent; more than once.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(["browse", "download", "upload"]),
              help="What it may ask for. Default: browse and download.")  # fmt: skip
@click.option("--confidential", is_flag=True, help="It keeps a secret, which is made and printed.")
@click.option("--user", metavar="USER", help="Whom it may act as by itself (client credentials).")
@_home
def add(
    state: State,
    *,
    client_id: str,
    name: str,
    redirects: tuple[str, ...],
    scopes: tuple[str, ...],
    confidential: bool,
    user: str | None,
    home: Path | None,
) -> None:
    """Register CLIENT_ID, or change it; a secret is shown only now."""
    from packhorse.server.immport.clients import add_client

    secret = add_client(
        _config(state, home),
        client_id,
        name=name,
        redirects=redirects,
        scopes=scopes or ("browse", "download"),
        user=user,
        confidential=confidential,
    )
    state.output.data("client", {"client_id": client_id, "client_secret": secret})
    if secret is None:
        state.output.line(f"registered {client_id}")
        return
    state.output.note(f"the secret of {client_id}; it is not shown again:", "dim")
    state.output.line(secret)
    state.output.value(secret)


@command("remove", group=client, examples="packhorse server client remove notebook")
@click.argument("client_id")
@_home
def remove(state: State, client_id: str, home: Path | None) -> None:
    """Forget CLIENT_ID: nobody signs in with it any more."""
    from packhorse.server.immport.clients import remove_client

    remove_client(_config(state, home), client_id)
    state.output.data("client", {"client_id": client_id, "removed": True})
    state.output.line(f"{client_id} is forgotten")
