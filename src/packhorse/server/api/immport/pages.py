"""Page objects, as Spring lays them out: the rows in ``content`` (spec immport §2.1, §2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from packhorse.server.api.immport.core import Context, Refusal
from packhorse.server.api.immport.rows import answer_value, one_value

__all__ = ["answer_page", "page_asked", "whole_number"]


def whole_number(ctx: Context, name: str, usual: int, most: int) -> int:
    """A whole number from the query, at least 0. Refuses (400) what is none, or above ``most``."""
    text = (one_value(ctx, name) or "").strip()
    if not text:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refusal(400, f"{name} is a whole number, not {text[:60]!r}")
    if int(text) > most:
        raise Refusal(400, f"{name} is at most {most:,}, not {int(text):,}")
    return int(text)


def page_asked(ctx: Context, usual: int, most: int) -> tuple[int, int]:
    """``page`` (from 0) and ``size`` of a list; without ``size`` the ``usual`` one."""
    size = whole_number(ctx, "size", usual, most)
    if not size:
        raise Refusal(400, "size is at least 1")
    return whole_number(ctx, "page", 0, 10**9), size


def answer_page(content: Sequence[Any], total: int, page: int, size: int) -> Response:
    """The rows of one page, and what Spring says of the whole."""
    pages = -(-total // size)
    return answer_value(
        {
            "content": list(content),
            "totalElements": total,
            "totalPages": pages,
            "last": page >= pages - 1,
            "first": page == 0,
            "numberOfElements": len(content),
            "size": size,
            "number": page,
            "empty": not content,
        }
    )
