"""``packhorse immport aspera-dir``: the folder that programs for ImmPort's Aspera expect (spec immport §3.4)."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

import click

from packhorse.cli.context import State, command
from packhorse.errors import DestinationError

__all__ = ["aspera_dir_command"]

_SYSTEMS: Final = ("linux", "linux32", "osx")
_KEY: Final = """\
This file is a placeholder of Packhorse. It is no key.
Programs name it to ascp; packhorse-ascp only looks whether it is there: what lets you in is the transfer token.
"""
_LICENSE: Final = """\
This file is a placeholder of Packhorse. It is no license of IBM's, and packhorse-ascp needs none.
"""


@command(
    "aspera-dir",
    examples="""
    packhorse immport aspera-dir ../common/aspera
    packhorse immport aspera-dir immport-data-download-tool/aspera
    """,
)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Write over files that are not ours.")
def aspera_dir_command(state: State, directory: Path, *, force: bool) -> None:
    """Make DIRECTORY/cli/bin/{linux,linux32,osx}/ascp, which start packhorse-ascp, for programs that call it there."""
    written = [directory / "cli" / "bin" / system / "ascp" for system in _SYSTEMS]
    others = {
        directory / "cli" / "etc" / "asperaweb_id_dsa.openssh": _KEY,
        directory / "cli" / "etc" / "aspera-license": _LICENSE,
    }
    if not force:
        for path in (*written, *others):
            _refuse_foreign(path)
    try:
        for path in written:
            _write(path, _launcher(), 0o755)
        for path, text in others.items():
            _write(path, text, 0o600)
    except OSError as error:
        raise DestinationError(f"{error.filename or directory} cannot be written: {error.strerror}") from error
    state.output.data("aspera-dir", {"directory": str(directory), "ascp": [str(path) for path in written]})
    state.output.line(f"wrote {directory}: its ascp is packhorse-ascp of {sys.executable}")


def _launcher() -> str:
    """A shell script that starts this very Python, whatever the folder it is called from."""
    return (
        "#!/bin/sh\n"
        "# ascp for programs that expect it here: a launcher of Packhorse's, not IBM's program\n"
        f'exec {shlex.quote(sys.executable)} -P -m packhorse.cli.ascp "$@"\n'
    )


def _refuse_foreign(path: Path) -> None:
    """A real ascp, key or license that stands there is not ours to write over."""
    try:
        with path.open("rb") as file:
            start = file.read(400)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise DestinationError(f"{path} cannot be read: {error.strerror}") from error
    if b"Packhorse" not in start:
        raise DestinationError(f"{path} is there already, and is not ours", hint="choose another folder, or --force")


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.packhorse")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(mode)
    draft.replace(path)
