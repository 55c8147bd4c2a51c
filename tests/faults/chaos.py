"""Chaos: seeded schedules of faults, a *get* of several files under each, and what must hold afterwards.

By hand: ``python tests/faults/chaos.py FIRST COUNT [--seconds S] [--step N]`` plays the seeds FIRST, FIRST + N, …
``make chaos N=COUNT`` does so with a fresh seed. A seed decides everything but the order in which threads run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import packhorse.errors
from packhorse.errors import ExitCode, PackhorseError
from packhorse.net.settings import NetSettings
from packhorse.testing.faults import Expire, FaultServer, GeneratedFile, HostileName, Record, Rule, Schedule
from packhorse.testing.faults.refusals import HOSTILE_NAMES
from packhorse.testing.portal import FaultPortal, item_for
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event, Resumed, Retried
from packhorse.transfer.get import get
from packhorse.transfer.ledger import LEDGER_DIR
from packhorse.transfer.options import GetOptions, Outcome, Want
from packhorse.transfer.status import interrupted

MIB = 1 << 20
TOKEN = "s3same"
CODES = {
    kind.code
    for kind in vars(packhorse.errors).values()
    if isinstance(kind, type) and issubclass(kind, PackhorseError) and kind is not PackhorseError
}
ON_ITS_WAY = 0.3
"""Seconds in which a connection may send a request before its fellow's refusal was read, on a busy machine."""
SMALL_TALK = 64 * 1024
"""What one refused answer may hold besides the file's bytes: an error page, the bytes before a lie was seen."""


@dataclass(frozen=True)
class Round:
    """What a seed stands for."""

    seed: int
    knowledge: str  # what the portal says of its files: "digest", "md5", "id", "nothing"
    hostile: bool
    tls: bool
    token: bool
    killed: bool  # the first process is killed in the middle
    files: dict[str, GeneratedFile]
    schedule: Schedule

    @property
    def digests(self) -> bool:
        return self.knowledge in ("digest", "md5")

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    @classmethod
    def of(cls, seed: int) -> Round:
        draw = random.Random(seed)
        knowledge = draw.choice(["digest", "digest", "md5", "id", "nothing"])
        files = {
            f"file{number}.bin": GeneratedFile(
                draw.randint(1 * MIB, 12 * MIB) if number else draw.randint(8 * MIB, 40 * MIB), seed=seed * 10 + number
            )
            for number in range(draw.randint(2, 4))
        }
        hostile = draw.random() < 0.25
        digests = knowledge in ("digest", "md5")
        intensity = draw.choice([0.3, 0.6, 0.9])
        schedule = Schedule.hostile(seed) if hostile else Schedule.random(seed, intensity, digests=digests)
        tls, token, killed = draw.random() < 0.3, draw.random() < 0.4, draw.random() < 0.25
        more: list[Rule] = []
        if token:
            more.append(Rule(Expire(draw.choice((None, draw.random()))), nth=draw.randint(1, 8)))
        if draw.random() < 0.3:
            more.append(Rule(HostileName(draw.choice(HOSTILE_NAMES)), times=None, origin="any"))
        schedule = Schedule((*schedule.rules, *more), seed)
        return cls(seed, knowledge, hostile, tls, token, killed, files, schedule)

    def server(self, schedule: Schedule | None = None) -> FaultServer:
        """A server of these files. It takes every token that begins as ours, until a fault revokes it."""
        tokens = (lambda token: token.startswith(TOKEN)) if self.token else None
        return FaultServer(self.files, schedule, seed=self.seed, tls=self.tls, tokens=tokens)

    @property
    def unreadable(self) -> set[str]:
        """The faults after which no client can read what an answer's head says: how long to wait, for one."""
        nul = any(isinstance(rule.fault, HostileName) and "\0" in rule.fault.value for rule in self.schedule.rules)
        return {"HugeHeader", "BadLength"} | ({"HostileName"} if nul else set())

    def rules(self) -> str:
        """The schedule, to print."""
        return "\n".join(f"  {line[:150]}" for line in self.schedule.describe().splitlines())

    def __str__(self) -> str:
        marks = [name for name in ("hostile", "tls", "token", "killed") if getattr(self, name)]
        return " ".join([f"{self.knowledge}", *marks, f"{len(self.files)} files", f"{self.size / MIB:.0f} MiB"])


