"""The command line typed in processes of its own, and the servers it is typed against."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from packhorse.transfer.status import interrupted

ROOT = Path(__file__).resolve().parents[2]
CLI = (sys.executable, "-m", "packhorse.cli")
MIB = 1 << 20
NOBODY = 65534


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The lines of ``--json``."""
        return [json.loads(line) for line in self.out.splitlines()]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.objects if line.get("event") == kind]


@dataclass
class Typist:
    """Types commands in ``work``, with a home of its own below ``folder``. ``secrets`` must never be seen."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def environ(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PACKHORSE_", "FLOW_"))}
        own = {
            "PYTHONPATH": str(ROOT / "src"),
            "PACKHORSE_HOME": str(self.home),
            "HOME": str(self.home),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "no_proxy": "127.0.0.1",
            "PYTHONWARNINGS": "error",
        }
        return {**kept, **own, **self.variables, **more}

    def start(
        self, *arguments: str, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None, **how: Any
    ) -> Popen:
        """Type it, and do not wait. Use it as a context manager, so that the pipes are closed."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": self.work}
        return subprocess.Popen(
            [*prefix, *CLI, *arguments], env=self.environ(**(env or {})), text=True, **{**streams, **how}
        )

    def __call__(self, *arguments: str, timeout: float = 60, stdin: str = "", **how: Any) -> Ran:
        """Type it, and wait for its end. No traceback and no secret in what it says, whatever it is."""
        with self.start(*arguments, stdin=subprocess.PIPE, **how) as process:
            return self.end(process, timeout, stdin)

    def end(self, process: Popen, timeout: float = 60, stdin: str = "") -> Ran:
        """Wait for the end of what was started."""
        try:
            out, err = process.communicate(stdin if process.stdin else None, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"did not end within {timeout} s:\n{out}\n{err}")
        ran = Ran(process.returncode, out or "", err or "")
        assert "Traceback" not in ran.said, ran.said
        assert "a bug in packhorse" not in ran.said, ran.said
        assert "Warning" not in ran.said, ran.said
        for secret in self.secrets:
            assert secret not in ran.said, f"a secret was shown: {ran.said}"
        return ran

    def names(self, folder: str = "d") -> list[str]:
        """The files of a destination, without the ledger."""
        base = self.work / folder
        found = (path.relative_to(base) for path in base.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in found if path.parts[0] != ".packhorse")

    def held(self, name: str = "", folder: str = "d") -> int:
        """What the journals in a destination say is held, in bytes: of one file, or of all."""
        return sum(one.held for one in interrupted(self.work / folder) if name in ("", one.target.name))

    def no_secret_on_disk(self) -> None:
        """Secrets are only in files that nobody else can read, below the state directory."""
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 4 * MIB:
                content = path.read_bytes()
                if any(secret.encode() in content for secret in self.secrets):
                    assert path.is_relative_to(self.home / "state" / "credentials"), f"a secret is in {path}"
                    assert path.stat().st_mode & 0o077 == 0, f"others can read {path}"


Popen = subprocess.Popen[str]


def one_error(ran: Ran, code: int, *words: str) -> None:
    """One clear line, what to do or type next, nothing on standard output, and this exit code."""
    assert ran.code == code, ran.said
    assert ran.out == "", ran.out
    first, *rest = ran.err.splitlines()
    assert first.startswith("error: "), ran.err
    assert len(first) < 400, first
    assert sum(line.startswith("error: ") for line in ran.err.splitlines()) == 1, ran.err
    assert any(line.startswith("hint: ") and len(line) > 10 for line in rest), ran.err
    for word in words:
        assert word in ran.err, ran.err


def wait_until(holds: Callable[[], Any], what: str, limit: float = 30.0, every: float = 0.01) -> None:
    """Wait until something holds."""
    until = time.monotonic() + limit
    while not holds():
        if time.monotonic() > until:
            pytest.fail(f"not within {limit} s: {what}")
        time.sleep(every)


@dataclass(frozen=True)
class DemoServer:
    """``packhorse serve --demo``, running."""

    url: str
    passwords: dict[str, str]
    keys: dict[str, str]
    pid: int

    @property
    def api(self) -> str:
        return f"{self.url}/api"


@contextmanager
def demo_server(folder: Path) -> Iterator[DemoServer]:
    """The embedded server with its demo data, as users start it."""
    typist = Typist(folder)
    with typist.start(
        "serve", "--demo", "--port", "0", "--home", str(folder / "data"), "--ready-json", stderr=subprocess.DEVNULL
    ) as process:
        timer = threading.Timer(120, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
        finally:
            timer.cancel()
        assert line, "the demo server did not start"
        ready = json.loads(line)
        users = {user["username"]: user for user in ready["users"]}
        try:
            yield DemoServer(
                ready["url"],
                {name: user["password"] for name, user in users.items()},
                {name: user["filesender_api_key"] for name, user in users.items()},
                process.pid,
            )
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                pytest.fail("the demo server did not end within 20 s of SIGTERM")


def as_nobody(typist: Typist) -> list[str]:
    """A prefix that runs the command as an unprivileged user; empty where we are one. Root may read everything."""
    if os.name != "posix":
        pytest.skip("users and modes are a POSIX matter")
    if os.geteuid() != 0:
        return []
    tool = shutil.which("setpriv")
    if tool is None:
        pytest.skip("setpriv is missing: apt install util-linux")
    prefix = [tool, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    typist.home.mkdir(exist_ok=True)
    for path in (typist.home, *typist.home.rglob("*"), typist.work):
        os.chown(path, NOBODY, NOBODY)
    for path in (typist.folder, *typist.folder.parents):  # pytest's folders are closed to others
        state = path.stat()
        if state.st_uid == 0 and not state.st_mode & 0o001:
            path.chmod(state.st_mode | 0o011)
    done = subprocess.run(
        [*prefix, *CLI, "--version"], env=typist.environ(), cwd="/", capture_output=True, timeout=60, check=False
    )
    if done.returncode != 0:
        pytest.skip("another user cannot run this Python: put it where others can read it")
    return prefix


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A tmpfs of this size at ``place``."""
    place.mkdir(parents=True)
    mount = shutil.which("mount")
    if mount is None or os.name != "posix" or os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root, with mount from util-linux")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("mounting is not allowed here: run as root outside a restricted container")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True, timeout=30)
