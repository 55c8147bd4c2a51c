"""What an ``ascp`` command line asks for, and where each file goes (spec immport §3.4)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from packhorse.errors import UsageError
from packhorse.model import Item
from packhorse.transfer.options import Want
from packhorse.transfer.portal import Portal
from packhorse.wire.immport.ascp import AscpError, AscpOptions, read_lines, read_pairs
from packhorse.wire.immport.paths import check_path

__all__ = ["asked_pairs", "is_kept", "places", "remote_path"]

_LIST_LIMIT: Final = 64 << 20


def asked_pairs(asked: AscpOptions) -> list[tuple[str, str | None]]:
    """What is asked for: remote paths, each with its place here where the command names one."""
    if asked.file_pair_list is not None:
        return [(asked.source_prefix + source, here) for source, here in read_pairs(_text(asked.file_pair_list))]
    if asked.file_list is not None:
        sources = read_lines(_text(asked.file_list))
    else:
        local = [source.path for source in asked.sources if source.host is None]
        if local:
            raise AscpError(f"{local[0]} names no host; a source is host:path")
        sources = [source.path for source in asked.sources]
    if not sources:
        raise AscpError("the list of files is empty")
    return [(asked.source_prefix + source, None) for source in sources]


def _text(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            raw = file.read(_LIST_LIMIT + 1)
    except OSError as error:
        raise AscpError(f"failed to open input file list {name}: {error.strerror}") from None
    if len(raw) > _LIST_LIMIT:
        raise AscpError(f"the file list {name} is too long")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise AscpError(f"the file list {name} is not UTF-8 text") from None


def remote_path(text: str) -> str:
    """A path as it is asked for. Raises :class:`AscpError` for what can be none."""
    try:
        return check_path(text.removeprefix("./"))
    except UsageError as error:
        raise AscpError(error.message) from None


def places(
    asked: AscpOptions,
    paths: Sequence[str],
    pairs: Sequence[tuple[str, str | None]],
    found: Sequence[Item],
    source: Portal,
) -> tuple[list[Want], Path]:
    """Where every file goes: exactly where a pair says, else by its name (a folder's with the folder) in the
    destination; a single file may name its place itself, as with ``cp``."""
    base = Path(asked.destination)
    if asked.file_pair_list is not None:
        by_path = {item.path: item for item in found}
        wants = []
        for path, (_, here) in zip(paths, pairs, strict=True):
            item = by_path.get(path)
            if item is None:
                raise AscpError(f"{path} is a folder; a file pair list names files")
            wants.append(Want(item, source, _local(base, here or "")))
        return wants, base
    is_folder = base.is_dir() or asked.make_folder or asked.destination.endswith(("/", os.sep))
    if asked.make_folder:
        base.mkdir(parents=True, exist_ok=True)
    single = len(found) == 1 and len(paths) == 1 and found[0].path == paths[0]
    if not is_folder and single and asked.src_base is None:
        if not base.parent.is_dir():
            raise AscpError(f"there is no folder {base.parent}; -d makes the destination")
        return [Want(found[0], source, base)], base.parent
    if not base.is_dir():
        raise AscpError(f"there is no folder {base}; -d makes it")
    return [Want(replace(item, path=_below(asked, item.path, paths)), source) for item in found], base


def _below(asked: AscpOptions, path: str, paths: Sequence[str]) -> str:
    """The path of a file below the destination."""
    if asked.src_base is not None:
        start = asked.src_base.strip("/")
        if start and not path.startswith(start + "/"):
            raise AscpError(f"{path} does not lie below --src-base {asked.src_base}")
        return path[len(start) :].lstrip("/")
    asked_for = max((given for given in paths if path == given or path.startswith(given + "/")), key=len, default="")
    return path[len(asked_for.rpartition("/")[0]) :].lstrip("/")


def _local(base: Path, line: str) -> Path:
    if "\0" in line or ".." in PurePosixPath(line.replace("\\", "/")).parts:
        raise AscpError(f"bad destination in the file pair list: {line[:200]!r}")
    return base / line


def is_kept(asked: AscpOptions, want: Want, folder: Path) -> bool:
    """Whether a file that is here stays as it is: always with ``never``, and when it is not older with ``older``."""
    target = want.target or folder / want.item.path
    if asked.overwrite not in ("never", "older", "diff+older") or not target.exists():
        return False
    newer = want.item.modified is None or target.stat().st_mtime >= want.item.modified
    return asked.overwrite == "never" or newer
