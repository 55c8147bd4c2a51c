"""The README's tour is real: each command is typed against ``packhorse serve --demo`` and its output compared.

Numbers, times, rates and addresses may differ; words may not. ``PACKHORSE_WRITE_README=1`` writes the output into the
README instead.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
SOURCE = Path(__file__).parents[1] / "src"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
CUT_AT = 12 * 2**20


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A home of its own, ``packhorse`` on the path, and a demo server that runs."""
    script = tmp_path / "bin/packhorse"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{SOURCE}" exec "{sys.executable}" -m packhorse.cli "$@"\n')
    script.chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PACKHORSE_", "FLOW_"))}
    env = {
        **kept,
        "PATH": f"{script.parent}:{os.environ['PATH']}",
        "PACKHORSE_HOME": str(tmp_path / "home"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "no_proxy": "127.0.0.1",
    }
    command = [str(script), "serve", "--demo", "--port", "0", "--home", str(tmp_path / "server"), "--ready-json"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["url"].startswith("http://127.0.0.1:")
        deadline = time.monotonic() + 10  # the note for the demo remote is written right after that line
        while not (tmp_path / "home/state/demo-server.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        yield env
        server.terminate()
        server.wait(20)


def normal(text: str) -> list[str]:
    """The words of an output: what differs from run to run is replaced, columns are not counted."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "TOKEN", text)
    text = re.sub(r"/[^\s)']*/(work|results|downloads)\b", r"/…/\1", text)
    text = re.sub(r"\d[\d,.]*( ?(?:[KMGT]i?B/s|[KMGT]i?B|B|s|min|h)\b)?", "#", text)
    text = re.sub(r"# # #|# #", "#", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block with what the README says it prints."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def type_it(command: str, environ: dict[str, str], work: Path, *, cut: bool) -> str:
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}" if cut else command],
        env=environ, cwd=work, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        if cut:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if sum(path.stat().st_blocks * 512 for path in work.glob("downloads/*.part")) >= CUT_AT:
                    process.send_signal(signal.SIGINT)
                    break
                time.sleep(0.02)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == (130 if cut else 0), output
    return f"^C\n{output}" if cut else output


EXAMPLES = sorted((README.parent / "examples").glob("*.py"))


def test_the_examples_and_the_python_of_the_readme_run(environ: dict[str, str], tmp_path: Path) -> None:
    subprocess.run(["bash", "-c", "packhorse login demo"], env=environ, check=True, capture_output=True)
    twin = next(body for body in re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL))
    (tmp_path / "twin.py").write_text(twin)
    for number, path in enumerate([tmp_path / "twin.py", *EXAMPLES]):
        work = tmp_path / f"work{number}"
        work.mkdir()
        done = subprocess.run(
            [sys.executable, "-W", "error", str(path)],
            env={**environ, "PYTHONPATH": str(SOURCE)}, cwd=work, text=True, capture_output=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), f"{path.name}: {done.stderr}"
        assert "sha256" in done.stdout, path.name


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is missing: install coreutils")
def test_the_tour_prints_what_it_shows(environ: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    text = README.read_text(encoding="utf-8")
    write = bool(os.environ.get("PACKHORSE_WRITE_README"))
    blocks = BLOCK.findall(text)
    assert blocks
    for block in blocks:
        said = ""
        for command, expected in commands(block):
            output = type_it(command, environ, work, cut=expected.startswith("^C"))
            output = output.replace(f"{work}/", "").replace(f"{tmp_path}/home/state", "~/.local/state/packhorse")
            said += f"$ {command}\n{output.rstrip()}\n"
            if not write:
                assert normal(output) == normal(expected), f"$ {command}"
        text = text.replace(f"```console\n{block}```", f"```console\n{said}```", 1)
    if write:
        README.write_text(text, encoding="utf-8")
