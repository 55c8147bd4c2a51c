"""The HTML that clients read: the download page and the guest's upload page (spec filesender §2.2, §2.3, §6)."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

from packhorse.errors import ProtocolError
from packhorse.wire.filesender.shared import SharedFile, file_attributes, shared_file_from

__all__ = ["MAX_PAGE", "DownloadPage", "GuestPage", "file_attributes", "parse_download_page", "parse_upload_page"]

MAX_PAGE: Final = 32 * 2**20
"""Bytes of the longest page that is read; a file takes about 1 KiB of it."""

_PIECE: Final = 2**16
_MAX_CONSTRUCT: Final = 2**18
"""Characters of the longest single tag or comment: the parser reads an unfinished one again with every piece."""

_MAX_WORK: Final = 3_000_000
"""Tags, attributes and texts of the fullest page: some seconds of work. A page of 10,000 files has about half."""


@dataclass(frozen=True, slots=True)
class DownloadPage:
    """What a download page says. A dead token's page is like any other, with no files.

    ``auth_type`` is of the ``body``; ``security_token`` as well (empty where the page has none).
    """

    files: tuple[SharedFile, ...]
    auth_type: str = ""
    security_token: str = ""


@dataclass(frozen=True, slots=True)
class GuestPage:
    """What a guest's upload page says. ``is_open`` is false for a closed, expired or unknown voucher."""

    security_token: str
    auth_type: str

    @property
    def is_open(self) -> bool:
        """Whether the voucher can be used: the server took the visitor for a guest."""
        return self.auth_type == "guest" and bool(self.security_token)


def parse_download_page(html: str | bytes) -> DownloadPage:
    """The files of ``BASE/?s=download&token=…``: every element of class ``file`` that has ``data-id``.

    ``ProtocolError`` for a page above 32 MiB, a malformed one, and a file without id, name or size.
    """
    page = _read(html, files=True)
    return DownloadPage(tuple(page.files.values()), page.body.get("data-auth-type", ""), _token(page))


def parse_upload_page(html: str | bytes) -> GuestPage:
    """The tokens of ``BASE/?s=upload&vid=…``. ``ProtocolError`` for a page that is too long or malformed."""
    page = _read(html, files=False)
    return GuestPage(_token(page), page.body.get("data-auth-type", ""))


def _token(page: _Reader) -> str:
    token = page.body.get("data-security-token", "")
    return token if token.isascii() and token.isprintable() and len(token) <= 256 else ""


def _read(html: str | bytes, *, files: bool) -> _Reader:
    if len(html) > MAX_PAGE:
        raise ProtocolError(f"the page is longer than {MAX_PAGE >> 20} MiB")
    text = html.decode("utf-8", "replace") if isinstance(html, bytes) else html
    reader = _Reader(files=files)
    try:
        for start in range(0, len(text), _PIECE):
            reader.feed(text[start : start + _PIECE])
            if len(reader.rawdata) > _MAX_CONSTRUCT:
                raise ProtocolError("the page has a tag or comment that does not end")
    except (AssertionError, ValueError, RecursionError) as error:
        raise ProtocolError("the page is not HTML that can be read") from error
    # Never close(): at the end of a hostile page the parser would read it again for every "<".
    return reader


class _Reader(HTMLParser):
    """Collects what matters of the start tags, and counts the work that the page makes."""

    def __init__(self, *, files: bool) -> None:
        super().__init__(convert_charrefs=False)  # attribute values are unescaped either way; text is not needed
        self.want_files = files
        self.files: dict[int, SharedFile] = {}
        self.body: dict[str, str] = {}
        self.work = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._worked(1 + len(attrs))
        if tag == "body" and not self.body:
            self.body = {name: value or "" for name, value in reversed(attrs)}  # of equal names the first counts
        elif self.want_files and any(name == "class" and value and "file" in value.split() for name, value in attrs):
            values = {name.removeprefix("data-"): value or "" for name, value in reversed(attrs) if name[:5] == "data-"}
            if "id" in values:
                self._add(shared_file_from(values))

    def _add(self, file: SharedFile) -> None:
        known = self.files.setdefault(file.id, file)
        if known != file:
            raise ProtocolError(f"the page lists file {file.id} twice, with different values")

    def handle_endtag(self, tag: str) -> None:
        self._worked(1)

    def handle_data(self, data: str) -> None:
        self._worked(1)

    def handle_entityref(self, name: str) -> None:
        self._worked(1)

    def handle_charref(self, name: str) -> None:
        self._worked(1)

    def handle_comment(self, data: str) -> None:
        self._worked(1)

    def handle_pi(self, data: str) -> None:
        self._worked(1)

    def handle_decl(self, decl: str) -> None:
        self._worked(1)

    def unknown_decl(self, data: str) -> None:
        self._worked(1)

    def _worked(self, units: int) -> None:
        self.work += units
        if self.work > _MAX_WORK:
            raise ProtocolError("the page has too many tags to be a FileSender page")
