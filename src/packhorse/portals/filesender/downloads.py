"""Requests for a file's bytes by ``download.php``, and whether their answers are the file (spec §6, §0.9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from packhorse.errors import PackhorseError, ProtocolError
from packhorse.net.message import ResponseHead
from packhorse.net.redirect import same_origin
from packhorse.portals.filesender.api import FileSenderApi
from packhorse.portals.filesender.refusals import exception_in, refusal
from packhorse.wire.filesender.shared import SharedFile
from packhorse.wire.http import parse_content_length

__all__ = ["archive_url", "download_url", "head_check", "page_instead"]


def download_url(api: FileSenderApi, file_id: int, token: str | None, transaction: str) -> str:
    """One file. Our own transaction id skips a redirect, which would lose a signature; all its ranges share it."""
    query = [("files_ids", str(file_id)), ("transaction_id", transaction)]
    return api.page_url([*query, ("token", token)] if token else query, "download.php")


def archive_url(api: FileSenderApi, ids: Sequence[int], token: str | None, kind: str, transaction: str) -> str:
    """All these files in one archive (``zip``, ``tar``)."""
    query = [("archive_format", kind), ("files_ids", ",".join(map(str, ids))), ("transaction_id", transaction)]
    return api.page_url([*query, ("token", token)] if token else query, "download.php")


def page_instead(api: FileSenderApi, head: ResponseHead, what: str) -> PackhorseError | None:
    """The error for an answer that is a page of the site, to which a refused download is redirected."""
    said = exception_in(head.url)
    path = urlsplit(head.url).path
    if said is None and path.endswith("/download.php") and same_origin(head.url, api.base):
        return None
    if said:
        return refusal(head, b"", remote=api.remote, what=what, base=api.base, identifier=said)
    return ProtocolError(
        f"{api.remote}:{what}: a page of the site came instead of the file",
        hint="the link may be over, or sign-in may be wanted: open it in a browser",
    )


def head_check(api: FileSenderApi, file: SharedFile | None) -> Callable[[ResponseHead], None]:
    """What an answer's head must be, apart from ranges and lengths, which the engine checks. ``None``: an archive."""
    what = f"file {file.id}" if file is not None else "archive"

    def check(head: ResponseHead) -> None:
        wrong = page_instead(api, head, what)
        if wrong is not None:
            raise wrong
        if head.status != 200:
            return  # a 206 names its bytes
        attached = (head.headers.get("content-disposition") or "").strip().lower().startswith("attachment")
        length = parse_content_length(head.headers.get_all("content-length"))
        html = "html" in (head.headers.get("content-type") or "").lower()
        if attached or (file is not None and length == file.size and not html):
            return
        raise ProtocolError(f"{api.remote}:{what}: the server's answer is not marked as the file")

    return check
