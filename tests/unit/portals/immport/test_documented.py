"""The documented names of ImmPort's Python page: compared with the page's own text, and used without their faults."""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import packhorse.portals.immport as documented
from packhorse.portals.immport import compat

from .fake import PASSWORD, USER, FakeImmPort
from .standin import standin

SEEDS = Path(__file__).parents[5] / "shared" / "seeds"
PATH = "SDY1/ResultFiles/Flow_cytometry_result/02054141.001.52628.fcs"
DATA = hashlib.shake_256(b"fcs").digest(242048)


def the_page() -> ast.Module:
    found = sorted(SEEDS.glob("001_*.txt"))
    if not found:
        pytest.skip("the page is not here")
    block = re.search(r"``` python\n(.*?)```", found[0].read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return ast.parse(textwrap.dedent(block[1]))


def test_the_names_are_those_of_the_page() -> None:
    page = the_page()
    functions = {node.name: node for node in page.body if isinstance(node, ast.FunctionDef)}
    assert len(functions) == 3
    for name, node in functions.items():
        ours = inspect.signature(getattr(documented, name))
        assert list(ours.parameters) == [argument.arg for argument in node.args.args]
        assert all(parameter.default is inspect.Parameter.empty for parameter in ours.parameters.values())
    constants: dict[str, str] = {}
    for node in page.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            code = compile(ast.Expression(node.value), "page", "eval")
            constants[node.targets[0].id] = eval(code, {}, constants)
    assert len(constants) == 8
    assert {name: getattr(documented, name) for name in constants} == constants
    assert constants == compat.DEFAULTS
    words = {node.value for node in ast.walk(page) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    said = {word for word in words if word.startswith("ERROR:")}
    assert len(said) == 3
    source = inspect.getsource(compat)
    for word in said:
        assert word.removeprefix("ERROR: ").strip() in source


@pytest.fixture
def page(fake: FakeImmPort, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The documented module with its constants at the fake server."""
    monkeypatch.setenv("PACKHORSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(documented, "API_ENDPOINT_BASE_URL", fake.base)
    monkeypatch.setattr(documented, "IMMPORT_TOKEN_URL", f"{fake.base}/auth/token")
    monkeypatch.setattr(documented, "ASPERA_BIN_DIR", str(tmp_path / "cli/bin"))
    monkeypatch.setattr(documented, "ASPERA_SERVER", "127.0.0.1")
    fake.add(PATH, DATA)
    yield documented
    compat._portals.clear()


@pytest.mark.parametrize("member", ["token", "access_token"])
def test_tokens(page: Any, fake: FakeImmPort, member: str) -> None:
    fake.member = member
    token = page.request_immport_token(USER, PASSWORD)
    assert token in fake.tokens
    assert page.request_immport_token(USER, "wrong") is None
    aspera = page.request_aspera_token(PATH, token)
    assert aspera in fake.aspera_tokens
    assert page.request_aspera_token('SDY1/"x"', token) is None
    assert page.request_aspera_token(PATH, "wrong") is None


def test_a_download_by_https(page: Any, fake: FakeImmPort, tmp_path: Path) -> None:
    out = tmp_path / "out put; $(touch x)"
    for _ in range(2):
        assert page.api_file_download(USER, PASSWORD, f"/{PATH}", str(out)) == "Success"
    assert (out / "02054141.001.52628.fcs").read_bytes() == DATA
    assert len(fake.called("/auth/token")) == 1
    assert len([call for call in fake.store_calls if "range" in call.headers or call]) == 1
    assert page.api_file_download(USER, PASSWORD, "SDY1/ResultFiles", str(out)) == "Success"
    assert (out / "ResultFiles/Flow_cytometry_result/02054141.001.52628.fcs").exists()


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")
@pytest.mark.parametrize("generation", [1, 3])
def test_a_download_by_the_ascp_of_the_documented_folder(
    page: Any, fake: FakeImmPort, tmp_path: Path, generation: int, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.generation = generation
    source = tmp_path / "source"
    (source / PATH).parent.mkdir(parents=True)
    (source / PATH).write_bytes(DATA)
    standin(tmp_path / "cli/bin/linux", source)
    standin(tmp_path / "cli/bin/osx", source)
    assert page.api_file_download(USER, PASSWORD, PATH, str(tmp_path / "out")) == "Success"
    assert (tmp_path / "out/02054141.001.52628.fcs").read_bytes() == DATA
    assert fake.store_calls == []
    standin(tmp_path / "cli/bin/linux", source, "wrong")
    standin(tmp_path / "cli/bin/osx", source, "short")
    (tmp_path / "out/02054141.001.52628.fcs").unlink()
    said = page.api_file_download(USER, PASSWORD, PATH, str(tmp_path / "out"))
    if generation == 3:
        assert said is None
        assert "ERROR: " in capsys.readouterr().out
        assert not list((tmp_path / "out").glob("*.fcs"))


def test_the_documented_errors(
    page: Any, fake: FakeImmPort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert page.api_file_download(USER, "wrong", PATH, str(tmp_path)) is None
    assert page.api_file_download(USER, PASSWORD, "SDY1/none.fcs", str(tmp_path)) is None
    assert page.api_file_download(USER, PASSWORD, "SDY1/'; touch x; '", str(tmp_path)) is None
    assert capsys.readouterr().out.splitlines() == [
        "ERROR: Credentials incorrect for ImmPort, unable to retrieve token",
        "ERROR: Unable to obtain Aspera token",
        "ERROR: Unable to obtain Aspera token",
    ]
    fake.files[next(iter(fake.files))].restricted = True
    assert page.api_file_download(USER, PASSWORD, PATH, str(tmp_path)) is None
    assert "restricted" in capsys.readouterr().out


def test_an_unknown_system(
    page: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    assert page.api_file_download(USER, PASSWORD, PATH, str(tmp_path)) is None
    assert capsys.readouterr().out == "ERROR: Unsupported operatin system: Plan9\n"
