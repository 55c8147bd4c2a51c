"""``packhorse get``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from packhorse.cli import records
from packhorse.cli.addresses import addresses_in, split_destination
from packhorse.cli.asking import first_line
from packhorse.cli.context import State, command
from packhorse.cli.failures import Failure, explain
from packhorse.cli.moving import rate_option, terminate_as_interrupt
from packhorse.cli.texts import count, size
from packhorse.errors import ExitCode, InterruptedTransfer, UsageError
from packhorse.model import ProofLevel

__all__ = ["get_command"]

MOST_FAILURES = 20

_LAYOUTS = {"plain": "plain", "organized": "organized", "organised": "organized", "patterns": "patterns"}


@command(
    "get",
    examples="""
    packhorse get flow:data/789 downloads/
    packhorse get flow:executions/456 results/ --include '*.tsv' --receipt
    packhorse get https://example.org/genome.fa.gz --to genome.fa.gz
    packhorse get --from list.txt --to downloads/ --require md5
    packhorse get 'immport:SDY1?fileType=result_file&assay=Flow Cytometry' fcs/ --route https
    packhorse get 'https://filesender.example.org/?s=download&token=TOKEN' reads/
    """,
    bare={"--receipt": ("sha256", "md5")},
)
@click.argument("words", metavar="ADDRESS... [DESTINATION]", nargs=-1)
@click.option("--to", "-o", metavar="DIR|FILE", help="Destination: a directory, or for one file its exact name.")
@click.option("--from", "from_file", metavar="FILE", help="Read addresses from FILE, one a line (- is standard input).")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would move and where it lands; move nothing.")
@click.option("--include", metavar="GLOB", multiple=True, help="Only files whose path matches (may be repeated).")
@click.option("--exclude", metavar="GLOB", multiple=True, help="No files whose path matches (may be repeated).")
@click.option(
    "--layout", type=click.Choice(list(_LAYOUTS)), metavar="LAYOUT",
    help="plain (default): names as they are. organized: samples/NAME, executions/ID, data. "
    "patterns: SAMPLE, execution_ID, PROJECT/SAMPLE.",
)  # fmt: skip
@click.option(
    "--require", type=click.Choice([level.value for level in ProofLevel]), metavar="PROOF",
    help="The weakest proof that counts as done: aead, sha256, md5, crc32, size; none also turns hashing off. "
    "Exit code 6 where a file has less.",
)  # fmt: skip
@click.option("--receipt", "receipts", multiple=True,
              type=click.Choice(["sha256", "md5"]), metavar="[sha256|md5]",
              help="Write SHA256SUMS (or MD5SUMS) into the destination.")  # fmt: skip
@click.option("--bulk/--no-bulk", default=None,
              help="Out of an archive that the server makes, or one by one. Flow: --bulk above 100 files.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files of the same name that are something else.")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), metavar="N", help="At most N connections per host.")
@click.option(
    "--limit-rate", callback=rate_option, metavar="RATE", help="Bytes per second for the whole job: 500k, 10M."
)
@click.option("--retries", type=click.IntRange(0, 1000), metavar="N",
              help="Tries without any progress, after the first (default 3).")  # fmt: skip
@click.option("--durability", type=click.Choice(["full", "none"]), metavar="full|none",
              help="full (default): on disk before it is called done. none: leave that to the system.")  # fmt: skip
@click.option("--route", type=click.Choice(["https", "aspera", "auto"]), metavar="[https|aspera|auto]",
              help="How files of ImmPort come; auto (default): HTTPS, else Aspera.")  # fmt: skip
@click.option("--password-stdin", is_flag=True,
              help="Read the password of an encrypted transfer from standard input.")  # fmt: skip
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Append a line with a JSON object for every downloaded file.")  # fmt: skip
def get_command(
    state: State,
    *,
    words: tuple[str, ...],
    to: str | None,
    from_file: str | None,
    dry_run: bool,
    receipts: tuple[str, ...],
    route: str | None,
    password_stdin: bool,
    log: Path | None,
    **given: Any,
) -> int:
    """Fetch files, and prove what arrived.

    The last word is the destination unless it is written as an address (REMOTE:… or a URL); --to says it outright.
    Without either, files land here. Type the same command again after any interruption: it goes on where it was.
    """
    if password_stdin:
        if from_file == "-":
            raise UsageError("standard input cannot hold both the addresses and the password")
        state.password = first_line("password")
    if route is not None:
        state.use_route(route)
    listed = addresses_in(_lines(from_file)) if from_file is not None else []
    addresses, destination = split_destination(words, to, listed)
    asked = _Asked(addresses, destination, _overrides(given, receipt=bool(receipts)), list(dict.fromkeys(receipts)))
    return _dry_run(state, asked) if dry_run else _get(state, asked, log)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be fetched. ``overrides`` are the options that were given; the settings have the others."""

    addresses: list[str]
    destination: str
    overrides: dict[str, Any]
    receipts: list[str]


def _overrides(given: dict[str, Any], *, receipt: bool) -> dict[str, Any]:
    overrides = {name: value for name, value in given.items() if value not in (None, False, ()) or name == "bulk"}
    if "layout" in overrides:
        overrides["layout"] = _LAYOUTS[overrides["layout"]]
    if "require" in overrides:
        overrides["require"] = ProofLevel(overrides["require"])
    return {**overrides, "receipt": True} if receipt else overrides


def _lines(name: str) -> list[str]:
    try:
        if name == "-":
            return sys.stdin.read().splitlines()
        return Path(name).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not a text file", hint="--from wants one address a line") from None


