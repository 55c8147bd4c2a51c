"""The final head among the header lines that libcurl hands over: interim answers passed over, trailers not believed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from packhorse.errors import ProtocolError
from packhorse.net.message import Headers, ResponseHead
from packhorse.net.redact import show_url

__all__ = ["MAX_HEADER_BYTES", "final_head"]

MAX_HEADER_BYTES: Final = 64 * 1024
_FIELD: Final = re.compile(r"^([^:\n]*):([^\n]*)", re.MULTILINE)
_FOLD: Final = re.compile(r"\r?\n[ \t]+")


def final_head(lines: Sequence[bytes], url: str) -> ResponseHead | None:
    """The first whole head that is not an interim one (1xx), or ``None``. Raises :class:`ProtocolError`.

    >>> lines = [b"HTTP/1.1 103 Early\\r\\n", b"\\r\\n", b"HTTP/1.1 200 OK\\r\\n", b"ETag: \\"a\\"\\r\\n", b"\\r\\n"]
    >>> final_head(lines, "http://h/").headers.get("etag")
    '"a"'
    """
    if sum(map(len, lines)) > MAX_HEADER_BYTES:
        raise ProtocolError(f"{show_url(url)} sent more than {MAX_HEADER_BYTES} bytes of headers")
    start: int | None = None
    for number, line in enumerate(lines):
        if line.startswith(b"HTTP/"):
            start = number
        elif start is not None and line in (b"\r\n", b"\n"):
            head = _parse(lines[start:number], url)
            if head.status >= 200:
                return head
            start = None
    return None


def _parse(lines: Sequence[bytes], url: str) -> ResponseHead:
    first = lines[0].decode("latin-1").split(None, 2)
    if len(first) < 2 or not first[1].isascii() or not first[1].isdigit():
        raise ProtocolError(f"{show_url(url)} answered with something that is not HTTP")
    text = b"".join(lines[1:]).decode("latin-1")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)  # an obsolete folded line
    fields = [(name.strip(), value.strip()) for name, value in _FIELD.findall(text)]
    return ResponseHead(int(first[1]), Headers(fields), url, first[0].removeprefix("HTTP/"))
