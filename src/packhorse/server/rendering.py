"""Templates: pages and mails, escaped by default, with one set of headers for every page."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import jinja2
from starlette.responses import HTMLResponse

from packhorse import __version__
from packhorse.wire.words import count, size

__all__ = ["PAGE_HEADERS", "moment", "page", "render"]

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""No script at all, nothing from elsewhere; nobody may frame a page, and its address (with a token) goes nowhere
else. (With ``no-referrer`` browsers would hide the origin of our own forms from us.)"""


def moment(seconds: float) -> str:
    """A time for people everywhere.

    >>> moment(1796180661)
    '2 December 2026, 03:04 UTC'
    """
    when = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}, {when:%H:%M} UTC"


_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=jinja2.select_autoescape(("html",), default_for_string=True),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(size=size, moment=moment)
_templates.globals.update(version=__version__, count=count)
_templates.globals.update(site="Packhorse", user=None, auth_type="", security_token="", csrf_token="")


def render(template: str, **values: Any) -> str:
    """A template's text. Values are escaped in ``.html`` ones."""
    return _templates.get_template(template).render(values)


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page as an answer."""
    return HTMLResponse(render(template, **values), status, headers=PAGE_HEADERS)
