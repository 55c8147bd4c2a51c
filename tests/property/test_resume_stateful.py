"""Resume, as a state machine: the real engine, a server on loopback, and everything that goes wrong in between.

The model knows only what a user could know: what the server held, what was under the final name, how many bytes came.
It takes no expectation from the engine. ``PACKHORSE_MORE=10`` runs ten times as many histories.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from packhorse.errors import PackhorseError
from packhorse.model import Digest, Identity, Item
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.testing import faults as f
from packhorse.testing.faults.message import End
from packhorse.testing.portal import FaultPortal
from packhorse.transfer import fetch, lease
from packhorse.transfer.engine import Engine
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Outcome, Want

MIB = 1 << 20
NAME = "reads.fastq.gz"
MORE = int(os.environ.get("PACKHORSE_MORE", "1"))

Knowledge = Literal["digest", "md5", "id", "etag", "weak", "blind"]
KNOWLEDGE: tuple[Knowledge, ...] = ("digest", "md5", "id", "etag", "weak", "blind")

# Not floats: those that hypothesis likes best are all next to nothing.
PLACES = st.integers(0, 200).map(lambda n: n / 200)

# Mostly the last file is out of the way, or all histories would end in "there already".
DELETED = st.sampled_from([True, True, True, False])

CONNECTIONS = st.sampled_from([None, 1, 3])
CHANGES = st.sampled_from(["content", "content", "content", "content", "tag", "tag", *KNOWLEDGE])


class Moods(f.Fault):
    """What the server is like in this step: its tags, whether it does conditions, and how many bytes it sends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.knowledge: Knowledge = "digest"
        self.conditions = True
        self.ranges = True
        self.left: int | None = None
        self.replace_after: int | None = None
        self.replacement: Any = None

    def entity(self, entity: Any, ask: f.Ask, stage: Any) -> None:
        with self._lock:
            if self.replace_after is not None and self.replace_after <= 0:
                self.replace_after = None
                fresh = stage.replace(ask.name, self.replacement)
                entity.content, entity.etag, entity.modified = fresh.content, fresh.etag, fresh.modified
        entity.ranges = self.ranges
        if self.knowledge in ("weak", "blind"):
            entity.etag = None
        if self.knowledge == "blind":
            entity.modified = None

    def shape(self, reply: f.Reply, ask: f.Ask, stage: Any) -> None:
        if reply.status not in (200, 206):
            return
        tag, date = reply.get("etag"), reply.get("last-modified")
        if self.conditions and (
            (tag and ask.header("if-none-match") == tag) or (date and ask.header("if-modified-since") == date)
        ):
            reply.status, reply.stop = 304, reply.start
            return
        with self._lock:
            if self.replace_after is not None:
                self.replace_after -= reply.length
            if self.left is None:
                return
            if self.left <= 0:
                reply.drop = True
            elif reply.length > self.left:
                reply.end, self.left = End(self.left, "cut", everything=True), 0
            else:
                self.left -= reply.length


def flip(path: Path, place: float, mask: int) -> None:
    """Change one byte of a file where it stands."""
    text = path.read_bytes()
    if text:
        at = min(len(text) - 1, int(len(text) * place))
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([text[at] ^ mask]))


@dataclasses.dataclass
class Placed:
    """What the model knows of the file under the final name."""

    content: bytes
    version: int  # of the server, when it was fetched
    knowledge: Knowledge
    touched: bool = False


