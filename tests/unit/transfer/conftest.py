"""The engine ends with each module's tests, so that no thread or socket of it outlives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from packhorse.transfer.engine import Engine


@pytest.fixture(autouse=True, scope="module")
def engine_ends() -> Iterator[None]:
    yield
    Engine.shared().close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
