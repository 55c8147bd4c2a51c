"""A command line over a session that is a stand-in, in one process."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from packhorse.cli.app import run
from packhorse.cli.context import State
from packhorse.cli.output import Output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class FakeSession:
    """Does what each test tells it: attributes are functions or values. It counts how often it was closed."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.closed = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.answers:
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            answer = self.answers[name]
            if isinstance(answer, BaseException):
                raise answer
            return answer(*args, **kwargs) if callable(answer) else answer

        return call

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKHORSE_HOME", str(tmp_path / "packhorse-home"))
    for name in ("PACKHORSE_CONFIG", "PACKHORSE_STATE", "PACKHORSE_DEBUG", "FLOW_API_URL", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def packhorse() -> Callable[..., Ran]:
    def call(*arguments: str, terminal: bool = False, session: Any = None) -> Ran:
        kind = Terminal if terminal else io.StringIO
        out, err = kind(), kind()
        state = LateOutput(arguments, session=session or FakeSession(), streams=(out, err))
        code = run(list(arguments), state=state)
        return Ran(code, out.getvalue(), err.getvalue())

    return call


class LateOutput(State):
    """A state whose output writes to buffers, with the mode that the options asked for."""

    def __init__(self, arguments: Any, *, session: Any, streams: tuple[Any, Any]) -> None:
        super().__init__(arguments, session=session)
        self.streams = streams

    @property
    def output(self) -> Output:
        if self.made_output is None:
            mode = "json" if "--json" in self.arguments and self.mode == "human" else self.mode
            self.made_output = Output(mode, progress=self.progress, out=self.streams[0], err=self.streams[1])
        return self.made_output
