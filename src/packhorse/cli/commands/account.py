"""``packhorse login``, ``logout`` and ``whoami``."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import click

from packhorse.cli.asking import all_lines, first_line
from packhorse.cli.context import State, command
from packhorse.cli.demo_note import demo_account
from packhorse.errors import AuthenticationError, UsageError
from packhorse.model import Secret
from packhorse.settings import DEMO_FILES, DEMO_IMMPORT

__all__ = ["login_command", "logout_command", "whoami_command"]


@command(
    "login",
    examples="""
    packhorse login flow
    packhorse login flow --username ada --password-stdin < password.txt
    pass show flow | packhorse login flow --token-stdin
    pass show aarnet | packhorse login aarnet -u me@example.org --token-stdin
    packhorse login immport --token-stdin < api-key.json
    packhorse login immport --browser
    """,
)
@click.argument("remote", default="flow")
@click.option("--username", "-u", metavar="NAME", help="Account name; asked for where it is not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input (its first line).")
@click.option("--token-stdin", is_flag=True, help="Read an access token or API key from standard input.")
@click.option("--password", metavar="TEXT", help="Not advised: other users of this machine can read it.")
@click.option("--browser", is_flag=True, help="Sign in in the web browser, where the remote offers that (ImmPort).")
@click.option("--store", type=click.Choice(["auto", "keyring", "file"]), default="auto", show_default=True,
              help="Where to keep the credential.")  # fmt: skip
def login_command(
    state: State,
    *,
    remote: str,
    username: str | None,
    password_stdin: bool,
    token_stdin: bool,
    password: str | None,
    browser: bool,
    store: str,
) -> None:
    """Sign in to REMOTE and keep the credential. Without options, name and password are asked for."""
    if password_stdin + token_stdin + (password is not None) + browser > 1:
        raise UsageError("only one of --password-stdin, --token-stdin, --password and --browser can be given")
    remote = remote.rstrip(":")
    state.session.portal(remote)  # an unknown remote is said before anything is asked
    token = secret = None
    if token_stdin:
        kind = state.settings.remote(remote).kind
        token = all_lines("token") if kind == "immport" else first_line("token")
    elif password is not None:
        state.output.warn("a password in the command line can be read by others here; use --password-stdin")
        secret = Secret(password)
    elif password_stdin:
        secret = first_line("password")
    elif remote in ("demo", DEMO_FILES, DEMO_IMMPORT) and username in (None, "demo"):
        username, secret = demo_account(state.settings, remote) or (username, None)
    if browser:
        _done(state, remote, state.session.login_by_browser(remote, partial(_open, state), store=store))
        return
    if token is None:
        username = username or _ask(f"Username for {remote}", state, remote, hide=False)
        secret = secret or Secret(_ask(f"{_secret_name(state, remote)} of {username}", state, remote, hide=True))
    _done(state, remote, state.session.login(remote, username, secret, token=token, store=store))


def _open(state: State, url: str) -> None:
    """Open the browser, and write the address for who has none here."""
    import webbrowser

    state.output.note(f"the browser is opened; if none comes, open this address on this machine:\n  {url}")
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(url)


def _done(state: State, remote: str, who: Mapping[str, Any]) -> None:
    _show(state, "login", remote, who)
    state.output.line(f"signed in to {remote} as {_name(who)}")
    if who.get("stored"):
        state.output.line(f"kept in {who['stored']}", "dim")
    end = who.get("token_expires")
    if state.settings.remote(remote).kind == "immport" and isinstance(end, float) and end - time.time() < 86400:
        state.output.line(
            f"it holds until {_clock(end)}; an API key holds 30 days: packhorse login {remote} --token-stdin", "dim"
        )


def _secret_name(state: State, remote: str) -> str:
    """What the remote wants of its users; a FileSender site knows no passwords here."""
    return "API key" if state.settings.remote(remote).kind == "filesender" else "Password"


def _ask(question: str, state: State, remote: str, *, hide: bool) -> str:
    site = state.settings.remote(remote)
    where = f" (make one at {site.url}/?s=user)" if hide and site.kind == "filesender" else ""
    if not sys.stdin.isatty():
        either = "--token-stdin" if site.kind == "filesender" else "--password-stdin, or --token-stdin"
        raise UsageError("there is no terminal to ask on", hint=f"packhorse login {remote} --username NAME {either}")
    answer: str = click.prompt(question + where, hide_input=hide, err=True)
    return answer


@command("logout", examples="packhorse logout flow")
@click.argument("remote", default="flow")
def logout_command(state: State, remote: str) -> None:
    """Forget the credential of REMOTE: on this machine, and at the server where it can be told."""
    remote = remote.rstrip(":")
    found = bool(state.session.logout(remote))
    state.output.data("logout", {"remote": remote, "found": found})
    state.output.line(f"signed out of {remote}" if found else f"nothing was kept for {remote}")


@command("whoami", examples="packhorse whoami flow")
@click.argument("remote", default="flow")
def whoami_command(state: State, remote: str) -> None:
    """Show who REMOTE says you are, and which rung of the credential ladder answered."""
    remote = remote.rstrip(":")
    who = state.session.whoami(remote)
    if not who:
        raise AuthenticationError(f"not signed in to {remote}", hint=f"packhorse login {remote}")
    _show(state, "whoami", remote, who)
    full = who.get("name")
    state.output.line(f"{remote}: {_name(who)}" + (f" ({full})" if full and full != _name(who) else ""))
    if who.get("rung"):
        ends = who.get("token_expires")
        until = f", until {_clock(ends)}" if isinstance(ends, float) else ""
        state.output.line(f"credential: {who['rung']}, {who.get('origin')}{until}", "dim")


def _show(state: State, event: str, remote: str, who: Mapping[str, Any]) -> None:
    fields = {str(key): value for key, value in who.items() if not isinstance(value, Secret)}
    state.output.data(event, {"remote": remote, **fields})
    state.output.value(_name(who))


def _name(who: Mapping[str, Any]) -> str:
    return str(who.get("username") or who.get("name") or who.get("email") or "somebody")


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M")
