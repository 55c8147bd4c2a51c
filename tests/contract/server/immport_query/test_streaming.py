"""Long answers: what ends them early, and that nothing stays open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from packhorse.server.api.immport.rows import RowsAnswer

from .conftest import Site

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


class Pieces:
    """An answer's pieces that say whether they were closed, and whose session was used."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.closed = False
        self.made = 0
        self.session: Session | None = None
        self._fails_after = fails_after

    def __call__(self, session: Session) -> Iterator[bytes]:
        self.session = session
        session.execute(text("SELECT 1"))
        try:
            while True:
                if self.made == self._fails_after:
                    raise RuntimeError("the database went away")
                self.made += 1
                yield b"x" * 1000
        finally:
            self.closed = True


def _run(site: Site, pieces: Pieces, leave_after: int) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def main() -> None:
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if len(sent) > leave_after:
                left.set()
            await asyncio.sleep(0)

        await RowsAnswer(site.database, "application/json", pieces)(SCOPE, receive, send)  # type: ignore[arg-type]

    asyncio.run(main())
    return sent


def test_a_client_that_leaves_ends_the_query(site: Site) -> None:
    pieces = Pieces()
    sent = _run(site, pieces, leave_after=5)
    assert 5 <= pieces.made < 50
    assert pieces.closed
    assert pieces.session is not None
    assert not pieces.session.in_transaction()
    assert sent[-1]["more_body"]  # nothing told the client that this was all


@pytest.mark.parametrize("after", [0, 3])
def test_what_fails_is_never_a_whole_answer(site: Site, after: int) -> None:
    pieces = Pieces(fails_after=after)
    with pytest.raises(RuntimeError):
        _run(site, pieces, leave_after=100)
    assert pieces.closed
    assert pieces.session is not None
    assert not pieces.session.in_transaction()
