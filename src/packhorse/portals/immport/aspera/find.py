"""Where ``ascp`` and its keys may be (spec immport §5.5)."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

__all__ = ["INSTALL", "ascp_places", "find_ascp", "find_keys", "key_places", "tool_folder"]

INSTALL: Final = (
    "install one (IBM Aspera Connect, or: gem install aspera-cli && ascli conf ascp install), and name it with "
    "packhorse remote add … --set ascp=/path/to/ascp or in the variable ASCP; files come by HTTPS without it"
)
_RSA: Final = ("aspera_bypass_rsa.pem", "aspera_tokenauth_id_rsa")
_DSA: Final = ("aspera_bypass_dsa.pem", "asperaweb_id_dsa.openssh")


def ascp_places(
    configured: str | None, environ: Mapping[str, str], *, system: str | None = None, machine: str | None = None
) -> Iterator[Path]:
    """Every place in the order of preference: the setting, the variables, ``PATH``, then where installers put it.

    What a setting or variable names is the only place then: another program is not run in its stead.
    """
    system = system or platform.system()
    name = "ascp.exe" if system == "Windows" else "ascp"
    home = _home(environ)
    for named in (configured, environ.get("ASCP"), environ.get("ASPERA_ASCP")):
        if named:
            path = _under(named, home)
            yield path / name if path.is_dir() else path
            return
    found = shutil.which("ascp", path=environ.get("PATH", ""))
    if found:
        yield Path(found)
    if environ.get("CONDA_PREFIX"):
        yield Path(environ["CONDA_PREFIX"]) / "bin" / name
    for below in ("sdk", "ascli/sdk", "connect/bin", "cli/bin"):
        yield home / ".aspera" / below / name
    if system == "Linux":
        yield from (Path("/opt/aspera/bin/ascp"), Path("/usr/bin/ascp"))
    elif system == "Darwin":
        yield home / "Applications/Aspera Connect.app/Contents/Resources/ascp"
        yield Path("/Applications/IBM Aspera Connect.app/Contents/Resources/ascp")
        yield Path("/Applications/Aspera CLI/bin/ascp")
    elif system == "Windows":
        yield Path(environ.get("PROGRAMFILES", r"C:\Program Files")) / "IBM/Aspera Connect/bin/ascp.exe"
        if environ.get("LOCALAPPDATA"):
            yield Path(environ["LOCALAPPDATA"]) / "Programs/Aspera/Aspera Connect/bin/ascp.exe"
        yield Path(environ.get("PROGRAMFILES(X86)", r"C:\Program Files (x86)")) / "Aspera/Aspera Connect/bin/ascp.exe"
    folder = tool_folder(system, machine or platform.machine())
    if folder:
        yield Path("aspera/cli/bin").absolute() / folder / "ascp"


def tool_folder(system: str, machine: str) -> str:
    """The folder of ImmPort's download tool; it has nothing for ARM, and the programs for it do not run there."""
    if machine.lower() not in ("x86_64", "amd64", "i386", "i586", "i686"):
        return ""
    if system == "Linux":
        return "linux" if machine.lower() in ("x86_64", "amd64") else "linux32"
    return "osx" if system == "Darwin" else ""


def find_ascp(configured: str | None, environ: Mapping[str, str]) -> Path | None:
    """The first ``ascp`` that can be run, or ``None``."""
    for place in ascp_places(configured, environ):
        try:
            if place.is_file() and os.access(place, os.X_OK):
                return place
        except OSError:
            continue
    return None


def key_places(ascp: Path, configured: str | None, environ: Mapping[str, str]) -> Iterator[Path]:
    """Every place of a key in the order that they are tried: the configured one, RSA, DSA (which servers drop)."""
    home = _home(environ)
    if configured:
        yield _under(configured, home)
    real = ascp.resolve()
    folders = list(
        dict.fromkeys(
            folder
            for program in (ascp, real)
            for folder in (
                program.parent,
                program.parent.parent / "etc",
                program.parent.parent / "etc" / "aspera",
                program.parent.parent.parent / "etc",  # ImmPort's tool: cli/bin/linux/ascp, cli/etc
            )
        )
    )
    folders += [home / ".aspera" / below for below in ("sdk", "ascli/sdk", "connect/etc", "cli/etc")]
    if environ.get("CONDA_PREFIX"):
        folders.append(Path(environ["CONDA_PREFIX"]) / "etc" / "aspera")
    for names in (_RSA, _DSA):
        for name in names:
            # A key that wants a passphrase makes ascp ask for it without end.
            if name == "aspera_tokenauth_id_rsa" and not environ.get("ASPERA_SCP_PASS"):
                continue
            for folder in folders:
                yield folder / name


def find_keys(ascp: Path, configured: str | None, environ: Mapping[str, str]) -> list[Path]:
    """The keys that are there, each once."""
    found: dict[Path, None] = {}
    for place in key_places(ascp, configured, environ):
        try:
            if place.is_file():
                found.setdefault(place.resolve(), None)
        except OSError:
            continue
    return list(found)


def _home(environ: Mapping[str, str]) -> Path:
    named = environ.get("HOME") or environ.get("USERPROFILE")
    return Path(named) if named else Path.home()


def _under(named: str, home: Path) -> Path:
    return home / named[2:] if named.startswith(("~/", "~\\")) else Path(named)
