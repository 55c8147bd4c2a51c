"""What users meet before any work is done: start-up time, lazy imports, the public face, tested documents."""

from __future__ import annotations

import importlib
import os
import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import packhorse

ROOT = Path(__file__).parents[1]
HEAVY = (
    "rich",
    "pycurl",
    "asyncio",
    "cryptography",
    "starlette",
    "sqlalchemy",
    "pandas",
    "pyarrow",
    "keyring",
    "requests",
)


def cpu_seconds(*arguments: str) -> float:
    """User and system time of one interpreter, this process's children before it taken off."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def best(*arguments: str, runs: int = 7) -> float:
    """The least of several runs: what the program needs, without what else the machine was doing."""
    cpu_seconds(*arguments)  # byte code is written, files are cached
    return min(cpu_seconds(*arguments) for _ in range(runs))


def test_import_takes_at_most_50_ms() -> None:
    bare = best("-c", "pass")
    assert best("-c", "import packhorse") - bare <= 0.050


def test_help_takes_at_most_150_ms_of_cpu() -> None:
    assert best("-m", "packhorse.cli", "--help") <= 0.150


def loaded(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sorted(sys.modules))"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize("code", ["import packhorse", "from packhorse.cli import main; main(['--help'])"])
def test_start_up_imports_nothing_heavy(code: str) -> None:
    assert loaded(code).isdisjoint(HEAVY)


def test_a_listing_command_needs_no_rich() -> None:
    assert "rich" not in loaded("from packhorse.cli import main; main(['remote', 'list'])")


def test_nothing_is_read_from_the_environment_at_import() -> None:
    code = (
        "import os\n"
        "class Told(dict):\n"
        "    def get(self, k, d=None):\n        asked.append(k); return super().get(k, d)\n"
        "    def __getitem__(self, k):\n        asked.append(k); return super().__getitem__(k)\n"
        "asked = []\nos.environ = Told(os.environ)\n"
        "import packhorse, packhorse.model, packhorse.errors, packhorse.settings\n"
        "assert not [k for k in asked if 'PACKHORSE' in k or 'FLOW' in k], asked\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def modules() -> list[str]:
    found = []
    for path in sorted((ROOT / "src/packhorse").rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        if "versions" in parts or parts[-1] in ("__main__", "env"):  # scripts, and alembic's own files
            continue
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


@pytest.mark.parametrize("name", modules())
def test_public_members_exist(name: str) -> None:
    module = importlib.import_module(name)
    for member in getattr(module, "__all__", ()):
        assert hasattr(module, member), f"{name}.__all__ names {member}"


@pytest.mark.parametrize("name", [name for name in modules() if not name.rpartition(".")[2].startswith("_")])
def test_every_module_says_what_it_is(name: str) -> None:
    text = importlib.import_module(name).__doc__
    assert text
    assert text.strip(), name


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == packhorse.__version__
    assert f"## [{packhorse.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_make_target_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), ROOT / ".ci/run"]:
        named = set(re.findall(r"(?:`|^|\n)make ([a-z-]+)", document.read_text()))
        assert named <= targets, f"{document.name} names {named - targets}"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no make on Windows; see CONTRIBUTING.md")
def test_make_sets_up_with_an_interpreter_that_is_new_enough(tmp_path: Path) -> None:
    """An old python3 first on the path is passed over, and where there is none at all the message says what to do."""
    old = tmp_path / "bin"
    old.mkdir()
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        (old / name).write_text("#!/bin/sh\nexit 1\n")
        (old / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{old}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["make", "-C", str(ROOT), "demo", f"VENV={tmp_path / 'venv'}", "PYTHON="],
        check=False, env=environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "needs Python 3.11" in done.stderr
    assert not (tmp_path / "venv").exists()
