"""Files by Aspera with stand-ins for ``ascp``: good ones, and those that prompt, hang, lie or leave nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from packhorse.errors import (
    BadNameError,
    IntegrityError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    StalledError,
    TransferError,
)
from packhorse.model import ProofLevel
from packhorse.portals.immport.aspera.find import ascp_places, find_keys, key_places
from packhorse.portals.immport.aspera.orphans import note, settle
from packhorse.portals.immport.aspera.process import Limits
from packhorse.portals.immport.aspera.route import check_path
from packhorse.portals.immport.aspera.verdicts import KeyRefusedError
from packhorse.portals.immport.portal import ImmPortPortal
from packhorse.transfer.brought import bring_folder
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event, Progress
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Want
from packhorse.transfer.paths import part_name, plan_paths

from .conftest import SIGNED, MakePortal, everything, fetch, on_engine
from .fake import FakeImmPort
from .standin import standin

BIG = hashlib.shake_256(b"aspera").digest(3 * 1024 * 1024 + 5)
PATH = 'SDY1/ResultFiles/Flow/it\'s $(x) "a".fcs'

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are scripts")


class Site:
    """A fake ImmPort with one file, and a stand-in that has it."""

    def __init__(self, fake: FakeImmPort, make: MakePortal, folder: Path) -> None:
        self.fake, self.make, self.folder = fake, make, folder
        self.source, self.bin = folder / "source", folder / "bin"
        self.add(PATH, BIG)

    def add(self, path: str, data: bytes, **more: Any) -> None:
        self.fake.add(path, data, **more)
        place = self.source / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def portal(self, mode: str = "good", *, limits: Limits | None = None, **options: Any) -> ImmPortPortal:
        program = standin(self.bin, self.source, mode)
        environ = {**SIGNED, "ASCP": str(program), "IMMPORT_API_KEY": "not for children"}
        lab = self.make(environ, options={"route": "aspera", "aspera_host": "aspera.example.org", **options})
        if limits is not None:
            lab.aspera.limits = limits
        return lab

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.bin / "calls").read_text().splitlines()]


@pytest.fixture
def site(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> Site:
    return Site(fake, portal, tmp_path / "site")


def failed(lab: ImmPortPortal, folder: Path, **options: Any) -> Exception:
    outcome = fetch(lab, "SDY1", folder, retries=0, **options)
    assert not outcome.placed
    assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix == ".fcs"]
    return outcome.failed[0].error


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def in_group(process: Path, group: int) -> bool:
    try:
        state, _, number = (process / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return state != "Z" and int(number) == group


def test_a_file_is_brought_proven_and_placed(site: Site, tmp_path: Path) -> None:
    site.add("SDY1/StudyFiles/small.txt", b"small")
    lab = site.portal(ascp_rate="300m")
    events: list[Event] = []
    outcome = fetch(lab, "SDY1", tmp_path / "out", events=events)
    assert not outcome.failed
    assert {file.proof.level for file in outcome.placed} == {ProofLevel.MD5}
    assert next(file.target for file in outcome.placed if file.size > 5).read_bytes() == BIG
    assert (tmp_path / "out/SDY1/StudyFiles/small.txt").read_bytes() == b"small"
    left = [path.name for path in (tmp_path / "out").rglob("*") if ".part" in path.name]
    assert left == []
    assert any(isinstance(event, Progress) for event in events)
    for call in site.calls:
        words = call["argv"]
        token = call["env"]["ASPERA_SCP_TOKEN"]
        assert token in site.fake.aspera_tokens
        assert not any(token in word or word.endswith(".fcs") for word in words), "neither token nor source in argv"
        assert Path(words[-1]).is_absolute(), "no folder's name reads as an option"
        assert words[words.index("-k") + 1] == "2"
        assert "--overwrite=diff" in words
        assert words[words.index("-l") + 1] == "300m"
        assert "--host=aspera.example.org" in words
        assert call["stdin"] == ""
        assert not {"IMMPORT_API_KEY", "PACKHORSE_LAB_PASSWORD"} & set(call["env"])
    assert len(site.fake.called("/auth/token")) == 1
    again = fetch(site.portal(), "SDY1", tmp_path / "out")
    assert all(file.reused for file in again.placed)


def test_a_rate_of_the_call_is_passed_on(site: Site, tmp_path: Path) -> None:
    assert not fetch(site.portal(ascp_rate="1g"), "SDY1", tmp_path, limit_rate=10_000_000).failed
    words = site.calls[0]["argv"]
    assert words[words.index("-l") + 1] == "80000k"


def test_what_an_interrupted_run_left_is_used(site: Site, tmp_path: Path) -> None:
    outcome = fetch(site.portal("once cut"), "SDY1", tmp_path, retries=1)
    assert not outcome.failed
    assert len(site.calls) == 2
    assert outcome.placed[0].target.read_bytes() == BIG


def test_a_stopped_get_ends_the_program_and_goes_on_later(site: Site, tmp_path: Path) -> None:
    lab = site.portal("slow")

    async def work() -> None:
        wants = [Want(item, lab) for item in await everything(lab.items("SDY1"))]
        job = asyncio.ensure_future(
            get(wants, tmp_path, GetOptions(), lab.api.network, lambda _: None, pool=Engine.shared().pool)
        )
        while not [path for path in tmp_path.rglob("brought") if path.stat().st_size]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # another process writes
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    on_engine(work())
    assert not alive(site.calls[0]["pid"])
    left = next(tmp_path.rglob("brought")).stat().st_size
    assert 0 < left < len(BIG)
    assert not fetch(site.portal("good"), "SDY1", tmp_path).failed
    assert not list(tmp_path.rglob("brought"))


@pytest.mark.parametrize(
    ("mode", "error", "said"),
    [
        ("flood", KeyRefusedError, "asks for a password"),
        ("shout", TransferError, "writes without end"),
        ("silent", StalledError, "said and did nothing"),
        ("wrong", IntegrityError, "other bytes than stated"),
        ("short", IntegrityError, "bytes, not"),
        ("nothing", ProtocolError, "left no file"),
        ("symlink", ProtocolError, "no plain file"),
        ("closed", NetworkError, "Failed to open TCP connection"),
        ("refused", PermissionDeniedError, "Token authorization failed"),
    ],
)
def test_an_ascp_that_misbehaves(site: Site, tmp_path: Path, mode: str, error: type[Exception], said: str) -> None:
    lab = site.portal(mode, limits=Limits(idle=1.0, output=1024 * 1024))
    began = time.monotonic()
    raised = failed(lab, tmp_path / "out")
    assert isinstance(raised, error)
    assert said in str(raised)
    assert time.monotonic() - began < 60
    assert not any(alive(call["pid"]) for call in site.calls)
    assert "ATM2_" not in str(raised)


def test_children_end_too(site: Site, tmp_path: Path) -> None:
    lab = site.portal("child", limits=Limits(idle=0.5))
    assert isinstance(failed(lab, tmp_path / "out"), StalledError)
    group = site.calls[0]["pid"]
    assert not [path.name for path in Path("/proc").glob("[0-9]*") if in_group(path, group)]


def test_an_orphan_is_ended_before_the_next_run(site: Site, tmp_path: Path) -> None:
    """After kill -9 of Packhorse its ascp goes on writing into the same file."""
    lab = site.portal()
    with subprocess.Popen(
        [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"],
        start_new_session=True, stdout=subprocess.PIPE,
    ) as orphan:  # fmt: skip
        assert orphan.stdout is not None
        orphan.stdout.readline()
        item = on_engine(everything(lab.items("SDY1")))[0]
        target = plan_paths([item])[0].path
        assert item.identity is not None
        part = tmp_path.joinpath(*target.parts).with_name(part_name(target.name, item.identity.short))
        folder = bring_folder(part)
        folder.mkdir(parents=True)
        (folder / "brought").write_bytes(BIG[:1000])
        note(folder, orphan.pid)
        assert not fetch(lab, "SDY1", tmp_path).failed
        assert orphan.wait(10) == -9
    folder.mkdir()
    (folder / "brought").write_bytes(BIG)
    (folder / "writer.json").write_text(json.dumps({**WRITER, "host": "another"}))
    settle(folder, "brought")
    assert not (folder / "brought").exists(), "of another machine nobody knows"
    (folder / "brought").write_bytes(BIG)
    (folder / "writer.json").write_text(json.dumps({**WRITER, "host": socket.gethostname(), "boot": "before"}))
    settle(folder, "brought")
    assert (folder / "brought").exists()


WRITER = {"boot": "b", "space": "s", "pid": 4000000, "started": "1"}


def test_a_total_limit(site: Site, tmp_path: Path) -> None:
    lab = site.portal("slow", limits=Limits(total=0.5))
    assert "was not done after" in str(failed(lab, tmp_path / "out"))


def test_a_file_that_the_server_does_not_have(site: Site, tmp_path: Path) -> None:
    (site.source / PATH).unlink()
    assert isinstance(failed(site.portal(), tmp_path / "out"), NotFoundError)


def test_keys_are_tried_in_turn(site: Site, tmp_path: Path) -> None:
    for name in ("asperaweb_id_dsa.openssh", "aspera_bypass_rsa.pem"):
        key = site.bin.parent / "etc" / name
        key.parent.mkdir(parents=True, exist_ok=True)
        key.write_text("key")
    mine = tmp_path / "mine.pem"
    mine.write_text("key")
    lab = site.portal("rsa only", ascp_key=str(mine))
    outcome = fetch(lab, "SDY1", tmp_path / "out")
    assert not outcome.failed
    assert [Path(call["argv"][call["argv"].index("-i") + 1]).name for call in site.calls] == [
        "mine.pem",
        "aspera_bypass_rsa.pem",
    ]
    site.add("SDY1/StudyFiles/next.txt", b"next")
    lab.listing._held.clear()
    assert not fetch(lab, "SDY1/StudyFiles", tmp_path / "out").failed
    assert len(site.calls) == 3, "the key that worked comes first"


def test_without_ascp_it_says_what_to_install(site: Site, portal: MakePortal, tmp_path: Path) -> None:
    raised = failed(portal(options={"route": "aspera"}), tmp_path / "out")
    assert isinstance(raised, TransferError)
    assert "none was found" in raised.message
    assert "install" in (raised.hint or "")
    named = failed(portal(options={"route": "aspera", "ascp": str(tmp_path / "nothing")}), tmp_path / "out")
    assert "no program that can be run" in str(named)


def test_older_servers_fall_back_to_aspera(site: Site, tmp_path: Path) -> None:
    site.fake.generation = 1
    lab = site.portal(route="auto")
    outcome = fetch(lab, "SDY1", tmp_path / "out")
    assert not outcome.failed
    assert outcome.placed[0].proof.level is ProofLevel.SIZE
    assert "by Aspera only" in (failed(site.portal(route="https"), tmp_path / "other").hint or "")  # type: ignore[attr-defined]
    assert all(file.reused for file in fetch(lab, "SDY1", tmp_path / "out").placed)


def test_what_https_does_not_have_comes_by_aspera(site: Site, tmp_path: Path) -> None:
    site.add("SDY1/StudyFiles/gone.pdf", b"gone", gone=True)
    assert not fetch(site.portal(route="auto"), "SDY1", tmp_path).failed
    assert len(site.calls) == 1


def test_the_address_can_say_the_route(site: Site, tmp_path: Path) -> None:
    lab = site.portal(route="https")
    assert not fetch(lab, "SDY1?route=aspera", tmp_path).failed
    assert site.fake.store_calls == []


@pytest.mark.parametrize("path", ["SDY1/../x", "SDY1/a\nb", "-SDY1", "", "SDY1/\0"])
def test_paths_that_ascp_is_never_given(path: str) -> None:
    with pytest.raises(BadNameError):
        check_path(path)


def test_where_ascp_is_looked_for() -> None:
    environ = {"HOME": "/home/ada", "PATH": "", "CONDA_PREFIX": "/conda", "PROGRAMFILES": "C:/Program Files"}

    def places(**how: Any) -> list[str]:
        return [path.as_posix() for path in ascp_places(None, environ, **how)]

    linux = places(system="Linux", machine="x86_64")
    assert linux[:2] == ["/conda/bin/ascp", "/home/ada/.aspera/sdk/ascp"]
    assert "/opt/aspera/bin/ascp" in linux
    assert linux[-1].endswith("aspera/cli/bin/linux/ascp")
    assert not any("aspera/cli/bin/linux" in path for path in places(system="Linux", machine="aarch64"))
    assert places(system="Linux", machine="i686")[-1].endswith("linux32/ascp")
    assert "/Applications/IBM Aspera Connect.app/Contents/Resources/ascp" in places(system="Darwin", machine="arm64")
    assert "C:/Program Files/IBM/Aspera Connect/bin/ascp.exe" in places(system="Windows", machine="AMD64")
    assert [str(path) for path in ascp_places("~/ascp", {**environ, "ASCP": "/other"})] == ["/home/ada/ascp"]


def test_a_key_that_wants_a_passphrase_is_tried_only_with_one(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("aspera_tokenauth_id_rsa", "aspera_bypass_dsa.pem", "aspera_bypass_rsa.pem"):
        (tmp_path / "etc" / name).write_text("key")
    ascp = tmp_path / "bin" / "ascp"
    plain = {"HOME": str(tmp_path)}
    assert [key.name for key in find_keys(ascp, None, plain)] == ["aspera_bypass_rsa.pem", "aspera_bypass_dsa.pem"]
    secret = {**plain, "ASPERA_SCP_PASS": "x"}
    assert "aspera_tokenauth_id_rsa" in {key.name for key in find_keys(ascp, None, secret)}
    assert next(key_places(ascp, "~/mine", plain)) == tmp_path / "mine"
