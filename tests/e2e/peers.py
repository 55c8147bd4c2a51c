"""Upstream clients from PyPI, unmodified, each in an environment of its own below ``.venvs``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FILESENDER_CLIENT = ("filesender-client==2.1.2", "typer==0.20.0")
"""Its command line does not start with newer releases of typer (spec filesender §13)."""


def environment(name: str, requirements: Sequence[str]) -> Path:
    """The ``bin`` folder of an environment that holds ``requirements``; made at first use, kept between runs.

    Several test processes may ask at once: the first makes it, the others wait.
    """
    home = ROOT / ".venvs" / name
    done = home / "requirements.txt"
    wanted = "\n".join(requirements)
    if _holds(done, wanted):
        return _bin(home)
    home.parent.mkdir(exist_ok=True)
    lock = home.with_suffix(".lock")
    until = time.monotonic() + 300
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            if _holds(done, wanted):
                return _bin(home)
            if time.time() - lock.stat().st_mtime > 280 or time.monotonic() > until:
                lock.unlink(missing_ok=True)  # whoever made it is gone
            time.sleep(0.2)
    try:
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)])
        python = str(_bin(home) / "python")
        _run([python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *requirements])
        done.write_text(wanted, encoding="utf-8")
    finally:
        lock.unlink(missing_ok=True)
    return _bin(home)


def _holds(done: Path, wanted: str) -> bool:
    return done.exists() and done.read_text(encoding="utf-8") == wanted


def _bin(home: Path) -> Path:
    return home / ("Scripts" if os.name == "nt" else "bin")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
