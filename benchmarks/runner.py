"""The rounds: every client once per round in an order drawn anew, each with a fresh destination and a settled disk."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients import CLIENTS, Client, Task, missing_program
from benchmarks.sources import Served, Server, make_files, memory_folder, serve
from benchmarks.workloads import Workload
from packhorse.testing.link import NetnsLink

__all__ = ["Bench", "Say"]

Say = Callable[[str], None]
_KEEP_FILES = 100
_LAUNCH = Path(__file__).with_name("launch.py")


@dataclass
class Bench:
    """``disk``: where clients write; ``rounds``, ``seed`` of order and loss; ``say`` takes lines of progress."""

    disk: Path
    rounds: int
    seed: int
    say: Say
    touch: bool = True

    def run(self, workload: Workload) -> dict[str, Any]:
        """All rounds of one workload: its record for the JSON. Failures of single clients are in it, not raised."""
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="packhorse-bench-")))
            memory = stack.enter_context(tempfile.TemporaryDirectory(prefix="packhorse-bench-", dir=memory_folder()))
            disk = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="packhorse-bench-", dir=self.disk)))
            _spread(disk)
            files = make_files(Path(memory), workload.content, self.seed)
            for one in files:
                _warm(Path(memory) / one.name)
            link = None
            if workload.wan is not None:
                if reason := NetnsLink.available():
                    return self._record(workload, {}, reason)
                wan = workload.wan
                link = stack.enter_context(
                    NetnsLink(
                        rtt_ms=wan.rtt_ms,
                        rate_mbit=wan.rate_mbit,
                        loss=wan.loss,
                        congestion=wan.congestion,
                        seed=self.seed,
                    )
                )
            server = stack.enter_context(serve(Path(memory), scratch / "server", files, link))
            return self._record(workload, self._rounds(workload, server, files, scratch, disk, link), "")

    def _record(self, workload: Workload, runs: dict[str, list[dict[str, Any]]], skipped: str) -> dict[str, Any]:
        clients = {
            name: {"label": CLIENTS[name].label, "kind": CLIENTS[name].kind, "runs": runs[name]}
            for name in workload.clients
            if runs.get(name)
        }
        return {
            "title": workload.title,
            "files": workload.content.count,
            "size": workload.content.size,
            "scheme": workload.scheme,
            "parallel": workload.parallel,
            "wan": asdict(workload.wan) if workload.wan else None,
            "taken": time.strftime("%Y-%m-%d", time.gmtime()),
            "skipped": skipped,
            "clients": clients,
        }

    def _rounds(
        self,
        workload: Workload,
        server: Server,
        files: Sequence[Served],
        scratch: Path,
        disk: Path,
        link: NetnsLink | None,
    ) -> dict[str, list[dict[str, Any]]]:
        present: list[Client] = []
        for name in workload.clients:
            if lacking := missing_program(CLIENTS[name]):
                self.say(f"  {CLIENTS[name].label}: no {lacking} here, left out")
            else:
                present.append(CLIENTS[name])
        runs: dict[str, list[dict[str, Any]]] = {client.id: [] for client in present}
        chance = random.Random(f"{self.seed} {workload.id}")
        for number in range(1, self.rounds + 1):
            for place, client in enumerate(chance.sample(present, len(present)), 1):
                run = self._one(
                    workload, client, server, files, scratch, disk, link, whole=not _checked(runs[client.id])
                )
                run = {"round": number, "place": place, **run}
                runs[client.id].append(run)
                self.say(f"  {number}/{self.rounds} {_line(client, run)}")
        return runs

    def _one(
        self,
        workload: Workload,
        client: Client,
        server: Server,
        files: Sequence[Served],
        scratch: Path,
        disk: Path,
        link: NetnsLink | None,
        *,
        whole: bool,
    ) -> dict[str, Any]:
        """One run. ``whole``: compare every byte of what came, not only sizes."""
        keep = workload.content.count > _KEEP_FILES
        with _folder(scratch) as lists, _folder(scratch) as home, _folder(disk, keep=keep) as dest:
            task = Task(
                server.base(workload.scheme), files, dest, lists,
                server.ca if workload.scheme == "https" else None, workload.parallel,
            )  # fmt: skip
            log = lists / "log"
            job = {
                "commands": client.commands(task),
                "environment": environment(home),
                "log": str(log),
                "timeout": workload.timeout,
                "sync": str(dest),
                "touch": workload.content.total if self.touch else 0,
            }
            os.sync()
            argv = [sys.executable, "-I", "-S", str(_LAUNCH)]
            done = subprocess.run(
                link.command(argv) if link else argv,
                input=json.dumps(job), capture_output=True, text=True, check=False, timeout=workload.timeout + 400,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"the launcher failed: {done.stderr.strip()[-500:]}")
            run: dict[str, Any] = json.loads(done.stdout)
            codes = run.pop("codes")
            said = log.read_text(errors="replace") if log.exists() else ""
            for path, word in ((dest, "DEST"), (lists, "LISTS"), (home, "HOME"), (scratch, "SCRATCH")):
                said = said.replace(str(path), word)
            problem = _problem(codes, said) or _compare(dest, files, whole=whole)
            return {**run, "error": problem, "bytes_compared": whole and not problem}


def _line(client: Client, run: dict[str, Any]) -> str:
    cpu, peak = run["user"] + run["system"], run["rss"] / 2**20
    return f"{client.label:<50} {run['wall']:8.3f} s  cpu {cpu:7.3f} s  peak {peak:5.0f} MiB  {run['error']}".rstrip()


def environment(home: Path) -> dict[str, str]:
    """What every client gets: nobody's settings, no proxies."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def _checked(runs: Sequence[dict[str, Any]]) -> bool:
    return any(run["bytes_compared"] for run in runs)


@contextmanager
def _folder(parent: Path, *, keep: bool = False) -> Iterator[Path]:
    """A new folder; with ``keep`` it stays until the workload ends (see `_spread`)."""
    path = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield path
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)


def _spread(folder: Path) -> None:
    """Have ext4 put each folder below this one into a block group of its own (where chattr can).

    ext4 without a journal passes over inodes that were deleted in the last minute, one by one: 5,000 files made where
    5,000 were just removed took 4 s in place of 0.15 s. So no run may land where an earlier one was removed.
    """
    if program := shutil.which("chattr"):
        subprocess.run([program, "+T", str(folder)], check=False, capture_output=True)


def _warm(path: Path) -> None:
    with open(path, "rb", buffering=0) as source:
        while source.read(1 << 20):
            pass


def _problem(codes: Sequence[int], said: str) -> str:
    if all(code == 0 for code in codes):
        return ""
    last = said.strip().splitlines()[-1][:200] if said.strip() else ""
    return "timed out" if codes[-1] == -1000 else f"exit code {codes[-1]}: {last}".rstrip(": ")


def _compare(dest: Path, files: Sequence[Served], *, whole: bool) -> str:
    """What is wrong with the files that came, or nothing."""
    for one in files:
        path = dest / one.name
        size = path.stat().st_size if path.is_file() else -1
        if size != one.size:
            return f"{one.name} is missing" if size < 0 else f"{one.name} has {size} of {one.size} bytes"
        if whole:
            with open(path, "rb") as got:
                if hashlib.file_digest(got, "sha256").hexdigest() != one.sha256:
                    return f"{one.name} has other bytes"
    return ""
