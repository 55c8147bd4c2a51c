"""The door of a guest: a voucher's page gives a session cookie, a security token and a csrf token (spec §2.3)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlencode

from packhorse.errors import ExpiredError, ProtocolError
from packhorse.model import Secret
from packhorse.net.calls import call
from packhorse.net.message import HeaderValue, Request, ResponseHead
from packhorse.net.transport import Network
from packhorse.wire.filesender.pages import MAX_PAGE, GuestPage, parse_upload_page

__all__ = ["GuestDoor", "Voucher"]

SECURITY: Final = "X-Filesender-Security-Token"
CSRF: Final = "csrfptoken"
_COOKIES: Final = 32
_TOKEN: Final = re.compile(r"[!-~]{1,400}")


@dataclass(frozen=True, slots=True)
class Voucher:
    """``vid`` is what stands after ``vid=`` in the voucher's link. The other two are fetched where not given."""

    vid: Secret
    security_token: Secret | None = None
    csrf_token: Secret | None = None


@dataclass(slots=True)
class GuestDoor:
    """One guest's session at one server. Lives on the engine's loop."""

    remote: str
    base: str
    voucher: Voucher
    network: Network
    page: GuestPage | None = None
    generation: int = 0
    _cookies: dict[str, Secret] = field(default_factory=dict)
    _security: Secret | None = None
    _csrf: Secret | None = None
    _lock: asyncio.Lock | None = None

    def __post_init__(self) -> None:
        self._security, self._csrf = self.voucher.security_token, self.voucher.csrf_token

    @property
    def open(self) -> bool:
        """Whether there is a security token to write with."""
        return self._security is not None

    async def enter(self, *, after: int | None = None) -> None:
        """Fetch the voucher's page, single-flight. ``after``: only if nobody did since that generation.

        Raises :class:`ExpiredError` for a voucher that is closed, expired or none.
        """
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if after is not None and after != self.generation:
                return
            query = urlencode([("s", "upload"), ("vid", self.voucher.vid.reveal())])
            request = Request("GET", f"{self.base}/?{query}", {"Accept": "text/html"}, secret_url=True)
            reply = await call(self.network, request, limit=MAX_PAGE)
            page = parse_upload_page(reply.content) if reply.head.ok else None
            if page is None or not page.is_open:
                raise ExpiredError(
                    f"{self.remote}: this voucher is closed, over or unknown",
                    status=reply.status if reply.status >= 400 else 410,
                    hint="ask who invited you for another one; a link with s=download&token= is for receiving: "
                    "packhorse get LINK",
                )
            if not _TOKEN.fullmatch(page.security_token):
                raise ProtocolError(f"{self.remote}: the voucher's page holds an unusable security token")
            self._cookies.clear()
            self._csrf = None
            self.page, self._security = page, Secret(page.security_token)
            self._keep_cookies(reply.head)
            self.generation += 1

    def dress(self, request: Request) -> Request:
        """The request as this guest sends it. The voucher itself is in its query already (``vid``)."""
        headers: dict[str, HeaderValue] = {}
        if self._cookies:
            pairs = "; ".join(f"{name}={value.reveal()}" for name, value in self._cookies.items())
            headers["Cookie"] = Secret(pairs)
        if request.method in ("POST", "PUT", "DELETE"):
            if self._security is not None:
                headers[SECURITY] = self._security
            if self._csrf is not None:
                headers[CSRF] = self._csrf
        return request.with_header_map(headers)

    def learn(self, head: ResponseHead) -> None:
        """A rotated security token. The first csrf token is kept: newer ones end the older only when they are used,
        and several requests are in flight."""
        token = head.headers.get(SECURITY)
        if token and _TOKEN.fullmatch(token):
            self._security = Secret(token)

    def _keep_cookies(self, head: ResponseHead) -> None:
        for header in head.headers.get_all("set-cookie"):
            cookies: SimpleCookie = SimpleCookie()
            try:
                cookies.load(header)
            except CookieError:
                continue
            for name, morsel in cookies.items():
                # The csrf cookie is flagged "secure" even on http sites, so the flags are not looked at.
                if _TOKEN.fullmatch(morsel.value) and ";" not in morsel.value and len(self._cookies) < _COOKIES:
                    self._cookies[name] = Secret(morsel.value)
        if CSRF in self._cookies:
            self._csrf = self._cookies[CSRF]
