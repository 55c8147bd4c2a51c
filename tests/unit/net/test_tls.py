"""Finding the trusted certificates."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from packhorse.net.tls import find_ca_bundle, uses_native_store


def test_the_first_file_that_is_there(tmp_path: Path) -> None:
    there, later = tmp_path / "ca.pem", tmp_path / "later.pem"
    there.touch()
    later.touch()
    assert find_ca_bundle((str(tmp_path / "no.pem"), str(tmp_path), str(there), str(later))) == there


def test_certifi_where_the_system_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("certifi")
    module.where = lambda: str(tmp_path / "certifi.pem")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "certifi", module)
    assert find_ca_bundle(()) == tmp_path / "certifi.pem"
    monkeypatch.setitem(sys.modules, "certifi", None)
    assert find_ca_bundle(()) is None


def test_native_stores() -> None:
    assert [uses_native_store(name) for name in ("linux", "win32", "darwin", "freebsd14")] == [
        False,
        True,
        True,
        False,
    ]
