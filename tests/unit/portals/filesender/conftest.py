"""A fake FileSender server and portals over it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from packhorse.net.settings import NetSettings
from packhorse.portals.context import PortalContext
from packhorse.portals.filesender.portal import FileSenderPortal
from packhorse.settings import RemoteSettings
from packhorse.transfer.engine import Engine

from .fake import KEY, USER, FakeFileSender

T = TypeVar("T")

SIGNED = {"PACKHORSE_LAB_USERNAME": USER, "PACKHORSE_LAB_APIKEY": KEY}


@pytest.fixture
def fake() -> Iterator[FakeFileSender]:
    server = FakeFileSender().start()
    yield server
    server.stop()


def on_engine(work: Coroutine[Any, Any, T]) -> T:
    return Engine.shared().run(work)


async def everything(iterator: Any) -> list[Any]:
    return [entry async for entry in iterator]


MakePortal = Callable[..., FileSenderPortal]


@pytest.fixture
def portal(fake: FakeFileSender, tmp_path: Path) -> MakePortal:
    """Makes a portal of a remote at the fake server; signed in as its user unless ``environ`` says otherwise."""

    def make(
        environ: Mapping[str, str] | None = None, *, name: str = "lab", url: str = "", **context: Any
    ) -> FileSenderPortal:
        options = {"keyring": False, **context.pop("options", {})}
        made = PortalContext(
            remote=RemoteSettings(name, "filesender", url or fake.base, options),
            network=Engine.shared().network(NetSettings()),
            environ={"HOME": str(tmp_path / "home"), **(SIGNED if environ is None else environ)},
            state_dir=tmp_path / "state",
            **context,
        )
        return FileSenderPortal(made)

    return make
