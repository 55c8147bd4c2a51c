"""FileSender's web pages, ``/?s=…``: for people, and for the clients that read them (spec §2.2, §2.3, §6, §9).

They work without a script. What clients scrape stands in ``data-…`` attributes exactly as on real servers; the status
says more than theirs: 404 for an unknown token or voucher, 410 for one that is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from packhorse.server.api.core import Home, Refusal
from packhorse.server.api.filesender import guest_session
from packhorse.server.api.filesender.core import Asked, read_asked
from packhorse.server.api.filesender.guest_session import CSRF_COOKIE, SESSION_COOKIE
from packhorse.server.api.filesender.records import shared_file
from packhorse.server.api.filesender.rights import recipient_of_token
from packhorse.server.api.signin import prove
from packhorse.server.db.filesender import AVAILABLE, Guest, TransferFile, Visit
from packhorse.server.db.models import User, now
from packhorse.server.filesender import letters
from packhorse.server.filesender.faults import Fault
from packhorse.server.filesender_keys import (
    client_ini,
    delete_filesender_key,
    filesender_key,
    set_filesender_key,
    signing_name,
)
from packhorse.server.rendering import PAGE_HEADERS, page
from packhorse.wire.filesender.errors import meaning
from packhorse.wire.filesender.links import download_link, is_token, upload_link
from packhorse.wire.filesender.shared import file_attributes

__all__ = ["fault_page", "routes"]

_FORM_LIMIT: Final = 16 * 1024
_STATUS: Final = {"missing": 404, "over": 410, "auth": 403, "forbidden": 403, "state": 404, "server": 500, "rate": 403}

_NOWHERE: Final = (
    "This link leads nowhere",
    ("Check that you copied the whole link, or ask the sender for a new one.",),
)
_WORDS: Final[Mapping[str, tuple[int, str, tuple[str, ...]]]] = {
    "token_is_missing": (400, *_NOWHERE),
    "token_has_bad_format": (400, *_NOWHERE),
    "recipient_not_found": (404, *_NOWHERE),
    "transfer_expired": (410, "These files have expired", ("Ask the sender to send them again.",)),
    "transfer_presumed_expired": (410, "These files are no longer available", ("The sender closed the transfer.",)),
    "bad_transfer_status": (404, "These files are not ready yet", ("The sender is still uploading. Try again later.",)),
    "rest_authentication_required": (403, "Your session is over", ("Sign in again.",)),
    "rest_xsrf_token_did_not_match": (400, "This form is too old", ("Go back, load the page again, and retry.",)),
}
"""What is said to people where the protocol's own words would puzzle them."""


@dataclass(frozen=True, slots=True)
class _Visitor:
    """One request for a page. ``form`` is what a POST sent; ``user`` is who has signed in in this browser."""

    home: Home
    session: Session
    asked: Asked
    form: Mapping[str, str]
    visit: Visit | None
    user: User | None

    def show(self, template: str, *, status: int = 200, visit: Visit | None = None, **values: Any) -> Response:
        """A page, with what every page has: the security token of the session, and who is signed in."""
        visit = visit or self.visit
        kind = "" if visit is None else "guest" if visit.guest_id is not None else "sp"
        return page(
            template,
            status=status,
            site=self.home.config.filesender.site_name,
            base=self.asked.base,
            auth_type=kind,
            security_token=visit.security_token if visit else "",
            csrf_token=visit.csrf_token if visit else "",
            user=self.user,
            **values,
        )

    def message(self, heading: str, *lines: str, status: int) -> Response:
        """A page that only says something."""
        return self.show("message.html", status=status, heading=heading, lines=lines)


async def _front(request: Request) -> Response:
    home: Home = request.app.state.home
    try:
        asked = read_asked(request, ())
        form = await _form(request) if asked.method == "POST" else {}
    except Fault:
        return page("message.html", status=400, heading="This request cannot be read", lines=())
    return await run_in_threadpool(_work, home, asked, form)


