"""The benchmarks' pure parts: what is made of runs, and that the page says what the record says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    if "benchmarks" not in sys.modules:
        monkeypatch.syspath_prepend(str(ROOT))


def run(number: int, wall: float, *, rss: int = 50 * 2**20, error: str = "") -> dict[str, Any]:
    return {
        "round": number, "place": 1, "wall": wall, "client": wall, "user": wall / 2, "system": wall / 4, "rss": rss,
        "error": error, "bytes_compared": number == 1,
    }  # fmt: skip


def record(**walls: list[float]) -> dict[str, Any]:
    """A record of the 2 GiB workload with these clients' times."""
    from benchmarks.clients import CLIENTS

    clients = {}
    for name, times in walls.items():
        client = CLIENTS[name.replace("_", "-")]
        runs = [run(number, wall) for number, wall in enumerate(times, 1)]
        clients[client.id] = {"label": client.label, "kind": client.kind, "runs": runs}
    workload = {
        "title": "One file of 2 GiB, HTTP", "files": 1, "size": 2**31, "scheme": "http", "parallel": 1, "wan": None,
        "taken": "2026-01-01", "skipped": "", "clients": clients, "commands": {"curl": ["curl FILE"]},
    }  # fmt: skip
    startup = {"rounds": 3, "python": 0.01, "import": 0.02, "import_whole": 0.03, "help": 0.2}
    return {
        "rounds": 3, "quick": False, "machine": {"cores": "2"}, "versions": {"curl": "8"}, "startup": startup,
        "workloads": {"big-http": workload},
    }  # fmt: skip


def test_medians_leave_failed_runs_out_and_take_the_highest_peak() -> None:
    from benchmarks.figures import summarise

    runs = [run(1, 1.0), run(2, 3.0, rss=70 * 2**20), run(3, 2.0), run(4, 0.1, error="exit code 1")]
    found = summarise(runs, 4_000_000)
    assert found is not None
    assert (found.wall, found.low, found.high, found.runs, found.rss) == (2.0, 1.0, 3.0, 3, 70 * 2**20)
    assert found.rate == 2_000_000
    assert found.cpu == 1.5
    assert summarise([run(1, 1.0, error="timed out")], 1) is None


def test_ratios_are_those_of_the_same_round() -> None:
    from benchmarks.figures import ratios

    mine = [run(1, 2.0), run(2, 4.0), run(3, 9.0, error="broken")]
    theirs = [run(2, 2.0), run(1, 4.0), run(3, 1.0)]
    assert ratios(mine, theirs) == [0.5, 2.0]


@pytest.mark.parametrize(
    ("mine", "theirs", "ahead", "met"),
    [
        ([1.1, 1.1, 5.0], [1.0, 1.0, 1.0], False, True),  # the median of 1.1, 1.1 and 5
        ([1.2, 1.2, 1.0], [1.0, 1.0, 1.0], False, False),
        ([1.1, 1.1, 1.1], [1.0, 1.0, 1.0], True, False),  # ahead means less, not as much
        ([1.0, 1.0], [1.0], False, True),
        ([], [1.0], False, None),
    ],
)
def test_a_goal_is_judged_by_the_median_ratio(
    mine: list[float], theirs: list[float], ahead: bool, met: bool | None
) -> None:
    from benchmarks.figures import Goal, judge

    goal = Goal("big-http", "packhorse", "curl", 1.1, "", ahead)
    assert judge(goal, record(packhorse=mine, curl=theirs)["workloads"]["big-http"]).met is met


def test_the_verdicts_name_what_was_met_missed_and_not_measured() -> None:
    from benchmarks.report import verdict_lines

    lines = verdict_lines(record(packhorse=[1.0, 1.0, 1.0], curl=[1.0, 1.0, 1.0], rclone_check=[0.5, 0.5, 0.5]))
    said = {line.split(":")[1].strip() if "2 GiB" in line else line.split(":")[0]: line.split()[0] for line in lines}
    assert said["hashed, against curl's unverified time"] == "met"
    assert said["hashed, ahead of rclone and its check"] == "missed"
    assert said["hashed, ahead of aria2c and its check"] == "not"
    assert any(line.startswith("missed") and "--help, CPU: 200 ms (goal ≤ 150 ms)" in line for line in lines)
    assert any(line.startswith("met") and "peak memory: 50 MiB" in line for line in lines)


def test_the_page_is_made_of_the_record() -> None:
    from benchmarks.report import markdown

    page = markdown(record(packhorse=[2.0, 2.0, 2.0], packhorse_nosync=[1.5, 1.5, 1.5], rclone_check=[3.0, 3.0, 6.0]))
    rows = [line for line in page.splitlines() if line.startswith(("| **packhorse get** |", "| rclone copy, then"))]
    ours, theirs = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
    assert ours[1:6] == ["2.00", "2.00–2.00", "1,074", "1.00", "1.50"]
    assert theirs[1:6] == ["3.00", "3.00–6.00", "716", "1.50", ""]
    assert "--durability none**" not in page  # it is a column, not a row
    assert "_static/bench-big-http.svg" in page


def test_every_goal_names_a_workload_and_clients_that_are_run() -> None:
    from benchmarks.clients import CLIENTS
    from benchmarks.workloads import GOALS, WORKLOADS

    for goal in GOALS:
        assert {goal.client, goal.against} <= set(WORKLOADS[goal.workload].clients)
    for workload in WORKLOADS.values():
        assert set(workload.clients) <= set(CLIENTS)


def test_names_choose_workloads_exactly_or_by_their_beginning() -> None:
    from benchmarks.__main__ import choose
    from benchmarks.workloads import WORKLOADS

    assert [one.id for one in choose(["big-http"])] == ["big-http"]
    assert [one.id for one in choose(["far-big", "small-http"])] == ["small-http", "far-big-bbr", "far-big-reno"]
    assert len(choose([])) == len(WORKLOADS)
    assert choose(["startup"]) == []


def test_the_commands_on_the_page_name_no_place(tmp_path: Path) -> None:
    from benchmarks.__main__ import shown_commands
    from benchmarks.workloads import WORKLOADS

    for workload in WORKLOADS.values():
        for commands in shown_commands(workload).values():
            assert not any(
                place in command for command in commands for place in (str(ROOT), str(tmp_path.parent), "/tmp")
            )