@dataclass
class Ran:
    """What one *get* said and did."""

    outcome: Outcome
    events: list[Event]
    received: int

    def causes(self, name: str) -> list[str]:
        return [event.why for event in self.events if isinstance(event, Retried) and event.path == name]


def fetch(played: Round, url: _Place, folder: Path) -> Ran:
    """One *get* of all files in this process, with short waits, over a network of its own."""
    engine = Engine.shared()
    network = engine.network(
        NetSettings(stall_timeout=2, connect_timeout=5, ca_bundle=url.ca_file, user_agent=f"chaos-{time.time_ns()}")
    )
    portal = _Portal(url, TOKEN if played.token else None)
    wants = [Want(item_for(name, file, played.knowledge), portal) for name, file in played.files.items()]
    events: list[Event] = []
    before = network.received
    outcome = engine.run(get(wants, folder, GetOptions(), network, events.append, pool=engine.pool))
    return Ran(outcome, events, network.received - before)


@dataclass(frozen=True)
class _Place:
    """Where a server is, as far as a client in another process can know."""

    url: str
    ca_file: Path | None = None

    def url_of(self, path: str) -> str:
        return f"{self.url}/{path}"


class _Portal(FaultPortal):
    def __init__(self, place: _Place, token: str | None) -> None:
        super().__init__(place, token)  # type: ignore[arg-type]  # of the server it uses only url_of


def held_here(folder: Path) -> dict[str, int]:
    """What the journals say is held, by file name: bytes in whole blocks."""
    held: dict[str, int] = {}
    for one in interrupted(folder):
        held[one.target.name] = max(one.held, held.get(one.target.name, 0))
    return held


