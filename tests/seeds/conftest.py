"""A server of our own with its demo data, and programs made of the guide's text run against it as a user runs them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .guide import Example, document, examples


@dataclass(frozen=True)
class Demo:
    """``base`` is the API's base, ``users`` the passwords by name, ``keys`` FileSender's API keys."""

    base: str
    users: Mapping[str, str]
    home: Path
    keys: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def serving(home: Path, *options: str) -> Iterator[Demo]:
    argv = [sys.executable, "-m", "packhorse.server.run", "--demo", "--ready-json", "--port", "0", "--home", str(home)]
    with (home.parent / f"{home.name}.log").open("wb") as log:
        process = subprocess.Popen([*argv, *options], stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            passwords = {user["username"]: user["password"] for user in ready["users"]}
            keys = {user["username"]: user.get("filesender_api_key", "") for user in ready["users"]}
            yield Demo(f"{ready['url']}/api", passwords, home, keys)
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.close()
            process.wait(timeout=20)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with serving(tmp_path_factory.mktemp("server") / "home") as running:
        yield running


@pytest.fixture(scope="session")
def short_lived(tmp_path_factory: pytest.TempPathFactory, demo: Demo) -> Iterator[Demo]:
    """A server whose access tokens live for two seconds."""
    with serving(tmp_path_factory.mktemp("short") / "home", "--token-seconds", "2") as running:
        yield running


@pytest.fixture(scope="session")
def guide() -> dict[str, Example]:
    path = document()
    if path is None:
        pytest.skip("the guide's text is not here: put it beside the checkout as ../shared/seeds/003_….txt")
    return examples(path.read_text(encoding="utf-8"))


@pytest.fixture
def environ(tmp_path: Path, demo: Demo) -> dict[str, str]:
    """What a user's programs see: our package, the server's base, a home of their own, no keyring."""
    import packhorse

    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(packhorse.__file__).parents[1]),
        "HOME": str(tmp_path / "home"),
        "PACKHORSE_HOME": str(tmp_path / "packhorse"),
        "FLOW_API_URL": demo.base,
        "PYTHONIOENCODING": "utf-8",
    }


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path, environ: dict[str, str]) -> Run:
    """Write a program and run it in a folder of its own; it must end well, unless ``fails``."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run_program(text: str, *, argv: tuple[str, ...] = (sys.executable,), **extra: str) -> object:
        program = tmp_path / "program"
        program.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [*argv, str(program)],
            cwd=folder,
            env={**environ, **extra},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run_program  # type: ignore[return-value]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder that programs run in."""
    return tmp_path / "work"


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()
