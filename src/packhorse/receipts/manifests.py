"""Checksum manifests that ``sha256sum -c`` and ``md5sum -c`` read.

The format is GNU coreutils': ``HEX``, two spaces, the path; a path with a backslash, a line feed or a carriage return
is escaped and its line begins with a backslash. Paths are relative to the manifest's directory, with ``/``, sorted by
their bytes so that two receipts of the same files are the same text.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packhorse.errors import DestinationError, IntegrityError, UsageError
from packhorse.model import Digest
from packhorse.transfer.ledger import read_ledger, unchanged
from packhorse.transfer.options import Outcome, PlacedFile

__all__ = ["MANIFEST_NAMES", "ManifestLine", "lines_of", "parse", "render", "write_manifest", "write_manifests"]

MANIFEST_NAMES: Final[Mapping[str, str]] = {"sha256": "SHA256SUMS", "md5": "MD5SUMS"}
"""The file name that each algorithm's manifest has, as mirrors and distributions name theirs."""

_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """One file: its path relative to the manifest, with ``/``, and its digest."""

    path: str
    digest: Digest


def render(lines: Iterable[ManifestLine]) -> str:
    r"""The manifest's text.

    >>> render([ManifestLine("a b.gz", Digest("md5", "0" * 32)), ManifestLine("a\nb", Digest("md5", "f" * 32))])
    '\\ffffffffffffffffffffffffffffffff  a\\nb\n00000000000000000000000000000000  a b.gz\n'
    """
    unique = {line.path: line for line in lines}
    ordered = sorted(unique.values(), key=lambda line: os.fsencode(line.path))
    return "".join(_render(line) for line in ordered)


def _render(line: ManifestLine) -> str:
    escaped = "".join(_ESCAPES.get(ch, ch) for ch in line.path)
    return f"{'' if escaped == line.path else chr(92)}{line.digest.value}  {escaped}\n"


def parse(text: str, algorithm: str) -> list[ManifestLine]:
    """The lines of a manifest of this algorithm. Raises ``ValueError`` where one is no such line."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        escaped, body = line.startswith("\\"), line.removeprefix("\\")
        value, space, path = body.partition(" ")
        if not space or path[:1] not in (" ", "*") or len(path) < 2:
            raise ValueError(f"line {number} is no line of a {algorithm} manifest")
        path = path[1:]
        if escaped:
            path = _UNESCAPE.sub(lambda match: {"n": "\n", "r": "\r"}.get(match[1], match[1]), path)
        found.append(ManifestLine(path, Digest(algorithm, value)))
    return found


def lines_of(outcome: Outcome, algorithm: str) -> list[ManifestLine]:
    """A line for every placed file of this outcome, and for what the destination's ledger has from earlier runs.

    A file of this outcome whose digest of this algorithm was not made on its way (it was here before) is read once;
    what it was proven by then is checked in the same reading. Of earlier runs, files are taken whose digest the ledger
    has and which are still as they were placed. Raises :class:`IntegrityError` where a proof no longer agrees.
    """
    base = manifest_folder(outcome.destination)
    lines = {}
    for path, entry in read_ledger(base).items():
        digest = entry.proof_value().digest(algorithm)
        if digest is not None and unchanged(entry, base / path):
            lines[path] = ManifestLine(path, digest)
    for file in outcome.placed:
        path = _relative(file.target, base)
        lines[path] = ManifestLine(path, file.proof.digest(algorithm) or _read(file, algorithm))
    return list(lines.values())


def manifest_folder(destination: Path) -> Path:
    """Where a destination's manifest stands: in it, or beside it where it is one file's exact name."""
    return destination if destination.is_dir() else destination.parent


def write_manifests(
    destination: Path, source: Outcome | Iterable[ManifestLine], algorithms: Iterable[str] = ("sha256",)
) -> list[Path]:
    """Write a manifest per algorithm (``sha256``, ``md5``) into ``destination`` and return their paths.

    Raises :class:`UsageError` for another algorithm, :class:`DestinationError` where it cannot be written.
    """
    lines = None if isinstance(source, Outcome) else list(source)
    folder = manifest_folder(destination)
    return [
        write_manifest(folder, lines_of(source, algorithm) if isinstance(source, Outcome) else lines or [], algorithm)
        for algorithm in algorithms
    ]


def write_manifest(folder: Path, lines: Iterable[ManifestLine], algorithm: str) -> Path:
    """Write or bring up to date one manifest, whole or not at all.

    Lines of an older manifest for other files that are still there are kept. A file of that name that is no manifest,
    or that was itself fetched, is not touched: the manifest then goes beside it as ``SHA256SUMS.packhorse``.
    """
    name = MANIFEST_NAMES.get(algorithm)
    if name is None:
        raise UsageError(f"no manifest is made of {algorithm}", hint="--receipt sha256 or --receipt md5")
    fresh = {line.path: line for line in lines if line.digest.algorithm == algorithm}
    target = folder / name
    if name in fresh or (target.exists() and _older(target, algorithm) is None):
        target = folder / f"{name}.packhorse"
    older = {line.path: line for line in _older(target, algorithm) or () if (folder / line.path).is_file()}
    text = render({**older, **fresh}.values())
    try:
        _replace(target, os.fsencode(text))
    except OSError as error:
        raise DestinationError(f"the manifest cannot be written: {error.strerror}: {target}") from None
    return target


def _older(path: Path, algorithm: str) -> list[ManifestLine] | None:
    try:
        return parse(os.fsdecode(path.read_bytes()), algorithm)
    except (OSError, ValueError):
        return None


def _replace(target: Path, content: bytes) -> None:
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _relative(target: Path, base: Path) -> str:
    try:
        return target.relative_to(base).as_posix()
    except ValueError:
        return target.resolve().as_posix()


def _read(file: PlacedFile, algorithm: str) -> Digest:
    known = file.proof.stated or next(iter(file.proof.recorded), None)
    check = None if known is None or known.algorithm == "crc32" else hashlib.new(known.algorithm, usedforsecurity=False)
    wanted = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with file.target.open("rb") as stream:
            while piece := stream.read(1 << 20):
                wanted.update(piece)
                if check is not None:
                    check.update(piece)
    except OSError as error:
        raise DestinationError(f"the file cannot be read again: {error.strerror}: {file.target}") from None
    if check is not None and known is not None and check.hexdigest() != known.value:
        raise IntegrityError(
            f"{file.target} is not the file that was proven",
            expected=str(known),
            got=f"{known.algorithm}:{check.hexdigest()}",
            hint="the same get with --overwrite fetches it afresh",
        )
    return Digest(algorithm, wanted.hexdigest())
