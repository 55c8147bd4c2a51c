"""Bytes by DRS over HTTPS: a signed address of the store, else a stream of the service (spec immport §3.5)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from packhorse.errors import (
    ExpiredError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    ProtocolError,
    RemoteError,
    ServerError,
)
from packhorse.model import Item
from packhorse.net.message import Request, ResponseHead
from packhorse.net.redact import show_text
from packhorse.portals.immport.api import ImmPortApi
from packhorse.portals.immport.refusals import decoded
from packhorse.transfer.portal import Locator
from packhorse.wire.signed import is_signed, signed_until

__all__ = ["Drs", "store_says"]

Way = Literal["s3", "stream"]
_FORGIVEN_AFTER: Final = 600.0


def store_says(body: bytes) -> str:
    """The code of a store's refusal (``NoSuchKey``, ``AccessDenied`` …), or nothing.

    >>> store_says(b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>")
    'NoSuchKey'
    """
    found = re.search(rb"<Code>([A-Za-z0-9.]{1,60})</Code>", body[:16384])
    return found[1].decode() if found else ""


@dataclass(slots=True)
class _Doubt:
    """How often the store refused one object of late, and when last."""

    count: int = 0
    missing: bool = False
    at: float = 0.0


class Drs:
    """The DRS calls of one remote. Lives on the engine's loop."""

    def __init__(self, api: ImmPortApi) -> None:
        self.api = api
        self._doubts: dict[str, _Doubt] = {}
        self._no_store_until = 0.0

    async def locate(self, item: Item) -> Locator:
        """A fresh address of the object ``item.labels["id"]``.

        The store's; the stream's where the service gives none of the store, or where the store refused twice or says
        that it has no such object. Raises :class:`PermissionDeniedError` for a restricted object,
        :class:`NotFoundError` for one that is nowhere.
        """
        uuid = item.labels["id"]
        doubt = self._doubt(uuid)
        ways: tuple[Way, ...] = ("s3", "stream")
        if doubt.count >= 2 or doubt.missing:
            ways = ("stream",)
        elif time.monotonic() < self._no_store_until:
            ways = ("stream", "s3")
        problems: list[PackhorseError] = []
        for way in ways:
            try:
                # While another way is left, no time is spent on repeating.
                url = await self.address(uuid, way, retries=3 if way == ways[-1] else 0)
            except (RemoteError, NotFoundError, ProtocolError) as error:
                problems.append(error)
                continue
            if way == "stream" and any(isinstance(problem, ServerError) for problem in problems):
                self._no_store_until = time.monotonic() + _FORGIVEN_AFTER
            return self._locator(item, url, way)
        if any(isinstance(problem, PermissionDeniedError) for problem in problems):
            raise _restricted(self._name(item))
        if isinstance(problems[-1], NotFoundError):
            raise _missing(self._name(item))
        raise problems[-1]

    async def address(self, uuid: str, way: Way, *, retries: int = 3) -> str:
        """The URL that the service gives for an object. Raises what the refusal means."""
        path = f"drs/download/{way}/{quote(uuid, safe='')}"
        request = Request("GET", self.api.url("query", path), {"Accept": "application/json"})
        answer: Any = decoded(await self.api.call(request, what=path, retries=retries), self.api.remote, path)
        url = answer.get("url") if isinstance(answer, Mapping) else None
        if isinstance(url, str) and url.lower().startswith(("https://", "http://")):
            return url
        words = answer.get("message") if isinstance(answer, Mapping) else None
        status = answer.get("status") if isinstance(answer, Mapping) else None
        said = show_text(words) if isinstance(words, str) else "no address"
        message = f"{self.api.remote}:{path}: {said}"
        if status in (403, 404):  # a refusal in the body of a 200
            if status == 403:
                raise PermissionDeniedError(message, status=403)
            raise NotFoundError(message)
        raise ProtocolError(message)

    def _locator(self, item: Item, url: str, way: Way) -> Locator:
        uuid = item.labels["id"]
        signed = is_signed(url)
        ends = signed_until(url)
        if ends is not None:
            # The signer's clock decides; ours may be wrong.
            ends -= self.api.auth.now() - time.time()
        # The store takes no second credential. An unsigned stream of the service itself wants the token.
        own = way == "stream" and not signed and self.api.bases.holds(url)

        told = False

        def refused(head: ResponseHead, body: bytes) -> bool:
            nonlocal told
            if way == "stream":
                return signed and head.status in (401, 403, 410)
            if not told:  # every connection of a file tells of the same address
                told = True
                doubt = self._doubt(uuid)
                doubt.count += 1
                doubt.at = time.monotonic()
                doubt.missing |= head.status == 404 or store_says(body) == "NoSuchKey"
            return head.status in (400, 401, 403, 404, 410)

        return Locator(
            url,
            expires=ends,
            size=item.size,
            identity=item.identity,
            secret_url=not own,
            authorised=own,
            refused=refused,
        )

    def _doubt(self, uuid: str) -> _Doubt:
        found = self._doubts.get(uuid)
        if found is None or time.monotonic() - found.at > _FORGIVEN_AFTER:
            while len(self._doubts) > 10_000:
                self._doubts.pop(next(iter(self._doubts)))
            found = self._doubts[uuid] = _Doubt(at=time.monotonic())
        return found

    def _name(self, item: Item) -> str:
        return f"{self.api.remote}:{show_text(item.path)}"

    def explain(self, head: ResponseHead, body: bytes) -> PackhorseError:
        """The error for a refusal of a store or a stream, after every other way was tried."""
        said = store_says(body)
        where = self.api.remote
        if said == "NoSuchKey" or head.status == 404:
            return NotFoundError(f"{where}: the store does not hold this file", hint="tell the portal's help desk")
        if head.status in (400, 401, 403):
            why = f" ({said})" if said else ""
            return PermissionDeniedError(
                f"{where}: the store refuses this file, with a fresh address too{why}",
                status=head.status,
                hint="is a proxy on the way? packhorse doctor; else tell the portal's help desk",
            )
        if head.status == 410:
            return ExpiredError(f"{where}: this file is over", status=410)
        if head.status >= 500:
            return ServerError(
                f"{where}: the store fails (HTTP {head.status})",
                status=head.status,
                hint="try again later; what arrived is kept",
            )
        return RemoteError(f"{where}: the store answers HTTP {head.status}", status=head.status)


def _restricted(name: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"{name} is restricted: you are signed in, without access to it",
        status=403,
        hint="ask the study's owners or the portal's help desk for access",
    )


def _missing(name: str) -> NotFoundError:
    return NotFoundError(
        f"{name} is listed, and its bytes are nowhere: neither the store nor the service has them",
        hint="tell the portal's help desk; the other files are not concerned",
    )
