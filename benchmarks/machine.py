"""What the figures were taken on, without names of hosts or places."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pycurl

from benchmarks.clients import rclone_program
from packhorse import __version__

__all__ = ["describe", "versions"]


def describe(disk: Path) -> dict[str, str]:
    """The machine in words, by what each line is called."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "file system written to": _file_system(disk),
        "congestion control": _read("/proc/sys/net/ipv4/tcp_congestion_control"),
    }


def versions() -> dict[str, str]:
    """The programs side by side."""
    found = {
        "packhorse": __version__,
        "Python": platform.python_version(),
        "libcurl of pycurl": pycurl.version_info()[1],
        "curl": _first_line(["curl", "--version"], 1),
        "aria2c": _first_line(["aria2c", "--version"], 2),
        "rclone": _first_line([rclone_program() or "rclone", "--config=", "version"], 1).removeprefix("v"),
        "wget": _first_line(["wget", "--version"], 2),
        "nginx": _first_line([shutil.which("nginx") or "/usr/sbin/nginx", "-v"], 2).removeprefix("nginx/"),
        "sha256sum": _first_line(["sha256sum", "--version"], 3),
        "requests": _requests(),
    }
    return {name: value for name, value in found.items() if value}


def _first_line(argv: Sequence[str], word: int) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = (done.stdout or done.stderr).split("\n", 1)[0].split()
    return words[word] if len(words) > word else ""


def _requests() -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import requests; print(requests.__version__)"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    return done.stdout.strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _processor() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 2**20:.0f} GiB"
    return ""


def _file_system(disk: Path) -> str:
    best, kind = "", ""
    for line in _read("/proc/mounts").splitlines():
        _, place, this, *_ = line.split()
        inside = disk.resolve().is_relative_to(place)
        if inside and len(place) >= len(best):
            best, kind = place, this
    return kind