@dataclass
class Play:
    """One round as it is played: its folder, and the lines that say what came of it."""

    round: Round
    folder: Path
    said: list[str] = field(default_factory=list)

    def play(self) -> str:
        """Play it. Raises ``AssertionError`` when a promise is broken; else a line about it."""
        played = self.round
        with played.server(played.schedule) as server:
            place = _Place(server.url, server.ca_file)
            if played.killed:
                self.kill_one(server, place)
            held = held_here(self.folder)
            already = self.placed_already()
            mark, cuts = len(server.requests()), len(server.cuts)
            ran = fetch(played, place, self.folder)
            server.settle()
            log = server.requests()[mark:]
            self.check(server, ran, already)
            self.check_patience(log)
            self.check_kept(ran, held, already)
            self.check_needless(ran, log, MIB * sum(cut.open_connections for cut in server.cuts[cuts:]), held)
        code = ran.outcome.exit_code
        self.said.append(f"exit {int(code)}")
        self.said += sorted({failed.error.code for failed in ran.outcome.failed})
        if ran.outcome.failed:
            self.again()
        else:
            self.check_tidy()
        return f"seed {played.seed}: {played}: {', '.join(self.said)}"

    def kill_one(self, server: FaultServer, place: _Place) -> None:
        """Another process begins, and is killed at a moment that the seed decides (by bytes, not by time)."""
        moment = random.Random(f"kill:{self.round.seed}").randint(0, self.round.size)
        asked = {"seed": self.round.seed, "url": place.url, "ca_file": str(place.ca_file or ""), "to": str(self.folder)}
        child = subprocess.Popen(
            [sys.executable, __file__, "--child", json.dumps(asked)], stdout=subprocess.DEVNULL, env={**os.environ}
        )
        try:
            until = time.monotonic() + 20
            while child.poll() is None and server.body_bytes_sent() < moment and time.monotonic() < until:
                time.sleep(0.005)
            server.note_cut("kill -9")
        finally:
            child.kill()
            child.wait(10)
        self.said.append(f"killed at {moment / MIB:.1f} MiB")

    def placed_already(self) -> dict[str, int]:
        return {name: file.size for name, file in self.round.files.items() if (self.folder / name).exists()}

    # -- the promises -------------------------------------------------------------------------------------------

    def check(self, server: FaultServer, ran: Ran, already: dict[str, int]) -> None:
        """No wrong byte has a final name; what failed says why; nobody learnt the token; waits were obeyed."""
        outcome = ran.outcome
        for placed in outcome.placed:
            want = self.round.files[placed.item.key]
            if self.round.digests or not self.round.hostile:
                assert placed.target == self.folder / placed.item.key
                assert placed.target.read_bytes() == want.read(), f"wrong bytes under {placed.target.name}"
        names = {placed.item.key for placed in outcome.placed} | {failed.item.key for failed in outcome.failed}
        assert names == set(self.round.files), f"not in the outcome: {set(self.round.files) - names}"
        for failed in outcome.failed:
            if failed.item.key not in already:
                assert not failed.target.exists(), f"{failed.target.name} failed and has its final name"
            assert failed.error.code in CODES, f"an unknown cause: {failed.error.code}"
            assert str(failed.error).strip(), "a failure without words"
            assert TOKEN not in str(failed.error) + (failed.error.hint or "")
        assert (outcome.exit_code == ExitCode.DONE) == (not outcome.failed)
        for event in ran.events:
            assert f"{TOKEN}-" not in repr(event), "the token is in the event stream"
        assert not server.leaked, f"Authorization went to another origin: {server.leaked[0]}"
        known = {*self.round.files, LEDGER_DIR}
        for path in self.folder.iterdir():
            assert path.name in known or ".part" in path.name, f"a name that nobody asked for: {path.name}"
        assert [path.name for path in self.folder.parent.iterdir()] == [self.folder.name]

    def check_patience(self, log: list[Record]) -> None:
        """Who was asked to wait waits, all connections of the file; what was on its way then is no offence."""
        for one in log:
            asked = (one.path, one.origin)  # a wait holds at the host that asks for it
            before = [busy for busy in log if busy.status in (429, 503) and (busy.path, busy.origin) == asked]
            before = [busy for busy in before if busy.started < one.started]
            if not (one.early and before):
                continue
            # What "early" means was decided by the last refusal before it.
            last = max(before, key=lambda busy: busy.started)
            if last.outcome != "done" or self.round.unreadable & {*last.faults}:
                continue  # nobody could read that wait: a connection that is reset takes with it what was not read yet
            on_its_way = one.started <= (last.ended or last.started) + ON_ITS_WAY
            assert on_its_way, f"came before its time: {one}, after {last}"

    def check_kept(self, ran: Ran, held: dict[str, int], already: dict[str, int]) -> None:
        """What an earlier process left is used, all of it (of a weak identity all but the last block)."""
        first: dict[str, Resumed] = {}
        for event in ran.events:
            if isinstance(event, Resumed):
                first.setdefault(event.path, event)
        for name in already:
            assert not any(record for record in ran.outcome.placed if record.item.key == name and record.fetched), name
        for name, size in held.items():
            # Without the portal's word the identity is the server's tag, and that may have changed.
            if size and (self.round.knowledge != "nothing") and name not in already:
                assert name in first, f"{name}: {size} bytes were held, and nothing was said of them"
                assert first[name].kept == size, f"{name}: kept {first[name].kept} of {size}"

    def check_needless(self, ran: Ran, log: list[Record], budget: int, held: dict[str, int]) -> None:
        """Body bytes read without use stay under 1 MiB for each connection open at a cut, or have a cause."""
        useful = sum(placed.fetched for placed in ran.outcome.placed if not placed.reused)
        now = held_here(self.folder)
        useful += sum(max(0, now.get(f.item.key, 0) - held.get(f.item.key, 0)) for f in ran.outcome.failed)
        allowed = budget + SMALL_TALK * sum(1 for one in log if one.status not in (200, 206) or one.faults)
        allowed += SMALL_TALK * len(self.round.files)  # to learn size and tag, or that it is unchanged
        for name, file in self.round.files.items():
            causes = ran.causes(name)
            restarts = sum(why in ("integrity", "changed") for why in causes)
            restarts += sum(f.item.key == name and f.error.code in ("integrity", "changed") for f in ran.outcome.failed)
            records = [one for one in log if one.path == f"/{name}"]
            if any(one.range is not None and one.status == 200 for one in records):
                # Where there are no ranges, every answer begins at the first byte.
                restarts += sum(one.range is None and one.status == 200 for one in records) + 1
                allowed += MIB * sum(one.range is not None and one.status == 200 for one in records)
            allowed += restarts * file.size
        # Who gives up ends all connections of the file: the blocks that they were in are not whole.
        allowed += MIB * sum(_widest(log, failed.item.key) for failed in ran.outcome.failed)
        needless = ran.received - useful
        self.said.append(f"needless {needless / MIB:.2f} of {allowed / MIB:.2f} MiB")
        if self.round.hostile:
            return  # such servers lie about lengths and ranges: whose fault a byte was cannot be told
        assert needless <= allowed, f"{needless:,} needless bytes, {allowed:,} allowed"

    def check_tidy(self) -> None:
        """After success there are the files and the ledger, and nothing else."""
        left = sorted(path.name for path in self.folder.iterdir())
        assert left == sorted([*self.round.files, LEDGER_DIR]), f"left behind: {left}"

    def vague(self, name: str, already: dict[str, int]) -> bool:
        """Whether nobody can tell if a file that is there is still the server's (no digest, id or strong tag)."""
        return self.round.knowledge == "nothing" and name in already

    def again(self) -> None:
        """The faults are over: the same get ends right, and begins with what the journals hold."""
        held, already = held_here(self.folder), self.placed_already()
        with self.round.server() as server:
            ran = fetch(self.round, _Place(server.url, server.ca_file), self.folder)
            self.check(server, ran, already)
            self.check_kept(ran, held, already)
        failed = [failed for failed in ran.outcome.failed if not self.vague(failed.item.key, already)]
        assert not failed, [str(failed.error) for failed in failed]
        for name, file in self.round.files.items():
            if self.round.digests or not self.round.hostile:
                assert (self.folder / name).read_bytes() == file.read(), f"wrong bytes under {name} at last"
        self.said.append(f"then 0, kept {sum(held.values()) / MIB:.1f} MiB")
        if self.round.knowledge != "nothing":
            self.check_tidy()


