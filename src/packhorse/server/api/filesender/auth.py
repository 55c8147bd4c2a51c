"""Who calls: guest, signed user or application, browser session, in this order (spec §2)."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.server.api.core import Home
from packhorse.server.api.filesender import guest_session
from packhorse.server.api.filesender.core import NOBODY, Actor, Asked
from packhorse.server.db.filesender import AVAILABLE, Guest, RemoteApplication
from packhorse.server.db.models import User, now
from packhorse.server.filesender.faults import Fault
from packhorse.server.filesender_keys import application_secret, filesender_key, find_signer
from packhorse.wire.filesender import signing

__all__ = ["Pending", "begin", "check_tokens", "is_signed"]

_USERNAME: Final = re.compile(r"[A-Za-z0-9@.+_-]{1,150}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pending:
    """An actor who counts once the body is read: ``signer`` takes it in pieces, ``None`` where nothing is signed."""

    actor: Actor
    signer: signing.Signer | None = None
    given: str = ""
    wanted: str = ""

    def confirm(self, session: Session) -> Actor:
        """The actor, after the last piece of the body. Raises :class:`Fault` when the signature is not theirs.

        A user whom an application names for the first time is made here.
        """
        if self.signer is None:
            return self.actor
        if not signing.signature_matches(self.signer.signature(), self.given):
            raise Fault("auth_remote_signature_check_failed")
        user, application = self.actor.user, self.actor.application
        if user is not None:
            user = session.get(User, user.id)
        elif self.wanted:
            user = _made(session, self.wanted)
        if application is not None:
            application = session.get(RemoteApplication, application.name)
        return Actor(user=user, application=application, signed=True)


def is_signed(asked: Asked) -> bool:
    """Whether the request says that it is signed."""
    query = asked.query
    return "signature" in query and ("remote_user" in query or "remote_application" in query)


def begin(home: Home, session: Session, asked: Asked) -> Pending:
    """Find out who calls, before the body. Raises :class:`Fault` for a voucher that is over, for a late signature."""
    query = asked.query
    cookie = asked.cookies.get(guest_session.SESSION_COOKIE)
    if "vid" in query:
        guest = _guest(session, query["vid"])
        visit = guest_session.find(session, cookie)
        return Pending(Actor(guest=guest, visit=visit if visit and visit.guest_id == guest.id else None))
    if is_signed(asked):
        return _signed(home, session, asked)
    visit = guest_session.find(session, cookie)
    if visit is not None and visit.user_id is not None:
        return Pending(Actor(user=session.get(User, visit.user_id), visit=visit))
    return Pending(NOBODY)


def check_tokens(actor: Actor, asked: Asked) -> None:
    """What a write of a browser session must bring along (spec §2.2, §2.3); signed requests need nothing."""
    if actor.signed or not actor.anybody:
        return
    if actor.visit is None or not guest_session.token_holds(
        actor.visit, asked.headers.get("x-filesender-security-token")
    ):
        raise Fault("rest_security_token_did_not_match")
    if actor.guest is not None and not guest_session.csrf_holds(actor.visit, asked.headers.get("csrfptoken")):
        raise Fault("rest_xsrf_token_did_not_match")


def _guest(session: Session, token: str) -> Guest:
    guest = session.scalar(select(Guest).where(Guest.token == token.lower()))
    if guest is None:
        raise Fault("guest_not_found")
    if guest.status != AVAILABLE or (guest.expires is not None and guest.expires <= now()):
        raise Fault("guest_expired")
    if not guest.user.active:
        raise Fault("guest_expired")
    return guest


def _signed(home: Home, session: Session, asked: Asked) -> Pending:
    query, settings = asked.query, home.config.filesender
    if not signing.fresh(query.get("timestamp", ""), time.time(), settings.signature_window):
        raise Fault("auth_remote_too_late")
    application, name = None, query.get("remote_user", "")
    user = find_signer(session, name) if name else None
    if "remote_application" in query:
        application = session.get(RemoteApplication, query["remote_application"])
        if application is None:
            raise Fault("auth_remote_unknown_application")
        key = application_secret(home.sealer, application)
    elif user is None:
        raise Fault("auth_remote_signature_check_failed")
    else:
        key = filesender_key(session, home.sealer, user)
    if key is None:
        raise Fault("auth_remote_user_rejected")
    if application is not None:
        _allowed(application, asked)
    signer = signing.signer(key, settings.signature_algorithm)
    signer.head(signing.canonical(asked.method, asked.host, asked.path, asked.pairs))
    return Pending(Actor(user=user, application=application, signed=True), signer, query["signature"], name)


def _allowed(application: RemoteApplication, asked: Asked) -> None:
    """The application's own list of endpoints and methods (spec §2.1)."""
    endpoint = asked.parts[0] if asked.parts else "download"
    methods = application.acl.get(endpoint, application.acl.get("*", []))
    if "*" not in methods and asked.method.lower() not in methods:
        raise Fault("rest_access_forbidden")


def _made(session: Session, name: str) -> User:
    """The user whom an application acts for, made when there is none."""
    user = find_signer(session, name)
    if user is None:
        if session.scalar(select(User.id).where(User.username == name)) is not None or not _USERNAME.fullmatch(name):
            raise Fault("auth_remote_user_rejected")
        user = User(username=name, email=name if "@" in name else "", name=name, role="user")
        session.add(user)
        session.flush()
    return user
