"""What came of a send: its table, the summary, the links, and what stopped it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from packhorse.cli import records
from packhorse.cli.failures import Failure, explain
from packhorse.cli.texts import Column, ago, count, duration, rate, size

if TYPE_CHECKING:
    from packhorse.cli.context import State
    from packhorse.cli.output import Output
    from packhorse.session import Prepared
    from packhorse.transfer.outgoing import SendOutcome

__all__ = ["PLAN_COLUMNS", "Link", "day", "links_of", "plan_words", "report", "summary_words"]

SENT_COLUMNS: Final = (Column("file", flexible=True), Column("size", right=True), Column("note", flexible=True))
PLAN_COLUMNS: Final = (Column("file", flexible=True), Column("size", right=True), Column("from", flexible=True))
MOST_ROWS: Final = 30
MOST_FAILURES: Final = 20


@dataclass(frozen=True, slots=True)
class Link:
    """Where somebody can fetch it; ``email`` is empty for a link that nobody was mailed."""

    email: str
    url: str


def links_of(result: Any) -> list[Link]:
    """The links in what the portal says of a finished upload. It is a server's word: anything may be missing.

    >>> links_of({"recipients": [{"email": "", "download_url": "https://h/?s=download&token=t"}, 7]})
    [Link(email='', url='https://h/?s=download&token=t')]
    """
    found = result.get("recipients") if isinstance(result, Mapping) else None
    rows = found if isinstance(found, Sequence) else ()
    return [
        Link(str(row.get("email") or ""), str(row.get("download_url") or ""))
        for row in rows
        if isinstance(row, Mapping)
    ]


def day(seconds: float | None) -> str:
    """A day as people here count it; nothing for what is no time.

    >>> day(None), day(1e30)
    ('', '')
    """
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d") if seconds is not None else ""
    except (OverflowError, ValueError, OSError):
        return ""


def summary_words(outcome: SendOutcome) -> str:
    """The one line at the end of a send."""
    sent, kept = sum(file.sent for file in outcome.sent), sum(file.kept for file in outcome.sent)
    line = f"{count(len(outcome.files), 'file')}, {size(outcome.size)}"
    if sent:
        line += f" in {duration(outcome.seconds)} ({rate(sent, outcome.seconds)})"
    line += f" to {outcome.remote}"
    if outcome.id:
        line += f", transfer {outcome.id}"
    until = day(_number(outcome.result, "expires"))
    if until:
        line += f", until {until}"
    if outcome.before is not None:
        return f"{line}; nothing was sent or mailed now"
    return line + (f"; {size(kept)} were there from before" if kept else "")


def plan_words(prepared: Prepared, wishes: Mapping[str, Any]) -> str:
    """The total of a dry run."""
    line = f"{count(len(prepared.files), 'file')}, {size(prepared.size)} to {prepared.via.remote}"
    if prepared.sent is not None:
        line += f"; it was sent {ago(prepared.sent.time, time.time())}, as transfer {prepared.sent.id}"
    if prepared.before is not None:
        line += f"; {size(prepared.before.confirmed)} are there already"
    to = wishes["to"]
    if to:
        line += f"; mail to {', '.join(to[:5])}" + (f" and {len(to) - 5:,} more" if len(to) > 5 else "")
    elif prepared.via.voucher is None:
        line += "; a link, nobody is mailed"
    until = day(wishes.get("expires"))
    return line + (f"; until {until}" if until else "")


def report(state: State, prepared: Prepared, outcome: SendOutcome, *, encrypted: bool) -> int:
    """Say what came of it, and return the exit code."""
    output = state.output
    if outcome.error is not None:
        _failures(state, outcome)
        return int(outcome.exit_code)
    links = links_of(outcome.result)
    fields = {
        "remote": outcome.remote,
        "id": outcome.id,
        "files": len(outcome.files),
        "size": outcome.size,
        "expires": _number(outcome.result, "expires"),
        "encrypted": encrypted,
        "resumed": outcome.resumed,
        **({"before": outcome.before} if outcome.before is not None else {}),
        "recipients": [{"email": link.email, "download_url": link.url} for link in links],
    }
    output.data("sent", fields)
    if outcome.before is None:
        _table(output, outcome)
    else:
        output.note(f"the same command sent this {ago(outcome.before, time.time())}; --again sends it anew")
    output.paragraph(summary_words(outcome))
    for link in links:
        output.line(f"mailed to {link.email}:" if link.email else "the link; nobody was mailed, pass it on:")
        if link.url:
            output.line(f"  {link.url}", "bold")
            output.value(link.url)
    if prepared.via.voucher is not None and not links:
        output.line("whoever invited you was told")
    if encrypted:
        what = "the password" if outcome.before is None else "the password that it was sent with"
        output.note(f"encrypted: recipients need {what}; tell them by another way than the link", "dim")
    return int(outcome.exit_code)


def _table(output: Output, outcome: SendOutcome) -> None:
    notes = {file.file.name: f"kept {size(file.kept)}" if file.kept else "" for file in outcome.sent}
    files = outcome.files[:MOST_ROWS]
    output.table(SENT_COLUMNS, [[file.name, size(file.size), notes.get(file.name, "")] for file in files])
    if len(outcome.files) > MOST_ROWS:
        output.line(f"… and {len(outcome.files) - MOST_ROWS:,} more")


def _failures(state: State, outcome: SendOutcome) -> None:
    """What stopped it: each file that failed, or the one thing that stopped all."""
    output, error = state.output, outcome.error
    assert error is not None
    failure = explain(error)
    output.data("error", failure.as_dict())
    named = [failed for failed in outcome.failed if failed.error.message != error.message]
    first = next((failed for failed in outcome.failed if failed.error.message == error.message), None)
    message = f"{first.file.name}: {failure.message}" if first is not None else failure.message
    output.error_lines(Failure(failure.code, message, failure.exit_code, failure.hint, failure.details))
    for failed in named[: MOST_FAILURES - 1]:
        output.warn(f"{failed.file.name}: {failed.error.message}")
    if error.code != "changed" and all(failed.resumable for failed in outcome.failed):
        said = "nothing was announced; the same command goes on from here, and --discard gives it up"
        output.note(f"{said}:\n  {records.same_command(state.arguments)}\n  packhorse send --discard {outcome.key}")


def _number(result: Any, name: str) -> float | None:
    value = result.get(name) if isinstance(result, Mapping) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
