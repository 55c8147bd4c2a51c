"""What a fault is: a small frozen dataclass that changes the file, the answer, or the way either is sent.

``at`` is a place in the *response body* (see `packhorse.testing.faults.message.At`). A fault that cannot apply to an
answer (a wrong offset where no range was asked) leaves it alone, and the log does not name it.
"""

from __future__ import annotations

from typing import Protocol

from packhorse.testing.faults.answers import Entity
from packhorse.testing.faults.content import Content
from packhorse.testing.faults.message import Ask, Intake, Reply


class Stage(Protocol):
    """What a fault may ask of the server."""

    def origin_url(self, origin: str) -> str:
        """The base URL of ``main`` or ``other``."""

    def replace(self, path: str, content: Content | None) -> Entity:
        """Give a path a new version, and other content if given; return what it is now."""

    def revoke(self, authorization: str | None) -> None:
        """Answer 401 from now on to requests that carry this Authorization."""

    def refuse(self, seconds: float) -> None:
        """Stop listening for so long."""

    def hold(self, path: str, seconds: float, origin: str = "main") -> None:
        """Note that no request for this path should come before so many seconds have passed."""

    def count(self) -> int:
        """A number that rises with every call."""


class Fault:
    """Base of all faults; each does its work in one or more of these four places, called in this order."""

    def intake(self, ask: Ask, stage: Stage) -> Intake | None:
        """Say how the request's body is taken; ``ask`` has none yet."""

    def entity(self, entity: Entity, ask: Ask, stage: Stage) -> None:
        """Change the file that this request sees."""

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        """Answer in place of the file."""

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        """Change the answer."""
