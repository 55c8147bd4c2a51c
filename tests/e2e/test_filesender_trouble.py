"""Our client against our server: every awkward size, encrypted and not, as user, application and guest, killed and
resumed, and with a fault in the first try of every chunk. Nothing damaged is completed, nobody is mailed twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from .test_send import LINK, killed_midway, letters, mailed_once
from .typed import MIB, ROOT, Ran, Typist

CHUNK = 5 * MIB
PASSWORD = "correct horse battery staple"
SIZES = {
    "empty": 0, "one": 1, "below": CHUNK - 1, "chunk": CHUNK, "above": CHUNK + 1, "three": 3 * CHUNK,
}  # fmt: skip
WHO = ("user", "application", "guest")
FAULTY = Path(__file__).with_name("faulty_site.py")


@dataclass(frozen=True)
class Site:
    """A running server: its URL, its users' keys, its outbox, the secret of an application ``lab``."""

    url: str
    keys: dict[str, str]
    outbox: Path
    application: str

    def faults(self) -> dict[str, int]:
        found: dict[str, int] = requests.get(f"{self.url}/faults", timeout=20).json()
        return found


@contextmanager
def running(folder: Path, *prefix: str) -> Iterator[Site]:
    """A demo server, plain or (``prefix``) behind faults."""
    home = folder / "data"
    command = [sys.executable, *(prefix or ("-m", "packhorse.server.run"))]
    command += ["--home", str(home), "--port", "0", "--demo", "--ready-json"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        timer = threading.Timer(120, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            timer.cancel()
            assert line, "the server did not start"
            ready = json.loads(line)
            keys = {user["username"]: user["filesender_api_key"] for user in ready["users"]}
            yield Site(ready["url"], keys, home / "outbox", application(home))
        finally:
            timer.cancel()
            process.terminate()
            process.wait(20)


def application(home: Path) -> str:
    """A remote application of this server; its secret."""
    code = (
        "import sys; from pathlib import Path; from packhorse.server.config import ServerConfig;"
        "from packhorse.server.filesender_keys import create_application;"
        "print(create_application(ServerConfig(home=Path(sys.argv[1])), 'lab'))"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(home)], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("faulty"), str(FAULTY), "7", "--") as found:
        yield found


def somebody(site: Site, folder: Path, who: str) -> Typist:
    """A user, an application that acts for one, or (without any credential) a guest."""
    variables = {
        "user": {"PACKHORSE_FS_USERNAME": "demo", "PACKHORSE_FS_APIKEY": site.keys["demo"]},
        "application": {"PACKHORSE_FS_USERNAME": "demo", "PACKHORSE_FS_APIKEY": site.application},
        "guest": {},
    }[who]
    typist = Typist(folder, variables, secrets=[*site.keys.values(), site.application, PASSWORD])
    assert typist("remote", "add", "fs", "filesender", site.url).code == 0
    if who == "application":
        config = typist.home / "config" / "config.toml"
        if not config.exists():
            (config,) = typist.home.rglob("*.toml")
        text = config.read_text()
        config.write_text(text.replace("[remotes.fs]", '[remotes.fs]\napplication = "lab"'))
    return typist


def voucher(site: Site, folder: Path, person: str) -> str:
    """Invite a guest; the link of the invitation."""
    inviter = somebody(site, folder / "inviter", "user")
    ran = inviter("invite", person, "--via", "fs", "--from", "demo@demo.invalid", "--json")
    assert ran.code == 0, ran.said
    found = [word for line in ran.objects for word in line.values() if isinstance(word, str) and "vid=" in word]
    assert found, ran.out
    return found[0]


def files_of(sizes: dict[str, int], seed: int, folder: Path) -> dict[str, str]:
    """Files with these sizes; their digests by name."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    draw = random.Random(seed)
    for name, size in sizes.items():
        content = b"".join(draw.randbytes(min(MIB, size - at)) for at in range(0, size, MIB))
        (folder / f"{name}.bin").write_bytes(content)
        digests[f"{name}.bin"] = hashlib.sha256(content).hexdigest()
    return digests


def fetched(site: Site, folder: Path, link: str, *, encrypted: bool) -> dict[str, str]:
    """What somebody without an account gets from a link: digests by name."""
    nobody = Typist(folder / "nobody", secrets=[PASSWORD])
    # a piece that is split asks for new ranges, and each of them goes wrong once
    words = ["get", link, "d/", "--retries", "10", *(["--password-stdin"] if encrypted else [])]
    ran = nobody(*words, timeout=120, stdin=PASSWORD + "\n" if encrypted else "")
    assert ran.code == 0, ran.said
    found = {}
    for name in nobody.names():
        if name != "SHA256SUMS":
            found[Path(name).name] = hashlib.sha256((nobody.work / "d" / name).read_bytes()).hexdigest()
    return found


def link_of(site: Site, ran: Ran, person: str) -> str:
    """The link: printed, or, for guests, in the letter."""
    found = LINK.search(ran.out)
    assert found is not None, ran.said
    return found[0]


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("spoilt", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["well", "faults"])
def test_every_size_arrives(
    request: pytest.FixtureRequest, tmp_path: Path, who: str, encrypted: bool, spoilt: bool
) -> None:
    here: Site = request.getfixturevalue("faulty" if spoilt else "site")
    sender = somebody(here, tmp_path / "sender", who)
    person = f"{who}-{encrypted}-{spoilt}@example.org".lower()
    words = ["send", "files", "--to", person, "--retries", "6"]
    if who == "guest":
        words += ["--voucher", voucher(here, tmp_path, f"invited-{encrypted}-{spoilt}@example.org".lower())]
    else:
        words += ["--via", "fs"]
    if encrypted:
        words += ["--encrypt", "--password-stdin"]
    digests = files_of(SIZES, 5, sender.work / "files")
    ran = sender(*words, timeout=120, stdin=PASSWORD + "\n" if encrypted else "")
    assert ran.code == 0, ran.said
    assert fetched(here, tmp_path, link_of(here, ran, person), encrypted=encrypted) == digests
    mailed_once(here.outbox, person)
    sender.no_secret_on_disk()


@pytest.mark.slow
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("who", WHO)
def test_killed_resumed_and_spoilt(faulty: Site, tmp_path: Path, who: str, encrypted: bool) -> None:
    """Killed in the middle of faults; the same command again ends it; what was confirmed is not sent again."""
    sender = somebody(faulty, tmp_path / "sender", who)
    person = f"killed-{who}-{encrypted}@example.org".lower()
    words = ["files", "--to", person, "--retries", "6"]
    if who == "guest":
        words += ["--voucher", voucher(faulty, tmp_path, f"invited-killed-{encrypted}@example.org".lower())]
    else:
        words += ["--via", "fs"]
    if encrypted:
        words += ["--encrypt", "--password-stdin"]
    digests = files_of({"a": 4 * CHUNK + 17, "b": 2 * CHUNK}, 6, sender.work / "files")
    typed = PASSWORD + "\n" if encrypted else None
    killed_midway(sender, *words, stdin=typed)
    assert letters(faulty.outbox, person) == []
    ran = sender("send", *words, "--json", timeout=120, stdin=typed or "")
    assert ran.code == 0, ran.said
    assert sum(event["sent"] for event in ran.events("placed")) < 6 * CHUNK + 17
    link = link_of(faulty, ran, person)
    assert fetched(faulty, tmp_path, link, encrypted=encrypted) == digests
    mailed_once(faulty.outbox, person)


@pytest.mark.slow
def test_there_were_faults_of_every_kind(faulty: Site) -> None:
    """Runs last: the matrix above met them all."""
    met = faulty.faults()
    assert {name.partition(": ")[2] for name in met} >= {
        "refused",
        "fault",
        "empty fault",
        "cut",
        "lie",
        "acknowledgement lost",
    }, met


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_300_mib(site: Site, tmp_path: Path, encrypted: bool) -> None:
    sender = somebody(site, tmp_path / "sender", "user")
    digests = files_of({"big": 300 * MIB}, 8, sender.work)
    words = ["send", "big.bin", "--link", "--via", "fs", *(["--encrypt", "--password-stdin"] if encrypted else [])]
    ran = sender(*words, timeout=120, stdin=PASSWORD + "\n" if encrypted else "")
    assert ran.code == 0, ran.said
    assert fetched(site, tmp_path, link_of(site, ran, ""), encrypted=encrypted) == digests
