"""A fake ImmPort and portals over it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from packhorse.net.settings import NetSettings
from packhorse.portals.context import PortalContext
from packhorse.portals.immport.portal import ImmPortPortal
from packhorse.settings import RemoteSettings
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Outcome, Want

from .fake import PASSWORD, USER, FakeImmPort

T = TypeVar("T")

SIGNED = {"PACKHORSE_LAB_USERNAME": USER, "PACKHORSE_LAB_PASSWORD": PASSWORD}


@pytest.fixture
def fake() -> Iterator[FakeImmPort]:
    server = FakeImmPort().start()
    yield server
    server.stop()


def on_engine(work: Coroutine[Any, Any, T]) -> T:
    return Engine.shared().run(work)


async def everything(iterator: Any) -> list[Any]:
    return [entry async for entry in iterator]


MakePortal = Callable[..., ImmPortPortal]


@pytest.fixture
def portal(fake: FakeImmPort, tmp_path: Path) -> MakePortal:
    """Makes a portal of a remote at the fake server; signed in by password unless ``environ`` says otherwise."""

    def make(
        environ: Mapping[str, str] | None = None, *, name: str = "lab", url: str = "", **context: Any
    ) -> ImmPortPortal:
        options = {"keyring": False, **context.pop("options", {})}
        made = PortalContext(
            remote=RemoteSettings(name, "immport", url or fake.base, options),
            network=Engine.shared().network(NetSettings()),
            environ={"HOME": str(tmp_path / "home"), "PATH": "", **(SIGNED if environ is None else environ)},
            state_dir=tmp_path / "state",
            **context,
        )
        return ImmPortPortal(made)

    return make


def fetch(lab: ImmPortPortal, path: str, folder: Path, *, events: list[Event] | None = None, **options: Any) -> Outcome:
    """Get a path of the portal through the engine."""

    async def work() -> Outcome:
        wants = [Want(item, lab) for item in await everything(lab.items(path))]
        tell = (lambda _: None) if events is None else events.append
        return await get(wants, folder, GetOptions(**options), lab.api.network, tell, pool=Engine.shared().pool)

    return on_engine(work())
