"""The documents against the program: no command, option, event or exit code that is not there, none left out."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from packhorse.cli.app import packhorse_command
from packhorse.errors import ExitCode
from packhorse.model import ProofLevel
from packhorse.transfer import events

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def reference() -> Any:
    spec = importlib.util.spec_from_file_location("docs_reference", ROOT / "docs/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "events.schema.json"])
def test_written_documents_are_up_to_date(name: str) -> None:
    made = reference().WRITTEN[name]()
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made, "run: python docs/reference.py"


def shell_lines() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for kind, body in FENCE.findall(document.read_text(encoding="utf-8")):
            if kind not in ("bash", "console"):
                continue
            for line in body.splitlines():
                if kind == "console" and not line.startswith("$ "):
                    continue
                quiet = re.sub(r"'[^']*'", lambda quoted: re.sub(r"[|;&(){}]", "_", quoted[0]), line)
                for part in re.split(r"\|\||&&|[|;]|(?<!\d)&(?!\d)|[(){}]", quiet.removeprefix("$ ").split(" #")[0]):
                    words = part.strip()
                    if words.startswith("packhorse"):
                        yield document.name, words


@pytest.mark.parametrize(("document", "line"), sorted(set(shell_lines())))
def test_every_command_in_the_documents_can_be_typed(document: str, line: str) -> None:
    words = [word for word in shlex.split(line) if not re.fullmatch(r"\d?[<>].*", word)][1:]
    words = [word for index, word in enumerate(words) if index == 0 or shlex.split(line)[index] not in ("<", ">")]
    command: click.Command = packhorse_command
    ctx = click.Context(command, info_name="packhorse")
    while isinstance(command, click.Group):
        options = [word for word in words if word.startswith("-")]
        if not words or words == options:
            return
        while words[0].startswith("-"):
            words.pop(0)
        found = command.get_command(ctx, words.pop(0))
        assert found is not None, f"{document}: {line}"
        command, ctx = found, click.Context(found, info_name=found.name, parent=ctx)
    bare = getattr(command, "bare", {})
    words = [f"{word}={bare[word][0]}" if word in bare else word for word in words]
    command.make_parser(ctx).parse_args(list(words))  # raises for an option that does not exist


def test_every_command_has_a_place_in_the_tour_or_the_guides() -> None:
    typed = {line.split()[1] for _, line in shell_lines() if len(line.split()) > 1}
    assert {"get", "ls", "info", "verify", "login", "whoami", "remote", "status", "serve", "server"} <= typed


def test_exit_codes_are_all_explained() -> None:
    rows = re.findall(r"^\| (\d+) \| ([a-z-]+) \|", (ROOT / "docs/exit-codes.md").read_text(), re.MULTILINE)
    assert {(int(code), name) for code, name in rows} == {(c.value, c.name.lower().replace("_", "-")) for c in ExitCode}


def test_proofs_are_all_explained() -> None:
    rows = re.findall(r"^\| `([a-z0-9]+)` \|", (ROOT / "docs/proofs.md").read_text(), re.MULTILINE)
    assert set(rows) == {level.value for level in ProofLevel}


def test_events_are_all_explained() -> None:
    page = (ROOT / "docs/events.md").read_text()
    explained = {
        name for cell in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`([a-z-]+)`", cell)
    }
    streamed = {
        str(kind.__struct_config__.tag)
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
    }
    printed: set[str] = set()
    for path in (ROOT / "src/packhorse/cli").rglob("*.py"):
        printed |= set(re.findall(r"\.data\(\s*\"([a-z-]+)\"", path.read_text()))
    assert streamed | printed <= explained, (streamed | printed) - explained


def test_every_python_block_compiles() -> None:
    for document in DOCUMENTS:
        for kind, body in FENCE.findall(document.read_text(encoding="utf-8")):
            if kind == "python":
                compile(body, document.name, "exec")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target
    for target in re.findall(r"\{doc\}`([a-z-]+)`", document.read_text(encoding="utf-8")):
        assert (ROOT / "docs" / f"{target}.md").exists(), target


def test_examples_compile() -> None:
    found = sorted((ROOT / "examples").glob("*.py"))
    assert found
    for path in found:
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
