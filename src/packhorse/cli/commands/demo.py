"""``packhorse demo``: the main job, seen once from end to end, on this machine alone.

Every step is the command line itself in a process of its own, as a user would type it; the cut is a real ``kill -9``.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from packhorse.cli.context import State, command
from packhorse.cli.records import same_command
from packhorse.cli.texts import duration, size
from packhorse.errors import PackhorseError

__all__ = ["demo_command"]

CUT_AT = 24 * 2**20
BIG = ("demo:data/792", "deep_run_R1.fastq.gz")
RATE = "32M"
"""Loopback would be done before anybody could pull the plug."""


@command("demo", examples="packhorse demo")
@click.option("--keep", is_flag=True, help="Leave the files and say where they are.")
def demo_command(state: State, keep: bool) -> None:
    """See the main job against a portal that runs only for this: sign in, list, fetch, cut, resume, verify, receipt.

    Needs no account and no network. Exit code 0 means that all of it held.
    """
    folder = Path(tempfile.mkdtemp(prefix="packhorse-demo-"))
    began = time.monotonic()
    try:
        with _Demo(state, folder).running() as demo:
            demo.play()
        state.output.data("demo", {"ok": True, "seconds": round(time.monotonic() - began, 1), **demo.proved})
        state.output.line()
        state.output.line(f"proved in {duration(time.monotonic() - began)}:", "bold")
        for line in demo.words():
            state.output.line(f"  {line}", "green")
    finally:
        if keep:
            state.output.line(f"everything is kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


class DemoError(PackhorseError):
    """The demo did not show what it promises."""

    code = "demo"
    default_hint = "packhorse doctor"


class _Demo:
    """One play: its folder, the server's process and what was measured."""

    def __init__(self, state: State, folder: Path) -> None:
        self.output = state.output
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        # a home of its own: neither the user's settings and credentials nor the keyring are touched
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PACKHORSE_", "FLOW_"))}
        proxies = dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1")
        self.environ = {**kept, **proxies, "PACKHORSE_HOME": str(folder / "home"), "PYTHONUNBUFFERED": "1"}
        self.proved: dict[str, int] = {}

    @contextmanager
    def running(self) -> Iterator[_Demo]:
        """The portal, for as long as the demo lasts."""
        arguments = ["serve", "--demo", "--port", "0", "--home", str(self.folder / "server"), "--ready-json"]
        self.output.line("starting a portal on this machine, with demo data …", "dim")
        log = (self.folder / "server.log").open("wb")
        with log, self._start(arguments, stdout=subprocess.PIPE, stderr=log) as server:
            try:
                url = _ready(server, self.folder / "server.log")
                self.output.line(f"it listens at {url}", "dim")
                yield self
            finally:
                _end(server)

    def play(self) -> None:
        """The steps, in the order a user takes them."""
        self.step("login", "demo", "--store", "file")
        self.step("ls", "demo:samples/12")
        self.step("get", "demo:samples/12", "demo:executions/456", "downloads/")
        again = ("get", BIG[0], "downloads/", "--limit-rate", RATE, "--receipt")
        self.cut(*again)
        text = self.step(*again)
        kept = re.search(r"^resumed .*: kept ([0-9.]+) MiB", text, re.MULTILINE)
        if kept is None:
            raise DemoError("the second get did not go on where the first was cut")
        self.proved["kept"] = int(float(kept[1]) * 2**20)
        self.step("verify", BIG[0], f"downloads/{BIG[1]}")
        self.step("verify", "downloads/")
        self.receipt()
        if importlib.util.find_spec("pyarrow") is not None:  # the extra "tables"
            self.query()

    def query(self) -> None:
        """Two studies' results as one table."""
        self.step("login", "demo-immport", "--store", "file")
        self.step("query", "demo-immport", "elisa", "--studyAccession", "SDY2,SDY4", "-o", "elisa.tsv")
        with (self.work / "elisa.tsv").open(encoding="utf-8") as table:
            self.proved["rows"] = sum(1 for _ in table) - 1

    def step(self, *arguments: str) -> str:
        """Type a command, show what it says, and return that. Raises :class:`DemoError` if it fails."""
        self._typed(arguments)
        with self._start(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            said = []
            for raw in process.stdout:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                self.output.line(line)
                said.append(line)
        if process.returncode != 0:
            raise DemoError(f"{same_command(arguments)} ended with exit code {process.returncode}: {said[-1:]}")
        return "\n".join(said)

    def cut(self, *arguments: str) -> None:
        """Type a command and kill it without warning once enough has arrived."""
        self._typed(arguments)
        downloads = self.work / "downloads"
        with self._start(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if _on_disk(downloads) >= CUT_AT:
                    process.kill()
                    break
                time.sleep(0.02)
            else:
                process.kill()
        arrived = _on_disk(downloads)
        if arrived < CUT_AT or (downloads / BIG[1]).exists():
            raise DemoError("the transfer ended before it could be cut")
        self.proved["arrived"] = arrived
        self.output.line(f"    kill -9 after {size(arrived)}: no {BIG[1]} in downloads/, only its part file", "yellow")

    def receipt(self) -> None:
        """Check the receipt by a tool that knows nothing of packhorse, where there is one."""
        downloads = self.work / "downloads"
        tool = shutil.which("sha256sum")
        if tool is not None:
            self.output.line()
            self.output.line("$ cd downloads && sha256sum -c SHA256SUMS", "bold")
            done = subprocess.run(  # noqa: S603 - a tool of the system, found by its name
                [tool, "-c", "SHA256SUMS"], cwd=downloads, capture_output=True, text=True, check=False
            )
            for line in (done.stdout + done.stderr).splitlines():
                self.output.line(line)
            if done.returncode != 0:
                raise DemoError("sha256sum does not agree with the receipt")
        lines = (downloads / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        for line in lines:  # also where there is no sha256sum
            value, _, name = line.partition("  ")
            with (downloads / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != value:
                    raise DemoError(f"{name} is not what the receipt says")
        files = [path for path in downloads.rglob("*") if path.is_file() and ".packhorse" not in path.parts]
        self.proved["files"] = len(files) - 1
        self.proved["bytes"] = sum(path.stat().st_size for path in files if path.name != "SHA256SUMS")
        self.proved["in_receipt"] = len(lines)

    def words(self) -> Sequence[str]:
        """What was proved, in figures that were measured."""
        proved = self.proved
        table = (f"results of two studies in one table of {proved['rows']} rows",) if "rows" in proved else ()
        return (
            f"{proved['files']} files, {size(proved['bytes'])}, each checked by a digest that the portal stated",
            f"killed with {size(proved['arrived'])} on disk, {size(proved['kept'])} of it kept by the next process",
            "every byte read again from disk: all as stated, and a receipt that sha256sum reads",
            *table,
        )

    def _typed(self, arguments: Sequence[str]) -> None:
        self.output.line()
        self.output.line(f"$ {same_command(arguments)}", "bold")

    def _start(self, arguments: Sequence[str], *, stdout: int, stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own interpreter, arguments from this file
            [sys.executable, "-m", "packhorse.cli", *arguments],
            cwd=self.work,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )


def _ready(server: subprocess.Popen[bytes], log: Path, limit: float = 120.0) -> str:
    """The address that the server says when it listens. Raises :class:`DemoError` when it does not."""
    timer = threading.Timer(limit, server.kill)
    timer.daemon = True
    timer.start()
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
    finally:
        timer.cancel()
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(line)["url"])
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    words = next((line.removeprefix("error: ") for line in said if line.startswith("error: ")), "")
    hint = next((line.removeprefix("hint: ") for line in said if line.startswith("hint: ")), None)
    raise DemoError(f"the portal did not start{': ' + words if words else ''}", hint=hint)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()


def _on_disk(folder: Path) -> int:
    """Bytes of the part files that the disk really holds: their length alone may be ahead of what was written."""
    total = 0
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            state = path.stat()
            total += min(state.st_size, getattr(state, "st_blocks", state.st_size // 512) * 512)
    return total
