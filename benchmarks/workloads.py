"""What is measured, by whom, and what it must show."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.figures import Goal
from benchmarks.sources import Content

__all__ = ["GOALS", "PEAK", "WORKLOADS", "Wan", "Workload", "quick"]

PEAK = 100 * 2**20
PAR = 1.05  # "on a par": within the noise of the machine

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30


@dataclass(frozen=True)
class Wan:
    """An emulated link: round trip, rate and loss each way, and the congestion control at both ends."""

    congestion: str
    rtt_ms: float = 50.0
    rate_mbit: float = 1000.0
    loss: float = 0.001


@dataclass(frozen=True)
class Workload:
    """``parallel``: how many files at once are asked of every client that can be told."""

    id: str
    title: str
    content: Content
    scheme: str
    clients: tuple[str, ...]
    parallel: int = 1
    wan: Wan | None = None
    timeout: float = 120.0


_OURS = ("packhorse", "packhorse-nosync", "packhorse-plain", "packhorse-plain-nosync")
_ALL_CHECKED = ("aria2c-check", "rclone-check")
_ONE = (
    *_OURS, "packhorse-stated", "curl", "aria2c", "rclone", "rclone-copyurl", "wget", "requests",
    "curl-check", *_ALL_CHECKED,
)  # fmt: skip
_MANY = (
    *_OURS, "curl", "curl-Z", "aria2c", "rclone", "rclone-copyurl", "wget", "requests", "curl-Z-check", *_ALL_CHECKED,
)  # fmt: skip
_FAR = ("packhorse", "packhorse-plain", "curl", "aria2c", "rclone", "curl-check", *_ALL_CHECKED)
_FAR_MANY = ("packhorse", "packhorse-plain", "curl-Z", "aria2c", "rclone", "curl-Z-check", *_ALL_CHECKED)

_BIG, _SMALL, _SEVERAL = Content(1, 2 * _GIB), Content(5000, 10 * _KIB), Content(64, 32 * _MIB)
_FAR_SMALL = Content(400, 10 * _KIB)


def _both(name: str, title: str, content: Content, clients: tuple[str, ...], parallel: int) -> list[Workload]:
    return [
        Workload(f"{name}-{scheme}", f"{title}, {scheme.upper()}", content, scheme, clients, parallel)
        for scheme in ("http", "https")
    ]


WORKLOADS = {
    one.id: one
    for one in (
        *_both("big", "One file of 2 GiB", _BIG, _ONE, 1),
        *_both("small", "5,000 files of 10 KiB", _SMALL, _MANY, 32),
        *_both("several", "64 files of 32 MiB", _SEVERAL, (*_MANY, "packhorse-stated"), 8),
        Workload(
            "far-big-bbr", "Far away, one file of 64 MiB, BBR", Content(1, 64 * _MIB), "http", _FAR, 1, Wan("bbr")
        ),
        Workload("far-small-bbr", "Far away, 400 files of 10 KiB, BBR", _FAR_SMALL, "http", _FAR_MANY, 32, Wan("bbr")),
        Workload(
            "far-big-reno", "Far away, one file of 32 MiB, Reno", Content(1, 32 * _MIB), "http", _FAR, 1, Wan("reno"),
            timeout=300.0,
        ),
        Workload(
            "far-small-reno", "Far away, 400 files of 10 KiB, Reno", _FAR_SMALL, "http", _FAR_MANY, 32, Wan("reno")
        ),
    )
}  # fmt: skip


def _goals() -> list[Goal]:
    goals: list[Goal] = []
    for name, workload in WORKLOADS.items():
        clients = workload.clients
        if name.startswith("big"):
            goals.append(Goal(name, "packhorse", "curl", 1.1, "hashed, against curl's unverified time"))
        if name.startswith("small"):
            goals.append(Goal(name, "packhorse", "curl-Z", 1.2, "hashed, against curl --parallel unverified"))
        if workload.wan is not None:
            curl = "curl-Z" if "curl-Z" in clients else "curl"
            goals.append(Goal(name, "packhorse", curl, PAR, "hashed, on a par with curl unverified"))
            goals.append(Goal(name, "packhorse", "aria2c", PAR, "hashed, on a par with aria2c -x8 unverified"))
        for peer in ("aria2c", "rclone"):
            goals.append(Goal(name, "packhorse", f"{peer}-check", 1.0, f"hashed, ahead of {peer} and its check", True))
            goals.append(Goal(name, "packhorse-plain", peer, 1.0, f"unhashed, ahead of {peer}'s plain copy", True))
        if "rclone-copyurl" in clients:
            goals.append(
                Goal(name, "packhorse-plain", "rclone-copyurl", 1.0, "unhashed, ahead of rclone copyurl", True)
            )
    return goals


GOALS = _goals()


def quick(workload: Workload) -> Workload:
    """The same with little in it: to see that everything runs, not how fast."""
    content = workload.content
    small = Content(min(content.count, 12), min(content.size, 6 * _MIB))
    return replace(workload, title=f"{workload.title} (in small)", content=small, timeout=60.0)
