"""A reviewer's attacks on names and part files: what stands beside the file, and who else may touch it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from packhorse.model import Item
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.portals.local import LocalPortal
from packhorse.testing.faults import FaultServer, GeneratedFile
from packhorse.testing.portal import fetch, item_for
from packhorse.transfer import place
from packhorse.transfer.engine import Engine
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Want
from packhorse.transfer.paths import part_name, plan_paths, safe_component

MIB = 1 << 20


def test_a_part_that_has_another_name_is_not_written_through(tmp_path: Path) -> None:
    """A hard link to it may be somebody's file: the target, named just before a crash, or anything else."""
    file = GeneratedFile(3 * MIB, seed=1)
    item = item_for("a.bin", file, "id")
    assert item.identity is not None
    other = tmp_path / "precious.bin"
    other.write_bytes(b"precious" * 100)
    (tmp_path / part_name("a.bin", item.identity.short)).hardlink_to(other)
    with FaultServer({"a.bin": file}) as server:
        outcome, _, _ = fetch(server, [item], tmp_path)
    assert other.read_bytes() == b"precious" * 100
    assert outcome.placed[0].target.read_bytes() == file.read()


def test_a_part_that_was_exchanged_meanwhile_is_not_given_the_name(tmp_path: Path) -> None:
    file = GeneratedFile(3 * MIB, seed=1)
    item = item_for("a.bin", file, "digest")
    assert item.identity is not None
    part = tmp_path / part_name("a.bin", item.identity.short)

    def exchange() -> None:
        until = time.monotonic() + 10
        while not part.exists() and time.monotonic() < until:
            time.sleep(0.01)
        part.rename(tmp_path / "elsewhere")
        part.write_bytes(b"foreign")

    thread = threading.Thread(target=exchange)
    thread.start()
    with FaultServer({"a.bin": file}) as server:
        fetch(server, [item], tmp_path, limit_rate=3 * MIB)
    thread.join()
    target = tmp_path / "a.bin"
    assert not target.exists() or target.read_bytes() == file.read()


@pytest.mark.parametrize(
    "name",
    [
        "a.bin.12345678.part",
        "a.bin.12345678.part.1",
        "A.BIN.ABCDEF01.PART.20",
        "a.bin.4711-3.part",
        ".PACKHORSE",
        ".Packhorse-x",
    ],
)
def test_a_server_s_name_is_never_that_of_a_part_or_a_journal(name: str) -> None:
    """Else one file of a server is read as another's journal, or swept away with it."""
    safe = safe_component(name)
    assert safe != name
    assert unquote(safe) == name
    (planned,) = plan_paths([Item("f", "1", f"x/{name}")])
    assert planned.original == f"x/{name}"


@pytest.mark.parametrize("name", ["a.part", "a.part.1", "film.part01.rar", "x.1234567.part", "notes.packhorse"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert safe_component(name) == name


def test_without_proc_small_files_get_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a chroot without /proc a file that has no name could never be given one."""
    monkeypatch.setattr(place, "_DESCRIPTORS", str(tmp_path / "no-proc"))
    file = GeneratedFile(1000)
    with FaultServer({"a.bin": file}) as server:
        outcome, _, _ = fetch(server, [item_for("a.bin", file, "digest")], tmp_path)
    assert int(outcome.exit_code) == 0, outcome.failed


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127])
def test_the_longest_names_have_room_for_their_forerunners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, named: bool
) -> None:
    if named:
        monkeypatch.setattr(place, "_O_TMPFILE", 0)
        monkeypatch.setattr("os.getpid", lambda: 4_194_303)
    for content in (b"old", b"new"):
        descriptor, path = place.open_unnamed(str(tmp_path), name)
        os.write(descriptor, content)
        place.name_unnamed(descriptor, path, tmp_path / name, overwrite=True)
        os.close(descriptor)
    assert (tmp_path / name).read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_journal_that_cannot_be_read_or_made_is_an_error_and_not_a_loop(tmp_path: Path) -> None:
    file = GeneratedFile(3 * MIB, seed=1)
    item = item_for("a.bin", file, "id")
    assert item.identity is not None
    part = tmp_path / part_name("a.bin", item.identity.short)
    part.with_name(part.name + ".1").symlink_to(tmp_path / "nowhere")
    code = (
        "import sys; from pathlib import Path; from packhorse.model import *;"
        "from packhorse.testing.portal import FaultPortal, fetch\n"
        "class Place:\n"
        "    def url_of(self, key): return sys.argv[1]\n"
        f"item = Item('faulty', 'a.bin', 'a.bin', {file.size}, (), Identity('id', 'a.bin', {file.size}))\n"
        "outcome, _, _ = fetch(None, [item], Path(sys.argv[2]), FaultPortal(Place()))\n"
        "print(outcome.failed[0].error.code)"
    )
    with FaultServer({"a.bin": file}) as server:
        argv = [sys.executable, "-c", code, server.url_of("a.bin"), str(tmp_path)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.strip() == "destination", done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becomes another user: only root can")
@pytest.mark.parametrize("mode", [0o000, 0o300])
def test_a_folder_of_another_user_is_one_clear_error(tmp_path: Path, mode: int) -> None:
    """0300: files may be made there, but the folder not be read nor synced."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    folder.chmod(mode)
    code = (
        "import os, sys; from pathlib import Path; import packhorse.transfer.get; from packhorse.model import *;"
        "from packhorse.errors import PackhorseError; from packhorse.testing.portal import FaultPortal, fetch\n"
        "class Place:\n"
        "    def url_of(self, key): return sys.argv[1] + '/' + key\n"
        "items = [Item('faulty', n, n, s, (), Identity('id', n, s)) for n, s in (('s.bin', 10), ('l.bin', 2000000))]\n"
        "fetch(None, items, Path(sys.argv[3]), FaultPortal(Place()))  # all modules are read now\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for folder in (Path(sys.argv[2]), Path(sys.argv[2]) / 'below'):\n"
        "    try:\n"
        "        outcome, _, _ = fetch(None, items, folder, FaultPortal(Place()))\n"
        "        print(sorted(f.error.code for f in outcome.failed))\n"
        "    except PackhorseError as error:\n"
        "        print(error.code)\n"
    )
    files = {"s.bin": GeneratedFile(10), "l.bin": GeneratedFile(2_000_000)}
    with FaultServer(files) as server:
        argv = [sys.executable, "-c", code, server.url, str(folder), str(tmp_path / "first")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    lines = done.stdout.split("\n")[:2]
    assert done.returncode == 0, done.stderr
    assert lines == (["[]", "[]"] if mode else ["destination", "destination"]), done.stderr


def test_a_local_copy_ends_when_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a copy of many gigabytes, whose reads are slow."""
    (tmp_path / "big.bin").write_bytes(bytes(40 * MIB))
    from packhorse.transfer.part import Piece

    take = Piece.take

    def slow(self: Piece, data: bytes) -> int:
        time.sleep(0.05)
        return take(self, data)

    monkeypatch.setattr(Piece, "take", slow)
    engine, network, portal = Engine.shared(), Network(NetSettings()), LocalPortal()

    async def work() -> None:
        wants = [Want(item, portal) async for item in portal.items(str(tmp_path / "big.bin"))]
        await get(wants, tmp_path / "to", GetOptions(), network, lambda _: None, pool=engine.pool)

    future, cancel = engine.submit(work())
    time.sleep(0.5)
    began = time.monotonic()
    cancel.cancel()
    with pytest.raises(BaseException):  # noqa: B017 - how it says so is not the point here
        future.result(timeout=60)
    assert time.monotonic() - began < 2.0
