"""``packhorse server …``: thin over :mod:`packhorse.server`. All of it works beside a running server."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from packhorse.cli.commands.serve import server_config as _config
from packhorse.cli.commands.serve import server_home_option as _home
from packhorse.cli.commands.server_clients import client
from packhorse.cli.commands.server_studies import STUDY_COMMANDS
from packhorse.cli.context import Group, State, command, global_options
from packhorse.cli.texts import Column, count, size
from packhorse.errors import UsageError

__all__ = ["server_command"]


@click.group("server", cls=Group)
@global_options(hidden=True)
def server_command() -> None:
    """Bring files, studies and users into your own portal."""


for _command in STUDY_COMMANDS:
    server_command.add_command(_command)


@command(
    "import-folder",
    group=server_command,
    examples="""
    packhorse server import-folder runs/liver_1 --as sample --owner ada
    packhorse server import-folder results/456 --as execution --owner ada --copy
    """,
)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--as", "kind", type=click.Choice(["sample", "execution", "project"]), required=True,
              help="What the folder is.")  # fmt: skip
@click.option("--owner", metavar="USER", required=True, help="The user that it belongs to.")
@click.option("--name", metavar="NAME", help="Its name. Default: the folder's.")
@click.option("--public", is_flag=True, help="Everybody may read it.")
@click.option("--copy", is_flag=True, help="Copy the files in. Default: serve them from where they are.")
@_home
def import_folder_command(state: State, directory: Path, home: Path | None, **plain: Any) -> None:
    """Bring the files of DIRECTORY in. Run again, it takes in only what is new."""
    from packhorse.server.importer import import_folder

    done = import_folder(_config(state, home), directory, **plain)
    output = state.output
    output.data("imported", {**asdict(done), "id": done.object_id})
    for skipped in done.skipped:
        output.warn(f"left out {skipped.path}: {skipped.reason}")
    files = count(len(done.added) + len(done.changed) + len(done.kept), "file")
    output.line(
        f"{done.kind} {done.object_id} ({done.name}): {files}; {len(done.added):,} new, {len(done.changed):,} changed, "
        f"{len(done.kept):,} as before, {len(done.removed):,} gone; {size(done.hashed_bytes)} read"
    )


@click.group("user", cls=Group)
@global_options(hidden=True)
def user() -> None:
    """Add and list users, set passwords, make keys."""


server_command.add_command(user)
server_command.add_command(client)


@command(
    "add",
    group=user,
    examples="""
    packhorse server user add ada --email ada@example.org
    packhorse server user add ada --password-stdin < password.txt
    """,
)
@click.argument("username")
@click.option("--email", default="", metavar="ADDR", help="Mail address.")
@click.option("--name", default="", metavar="NAME", help="The person's name.")
@click.option("--admin", is_flag=True, help="May read and change everything.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input (its first line).")
@_home
def add(
    state: State, *, username: str, email: str, name: str, admin: bool, password_stdin: bool, home: Path | None
) -> None:
    """Add a user; the password is asked for."""
    from packhorse.server.users import create_user

    password = _new_password(username, stdin=password_stdin)
    role = "admin" if admin else "user"
    made = create_user(_config(state, home), username, password, email=email, name=name, role=role)
    state.output.data("user", {"id": made.id, "username": made.username, "role": made.role})
    state.output.line(f"added user {made.username} ({made.role})")


@command("list", group=user, examples="packhorse server user list")
@_home
def list_(state: State, home: Path | None) -> None:
    """List the users."""
    from packhorse.server.users import list_users

    rows = []
    for found in list_users(_config(state, home)):
        fields = {"id": found.id, "username": found.username, "role": found.role, "active": found.active}
        state.output.data("user", {**fields, "email": found.email, "name": found.name})
        state.output.value(found.username)
        rows.append([found.username, found.role, found.name, found.email, "" if found.active else "closed"])
    columns = (
        Column("user"),
        Column("role"),
        Column("name", flexible=True),
        Column("email", flexible=True),
        Column("note"),
    )
    state.output.table(columns, rows)
    state.output.line(count(len(rows), "user"))


@command("password", group=user, examples="packhorse server user password ada")
@click.argument("username")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input (its first line).")
@_home
def password_(state: State, username: str, password_stdin: bool, home: Path | None) -> None:
    """Set a user's password and end all their sign-ins."""
    from packhorse.server.users import set_password

    set_password(_config(state, home), username, _new_password(username, stdin=password_stdin))
    state.output.data("user", {"username": username})
    state.output.line(f"the password of {username} is set")


