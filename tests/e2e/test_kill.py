"""kill -9 at random moments of a download over several connections: the final run is right, and nothing is fetched
twice but what was on its way."""

from __future__ import annotations

import base64
import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from packhorse.testing.faults import Dribble, FaultServer, GeneratedFile, Header, Rule, Schedule

from .typed import MIB, DemoServer, Typist, demo_server, wait_until

SEED = 20251
RATE = 8 * MIB  # bytes per second and connection: kills land in the middle, and little is on its way


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def paced(file: GeneratedFile) -> Schedule:
    """A line of so many bytes per second for each connection, and a server that states the digest."""
    stated = base64.b64encode(bytes.fromhex(file.sha256)).decode()
    return Schedule.of(Rule(Header("Repr-Digest", f"sha-256=:{stated}:"), times=None), Rule(Dribble(RATE), times=None))


@dataclass
class Killer:
    """Downloads one file, kills the process again and again, and keeps count."""

    typist: Typist
    server: FaultServer
    draw: random.Random
    size: int
    kills: int = 0
    moments: list[str] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        return ["get", self.server.url_of("big.bin"), "d/", "--json"]

    def kill_one(self, step: int) -> bool:
        """Begin, and kill. False when it was done before it could be killed."""
        kind = self.draw.choices(("bytes", "time", "end"), (8, 3, 1))[0]
        before, delay = self.server.body_bytes_sent(), self.draw.random()
        enough = self.draw.randint(0, 2 * step)
        with self.typist.start(*self.command) as process:
            until = time.monotonic() + 60
            while process.poll() is None:
                assert time.monotonic() < until, "the child does not come on"
                if kind == "bytes" and self.server.body_bytes_sent() - before >= enough:
                    break
                if kind == "end" and self.typist.held() >= self.size:
                    time.sleep(delay * 0.2)  # while the file is hashed, synced, named
                    break
                if kind == "time":
                    time.sleep(delay)  # also while Python starts, while held blocks are read again
                    break
                time.sleep(0.002)
            self.server.note_cut("kill -9")
            process.kill()
            process.communicate(timeout=30)
        if process.returncode == 0:
            return False
        assert process.returncode == -9, process.returncode
        self.kills += 1
        self.moments.append(f"{kind}@{self.typist.held() / MIB:.0f}")
        return True

    def finish(self, sha256: str) -> None:
        """The last run ends right, keeps what was held, says so, and all runs together read little in vain."""
        held, already = self.typist.held(), "big.bin" in self.typist.names()
        ran = self.typist(*self.command, timeout=120)
        assert ran.code == 0, ran.said
        assert sha256_of(self.typist.work / "d/big.bin") == sha256, self.moments
        assert self.typist.names() == ["big.bin"], self.moments
        (placed,) = ran.events("placed")
        assert placed["proof"] == "sha256"
        if already:
            assert placed["reused"]
        elif held:
            (resumed,) = ran.events("resumed")
            assert resumed["kept"] == placed["kept"] == held, (held, ran.out)
            assert placed.get("fetched", 0) == self.size - held  # zero is left out of the event stream
        self.server.settle()
        read, allowed = self.server.body_bytes_sent("big.bin"), self.size + self.server.needless_budget()
        print(f"{self.kills} kills: {' '.join(self.moments)}: {read / MIB:.1f} MiB of {allowed / MIB:.1f} allowed")
        assert read <= allowed + MIB, f"{read - self.size:,} needless bytes, {allowed - self.size:,} allowed"


def kill_often(folder: Path, size: int, kills: int, seed: int) -> int:
    """One download with this many kills, or fewer when it ends before; how many there were."""
    draw = random.Random(seed)
    file = GeneratedFile(size, seed=seed)
    typist = Typist(folder)
    with FaultServer({"big.bin": file}, paced(file)) as server:
        killer = Killer(typist, server, draw, size)
        while killer.kills < kills and killer.kill_one(size // (kills + 1)):
            pass
        killer.finish(file.sha256)
    return killer.kills


def test_five_kills(tmp_path: Path) -> None:
    assert kill_often(tmp_path, 48 * MIB, 5, SEED) >= 1


@pytest.mark.slow
def test_fifty_kills_of_256_mib(tmp_path: Path) -> None:
    """Fifty in all, over as many downloads of 256 MiB as that takes (a kill may come too late for one)."""
    seed = time.time_ns() % 10**6
    print(f"seed {seed}")
    kills = rounds = 0
    while kills < 50:
        kills += kill_often(tmp_path / str(rounds), 256 * MIB, min(10, 50 - kills), seed + rounds)
        rounds += 1
        assert rounds < 20, "nearly every download ended before it could be killed"


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    with demo_server(tmp_path_factory.mktemp("flow")) as server:
        yield server


def test_kills_against_the_flow_server(tmp_path: Path, flow: DemoServer) -> None:
    """Signed in, from the embedded server, which states digests; the line is held by the client's own limit."""
    typist = Typist(tmp_path, {"PACKHORSE_DEMO_URL": flow.api}, list(flow.passwords.values()))
    password = flow.passwords["demo"] + "\n"
    assert typist("login", "demo", "--username", "demo", "--password-stdin", stdin=password).code == 0
    draw = random.Random(SEED)
    command = ["get", "demo:data/792", "d/", "--limit-rate", "48M", "--json"]
    held = 0
    for _ in range(3):
        mark = held + draw.randint(4, 14) * MIB
        with typist.start(*command) as process:
            wait_until(lambda mark=mark: typist.held() >= mark or process.poll() is not None, "it moves", 60)
            assert process.poll() is None, process.communicate()
            process.kill()
            process.communicate(timeout=30)
        held = typist.held()
        assert [name for name in typist.names() if ".part" not in name] == []
    ran = typist(*command, timeout=120)
    assert ran.code == 0, ran.said
    (resumed,) = ran.events("resumed")
    (placed,) = ran.events("placed")
    assert resumed["kept"] == placed["kept"] == held
    assert placed["proof"] == "sha256"
    assert f"sha256:{sha256_of(typist.work / 'd' / placed['path'])}" in placed["digests"]
    typist.no_secret_on_disk()
