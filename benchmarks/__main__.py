"""``python -m benchmarks``: run, write JSON, page and charts, say what was met."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import machine, report, startup
from benchmarks.clients import CLIENTS, Task
from benchmarks.runner import Bench
from benchmarks.sources import Served
from benchmarks.workloads import WORKLOADS, Workload, quick

ROOT = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join([*WORKLOADS, "startup"])
    only = f"a workload, or the beginning of several ({names})"
    parser.add_argument("--only", action="append", metavar="NAME", default=[], help=only)
    parser.add_argument("--client", action="append", metavar="ID", default=[], help="only these clients, for a trial")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of every workload (5)")
    parser.add_argument("--quick", action="store_true", help="one round with little in it, to see that all runs")
    parser.add_argument("--dir", type=Path, metavar="DIR", default=ROOT, help="on the disk that is written to")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="where benchmarks.md and _static go (docs; with --quick build/bench)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strict", action="store_true", help="exit code 1 where a goal was missed")
    parser.add_argument("--report", action="store_true", help="measure nothing: page and charts from the JSON again")
    options = parser.parse_args(arguments)
    if options.client and not options.out:
        parser.error("a trial with few clients is no benchmark: give it a place of its own with --out")
    out = options.out or (ROOT / "build/bench" if options.quick else ROOT / "docs")
    record: dict[str, Any]
    if options.report:
        record = json.loads((out / "_static/bench.json").read_text(encoding="utf-8"))
        write(record, out)
        return summary(record, strict=options.strict)
    chosen = choose(options.only)
    with_startup = not options.only or any("startup".startswith(name) for name in options.only)
    if not chosen and not with_startup:
        parser.error(f"no such workload; there are {names}")
    rounds = options.rounds or (1 if options.quick else 5)
    bench = Bench(options.dir, rounds, options.seed, lambda line: print(line, flush=True), touch=not options.quick)
    record = {
        "rounds": rounds,
        "quick": options.quick,
        "machine": machine.describe(options.dir),
        "versions": machine.versions(),
        "startup": startup.measure(3 if options.quick else startup.ROUNDS) if with_startup else None,
        "workloads": {},
    }
    if options.only:
        keep_others(record, out)
    for workload in chosen:
        print(f"{workload.id}: {workload.title}", flush=True)
        used = quick(workload) if options.quick else workload
        if options.client:
            used = replace(used, clients=tuple(name for name in used.clients if name in options.client))
        record["workloads"][workload.id] = {**bench.run(used), "commands": shown_commands(used)}
        write(record, out)  # what is measured is kept, whatever comes later
    write(record, out)
    return summary(record, strict=options.strict)


def choose(names: list[str]) -> list[Workload]:
    """The workloads of these names; a name that is none stands for all that begin with it. None named: all."""
    exact = {name for name in names if name in WORKLOADS}
    begins = tuple(name for name in names if name not in exact)
    return [one for one in WORKLOADS.values() if not names or one.id in exact or (begins and one.id.startswith(begins))]


def keep_others(record: dict[str, Any], out: Path) -> None:
    """With ``--only``, keep the other workloads of the last run where machine and versions are the same."""
    try:
        before = json.loads((out / "_static/bench.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if all(before.get(name) == record[name] for name in ("rounds", "quick", "machine", "versions")):
        record["workloads"] = before["workloads"]
        record["startup"] = record["startup"] or before["startup"]
    else:
        print("the earlier figures are of another machine, version or number of rounds: they are not kept")


def shown_commands(workload: Workload) -> dict[str, list[str]]:
    """Every client's commands with names in place of places."""
    with tempfile.TemporaryDirectory() as folder:
        lists = Path(folder)
        files = [
            Served(f"file{index:05d}.bin", workload.content.size, "SHA256")
            for index in range(min(2, workload.content.count))
        ]
        base = f"{workload.scheme}://SERVER/"
        task = Task(
            base, files, Path("DEST"), lists, Path("CA") if workload.scheme == "https" else None, workload.parallel
        )
        shown: dict[str, list[str]] = {}
        for name in workload.clients:
            shown[name] = [
                " ".join(_short(word, folder) for word in argv).replace("python -m packhorse.cli", "packhorse")
                for argv in CLIENTS[name].commands(task)
            ]
        return shown


def _short(word: str, folder: str) -> str:
    word = word.replace(f"{folder}/", "").replace("file00000.bin", "FILE") or "''"
    if word == sys.executable:
        return "python"
    return Path(word).name if word.startswith("/") else word


def write(record: dict[str, Any], out: Path) -> None:
    """JSON, page and charts."""
    static = out / "_static"
    static.mkdir(parents=True, exist_ok=True)
    order = {name: record["workloads"][name] for name in WORKLOADS if name in record["workloads"]}
    record["workloads"] = order
    (static / "bench.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / "benchmarks.md").write_text(report.markdown(record), encoding="utf-8")
    report.draw(record, static)


def summary(record: dict[str, Any], *, strict: bool) -> int:
    """Say what was met, and whether every client's runs ended well."""
    print()
    for line in report.verdict_lines(record):
        print(line)
    failed = [
        f"{workload['title']}: {one['label']}: {run['error']}"
        for workload in record["workloads"].values()
        for one in workload["clients"].values()
        for run in one["runs"]
        if run["error"]
    ]
    for line in failed:
        print(f"failed        {line}")
    missed = any(verdict.met is False for _, verdict in report.verdicts(record))
    return 1 if failed or (strict and missed) else 0


if __name__ == "__main__":
    raise SystemExit(main())