def _widest(log: list[Record], name: str) -> int:
    """The most connections that a path had at once."""
    marks = sorted(
        mark
        for one in log
        if one.path == f"/{name}"
        for mark in ((one.started, 1), (one.ended if one.ended is not None else 1e9, -1))
    )
    most = now = 0
    for _, step in marks:
        now += step
        most = max(most, now)
    return most


def play(seed: int) -> str:
    """Play one seed in a folder of its own; the line about it. Raises ``AssertionError``, with all to play it again."""
    with tempfile.TemporaryDirectory(prefix="packhorse-chaos-") as place:
        folder = Path(place) / "to"
        folder.mkdir()
        started = time.monotonic()
        game = Play(Round.of(seed), folder)
        try:
            line = game.play()
        except AssertionError as error:
            raise AssertionError(
                f"seed {seed} ({game.round}): {error}\nso far: {game.said}\n{game.round.rules()}\n"
                f"again: python tests/faults/chaos.py {seed} 1"
            ) from error
        return f"{line} ({time.monotonic() - started:.1f} s)"


def _child(asked: dict[str, Any]) -> None:
    """The process that will be killed."""
    ca_file = Path(asked["ca_file"]) if asked["ca_file"] else None
    fetch(Round.of(asked["seed"]), _Place(asked["url"], ca_file), Path(asked["to"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int, nargs="?", default=1)
    parser.add_argument("count", type=int, nargs="?", default=10)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after so long")
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        _child(json.loads(asked.child))
        return 0
    until = time.monotonic() + asked.seconds
    broken = 0
    for seed in range(asked.first, asked.first + asked.count * asked.step, asked.step):
        if time.monotonic() > until:
            break
        try:
            print(play(seed), flush=True)
        except AssertionError as error:
            broken += 1
            print(f"BROKEN {error}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