async def _form(request: Request) -> dict[str, str]:
    """A small form's fields. Raises :class:`Fault` for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Fault("rest_bad_parameter")
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > _FORM_LIMIT:
            raise Fault("rest_bad_parameter")
    try:
        sent = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise Fault("rest_bad_parameter") from None
    if any("\0" in value for _, value in sent):  # which no database takes
        raise Fault("rest_bad_parameter")
    return dict(sent)


def _work(home: Home, asked: Asked, form: Mapping[str, str]) -> Response:
    with home.database.write() as session:
        visit = guest_session.find(session, asked.cookies.get(SESSION_COOKIE))
        user = session.get(User, visit.user_id) if visit is not None and visit.user_id is not None else None
        visitor = _Visitor(home, session, asked, form, visit, user)
        shown = asked.query.get("s", "")
        if asked.method == "POST" and not _from_here(asked):
            return visitor.message("Refused", "This form was sent by another site.", status=403)
        handler = (_POSTS if asked.method == "POST" else _PAGES).get(shown)
        if handler is None:
            return visitor.message("There is no such page", "Check the address, or start at the home page.", status=404)
        try:
            return handler(visitor)
        except Fault as fault:
            status, heading, lines = _told(fault)
            return visitor.message(heading, *lines, status=status)


def _from_here(asked: Asked) -> bool:
    """Whether a form comes from a page of ours; browsers say so, other clients hold no cookies worth stealing."""
    site = asked.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = asked.headers.get("origin")
    ours = urlsplit(asked.base)
    return origin is None or origin.lower() == f"{ours.scheme}://{ours.netloc}".lower()


def _told(fault: Fault) -> tuple[int, str, tuple[str, ...]]:
    """A refusal for people: status, heading, lines."""
    if fault.identifier in _WORDS:
        return _WORDS[fault.identifier]
    about = meaning(fault.identifier)
    status = _STATUS.get(about.kind, 400) if fault.status == 500 else fault.status
    return status, "This is not available", (f"{about.words[:1].upper()}{about.words[1:]}.",)


def fault_page(fault: Fault) -> Response:
    """A refusal as a page of its own, as by ``download.php``."""
    status, heading, lines = _told(fault)
    return page("message.html", status=status, heading=heading, lines=lines)


def _home(visitor: _Visitor) -> Response:
    return visitor.show("home.html")


def _exception(visitor: _Visitor) -> Response:
    """Where real servers send browsers after an error; ours answer with the error itself."""
    return visitor.message("Something went wrong", "Go back and try again.", status=200)


# downloading


def _download(visitor: _Visitor) -> Response:
    """A recipient's files: 410 when they are over, 404 for a token that is none; then no element is of class file."""
    recipient = recipient_of_token(visitor.session, visitor.asked.query.get("token"))
    transfer = recipient.transfer
    if transfer.options.get("must_be_logged_in_to_download") and visitor.user is None:
        return visitor.show("signin.html", token=recipient.token, wrong="", name="", only_for_users=True)
    hidden = transfer.options.get("hide_sender_email")
    return visitor.show(
        "download.html",
        transfer=transfer,
        sender="" if hidden else transfer.user_email,
        rows=[_row(file, recipient.token) for file in transfer.files],
        total=sum(file.size for file in transfer.files),
        archive=_files_address(recipient.token, *(file.id for file in transfer.files)),
        link=download_link(visitor.asked.base, recipient.token),
    )


def _row(file: TransferFile, token: str) -> dict[str, Any]:
    folder, slash, name = file.name.rpartition("/")
    return {
        "attributes": file_attributes(shared_file(file)),
        "folder": folder + slash,
        "name": name or file.name,
        "size": file.size,
        "address": _files_address(token, file.id),
    }


def _files_address(token: str, *ids: int) -> str:
    return f"download.php?token={quote(token, safe='')}&files_ids={','.join(map(str, ids))}"


# guests


def _upload(visitor: _Visitor) -> Response:
    """A guest's page: begins (or goes on with) the session that the voucher's uploads need."""
    voucher = visitor.asked.query.get("vid", "")
    guest = _guest(visitor.session, voucher)
    if guest is None or guest.status != AVAILABLE or (guest.expires is not None and guest.expires <= now()):
        words = (
            (
                "This invitation is over",
                "It was used, withdrawn, or has expired. Ask whoever invited you for a new one.",
            )
            if guest is not None
            else ("This is no invitation", "Check the link, or ask whoever invited you for a new one.")
        )
        # clients tell a voucher that is over by the empty data-auth-type (spec §2.3)
        outsider = _Visitor(visitor.home, visitor.session, visitor.asked, {}, None, None)
        return outsider.message(*words, status=410 if guest is not None else 404)
    first = not visitor.session.scalar(select(func.count(Visit.id)).where(Visit.guest_id == guest.id))
    known = visitor.visit if visitor.visit is not None and visitor.visit.guest_id == guest.id else None
    issued = _again(visitor.asked, known) if known else guest_session.issue(visitor.session, guest=guest)
    if first:
        letters.guest_opened(visitor.session, guest)
    visit = known or guest_session.find(visitor.session, issued.cookie)
    link = upload_link(visitor.asked.base, guest.token)
    answer = visitor.show("upload.html", visit=visit, guest=guest, link=link)
    guest_session.set_cookies(answer, issued, secure=visitor.home.config.secure)
    return answer