class Resume(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="packhorse-resume-"))
        self.target = self.folder / NAME
        self.moods = Moods()
        self.placed: Placed | None = None
        self.history: list[str] = []
        self.torn = False
        self.ledger_whole = True
        self.spent = 0
        self.allowance = 0
        self.patch = pytest.MonkeyPatch()
        # Every journal looks as if its process were dead; only where even that cannot be read is there a wait.
        me = lease.this_process()
        gone = type(me)(me.host, me.boot, me.space, 2**22 + 11, "1")
        self.patch.setattr(fetch, "this_process", lambda: gone)
        self.patch.setattr(lease, "STALE_SECONDS", 0.05)
        self.patch.setattr(lease, "NAMELESS_SECONDS", 0.05)
        self.patch.setattr(lease.Lease.take.__func__, "__kwdefaults__", {"settled": lambda: False, "poll": 0.03})

    def teardown(self) -> None:
        self.patch.undo()
        if hasattr(self, "server"):
            self.server.close()
        shutil.rmtree(self.folder)

    @initialize(
        size=st.sampled_from([MIB + 1, 3 * MIB + 77, 5 * MIB, 12 * MIB - 1]),
        knowledge=st.sampled_from(KNOWLEDGE),
        conditions=st.booleans(),
        ranges=st.sampled_from([True, True, True, False]),
    )
    def begin(self, size: int, knowledge: Knowledge, conditions: bool, ranges: bool) -> None:
        self.size = size
        self.contents = 0
        self.file = f.GeneratedFile(size, 0)
        self.version = 0
        self.knowledge = self.moods.knowledge = knowledge
        self.moods.conditions = conditions
        self.moods.ranges = ranges
        self.server = f.FaultServer({NAME: self.file}, f.Schedule.of(f.Rule(self.moods, times=None))).start()

    # -- the server changes ------------------------------------------------------------------------------------------

    @rule(what=CHANGES)
    def the_server_changes(self, what: str) -> None:
        self._note(f"server: {what}")
        if what == "content":
            self.contents += 1
            self.file = f.GeneratedFile(self.size, self.contents % 3)
            self.server.replace(NAME, self.file)
            self.version += 1
        elif what == "tag":
            self.server.replace(NAME)
            self.version += 1
            if self.knowledge not in ("etag", "weak", "blind"):
                return
        elif what == self.knowledge:
            return
        else:
            self.knowledge = self.moods.knowledge = what  # type: ignore[assignment]
        self._anew()
        if self.knowledge == "blind" and self._parts():
            self.allowance += self.size  # only the last block tells, and that comes last

    def _anew(self) -> None:
        """What was fetched may have been for nothing."""
        self.spent, self.allowance = 0, 0

    # -- the disk changes --------------------------------------------------------------------------------------------

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("*.part"))

    def _journals(self) -> list[Path]:
        return sorted(self.folder.glob("*.part.*"), key=lambda path: (path.stem, int(path.suffix[1:])))

    @rule(which=st.integers(0, 2**16), place=PLACES, bit=st.integers(0, 7))
    def the_disk_changes(self, which: int, place: float, bit: int) -> None:
        self._change_the_disk(which, place, bit)

    @rule(which=st.integers(0, 2**16), place=PLACES, bit=st.integers(0, 7))
    def the_disk_changes_too(self, which: int, place: float, bit: int) -> None:
        self._change_the_disk(which, place, bit)

    def _change_the_disk(self, which: int, place: float, bit: int) -> None:
        # One of what can happen now: a rule for each would mostly have nothing to do.
        what: list[Any] = []
        if self._parts():
            what += [*[self._flip_part] * 4, self._shorten_part, self._lose_part]
        if self._journals():
            what += [self._tear_journal, self._flip_journal, self._lose_journal, self._garbage]
        if self.placed is not None:
            what += [self._touch, self._edit, self._delete]
        if self.placed is not None and which % 3 == 0:
            what += [self._flip_ledger]
        if what:
            chosen = what[which % len(what)]
            self._note(f"disk:{chosen.__name__}", place=place, bit=bit)
            chosen(place, bit)

    def _flip_part(self, place: float, bit: int) -> None:
        flip(self._parts()[0], place, 1 << bit)
        self.allowance += MIB

    def _shorten_part(self, place: float, bit: int) -> None:
        path = self._parts()[0]
        os.truncate(path, int(path.stat().st_size * place))
        self.allowance += self.size

    def _lose_part(self, place: float, bit: int) -> None:
        self._parts()[0].unlink()
        self.allowance += self.size

    def _tear_journal(self, place: float, bit: int) -> None:
        path = self._journals()[-1]
        os.truncate(path, int(path.stat().st_size * place))
        self.allowance += self.size
        self.torn = True

    def _flip_journal(self, place: float, bit: int) -> None:
        journals = self._journals()
        flip(journals[bit % len(journals)], place, 1 << bit)
        self.allowance += self.size
        self.torn = True

    def _lose_journal(self, place: float, bit: int) -> None:
        journals = self._journals()
        journals[bit % len(journals)].unlink()
        self.allowance += self.size
        self.torn = True

    def _garbage(self, place: float, bit: int) -> None:
        """Lines that claim blocks, with a wrong check or none."""
        lies = b"".join(b'["b",%d,%d] %08x\n' % (index, 0, bit) for index in range(12))
        with self._journals()[-1].open("ab") as file:
            file.write((lies, b"\x00" * 50, b"\n\n{}\n", b'{"type":"open"', lies[:-9])[bit % 5])
        self.allowance += MIB

    def _touch(self, place: float, bit: int) -> None:
        assert self.placed is not None
        os.utime(self.target, ns=(1, time.time_ns()))
        self.placed.touched = True

    def _edit(self, place: float, bit: int) -> None:
        assert self.placed is not None
        flip(self.target, place, 1 << bit)
        os.utime(self.target, ns=(1, time.time_ns()))
        self.placed.content = self.target.read_bytes()
        self.placed.touched = True

    def _delete(self, place: float, bit: int) -> None:
        self.target.unlink()
        self.placed = None
        self._anew()

    def _flip_ledger(self, place: float, bit: int) -> None:
        for path in self.folder.glob(".packhorse/*"):
            flip(path, place, 1 << bit)
        self.ledger_whole = False

    # -- fetching ----------------------------------------------------------------------------------------------------

    def _item(self) -> Item:
        size, value = self.size, self.file
        if self.knowledge == "digest":
            return Item(
                "faulty", NAME, NAME, size, (Digest("sha256", value.sha256),), Identity("digest", value.sha256, size)
            )
        if self.knowledge == "md5":
            return Item("faulty", NAME, NAME, size, (Digest("md5", value.md5),), Identity("id", f"m{value.seed}", size))
        if self.knowledge == "id":
            return Item("faulty", NAME, NAME, size, (), Identity("id", f"v{value.seed}", size))
        return Item("faulty", NAME, NAME)

    def _get(self, *, cancel_after: int | None = None, **options: Any) -> tuple[Outcome | None, int]:
        """One run in the engine: its outcome (``None``: cancelled), and the body bytes that the client read."""
        engine = Engine.shared()
        network = Network(NetSettings(stall_timeout=5, connect_timeout=5), lanes=2)
        wants = [Want(self._item(), FaultPortal(self.server))]
        already = len(self.server.log)

        async def work() -> Outcome:
            try:
                return await get(
                    wants, self.folder, GetOptions(**options), network, lambda event: None, pool=engine.pool
                )
            finally:
                await network.aclose()

        async def cancelled() -> Outcome | None:
            task = asyncio.create_task(work())
            while not task.done():
                await asyncio.sleep(0.001)
                if sum(record.body_sent for record in self.server.log[already:]) >= (cancel_after or 0):
                    task.cancel()
                    break
            await asyncio.wait([task])
            return None if task.cancelled() else task.result()

        outcome = engine.run(work() if cancel_after is None else cancelled())
        self.server.settle()
        return outcome, network.received

    def _run(self, what: str, *, deleted: bool, allowed: int = 0, **more: Any) -> None:
        """One run, checked; a failure tells the whole history (a run is never the same twice, so nothing is shrunk)."""
        if deleted and self.placed is not None:
            self._delete(0, 0)
        self.allowance += allowed
        self._note(what, **more)
        self.torn = self.torn and bool(self._parts() or self._journals())
        try:
            self._run_and_check(**more)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(self.history)) from None

    def _note(self, what: str, **more: Any) -> None:
        shown = ", ".join(f"{name}={value!r}" for name, value in more.items())
        there = sorted(path.name for path in self.folder.iterdir())
        self.history.append(f"{what}({shown})  {self.knowledge} version {self.version} {there}")

    def _run_and_check(self, *, faulty: bool, overwrite: bool = False, **options: Any) -> None:
        before = self.target.read_bytes() if self.target.exists() else None
        held_before = self.placed
        already = len(self.server.log)
        version, file = self.version, self.file
        outcome, received = self._get(overwrite=overwrite, **options)
        requests = self.server.log[already:]
        replaced = self.server.content(NAME) != file
        bodies = [record for record in requests if record.body_sent and record.status in (200, 206)]
        self.spent += received
        # What the design allows in vain: a block for each connection that was open when the run was broken off; where
        # only weak things vouch, the last block once more; without ranges, all that was there.
        open_then = 0 if outcome is not None and outcome.placed else len(bodies)
        # And a connection that gave half of its piece away may have had some of it on the way.
        self.allowance += open_then * MIB + len(bodies) * 64 * 1024
        if self.knowledge in ("etag", "weak", "blind"):
            self.allowance += 2 * MIB
        if not self.moods.ranges and (outcome is None or outcome.failed):
            self.allowance += self.size
        now = self.target.read_bytes() if self.target.exists() else None
        clean = (
            held_before is not None
            and self.ledger_whole
            and not held_before.touched
            and held_before.knowledge == self.knowledge
            and self._same_to_the_user(held_before)
        )
        if outcome is None and now != before:
            # Stopped when all was done but the telling.
            assert now == file.read(), "stopped, with something else under the final name"
            self.placed = Placed(now or b"", self.version, self.knowledge)
            self.ledger_whole = True
            self._anew()
            return
        if outcome is None or outcome.failed:
            assert now == before, "a run that failed or was stopped changed what is under the final name"
            if outcome is None:
                return
            assert not outcome.placed
            error = outcome.failed[0].error
            assert isinstance(error, PackhorseError)
            assert faulty or (before is not None and not overwrite) or self.moods.replacement is not None, repr(error)
            assert not clean or faulty, f"nothing changed, and yet: {error!r}"
            if before is not None and not overwrite and not faulty:
                assert error.code == "destination", repr(error)
            return
        (placed,) = outcome.placed
        held = {file.read(), self.server.content(NAME).read()} if replaced else {file.read()}
        if self.knowledge in ("digest", "md5", "id"):
            held = {file.read()}
        assert now in held, "what is under the final name is no version that the server had meanwhile"
        assert placed.size == len(now or b"")
        if placed.reused:
            assert now == before
            # Only the first block may come, where the server does not understand the question.
            limit = 0 if self.knowledge in ("digest", "md5", "id") or self.moods.conditions else 2 * MIB
            assert received <= limit, f"{received} bytes of a file that was there already"
        else:
            assert not clean, "fetched again without a cause"
            assert self.spent <= self.size + self.allowance, f"{self.spent} of {self.size}, allowed {self.allowance}"
            self.ledger_whole = True
        if replaced:
            self.file, self.version = self.server.content(NAME), version + 1  # type: ignore[assignment]
        if not (placed.reused and held_before is not None):
            version_then = self.version
            self.placed = Placed(now or b"", version_then, self.knowledge)
        elif self.knowledge in ("digest", "md5"):
            self.placed = dataclasses.replace(held_before, touched=False, version=self.version)
            self.ledger_whole = self.ledger_whole or held_before.touched
        self._anew()
        # A part of another version whose journal does not tell its owner may be somebody's.
        if not self.torn:
            assert not self._parts(), f"left over: {self._parts()}"
            assert not self._journals(), f"left over: {self._journals()}"

    def _same_to_the_user(self, held: Placed) -> bool:
        """Whether all that is said of the object is as it was when the file was placed."""
        if self.knowledge in ("digest", "md5", "id"):
            return held.content == self.file.read()
        return self.knowledge != "blind" and held.version == self.version

    @rule(deleted=DELETED, overwrite=st.booleans(), jobs=CONNECTIONS)
    def run_to_the_end(self, deleted: bool, overwrite: bool, jobs: int | None) -> None:
        self._run("to the end", deleted=deleted, faulty=False, overwrite=overwrite, connections=jobs)

    @rule(deleted=DELETED, share=PLACES, overwrite=st.booleans(), connections=CONNECTIONS)
    def run_until_a_cut(self, deleted: bool, share: float, overwrite: bool, connections: int | None) -> None:
        self.moods.left = int(self.size * share)
        try:
            self._run(
                "until a cut", deleted=deleted, faulty=True, retries=0, overwrite=overwrite, connections=connections
            )
        finally:
            self.moods.left = None

    @rule(deleted=DELETED, share=PLACES, overwrite=st.booleans())
    def run_and_be_stopped(self, deleted: bool, share: float, overwrite: bool) -> None:
        self._run("stopped", deleted=deleted, faulty=True, cancel_after=int(self.size * share), overwrite=overwrite)

    @rule(deleted=DELETED, share=PLACES, overwrite=st.booleans())
    def run_while_it_is_replaced(self, deleted: bool, share: float, overwrite: bool) -> None:
        if self.knowledge in ("id", "blind"):
            return  # a portal that breaks its word, or says nothing at all, cannot be caught at it
        self.contents += 1
        self.moods.replacement = f.GeneratedFile(self.size, self.contents % 3)
        self.moods.replace_after = int(self.size * share)
        try:
            self._run("while replaced", deleted=deleted, allowed=2 * self.size, faulty=True, overwrite=overwrite)
        finally:
            if self.moods.replace_after is None:
                self.file, self.version = self.moods.replacement, self.version + 1
                self._anew()
            self.moods.replace_after = self.moods.replacement = None

    # Stories that would seldom come together by chance.

    @rule(share=PLACES, which=st.integers(0, 2**16), place=PLACES, bit=st.integers(0, 7), connections=CONNECTIONS)
    def cut_then_damaged_then_finished(
        self, share: float, which: int, place: float, bit: int, connections: int | None
    ) -> None:
        self.run_until_a_cut(deleted=True, share=share, overwrite=False, connections=connections)
        self._change_the_disk(which, place, bit)
        self.run_to_the_end(deleted=True, overwrite=True, jobs=connections)

    @rule(share=PLACES, what=CHANGES, connections=CONNECTIONS)
    def cut_then_replaced_then_finished(self, share: float, what: str, connections: int | None) -> None:
        self.run_until_a_cut(deleted=True, share=share, overwrite=False, connections=connections)
        self.the_server_changes(what)
        self.run_to_the_end(deleted=True, overwrite=True, jobs=connections)

    @rule(which=st.integers(0, 2**16), place=PLACES, bit=st.integers(0, 7), overwrite=st.booleans())
    def finished_then_disturbed_then_again(self, which: int, place: float, bit: int, overwrite: bool) -> None:
        self.run_to_the_end(deleted=False, overwrite=True, jobs=None)
        self._change_the_disk(which, place, bit)
        self.run_to_the_end(deleted=False, overwrite=overwrite, jobs=None)

    @invariant()
    def nothing_but_versions_under_the_name(self) -> None:
        if self.placed is None:
            assert not self.target.exists()
        else:
            assert self.target.read_bytes() == self.placed.content


TestResume = Resume.TestCase
TestResume.settings = settings(
    max_examples=60 * MORE,
    stateful_step_count=10,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.fixture(autouse=True, scope="module")
def engine_ends() -> Iterator[None]:
    yield
    Engine.shared().close()
