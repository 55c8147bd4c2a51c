"""The page and the charts, made from the run's JSON alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.clients import CLIENTS
from benchmarks.figures import Summary, Verdict, judge, par, ratios, summarise
from benchmarks.sources import Content
from benchmarks.startup import HELP_LIMIT, IMPORT_LIMIT
from benchmarks.workloads import GOALS, PEAK

__all__ = ["chart_name", "draw", "markdown", "verdict_lines", "verdicts"]

Record = Mapping[str, Any]
_HOW = """\
Whole processes, start-up included, side by side in one run: every client once per round in an order drawn anew,
{rounds}. nginx serves files that lie in memory; the clients write to a disk, and every time runs to the end of
`sync -f` on the destination. Times are medians, in seconds, with the fastest and the slowest round; a ratio is the
median of the ratios of the rounds. What each client wrote was compared with what is served, byte by byte at least once
and by size every time. CPU is that of the client, user and system; peak memory is the highest of all rounds."""
_STARTUP = """\
CPU time, median of {rounds}: `packhorse --help` {help:.0f} ms; `import packhorse` {imported:.0f} ms more than the
{python:.0f} ms of an interpreter that imports nothing."""
_KINDS = {"checked": "every byte hashed, or copied and then checked", "plain": "copied, not checked"}


def verdicts(record: Record) -> list[tuple[str, Verdict]]:
    """Every goal that this record can speak of, with the workload's title."""
    found: list[tuple[str, Verdict]] = []
    workloads = record["workloads"]
    for goal in GOALS:
        if goal.workload in workloads:
            workload = workloads[goal.workload]
            found.append((workload["title"], judge(goal, workload)))
    for workload in workloads.values():
        ours = [run["rss"] for name, one in workload["clients"].items() if _is_ours(name) for run in one["runs"]]
        peak = max(ours) / 2**20 if ours else None
        found.append((workload["title"], par("peak memory", peak, PEAK / 2**20, "MiB")))
    if startup := record.get("startup"):
        found.append(("Start-up", par("packhorse --help, CPU", startup["help"] * 1000, HELP_LIMIT * 1000, "ms")))
        found.append(("Start-up", par("import packhorse, CPU", startup["import"] * 1000, IMPORT_LIMIT * 1000, "ms")))
    return found


def verdict_lines(record: Record) -> list[str]:
    """The goals in plain lines for the terminal."""
    return [
        f"{verdict.word:<13} {title}: {verdict.what}: {_value(verdict)} (goal {_limit(verdict)})"
        for title, verdict in verdicts(record)
    ]


def markdown(record: Record) -> str:
    """The page ``docs/benchmarks.md``."""
    rounds = record["rounds"]
    parts = [
        "# Benchmarks",
        "**A quick run with little in it: it shows that everything runs; its figures mean nothing.**"
        if record["quick"]
        else "",
        "<!-- Made by `make bench` from _static/bench.json; changes by hand are lost. -->",
        _HOW.format(rounds=f"{rounds} {'rounds' if rounds != 1 else 'round'}"),
        "`make bench` runs it again; all single runs are in {download}`bench.json <_static/bench.json>`.",
        "## Goals",
        _goal_table(record),
        "## Machine and versions",
        _pairs(record["machine"]),
        _pairs(record["versions"]),
    ]
    if startup := record.get("startup"):
        parts += [
            "## Start-up",
            _STARTUP.format(
                rounds=startup["rounds"],
                help=startup["help"] * 1000,
                imported=startup["import"] * 1000,
                python=startup["python"] * 1000,
            ),
        ]
    for name, workload in record["workloads"].items():
        parts += _workload(name, workload)
    parts += ["## What was run", _commands(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def chart_name(workload: str) -> str:
    return f"bench-{workload}.svg"


def _workload(name: str, workload: Record) -> list[str]:
    parts = [f"## {workload['title']}"]
    if workload["skipped"]:
        return [*parts, f"Not measured: {workload['skipped']}."]
    content = Content(workload["files"], workload["size"])
    words = f"{content.words[0].upper()}{content.words[1:]}"
    if workload["parallel"] > 1:
        words += f", {workload['parallel']} at a time where a client can be told"
    if wan := workload["wan"]:
        words += (
            f", over an emulated link: {wan['rtt_ms']:g} ms round trip, {wan['rate_mbit']:g} Mbit/s, "
            f"{wan['loss'] * 100:g} % loss each way, {wan['congestion']} at both ends"
        )
    parts += [f"{words}. Taken {workload['taken']}.", f"![{workload['title']}](_static/{chart_name(name)})"]
    for kind, heading in _KINDS.items():
        table = _table(workload, kind, content)
        if table:
            parts += [f"**{heading[0].upper()}{heading[1:]}**", table]
    return parts


def _rows(workload: Record, kind: str, content: Content) -> list[tuple[str, Summary]]:
    """Clients of one kind, fastest first, without those that are another's second column."""
    second = {client.nosync for client in CLIENTS.values()}
    rows = [
        (name, summary)
        for name, one in workload["clients"].items()
        if one["kind"] == kind and name not in second and (summary := summarise(one["runs"], content.total)) is not None
    ]
    return sorted(rows, key=lambda row: row[1].wall)


def _table(workload: Record, kind: str, content: Content) -> str:
    clients = workload["clients"]
    rows = _rows(workload, kind, content)
    ours = "packhorse" if kind == "checked" else "packhorse-plain"
    failed = [one for one in clients.values() if one["kind"] == kind and any(run["error"] for run in one["runs"])]
    if not rows and not failed:
        return ""
    many = workload["files"] > 100
    unit, beside = "files/s" if many else "MB/s", clients[ours]["label"] if ours in clients else "ours"
    heading = ["client", "s", "fastest–slowest", unit, f"× {beside}", "`--durability none`, s", "CPU user + system, s"]
    lines = [f"| {' | '.join(heading)} | peak MiB |", f"|---|{'--:|' * len(heading)}"]
    for name, summary in rows:
        rate = content.count / summary.wall if many else summary.rate / 1e6
        against = ratios(clients[name]["runs"], clients[ours]["runs"]) if ours in clients else []
        other = clients.get(CLIENTS[name].nosync) if CLIENTS[name].nosync else None
        loose = summarise(other["runs"], content.total) if other else None
        cells = [
            f"**{clients[name]['label']}**" if _is_ours(name) else clients[name]["label"],
            f"{summary.wall:.2f}",
            f"{summary.low:.2f}–{summary.high:.2f}",
            f"{rate:,.0f}",
            f"{median(against):.2f}" if against else "",
            "" if loose is None else f"{loose.wall:.2f}",
            f"{summary.user:.2f} + {summary.system:.2f}",
            f"{summary.rss / 2**20:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for one in failed:
        errors = [run["error"] for run in one["runs"] if run["error"]]
        lines.append(f"| {one['label']} | failed {len(errors)} of {len(one['runs'])} | {_cell(errors[0])} | | | | | |")
    return "\n".join(lines)


def _goal_table(record: Record) -> str:
    lines = ["| | goal | measured | limit | |", "|---|---|--:|--:|---|"]
    for title, verdict in verdicts(record):
        spread = "" if verdict.low is None else f" ({verdict.low:.2f}–{verdict.high:.2f})"
        lines.append(
            f"| {title} | {verdict.what} | {_value(verdict)}{spread} | {_limit(verdict)} | "
            f"{verdict.word if verdict.met else f'**{verdict.word}**'} |"
        )
    return "\n".join(lines)


def _value(verdict: Verdict) -> str:
    if verdict.value is None:
        return "–"
    return f"{verdict.value:.2f} ×" if verdict.unit == "×" else f"{verdict.value:.0f} {verdict.unit}"


def _limit(verdict: Verdict) -> str:
    if verdict.unit == "×":
        return f"{'<' if verdict.limit == 1.0 else '≤'} {verdict.limit:g} ×"
    return f"≤ {verdict.limit:g} {verdict.unit}"


def _pairs(values: Mapping[str, str]) -> str:
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in values.items() if value)]
    )


