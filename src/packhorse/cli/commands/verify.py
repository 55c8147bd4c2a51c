"""``packhorse verify``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from packhorse.cli.addresses import looks_like_address
from packhorse.cli.context import State, command
from packhorse.cli.failures import Failure, explain
from packhorse.cli.texts import Column, count, size
from packhorse.errors import ExitCode, NotFoundError, UsageError
from packhorse.model import Digest, Proof

__all__ = ["verify_command"]


@command(
    "verify",
    examples="""
    packhorse verify reads.fastq.gz --md5 9e107d9d372bb6826bd81d3542a419d6
    packhorse verify downloads/
    packhorse verify flow:data/789 reads.fastq.gz
    """,
)
@click.argument("target", metavar="FILE|DIR|ADDRESS")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--md5", metavar="HEX", help="The MD5 that FILE must have.")
@click.option("--sha256", metavar="HEX", help="The SHA-256 that FILE must have.")
def verify_command(state: State, target: str, file: Path | None, md5: str | None, sha256: str | None) -> int:
    """Check what is on disk, by reading every byte.

    FILE against a digest that you give; DIR against what its ledger says was proven there; ADDRESS FILE against what
    the portal states now. Exit code 1 where something does not agree, 6 where nothing could be proven.
    """
    digests = [_digest(name, text) for name, text in (("md5", md5), ("sha256", sha256)) if text is not None]
    if file is not None:
        if digests:
            raise UsageError("either ADDRESS FILE or FILE with --md5 or --sha256")
        if not looks_like_address(target):
            raise UsageError(f"{target!r} is not an address", hint="packhorse verify flow:data/789 FILE")
        return _one(state, file, state.session.verify(target, file))
    path = Path(target)
    if looks_like_address(target) and not path.exists():
        raise UsageError("which file is to be checked against it?", hint=f"packhorse verify {target} FILE")
    if path.is_dir():
        if digests:
            raise UsageError(f"{target} is a directory; a digest belongs to one file")
        return _directory(state, path)
    if not path.exists():
        raise NotFoundError(f"there is no file {target}", hint="check the name; an address is written REMOTE:PATH")
    if not digests:
        raise UsageError(
            f"what is {target} to be checked against?",
            hint=f"packhorse verify {target} --md5 HEX, or packhorse verify ADDRESS {target}",
        )
    from packhorse.transfer.verify import verify_file

    code = 0
    for digest in digests:
        code = max(code, _one(state, path, verify_file(path, digest, None)))
    return code


def _digest(name: str, text: str) -> Digest:
    try:
        return Digest(name, text.strip())
    except ValueError as error:
        raise UsageError(f"--{name}: {error}") from None


def _one(state: State, path: Path, proof: Proof) -> int:
    output = state.output
    shown = proof.stated or next(iter(proof.recorded), None)
    output.data(
        "checked",
        {
            "path": str(path),
            "ok": True,
            "proof": proof.level.value,
            "stated": str(proof.stated) if proof.stated else None,
            "recorded": [str(digest) for digest in proof.recorded],
        },
    )
    if proof.level.rank >= 2:
        output.line(f"{path}: proven by {shown or proof.level.value}", "green")
        return int(ExitCode.DONE)
    what = "only its size agrees" if proof.level.rank else "there is nothing to check it against"
    output.line(f"{path}: not proven: {what}" + (f" (here: {shown})" if shown else ""), "yellow")
    return int(ExitCode.UNVERIFIED)


def _directory(state: State, folder: Path) -> int:
    from packhorse.transfer.verify import verify_directory

    checked = verify_directory(folder)
    if not checked:
        raise NotFoundError(
            f"no ledger in {folder}: nothing was fetched there by packhorse",
            hint="packhorse verify FILE --md5 HEX, or packhorse verify ADDRESS FILE",
        )
    return _show_checked(state, folder, checked)


def _show_checked(state: State, folder: Path, checked: list) -> int:  # type: ignore[type-arg]
    output = state.output
    rows, counts = [], Counter[str]()
    bad = []
    for row in checked:
        counts[row.verdict] += 1
        level = row.proof.level.value if row.proof is not None else ""
        rows.append([row.path, size(row.size), level, row.verdict if row.error else ""])
        fields = {"path": str(folder / row.path), "ok": row.error is None, "proof": level, "size": row.size}
        if row.error is not None:
            bad.append(row)
            fields |= row.error.as_dict()
        output.data("checked", fields)
    output.table(
        (Column("file", flexible=True), Column("size", right=True), Column("proof"), Column("note")), rows, proof=2
    )
    output.line(
        f"{count(len(checked), 'file')}, {len(checked) - len(bad):,} as proven" + (f", {len(bad):,} not" if bad else "")
    )
    for row in bad:
        failure = explain(row.error)
        output.error_lines(Failure(failure.code, f"{row.path}: {failure.message}", 1, failure.hint, failure.details))
    return int(ExitCode.FAILED) if bad else int(ExitCode.DONE)