def _dry_run(state: State, asked: _Asked) -> int:
    from packhorse.cli.summary import PLAN_COLUMNS, plan_rows, plan_words

    planned = state.session.plan(asked.addresses, asked.destination, **asked.overrides)
    output = state.output
    for row in planned:
        output.data(
            "planned",
            {
                "path": row.item.path,
                "size": row.item.size,
                "action": row.action,
                "held": row.held,
                "target": str(row.target),
                "renamed": row.renamed,
                "reason": row.reason,
                "digests": [str(digest) for digest in row.item.digests],
            },
        )
        output.value(str(row.target))
    output.table(PLAN_COLUMNS, plan_rows(planned, _folder(asked.destination)))
    output.line(plan_words(planned, _folder(asked.destination)))
    clashes = [row for row in planned if row.action == "conflict"]
    if clashes:
        message = f"{count(len(clashes), 'file')} cannot land: {clashes[0].target} {clashes[0].reason}".rstrip()
        output.failure(Failure("destination", message, hint="another destination with --to DIR, or --overwrite"))
        return int(ExitCode.FAILED)
    return int(ExitCode.DONE)


def _get(state: State, asked: _Asked, log: Path | None) -> int:
    from packhorse.cli.progress import Display

    output, folder = state.output, state.state_dir / "transfers"
    record = records.begin(folder, Path(asked.destination).absolute(), state.arguments)
    with ExitStack() as stack:
        logger = None
        if log is not None:
            from packhorse.receipts.log import DownloadLog

            logger = stack.enter_context(DownloadLog(log))
        stack.enter_context(terminate_as_interrupt())
        display = stack.enter_context(Display(output, verbose=state.verbose, also=logger))
        state.asking = display.paused
        try:
            outcome = state.session.get(asked.addresses, asked.destination, on_event=display, **asked.overrides)
        except (KeyboardInterrupt, InterruptedTransfer):
            stack.close()
            return _interrupted(state, display.tally.fetched + _held(asked.destination, display.tally.active))
        except Exception:
            records.end(folder, record)  # it failed before anything was begun; failures of files are in the outcome
            raise
    if not any(failed.resumable for failed in outcome.failed):
        records.end(folder, record)
    return _report(state, outcome, asked.receipts)


def _report(state: State, outcome: Any, receipts: Sequence[str]) -> int:
    from packhorse.cli.summary import OUTCOME_COLUMNS, outcome_rows, summary_words

    output = state.output
    written = []
    if receipts and outcome.placed:
        from packhorse.receipts.manifests import write_manifests

        written = write_manifests(outcome.destination, outcome, receipts)
    rows, left_out = outcome_rows(outcome)
    output.table(OUTCOME_COLUMNS, rows, proof=2)
    if left_out:
        output.line(f"… and {left_out:,} more, each at least as well proven")
    output.paragraph(summary_words(outcome))
    for path in written:
        tool = "sha256sum" if path.name.startswith("SHA") else "md5sum"
        there = "" if path.parent == Path() else f"cd {shlex.quote(str(path.parent))} && "
        output.line(f"receipt: {path} (check it with: {there}{tool} -c {path.name})")
        output.data("receipt", {"path": str(path), "files": len(outcome.placed)})
    _report_failures(state, outcome)
    return int(outcome.exit_code)


def _report_failures(state: State, outcome: Any) -> None:
    output = state.output
    said: set[str] = set()
    for failed in outcome.failed[:MOST_FAILURES]:
        failure = explain(failed.error)
        hint = "" if failure.hint in said else failure.hint
        said.add(failure.hint)
        output.error_lines(
            Failure(failure.code, f"{failed.item.path}: {failure.message}", failure.exit_code, hint, failure.details)
        )
    if len(outcome.failed) > MOST_FAILURES:
        output.warn(f"{len(outcome.failed) - MOST_FAILURES:,} more failed; --json names every one")
    if any(failed.resumable for failed in outcome.failed):
        output.note(
            f"what arrived is kept; the same command goes on from there:\n  {records.same_command(state.arguments)}"
        )
    unproven = outcome.unproven
    if unproven:
        first = unproven[0]
        output.error_lines(
            Failure(
                "unverified",
                f"{count(len(unproven), 'file')} with less proof than --require {outcome.require} asks for: "
                f"{first.target.name} ({first.proof.level})" + (" …" if len(unproven) > 1 else ""),
                hint="the source states nothing stronger; ask it for a digest, or require less",
            )
        )


def _interrupted(state: State, kept: int) -> int:
    said = f"interrupted; {size(kept)} kept" if kept else "interrupted"
    typed = records.same_command(state.arguments)
    hint = f"the same command goes on from there:\n{typed}" if kept else typed
    fields = (("kept", kept), ("command", typed))
    state.output.failure(Failure("interrupted", said, int(ExitCode.INTERRUPTED), hint, fields=fields))
    return int(ExitCode.INTERRUPTED)


def _held(destination: str, active: set[str]) -> int:
    """Bytes that the journals of the files that were under way hold: what the next run keeps."""
    from packhorse.transfer.status import interrupted

    targets = {_folder(destination) / path for path in active}
    folders = {target.parent for target in targets}
    return sum(part.held for folder in folders for part in interrupted(folder) if part.target in targets)


def _folder(destination: str) -> Path:
    path = Path(destination)
    return path if path.is_dir() or destination.endswith(("/", "\\")) else path.parent
