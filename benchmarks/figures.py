"""What is made of the runs: medians, ratios per round, verdicts. Pure; reads only the run's own record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["Goal", "Summary", "Verdict", "judge", "par", "ratios", "summarise"]

Run = Mapping[str, Any]


@dataclass(frozen=True)
class Summary:
    """Medians of one client's runs of one workload: seconds, bytes, and bytes per second of the files."""

    wall: float
    low: float
    high: float
    client: float
    user: float
    system: float
    rss: int
    rate: float
    runs: int

    @property
    def cpu(self) -> float:
        return self.user + self.system


def good(runs: Iterable[Run]) -> list[Run]:
    """The runs that ended well."""
    return [run for run in runs if not run["error"]]


def summarise(runs: Sequence[Run], size: int) -> Summary | None:
    """Medians over the good runs; ``None`` where there is none. Peak memory is the highest of all, not a median."""
    kept = good(runs)
    if not kept:
        return None
    walls = [run["wall"] for run in kept]
    wall = median(walls)
    return Summary(
        wall=wall,
        low=min(walls),
        high=max(walls),
        client=median(run["client"] for run in kept),
        user=median(run["user"] for run in kept),
        system=median(run["system"] for run in kept),
        rss=max(run["rss"] for run in kept),
        rate=size / wall if wall else 0.0,
        runs=len(kept),
    )


def ratios(mine: Sequence[Run], theirs: Sequence[Run]) -> list[float]:
    """Our time ÷ theirs, round by round: what slows the machine for a while slows both."""
    other = {run["round"]: run["wall"] for run in good(theirs)}
    return [run["wall"] / other[run["round"]] for run in good(mine) if other.get(run["round"])]


@dataclass(frozen=True)
class Goal:
    """What is to be shown: ``client`` takes at most ``limit`` × the time of ``against`` in ``workload``.

    With ``ahead`` it must take less than ``limit`` ×. ``what`` says it in words.
    """

    workload: str
    client: str
    against: str
    limit: float
    what: str
    ahead: bool = False


@dataclass(frozen=True)
class Verdict:
    """``met``: None where a side of the comparison has no good run."""

    what: str
    value: float | None
    limit: float
    unit: str
    met: bool | None
    low: float | None = None
    high: float | None = None

    @property
    def word(self) -> str:
        return {True: "met", False: "missed", None: "not measured"}[self.met]


def judge(goal: Goal, workload: Mapping[str, Any]) -> Verdict:
    """The median ratio of the rounds against the goal."""
    clients = workload["clients"]
    pair = (clients.get(goal.client, {}).get("runs", []), clients.get(goal.against, {}).get("runs", []))
    found = ratios(*pair)
    if not found:
        return Verdict(goal.what, None, goal.limit, "×", None)
    value = median(found)
    met = value < goal.limit if goal.ahead else value <= goal.limit
    return Verdict(goal.what, value, goal.limit, "×", met, min(found), max(found))


def par(what: str, value: float | None, limit: float, unit: str) -> Verdict:
    """A measured value against a limit that it may reach."""
    return Verdict(what, value, limit, unit, None if value is None else value <= limit)
