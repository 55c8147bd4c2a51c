"""Sending when things go wrong: kill -9 at any moment, and a stand-in for a FileSender site with a wrong clock, empty
500s and pages where JSON belongs. What is said is one line, nothing is lost, nobody is mailed twice."""

from __future__ import annotations

import importlib.util
import random
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from packhorse.transfer.send import pending

from .test_send import CHUNK, data, letters, link_of, mailed_once, typist_at, write
from .typed import DemoServer, Typist, demo_server, one_error, wait_until

SEED = 77


def stand_in() -> ModuleType:
    """The fake FileSender of the portal's own tests."""
    path = Path(__file__).parents[1] / "unit/portals/filesender/fake.py"
    spec = importlib.util.spec_from_file_location("fake_filesender", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_filesender"] = module
    spec.loader.exec_module(module)
    return module


FAKE: Any = stand_in()


@pytest.fixture
def fake() -> Iterator[Any]:
    server = FAKE.FakeFileSender().start()
    yield server
    server.stop()


@pytest.fixture
def typist(fake: Any, tmp_path: Path) -> Typist:
    made = Typist(
        tmp_path / "owner", {"PACKHORSE_LAB_USERNAME": FAKE.USER, "PACKHORSE_LAB_APIKEY": FAKE.KEY}, secrets=[FAKE.KEY]
    )
    assert made("remote", "add", "lab", "filesender", fake.base).code == 0
    write(made, **{"a.txt": data(2500)})
    return made


def test_a_clock_that_is_off_by_an_hour_is_said_and_does_not_matter(fake: Any, typist: Typist) -> None:
    for ahead in (3600, -3600):
        fake.clock = ahead
        ran = typist("send", "a.txt", "--to", "ada@example.org")
        assert ran.code == 0, ran.said
        assert ran.err.count("warning: ") == 1, ran.err
        assert "clock" in ran.err
        doctor = typist("doctor")
        assert doctor.code == 1
        assert "clock, lab" in doctor.out
        way = "behind" if ahead > 0 else "ahead of"
        assert re.search(rf"(1 h 0 min|59 min 5\d s) {way} the server's", doctor.out), doctor.out
    assert [email for _, email in fake.mailed].count("ada@example.org") <= 2


def test_an_empty_500_at_the_beginning_is_one_line_and_leaves_nothing(fake: Any, typist: Typist) -> None:
    def before(call: Any) -> None:
        if call.method == "POST":
            raise FAKE.Fatal

    fake.before = before
    one_error(typist("send", "a.txt", "--to", "ada@example.org"), 1, "failed without a word (HTTP 500, empty answer)")
    assert len(fake.called("POST", "transfer")) == 1, "a creation is not repeated blindly"
    assert typist("status").out == "nothing is interrupted\n"


@pytest.mark.parametrize("where", ["chunk", "complete"])
def test_an_empty_500_in_the_middle_keeps_what_is_there(fake: Any, typist: Typist, where: str) -> None:
    def before(call: Any) -> None:
        if call.method == "PUT" and ("/chunk/19000" in call.path if where == "chunk" else "/transfer/" in call.path):
            raise FAKE.Fatal

    fake.before = before
    write(typist, **{"a.txt": data(19_500)})  # 20 chunks
    ran = typist("send", "a.txt", "--to", "ada@example.org", "--retries", "0", "--jobs", "1")
    one_error(ran, 1, "HTTP 500", "the same command goes on from here", "packhorse send --discard")
    assert fake.mailed == []
    assert "packhorse send a.txt --to ada@example.org --retries 0 --jobs 1" in typist("status").out
    fake.before = None
    first = [call.path for call in fake.called("PUT", "/chunk/")]
    ran = typist("send", "a.txt", "--to", "ada@example.org")
    assert ran.code == 0, ran.said
    second = [call.path for call in fake.called("PUT", "/chunk/")][len(first) :]
    # One connection: what was put before the refused part was answered, and is never put again.
    refused = next((path for path in first if "/chunk/19000" in path), None) if where == "chunk" else None
    answered = first[: first.index(refused)] if refused is not None else first
    assert len(answered) > 5
    assert not set(answered) & set(second), "what was there does not go again"
    assert len({*answered, *second}) == 20
    assert len(fake.called("POST", "transfer")) == 1


def test_a_web_page_where_the_api_should_be(typist: Typist, fake: Any) -> None:
    assert typist("remote", "add", "lab", "filesender", fake.base.removesuffix("/fs") + "/elsewhere").code == 0
    for words in (["send", "a.txt", "--link"], ["transfers"], ["whoami", "lab"]):
        ran = typist(*words)
        assert ran.code in (1, 4), ran.said
        assert "FileSender site" in ran.err, ran.err
    doctor = typist("doctor")
    assert "answers 404: no FileSender site" in doctor.out


def test_nobody_answers(typist: Typist) -> None:
    assert typist("remote", "add", "lab", "filesender", "http://127.0.0.1:9").code == 0
    one_error(typist("send", "a.txt", "--link", "--retries", "0"), 1, "hint: packhorse doctor")


# On a terminal.


def on_a_terminal(typist: Typist, words: list[str], answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Type words on a pseudo-terminal, answer what is asked, once it stands there; code and all that was shown."""
    import os
    import pty
    import select

    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(typist.work)
        os.execve(sys.executable, [sys.executable, "-m", "packhorse.cli", *words], typist.environ(TERM="xterm"))
    said, seen, left, until = "", 0, list(answers), time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([descriptor], [], [], 0.1)[0]:
            try:
                said += os.read(descriptor, 65536).decode(errors="replace")
            except OSError:  # the other side is closed
                break
        if left and left[0][0] in said[seen:]:
            seen = len(said)
            time.sleep(0.2)  # the echo is switched off right after the question
            os.write(descriptor, left.pop(0)[1].encode())
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(descriptor)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert not left, said
    return code, said


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_passwords_are_asked_for_on_a_terminal_and_not_shown(fake: Any, typist: Typist) -> None:
    good, bad = "correct horse battery", "not that one at all"
    code, said = on_a_terminal(
        typist,
        ["send", "a.txt", "--link", "--encrypt"],
        [("Password for the files", good + "\n"), ("Once more", good + "\n")],
    )
    assert code == 0, said
    link = re.search(r"http://\S+&token=[0-9a-f-]{36}", said)
    assert link is not None
    asked = "Password of"
    code, shown = on_a_terminal(typist, ["get", link[0], "d/"], [(asked, bad + "\n"), (asked, good + "\n")])
    assert code == 0, shown
    assert (typist.work / "d/a.txt").read_bytes() == data(2500)
    code, stopped = on_a_terminal(typist, ["get", link[0], "e/"], [(asked, "\x03")])
    assert code == 130, stopped
    assert "Traceback" not in said + shown + stopped
    assert good not in said + shown
    assert bad not in shown


# Killed at any moment.


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DemoServer, Path]]:
    folder = tmp_path_factory.mktemp("site")
    with demo_server(folder) as server:
        yield server, folder / "data" / "outbox"


def test_killed_at_any_moment_again_and_again_it_arrives_whole_and_is_mailed_once(
    site: tuple[DemoServer, Path], tmp_path: Path
) -> None:
    draw = random.Random(SEED)
    owner = typist_at(tmp_path / "owner", site[0], key=site[0].keys["demo"])
    nobody = Typist(tmp_path / "nobody")
    content = data(3 * CHUNK + 11)
    write(owner, **{"big.bin": content, "d__x.txt": b"x"})
    person = "once@example.org"
    kills = 0
    while kills < 6:
        with owner.start("send", "big.bin", "d", "--to", person, "--limit-rate", "12M") as process:
            wait_until(lambda: process.poll() is not None or bool(pending(owner.home / "state")), "the upload to begin")
            time.sleep(draw.random() * 0.8)
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            kills += 1
        if letters(site[1], person):
            break
    assert kills, "it was never interrupted"
    # Wherever it was killed, after the end too: the same command ends it, or shows what it ended.
    ran = owner("send", "big.bin", "d", "--to", person)
    assert ran.code == 0, ran.said
    link = link_of(ran)
    assert pending(owner.home / "state") == []
    mailed_once(site[1], person)
    assert len(owner("transfers", "--json").events("transfer")) == 1
    got = nobody("get", link, "got/")
    assert got.code == 0, got.said
    assert (nobody.work / "got/big.bin").read_bytes() == content
    assert (nobody.work / "got/d/x.txt").read_bytes() == b"x"