@command("api-key", group=user, examples="packhorse server user api-key ada --purpose 'cluster'")
@click.argument("username")
@click.option("--purpose", default="", metavar="TEXT", help="What it is for.")
@_home
def api_key(state: State, username: str, purpose: str, home: Path | None) -> None:
    """Make an API key and print it: the only time that it can be seen."""
    from packhorse.server.users import create_api_key

    key = create_api_key(_config(state, home), username, purpose=purpose)
    state.output.note(f"the new API key of {username}; it is not shown again:", "dim")
    state.output.data("api-key", {"username": username, "key": key})
    state.output.line(key)
    state.output.value(key)


@command(
    "filesender-key",
    group=user,
    examples="""
    packhorse server user filesender-key ada
    packhorse server user filesender-key ada --new
    """,
)
@click.argument("username")
@click.option("--new", is_flag=True, help="Make a new one; the one before stops working.")
@click.option("--delete", "delete_it", is_flag=True, help="Take it away.")
@_home
def filesender_key_(state: State, username: str, new: bool, delete_it: bool, home: Path | None) -> None:
    """Show the key that signs a user's FileSender requests; the first time one is made."""
    from packhorse.server import filesender_keys as keys

    if new and delete_it:
        raise UsageError("--new and --delete cannot be joined")
    config = _config(state, home)
    if delete_it:
        found = keys.remove_filesender_key(config, username)
        state.output.data("filesender-key", {"username": username, "key": None, "found": found})
        state.output.line(f"the FileSender key of {username} is gone" if found else f"{username} had no key")
        return
    key = (None if new else keys.read_filesender_key(config, username)) or keys.create_filesender_key(config, username)
    state.output.data("filesender-key", {"username": username, "key": key})
    state.output.line(key)
    state.output.value(key)


@command("application", group=server_command, examples="packhorse server application cluster")
@click.argument("name")
@click.option("--admin", is_flag=True, help="May do everything, for every user.")
@_home
def application_command(state: State, name: str, admin: bool, home: Path | None) -> None:
    """Let a program act for users at FileSender's API; its secret is made anew and printed."""
    from packhorse.server.filesender_keys import create_application

    secret = create_application(_config(state, home), name, admin=admin)
    state.output.note(f"the secret of {name}; it is not shown again:", "dim")
    state.output.data("application", {"name": name, "secret": secret, "admin": admin})
    state.output.line(secret)
    state.output.value(secret)


@command("share", group=server_command, examples="packhorse server share execution 456 ada")
@click.argument("kind", type=click.Choice(["data", "sample", "project", "execution", "study"]))
@click.argument("id")
@click.argument("username")
@click.option("--level", type=click.Choice(["read", "edit", "share", "none"]), default="read", show_default=True,
              help="The right; none takes it back.")  # fmt: skip
@_home
def share_command(
    state: State,
    *,
    kind: str,
    id: str,  # noqa: A002
    username: str,
    level: str,
    home: Path | None,
) -> None:
    """Give USERNAME a right on the object of KIND and ID."""
    from packhorse.server.users import share

    share(_config(state, home), kind, id, username, level)
    state.output.data("share", {"kind": kind, "id": id, "username": username, "level": level})
    right = f"no right any more on {kind} {id}" if level == "none" else f"the right {level!r} on {kind} {id}"
    state.output.line(f"{username} has {right}")


def _new_password(username: str, *, stdin: bool) -> str:
    if stdin:
        text = sys.stdin.readline().rstrip("\r\n")
        if not text:
            raise UsageError("standard input holds no password")
        return text
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", hint="give the password with --password-stdin")
    entered: str = click.prompt(f"New password for {username}", hide_input=True, confirmation_prompt=True, err=True)
    return entered
