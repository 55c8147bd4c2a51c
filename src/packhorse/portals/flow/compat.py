"""Our errors as the guide's recipes catch them: also ``requests.exceptions.HTTPError`` and ``ConnectionError``.

Both stay what they are (:class:`~packhorse.errors.PackhorseError`, with code and hint). requests is imported only
when an error is raised, and only if it is installed.
"""

from __future__ import annotations

import http.client
import importlib
import importlib.util
from typing import Any

from packhorse.errors import NetworkError, PackhorseError

__all__ = ["as_requests_error", "status_of"]


_made: dict[tuple[type[PackhorseError], str], type[PackhorseError]] = {}


def status_of(error: PackhorseError) -> int | None:
    """The HTTP status that an error stands for, if it stands for one."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def as_requests_error(error: PackhorseError, url: str = "") -> PackhorseError:
    """The same error, also of the class that requests would raise; the error itself where there is none."""
    status = status_of(error)
    if status is None and not isinstance(error, NetworkError):
        return error
    if importlib.util.find_spec("requests") is None:
        return error
    both = _joined(type(error), "HTTPError" if status is not None else "ConnectionError")
    # The two constructors want different things; the fields are what counts.
    twin: Any = both.__new__(both, *error.args)
    twin.__dict__.update(error.__dict__)
    twin.args = error.args
    twin.request = None
    twin.response = _response(status, url) if status is not None else None
    return twin  # type: ignore[no-any-return]


def _joined(ours: type[PackhorseError], theirs: str) -> type[PackhorseError]:
    if (ours, theirs) not in _made:
        _made[ours, theirs] = _join(ours, theirs)
    return _made[ours, theirs]


def _join(ours: type[PackhorseError], theirs: str) -> type[PackhorseError]:
    exceptions = importlib.import_module("requests.exceptions")
    base: type[Exception] = getattr(exceptions, theirs)

    def show(self: Any) -> str:  # OSError's own text would be its arguments
        return str(self.message)

    members = {
        "__module__": ours.__module__,
        "__doc__": ours.__doc__,
        "__qualname__": ours.__qualname__,
        "__str__": show,
    }
    return type(ours.__name__, (ours, base), members)


def _response(status: int, url: str) -> Any:
    response: Any = importlib.import_module("requests").Response()
    response.status_code = status
    response.reason = http.client.responses.get(status, "")
    response.url = url
    response._content = b""
    return response