def _commands(record: Record) -> str:
    lines = ["Every different command once; places and addresses are shortened.", "```text"]
    seen: set[str] = set()
    for workload in record["workloads"].values():
        for commands in workload.get("commands", {}).values():
            for command in commands:
                if command not in seen:
                    seen.add(command)
                    lines.append(command)
    return "\n".join([lines[0], "", *lines[1:], "```"]) if seen else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _is_ours(name: str) -> bool:
    return name.startswith("packhorse")


def draw(record: Record, folder: Path) -> list[Path]:
    """One SVG per workload. Grey that reads on white and on black, no background."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({
        "svg.hashsalt": "packhorse", "font.size": 9, "font.family": "sans-serif", "svg.fonttype": "none",
        "text.color": "#808080", "axes.labelcolor": "#808080", "xtick.color": "#808080", "ytick.color": "#808080",
        "axes.edgecolor": "#808080",
    })  # fmt: skip
    drawn: list[Path] = []
    for name, workload in record["workloads"].items():
        content = Content(workload["files"], workload["size"])
        groups = [(kind, _rows(workload, kind, content)) for kind in _KINDS]
        groups = [(kind, rows) for kind, rows in groups if rows]
        if not groups:
            continue
        heights = [len(rows) + 0.8 for _, rows in groups]
        figure, panes = plt.subplots(
            len(groups), 1, sharex=True, squeeze=False, figsize=(7.2, 0.27 * sum(heights) + 0.7),
            gridspec_kw={"height_ratios": heights},
        )  # fmt: skip
        for pane, (kind, rows) in zip(panes[:, 0], groups, strict=True):
            labels = [workload["clients"][client]["label"] for client, _ in rows]
            walls = [summary.wall for _, summary in rows]
            spread = [[one.wall - one.low for _, one in rows], [one.high - one.wall for _, one in rows]]
            colours = ["#2a9d8f" if _is_ours(client) else "#9aa0a6" for client, _ in rows]
            bars = pane.barh(
                labels, walls, color=colours, xerr=spread, error_kw={"ecolor": "#808080", "elinewidth": 0.8}
            )
            longest = max(summary.high for _, group in groups for _, summary in group)
            for bar, (_, one) in zip(bars, rows, strict=True):
                y = bar.get_y() + bar.get_height() / 2
                pane.text(one.high + longest * 0.012, y, f"{one.wall:.2f}", va="center", fontsize=8)
            pane.invert_yaxis()
            pane.set_title(_KINDS[kind], fontsize=9, loc="left")
            for side in ("top", "right"):
                pane.spines[side].set_visible(False)
        panes[-1, 0].set_xlabel("seconds to the end of sync -f (median; line: all rounds)")
        figure.tight_layout()
        path = folder / chart_name(name)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
        drawn.append(path)
    return drawn
