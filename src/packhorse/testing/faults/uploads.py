"""Faults of uploads: while the request's body comes, and in what is said about it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from packhorse.testing.faults.base import Fault, Stage
from packhorse.testing.faults.content import BytesFile
from packhorse.testing.faults.message import Ask, At, Intake, Reply


@dataclass(frozen=True)
class CutUpload(Fault):
    """Close the connection (FIN), or with ``reset`` reset it, after ``at`` bytes of the request's body."""

    at: At = 0.5
    reset: bool = False

    def intake(self, ask: Ask, stage: Stage) -> Intake | None:
        return Intake(self.at, "reset" if self.reset else "cut")


@dataclass(frozen=True)
class StallUpload(Fault):
    """Read nothing for ``seconds`` after ``at`` bytes of the request's body, then go on."""

    seconds: float
    at: At = 0.5

    def intake(self, ask: Ask, stage: Stage) -> Intake | None:
        return Intake(self.at, "on", self.seconds)


@dataclass(frozen=True)
class EarlyRefusal(Fault):
    """Answer after ``at`` bytes of the request's body, with ``Retry-After`` where ``wait`` is given, and close."""

    status: int = 503
    at: At = 0.1
    wait: int | None = None

    def intake(self, ask: Ask, stage: Stage) -> Intake | None:
        return Intake(self.at, "answer")

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        extra = (("Retry-After", str(self.wait)),) if self.wait is not None else ()
        if self.wait is not None:
            stage.hold(ask.name, self.wait)
        return Reply.error(self.status, None, *extra)


@dataclass(frozen=True)
class LostAnswer(Fault):
    """Do what was asked, and close without the answer: the acknowledgement is lost."""

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.drop = True


@dataclass(frozen=True)
class WrongCount(Fault):
    """Say of a part that ``by`` bytes more (or less) were written than came."""

    by: int = -1

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        if reply.status != 200:
            return
        try:
            said = json.loads(reply.content.read(reply.start, reply.stop))
        except ValueError:
            return
        if isinstance(said, dict) and isinstance(said.get("written"), int):
            body = json.dumps({**said, "written": said["written"] + self.by}).encode()
            reply.content, reply.start, reply.stop = BytesFile(body), 0, len(body)


@dataclass(frozen=True)
class EmptyError(Fault):
    """An error status with no body at all, as PHP's fatal errors; with ``done``, after doing what was asked."""

    status: int = 500
    done: bool = False

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        return None if self.done else Reply.of(self.status, b"", "text/html; charset=UTF-8")

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        if self.done and reply.status < 300:
            empty = Reply.of(self.status, b"", "text/html; charset=UTF-8")
            reply.status, reply.headers = empty.status, empty.headers
            reply.content, reply.start, reply.stop = empty.content, 0, 0
