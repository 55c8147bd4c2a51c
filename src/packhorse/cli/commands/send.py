"""``packhorse send``."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from packhorse.cli import records
from packhorse.cli.arguments import parse_email, parse_emails, parse_expiry, parse_options
from packhorse.cli.asking import ask_password, first_line, new_password
from packhorse.cli.context import State, command
from packhorse.cli.moving import rate_option, terminate_as_interrupt
from packhorse.cli.texts import count, size
from packhorse.errors import ExitCode, InterruptedTransfer, UsageError
from packhorse.model import Secret

if TYPE_CHECKING:
    from packhorse.session import Prepared

__all__ = ["send_command"]

_LEFT_OUT: Final = 10
_SHORT: Final = 12
_PLACEHOLDER: Final = Secret("not the password yet")


@command(
    "send",
    examples="""
    packhorse send reads/ report.pdf --to ada@example.org,bob@example.org
    packhorse send reads/ --link --expires 14d --via aarnet
    packhorse send genome.bam --to ada@example.org --encrypt --generate-password
    packhorse send reads/ --voucher 'https://filesender.example.org/?s=upload&vid=VOUCHER'
    """,
)
@click.argument("files", metavar="FILES...", nargs=-1)
@click.option("--to", "-t", metavar="ADDR,ADDR", multiple=True, help="Whom to mail (may be repeated).")
@click.option("--link", is_flag=True, help="Make a link that works for whoever has it, and mail nobody.")
@click.option("--via", metavar="REMOTE", help="The FileSender remote; not needed where only one is configured.")
@click.option("--voucher", metavar="LINK", help="Send as a guest: the link of the invitation that you got.")
@click.option("--subject", "-s", metavar="TEXT", default="", help="Subject of the mail.")
@click.option("--message", "-m", metavar="TEXT", default="", help="Text of the mail.")
@click.option("--from", "sender", metavar="ADDR", default="", help="Your address, where you have several.")
@click.option("--expires", metavar="14d|DATE", help="How long it can be fetched: 14d, 2w, 2026-12-24.")
@click.option("--encrypt", is_flag=True, help="Encrypt end to end with a password; it is asked for.")
@click.option("--password-stdin", is_flag=True, help="With --encrypt: read the password from standard input.")
@click.option("--generate-password", is_flag=True, help="With --encrypt: make a password and show it.")
@click.option("--option", "options", metavar="NAME[=VALUE]", multiple=True,
              help="An option of the transfer: email_download_complete, … (may be repeated).")  # fmt: skip
@click.option("--again", is_flag=True, help="Send and mail anew what the same command sent in the last three days.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be sent; send nothing.")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), metavar="N", help="At most N connections.")
@click.option(
    "--limit-rate", callback=rate_option, metavar="RATE", help="Bytes per second for the whole job: 500k, 10M."
)
@click.option("--retries", type=click.IntRange(0, 1000), metavar="N",
              help="Tries of a part after the first (default 3).")  # fmt: skip
@click.option("--discard", metavar="[KEY]", is_flag=False, flag_value="", default=None,
              help="Give an interrupted upload up, here and there (packhorse status shows the keys).")  # fmt: skip
def send_command(
    state: State,
    *,
    files: tuple[str, ...],
    via: str | None,
    voucher: str | None,
    again: bool,
    dry_run: bool,
    discard: str | None,
    jobs: int | None,
    limit_rate: int | None,
    retries: int | None,
    **given: Any,
) -> int:
    """Send files and folders to people through a FileSender site, and print their links.

    With --to each person is mailed; with neither --to nor --voucher a link is made, and nobody is mailed. Type the same
    command again after any interruption: it goes on where it was, and nobody is mailed twice. What it sent in the last
    three days it does not send again, unless with --again: it shows the links.
    """
    if discard is not None:
        return _discard(state, discard, files, voucher)
    if not files:
        raise UsageError("no file was given", hint="packhorse send FILES --to ADDRESS")
    asked = _Asked(list(files), via, voucher, _wishes(given), _wanted_password(given), again)
    moving = {"jobs": jobs, "limit_rate": limit_rate, "retries": retries}
    asked.moving.update({name: value for name, value in moving.items() if value is not None})
    return _dry_run(state, asked) if dry_run else _send(state, asked)


@dataclass(slots=True)
class _Asked:
    """What is to be sent. ``ask`` says where a password comes from: ``stdin``, ``generate``, ``ask`` or none."""

    files: list[str]
    via: str | None
    voucher: str | None
    wishes: dict[str, Any]
    ask: str
    again: bool = False
    moving: dict[str, Any] = field(default_factory=dict)


def _wishes(given: dict[str, Any]) -> dict[str, Any]:
    """What the portal is told. Raises :class:`UsageError`."""
    from packhorse.portals.filesender.manage import TRANSFER_OPTIONS

    if given["to"] and given["link"]:
        raise UsageError(
            "--to and --link cannot be joined: for a link nobody is mailed",
            hint="leave --link out: each person's link is printed too",
        )
    to = parse_emails(given["to"])
    if given["to"] and not to:
        raise UsageError("--to holds no address", hint="--to ada@example.org,bob@example.org")
    known = TRANSFER_OPTIONS - {"get_a_link", "encryption"}
    wishes: dict[str, Any] = {
        "to": to,
        "link": given["link"],
        "subject": given["subject"],
        "message": given["message"],
        "sender": parse_email(given["sender"]) if given["sender"] else "",
        "transfer_options": parse_options(given["options"], known, "transfer option"),
    }
    if given["expires"]:
        wishes["expires"] = parse_expiry(given["expires"], time.time())
        wishes["validity"] = given["expires"].strip()
    return wishes


def _wanted_password(given: dict[str, Any]) -> str:
    stdin, generate = given["password_stdin"], given["generate_password"]
    if (stdin or generate) and not given["encrypt"]:
        raise UsageError("a password is for --encrypt only", hint="add --encrypt, or leave the password out")
    if stdin and generate:
        raise UsageError("--password-stdin and --generate-password cannot be joined")
    return "stdin" if stdin else "generate" if generate else "ask" if given["encrypt"] else ""


def _prepare(state: State, asked: _Asked) -> Prepared:
    password = None
    if asked.ask == "stdin":
        password = first_line("password")
        _warn_short(state, password)
    elif asked.ask:
        password = _PLACEHOLDER
    wishes = {**asked.wishes, "password": password} if password else asked.wishes
    prepared = state.session.prepare(asked.files, via=asked.via, voucher=asked.voucher, again=asked.again, **wishes)
    for name in (*prepared.empty_folders[:_LEFT_OUT], *prepared.loops[:_LEFT_OUT]):
        why = "an empty folder" if name in prepared.empty_folders else "a link to a folder that it lies in"
        state.output.warn(f"left out {name}: {why}")
    return prepared


def _warn_short(state: State, password: Secret) -> None:
    if len(password.reveal()) < _SHORT:
        state.output.warn(f"the password has fewer than {_SHORT} characters: who has the files can try them all")


def _dry_run(state: State, asked: _Asked) -> int:
    from packhorse.cli.sent import PLAN_COLUMNS, plan_words

    prepared, output = _prepare(state, asked), state.output
    for file in prepared.files:
        fields = {"path": file.name, "size": file.size, "action": "send", "source": str(file.path)}
        output.data("planned", {**fields, "target": prepared.via.remote})
        output.value(str(file.path))
    output.table(PLAN_COLUMNS, [[file.name, size(file.size), str(file.path)] for file in prepared.files])
    output.line(plan_words(prepared, asked.wishes))
    return int(ExitCode.DONE)


def _send(state: State, asked: _Asked) -> int:
    from packhorse.cli.progress import Display
    from packhorse.cli.sent import report

    output, folder = state.output, state.state_dir / "transfers"
    prepared = _with_password(state, asked, _prepare(state, asked))
    record = records.begin(folder, None, state.arguments, upload=prepared.key)
    options = state.session.send_options(**asked.moving)
    with ExitStack() as stack:
        stack.enter_context(terminate_as_interrupt())
        display = stack.enter_context(Display(output, verbose=state.verbose))
        state.asking = display.paused
        try:
            outcome = state.session.send_prepared(prepared, options, display)
        except (KeyboardInterrupt, InterruptedTransfer):
            stack.close()
            return _interrupted(state, prepared)
        except Exception:
            if not any(one.key == prepared.key for one in state.session.pending()):
                records.end(folder, record)  # it failed before anything was begun
            raise
    if outcome.error is None:
        records.end(folder, record)
    return report(state, prepared, outcome, encrypted=bool(asked.ask))


def _with_password(state: State, asked: _Asked, prepared: Prepared) -> Prepared:
    """The upload with the password that it was begun with, or with a new one."""
    if asked.ask not in ("ask", "generate"):
        return prepared
    if prepared.sent is not None:
        return state.session.with_password(prepared, None)  # nothing will be encrypted
    generated = asked.ask == "generate"
    otherwise = "give the password with --password-stdin" + " in place of --generate-password" * generated
    if prepared.before is not None and prepared.before.stage != "beginning":
        shown = " (it was shown then)" if generated else ""
        state.output.note(f"an upload of these files was begun {_when(prepared)}; it needs the same password{shown}")
        return state.session.with_password(prepared, ask_password("Password", otherwise=otherwise))
    if not generated:
        password = new_password("Password for the files", otherwise=f"{otherwise}, or --generate-password")
        _warn_short(state, password)
        return state.session.with_password(prepared, password)
    from packhorse.wire.filesender.crypto import generate_password

    text = generate_password()
    output = state.output
    output.data("password", {"password": text})
    output.value(text)
    output.line(f"password: {text}")
    output.note("it is kept nowhere; tell it to the recipients by another way than the link", "dim")
    return state.session.with_password(prepared, Secret(text), generated=True)


def _when(prepared: Prepared) -> str:
    from packhorse.cli.texts import ago

    assert prepared.before is not None
    return ago(prepared.before.seen, time.time())


def _interrupted(state: State, prepared: Prepared) -> int:
    from packhorse.cli.failures import Failure

    there = next((one.confirmed for one in state.session.pending() if one.key == prepared.key), 0)
    said = f"interrupted; {size(there)} of {size(prepared.size)} are there" if there else "interrupted"
    typed = records.same_command(state.arguments)
    hint = f"the same command goes on from there:\n{typed}" if there else typed
    fields = (("kept", there), ("command", typed), ("key", prepared.key))
    state.output.failure(Failure("interrupted", said, int(ExitCode.INTERRUPTED), hint, fields=fields))
    return int(ExitCode.INTERRUPTED)


def _discard(state: State, key: str, files: tuple[str, ...], voucher: str | None) -> int:
    """Give one interrupted upload up. Without a key it must be the only one."""
    words = [*([key] if key else []), *files]
    found = state.session.pending()
    if len(words) > 1:
        raise UsageError("one upload is given up at a time", hint="packhorse send --discard KEY")
    if not words and len(found) != 1:
        many = count(len(found), "upload is", "uploads are") if found else "no upload is"
        raise UsageError(f"{many} interrupted", hint="packhorse status shows them; packhorse send --discard KEY")
    fitting = [one for one in found if not words or one.key.startswith(words[0].lower())]
    if len(fitting) != 1:
        many = "no interrupted upload has" if not fitting else "several interrupted uploads have"
        raise UsageError(f"{many} the key {words[0]!r}", hint="packhorse status shows them")
    one = fitting[0]
    how = state.session.discard(one.key, voucher=voucher)
    for record in records.read_all(state.state_dir / "transfers"):
        if record.upload == one.key:
            records.end(state.state_dir / "transfers", record)
    state.output.data("discarded", {"key": one.key, "remote": one.remote, "id": one.id, "how": how})
    what = f"{count(one.files, 'file')}, {size(one.size)} to {one.remote}"
    if how == "finished":
        state.output.line(f"{what}: it had arrived after all; only the note of it here was removed")
    else:
        state.output.line(f"given up: {what}; what was there of it is removed")
    return int(ExitCode.DONE)
