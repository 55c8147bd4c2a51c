"""Files to send, and a store that takes them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from packhorse.testing.faults import FaultServer, PartStore, Rule, Schedule
from packhorse.testing.faults.base import Fault
from packhorse.transfer.outgoing import LocalFile
from packhorse.transfer.send import gather

Serve = Callable[..., FaultServer]


@pytest.fixture
def store() -> PartStore:
    return PartStore()


@pytest.fixture
def serve(store: PartStore) -> Serve:
    """A server of ``store`` with rules for PUTs; a bare fault happens to the first PUT of a part."""

    def start(*faults: Fault | Rule, tokens: object = None) -> FaultServer:
        rules = [one if isinstance(one, Rule) else Rule(one, path="/uploads/*/*/*", method="PUT") for one in faults]
        return FaultServer({}, Schedule(tuple(rules)), store=store, tokens=tokens)  # type: ignore[arg-type]

    return start


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., list[LocalFile]]:
    """Files of these sizes, of bytes that never repeat."""

    def make(**sizes: int) -> list[LocalFile]:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for name, size in sizes.items():
            (folder / name).write_bytes(random.Random(f"{name}{size}").randbytes(size))
        return gather([folder])

    return make
