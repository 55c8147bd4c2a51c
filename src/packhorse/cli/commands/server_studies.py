"""``packhorse server import-study`` and its like: thin over :mod:`packhorse.server.immport`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from packhorse.cli.asking import agreed
from packhorse.cli.commands.serve import server_config, server_home_option
from packhorse.cli.context import State, command
from packhorse.cli.output import Output
from packhorse.cli.texts import Column, count, size
from packhorse.errors import PackageError, PartialError

if TYPE_CHECKING:
    from packhorse.server.immport.report import ImportReport

__all__ = ["STUDY_COMMANDS"]

_MOST_LISTED = 5
_MOST_WARNED = 50


@command(
    "import-study",
    examples="""
    packhorse server import-study SDY139-DR25_Tab.zip
    packhorse server import-study SDY139-DR25_Tab.zip --restricted --files data/SDY139
    packhorse server import-study ALLSTUDIES-DR54_Tab.zip --skip-bad-rows
    """,
)
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--restricted/--public", default=None,
              help="Who may see the studies: those who were let in, or everybody who signs in. "
                   "Default: as before, and new ones everybody.")  # fmt: skip
@click.option("--skip-bad-rows", is_flag=True, help="Leave out rows that are bad. Default: refuse the package.")
@click.option("--replace", is_flag=True, help="Take a release that is older than the one that is served.")
@click.option("--release", metavar="DRnn", help="The release, where the package does not say it.")
@click.option("--files", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Attach the study's files from this folder too.")  # fmt: skip
@server_home_option
def import_study_command(state: State, package: Path, home: Path | None, files: Path | None, **plain: Any) -> None:
    """Bring the studies of a release package in (Tab form: a ZIP, or the folder it was unpacked to)."""
    from packhorse.server.immport.packages import import_package

    output, config = state.output, server_config(state, home)

    def progress(table: str, rows: int) -> None:
        if output.progress and rows >= 20_000:
            output.note(f"{table}: {rows:,} rows", "dim")

    try:
        report = import_package(config, package, progress=progress, **plain)
    except PackageError as error:
        _warn(output, error.problems, error.total - len(error.problems), "bad rows")
        raise
    _warn(output, report.warnings, report.more_warnings, "warnings")
    left_out = [f"left out {problem}" for problem in report.problems]
    _warn(output, left_out, report.bad_rows - len(left_out), "bad rows were left out")
    shown = [str(problem) for problem in report.problems]
    output.data("study-imported", {**asdict(report), "problems": shown, "rows": report.rows})
    output.line(_imported(report))
    for words, studies in (
        ("restricted", report.restricted),
        ("replaced", report.replaced),
        ("not in this release any more, and withdrawn", report.withdrawn),
    ):
        if studies:
            output.line(f"{words}: {_few(studies)}")
    if files is not None:
        for study in report.studies:
            _attach(state, home, study, files, copy=False)


def _warn(output: Output, texts: Sequence[str], more: int, what: str) -> None:
    for text in texts:
        output.warn(text)
    if more > 0:
        output.warn(f"and {more:,} more {what}")


def _imported(report: ImportReport) -> str:
    studies = _few(report.studies)
    if report.unchanged:
        return f"{report.package} is here already ({studies}, {report.release}); nothing was read"
    tables = sum(1 for name, rows in report.counts.items() if rows and not name.startswith("lk_"))
    parts = [
        f"{count(report.rows, 'row')} of {count(tables, 'table')}",
        count(len(report.lookups), "vocabulary", "vocabularies"),
        count(len(report.documents), "document"),
    ]
    if report.bad_rows:
        parts.append(f"{count(report.bad_rows, 'bad row')} left out")
    return f"{studies}: release {report.release}, {', '.join(parts)}"


@command(
    "attach-files",
    examples="""
    packhorse server attach-files SDY139 data/SDY139
    packhorse server attach-files SDY139 /mnt/usb --copy
    """,
)
@click.argument("study")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--copy", is_flag=True, help="Copy the files in. Default: serve them from where they are.")
@server_home_option
def attach_files_command(state: State, study: str, directory: Path, home: Path | None, *, copy: bool) -> None:
    """Attach the files of STUDY that are in DIRECTORY: laid out like the data browser, or found by their names."""
    _attach(state, home, study, directory, copy=copy)


def _attach(state: State, home: Path | None, study: str, directory: Path, *, copy: bool) -> None:
    from packhorse.server.immport.attaching import attach_files

    output = state.output

    def progress(path: str, bytes_: int) -> None:
        if output.progress and bytes_ >= 256 << 20:
            output.note(f"reading {path} ({size(bytes_)})", "dim")

    done = attach_files(server_config(state, home), study, directory, copy=copy, progress=progress)
    odd = [f"left out {each.path}: {each.reason}" for each in done.odd[:_MOST_WARNED]]
    _warn(output, odd, len(done.odd) - len(odd), "were left out")
    output.data("files-attached", asdict(done))
    for path in done.attached:
        output.value(path)
    output.line(
        f"{done.study}: {count(len(done.attached), 'file')} attached, {len(done.kept):,} as before, "
        f"{len(done.odd):,} left out, {len(done.missing):,} missing; {size(done.hashed_bytes)} read"
    )
    if done.unlisted:
        output.line(f"not named by the study's tables: {_few(done.unlisted)}")
    for path in done.missing[:_MOST_LISTED]:
        output.line(f"  missing  {path}")
    if len(done.missing) > _MOST_LISTED:
        output.line(f"  and {len(done.missing) - _MOST_LISTED:,} more")
    harmed = sum(each.harm for each in done.odd)
    if harmed:
        raise PartialError(
            f"{count(harmed, 'file')} of {done.study} did not have the size that the tables say",
            hint=f"fetch what is named above again; then packhorse server attach-files {done.study} DIR",
        )


@command("studies", examples="packhorse server studies")
@server_home_option
def studies_command(state: State, home: Path | None) -> None:
    """List the studies that are served."""
    from packhorse.server.immport.studies import list_studies

    output, rows = state.output, []
    for found in list_studies(server_config(state, home)):
        output.data("study", asdict(found))
        output.value(found.accession)
        note = "restricted" if found.restricted else ""
        rows.append([found.accession, found.title, found.release, f"{found.rows:,}", f"{found.files:,}", note])
    columns = (Column("study"), Column("title", flexible=True), Column("release"), Column("rows", right=True),
               Column("files", right=True), Column("note"))  # fmt: skip
    output.table(columns, rows)
    output.line(count(len(rows), "study", "studies"))


@command("drop-study", examples="packhorse server drop-study SDY139 --yes")
@click.argument("study")
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_home_option
def drop_study_command(state: State, study: str, home: Path | None, *, yes: bool) -> None:
    """Take STUDY out: its rows, its files and who was let in. Files served in place stay where they are."""
    from packhorse.server.immport.studies import drop_study, study_entry

    config = server_config(state, home)
    found = study_entry(config, study)
    if not agreed(f"Take {found.accession} out ({found.rows:,} rows, {found.files:,} files)?", yes=yes):
        state.output.line("nothing was changed")
        return
    drop_study(config, found.accession)
    state.output.data("study-dropped", asdict(found))
    state.output.line(f"{found.accession} is gone: {count(found.rows, 'row')}, {count(found.files, 'file')}")


STUDY_COMMANDS = (import_study_command, attach_files_command, studies_command, drop_study_command)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED:,} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more
