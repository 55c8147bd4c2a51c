"""``python -m benchmarks.sharing``: one large file sent through our server and fetched from it, by us and by the peer.

The peer is the unmodified ``filesender-client`` in an environment of its own. Each client sends and fetches once per
round, in an order drawn anew. Times are whole processes, to the end of ``sync -f``; speeds are ratios of each round.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine

ROOT = Path(__file__).parents[1]
LAUNCH = Path(__file__).with_name("launch.py")
PEER = ("filesender-client==2.1.2", "typer==0.20.0")
MIB = 1 << 20
GOALS = {"upload": 2.5, "download": 4.0}
PEAK = 150
TOUCH = 3 << 30  # bytes of memory that the machine has at hand before each run: what the server and the client write to
EIGHT = ("--jobs", "8")


@dataclass(frozen=True)
class Place:
    """The running server and the folder of one benchmark."""

    url: str
    key: str
    folder: Path
    file: Path
    environ: Mapping[str, str]
    peer: Path

    def packhorse(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "packhorse.cli", *words]

    def filesender(self, *words: str) -> list[str]:
        return [str(self.peer), "--base-url", self.url, *words]


def peer_program() -> Path:
    """The peer's command, installed at first use."""
    home = ROOT / ".venvs" / "filesender-client"
    program = home / "bin" / "filesender"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, *PEER], check=True)
    return program


@contextmanager
def place(folder: Path, size: int, seed: int) -> Iterator[Place]:
    """A demo server with a home below ``folder``, our remote ``bench`` signed in, and the file to send."""
    file = folder / "big.bin"
    draw = random.Random(seed)
    with file.open("wb") as out:
        for _ in range(size // MIB):
            out.write(draw.randbytes(MIB))
    # nothing that would keep an interpreter from using its compiled modules, as those of an installed program are
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    environ = {**kept, "PACKHORSE_HOME": str(folder / "client"), "HOME": str(folder), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "packhorse.cli", "serve", "--demo", "--port", "0", "--ready-json"]
    with subprocess.Popen([*command, "--home", str(folder / "home")], env=environ, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            ready = json.loads(server.stdout.readline())
            key = next(user["filesender_api_key"] for user in ready["users"] if user["username"] == "demo")
            here = Place(ready["url"], key, folder, file, environ, peer_program())
            run = [sys.executable, "-m", "packhorse.cli"]
            subprocess.run([*run, "remote", "add", "bench", "filesender", here.url], env=environ, check=True)
            login = [*run, "login", "bench", "--username", "demo", "--token-stdin"]
            subprocess.run(login, env=environ, check=True, input=f"{key}\n".encode(), stdout=subprocess.DEVNULL)
            yield here
        finally:
            server.terminate()
            server.wait(20)


def timed(here: Place, argv: list[str], log: Path) -> dict[str, Any]:
    """One run: wall time (s), CPU (s), peak memory (MiB). Raises ``RuntimeError`` when it failed."""
    job = {
        "commands": [argv], "environment": dict(here.environ), "log": str(log), "timeout": 300, "touch": TOUCH,
        "sync": str(here.folder),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCH)], input=json.dumps(job).encode(), stdout=-1, check=True
    )
    ran: dict[str, Any] = json.loads(done.stdout)
    if any(ran["codes"]):
        raise RuntimeError(f"{argv[:4]} failed: {log.read_text()[-2000:]}")
    return {"seconds": ran["wall"], "cpu": ran["user"] + ran["system"], "peak": ran["rss"] / MIB}


def uploads(here: Place) -> dict[str, list[str]]:
    """Who sends, and what is typed. The peer's default is two chunks at once."""
    peer = ["--username", "demo", "--apikey", here.key, "--recipients", "somebody@example.org"]
    return {
        "packhorse": here.packhorse("send", str(here.file), "--via", "bench", "--link", "--again", "--json"),
        "packhorse, 8 chunks": here.packhorse(
            "send", str(here.file), "--via", "bench", "--link", "--again", *EIGHT, "--json"
        ),
        "filesender-client": here.filesender("upload", *peer, str(here.file)),
        "filesender-client, 8 chunks": here.filesender("upload", *peer, "--concurrent-chunks", "8", str(here.file)),
    }


def downloads(here: Place, link: str, to: Path) -> dict[str, list[str]]:
    """Who fetches, and what is typed."""
    return {
        "packhorse": here.packhorse("get", link, f"{to}/", "--json"),
        "filesender-client": here.filesender("download", link.partition("token=")[2], "--out-dir", str(to)),
    }


