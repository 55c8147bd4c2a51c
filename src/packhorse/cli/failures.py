"""From any exception to what the command line says about it and exits with.

One function decides; no traceback is ever shown unless ``PACKHORSE_DEBUG`` is set, because a traceback may hold a
secret and never tells a researcher what to do next.
"""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass
from typing import Any

from packhorse.errors import (
    AuthenticationError,
    ExitCode,
    IntegrityError,
    PackhorseError,
    SpaceError,
)

__all__ = ["Failure", "explain"]

_OS_HINTS = {
    errno.EACCES: "choose a destination that you may write to, with --to DIR",
    errno.EPERM: "choose a destination that you may write to, with --to DIR",
    errno.EROFS: "the file system is mounted read-only; choose another destination with --to DIR",
    errno.ENOSPC: "free some space, then type the same command again: it goes on where it was",
    errno.EDQUOT: "your quota is used up; free some space, then type the same command again",
    errno.ENOENT: "check the spelling of the path",
    errno.ENAMETOOLONG: "choose a destination with a shorter path, with --to DIR",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What is said about an error. ``details`` are lines such as ``Expected`` and ``Got``."""

    code: str
    message: str
    exit_code: int = int(ExitCode.FAILED)
    hint: str = ""
    details: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields of the ``error`` object of ``--json``."""
        shown: dict[str, Any] = {"code": self.code, "message": self.message, "exit_code": self.exit_code}
        if self.hint:
            shown["hint"] = self.hint
        return {**dict(self.fields), **shown}


def explain(error: BaseException) -> Failure:
    """The failure that an exception is. Never raises."""
    if isinstance(error, PackhorseError):
        return _packhorse(error)
    if isinstance(error, KeyboardInterrupt):
        return Failure("interrupted", "interrupted", int(ExitCode.INTERRUPTED))
    if isinstance(error, OSError) and error.errno is not None:
        what = error.strerror or type(error).__name__
        where = f": {_text(error.filename)}" if error.filename else ""
        return Failure("os-error", f"{what}{where}", hint=_OS_HINTS.get(error.errno, ""))
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    return Failure(
        "internal",
        f"a bug in packhorse: {type(error).__name__}{_place(error)}",
        hint="PACKHORSE_DEBUG=1 before the same command shows where; look through its output before you pass it on",
    )


def _packhorse(error: PackhorseError) -> Failure:
    details: tuple[tuple[str, str], ...] = ()
    if isinstance(error, IntegrityError):
        details = (("Expected", error.expected), ("Got", error.got))
    elif isinstance(error, SpaceError) and "equired" not in error.message:
        details = (("Required", f"{error.required:,} bytes"), ("Available", f"{error.available:,} bytes"))
    hint = error.hint or ""
    if isinstance(error, AuthenticationError) and not hint:
        hint = "packhorse login REMOTE"
    fields = {key: value for key, value in error.as_dict().items() if key not in ("code", "message", "hint")}
    # the engine's message says Expected and Got in one line, for logs; on a terminal each has its own
    message = error.message.partition(" Expected:")[0] if details else error.message
    return Failure(error.code, message, int(error.exit_code), hint, details, tuple(fields.items()))


_EXTRA_OF = {
    "keyring": "keyring",
    "pyarrow": "tables",
    "pandas": "tables",
    "fsspec": "fs",
    "starlette": "server",
    "uvicorn": "server",
    "multipart": "server",
    "python_multipart": "server",
    "sqlalchemy": "server",
    "alembic": "server",
    "argon2": "server",
    "jwt": "server",
    "huey": "server",
    "obstore": "server",
    "openpyxl": "server",
    "jinja2": "server",
    "graphql": "server",
    "prometheus_client": "server",
    "distributed": "cluster",
    "rocrate": "receipts",
}


def _missing(error: ModuleNotFoundError) -> Failure:
    """A package of an extra that is not installed; anything else that is missing is a bug."""
    name = (error.name or "").partition(".")[0]
    extra = _EXTRA_OF.get(name)
    if extra is None:
        return Failure("internal", f"the Python package {name or '?'} is missing", hint="pip install packhorse")
    return Failure(
        "missing-extra",
        f"this needs the {extra!r} extra, which is not installed (no module {name})",
        int(ExitCode.USAGE),
        hint=f"pip install 'packhorse[{extra}]'",
    )


def _place(error: BaseException) -> str:
    """Where it was raised, inside our own source: the one fact that helps and cannot be a secret."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        _, found, inside = frame.filename.replace("\\", "/").rpartition("/packhorse/")
        if found:
            return f" at packhorse/{inside}:{frame.lineno}"
    return ""


def _text(name: Any) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