def _guest(session: Session, voucher: str) -> Guest | None:
    if not is_token(voucher):
        return None
    return session.scalar(select(Guest).where(Guest.token == voucher.lower()))


def _again(asked: Asked, visit: Visit) -> guest_session.Issued:
    return guest_session.Issued(asked.cookies[SESSION_COOKIE], visit.security_token, visit.csrf_token)


# users


def _sign_in_page(visitor: _Visitor) -> Response:
    if visitor.user is not None:
        return RedirectResponse("?s=user", 303, headers=PAGE_HEADERS)
    return visitor.show("signin.html", token="", wrong="", name="", only_for_users=False)


def _sign_in(visitor: _Visitor) -> Response:
    """Password to session: then on to what was asked for."""
    name, password = visitor.form.get("username", ""), visitor.form.get("password", "")
    token = visitor.form.get("token", "")
    token = token if is_token(token) else ""
    try:
        user = prove(visitor.home, visitor.session, name, password, visitor.asked.ip)
    except Refusal as refusal:
        wrong = "The user name or the password is wrong."
        if refusal.status == 429:
            minutes = max(int(refusal.headers.get("Retry-After", "60")) // 60, 1)
            wrong = f"Too many failed sign-ins. Try again in {minutes} min."
        answer = visitor.show(
            "signin.html", status=refusal.status, token=token, wrong=wrong, name=name[:150], only_for_users=False
        )
        answer.headers.update(refusal.headers)
        return answer
    guest_session.end(visitor.session, visitor.asked.cookies.get(SESSION_COOKIE))
    answer = RedirectResponse(f"?s=download&token={token}" if token else "?s=user", 303, headers=PAGE_HEADERS)
    issued = guest_session.issue(visitor.session, user=user)
    guest_session.set_cookies(answer, issued, secure=visitor.home.config.secure)
    return answer


def _sign_out(visitor: _Visitor) -> Response:
    _check_csrf(visitor)
    guest_session.end(visitor.session, visitor.asked.cookies.get(SESSION_COOKIE))
    answer = RedirectResponse("?s=home", 303, headers=PAGE_HEADERS)
    for name, hidden in ((SESSION_COOKIE, True), (CSRF_COOKIE, False)):
        answer.delete_cookie(name, path="/", httponly=hidden, secure=visitor.home.config.secure, samesite="strict")
    return answer


def _user_page(visitor: _Visitor) -> Response:
    """The user's API key and the file for clients; for others the way to sign in."""
    if visitor.user is None:
        return visitor.show("signin.html", token="", wrong="", name="", only_for_users=False)
    key = filesender_key(visitor.session, visitor.home.sealer, visitor.user)
    name = signing_name(visitor.session, visitor.user)
    if visitor.asked.query.get("ini"):
        if key is None:
            return visitor.message("There is no key yet", "Create one on your page first.", status=404)
        days = visitor.home.config.filesender.default_days
        headers = {**PAGE_HEADERS, "Content-Disposition": 'attachment; filename="filesender.py.ini"'}
        return PlainTextResponse(client_ini(visitor.asked.base, days, name, key), headers=headers)
    return visitor.show("user.html", key=key, signing_name=name)


def _change_key(visitor: _Visitor) -> Response:
    user = _check_csrf(visitor)
    action = visitor.form.get("action", "")
    if action == "create":
        set_filesender_key(visitor.session, visitor.home.sealer, user)
    elif action == "delete":
        delete_filesender_key(visitor.session, user)
    else:
        return visitor.message("Refused", "This form cannot be read.", status=400)
    return RedirectResponse("?s=user", 303, headers=PAGE_HEADERS)


def _check_csrf(visitor: _Visitor) -> User:
    """The signed-in user, whose own page the form must come from. Raises :class:`Fault`."""
    if visitor.user is None or visitor.visit is None:
        raise Fault("rest_authentication_required")
    if not guest_session.csrf_holds(visitor.visit, visitor.form.get(CSRF_COOKIE)):
        raise Fault("rest_xsrf_token_did_not_match")
    return visitor.user


_Handler = Callable[[_Visitor], Response]
_PAGES: Final[Mapping[str, _Handler]] = {
    "": _home,
    "home": _home,
    "download": _download,
    "upload": _upload,
    "guest_upload": _upload,
    "user": _user_page,
    "logon": _sign_in_page,
    "exception": _exception,
}
_POSTS: Final[Mapping[str, _Handler]] = {"logon": _sign_in, "logout": _sign_out, "user": _change_key}
routes: Final[list[Any]] = [Route("/", _front, methods=["GET", "POST"])]