def sent_link(here: Place) -> str:
    """A transfer of the file to fetch from."""
    argv = here.packhorse(
        "send", str(here.file), "--via", "bench", "--link", "--again", "--subject", "to fetch", "--quiet"
    )
    done = subprocess.run(argv, env=dict(here.environ), stdout=subprocess.PIPE, check=True, text=True)
    return next(word for word in done.stdout.split() if "token=" in word)


def measure(here: Place, rounds: int, seed: int) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """All rounds: kind, client, runs."""
    draw = random.Random(seed)
    link, log = sent_link(here), here.folder / "log"
    found: dict[str, dict[str, list[dict[str, Any]]]] = {"upload": {}, "download": {}}
    for number in range(rounds):
        target = here.folder / "got"
        kinds = [("upload", *pair) for pair in uploads(here).items()]
        kinds += [("download", *pair) for pair in downloads(here, link, target).items()]
        draw.shuffle(kinds)
        for kind, name, argv in kinds:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            log.unlink(missing_ok=True)
            subprocess.run(["sync", "-f", str(here.folder)], check=True)
            ran = timed(here, argv, log)
            if kind == "download":
                got = target / here.file.name
                same = subprocess.run(["cmp", "--silent", str(got), str(here.file)], check=False).returncode == 0
                if not same:
                    raise RuntimeError(f"{name} fetched other bytes")
            found[kind].setdefault(name, []).append(ran)
            print(f"round {number + 1} {kind:<9}{name:<28}{ran['seconds']:6.2f} s {ran['peak']:6.0f} MiB", flush=True)
    return found


def markdown(record: Mapping[str, Any]) -> str:
    """The page ``docs/benchmarks-sharing.md``."""
    host = record["machine"]
    lines = [
        "# Benchmarks: sending and fetching with FileSender",
        "",
        f"One file of {record['size'] // MIB:,} MiB through `packhorse serve` on loopback, by our client and by the",
        "unmodified `filesender-client` 2.1.2 (by default it has two chunks in flight). Whole processes, start-up",
        f"included, to the end of `sync -f`; {record['rounds']} rounds, every client once per round in an order drawn",
        "anew. Times are medians; a ratio is the median of the ratios of the rounds; memory is the highest of all.",
        "`make bench-sharing` measures again.",
        "",
        f"Machine: {host['processor']}, {host['cores']} cores, {host['memory']}; {host['file system written to']}.",
    ]
    for kind, goal in GOALS.items():
        runs = record["runs"][kind]
        peer = runs["filesender-client"]
        lines += ["", f"## {kind.capitalize()}", "", "| client | seconds | CPU s | peak MiB | times as fast |"]
        lines += ["|---|---|---|---|---|"]
        for name, ones in runs.items():
            faster = median(theirs["seconds"] / ours["seconds"] for theirs, ours in zip(peer, ones, strict=True))
            lines.append(
                f"| {name} | {median(one['seconds'] for one in ones):.2f} | {median(one['cpu'] for one in ones):.2f} "
                f"| {max(one['peak'] for one in ones):.0f} | {faster:.2f} |"
            )
        ours = median(a["seconds"] / b["seconds"] for a, b in zip(peer, runs["packhorse"], strict=True))
        word = "met" if ours >= goal else "**missed**"
        lines += ["", f"Goal: {goal} × the speed of `filesender-client`; measured {ours:.2f} ×: {word}."]
    peak = max(one["peak"] for one in record["runs"]["upload"]["packhorse, 8 chunks"])
    lines += [
        "",
        f"Memory with 8 chunks in flight: {peak:.0f} MiB (goal {PEAK}): {'met' if peak <= PEAK else '**missed**'}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB")
    parser.add_argument("--dir", type=Path, default=ROOT, help="on the disk that is written to")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where benchmarks-sharing.md goes")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="packhorse-bench-", dir=asked.dir) as folder,
        place(Path(folder), asked.size * MIB, asked.seed) as here,
    ):
        runs = measure(here, asked.rounds, asked.seed)
    record = {"rounds": asked.rounds, "size": asked.size * MIB, "machine": machine.describe(asked.dir), "runs": runs}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "_static").mkdir(exist_ok=True)
    (asked.out / "_static" / "bench-sharing.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    page = markdown(record)
    (asked.out / "benchmarks-sharing.md").write_text(page, encoding="utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
