"""Browser pages below ``/auth``: who has signed in in this browser, and forms that only our own pages can send.

The session's cookie is ``HttpOnly`` and ``SameSite=Lax``: it comes along when another site sends somebody here (an
authorization request), and never with a form of another site. Forms carry a token of the session; before there is one,
a token that is sealed to a cookie of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from packhorse.server.api.core import Home
from packhorse.server.api.filesender import guest_session
from packhorse.server.api.immport.core import Refusal, base_of
from packhorse.server.api.immport.forms import read_form
from packhorse.server.db.filesender import Visit
from packhorse.server.db.models import User
from packhorse.server.rendering import PAGE_HEADERS, page

__all__ = ["Visitor", "browser_page", "sign_in", "sign_out"]

_SESSION: Final = "packhorse_auth"
_FORM: Final = "packhorse_form"
_ABOUT: Final = "sign-in form"
_SECONDS: Final = 8 * 3600


@dataclass(frozen=True, slots=True)
class Visitor:
    """One request for a page. ``form`` is what a POST sent, proven to come from a page of ours; ``user`` is who has
    signed in in this browser."""

    home: Home
    session: Session
    request: Request
    base: str
    visit: Visit | None
    user: User | None
    form: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def secure(self) -> bool:
        return self.home.config.secure

    def field(self, name: str) -> str:
        """A field of the form; empty when it is missing."""
        return (self.form.get(name) or [""])[-1]

    def query(self) -> dict[str, list[str]]:
        """The parameters of the address."""
        found: dict[str, list[str]] = {}
        for name, value in self.request.query_params.multi_items():
            found.setdefault(name, []).append(value)
        return found

    def show(self, template: str, *, status: int = 200, sends_to: str = "", **values: Any) -> Response:
        """A page. ``sends_to`` is the origin that a form's answer may lead to, beside our own."""
        fresh = None
        if self.visit is not None:
            token = self.visit.security_token
        else:
            # another tab may hold a form with this cookie's token already
            fresh = self.request.cookies.get(_FORM, "")[:100] or secrets.token_urlsafe(24)
            token = self.home.sealer.seal(fresh, _ABOUT)
        answer = page(
            template,
            status=status,
            site=self.home.config.filesender.site_name,
            base=self.base,
            user=self.user,
            form_token=token,
            **values,
        )
        if sends_to:
            policy = PAGE_HEADERS["Content-Security-Policy"]
            answer.headers["Content-Security-Policy"] = policy.replace(
                "form-action 'self'", f"form-action 'self' {sends_to}"
            )
        if fresh is not None:
            answer.set_cookie(_FORM, fresh, path="/auth", httponly=True, samesite="lax", secure=self.secure)
        return answer

    def message(self, heading: str, text: str, *, status: int, sign_out: bool = False) -> Response:
        """A page that only says something."""
        return self.show("auth_message.html", status=status, heading=heading, text=text, sign_out=sign_out)

    def to_sign_in(
        self, onward: str, *, client: str = "", name: str = "", wrong: str = "", status: int = 200
    ) -> Response:
        """The page to sign in on; ``onward`` is the path of ours to go on to."""
        return self.show("auth_signin.html", status=status, next=onward, client=client, name=name, wrong=wrong)


Page = Callable[[Visitor], Response]


def browser_page(get: Page | None, post: Page | None = None) -> Callable[[Request], Awaitable[ASGIApp]]:
    """An endpoint that answers with pages. A POST that no page of ours sent is refused before ``post`` sees it."""

    async def run(request: Request) -> ASGIApp:
        home: Home = request.app.state.home

        def work(form: Mapping[str, list[str]], base: str) -> Response:
            with home.database.write() as session:
                visit = guest_session.find(session, request.cookies.get(_SESSION))
                if visit is not None and visit.user_id is None:
                    visit = None
                user = session.get(User, visit.user_id) if visit is not None else None
                visitor = Visitor(home, session, request, base, visit, user, form)
                if request.method != "POST":
                    return get(visitor) if get else visitor.message("There is no such page", "", status=405)
                if not _from_here(visitor):
                    return visitor.message(
                        "This form cannot be taken",
                        "It is too old, or was sent by another site. Go back, load the page again, and retry.",
                        status=403,
                    )
                return post(visitor) if post else visitor.message("There is no such form", "", status=405)

        try:
            base = base_of(request)
            form = await read_form(request) if request.method == "POST" else {}
            return await run_in_threadpool(work, form, base)
        except Refusal as refusal:
            return page("message.html", status=refusal.status, heading="This request cannot be read", lines=())

    return run


def sign_in(visitor: Visitor, user: User, onward: str) -> Response:
    """Begin a session, and go on."""
    guest_session.end(visitor.session, visitor.request.cookies.get(_SESSION))
    issued = guest_session.issue(visitor.session, user=user, seconds=_SECONDS)
    answer = RedirectResponse(visitor.base + onward, 303, headers=PAGE_HEADERS)
    answer.set_cookie(_SESSION, issued.cookie, path="/auth", httponly=True, samesite="lax", secure=visitor.secure)
    answer.delete_cookie(_FORM, path="/auth", httponly=True, samesite="lax", secure=visitor.secure)
    return answer


def sign_out(visitor: Visitor) -> Response:
    """End the session of this browser."""
    guest_session.end(visitor.session, visitor.request.cookies.get(_SESSION))
    answer = RedirectResponse(visitor.base + "/auth/login", 303, headers=PAGE_HEADERS)
    answer.delete_cookie(_SESSION, path="/auth", httponly=True, samesite="lax", secure=visitor.secure)
    return answer


def _from_here(visitor: Visitor) -> bool:
    """Whether a form comes from a page of ours: its token is the session's, or the one sealed to the form's cookie."""
    headers = visitor.request.headers
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin, ours = headers.get("origin"), urlsplit(visitor.base)
    if site is None and origin is not None and origin.lower() != f"{ours.scheme}://{ours.netloc}".lower():
        return False
    given = visitor.field("form_token")
    if visitor.visit is not None:
        return guest_session.token_holds(visitor.visit, given)
    cookie = visitor.request.cookies.get(_FORM, "")
    return bool(cookie) and visitor.home.sealer.open(given[:500], _ABOUT) == cookie
