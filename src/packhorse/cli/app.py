"""The ``packhorse`` command: its global options, its commands by name, and the last word on every error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

import packhorse
from packhorse.cli.context import State, global_options
from packhorse.cli.failures import Failure, explain
from packhorse.errors import ExitCode

__all__ = ["COMMANDS", "LazyGroup", "packhorse_command", "run"]

SIGPIPE_EXIT = 141
"""What a shell shows for a program whose reader went away; every Unix tool ends like that."""

COMMANDS: dict[str, tuple[str, str]] = {
    "get": ("get", "Fetch files, go on after a cut, and prove what arrived."),
    "send": ("send", "Send files to people, or for a link, through FileSender."),
    "ls": ("browse", "List what is at an address."),
    "info": ("browse", "Show what a portal records about an address."),
    "verify": ("verify", "Check files against a digest, a portal or the ledger."),
    "status": ("status", "Show interrupted transfers and how to go on with each."),
    "query": ("query", "Fetch rows of a portal's tables: assay results, study data."),
    "lookup": ("lookup", "Show a portal's controlled vocabularies."),
    "studies": ("studies", "Search a portal's studies, and show one."),
    "transfers": ("transfers", "List, extend, remind, close and delete what you sent."),
    "invite": ("invite", "Invite somebody to send files through your account."),
    "guests": ("guests", "List, remind and revoke whom you invited."),
    "immport": ("immport", "Submit data to ImmPort: validate, upload, batch-update."),
    "login": ("account", "Sign in to a remote and keep the credential."),
    "logout": ("account", "Forget a remote's credential."),
    "whoami": ("account", "Show who a remote says you are, by which credential."),
    "remote": ("remotes", "Add, list and remove remotes."),
    "config": ("remotes", "Show the settings and where each came from."),
    "doctor": ("doctor", "Explain TLS, proxy, keyring, clock, space and reachability."),
    "serve": ("serve", "Run a portal of your own."),
    "server": ("server", "Bring files and users into your own portal."),
    "demo": ("demo", "See a transfer cut, resumed and proven, without account."),
    "completion": ("completion", "Print the completion script for your shell."),
}
"""Each command's module under ``packhorse.cli.commands``, and its one line of help.

The line stands here too so that ``packhorse --help`` imports no command; a test holds the two together.
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = COMMANDS.get(cmd_name)
        if known is None:
            return None
        import importlib

        module = importlib.import_module(f"packhorse.cli.commands.{known[0]}")
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            wish = f"packhorse {near[0]}" if near else "packhorse --help"
            raise _UnknownCommand(f"there is no command {args[0]!r}", wish)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


class _UnknownCommand(click.UsageError):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Addresses: flow:data/789, flow:executions/456/multiqc_report.html, https://…, a link from your browser.",
)
@click.version_option(packhorse.__version__, message="packhorse %(version)s")
@global_options(hidden=False)
def packhorse_command() -> None:
    """Packhorse carries research data between portals and proves what it moved."""


def run(argv: Sequence[str] | None = None, *, state: State | None = None) -> int:
    """Run one command line; every way it can end becomes an exit code here."""
    _no_closed_streams()
    _forgiving_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    state = state or State(arguments)
    try:
        code = packhorse_command.main(args=arguments, prog_name="packhorse", standalone_mode=False, obj=state)
        code = int(code) if isinstance(code, int) else int(ExitCode.DONE)
    except click.ClickException as error:
        code = _say(state, arguments, _of_click(error))
    except (click.Abort, KeyboardInterrupt) as error:
        code = _say(state, arguments, explain(KeyboardInterrupt()), error)
    except BrokenPipeError:
        code = _reader_gone()
    except Exception as error:  # noqa: BLE001 - the last place that can turn it into a line and a code
        code = _say(state, arguments, explain(error), error)
    finally:
        state.close()
    if state.made_output is not None and state.made_output.broken and code == ExitCode.DONE:
        code = _reader_gone()
    return code


def _say(state: State, arguments: list[str], failure: Failure, error: BaseException | None = None) -> int:
    if error is not None and os.environ.get("PACKHORSE_DEBUG") not in (None, "", "0"):
        import traceback

        traceback.print_exception(error, limit=-20)
    if "--json" in arguments and state.made_output is None:
        state.mode = "json"  # a usage error may come before the option was read
    output = state.output
    output.failure(failure)
    return failure.exit_code


def _of_click(error: click.ClickException) -> Failure:
    hint = getattr(error, "hint", "")
    if not hint:
        ctx = getattr(error, "ctx", None)
        hint = f"{ctx.command_path} --help" if isinstance(ctx, click.Context) else "packhorse --help"
    message = error.format_message()
    return Failure("usage", message[:1].lower() + message[1:].rstrip("."), int(ExitCode.USAGE), hint)


def _reader_gone() -> int:
    # Python flushes standard output once more at exit, and would complain about the same broken pipe
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return SIGPIPE_EXIT


def _no_closed_streams() -> None:
    """Where a standard stream is closed (``>&-``), its descriptor would go to the next file that is opened."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole run


def _forgiving_streams() -> None:
    """A name that the terminal's encoding lacks must not end a transfer."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with contextlib.suppress(OSError, ValueError):
                reconfigure(errors="backslashreplace")
