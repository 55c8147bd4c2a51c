"""A token for a password: ``POST /auth/token`` of every generation (spec immport §1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from packhorse.credentials.ladder import sendable
from packhorse.errors import AuthenticationError, CredentialStoreError, ProtocolError, RefusedError
from packhorse.model import Secret
from packhorse.net.calls import call
from packhorse.net.message import Reply, Request, ResponseHead
from packhorse.net.redact import show_url
from packhorse.net.transport import Network
from packhorse.portals.immport.refusals import decoded, refusal, said, sign_in_hint

__all__ = ["password_token"]

_NO_SUCH_SERVICE: Final = (404, 405, 410, 501)


async def password_token(
    network: Network, urls: tuple[str, ...], username: str, password: Secret, *, remote: str = "ImmPort"
) -> tuple[Secret, ResponseHead]:
    """A token for a password: ``token`` or ``access_token`` of the answer, and its head.

    The first of ``urls`` that has such a service answers. Raises :class:`AuthenticationError` for a wrong name or
    password, and where passwords are no longer taken.
    """
    body = urlencode({"username": username, "password": password.reveal()}).encode()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json;charset=UTF-8",
    }
    reply: Reply | None = None
    for number, url in enumerate(urls, 1):
        request = Request("POST", url, headers, body, len(body), idempotent=True)
        try:
            reply = await call(network, request, retries=3 if number == len(urls) else 0)
        except RefusedError:
            if number == len(urls):
                raise
            continue
        if reply.status not in _NO_SUCH_SERVICE:
            break
    assert reply is not None
    return _token_of(reply, remote, urls[0].removesuffix("/token")), reply.head


def _token_of(reply: Reply, remote: str, place: str) -> Secret:
    where = show_url(place)
    if reply.status in (400, 401, 403, 422):
        words = said(reply.content)
        plain = not words or "credential" in words.lower() or words.lower() in ("unauthorized", "bad request")
        raise AuthenticationError(
            f"{remote}: the user name or password is wrong" if plain else f"{remote} refuses the sign-in: {words}",
            hint=sign_in_hint(remote, place),
        )
    if reply.status in _NO_SUCH_SERVICE:
        raise AuthenticationError(
            f"{remote} takes no passwords: {where}/token answers HTTP {reply.status}",
            hint=f"make an API key at {where}/api/keys, then: packhorse login {remote} --token-stdin",
        )
    if not reply.head.ok:
        raise refusal(reply.status, reply.content, remote=remote, what="token", signed_in=False, auth_base=place)
    answer: Any = decoded(reply, remote, "token")
    found = None
    if isinstance(answer, Mapping):
        found = next(
            (answer[name] for name in ("access_token", "token") if isinstance(answer.get(name), str) and answer[name]),
            None,
        )
    if found is None:
        words = said(reply.content)
        if words:
            raise AuthenticationError(f"{remote} refuses the sign-in: {words}", hint=sign_in_hint(remote, place))
        raise ProtocolError(f"{remote} answers the sign-in without a token")
    try:
        return sendable(Secret(found), f"{remote}'s answer")
    except CredentialStoreError as error:
        raise ProtocolError(error.message) from None
