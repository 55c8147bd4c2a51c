"""The two examples of FileSender's Python API page run against our server.

Of the text only import, host, credentials and token are substituted, and the quotation mark that the second example
lost on its way is put back.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from packhorse.portals import filesender
from packhorse.portals.filesender import FileSenderClient, GuestAuth, UserAuth
from packhorse.session import Session
from packhorse.settings import Settings

from .conftest import Demo, Run

HOST = "https://filesender.aarnet.edu.au"
DATA = {"my_data.r1.fastq": b"@read1\nACGT\n+\nIIII\n" * 4000, "my_data.r2.fastq": b""}


@pytest.fixture(scope="module")
def text() -> str:
    root = Path(__file__).resolve().parents[2]
    found = sorted((root.parent / "shared" / "seeds").glob("004*.txt"))
    if not found:
        pytest.skip("the document is not here: put it beside the checkout as ../shared/seeds/004_….txt")
    return found[0].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def programs(text: str) -> dict[str, str]:
    """Both programs by the line above them."""
    found = re.findall(
        r"^(Upload|Download)\n\n(from filesender import .*?^    run\(main\(\)\)\n)", text, re.MULTILINE | re.DOTALL
    )
    assert [name for name, _ in found] == ["Upload", "Download"]
    return dict(found)


def substituted(program: str, **values: str) -> str:
    assert "from filesender import UserAuth, FileSenderClient" in program
    program = program.replace("from filesender import", "from packhorse.portals.filesender import")
    program = re.sub(rf'(base_url="{re.escape(HOST)})(\n)', r'\1"\2', program)  # the lost quotation mark
    for name, value in {"base_url": values.pop("base_url"), **values}.items():
        program, count = re.subn(rf'{name}="[^"]*"', f'{name}="{value}"', program)
        assert count == 1, name
    return program


def test_the_examples_run(
    programs: dict[str, str], demo: Demo, run: Run, work: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    site = demo.base.removesuffix("/api")
    for name, data in DATA.items():
        (work / name).write_bytes(data)
    run(substituted(programs["Upload"], base_url=site, api_key=demo.keys["demo"], username="demo"))

    settings = Settings.load({"PACKHORSE_HOME": str(tmp_path / "own"), "HOME": str(tmp_path / "own")})
    settings = settings.add_remote("lab", "filesender", site)
    environment = {**settings.environ, "PACKHORSE_LAB_USERNAME": "demo", "PACKHORSE_LAB_APIKEY": demo.keys["demo"]}
    with Session(Settings.load(environment)) as session:
        newest = session.ls("lab:transfers")[0]
        recipients = newest.details["recipients"]
    assert [recipient["email"] for recipient in recipients] == ["them@organisation.edu.au"]

    run(substituted(programs["Download"], base_url=site, token=recipients[0]["token"]))
    for name, data in DATA.items():
        assert (tmp_path / "home" / "Downloads" / name).read_bytes() == data


def test_a_dead_token_is_one_clear_line(
    programs: dict[str, str], demo: Demo, work: Path, environ: Any, run: Run
) -> None:
    program = substituted(
        programs["Download"], base_url=demo.base.removesuffix("/api"), token="00000000-1111-2222-3333-444444444444"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=work, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    assert "nothing is behind this link" in ran.stderr.splitlines()[-1]


def documented(text: str) -> dict[str, tuple[str, list[str]]]:
    """Every signature of the page: its return, and its parameters as written."""
    text = text.partition("\nfilesender.FileSenderClient\n")[2]
    found: dict[str, tuple[str, list[str]]] = {}
    for name, inner, returns in re.findall(
        r"^(\w+)\(([^()]*(?:\([^()]*\)[^()]*)*)\)(?: -> (\w+))?$", text, re.MULTILINE
    ):
        parts = re.split(r",\s*(?![^\[]*\])", inner.strip().rstrip(","))
        found[name] = (returns, [" ".join(part.split()) for part in parts if part])
    return found


def written(function: Callable[..., Any]) -> list[str]:
    """A signature as the page writes it."""
    rows = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        row = f"{parameter.name}: {parameter.annotation}"
        if parameter.default is not inspect.Parameter.empty:
            shown = "Auth()" if isinstance(parameter.default, filesender.Auth) else repr(parameter.default)
            row += f" = {shown}"
        rows.append(row)
    return rows


def test_every_signature_is_that_of_the_page(text: str) -> None:
    page = documented(text)
    assert page.pop("Auth") == ("", []), "the default value, in the table of parameters"
    assert len(page) == 14
    for name, (returns, parameters) in page.items():
        owner = {"FileSenderClient": FileSenderClient, "UserAuth": UserAuth, "GuestAuth": GuestAuth}.get(name)
        if owner is None:
            method = getattr(FileSenderClient, name)
            assert inspect.iscoroutinefunction(method), name
            assert inspect.signature(method).return_annotation == returns, name
            assert written(method) == parameters, name
        elif owner is GuestAuth:  # ours is written in today's form of the same type
            assert [row.replace("str | None", "Optional[str]") for row in written(owner)] == parameters
        else:
            assert written(owner) == parameters, name


def test_the_client_may_be_used_from_one_loop_after_another(demo: Demo, tmp_path: Path) -> None:
    client = FileSenderClient(demo.base.removesuffix("/api"))
    assert asyncio.run(client.get_server_info())["upload_chunk_size"] > 0
    assert asyncio.run(client.get_server_info())["upload_chunk_size"] > 0
