"""``python -m benchmarks.queries``: a million ELISA rows to a client, by us and by what people write.

What people write is ``pandas.DataFrame(requests.get(url).json())``. Each client is a process of its own, once per
round, in an order drawn anew; times are from the call to the finished table, imports before it; speeds are ratios of
each round. The server only replays an answer (:mod:`benchmarks.replayed_rows`): it measures clients. ``--served`` is
our own with an imported package; ``--url`` takes any, with the token in ``BENCH_TOKEN``, ``PACKHORSE_BENCH_TOKEN``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[1]
STUDY = "SDY9001"
GOAL = 3.0
PEAK = 300
CLIENTS = {
    "packhorse": "Arrow table (as it is: TSV)",
    "packhorse-json": "Arrow table, wire=json",
    "requests": "requests + json + pandas.DataFrame",
    "requests-tsv": "requests + pandas.read_csv of TSV",
    "parquet": "packhorse -o rows.parquet",
    "tsv": "packhorse -o rows.tsv",
    "csv": "packhorse -o rows.csv",
    "ndjson": "packhorse -o rows.ndjson",
    "json": "packhorse -o rows.json",
}
STREAMED = ("parquet", "tsv", "csv", "ndjson", "json")


def client(name: str, url: str, folder: str, filters: dict[str, str]) -> dict[str, Any]:
    """One fetch in this process: seconds, seconds to the first rows, rows, peak memory in bytes."""
    first = None
    if name.startswith("requests"):
        import io

        import pandas as pd
        import requests

        session = requests.Session()
        session.trust_env = False
        token = os.environ.get("BENCH_TOKEN")
        headers = {"Authorization": f"bearer {token}"} if token else {}
        where = f"{url}/data/query/result/elisa"
        start = time.perf_counter()
        if name == "requests":
            rows = len(pd.DataFrame(session.get(where, params=filters, headers=headers, timeout=600).json()))
        else:
            answer = session.get(where, params={**filters, "format": "tsv"}, headers=headers, timeout=600)
            rows = len(pd.read_csv(io.StringIO(answer.text), sep="\t", low_memory=False))
    else:
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.json
        import pyarrow.parquet

        from packhorse import Session
        from packhorse.settings import Settings

        assert pa
        settings = Settings.load().add_remote("bench", "immport", url)
        start = time.perf_counter()
        with Session(settings) as session_:
            if name in STREAMED:
                target = Path(folder) / f"rows.{name}"
                rows = session_.write_query("bench", "elisa", target, overwrite=True, **filters).rows
            else:
                wire = "json" if name.endswith("json") else "auto"
                for _ in session_.query_batches("bench", "elisa", wire=wire, limit=1, **filters):
                    first = time.perf_counter() - start
                start = time.perf_counter()
                rows = len(session_.query("bench", "elisa", wire=wire, **filters))
    seconds = time.perf_counter() - start
    # ru_maxrss, where there is nothing better, begins with what the parent process had
    peak = peak_of(os.getpid()) * 2**20 or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "first": first, "rows": rows, "peak": peak}


@contextmanager
def replayed(rows: int) -> Iterator[str]:
    """The URL of a server that replays an answer of so many rows."""
    command = [sys.executable, "-m", "benchmarks.replayed_rows", str(rows)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ(), cwd=ROOT) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
        finally:
            server.stdin.close()
            server.wait(timeout=60)


@contextmanager
def served(rows: int, folder: Path) -> Iterator[tuple[str, str, int]]:
    """The URL of our server with an imported package of so many rows, a token, and the server's process id."""
    from packhorse.testing.immport_package import make_package

    home = str(folder / "server")
    kept = environ(PACKHORSE_HOME=str(folder / "server-state"))
    make_package(folder / f"{STUDY}-DR54_Tab.zip", STUDY, subjects=2000, rows=rows)
    packhorse = [sys.executable, "-m", "packhorse.cli"]
    start = time.perf_counter()
    package = str(folder / f"{STUDY}-DR54_Tab.zip")
    subprocess.run([*packhorse, "server", "import-study", package, "--home", home], check=True, env=kept, stdout=2)
    print(f"imported in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    command = [*packhorse, "serve", "--demo", "--port", "0", "--home", home, "--ready-json"]
    with subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            ready = json.loads(server.stdout.readline())
            user = ready["users"][0]
            form = urlencode({"username": user["username"], "password": user["password"]}).encode()
            with urlopen(f"{ready['url']}/auth/token", form) as answer:
                token = json.load(answer)["access_token"]
            yield ready["url"], token, server.pid
        finally:
            server.terminate()
            server.wait(60)


def first_byte(url: str, token: str, filters: dict[str, str]) -> dict[str, float]:
    """Seconds from the request to the first byte of the body, of either format; the rest is not read."""
    found = {}
    for kind in ("json", "tsv"):
        asked = Request(
            f"{url}/data/query/result/elisa?{urlencode({**filters, 'format': kind})}",
            headers={"Authorization": f"bearer {token}"},
        )
        start = time.perf_counter()
        with urlopen(asked) as answer:
            answer.read(1)
            found[kind] = round(time.perf_counter() - start, 3)
    return found


def peak_of(pid: int) -> float:
    """The most memory that a process ever had, in MiB (Linux)."""
    status = Path(f"/proc/{pid}/status")
    held = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")] if status.exists() else []
    return int(held[0].split()[1]) / 1024 if held else 0.0


def environ(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "no_proxy": "127.0.0.1", **more}


def run(name: str, url: str, folder: Path, filters: dict[str, str]) -> dict[str, Any]:
    """One client in a process of its own, started by a small one: a child's peak is never less than its parent's."""
    inner = [sys.executable, "-m", "benchmarks.queries", "--client", name, "--url", url, "--folder", str(folder)]
    inner += [f"--filter={key}={value}" for key, value in filters.items()]
    done = subprocess.run(
        inner, check=True, capture_output=True, cwd=ROOT, env=environ(PACKHORSE_HOME=str(folder / "home"))
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--url", help="a server that has the rows; else one that replays them is started")
    parser.add_argument("--served", action="store_true", help="by our own server, with an imported package")
    parser.add_argument("--only", nargs="*", choices=CLIENTS, help="only these clients")
    parser.add_argument("--filter", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    filters = dict(word.split("=", 1) for word in given.filter)
    if given.client:
        print(json.dumps(client(given.client, given.url, given.folder, filters)))
        return
    names = list(given.only or CLIENTS)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="packhorse-bench-") as folder:
        if given.served:
            with served(given.rows, Path(folder)) as (url, token, pid):
                os.environ |= {"BENCH_TOKEN": token, "PACKHORSE_BENCH_TOKEN": token}
                filters = {"studyAccession": STUDY, **filters}
                print(f"first byte: {first_byte(url, token, filters)} s", file=sys.stderr, flush=True)
                _rounds(given, url, Path(folder), names, filters, found)
                print(f"the server's peak: {peak_of(pid):.0f} MiB", file=sys.stderr, flush=True)
        elif given.url:
            _rounds(given, given.url, Path(folder), names, filters, found)
        else:
            with replayed(given.rows) as url:
                _rounds(given, url, Path(folder), names, filters, found)
    _report(found, "our server" if given.served else "a server" if given.url else "a server that replays one answer")


def _rounds(
    given: argparse.Namespace,
    url: str,
    folder: Path,
    names: list[str],
    filters: dict[str, str],
    found: dict[str, list[dict[str, Any]]],
) -> None:
    draw = random.Random(4)
    for turn in range(given.rounds):
        for name in draw.sample(names, len(names)):
            result = run(name, url, folder, filters)
            found[name].append(result)
            print(f"round {turn + 1}: {name}: {result['seconds']:.2f} s", file=sys.stderr, flush=True)


def _report(found: dict[str, list[dict[str, Any]]], server: str) -> None:
    rows = {result["rows"] for results in found.values() for result in results}
    assert len(rows) == 1, f"the clients disagree about the rows: {rows}"
    count = rows.pop()
    print(f"{count:,} ELISA rows of 42 members from {server}; median of {len(next(iter(found.values())))} rounds\n")
    print(f"| {'client':38} | seconds | rows/s  | peak MiB | first rows s | speed against requests |")
    print(f"|{'-' * 40}|---------|---------|----------|--------------|------------------------|")
    base = [result["seconds"] for result in found.get("requests", [])]
    for name, results in found.items():
        seconds = median(result["seconds"] for result in results)
        peak = max(result["peak"] for result in results) / 2**20
        firsts = [result["first"] for result in results if result["first"] is not None]
        first = f"{median(firsts):.3f}" if firsts else ""
        ratios = [theirs / result["seconds"] for theirs, result in zip(base, results, strict=False)]
        ratio = f"{median(ratios):.1f} ×" if ratios else ""
        figures = f"{seconds:7.2f} | {count / seconds:7,.0f} | {peak:8,.0f}"
        print(f"| {CLIENTS[name]:38} | {figures} | {first:12} | {ratio:22} |")
        if name == "packhorse" and ratios:
            print(f"goal of {GOAL} ×: {'kept' if median(ratios) >= GOAL else 'missed'}", file=sys.stderr)
        if name in STREAMED and peak > PEAK:
            print(f"{name}: more than {PEAK} MiB", file=sys.stderr)


if __name__ == "__main__":
    main()
